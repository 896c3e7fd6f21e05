//! What an implementation offers so that the suite can judge it.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::profile::Profile;

/// An implementation under test.
///
/// The suite runs many cases at once and asks for a server or client of its own in each, so everything that is
/// returned must be independent of the rest.
pub trait Subject: Send + Sync {
    /// The name in reports.
    fn name(&self) -> &str;

    /// Starts an echo server on a free port of the loopback address.
    ///
    /// It returns every message with the same class, ENCRYPTED mark and payload, in order. A message that cannot be
    /// returned, because it is above the peer's limit or the connection is closing, is dropped.
    ///
    /// # Errors
    ///
    /// If the server cannot be started: the suite reports a fault of the harness, not a violation.
    fn serve(&self, profile: &Profile) -> Result<Box<dyn Running>, SubjectError>;

    /// Starts an echo client that connects to `address` once; the suite is the server.
    ///
    /// It returns without waiting for the handshake. Several clients may run at once.
    ///
    /// # Errors
    ///
    /// If the client cannot be started, or the implementation has no client role ([`SubjectError::unsupported`]).
    fn connect(&self, profile: &Profile, address: SocketAddr) -> Result<Box<dyn Running>, SubjectError>;

    /// The profile of an implementation that cannot be given one, such as a server that somebody else started.
    fn fixed_profile(&self) -> Option<Profile> {
        None
    }

    /// The same implementation with everything random drawn from `seed`, where it can do that: it runs one case, and does
    /// the same whenever that case is run with that seed.
    fn seeded(&self, _seed: u64) -> Option<Arc<dyn Subject>> {
        None
    }

    /// How long to wait for a client to connect.
    fn connect_patience(&self) -> Duration {
        Duration::from_secs(5)
    }
}

/// A server or client that a [`Subject`] started.
pub trait Running: Send {
    /// Where a server listens; for a client, the address that it was given.
    fn address(&self) -> SocketAddr;

    /// Does something, or reports.
    ///
    /// # Errors
    ///
    /// [`Unsupported`] makes the case not applicable.
    fn control(&mut self, command: Command) -> Result<Reply, Unsupported>;

    /// Ends every connection and releases everything, within a few seconds.
    fn stop(self: Box<Self>);
}

/// What the suite asks of a [`Running`] implementation.
#[derive(Clone, Debug)]
pub enum Command {
    /// Reply with the ids of the connections whose handshake is complete and that have not ended, oldest first.
    Connections,
    /// Reply with how every connection ended that once was listed.
    Endings,
    /// Queue a message for a connection.
    Send {
        /// The connection.
        to: Id,
        /// The class of the message (spec section 11.2).
        class: u8,
        /// The message.
        payload: Vec<u8>,
    },
    /// Begin to close a connection.
    Close {
        /// The connection.
        connection: Id,
        /// The reason for the CLOSE (spec section 11.3).
        reason: u16,
    },
    /// Nothing that any implementation knows: the answer is [`Unsupported`]. The suite asks this first of everything that it
    /// starts, since an adapter that takes it would take anything.
    Unknown {
        /// A word without meaning.
        verb: &'static str,
    },
}

/// The answer to a [`Command`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// To [`Command::Connections`].
    Connections(Vec<Id>),
    /// To [`Command::Endings`].
    Endings(Vec<Ending>),
    /// The message is queued.
    Sent,
    /// The connection begins to close.
    Closing,
    /// The command was refused and changed nothing.
    Refused {
        /// Why.
        reason: Refusal,
        /// The payload that was to be sent, untouched (PW-CK-003); empty for other commands.
        payload: Vec<u8>,
    },
}

/// Why a command was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The id names no connection that lives now (PW-CK-002).
    Stale,
    /// The connection is closing.
    Closed,
    /// The queue of the connection is full.
    Full,
    /// The message is above the limit that the peer announced (PW-DAT-009).
    TooLarge,
}

/// The id of a connection (spec section 13).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Id {
    /// The place that holds the connection's state; used again by later connections.
    pub slot: u32,
    /// The table that the slot belongs to.
    pub domain: u32,
    /// The number that is never used again (PW-CK-001).
    pub cookie: u64,
}

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ending {
    /// The connection.
    pub connection: Id,
    /// The close reason (spec section 11.3), 256 and above included.
    pub reason: u16,
    /// Who ended it.
    pub origin: Origin,
}

/// Who ended a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The implementation or its application.
    Local,
    /// The peer, by CLOSE.
    Peer,
    /// The transport ended without a CLOSE.
    Transport,
}

/// The implementation cannot do what a [`Command`] asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unsupported;

/// Why a subject could not be started.
#[derive(Clone, Debug)]
pub struct SubjectError {
    sentence: String,
    unsupported: bool,
}

impl SubjectError {
    /// Something went wrong; `sentence` says what to a person.
    pub fn failed(sentence: impl Into<String>) -> Self {
        Self { sentence: sentence.into(), unsupported: false }
    }

    /// The implementation does not have this at all; cases that need it are not applicable.
    pub fn unsupported(sentence: impl Into<String>) -> Self {
        Self { sentence: sentence.into(), unsupported: true }
    }

    /// Whether the cases are not applicable, rather than the harness at fault.
    #[must_use]
    pub fn is_unsupported(&self) -> bool {
        self.unsupported
    }
}

impl fmt::Display for SubjectError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.sentence)
    }
}

impl std::error::Error for SubjectError {}

impl From<std::io::Error> for SubjectError {
    fn from(error: std::io::Error) -> Self {
        Self::failed(error.to_string())
    }
}
