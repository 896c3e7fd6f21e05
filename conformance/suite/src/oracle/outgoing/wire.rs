//! The packet that is being written, and when its transport has taken too long.
//!
//! This transport does not tell what the peer's host has acknowledged: what is taken counts as acknowledged.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::super::limit::Moment;
use super::super::{Behaviour, Bug};
use crate::codec::Packet;
use crate::codec::registry::kind;

/// One packet is handed out at a time.
pub(super) struct Wire {
    behaviour: Arc<Behaviour>,
    bytes: Vec<u8>,
    /// How many of them the transport took.
    taken: usize,
    /// When it took some last. Only a bug looks at it.
    taken_at: Instant,
    kind: u8,
    handed_out: Mark,
    /// Where the stretch without an acknowledged byte began.
    stretch: Mark,
    /// How long the times have rested in all the stretches before.
    rested: Duration,
    /// For how long pauses had been honoured when the stretch began.
    paused_before: Duration,
    /// The times have begun anew in this stretch, because this side was late (PW-TIM-001).
    excused: bool,
}

/// A moment, and how long the times had rested until then.
#[derive(Clone, Copy)]
struct Mark {
    at: Instant,
    rested: Duration,
}

impl Wire {
    pub(super) fn new(behaviour: Arc<Behaviour>, now: Instant) -> Self {
        let mark = Mark { at: now, rested: Duration::ZERO };
        Self {
            behaviour,
            bytes: Vec::new(),
            taken: 0,
            taken_at: now,
            kind: kind::HELLO,
            handed_out: mark,
            stretch: mark,
            rested: Duration::ZERO,
            paused_before: Duration::ZERO,
            excused: false,
        }
    }

    /// Hands out the next packet, when all of the last one is taken.
    pub(super) fn hand_out(&mut self, packet: &Packet, key: u32, moment: Moment) {
        let goes_on = self.behaviour.has(Bug::BacklogRunsOutOfTime) && self.taken_at == moment.now;
        self.bytes = packet.encode(key);
        if self.behaviour.has(Bug::PadsPackets) {
            self.bytes.push(0);
        }
        (self.taken, self.kind) = (0, packet.kind);
        if !goes_on {
            self.begin_stretch(moment);
            self.handed_out = self.stretch;
        }
    }

    /// The transport took so many more bytes.
    pub(super) fn take(&mut self, count: usize, moment: Moment) {
        self.taken += count;
        self.taken_at = moment.now;
        if !self.behaviour.has(Bug::BacklogRunsOutOfTime) {
            self.begin_stretch(moment);
        }
    }

    /// What the transport has not taken.
    pub(super) fn rest(&self) -> &[u8] {
        &self.bytes[self.taken..]
    }

    pub(super) fn is_taken(&self) -> bool {
        self.taken == self.bytes.len()
    }

    pub(super) fn kind(&self) -> u8 {
        self.kind
    }

    /// Whether the time of what was handed out has passed.
    pub(super) fn is_overdue(&self, moment: Moment) -> bool {
        let waits = !self.is_taken() && !self.behaviour.has(Bug::WritesForEver);
        waits && moment.now >= self.deadline(moment)
    }

    /// Whether what was handed out goes away too slowly (PW-CLS-015).
    pub(super) fn is_stalled(&mut self, interval: Duration, moment: Moment) -> bool {
        if !self.is_overdue(moment) {
            return false;
        }
        let late = moment.now > self.deadline(moment) + interval && !self.excused;
        if late {
            self.excused = true;
            self.begin_anew(moment);
        }
        !late
    }

    /// The times of what waits begin anew.
    pub(super) fn begin_anew(&mut self, moment: Moment) {
        self.stretch = Mark { at: moment.now, rested: self.rested_until(moment) };
        self.handed_out = self.stretch;
    }

    /// No byte may wait longer than `write_stall` for the next to be acknowledged, nor than that and the time for all of them.
    fn deadline(&self, moment: Moment) -> Instant {
        let profile = &self.behaviour.profile;
        let due = |mark: Mark, time: Duration| mark.at + time + (self.rested_until(moment) - mark.rested);
        let next = due(self.stretch, profile.write_stall);
        if self.behaviour.has(Bug::AnyProgressIsEnough) {
            return next;
        }
        let for_all = Duration::from_millis(self.bytes.len() as u64 * 1_000 / u64::from(profile.assembly_rate));
        next.min(due(self.handed_out, profile.write_stall + for_all))
    }

    fn begin_stretch(&mut self, moment: Moment) {
        self.rested = self.rested_until(moment);
        self.paused_before = moment.paused;
        self.stretch = Mark { at: moment.now, rested: self.rested };
        self.excused = false;
    }

    /// How long the times have rested in all, while pauses of the peer were honoured (PW-HB-020).
    fn rested_until(&self, moment: Moment) -> Duration {
        let most = match () {
            () if self.behaviour.has(Bug::WriteStallRunsInPause) => Duration::ZERO,
            () if self.behaviour.has(Bug::WriteRestsForEver) => Duration::MAX,
            () => self.behaviour.profile.busy_max,
        };
        self.rested + (moment.paused - self.paused_before).min(most)
    }
}
