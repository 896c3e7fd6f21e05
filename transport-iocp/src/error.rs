//! Error codes of the system, kept raw, and what they say about the end of a connection.

use std::fmt::{self, Display, Formatter};
use std::io;

use pulsewire_socket::Cause;

/// An error of Windows: a Win32 or Winsock code, as a completion or a call reported it.
///
/// The raw code is kept because it is the one thing that can be looked up; [`cause`](Self::cause) says what it means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct SystemError {
    code: u32,
    cause: Cause,
    /// The system had taken the operation. How much of it was done is not known.
    started: bool,
}

impl SystemError {
    /// `WSAEINVAL`, which also stands for a failure that came without a code.
    pub(crate) const INVALID: Self = Self::from_code(10022);
    /// `WSAENOTSOCK`: the socket was closed.
    #[cfg(windows)]
    pub(crate) const NOT_A_SOCKET: Self = Self::from_code(10038);

    /// Of a call that failed with this Win32 or Winsock code.
    pub(crate) const fn from_code(code: u32) -> Self {
        Self { code, cause: Cause::of_windows_code(code), started: false }
    }

    /// Of an operation that was started and ended with this NTSTATUS, of which the system makes this code.
    #[cfg(any(windows, test))]
    pub(crate) const fn from_status(status: u32, code: u32) -> Self {
        let cause = match Cause::of_ntstatus(status) {
            Some(cause) => cause,
            None => Cause::of_windows_code(code),
        };
        Self { code, cause, started: true }
    }

    /// The raw code.
    pub(crate) const fn code(self) -> u32 {
        self.code
    }

    /// What it says about its connection. A driver that did not close takes [`Cause::ClosedHere`] for [`Cause::NetworkLost`].
    pub(crate) const fn cause(self) -> Cause {
        self.cause
    }

    /// Whether this host lacked something, and nothing is wrong with socket or port.
    pub(crate) fn is_shortage(self) -> bool {
        self.cause == Cause::Shortage
    }

    /// Whether nothing was done for lack of something, so that the same operation can be tried again.
    pub(crate) fn can_retry(self) -> bool {
        self.is_shortage() && !self.started
    }
}

/// Codes that the fake port gives, and that tests expect of the real one.
#[cfg(test)]
impl SystemError {
    /// `ERROR_NETNAME_DELETED`: the peer reset the connection.
    pub(crate) const NETNAME_DELETED: Self = Self::from_code(64);
    /// `ERROR_SEM_TIMEOUT`: TCP gave up on a peer that no longer answers.
    pub(crate) const SEM_TIMEOUT: Self = Self::from_code(121);
    /// `ERROR_OPERATION_ABORTED`: the operation was cancelled.
    pub(crate) const OPERATION_ABORTED: Self = Self::from_code(995);
    /// `ERROR_CONNECTION_REFUSED`: nobody listens at the address.
    pub(crate) const CONNECTION_REFUSED: Self = Self::from_code(1225);
    /// `WSAEADDRINUSE`: somebody else has the address.
    pub(crate) const ADDRESS_IN_USE: Self = Self::from_code(10048);
    /// `WSAESHUTDOWN`: a send after the sending side was shut down.
    pub(crate) const SHUT_DOWN: Self = Self::from_code(10058);
}

impl Display for SystemError {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        write!(formatter, "system error {}", self.code)
    }
}

impl std::error::Error for SystemError {}

impl From<io::Error> for SystemError {
    fn from(error: io::Error) -> Self {
        error.raw_os_error().map_or(Self::INVALID, |code| Self::from_code(code.cast_unsigned()))
    }
}

#[cfg(windows)]
impl From<pulsewire_socket::Error> for SystemError {
    fn from(error: pulsewire_socket::Error) -> Self {
        error.raw_os_error().map_or(Self::INVALID, |code| Self::from_code(code.cast_unsigned()))
    }
}

impl From<SystemError> for io::Error {
    fn from(error: SystemError) -> Self {
        Self::from_raw_os_error(error.code.cast_signed())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_not_started_is_tried_again() {
        assert!(SystemError::from_code(10055).can_retry());
        let later = SystemError::from_status(0xC000_009A, 1450);
        assert!(later.is_shortage() && !later.can_retry());
        assert!(!SystemError::NETNAME_DELETED.can_retry());
    }

    /// STATUS_LOCAL_DISCONNECT and STATUS_REMOTE_DISCONNECT.
    #[test]
    fn the_status_decides_where_two_share_a_code() {
        let (local, remote) = (SystemError::from_status(0xC000_013B, 64), SystemError::from_status(0xC000_013C, 64));
        assert_eq!((local.cause(), remote.cause()), (Cause::ClosedHere, Cause::Reset));
        assert_eq!(SystemError::from_status(0xC000_FFFF, 64).cause(), Cause::Reset, "one that is not in the table");
    }

    #[test]
    fn a_code_survives_the_way_through_the_standard_error() {
        let error = SystemError::NETNAME_DELETED;
        assert_eq!(SystemError::from(io::Error::from(error)), error);
        assert_eq!(error.to_string(), "system error 64");
    }

    #[test]
    fn an_error_without_a_code_is_invalid() {
        assert_eq!(SystemError::from(io::Error::other("no code")).code(), 10022);
    }
}
