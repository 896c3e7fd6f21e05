//! Sending, from any task.

use std::fmt;
use std::future::{Future, poll_fn};
use std::num::NonZeroU64;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use pulsewire_protocol::{
    Class, CloseFrame, ConnectionId, Message, PreparedMessage, SendError, SendRefused, Statistics,
};
use tokio::runtime::Handle;
use tokio::sync::OwnedSemaphorePermit;

use crate::driver::{Driver, busy_while};
use crate::shared::Shared;
use crate::timer::Timer;
use crate::waiters::Place;

/// A handle to one connection, to be cloned and kept by anybody.
///
/// It belongs to the connection, not to the place where that lives: when the connection is over, every send is refused
/// and the message comes back, however often slots and sockets are used again.
#[derive(Clone)]
pub struct Sender {
    shared: Arc<Shared>,
}

impl Sender {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// Sends a message; waits while the send queue is full, at most until `timeouts.write_stall` ends the connection.
    ///
    /// It is written at once, except while the receiving task has more bytes at hand that it read together with the message
    /// it handles now: then what is sent is joined, and written when those are handled or when that task, back in
    /// [`recv`](crate::Connection::recv), finds that handling them takes milliseconds. [`flush`](Self::flush) doesn't wait for
    /// that.
    ///
    /// Those that wait for room get it in the order in which they came, those of each class among themselves: one that sends much,
    /// or tries in a loop, overtakes nobody.
    ///
    /// `Ok` means accepted, not delivered. It gives the number of the message among those of its class, from 1, by which the
    /// peer names it should it refuse it ([`Rejected`](pulsewire_protocol::Rejected)).
    ///
    /// Cancel safe: a dropped future has sent nothing, and has lost its place.
    ///
    /// # Errors
    /// The reason and the message itself. Never [`SendRefused::Full`].
    #[inline]
    pub async fn send<'p>(&self, message: Message<'p>) -> Result<NonZeroU64, SendError<'p>> {
        match self.try_send(message) {
            // Apart, so that a task which rarely waits holds no room for it.
            Err(SendError { reason: SendRefused::Full, message }) => Box::pin(self.send_in_turn(message)).await,
            result => result,
        }
    }

    async fn send_in_turn<'p>(&self, mut message: Message<'p>) -> Result<NonZeroU64, SendError<'p>> {
        let place = Place::new(&self.shared, message.class);
        let _turn = place.turn().await;
        loop {
            match self.shared.send(&mut self.shared.lock(), message) {
                Err(SendError { reason: SendRefused::Full, message: refused }) => message = refused,
                result => return result,
            }
            self.space().await;
        }
    }

    /// As [`send`](Self::send), for a thread that runs no tasks: it blocks the thread while the queue is full.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    ///
    /// # Panics
    /// In a task, whose thread must not be blocked.
    pub fn send_blocking<'p>(&self, message: Message<'p>) -> Result<NonZeroU64, SendError<'p>> {
        self.shared.runtime.block_on(self.send(message))
    }

    /// Waits until there is room for a message of this class with `size` bytes of payload, and keeps it: for who must not lose a
    /// message where waiting to send it is cancelled. It waits in the same line as [`send`](Self::send), and those behind it wait
    /// until the permit is used or dropped.
    ///
    /// Cancel safe: a dropped future has lost its place, and nothing else.
    ///
    /// # Errors
    /// Why such a message is not accepted. Never [`SendRefused::Full`].
    pub async fn reserve(&self, class: Class, size: usize) -> Result<Permit<'_>, SendRefused> {
        let place = Place::new(&self.shared, class);
        let turn = place.turn().await;
        loop {
            let room = self.shared.lock().can_send(class, size);
            match room {
                Ok(()) => return Ok(Permit { _turn: turn, place, size }),
                Err(SendRefused::Full) => self.space().await,
                Err(reason) => return Err(reason),
            }
        }
    }

    /// Where the connection goes on when its task does not.
    pub(crate) fn runtime(&self) -> &Handle {
        &self.shared.runtime
    }

    /// Waits until there may be room in the send queue, at most for as long as a write may stall.
    async fn space(&self) {
        let clock = self.shared.clock();
        let _waiting = Waiting(&self.shared);
        let mut timer = Timer::default();
        poll_fn(|context| {
            loop {
                let mut driver = self.shared.lock();
                if driver.poll_space(clock, context).is_ready() {
                    return Poll::Ready(());
                }
                // The stream has not taken what it was given.
                let Some(deadline) = driver.connection.write_timeout() else { return Poll::Pending };
                let now = ready!(timer.poll(clock, deadline, context));
                driver.end_stalled(now);
            }
        })
        .await;
    }

    /// Sends a message if there is room in the send queue now, and nobody waits to send one of its class. Gives its number, as
    /// [`send`](Self::send).
    ///
    /// # Errors
    /// The reason and the message itself.
    #[inline]
    pub fn try_send<'p>(&self, message: Message<'p>) -> Result<NonZeroU64, SendError<'p>> {
        let mut driver = self.shared.lock();
        if driver.waiters.has_line(message.class) && driver.connection.is_open() {
            return Err(SendError { reason: SendRefused::Full, message });
        }
        self.shared.send(&mut driver, message)
    }

    /// As [`try_send`](Self::try_send), for a message that goes to many: what is the same for all of them was worked out once.
    /// [`Group`](crate::Group) does this for its members.
    ///
    /// # Errors
    /// The reason; nothing has changed.
    pub fn try_send_prepared(&self, message: &PreparedMessage) -> Result<NonZeroU64, SendRefused> {
        let mut driver = self.shared.lock();
        if driver.waiters.has_line(message.message().class) && driver.connection.is_open() {
            return Err(SendRefused::Full);
        }
        self.shared.send_prepared(&mut driver, message)
    }

    /// Writes what waits, as far as the socket takes it now. The rest follows by itself.
    pub fn flush(&self) {
        self.shared.lock().flush_aside(self.shared.clock());
    }

    /// As [`Connection::accept`](crate::Connection::accept).
    pub fn accept(&self) {
        self.shared.command(Driver::accept);
    }

    /// As [`Connection::refuse`](crate::Connection::refuse).
    pub fn refuse(&self, close: impl Into<CloseFrame>) {
        self.shared.command(|driver, clock| driver.refuse(clock, close.into()));
    }

    /// As [`Connection::pause`](crate::Connection::pause).
    pub fn pause(&self) {
        self.shared.pause();
    }

    /// As [`Connection::resume`](crate::Connection::resume). The task that waits in `recv` goes on.
    pub fn resume(&self) {
        self.shared.command(Driver::resume);
    }

    /// Whether this side pauses.
    #[must_use]
    pub fn is_paused(&self) -> bool {
        self.shared.lock().connection.is_paused()
    }

    /// As [`Connection::busy_while`](crate::Connection::busy_while), for work on a message that still borrows the read buffer
    /// of the connection, or in any other task. A `recv` under way rests meanwhile.
    pub async fn busy_while<W: Future>(&self, work: W) -> W::Output {
        busy_while(&self.shared, work).await
    }

    /// As [`Connection::drain`](crate::Connection::drain).
    pub fn drain(&self) {
        self.shared.command(Driver::drain);
    }

    /// Asks the peer to close, when all that was sent before has gone out. A [`CloseReason`](pulsewire_protocol::CloseReason)
    /// will do; a [`CloseFrame`] gives a sentence and advice on connecting again with it. A pause ends.
    pub fn close(&self, close: impl Into<CloseFrame>) {
        self.shared.command(|driver, clock| driver.close(clock, close.into()));
    }

    /// Cuts the connection and closes its socket at once, without a word to the peer, whatever its task is doing. Returns whether it
    /// lived.
    pub fn abort(&self) -> bool {
        self.shared.abort()
    }

    /// Bytes that were accepted and not handed out to the stream.
    #[must_use]
    pub fn queued(&self) -> usize {
        self.shared.lock().connection.queued()
    }

    /// Waits until at least so many bytes wait to be sent: the high mark of who wants to know that the peer falls behind.
    /// [`until_drained`](Self::until_drained) is the low one.
    ///
    /// Cancel safe.
    ///
    /// # Errors
    /// If nothing is accepted any more.
    pub async fn until_queued(&self, high: usize) -> Result<usize, SendRefused> {
        self.until(|queued| queued >= high).await
    }

    /// Waits until at most so many bytes wait to be sent: the low mark.
    ///
    /// Cancel safe.
    ///
    /// # Errors
    /// If nothing is accepted any more.
    pub async fn until_drained(&self, low: usize) -> Result<usize, SendRefused> {
        self.until(|queued| queued <= low).await
    }

    /// As [`until_drained`](Self::until_drained) to 0, for who polls again when woken. What a connection that is over did not send comes
    /// with its last event.
    pub(crate) fn poll_drained(&self, context: &mut Context<'_>) -> Poll<()> {
        let mut driver = self.shared.lock();
        let drained = driver.poll_queued(self.shared.clock(), |queued| queued == 0, context);
        if drained.is_pending() {
            driver.wait_aside(context);
        }
        drained.map(drop)
    }

    async fn until(&self, reached: impl Fn(usize) -> bool) -> Result<usize, SendRefused> {
        let _waiting = Waiting(&self.shared);
        poll_fn(|context| {
            let mut driver = self.shared.lock();
            let queued = driver.poll_queued(self.shared.clock(), &reached, context);
            if queued.is_pending() {
                driver.wait(context);
            }
            queued
        })
        .await
    }

    /// Names the connection in its endpoint, for ever.
    #[must_use]
    pub fn id(&self) -> ConnectionId {
        self.shared.id
    }

    /// Whether messages are accepted: after the handshake, before closing.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.shared.lock().connection.is_open()
    }

    /// What the connection has done so far, in numbers. Also when it is over.
    #[must_use]
    pub fn statistics(&self) -> Statistics {
        self.shared.lock().connection.statistics()
    }
}

impl fmt::Debug for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Sender").field(&self.shared.id).finish()
    }
}

/// Room for one message, and the turn to send it. See [`Sender::reserve`].
#[must_use = "those that wait behind it wait until it is used or dropped"]
pub struct Permit<'s> {
    /// Given on before the line is left.
    _turn: Option<OwnedSemaphorePermit>,
    place: Place<'s>,
    size: usize,
}

impl Permit<'_> {
    /// Sends a message, without waiting. Gives its number, as [`Sender::send`].
    ///
    /// # Errors
    /// The reason and the message itself: the connection has ended meanwhile, or it is a larger message, or one of another class,
    /// than there is room for ([`SendRefused::Full`]).
    pub fn send<'p>(self, message: Message<'p>) -> Result<NonZeroU64, SendError<'p>> {
        let shared = self.place.shared;
        match self.fits(&message) {
            true => shared.send(&mut shared.lock(), message),
            false => Err(SendError { reason: SendRefused::Full, message }),
        }
    }

    /// As [`send`](Self::send), for a message that goes to many.
    ///
    /// # Errors
    /// The reason.
    pub fn send_prepared(self, message: &PreparedMessage) -> Result<NonZeroU64, SendRefused> {
        let shared = self.place.shared;
        match self.fits(message.message()) {
            true => shared.send_prepared(&mut shared.lock(), message),
            false => Err(SendRefused::Full),
        }
    }

    fn fits(&self, message: &Message<'_>) -> bool {
        message.class == self.place.class && message.payload.len() <= self.size
    }
}

impl fmt::Debug for Permit<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit")
            .field("connection", &self.place.shared.id)
            .field("size", &self.size)
            .finish_non_exhaustive()
    }
}

/// A sender that waits for space may be the one whom the stream will wake. When it leaves, the others must look again.
struct Waiting<'s>(&'s Shared);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.lock().wake_senders();
    }
}
