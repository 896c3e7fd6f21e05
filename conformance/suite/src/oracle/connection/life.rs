//! Signs of the peer's life, and the time as the limits of a connection see it.

use std::time::{Duration, Instant};

use super::super::Bug;
use super::super::limit::Moment;
use super::Connection;
use crate::codec::Header;
use crate::codec::registry::{flag, kind};

impl Connection {
    /// A header that verifies came, or more of its packet (PW-HB-001).
    pub(super) fn part_came(&mut self, header: &Header, now: Instant) {
        let bug = |bug| self.behaviour.has(bug);
        let waits = bug(Bug::DroppedIsNoEvidence) && header.flags & flag::CHECKSUM != 0;
        if !waits && !bug(Bug::PayloadIsNoEvidence) {
            self.evidence(header.kind, now);
        }
    }

    /// A packet of this kind came, or a part of it (PW-HB-002).
    pub(super) fn evidence(&mut self, kind: u8, now: Instant) {
        let Some(heartbeat) = &mut self.heartbeat else {
            return;
        };
        let ignored = match kind {
            kind::BUSY => return heartbeat.part_of_busy(now),
            kind::PONG => self.behaviour.has(Bug::PongsAreNoEvidence),
            _ => self.behaviour.has(Bug::PongOnlyIsEvidence),
        };
        if !ignored {
            heartbeat.sign_of_life(now);
            self.outgoing.cancel_ping();
        }
    }

    /// Time that goes back is time that stands still (PW-TIM-002).
    pub(super) fn no_earlier(&mut self, now: Instant) -> Instant {
        self.latest = self.latest.max(now);
        self.latest
    }

    /// This moment, as time limits see it.
    pub(super) fn moment(&self, now: Instant) -> Moment {
        Moment { now, paused: self.heartbeat.as_ref().map_or(Duration::ZERO, |heartbeat| heartbeat.honoured(now)) }
    }

    /// The effective `interval`; before the handshake this side's own.
    pub(super) fn interval(&self) -> Duration {
        if self.behaviour.has(Bug::SleepIsNoExcuse) {
            // Never so late.
            return Duration::from_secs(60 * 60 * 24);
        }
        self.heartbeat.as_ref().map_or(self.behaviour.profile.interval, |heartbeat| heartbeat.effective().1)
    }
}
