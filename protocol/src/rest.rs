//! A time limit that stands still for a while, because the peer said that it pauses (PW-HB-020).

use core::time::Duration;

use crate::time::Instant;

/// How far a limit may stand still, and until when it does.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rest {
    /// The pause that is in force, and since when the limit has not been moved for it.
    pause: Option<Pause>,
    /// What the limit may still be moved by.
    left: Duration,
}

#[derive(Debug, Clone, Copy)]
struct Pause {
    from: Instant,
    until: Instant,
}

impl Rest {
    /// A limit that may stand still for so long.
    pub(crate) fn new(left: Duration) -> Self {
        Self { pause: None, left }
    }

    /// The peer pauses until then, or not any more. Gives what the limit moves by for the pause before.
    #[must_use]
    pub(crate) fn pause(&mut self, now: Instant, until: Option<Instant>) -> Duration {
        let moved = self.settle(now);
        self.pause = until.map(|until| Pause { from: now, until });
        moved
    }

    /// What the limit moves by for the time that the pause has lasted so far.
    #[must_use]
    pub(crate) fn settle(&mut self, now: Instant) -> Duration {
        let Some(pause) = &mut self.pause else { return Duration::ZERO };
        let moved = (now.min(pause.until) - pause.from).min(self.left);
        self.left -= moved;
        pause.from = now;
        if now >= pause.until {
            self.pause = None;
        }
        moved
    }

    /// What the limit is going to move by, should the pause last as long as it was announced.
    pub(crate) fn ahead(&self) -> Duration {
        self.pause.map_or(Duration::ZERO, |pause| (pause.until - pause.from).min(self.left))
    }

    /// The limit may stand still for so long from now on. What it moved by so far has been settled.
    pub(crate) fn renew(&mut self, left: Duration) {
        self.left = left;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(seconds: u64) -> Instant {
        Instant::from_nanos(seconds * 1_000_000_000)
    }

    const fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    /// PW-HB-020: a limit moves by as much as the pause lasted, and by no more than it may.
    #[test]
    fn a_limit_moves_by_what_the_pauses_lasted() {
        let mut rest = Rest::new(s(10));
        assert_eq!(rest.pause(at(0), Some(at(6))), s(0));
        assert_eq!(rest.ahead(), s(6));
        // It is renewed, then ended early.
        assert_eq!(rest.pause(at(3), Some(at(9))), s(3));
        assert_eq!(rest.ahead(), s(6));
        assert_eq!(rest.pause(at(5), None), s(2));
        assert_eq!((rest.ahead(), rest.settle(at(50))), (s(0), s(0)));
        // One that runs out is only noticed later, and only half of it is left.
        assert_eq!(rest.pause(at(60), Some(at(70))), s(0));
        assert_eq!(rest.ahead(), s(5));
        assert_eq!(rest.settle(at(100)), s(5));
        assert_eq!(rest.pause(at(100), Some(at(110))), s(0));
        assert_eq!(rest.ahead(), s(0));
        rest.renew(s(4));
        assert_eq!(rest.ahead(), s(4));
    }
}
