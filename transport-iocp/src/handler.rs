//! The application's side of the owner thread.

use std::net::SocketAddr;
use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::Duration;

use pulsewire_protocol::{
    CloseFrame, Connection, ConnectionId, Event, Instant, Message, SendError, SendRefused, Statistics,
};

use crate::mailbox::Mailbox;
use crate::sender::Sender;

/// What an application does with its connections.
///
/// It is called on the thread that moves the bytes of all connections. So it must be quick and never wait: work that
/// takes long belongs on another thread, which answers through a [`Sender`]. [`ChannelHandler`](crate::ChannelHandler)
/// is the simplest way there.
///
/// An application that is flooded [pauses](Context::pause) until it has caught up: the peer is told, and does not take
/// this side for dead.
pub trait Handler: Send + 'static {
    /// Something happened on a connection. The first event of each is `Established`, unless it ends before; on a server
    /// that [asks](pulsewire_protocol::Admission::Ask) `Admission` comes first. The last one is `Closed`, with the id
    /// dead already.
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
    pub(crate) now: Instant,
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
    /// `Ok` means accepted, not delivered. It gives the number of the message among those of its class, from 1, by which the
    /// peer names it should it refuse it ([`Rejected`](pulsewire_protocol::Rejected)).
    ///
    /// # Errors
    ///
    /// The reason and the message itself. After [`SendRefused::Full`] wait for [`Handler::writable`].
    pub fn send<'p>(&mut self, message: Message<'p>) -> Result<NonZeroU64, SendError<'p>> {
        self.connection.send(self.now, message).inspect_err(|refused| {
            if refused.reason == SendRefused::Full {
                self.mailbox.was_full();
            }
        })
    }

    /// Admits the client that [`Event::Admission`] told of (PW-HS-020); `Established` follows. Without such a client this
    /// does nothing.
    pub fn accept(&mut self) {
        self.connection.accept(self.now);
    }

    /// Refuses the client that [`Event::Admission`] told of, with a reason (`REFUSED`, `OVERLOADED`, or one of your own),
    /// and a sentence and advice on connecting again where a [`CloseFrame`] is given. `Closed` follows. Without such a
    /// client this does nothing.
    pub fn refuse(&mut self, close: impl Into<CloseFrame>) {
        self.connection.refuse(self.now, close);
    }

    /// Takes no more for a while, because the application is slow: no message is delivered, and at most one buffer
    /// more is received, until [`resume`](Self::resume), which a [`Sender`] can do from another thread. The peer is told
    /// for as long as it lasts (BUSY, PW-HB-019), and does not give this side up for as long as its `heartbeat.busy_max`
    /// allows.
    ///
    /// A pause ends by itself when this side closes, or the connection breaks. Before `Established`, and while this side
    /// closes, none begins (PW-HB-024).
    pub fn pause(&mut self) {
        self.connection.pause(self.now);
    }

    /// Takes more again. What was received meanwhile is delivered first.
    pub fn resume(&mut self) {
        self.connection.resume(self.now);
    }

    /// Whether this side pauses.
    #[must_use]
    pub fn is_paused(&self) -> bool {
        self.connection.is_paused()
    }

    /// Tells the peer that this side is going to close (section 9.1 of the specification): its application is told to
    /// begin nothing new here, and to close when what it had begun is finished. Both sides go on to send and to receive.
    pub fn drain(&mut self) {
        self.connection.drain(self.now);
    }

    /// Asks the peer to close, when all that was sent before has gone out. Events come until `Closed`. A
    /// [`CloseReason`](pulsewire_protocol::CloseReason) will do; a [`CloseFrame`] gives a sentence and advice on
    /// connecting again with it. A pause ends.
    pub fn close(&mut self, close: impl Into<CloseFrame>) {
        let close = close.into();
        self.mailbox.closing(close.reason);
        self.connection.close(self.now, close);
        // Behind its CLOSE a side must read.
        self.connection.resume(self.now);
    }

    /// Cuts the connection at once, without a word to the peer. `Closed` follows. Nothing changes where it is over already.
    pub fn abort(&mut self) {
        if !self.connection.is_over() {
            self.connection.abort(self.now);
        }
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

    /// What the connection has done so far, in numbers.
    #[must_use]
    pub fn statistics(&self) -> Statistics {
        self.connection.statistics()
    }

    /// The smoothed round-trip time, once a PING was answered.
    #[must_use]
    pub fn rtt(&self) -> Option<Duration> {
        self.connection.rtt()
    }
}
