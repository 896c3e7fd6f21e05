//! What a client tells its application.

use std::error::Error;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use pulsewire_policy::GiveUp;
use pulsewire_protocol::{CloseReason, Closed, ConfigError, ConnectionId, Established, Event, Message, SendError};
use tokio::time::Instant;

use crate::error::ConnectError;

/// What a [`Client`](super::Client) tells, in the order in which it happens.
///
/// ```text
///            +---------------------------------------------------+
///            v                                                   |
///        Connecting --> Connected --> Event ... --> Disconnected-+--> Over
///            ^  |                                                |
///            +--+--> Failed -------------------------------------+
/// ```
///
/// `Over` may also come behind `Connecting`, or first of all, where the application closes it then.
#[derive(Debug)]
#[non_exhaustive]
pub enum ClientEvent<'b> {
    /// A try begins.
    Connecting {
        /// Its number, from 1; it begins anew with a connection that lasted.
        attempt: u32,
    },
    /// The try gave no connection.
    Failed(Box<Failed>),
    /// The handshake is complete.
    Connected(Box<Connected>),
    /// Something happened on the present connection. Never `Established` or `Closed`: there are [`Connected`](Self::Connected) and
    /// [`Disconnected`](Self::Disconnected) for these.
    Event(Event<'b>),
    /// The connection ended.
    Disconnected(Box<Disconnected>),
    /// A message that was kept does not fit the connection that it was kept for, as the peer of that takes no message so large: it comes
    /// back. The others go on.
    Refused(Box<SendError<'static>>),
    /// The client is over. Always the last one.
    Over(Box<Over>),
}

/// A try that gave no connection.
#[derive(Debug)]
#[non_exhaustive]
pub struct Failed {
    /// The number of the try, as in [`ClientEvent::Connecting`].
    pub attempt: u32,
    /// Why.
    pub error: AttemptError,
    /// When the next one begins. `None`: never, and [`ClientEvent::Over`] says why.
    pub next_try_at: Option<Instant>,
}

/// A connection that is ready.
#[derive(Debug)]
#[non_exhaustive]
pub struct Connected {
    /// Names the connection in its endpoint, for ever.
    pub id: ConnectionId,
    /// Where the peer is. `None` over a stream of the application's own.
    pub address: Option<SocketAddr>,
    /// What the two sides agreed on.
    pub established: Established,
}

/// A connection that ended.
#[derive(Debug)]
#[non_exhaustive]
pub struct Disconnected {
    /// Names the connection that there was.
    pub id: ConnectionId,
    /// How it ended. In `unsent` is what comes back; what is kept is not there.
    pub closed: Closed,
    /// What the stream said, if that broke: a TLS alert, for one.
    pub io_error: Option<io::Error>,
    /// Messages that were sent and that the peer did not say it received, or refused: it may have got any of them. They are never sent
    /// again. Without the peer's word (`closed.acknowledged`) those are all that were sent.
    pub in_doubt: u64,
    /// When the next try begins. `None`: never, and [`ClientEvent::Over`] says why.
    pub next_try_at: Option<Instant>,
}

/// The end of a client.
#[derive(Debug)]
#[non_exhaustive]
pub struct Over {
    /// Why.
    pub reason: OverReason,
    /// What was kept and never sent, in order.
    pub unsent: Vec<Message<'static>>,
}

/// Why a client is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OverReason {
    /// The application closed it.
    #[error("the client was closed: {reason}")]
    Closed {
        /// The reason that it gave.
        reason: CloseReason,
    },
    /// There is no further try.
    #[error(transparent)]
    GivenUp(#[from] GiveUp),
}

/// Why a try gave no connection.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AttemptError {
    /// No address, or no TCP connection.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The application's own way to a stream failed.
    #[error("cannot open the stream")]
    Stream {
        /// What it said.
        source: io::Error,
    },
    /// The application's provider of tokens failed.
    #[error("no token to connect with")]
    Token {
        /// What it said.
        source: Box<dyn Error + Send + Sync>,
    },
    /// The application's provider of tokens took too long.
    #[error("no token to connect with within {limit:?}")]
    TokenTimeout {
        /// [`ClientOptions::token_timeout`](super::ClientOptions::token_timeout).
        limit: Duration,
    },
    /// The application's provider of tokens gave one that can't be sent.
    #[error("a token that cannot be sent")]
    TokenRefused {
        /// What is wrong with it.
        source: ConfigError,
    },
    /// The peer, or this side, ended it during the handshake.
    #[error("{} did not complete the handshake: {closed}", Peer(*address))]
    Handshake {
        /// Where to. `None` over a stream of the application's own.
        address: Option<SocketAddr>,
        /// How it ended. If the server refused this client: its reason, its sentence in `detail`, and its advice on connecting again in
        /// `retry` (PW-HS-022).
        closed: Box<Closed>,
        /// What the stream said, if that broke: a TLS alert, for one.
        source: Option<io::Error>,
    },
}

/// An address, or a word for where there is none.
struct Peer(Option<SocketAddr>);

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(address) => address.fmt(f),
            None => f.write_str("the peer"),
        }
    }
}
