//! Error codes of the system, kept raw, and what they say about the end of a connection.

use std::fmt::{self, Display, Formatter};
use std::io;

/// An error code of Windows: a Win32 or Winsock code, as a completion or a call reported it.
///
/// The raw code is kept because it is the one thing that can be looked up; [`end`](Self::end) says what it means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct SystemError(u32);

impl SystemError {
    /// `WSAEINVAL`, which also stands for a failure that came without a code.
    pub(crate) const INVALID: Self = Self(10022);

    /// Wraps a raw Win32 or Winsock code.
    pub(crate) const fn from_code(code: u32) -> Self {
        Self(code)
    }

    /// The raw code.
    pub(crate) const fn code(self) -> u32 {
        self.0
    }

    /// What a completion that failed with this code says about the end of its connection.
    ///
    /// 1236 and 10053 say that this system aborted the connection. It does so when we close, and also when TCP gives
    /// up. So a driver that did not close takes [`ConnectionEnd::ClosedHere`] for [`ConnectionEnd::NetworkLost`].
    pub(crate) const fn end(self) -> ConnectionEnd {
        match self.0 {
            // 59 is what an accept reports whose client was gone before it was accepted; 1225 and 10061 are refusals.
            59 | 64 | 1225 | 10052 | 10054 | 10061 => ConnectionEnd::Reset,
            // 6, 676 and 10038: the handle was closed; 735: the port was; 10004: the call was interrupted.
            6 | 676 | 735 | 995 | 1236 | 10004 | 10038 | 10053 | 10058 => ConnectionEnd::ClosedHere,
            10101 => ConnectionEnd::PeerEnded,
            _ => ConnectionEnd::NetworkLost,
        }
    }
}

/// Codes that the fake port gives, and that tests expect of the real one.
#[cfg(test)]
impl SystemError {
    /// `ERROR_NETNAME_DELETED`: the peer reset the connection.
    pub(crate) const NETNAME_DELETED: Self = Self(64);
    /// `ERROR_SEM_TIMEOUT`: TCP gave up on a peer that no longer answers.
    pub(crate) const SEM_TIMEOUT: Self = Self(121);
    /// `ERROR_OPERATION_ABORTED`: the operation was cancelled.
    pub(crate) const OPERATION_ABORTED: Self = Self(995);
    /// `ERROR_CONNECTION_REFUSED`: nobody listens at the address.
    pub(crate) const CONNECTION_REFUSED: Self = Self(1225);
    /// `WSAEADDRINUSE`: somebody else has the address.
    pub(crate) const ADDRESS_IN_USE: Self = Self(10048);
    /// `WSAESHUTDOWN`: a send after the sending side was shut down.
    pub(crate) const SHUT_DOWN: Self = Self(10058);
}

impl Display for SystemError {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        write!(formatter, "system error {}", self.0)
    }
}

impl std::error::Error for SystemError {}

impl From<io::Error> for SystemError {
    fn from(error: io::Error) -> Self {
        error.raw_os_error().map_or(Self::INVALID, |code| Self(code.cast_unsigned()))
    }
}

impl From<SystemError> for io::Error {
    fn from(error: SystemError) -> Self {
        Self::from_raw_os_error(error.0.cast_signed())
    }
}

/// The four ways a connection ends, as a completion shows them (section 9.2 of the specification, PW-TCP-004).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum ConnectionEnd {
    /// The peer ended its side in an orderly way: a receive that succeeds with 0 bytes.
    PeerEnded,
    /// The peer's process died, or it reset or refused the connection.
    Reset,
    /// This side closed the socket or cancelled the operation.
    ClosedHere,
    /// The transport gave up: nothing answers any more.
    NetworkLost,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn end_of(code: u32) -> ConnectionEnd {
        SystemError::from_code(code).end()
    }

    #[test]
    fn every_known_code_names_its_end() {
        for code in [59, 64, 1225, 10052, 10054, 10061] {
            assert_eq!(end_of(code), ConnectionEnd::Reset, "{code}");
        }
        for code in [6, 676, 735, 995, 1236, 10004, 10038, 10053, 10058] {
            assert_eq!(end_of(code), ConnectionEnd::ClosedHere, "{code}");
        }
        for code in [121, 1231, 1232, 10050, 10051, 10060, 10065] {
            assert_eq!(end_of(code), ConnectionEnd::NetworkLost, "{code}");
        }
        assert_eq!(end_of(10101), ConnectionEnd::PeerEnded);
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
