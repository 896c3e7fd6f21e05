//! One silence that is being probed (section 8.3 of the specification).

use core::time::Duration;

use crate::time::Instant;

/// Why a silence is allowed to last longer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cause {
    /// The round trip takes longer than `interval`.
    RoundTrip,
    /// Bytes go away slowly (PW-HB-010, PW-HB-011).
    SlowWrite,
}

/// What a silence was extended by, by cause.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Extensions {
    pub(super) round_trips: Duration,
    pub(super) slow_writes: Duration,
    /// For slow writes too, beyond what is limited: what the bytes in front of a PING have for going away.
    pub(super) transfers: Duration,
    /// How late this side was itself, and the waits that it granted for that (PW-HB-016).
    pub(super) own_stalls: Duration,
}

impl Extensions {
    /// What counts towards `extension_max`.
    fn limited(&self) -> Duration {
        self.round_trips + self.slow_writes
    }

    fn of(&mut self, cause: Cause) -> &mut Duration {
        match cause {
            Cause::RoundTrip => &mut self.round_trips,
            Cause::SlowWrite => &mut self.slow_writes,
        }
    }
}

/// The part of a wait after which it is asked for the first time what is acknowledged.
pub(super) const FIRST_LOOK: u32 = 16;

#[derive(Debug, Clone)]
pub(super) struct Probe {
    pub(super) unanswered: u32,
    /// How many of them while the latest PING was not acknowledged.
    pub(super) missed: u32,
    /// When the current wait began: when the PING was queued, later when it was acknowledged.
    pub(super) since: Instant,
    pub(super) wait: Duration,
    /// The latest PING is acknowledged.
    pub(super) acknowledged: bool,
    /// Some byte was acknowledged during this wait.
    pub(super) progressed: bool,
    /// What the silence may still be extended by for the bytes in front of the latest PING (PW-HB-013).
    pub(super) transfer: Duration,
    /// The PING is not queued before then, to keep its distance from the one before (PW-HB-026).
    pub(super) held: Option<Instant>,
    /// How long after `since` to ask what is acknowledged, where the transport tells: soon at first, then ever more seldom. Nobody
    /// else would notice when the PING is.
    pub(super) look: Option<Duration>,
    /// The one probe for a stall of our own was spent (PW-HB-016).
    pub(super) grace_spent: bool,
    /// What this silence was extended by so far.
    pub(super) extensions: Extensions,
}

impl Probe {
    /// The first PING of a silence is queued, so much too late.
    pub(super) fn new(
        now: Instant,
        late: Duration,
        interval: Duration,
        excess: Duration,
        extension_max: Duration,
    ) -> Self {
        let mut probe = Self {
            unanswered: 0,
            missed: 0,
            since: now,
            wait: interval,
            acknowledged: false,
            progressed: false,
            transfer: Duration::ZERO,
            held: None,
            look: None,
            grace_spent: false,
            extensions: Extensions { own_stalls: late, ..Extensions::default() },
        };
        probe.wait_again(now, interval, excess, extension_max);
        probe
    }

    /// As much of `wanted` as this silence may still be extended by (PW-HB-013).
    pub(super) fn extend(&mut self, cause: Cause, wanted: Duration, extension_max: Duration) -> Duration {
        let granted = wanted.min(extension_max.saturating_sub(self.extensions.limited()));
        *self.extensions.of(cause) += granted;
        granted
    }

    /// As much of `wanted` as this silence may still be extended by because bytes go away slowly.
    pub(super) fn extend_for_progress(&mut self, wanted: Duration, extension_max: Duration) -> Duration {
        let granted = self.extend(Cause::SlowWrite, wanted, extension_max);
        let more = (wanted - granted).min(self.transfer);
        self.transfer -= more;
        self.extensions.transfers += more;
        granted + more
    }

    /// Bytes moved: the waits that this PING missed before count no more, as far as the silence may be extended for them
    /// (PW-HB-011). A link that moves in lumps would be given up between two of them.
    pub(super) fn forgive(&mut self, interval: Duration, extension_max: Duration) {
        while self.missed > 0 && extension_max.saturating_sub(self.extensions.limited()) + self.transfer >= interval {
            self.extend_for_progress(interval, extension_max);
            self.missed -= 1;
            self.unanswered -= 1;
        }
    }

    /// When something is to be done or asked.
    pub(super) fn deadline(&self) -> Instant {
        let judged = self.since + self.wait;
        let asked = self.look.filter(|_| !self.acknowledged).map(|look| self.since + look);
        judged.min(asked.unwrap_or(judged)).min(self.held.unwrap_or(judged))
    }

    /// Asks the next time after this one.
    pub(super) fn looked(&mut self, now: Instant) {
        if let Some(look) = &mut self.look {
            *look = (now - self.since).max(*look).saturating_mul(2);
        }
    }

    /// Starts the next wait for an answer.
    pub(super) fn wait_again(&mut self, now: Instant, interval: Duration, excess: Duration, extension_max: Duration) {
        self.since = now;
        self.wait = interval + self.extend(Cause::RoundTrip, excess, extension_max);
        self.progressed = false;
        self.look = self.look.map(|_| self.wait / FIRST_LOOK);
    }
}
