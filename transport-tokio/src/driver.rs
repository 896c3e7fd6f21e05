//! One connection's machine and its stream, under one lock, and the steps that move bytes between them.
//!
//! Every step is short and never waits. The task in [`Connection::recv`](crate::Connection::recv) takes the steps in turn;
//! senders take the writing one too, so that a message needs no second task to leave.

mod ending;
mod pausing;
mod waiting;
mod writing;

use std::io;
use std::num::NonZeroU64;
use std::task::Waker;

use pulsewire_policy::Joining;
use pulsewire_protocol::{
    Class, CloseFrame, Connection, Disconnect, Instant, Message, PreparedMessage, SendError, SendRefused, Transmit,
};

pub(crate) use self::ending::cause;
use self::pausing::Pausing;
pub(crate) use self::pausing::busy_while;
pub(crate) use self::writing::write;
use crate::clock::Clock;
use crate::stream::Below;
use crate::waiters::Waiters;

/// How much is written at once. PING and PONG overtake what is not in the batch.
pub(crate) const BATCH: usize = 128 << 10;

/// Where the receiving task is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Receiving {
    /// In `recv`.
    Here,
    /// Somewhere else. The keeper notes since when, at its first look: for everybody else the clock is too dear, or gone.
    Away { since: Option<Instant> },
}

/// The receiving task has not come to the end of what there is to read, and nothing was sent.
#[derive(Debug, Clone, Copy)]
struct Behind {
    /// When the keeper found that first.
    since: Instant,
    /// Bytes that the stream had taken by then.
    taken: u64,
}

pub(crate) struct Driver {
    pub(crate) connection: Connection,
    /// `None` once the connection is over and the farewell has it.
    pub(crate) below: Option<Below>,
    /// What the stream did not take yet.
    batch: Option<Box<Transmit>>,
    /// The stream may hold bytes in a buffer of its own.
    unflushed: bool,
    /// The stream took no more at the last attempt.
    blocked: bool,
    /// Writing failed, so. The peer's last words may still be there to be read.
    broken: Option<Disconnect>,
    /// What the stream said first when it broke.
    pub(crate) error: Option<io::Error>,
    /// The receiver holds bytes that it has not handled: it will write when it has.
    pub(crate) more_input: bool,
    pausing: Pausing,
    /// Where the receiving task is.
    pub(crate) receiving: Receiving,
    behind: Option<Behind>,
    /// The earliest time at which the keeper is to look at this connection.
    pub(crate) planned: Instant,
    /// Something waits to be joined with what follows, and the keeper knows.
    pub(crate) left: bool,
    /// Something waits to be joined with what others send, until then; the latest time if nothing does.
    pub(crate) joins_until: Instant,
    /// A deadline has passed since the receiver looked.
    time_is_up: bool,
    /// The task that waits in `recv`, and only while it does.
    receiver: Option<Waker>,
    /// Senders that wait for their turn, and other tasks that write: those whose turn it is and that wait for space, and who is busy.
    pub(crate) waiters: Waiters,
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
            error: None,
            more_input: false,
            pausing: Pausing::default(),
            receiving: Receiving::Away { since: None },
            behind: None,
            planned: Instant::MAX,
            left: false,
            joins_until: Instant::MAX,
            time_is_up: false,
            receiver: None,
            waiters: Waiters::default(),
        }
    }

    /// Queues a message; writes it unless the receiver is about to.
    #[inline]
    pub(crate) fn send<'p>(
        &mut self,
        clock: &Clock,
        joining: Joining,
        message: Message<'p>,
    ) -> Result<NonZeroU64, SendError<'p>> {
        match self.broken {
            Some(broken) => Err(SendError { reason: SendRefused::Closed(broken.reason()), message }),
            None => self.queue(clock, joining, |connection, now| connection.send(now, message)),
        }
    }

    /// As [`send`](Self::send), for a message that goes to many.
    pub(crate) fn send_prepared(
        &mut self,
        clock: &Clock,
        joining: Joining,
        message: &PreparedMessage,
    ) -> Result<NonZeroU64, SendRefused> {
        match self.broken {
            Some(broken) => Err(SendRefused::Closed(broken.reason())),
            None => self.queue(clock, joining, |connection, now| connection.send_prepared(now, message)),
        }
    }

    #[inline]
    fn queue<E>(
        &mut self,
        clock: &Clock,
        joining: Joining,
        accept: impl FnOnce(&mut Connection, Instant) -> Result<NonZeroU64, E>,
    ) -> Result<NonZeroU64, E> {
        // A look at the clock costs as much as a small message.
        let now = if self.more_input { self.connection.latest() } else { clock.now() };
        let ordinal = accept(&mut self.connection, now)?;
        if !self.more_input {
            match joining.delay(self.connection.queued()) {
                // The stream takes something, and the first that waits says until when.
                Some(delay) if !self.blocked => self.joins_until = self.joins_until.min(now + delay),
                _ => self.flush_aside_at(clock, now),
            }
        }
        // Somebody may want to know that so much waits.
        if self.blocked && self.waiters.has_tasks() {
            self.wake_senders();
        }
        Ok(ordinal)
    }

    /// Whether a message would be accepted now.
    pub(crate) fn can_send(&self, class: Class, size: usize) -> Result<(), SendRefused> {
        match self.broken {
            Some(broken) => Err(SendRefused::Closed(broken.reason())),
            None => self.connection.can_send(class, size),
        }
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
        if self.connection.is_open()
            && let Some(ticket) = self.below.as_ref().and_then(Below::ticket)
        {
            ticket.established();
            if ticket.is_draining() {
                self.connection.drain(clock.now());
            }
        }
        self.flush_aside(clock);
        self.wake_receiver();
    }

    /// Refuses the client whose HELLO the application judges.
    pub(crate) fn refuse(&mut self, clock: &Clock, close: CloseFrame) {
        self.connection.refuse(clock.now(), close);
        self.flush_aside(clock);
        self.wake_all();
    }

    /// Lets time come to `now`.
    pub(crate) fn pass_time(&mut self, now: Instant) {
        match &self.below {
            Some(below) => below.pass_time(&mut self.connection, now),
            None => self.connection.handle_timeout(now),
        }
    }
}
