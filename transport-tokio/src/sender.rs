//! Sending, from any task.

use std::fmt;
use std::future::{Future, poll_fn};
use std::num::NonZeroU64;
use std::sync::Arc;
use std::task::{Poll, ready};

use pulsewire_protocol::{CloseFrame, ConnectionId, Message, SendError, SendRefused, Statistics};

use crate::driver::busy_while;
use crate::line::Place;
use crate::shared::Shared;
use crate::timer::Timer;

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
    pub async fn send<'p>(&self, message: Message<'p>) -> Result<NonZeroU64, SendError<'p>> {
        let mut message = match self.try_send(message) {
            Err(SendError { reason: SendRefused::Full, message }) => message,
            result => return result,
        };
        let place = Place::new(&self.shared, message.class);
        let _turn = place.turn().await;
        loop {
            match self.shared.lock().send(&self.shared.clock, message) {
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

    /// Waits until there may be room in the send queue, at most for as long as a write may stall.
    async fn space(&self) {
        let clock = &self.shared.clock;
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
    pub fn try_send<'p>(&self, message: Message<'p>) -> Result<NonZeroU64, SendError<'p>> {
        let mut driver = self.shared.lock();
        if !driver.lines.is_empty(message.class) && driver.connection.is_open() {
            return Err(SendError { reason: SendRefused::Full, message });
        }
        driver.send(&self.shared.clock, message)
    }

    /// Writes what waits, as far as the socket takes it now. The rest follows by itself.
    pub fn flush(&self) {
        self.shared.lock().flush_aside(&self.shared.clock);
    }

    /// As [`Connection::accept`](crate::Connection::accept).
    pub fn accept(&self) {
        self.shared.lock().accept(&self.shared.clock);
    }

    /// As [`Connection::refuse`](crate::Connection::refuse).
    pub fn refuse(&self, close: impl Into<CloseFrame>) {
        self.shared.lock().refuse(&self.shared.clock, close.into());
    }

    /// As [`Connection::pause`](crate::Connection::pause).
    pub fn pause(&self) {
        self.shared.lock().pause(&self.shared.clock);
    }

    /// As [`Connection::resume`](crate::Connection::resume). The task that waits in `recv` goes on.
    pub fn resume(&self) {
        self.shared.lock().resume(&self.shared.clock);
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
        self.shared.lock().drain(&self.shared.clock);
    }

    /// Asks the peer to close, when all that was sent before has gone out. A [`CloseReason`](pulsewire_protocol::CloseReason)
    /// will do; a [`CloseFrame`] gives a sentence and advice on connecting again with it. A pause ends.
    pub fn close(&self, close: impl Into<CloseFrame>) {
        self.shared.lock().close(&self.shared.clock, close.into());
    }

    /// Cuts the connection and closes its socket at once, without a word to the peer, whatever its task is doing. Returns whether it
    /// lived.
    pub fn abort(&self) -> bool {
        self.shared.abort()
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

/// A sender that waits for space may be the one whom the stream will wake. When it leaves, the others must look again.
struct Waiting<'s>(&'s Shared);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.lock().wake_senders();
    }
}
