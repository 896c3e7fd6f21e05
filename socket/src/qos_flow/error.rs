//! What the codes of `qwave.dll` mean.

use std::fmt::{self, Display, Formatter};

/// A function of `qwave.dll`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum QosCall {
    /// Begins to use the system's quality of service.
    CreateHandle,
    /// Makes a flow for a connection.
    AddSocketToFlow,
    /// Gives a flow a mark of its own.
    SetFlow,
}

impl Display for QosCall {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::CreateHandle => "QOSCreateHandle",
            Self::AddSocketToFlow => "QOSAddSocketToFlow",
            Self::SetFlow => "QOSSetFlow",
        })
    }
}

/// Why a connection was not marked. It works unmarked all the same.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum QosError {
    /// `qwave.dll`, or a function of it, is not there.
    #[error(
        "{what} cannot be loaded (error {code}): on Windows Server install the feature qWAVE (Quality Windows Audio Video Experience)"
    )]
    Absent {
        /// The library or the function.
        what: &'static str,
        /// The system's code.
        code: u32,
    },
    /// The socket is no established connection: no address of a peer could be given, without which the call fails on a machine
    /// with several network cards.
    #[error("a flow is made for an established connection, and this socket is not connected")]
    NotEstablished,
    /// The system refused.
    #[error("{call} failed with error {code}{}", explanation(*.call, *.code))]
    Refused {
        /// What was called.
        call: QosCall,
        /// The system's code.
        code: u32,
    },
}

/// What a code means where it is known, after a colon.
fn explanation(call: QosCall, code: u32) -> &'static str {
    match (call, code) {
        (QosCall::SetFlow, 5) => {
            ": marking with a DSCP of one's own takes a member of Administrators or Network Configuration Operators, and an \
             elevated process; a traffic type takes neither"
        }
        (_, 5) => ": access was denied; the process has to be elevated here",
        (QosCall::CreateHandle, 50) => ": this system does not support version 1.0 of quality of service",
        (_, 50) => ": this system does not support that; a DSCP of one's own needs Windows 7 or later",
        (_, 87) => {
            ": the system took a value for invalid; that the peer's address is the one the socket is connected to is checked"
        }
        (_, 1168) => {
            ": the system finds no path on which to mark. Client and server on one machine have none: their packets reach no \
             network card"
        }
        (_, 1056 | 1058 | 1060 | 1062 | 1068) => {
            ": the service QWAVE does not run; start it, or set it to start on demand"
        }
        (_, 10038) => ": it is no socket",
        (_, 10053) => {
            ": the connection was closed by this system. Linger of 0 s that was set before the handshake does that when a flow \
             is made; set it later, by means of `set_linger`"
        }
        _ => "",
    }
}

/// A connection was not marked: the reason, and the socket, which goes on unmarked.
#[cfg(windows)]
#[derive(Debug, thiserror::Error)]
#[error("{error}")]
pub struct NotMarked<S> {
    /// The reason.
    #[source]
    pub error: QosError,
    /// The socket, as it was given.
    pub socket: S,
}

impl From<QosError> for std::io::Error {
    fn from(error: QosError) -> Self {
        use std::io::ErrorKind;

        let kind = match error {
            QosError::Absent { .. } => ErrorKind::Unsupported,
            QosError::NotEstablished => ErrorKind::NotConnected,
            QosError::Refused { code: 5, .. } => ErrorKind::PermissionDenied,
            QosError::Refused { .. } => ErrorKind::Other,
        };
        Self::new(kind, error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_code_that_is_known_says_what_to_do() {
        let said = |call, code| QosError::Refused { call, code }.to_string();
        assert!(said(QosCall::CreateHandle, 50).contains("version 1.0"));
        assert!(said(QosCall::AddSocketToFlow, 87).contains("invalid"));
        assert!(said(QosCall::AddSocketToFlow, 1168).contains("one machine"));
        assert!(said(QosCall::SetFlow, 5).contains("elevated"));
        assert!(said(QosCall::AddSocketToFlow, 10053).contains("set_linger"));
        assert!(said(QosCall::CreateHandle, 1056).contains("QWAVE"));
        assert_eq!(said(QosCall::SetFlow, 4711), "QOSSetFlow failed with error 4711");
        let absent = QosError::Absent { what: "qwave.dll", code: 126 }.to_string();
        assert!(absent.contains("qwave.dll") && absent.contains("qWAVE"), "{absent}");
    }
}
