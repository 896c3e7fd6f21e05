//! Time limits: when they are up, and what happens to one that this side noticed late.

use std::time::{Duration, Instant};

/// A moment in the life of a connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment {
    pub(super) now: Instant,
    /// For how long pauses of the peer have been honoured until then, all together (PW-HB-020).
    pub(super) paused: Duration,
}

/// A time that runs from a certain moment on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limit {
    since: Instant,
    /// It has begun anew because this side was late.
    excused: bool,
}

impl Limit {
    pub(super) fn new(since: Instant) -> Self {
        Self { since, excused: false }
    }

    /// There was progress: the time begins now.
    pub(super) fn progress(&mut self, now: Instant) {
        self.since = now;
    }

    /// Whether `time` is up. If this side notices that more than `interval` late, the time begins anew instead, once (PW-TIM-001).
    pub(super) fn is_up(&mut self, time: Duration, interval: Duration, now: Instant) -> bool {
        let is_up = now >= self.since + time;
        let late = is_up && now > self.since + time + interval && !self.excused;
        if late {
            *self = Self { since: now, excused: true };
        }
        is_up && !late
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Limit;
    use crate::clock;

    /// PW-TIM-001.
    #[test]
    fn a_limit_that_is_noticed_late_begins_anew_once() {
        let (time, interval) = (Duration::from_millis(100), Duration::from_millis(10));
        let begun = clock::now();
        let mut limit = Limit::new(begun);
        assert!(!limit.is_up(time, interval, begun + time - interval));
        assert!(Limit::new(begun).is_up(time, interval, begun + time + interval), "late by no more than the interval");
        let late = begun + time + interval * 2;
        assert!(!limit.is_up(time, interval, late));
        assert!(!limit.is_up(time, interval, late + time - interval));
        assert!(limit.is_up(time, interval, late + time * 3), "only once");
    }
}
