//! When bytes that were handed out must have been acknowledged (PW-CLS-015).

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use core::time::Duration;

use crate::config::{Timeouts, ValidConfig};
use crate::rest::Rest;
use crate::time::{Instant, MaybeInstant, transfer};

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
    /// Since when nothing was acknowledged, while something waits to be.
    since: MaybeInstant,
    /// When all that was handed out must be acknowledged.
    deadline: MaybeInstant,
    /// What most connections never need.
    more: Option<Box<More>>,
}

#[derive(Debug)]
struct More {
    /// Earlier deadlines, for what was handed out earlier.
    marks: VecDeque<Mark>,
    /// The limits stand still while the peer pauses.
    rest: Rest,
    /// Both limits began anew once, because this side was late (PW-TIM-001).
    graced: bool,
}

impl WriteClock {
    pub(super) fn new() -> Self {
        Self { since: MaybeInstant::NONE, deadline: MaybeInstant::NONE, more: None }
    }

    fn more(&mut self, busy_max: Duration) -> &mut More {
        self.more
            .get_or_insert_with(|| Box::new(More { marks: VecDeque::new(), rest: Rest::new(busy_max), graced: false }))
    }

    /// The bytes from `before` to `end` of the stream were handed out, and so many wait to be acknowledged now. `peer_pauses`: the
    /// peer does until then.
    pub(super) fn handed_out(
        &mut self,
        now: Instant,
        before: u64,
        end: u64,
        waiting: u64,
        peer_pauses: Option<Instant>,
        config: &ValidConfig,
    ) {
        let busy_max = config.heartbeat.busy_max;
        self.settle(now);
        if !self.since.is_some() {
            self.since = MaybeInstant::some(now);
            self.more = None;
            if peer_pauses.is_some() {
                // Nothing moves for it: it begins to count now.
                let _settled = self.more(busy_max).rest.pause(now, peer_pauses);
            }
        }
        debug_assert!(before < end, "something was handed out");
        let deadline = now + config.timeouts.write_stall + transfer(waiting, config.timeouts.assembly_rate);
        // Bytes are acknowledged in order: an earlier deadline further back holds for all that lies before.
        if let Some(more) = &mut self.more {
            while more.marks.pop_back_if(|earlier| earlier.deadline >= deadline).is_some() {}
        }
        if let Some(last) = self.deadline.get().filter(|last| *last < deadline) {
            let marks = &mut self.more(busy_max).marks;
            if marks.len() == MARKS_MAX {
                marks.pop_back();
            }
            marks.push_back(Mark { end: before, deadline: last });
        }
        self.deadline = MaybeInstant::some(deadline);
    }

    /// The first so many bytes of the stream are acknowledged, and so many handed out are not.
    pub(super) fn acknowledged(&mut self, now: Instant, acknowledged: u64, waiting: u64, busy_max: Duration) {
        self.settle(now);
        if waiting == 0 {
            *self = Self::new();
            return;
        }
        self.since = MaybeInstant::some(now);
        if let Some(more) = &mut self.more {
            more.rest.renew(busy_max);
            more.graced = false;
            while more.marks.pop_front_if(|mark| mark.end <= acknowledged).is_some() {}
        }
    }

    /// The peer pauses until then, or not any more (PW-HB-020).
    pub(super) fn peer_pauses(&mut self, now: Instant, until: Option<Instant>, busy_max: Duration) {
        if !self.since.is_some() || (until.is_none() && self.more.is_none()) {
            return;
        }
        let moved = self.more(busy_max).rest.pause(now, until);
        self.shift(moved);
    }

    fn settle(&mut self, now: Instant) {
        if let Some(more) = &mut self.more {
            let moved = more.rest.settle(now);
            self.shift(moved);
        }
    }

    fn shift(&mut self, moved: Duration) {
        if moved.is_zero() {
            return;
        }
        for moment in [&mut self.since, &mut self.deadline] {
            *moment = moment.get().map(|moment| moment + moved).into();
        }
        if let Some(more) = &mut self.more {
            more.marks.iter_mut().for_each(|mark| mark.deadline = mark.deadline + moved);
        }
    }

    /// Since when nothing was acknowledged.
    pub(super) fn since(&self) -> Option<Instant> {
        self.since.get()
    }

    /// When either limit is up, should the peer's pause last as long as it was announced.
    pub(super) fn deadline(&self, timeouts: &Timeouts) -> Option<Instant> {
        let stalled = self.since.get()? + timeouts.write_stall;
        let more = self.more.as_deref();
        let slow = more.and_then(|more| more.marks.front()).map(|mark| mark.deadline).or(self.deadline.get());
        Some(slow.map_or(stalled, |slow| slow.min(stalled)) + more.map_or(Duration::ZERO, |more| more.rest.ahead()))
    }

    /// What waits has its whole time from now on.
    pub(super) fn restart(&mut self, now: Instant, waiting: u64, timeouts: &Timeouts) {
        self.settle(now);
        if waiting == 0 {
            *self = Self::new();
            return;
        }
        self.since = MaybeInstant::some(now);
        self.deadline = MaybeInstant::some(now + timeouts.write_stall + transfer(waiting, timeouts.assembly_rate));
        if let Some(more) = &mut self.more {
            more.marks.clear();
        }
    }

    /// The same because this side was late (PW-TIM-001). Returns whether it may, once until something is acknowledged.
    pub(super) fn begin_anew(&mut self, now: Instant, waiting: u64, config: &ValidConfig) -> bool {
        if core::mem::replace(&mut self.more(config.heartbeat.busy_max).graced, true) {
            return false;
        }
        self.restart(now, waiting, &config.timeouts);
        true
    }
}
