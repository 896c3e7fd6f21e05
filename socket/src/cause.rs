//! What an error of the system says about a connection: the table of section 9.2 of Pulsewire's specification, for every system.

use std::io;

/// Why an operation on a connection failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Cause {
    /// The peer ended its side in an orderly way.
    PeerEnded,
    /// The peer reset or refused the connection, or its process died.
    Reset,
    /// This side closed the socket, shut it down or cancelled the operation. Where the program did none of that, the system
    /// itself gave the connection up: then it is [`NetworkLost`](Self::NetworkLost).
    ClosedHere,
    /// This host has no memory, buffers, sockets or quota left. Nothing is wrong with the connection or the network, and the
    /// same call may succeed later.
    Shortage,
    /// Nothing answers any more, or the error is unknown.
    NetworkLost,
}

impl Cause {
    /// What an error says that a call of the operating system gave, or the standard library.
    ///
    /// ```
    /// use pulsewire_socket::Cause;
    ///
    /// let reset = std::io::Error::from(std::io::ErrorKind::ConnectionReset);
    /// assert_eq!(Cause::of(&reset), Cause::Reset);
    /// ```
    #[must_use]
    pub fn of(error: &io::Error) -> Self {
        use io::ErrorKind;

        match error.raw_os_error() {
            Some(code) if cfg!(windows) => return Self::of_windows_code(code.cast_unsigned()),
            #[cfg(unix)]
            Some(libc::ENOBUFS | libc::ENOMEM | libc::EMFILE | libc::ENFILE) => return Self::Shortage,
            _ => {}
        }
        match error.kind() {
            ErrorKind::UnexpectedEof => Self::PeerEnded,
            ErrorKind::ConnectionReset
            | ErrorKind::ConnectionRefused
            | ErrorKind::BrokenPipe
            | ErrorKind::WriteZero => Self::Reset,
            ErrorKind::ConnectionAborted | ErrorKind::NotConnected => Self::ClosedHere,
            ErrorKind::OutOfMemory | ErrorKind::QuotaExceeded => Self::Shortage,
            _ => Self::NetworkLost,
        }
    }

    /// What a Win32 or Winsock code says. Several states of the kernel share a code, so ask
    /// [`of_ntstatus`](Self::of_ntstatus) where that is known.
    #[must_use]
    pub const fn of_windows_code(code: u32) -> Self {
        match code {
            // ERROR_GRACEFUL_DISCONNECT, WSAEDISCON.
            1226 | 10101 => Self::PeerEnded,
            // ERROR_UNEXP_NET_ERR (a client that was gone before it was accepted), ERROR_NETNAME_DELETED,
            // ERROR_CONNECTION_REFUSED, ERROR_PORT_UNREACHABLE; WSAENETRESET, WSAECONNRESET, WSAECONNREFUSED.
            59 | 64 | 1225 | 1234 | 10052 | 10054 | 10061 => Self::Reset,
            // ERROR_INVALID_HANDLE, ERROR_HANDLES_CLOSED, ERROR_ABANDONED_WAIT_0, ERROR_OPERATION_ABORTED,
            // ERROR_CONNECTION_ABORTED; WSAEINTR, WSAENOTSOCK, WSAECONNABORTED, WSAESHUTDOWN.
            6 | 676 | 735 | 995 | 1236 | 10004 | 10038 | 10053 | 10058 => Self::ClosedHere,
            // ERROR_TOO_MANY_OPEN_FILES, ERROR_NOT_ENOUGH_MEMORY, ERROR_OUTOFMEMORY, ERROR_NO_SYSTEM_RESOURCES,
            // ERROR_NONPAGED_SYSTEM_RESOURCES, ERROR_PAGED_SYSTEM_RESOURCES, ERROR_WORKING_SET_QUOTA, ERROR_PAGEFILE_QUOTA,
            // ERROR_COMMITMENT_LIMIT, ERROR_NOT_ENOUGH_QUOTA; WSAEMFILE, WSAENOBUFS, WSAEPROCLIM.
            4 | 8 | 14 | 1450..=1455 | 1816 | 10024 | 10055 | 10067 => Self::Shortage,
            _ => Self::NetworkLost,
        }
    }

    /// What the NTSTATUS of an overlapped operation says (`OVERLAPPED::Internal`). `None`: it is not in the table, and
    /// [`of_windows_code`](Self::of_windows_code) has to do, with what `RtlNtStatusToDosError` makes of it.
    #[must_use]
    pub const fn of_ntstatus(status: u32) -> Option<Self> {
        Some(match status {
            // STATUS_GRACEFUL_DISCONNECT.
            0xC000_0237 => Self::PeerEnded,
            // STATUS_REMOTE_DISCONNECT, STATUS_LINK_FAILED, STATUS_CONNECTION_DISCONNECTED, STATUS_CONNECTION_RESET,
            // STATUS_CONNECTION_REFUSED, STATUS_PORT_UNREACHABLE.
            0xC000_013C | 0xC000_013E | 0xC000_020C | 0xC000_020D | 0xC000_0236 | 0xC000_023F => Self::Reset,
            // STATUS_LOCAL_DISCONNECT, which shares the code 64 with the one of the peer; STATUS_INVALID_HANDLE,
            // STATUS_HANDLES_CLOSED, STATUS_PIPE_DISCONNECTED, STATUS_CANCELLED, STATUS_CONNECTION_ABORTED.
            0xC000_013B | 0xC000_0008 | 0x8000_000A | 0xC000_00B0 | 0xC000_0120 | 0xC000_0241 => Self::ClosedHere,
            // STATUS_PAGEFILE_QUOTA, STATUS_NO_MEMORY, STATUS_QUOTA_EXCEEDED, STATUS_INSUFFICIENT_RESOURCES,
            // STATUS_WORKING_SET_QUOTA, STATUS_TOO_MANY_OPENED_FILES, STATUS_COMMITMENT_LIMIT.
            0xC000_0007 | 0xC000_0017 | 0xC000_0044 | 0xC000_009A | 0xC000_00A1 | 0xC000_011F | 0xC000_012D => {
                Self::Shortage
            }
            // STATUS_IO_TIMEOUT, STATUS_LINK_TIMEOUT, STATUS_NETWORK_UNREACHABLE, STATUS_HOST_UNREACHABLE,
            // STATUS_PROTOCOL_UNREACHABLE, STATUS_TRANSACTION_TIMED_OUT.
            0xC000_00B5 | 0xC000_013F | 0xC000_023C | 0xC000_023D | 0xC000_023E | 0xC000_0210 => Self::NetworkLost,
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn codes(codes: &[u32], cause: Cause) {
        for &code in codes {
            assert_eq!(Cause::of_windows_code(code), cause, "{code}");
        }
    }

    #[test]
    fn every_known_code_names_its_cause() {
        codes(&[1226, 10101], Cause::PeerEnded);
        codes(&[59, 64, 1225, 1234, 10052, 10054, 10061], Cause::Reset);
        codes(&[6, 676, 735, 995, 1236, 10004, 10038, 10053, 10058], Cause::ClosedHere);
        codes(&[4, 8, 14, 1450, 1451, 1452, 1453, 1454, 1455, 1816, 10024, 10055, 10067], Cause::Shortage);
        codes(&[121, 1231, 1232, 10050, 10051, 10060, 10065, 99_999], Cause::NetworkLost);
    }

    /// Both disconnects have the code 64, and only one of them is the peer's.
    #[test]
    fn a_status_tells_what_its_code_does_not() {
        let (local, remote) = (0xC000_013B, 0xC000_013C);
        assert_eq!(Cause::of_ntstatus(local), Some(Cause::ClosedHere));
        assert_eq!(Cause::of_ntstatus(remote), Some(Cause::Reset));
        assert_eq!(Cause::of_ntstatus(0xC000_0237), Some(Cause::PeerEnded));
        assert_eq!(Cause::of_ntstatus(0xC000_009A), Some(Cause::Shortage));
        assert_eq!(Cause::of_ntstatus(0xC000_00B5), Some(Cause::NetworkLost));
        assert_eq!(Cause::of_ntstatus(0xC000_FFFF), None);
    }

    #[test]
    fn every_kind_of_error_names_its_cause() {
        use io::ErrorKind::{
            BrokenPipe, ConnectionAborted, ConnectionReset, HostUnreachable, NetworkDown, NetworkUnreachable, Other,
            OutOfMemory, TimedOut, UnexpectedEof, WriteZero,
        };
        let of = |kind: io::ErrorKind| Cause::of(&kind.into());
        assert_eq!([ConnectionReset, BrokenPipe, WriteZero].map(of), [Cause::Reset; 3]);
        let lost = [TimedOut, HostUnreachable, NetworkUnreachable, NetworkDown, Other];
        assert_eq!(lost.map(of), [Cause::NetworkLost; 5]);
        let others = [UnexpectedEof, ConnectionAborted, OutOfMemory].map(of);
        assert_eq!(others, [Cause::PeerEnded, Cause::ClosedHere, Cause::Shortage]);
    }

    #[test]
    #[cfg(unix)]
    fn a_shortage_of_this_host_is_none_of_the_network() {
        for code in [libc::ENOBUFS, libc::ENOMEM, libc::EMFILE, libc::ENFILE] {
            assert_eq!(Cause::of(&io::Error::from_raw_os_error(code)), Cause::Shortage, "{code}");
        }
        assert_eq!(Cause::of(&io::Error::from_raw_os_error(libc::ETIMEDOUT)), Cause::NetworkLost);
    }
}
