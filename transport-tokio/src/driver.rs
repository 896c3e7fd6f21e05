//! One connection's machine and its stream, under one lock, and the steps that move bytes between them.
//!
//! Every step is short and never waits. The task in [`Connection::recv`](crate::Connection::recv) takes the steps in turn;
//! senders take the writing one too, so that a message needs no second task to leave.

mod pausing;

use std::io::{self, ErrorKind, IoSlice};
use std::num::NonZeroU64;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use self::pausing::Pausing;
pub(crate) use self::pausing::busy_while;
use crate::buffers;
use crate::clock::Clock;
use crate::line::Lines;
use crate::stream::{Below, Stream};
use pulsewire_protocol::{CloseFrame, Connection, Disconnect, Instant, Message, SendError, SendRefused, Transmit};

/// How much is written at once. PING and PONG overtake what is not in the batch.
pub(crate) const BATCH: usize = 128 << 10;

/// Batches that are written in a row. A stream that takes everything must not keep the PING from being read that is to be
/// answered ahead of the rest (PW-HB-015).
const BATCHES: usize = 4;

/// Pieces of one vectored write.
const SLICES: usize = 64;

/// Where the receiving task is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Receiving {
    /// In `recv`.
    Here,
    /// Somewhere else. The keeper notes since when, at its first look: for everybody else the clock is too dear, or gone.
    Away { since: Option<Instant> },
}

pub(crate) struct Driver {
    pub(crate) connection: Connection,
    /// `None` once the connection is over and the farewell has it.
    pub(crate) below: Option<Below>,
    /// What the stream did not take yet.
    batch: Option<Transmit>,
    /// The stream may hold bytes in a buffer of its own.
    unflushed: bool,
    /// The stream took no more at the last attempt.
    blocked: bool,
    /// Writing failed, so. The peer's last words may still be there to be read.
    broken: Option<Disconnect>,
    /// The receiver holds bytes that it has not handled: it will write when it has.
    pub(crate) more_input: bool,
    /// When the receiver read last: a moment for what needs no look at the clock, as time never goes back in the machine.
    pub(crate) read_at: Instant,
    pausing: Pausing,
    /// Where the receiving task is.
    pub(crate) receiving: Receiving,
    /// The keeper knows of this connection.
    pub(crate) watched: bool,
    /// The task that waits in `recv`, and only while it does.
    receiver: Option<Waker>,
    /// Other tasks that write: senders whose turn it is and that wait for space, and who is busy.
    waiting: Vec<Waker>,
    /// Senders that wait for their turn.
    pub(crate) lines: Lines,
}

impl Driver {
    pub(crate) fn new(connection: Connection, below: Below) -> Self {
        Self {
            connection,
            below: Some(below),
            batch: None,
            unflushed: false,
            blocked: false,
            broken: None,
            more_input: false,
            read_at: Instant::ZERO,
            pausing: Pausing::default(),
            receiving: Receiving::Here,
            watched: false,
            receiver: None,
            waiting: Vec::new(),
            lines: Lines::default(),
        }
    }

    /// Queues a message; writes it unless the receiver is about to.
    #[inline]
    pub(crate) fn send<'p>(&mut self, clock: &Clock, message: Message<'p>) -> Result<NonZeroU64, SendError<'p>> {
        if let Some(broken) = self.broken {
            return Err(SendError { reason: SendRefused::Closed(broken.reason()), message });
        }
        // A look at the clock costs as much as a small message.
        let now = if self.more_input { self.read_at } else { clock.now() };
        let ordinal = self.connection.send(now, message)?;
        if !self.more_input {
            self.flush_aside(clock);
        }
        Ok(ordinal)
    }

    /// Asks the peer to close. Behind its CLOSE this side must read, so a pause ends (PW-HB-024).
    pub(crate) fn close(&mut self, clock: &Clock, close: CloseFrame) {
        self.connection.close(clock.now(), close);
        self.connection.resume(clock.now());
        self.flush_aside(clock);
        self.wake_all();
    }

    /// Tells the peer that this side is going to close.
    pub(crate) fn drain(&mut self, clock: &Clock) {
        self.connection.drain(clock.now());
        self.flush_aside(clock);
    }

    /// Admits the client whose HELLO the application judges.
    pub(crate) fn accept(&mut self, clock: &Clock) {
        self.connection.accept(clock.now());
        self.flush_aside(clock);
        self.wake_receiver();
    }

    /// Refuses the client whose HELLO the application judges.
    pub(crate) fn refuse(&mut self, clock: &Clock, close: CloseFrame) {
        self.connection.refuse(clock.now(), close);
        self.flush_aside(clock);
        self.wake_all();
    }

    /// Writes what the stream takes, for a task that will not wait for it. The receiver goes on where it stops.
    pub(crate) fn flush_aside(&mut self, clock: &Clock) {
        if !self.blocked {
            let _ = self.flush(clock, &mut Context::from_waker(Waker::noop()));
        }
        // It has to go on, to wait for the stream or for the answer to a CLOSE, or to report the end.
        if self.has_more() || !self.connection.is_open() {
            self.wake_receiver();
            self.wake_busy();
        }
    }

    /// Whether anything waits to be written.
    pub(crate) fn has_more(&self) -> bool {
        self.batch.is_some() || self.unflushed || self.connection.has_transmit()
    }

    /// Writing has failed. What can be read is still to be delivered.
    pub(crate) fn is_broken(&self) -> bool {
        self.broken.is_some()
    }

    /// The stream would take more, or nobody asked it.
    pub(crate) fn can_write(&self) -> bool {
        self.broken.is_none() && !self.blocked && self.has_more()
    }

    /// Writes some batches, or until nothing waits (`Ready`) or the stream takes no more (`Pending`). After a failure nothing
    /// is written any more; [`end_broken`](Self::end_broken) ends the connection.
    pub(crate) fn flush(&mut self, clock: &Clock, context: &mut Context<'_>) -> Poll<()> {
        if self.broken.is_some() || !self.has_more() {
            return Poll::Ready(());
        }
        let Some(below) = &mut self.below else { return Poll::Ready(()) };
        let stream = below.stream();
        let mut batch = self.batch.take().unwrap_or_else(buffers::take_batch);
        self.blocked = false;
        let queued = self.connection.queued();
        let mut batches = 0;
        loop {
            if batch.is_empty() {
                batches += 1;
                if batches > BATCHES || !self.connection.poll_transmit(clock.now(), BATCH, &mut batch) {
                    buffers::give_batch(batch);
                    break;
                }
            }
            match write(stream, &batch, context) {
                Poll::Ready(Ok(written)) => {
                    self.connection.transmitted(clock.now(), &mut batch, written);
                    self.unflushed = true;
                }
                Poll::Ready(Err(error)) => {
                    self.broken = Some(cause(&error));
                    break;
                }
                Poll::Pending => {
                    self.batch = Some(batch);
                    self.blocked = true;
                    break;
                }
            }
        }
        if self.unflushed && !self.blocked && self.broken.is_none() {
            match Pin::new(stream).poll_flush(context) {
                Poll::Ready(Ok(())) => self.unflushed = false,
                Poll::Ready(Err(error)) => self.broken = Some(cause(&error)),
                Poll::Pending => self.blocked = true,
            }
        }
        if self.broken.is_some() {
            // There is nobody left to pause for. What the peer said last is to be read.
            self.connection.resume(clock.now());
            self.wake_all();
        }
        if self.connection.queued() < queued || self.connection.is_over() {
            self.wake_senders();
        }
        if self.blocked { Poll::Pending } else { Poll::Ready(()) }
    }

    /// Ends the connection if writing failed. Call it when all that could be read was delivered: a peer that closed and left
    /// said why before. Returns whether it did.
    pub(crate) fn end_broken(&mut self, clock: &Clock) -> bool {
        let broken = self.broken.take();
        if let Some(cause) = broken {
            self.connection.disconnected(clock.now(), cause);
        }
        broken.is_some()
    }

    pub(crate) fn set_receiver(&mut self, context: &Context<'_>) {
        match &mut self.receiver {
            Some(waker) => waker.clone_from(context.waker()),
            None => self.receiver = Some(context.waker().clone()),
        }
    }

    /// Nobody has to wake the receiver.
    pub(crate) fn clear_receiver(&mut self) {
        self.receiver = None;
    }

    /// Whether the receiver is in `recv` and does not wait there.
    pub(crate) fn runs(&self) -> bool {
        self.receiver.is_none()
    }

    /// The receiver is back.
    pub(crate) fn receiver_comes(&mut self, clock: &Clock) {
        self.clear_receiver();
        self.receiving = Receiving::Here;
        self.end_kept(clock);
    }

    /// The receiver goes to handle an event.
    pub(crate) fn receiver_leaves(&mut self, clock: &Clock, context: &mut Context<'_>) {
        // Answers of the protocol itself (HELLO_ACK, PONG) don't wait for the application to come back.
        if !self.more_input {
            let _ = self.flush(clock, context);
        }
        // Whoever waits for space may have relied on the receiver to write.
        self.wake_senders();
    }

    /// Nobody is in `recv` any more. Returns whether the keeper has to be told of this connection.
    pub(crate) fn begin_watch(&mut self) -> bool {
        self.receiving = Receiving::Away { since: None };
        !std::mem::replace(&mut self.watched, true)
    }

    pub(crate) fn wake_receiver(&mut self) {
        if let Some(waker) = self.receiver.take() {
            waker.wake();
        }
    }

    /// For a sender that was refused because the queue is full. It writes on its own where the receiver doesn't wait:
    /// that may be the same task.
    pub(crate) fn poll_space(&mut self, clock: &Clock, context: &mut Context<'_>) -> Poll<()> {
        let before = self.connection.queued();
        self.flush_for(clock, context);
        let refuses = self.broken.is_some() || !self.connection.is_open();
        if refuses || self.connection.queued() < before || before == 0 {
            return Poll::Ready(());
        }
        self.wait(context);
        Poll::Pending
    }

    /// Writes for a task that waits outside `recv`.
    pub(crate) fn flush_for(&mut self, clock: &Clock, context: &mut Context<'_>) {
        // Where the receiver waits for the stream, it is the one to go on.
        if self.receiver.is_none() || !self.blocked {
            let _ = self.flush(clock, context);
        }
    }

    /// Notes a task that has to look again when whoever writes has made progress, or leaves.
    pub(crate) fn wait(&mut self, context: &Context<'_>) {
        if !self.waiting.iter().any(|waker| waker.will_wake(context.waker())) {
            self.waiting.push(context.waker().clone());
        }
    }

    pub(crate) fn wake_senders(&mut self) {
        self.waiting.drain(..).for_each(Waker::wake);
    }

    /// Nothing is accepted any more: the receiver has to report it, and senders wait in vain.
    pub(crate) fn wake_all(&mut self) {
        self.wake_receiver();
        self.wake_senders();
    }

    /// Lets time come to `now`.
    pub(crate) fn pass_time(&mut self, now: Instant) {
        match &self.below {
            Some(below) => below.pass_time(&mut self.connection, now),
            None => self.connection.handle_timeout(now),
        }
    }

    /// Cuts the connection and lets go of its stream. A farewell that has it lets go when it is woken.
    pub(crate) fn cut(&mut self) {
        self.connection.abort(self.read_at);
        (self.below, self.batch) = (None, None);
        self.wake_all();
    }

    /// Ends the connection if the stream took nothing for too long, for a sender that waits: no other clock runs while the
    /// receiving task is the one that sends.
    pub(crate) fn end_stalled(&mut self, now: Instant) {
        if let Some(below) = &self.below {
            below.tell_acknowledged(&mut self.connection, now);
        }
        self.connection.handle_write_timeout(now);
        if self.connection.is_over() {
            self.wake_all();
        }
    }

    /// Cuts the connection, which nobody receives from any more. Senders that are kept must not keep its socket and messages.
    pub(crate) fn discard(&mut self) {
        // This may run while the thread ends, and then tokio has no clock any more.
        self.connection.abort(self.read_at);
        // What was not sent comes with the last event.
        while self.connection.poll_event().is_some() {}
        (self.below, self.batch) = (None, None);
        self.wake_senders();
    }

    /// Hands over the stream of a connection that is over, and what it did not take yet.
    pub(crate) fn take_remains(&mut self) -> Option<(Below, Transmit)> {
        let below = self.below.take()?;
        self.wake_senders();
        Some((below, self.batch.take().unwrap_or_default()))
    }
}

pub(crate) fn write(stream: &mut dyn Stream, batch: &Transmit, context: &mut Context<'_>) -> Poll<io::Result<usize>> {
    let mut slices = [IoSlice::new(&[]); SLICES];
    let count = batch.fill(&mut slices);
    match Pin::new(stream).poll_write_vectored(context, &slices[..count]) {
        Poll::Ready(Ok(0)) => Poll::Ready(Err(ErrorKind::WriteZero.into())),
        other => other,
    }
}

/// Which of the four ways of ending an error of the stream is (section 9.2 of the specification, PW-TCP-004). The fourth,
/// `Aborted`, is never an error: who cuts a connection here says so.
pub(crate) fn cause(error: &io::Error) -> Disconnect {
    match error.kind() {
        // `ConnectionAborted` is the system's own giving up: this transport never closes a socket that it reads from.
        ErrorKind::TimedOut
        | ErrorKind::ConnectionAborted
        | ErrorKind::HostUnreachable
        | ErrorKind::NetworkUnreachable
        | ErrorKind::NetworkDown => Disconnect::NetworkLost,
        ErrorKind::UnexpectedEof => Disconnect::EndOfStream,
        _ => Disconnect::Reset,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// PW-TCP-004: no two ends are taken for each other.
    #[test]
    fn every_error_of_a_stream_is_one_of_the_ends() {
        use ErrorKind::{
            BrokenPipe, ConnectionAborted, ConnectionReset, HostUnreachable, NetworkDown, NetworkUnreachable, TimedOut,
            UnexpectedEof, WriteZero,
        };
        let end = |kind: ErrorKind| cause(&kind.into());
        assert_eq!([ConnectionReset, BrokenPipe, WriteZero].map(end), [Disconnect::Reset; 3]);
        let lost = [TimedOut, HostUnreachable, NetworkUnreachable, NetworkDown, ConnectionAborted];
        assert_eq!(lost.map(end), [Disconnect::NetworkLost; 5]);
        assert_eq!(end(UnexpectedEof), Disconnect::EndOfStream);
    }
}
