//! The application's side of the owner thread.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use pulsewire_protocol::{CloseReason, Connection, ConnectionId, Event, Message, SendError, SendRefused};

use crate::mailbox::Mailbox;
use crate::sender::Sender;

/// What an application does with its connections.
///
/// It is called on the thread that moves the bytes of all connections. So it must be quick and never wait: work that
/// takes long belongs on another thread, which answers through a [`Sender`]. [`ChannelHandler`](crate::ChannelHandler)
/// is the simplest way there.
///
/// There is no way to pause receiving: a side that doesn't read cannot see the answers to its PINGs. An application
/// that is flooded closes with [`CloseReason::OVERLOADED`].
pub trait Handler: Send + 'static {
    /// Something happened on a connection. The first event of each is `Established`, unless it ends before; the last
    /// one is `Closed`, with the id dead already.
    fn event(&mut self, connection: &mut Context<'_>, event: Event<'_>);

    /// A message that a [`Sender`] had queued was refused by the connection, and comes back.
    fn unsent(&mut self, connection: &mut Context<'_>, refused: SendError<'static>);

    /// There is room again, after somebody was refused with [`SendRefused::Full`]: at most half of
    /// `limits.send_queue` waits. Does nothing if not implemented.
    fn writable(&mut self, connection: &mut Context<'_>) {
        let _nobody_waits = connection;
    }
}

/// The connection that a [`Handler`] is called for.
#[derive(Debug)]
pub struct Context<'c> {
    pub(crate) id: ConnectionId,
    pub(crate) peer_address: SocketAddr,
    pub(crate) connection: &'c mut Connection,
    pub(crate) mailbox: &'c Arc<Mailbox>,
}

impl Context<'_> {
    /// Names the connection in its endpoint, for ever.
    #[must_use]
    pub fn id(&self) -> ConnectionId {
        self.id
    }

    /// The peer's address.
    #[must_use]
    pub fn peer_address(&self) -> SocketAddr {
        self.peer_address
    }

    /// Sends a message at once, without a queue in between: an event's message can be passed on as it is. What is sent
    /// while the bytes that came together are being handled leaves in one send.
    ///
    /// # Errors
    ///
    /// The reason and the message itself. After [`SendRefused::Full`] wait for [`Handler::writable`].
    pub fn send<'p>(&mut self, message: Message<'p>) -> Result<(), SendError<'p>> {
        self.connection.send(message).inspect_err(|refused| {
            if refused.reason == SendRefused::Full {
                self.mailbox.was_full();
            }
        })
    }

    /// Asks the peer to close, when all that was sent before has gone out. Events come until `Closed`.
    pub fn close(&mut self, reason: CloseReason) {
        self.mailbox.closing(reason);
        self.connection.close(reason);
    }

    /// Cuts the connection at once, without a word to the peer. `Closed` follows.
    pub fn abort(&mut self) {
        self.connection.abort();
    }

    /// A handle for sending that can be cloned and given to any thread.
    #[must_use]
    pub fn sender(&self) -> Sender {
        Sender::new(Arc::clone(self.mailbox))
    }

    /// Whether messages can be sent: after the handshake, before closing.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.connection.is_open()
    }

    /// Bytes that were accepted for sending and not yet handed to the system.
    #[must_use]
    pub fn queued(&self) -> usize {
        self.connection.queued()
    }

    /// The smoothed round-trip time, once a PING was answered.
    #[must_use]
    pub fn rtt(&self) -> Option<Duration> {
        self.connection.rtt()
    }
}
