//! The application's side of the owner thread.

use std::any::Any;
use std::net::SocketAddr;
use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use pulsewire_policy::Delivery;
use pulsewire_protocol::{CloseFrame, Connection, ConnectionId, Event, Instant, Message, SendError, Statistics};

use crate::clients::{ClientEvent, ClientId};
use crate::directory::Directories;
use crate::groups::{GroupId, Groups};
use crate::mailbox::Mailbox;
use crate::orders::Pauser;
use crate::sender::Sender;
use crate::timers::{TimerId, Timers};

/// What an application does with its connections.
///
/// It is called on the thread that moves the bytes of all connections, or of its share of them: an endpoint has as many threads as it
/// is given handlers, and a connection stays on its thread. So it must be quick and never wait: work that
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

    /// There is room again, after somebody was refused with [`SendRefused::Full`](pulsewire_protocol::SendRefused::Full): at most half of
    /// `limits.send_queue` waits. Does nothing if not implemented.
    fn writable(&mut self, connection: &mut Context<'_>) {
        let _nobody_waits = connection;
    }

    /// A message to a group has gone out. Does nothing if not implemented.
    fn delivered(&mut self, turn: &mut Turn<'_>, group: GroupId, delivery: Delivery) {
        let _not_asked_for = (turn, group, delivery);
    }

    /// The time of a timer has come ([`Context::set_timer`], [`Turn::set_timer`]). Does nothing if not implemented.
    fn timer(&mut self, turn: &mut Turn<'_>, key: u64) {
        let _none_was_set = (turn, key);
    }

    /// Something became of a client that stays connected (`Endpoint::stay_connected`). Does nothing if not implemented.
    fn client(&mut self, turn: &mut Turn<'_>, client: ClientId, event: ClientEvent) {
        let _there_is_none = (turn, client, event);
    }

    /// A client is about to try: the token that goes into its HELLO, in place of that of the configuration. It must not be waited for
    /// here: have another thread fetch it in time. `None`, the configuration's own, if not implemented. One that is too long costs
    /// the try.
    fn token(&mut self, turn: &mut Turn<'_>, client: ClientId) -> Option<Bytes> {
        let _that_of_the_configuration = (turn, client);
        None
    }

    /// Messages come back that were kept for a client ([`Unsent::Keep`](crate::Unsent::Keep)) and never sent, in their order: all that
    /// are left, just before it is [over](ClientEvent::Over); or those that are larger than its server takes. They are dropped if not
    /// implemented.
    fn client_unsent(&mut self, turn: &mut Turn<'_>, client: ClientId, unsent: Vec<Message<'static>>) {
        let _nothing_is_kept = (turn, client, unsent);
    }

    /// Somebody has posted an event ([`Poster::post`](crate::Poster::post)). It is dropped if not implemented.
    fn posted(&mut self, turn: &mut Turn<'_>, event: Box<dyn Any + Send>) {
        let _nobody_posts = (turn, event);
    }

    /// Whether another client may come. If not, it is told OVERLOADED, and the handler does not hear of it. Yes if not implemented.
    fn has_room(&self) -> bool {
        true
    }
}

/// What a handler reaches beside the connection that it is called for.
#[derive(Debug, Default)]
pub(crate) struct Desk {
    pub(crate) groups: Groups,
    pub(crate) timers: Timers,
}

/// A call of a [`Handler`] that is about no connection.
#[derive(Debug)]
pub struct Turn<'t> {
    pub(crate) now: Instant,
    pub(crate) desk: &'t mut Desk,
    pub(crate) directories: &'t Directories,
}

impl Turn<'_> {
    /// The groups of the endpoint.
    pub fn groups(&mut self) -> &mut Groups {
        &mut self.desk.groups
    }

    /// As [`Context::set_timer`].
    pub fn set_timer(&mut self, after: Duration, key: u64) -> TimerId {
        self.desk.timers.set(self.now + after, key)
    }

    /// As [`Context::cancel_timer`].
    pub fn cancel_timer(&mut self, timer: TimerId) -> bool {
        self.desk.timers.cancel(timer)
    }

    /// A handle to the connection that `id` names, if it lives. What is sent with it leaves in the next turn, which comes at once.
    #[must_use]
    pub fn sender(&self, id: ConnectionId) -> Option<Sender> {
        self.directories.find(id).map(Sender::new)
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
    pub(crate) desk: &'c mut Desk,
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

    /// The groups of the endpoint.
    pub fn groups(&mut self) -> &mut Groups {
        &mut self.desk.groups
    }

    /// Has [`Handler::timer`] called with `key` when this time has passed, in the first turn behind it.
    pub fn set_timer(&mut self, after: Duration, key: u64) -> TimerId {
        self.desk.timers.set(self.now + after, key)
    }

    /// Returns whether the timer was still to come. Then it never does.
    pub fn cancel_timer(&mut self, timer: TimerId) -> bool {
        self.desk.timers.cancel(timer)
    }

    /// Sends a message at once, without a queue in between: an event's message can be passed on as it is. What is sent
    /// while the bytes that came together are being handled leaves in one send.
    ///
    /// `Ok` means accepted, not delivered. It gives the number of the message among those of its class, from 1, by which the
    /// peer names it should it refuse it ([`Rejected`](pulsewire_protocol::Rejected)).
    ///
    /// # Errors
    ///
    /// The reason and the message itself. After [`SendRefused::Full`](pulsewire_protocol::SendRefused::Full) wait for [`Handler::writable`]: `limits.send_queue` counts
    /// what other threads have queued for the same class, too.
    pub fn send<'p>(&mut self, message: Message<'p>) -> Result<NonZeroU64, SendError<'p>> {
        self.mailbox.send_at_once(self.connection, self.now, message)
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
        self.mailbox.pause_for(Pauser::Application, self.connection, self.now);
    }

    /// Takes more again. What was received meanwhile is delivered first.
    pub fn resume(&mut self) {
        self.mailbox.resume_for(Pauser::Application, self.connection, self.now);
    }

    /// Pauses, whatever the application wants, for a queue that is full.
    pub(crate) fn pause_for_queue(&mut self) {
        self.mailbox.pause_for(Pauser::Queue, self.connection, self.now);
    }

    pub(crate) fn resume_for_queue(&mut self) {
        self.mailbox.resume_for(Pauser::Queue, self.connection, self.now);
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
