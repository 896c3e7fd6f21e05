//! How long a message may stay open (PW-DAT-013).

#[cfg(test)]
mod model;

use core::time::Duration;

use super::frame_time;
use crate::config::Timeouts;
use crate::rest::Rest;
use crate::time::{Instant, transfer};
use crate::wire::{HEADER_SIZE, Header, TRAILER_SIZE};

/// The time of the open message: a credit that runs down, and that each frame adds to.
#[derive(Debug, Clone)]
pub(super) struct MessageTime {
    /// When nothing is left.
    deadline: Instant,
    /// The most that may be left.
    whole: Duration,
    /// It stands still while the peer pauses.
    rest: Rest,
    /// It began anew once (PW-TIM-001).
    graced: bool,
}

impl MessageTime {
    /// The message's first frame is complete. `pause`: the peer pauses until then; `busy_max` bounds what that adds.
    pub(super) fn new(
        now: Instant,
        frame_limit: u32,
        timeouts: &Timeouts,
        pause: Option<Instant>,
        busy_max: Duration,
    ) -> Self {
        let whole = frame_time(frame_limit, timeouts);
        let mut time = Self { deadline: now + whole, whole, rest: Rest::new(busy_max), graced: false };
        time.peer_pauses(now, pause);
        time
    }

    /// A frame of the message began, or is complete: each adds what its bytes take at the least rate.
    pub(super) fn add(&mut self, now: Instant, header: &Header, rate: u32) {
        let size = u64::from(header.length) + (HEADER_SIZE + TRAILER_SIZE) as u64;
        self.settle(now);
        let longer = self.deadline.max(now) + transfer(size, rate);
        self.deadline = longer.min(now + self.whole);
    }

    /// The peer pauses until then, or not any more.
    pub(super) fn peer_pauses(&mut self, now: Instant, until: Option<Instant>) {
        self.deadline = self.deadline + self.rest.pause(now, until);
    }

    fn settle(&mut self, now: Instant) {
        self.deadline = self.deadline + self.rest.settle(now);
    }

    pub(super) fn deadline(&self) -> Instant {
        self.deadline + self.rest.ahead()
    }

    /// The whole time is left again (PW-HB-023).
    pub(super) fn restart(&mut self, now: Instant) {
        self.settle(now);
        self.deadline = now + self.whole;
    }

    /// The same because this side was late (PW-TIM-001). Says whether it may, once for each message.
    pub(super) fn begin_anew(&mut self, now: Instant) -> bool {
        let first = !core::mem::replace(&mut self.graced, true);
        if first {
            self.restart(now);
        }
        first
    }
}
