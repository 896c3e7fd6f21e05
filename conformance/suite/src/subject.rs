//! What an implementation offers so that the suite can judge it.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;

use crate::profile::Profile;
use crate::role::Role;

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

    /// The roles that it plays; cases of another role are not run.
    fn roles(&self) -> &'static [Role] {
        &[Role::Server, Role::Client]
    }

    /// Whether it is still there: asked after a case that was not passed. What runs in this process always is.
    ///
    /// # Errors
    ///
    /// Why it is gone, for people. The run ends then.
    fn presence(&self) -> Result<(), String> {
        Ok(())
    }

    /// The profile of an implementation that cannot be given one, such as a server that somebody else started.
    fn fixed_profile(&self) -> Option<Profile> {
        None
    }

    /// The same implementation with everything random drawn from `seed`, where it can do that: it runs one case, and does
    /// the same whenever that case is run with that seed.
    fn seeded(&self, _seed: u64) -> Option<Arc<dyn Subject>> {
        None
    }

    /// Whether it can run in memory and virtual time: its servers and clients wait for nothing but what [`world`](crate::world)
    /// offers, use no other clock and no other threads.
    fn in_memory(&self) -> bool {
        false
    }

    /// Whether every case applies to it, but for those that need virtual time where it does not run [in memory](Self::in_memory).
    /// A test of one that does not apply is then failed, not ignored: so that nothing falls out of a complete implementation unnoticed.
    fn is_complete(&self) -> bool {
        false
    }

    /// Whether a flood is to be small, since it runs in a process that does little at a time, or that other cases use too.
    fn is_slow_at_floods(&self) -> bool {
        self.fixed_profile().is_some()
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
    /// [`SubjectError::unsupported`] makes the case not applicable; any other error is a fault of the harness.
    fn control(&mut self, command: Command) -> Result<Reply, SubjectError>;

    /// Does several things one after the other, and gives the reply to each. Where the way to the implementation is long, they are told at
    /// once.
    ///
    /// # Errors
    ///
    /// As [`control`](Self::control), for any of them.
    fn control_all(&mut self, commands: Vec<Command>) -> Result<Vec<Reply>, SubjectError> {
        commands.into_iter().map(|command| self.control(command)).collect()
    }

    /// How it has ended, if it has, by a fault of its own. Nobody waits for one that has ended to connect.
    fn ended(&mut self) -> Option<String> {
        None
    }

    /// Of many things that are done in a row, how many the suite asks for at once.
    fn commands_at_once(&self) -> usize {
        1
    }

    /// Ends every connection and releases everything, within a few seconds.
    fn stop(self: Box<Self>);
}

/// What the suite asks of a [`Running`] implementation.
#[derive(Clone, Debug)]
pub enum Command {
    /// Reply with the ids of the connections whose handshake is complete and that have not ended, oldest first.
    Connections,
    /// Reply with everything that the application was told since the start, oldest first.
    Events,
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
        /// What the CLOSE is to say.
        frame: CloseFrame,
    },
    /// Say that nothing new begins over a connection (PW-CLS-016). Done as well if it was said before.
    Drain(Id),
    /// Stop reading (PW-HB-019).
    Pause(Id),
    /// Read again.
    Resume(Id),
    /// Cut a connection at once, whatever waits for it (section 9.2).
    Abort(Id),
    /// The application takes nothing of what comes from now on, since its task is elsewhere. It goes on to send when it is told to. The
    /// implementation does what it does for such an application; where that has to pause then, this is [`Pause`](Self::Pause).
    Hold(Id),
    /// The application is back, and takes what came, be it only the end. Where it had to pause, this is [`Resume`](Self::Resume).
    Release(Id),
    /// Accept the HELLO that the application judges (PW-HS-020).
    Accept(Id),
    /// Refuse it.
    Refuse {
        /// The connection.
        connection: Id,
        /// What the CLOSE is to say.
        frame: CloseFrame,
    },
    /// Nothing that any implementation knows: the answer is [`SubjectError::unknown_command`]. The suite asks this first of everything that it
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
    /// To [`Command::Events`].
    Events(Vec<Event>),
    /// The command is obeyed: the message is queued, the connection begins to close, and so on.
    Done,
    /// The command was refused and changed nothing.
    Refused {
        /// Why.
        reason: Refusal,
        /// The payload that was to be sent, untouched (PW-CK-003); empty for other commands.
        payload: Vec<u8>,
    },
}

/// Why a command was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Refusal {
    /// The id names no connection that lives now (PW-CK-002).
    Stale,
    /// The state does not permit it: the connection is closing, or its handshake is not complete.
    Closed,
    /// The queue of the connection is full.
    Full,
    /// The message is above the limit that the peer announced (PW-DAT-009).
    TooLarge,
}

/// The id of a connection (spec section 13).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(from = "(u32, u32, u64)")]
pub struct Id {
    /// The place that holds the connection's state; used again by later connections.
    pub slot: u32,
    /// The table that the slot belongs to.
    pub domain: u32,
    /// The number that is never used again (PW-CK-001).
    pub cookie: u64,
}

impl From<(u32, u32, u64)> for Id {
    fn from((slot, domain, cookie): (u32, u32, u64)) -> Self {
        Self { slot, domain, cookie }
    }
}

/// Something that the application was told.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Event {
    /// The connection; `None` if its handshake failed and the implementation gives no id before it is complete.
    pub connection: Option<Id>,
    /// What happened.
    #[serde(flatten)]
    pub what: Happening,
}

/// What happened to a connection.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum Happening {
    /// A HELLO waits for the judgement of the application (PW-HS-020).
    Admission,
    /// The peer refused a message of this side (PW-REJ-007).
    Rejected {
        /// The class of the message.
        class: u8,
        /// The number of the message among those of its class of this side, from 1; 0 if the peer does not know it.
        ordinal: u64,
        /// The reason (spec section 11.4).
        reason: u16,
    },
    /// This side refused a message that is above its limit (PW-DAT-008).
    TooLarge,
    /// The first probe of a silence stayed unanswered (PW-HB-018).
    Suspect,
    /// The peer gave a sign of life after that.
    Recovered,
    /// The peer is going to close (PW-CLS-017).
    Draining {
        /// The messages that it had received.
        received: u64,
    },
    /// The peer's CLOSE came, and says this.
    Closing(CloseFrame),
    /// The connection ended; its last event.
    Closed {
        /// The reason (spec section 11.3), 256 and above included, and what the peer's CLOSE said besides, if it ended it.
        #[serde(flatten)]
        frame: CloseFrame,
        /// Who ended it.
        origin: Origin,
        /// Whether CLOSE was answered by CLOSE_ACK (PW-CLS-011).
        orderly: bool,
    },
}

/// What a CLOSE says to the application of its receiver.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct CloseFrame {
    /// The close reason (spec section 11.3).
    pub reason: u16,
    /// The time to wait before connecting again, in milliseconds, and `u32::MAX` for never; `None` if the application
    /// leaves that to the reason, or is not told.
    pub retry_after: Option<u32>,
    /// The item TEXT; empty for none.
    #[serde(default)]
    pub text: String,
}

impl From<u16> for CloseFrame {
    /// Only a reason.
    fn from(reason: u16) -> Self {
        Self { reason, retry_after: None, text: String::new() }
    }
}

/// Who ended a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// The implementation or its application.
    Local,
    /// The peer, by CLOSE.
    Peer,
    /// The transport ended without a CLOSE.
    Transport,
}

/// Why a subject could not be started, or did not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
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

    /// The answer to [`Command::Unknown`].
    #[must_use]
    pub fn unknown_command() -> Self {
        Self::unsupported("there is no such command")
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
