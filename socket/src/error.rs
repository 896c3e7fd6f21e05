//! Why a setting was not made, and by whose fault.

use std::fmt::{self, Display, Formatter};
use std::io;

/// What one can set on a socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Setting {
    /// The system's own probing of an idle connection.
    Keepalive,
    /// How long sent data may stay unacknowledged.
    UserTimeout,
    /// What closing does with data that was not sent yet.
    Linger,
    /// The mark by which routers and switches treat packets differently.
    TrafficClass,
    /// How many unsent bytes the system holds.
    UnsentLimit,
    /// Whether a listener for IPv6 takes IPv4 too.
    DualStack,
    /// That nobody else binds the address of a listener.
    ExclusiveAddress,
}

impl Display for Setting {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Keepalive => "keepalive",
            Self::UserTimeout => "the user timeout",
            Self::Linger => "linger",
            Self::TrafficClass => "the traffic class",
            Self::UnsentLimit => "the limit of unsent bytes",
            Self::DualStack => "dual stack",
            Self::ExclusiveAddress => "exclusive use of the address",
        })
    }
}

/// A value that not every system takes. It is refused where it is configured, before there is a socket.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{quantity} of {value} is out of range: {allowed}")]
pub struct OutOfRange {
    quantity: &'static str,
    value: String,
    allowed: &'static str,
}

impl OutOfRange {
    pub(crate) fn new(quantity: &'static str, value: impl fmt::Debug, allowed: &'static str) -> Self {
        Self { quantity, value: format!("{value:?}"), allowed }
    }
}

impl From<OutOfRange> for io::Error {
    fn from(error: OutOfRange) -> Self {
        Self::new(io::ErrorKind::InvalidInput, error)
    }
}

/// Why a socket is no connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Unconnected {
    /// It listens. Not every system passes its settings on to the connections that it accepts.
    Listening,
    /// It is not connected yet, or no longer. A non-blocking connect that "would block" (`EINPROGRESS`, 10035) is under way: it is
    /// no failure, and the socket is connected when it becomes writable without an error.
    NotConnected,
}

/// Why a setting was not made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The caller's fault: the value.
    #[error(transparent)]
    OutOfRange(#[from] OutOfRange),
    /// The caller's fault: the time. Set it once connecting is complete, and on each socket that was accepted.
    #[error("{setting} is set on an established connection, and {}", match .state {
        Unconnected::Listening => "this socket listens: set it on each connection that it accepts",
        Unconnected::NotConnected => "this socket is not connected: set it when connecting is complete",
    })]
    NotEstablished {
        /// What was to be set.
        setting: Setting,
        /// What the socket is instead.
        state: Unconnected,
    },
    /// This system, or this version of it, does not have that.
    #[error("this system has no means for {setting}; {instead}")]
    Unsupported {
        /// What was to be set.
        setting: Setting,
        /// What to do in its place.
        instead: &'static str,
    },
    /// The system refused it.
    #[error("the system refused {setting}: {source}")]
    System {
        /// What was to be set.
        setting: Setting,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

impl Error {
    /// The system's number, if the system refused.
    pub fn raw_os_error(&self) -> Option<i32> {
        match self {
            Self::System { source, .. } => source.raw_os_error(),
            Self::OutOfRange(_) | Self::NotEstablished { .. } | Self::Unsupported { .. } => None,
        }
    }

    pub(crate) fn system(setting: Setting) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::System { setting, source }
    }
}

impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        let kind = match &error {
            Error::OutOfRange(_) => io::ErrorKind::InvalidInput,
            Error::NotEstablished { .. } => io::ErrorKind::NotConnected,
            Error::Unsupported { .. } => io::ErrorKind::Unsupported,
            Error::System { source, .. } => source.kind(),
        };
        Self::new(kind, error)
    }
}
