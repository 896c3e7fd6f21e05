//! What can be chosen about a client.

use std::time::Duration;

use pulsewire_policy::ValidReconnectConfig;

/// How a [`Client`](super::Client) behaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientOptions {
    /// When it tries again, and when it gives up.
    pub reconnect: ValidReconnectConfig,
    /// What becomes of messages while there is no connection. Default: [`Unsent::Return`].
    pub unsent: Unsent,
    /// How long the provider of tokens ([`Client::with_token`](super::Client::with_token)) may take. A server waits for the client's
    /// HELLO meanwhile, 10 s unless it is set to something else. Default: 5 s.
    pub token_timeout: Duration,
    /// Makes the waits the same each time: for simulations and tests. Default `None`: they are different in each client.
    pub jitter_seed: Option<u64>,
}

impl Default for ClientOptions {
    fn default() -> Self {
        Self {
            reconnect: ValidReconnectConfig::default(),
            unsent: Unsent::default(),
            token_timeout: Duration::from_secs(5),
            jitter_seed: None,
        }
    }
}

/// What becomes of messages that were not sent when a connection was lost, and of those that are to be sent while there is none.
///
/// Either way each message is sent at most once. Not sent are those whose last frame was never handed out to be written
/// ([`Closed::unsent`](pulsewire_protocol::Closed::unsent)): the peer can't have got them whole. All others may have arrived, the last
/// 128 KiB or so also where the stream did not take them, and are never sent again; how many of them the peer did not confirm is told
/// with [`Disconnected::in_doubt`](super::Disconnected::in_doubt).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Unsent {
    /// They come back: those that a lost connection had accepted with [`Disconnected`](super::Disconnected), in `closed.unsent`. While
    /// there is no connection, `try_send` refuses and `send` waits for the next one. The default.
    #[default]
    Return,
    /// They are kept for the next connection, and sent there before any other, in their order.
    Keep {
        /// How much may be kept: payload, and 64 bytes more for each message. What there is no room for comes back, as with
        /// [`Return`](Self::Return).
        bytes: usize,
    },
}

impl Unsent {
    pub(super) fn room(self) -> usize {
        match self {
            Self::Return => 0,
            Self::Keep { bytes } => bytes,
        }
    }
}
