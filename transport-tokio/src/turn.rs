//! How long a task serves one connection before it lets the others run.

use std::pin::pin;
use std::task::{Context, Poll};
use std::time::Duration;

use pulsewire_protocol::Instant;

use crate::clock::Clock;

/// A task that always has something to do lets others run after this time. With it, whoever sends little beside 256 floods waits for
/// `256 / cores` times this; much shorter, and the looking at clock and sockets costs more than the work.
const LONGEST: Duration = Duration::from_micros(100);

/// Events between two looks at the clock, where handling them is quick: a look costs as much as a small message.
const LOOK_EVERY: u32 = 16;

/// From when a task was woken until it waits again.
pub(crate) struct Turn {
    /// The latest time there is, before the first read.
    began: Instant,
    /// How many events don't look at the clock.
    unlooked: u32,
    /// It has been long enough.
    spent: bool,
}

impl Default for Turn {
    fn default() -> Self {
        Self { began: Instant::MAX, unlooked: 0, spent: false }
    }
}

impl Turn {
    /// Something was read, at this time.
    pub(crate) fn read(&mut self, now: Instant) {
        self.began = self.began.min(now);
        self.spent |= now - self.began >= LONGEST;
        // The first event tells whether handling one takes long.
        self.unlooked = 0;
    }

    /// Before an event out of bytes that were read already: whether there is time for it.
    #[inline]
    pub(crate) fn goes_on(&mut self, clock: &Clock) -> bool {
        match self.unlooked.checked_sub(1) {
            Some(less) => self.unlooked = less,
            None => self.look(clock),
        }
        !self.spent
    }

    #[inline(never)]
    fn look(&mut self, clock: &Clock) {
        self.read(clock.now());
        self.unlooked = LOOK_EVERY;
    }

    /// Nothing is left to do.
    pub(crate) fn waits(&mut self) {
        *self = Self::default();
    }

    /// Lets others run if it has been long enough.
    pub(crate) fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if !self.spent {
            return Poll::Ready(());
        }
        self.waits();
        give_way(context);
        Poll::Pending
    }
}

/// Has the task polled again when all others that can run have run, and the runtime has asked the system which sockets and timers
/// are ready.
pub(crate) fn give_way(context: &mut Context<'_>) {
    let _ = pin!(tokio::task::yield_now()).poll(context);
}
