//! When bytes that were handed out must have been acknowledged (PW-CLS-015).

use alloc::collections::VecDeque;
use core::time::Duration;

use crate::config::Timeouts;
use crate::rest::Rest;
use crate::time::{Instant, transfer};

/// How many deadlines are told apart. A driver that writes one batch before it asks for the next seldom needs a second.
const MARKS_MAX: usize = 32;

/// Up to this byte of the stream, all must be acknowledged by then.
#[derive(Debug, Clone, Copy)]
struct Mark {
    end: u64,
    deadline: Instant,
}

/// The two limits of PW-CLS-015: none may come of what was handed out for a while, and all must have gone in time.
#[derive(Debug)]
pub(super) struct WriteClock {
    /// When bytes were handed out, or last acknowledged, while not all are.
    since: Option<Instant>,
    /// The deadlines of all bytes that wait, in order; none that a later one makes needless.
    marks: VecDeque<Mark>,
    /// Both limits stand still while the peer pauses.
    rest: Rest,
    /// How long, between two moments at which bytes are acknowledged.
    busy_max: Duration,
    /// The limits began anew once since bytes were last acknowledged (PW-TIM-001).
    graced: bool,
}

impl WriteClock {
    /// `busy_max` bounds what a pause of the peer may add.
    pub(super) fn new(busy_max: Duration) -> Self {
        Self { since: None, marks: VecDeque::new(), rest: Rest::new(busy_max), busy_max, graced: false }
    }

    /// Bytes were handed out, so that the stream now ends at `end` and the last `waiting` bytes of it are not acknowledged.
    pub(super) fn handed_out(&mut self, now: Instant, end: u64, waiting: u64, timeouts: &Timeouts) {
        self.settle(now);
        if self.since.is_none() {
            self.since = Some(now);
            self.rest.renew(self.busy_max);
            self.graced = false;
        }
        self.mark_all(now, end, waiting, timeouts);
    }

    /// All up to `end` has the time of what is handed out now.
    fn mark_all(&mut self, now: Instant, end: u64, waiting: u64, timeouts: &Timeouts) {
        let deadline = now + timeouts.write_stall + transfer(waiting, timeouts.assembly_rate);
        self.mark(Mark { end, deadline });
    }

    fn mark(&mut self, mark: Mark) {
        // Bytes are acknowledged in order: an earlier deadline further back holds for all that lies before.
        while self.marks.pop_back_if(|earlier| earlier.deadline >= mark.deadline).is_some() {}
        if self.marks.len() == MARKS_MAX {
            self.marks.pop_back();
        }
        self.marks.push_back(mark);
    }

    /// All before `acknowledged` is; `waiting` bytes behind it are not.
    pub(super) fn acknowledged(&mut self, now: Instant, acknowledged: u64, waiting: u64) {
        self.settle(now);
        self.rest.renew(self.busy_max);
        self.graced = false;
        self.since = (waiting > 0).then_some(now);
        while self.marks.pop_front_if(|mark| mark.end <= acknowledged).is_some() {}
    }

    /// The peer pauses until then, or not any more.
    pub(super) fn peer_pauses(&mut self, now: Instant, until: Option<Instant>) {
        let moved = self.rest.pause(now, until);
        self.shift(moved);
    }

    fn settle(&mut self, now: Instant) {
        let moved = self.rest.settle(now);
        self.shift(moved);
    }

    fn shift(&mut self, moved: Duration) {
        if !moved.is_zero() {
            self.since = self.since.map(|since| since + moved);
            self.marks.iter_mut().for_each(|mark| mark.deadline = mark.deadline + moved);
        }
    }

    /// Since when nothing was acknowledged, while something waits.
    pub(super) fn since(&self) -> Option<Instant> {
        self.since
    }

    pub(super) fn deadline(&self, timeouts: &Timeouts) -> Option<Instant> {
        let stalled = self.since.map(|since| since + timeouts.write_stall);
        let slow = self.marks.front().map(|mark| mark.deadline);
        Some(stalled.into_iter().chain(slow).min()? + self.rest.ahead())
    }

    /// All that waits counts as handed out now.
    pub(super) fn restart(&mut self, now: Instant, end: u64, waiting: u64, timeouts: &Timeouts) {
        self.settle(now);
        (self.since, self.marks) = ((waiting > 0).then_some(now), VecDeque::new());
        if waiting > 0 {
            self.mark_all(now, end, waiting, timeouts);
        }
    }

    /// The same because this side noticed the deadline late (PW-TIM-001). Returns whether it may, once before bytes are acknowledged
    /// again.
    pub(super) fn begin_anew(&mut self, now: Instant, end: u64, waiting: u64, timeouts: &Timeouts) -> bool {
        if core::mem::replace(&mut self.graced, true) {
            return false;
        }
        self.restart(now, end, waiting, timeouts);
        true
    }
}
