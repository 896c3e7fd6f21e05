//! The pause that the peer asked for with BUSY (spec section 8.4).

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::super::{Behaviour, Bug};

enum State {
    /// The peer reads, as far as it says.
    Reading,
    /// It does not, until then. `began` is when the first BUSY in a row came.
    Pausing { began: Instant, until: Instant },
    /// The last pause ran out, and the peer has not shown since that it reads: another one follows it (PW-HB-021).
    Between { began: Instant },
}

/// What BUSY does to the heartbeat.
pub(super) struct PeerPause {
    behaviour: Arc<Behaviour>,
    state: State,
}

impl PeerPause {
    pub(super) fn new(behaviour: Arc<Behaviour>) -> Self {
        Self { behaviour, state: State::Reading }
    }

    /// BUSY came; tells whether it is a sign of life.
    pub(super) fn busy(&mut self, pause: Duration, now: Instant) -> bool {
        let bug = |bug| self.behaviour.has(bug);
        if bug(Bug::ProbesBusyPeer) {
            return true;
        }
        if !pause.is_zero() && self.is_used_up(now) {
            return bug(Bug::BusyIsAlwaysEvidence);
        }
        let began = match self.state {
            State::Reading => now,
            State::Pausing { began, .. } | State::Between { began } => began,
        };
        if !pause.is_zero() {
            self.state = State::Pausing { began, until: now + pause };
        } else if !bug(Bug::IgnoresBusyZero) {
            self.state = State::Reading;
        }
        true
    }

    /// Whether a BUSY other than 0 would be no sign of life now (PW-HB-021).
    pub(super) fn ignores_busy(&self, now: Instant) -> bool {
        self.is_used_up(now) && !self.behaviour.has(Bug::BusyIsAlwaysEvidence)
    }

    /// Whether pauses that follow each other have lasted for as long as they may.
    fn is_used_up(&self, now: Instant) -> bool {
        matches!(self.state, State::Between { began } if now >= began + self.longest())
    }

    /// Another packet came.
    pub(super) fn other_packet(&mut self) {
        match self.state {
            State::Pausing { .. } if self.behaviour.has(Bug::AnyPacketEndsPause) => self.state = State::Reading,
            State::Between { .. } => self.state = State::Reading,
            State::Reading | State::Pausing { .. } => {}
        }
    }

    /// When the pause ends by itself, if there is one.
    pub(super) fn until(&self) -> Option<Instant> {
        match self.state {
            State::Pausing { began, until } => Some(until.min(began + self.longest())),
            State::Reading | State::Between { .. } => None,
        }
    }

    /// Ends a pause whose time has passed, and tells when it did.
    pub(super) fn end(&mut self, now: Instant) -> Option<Instant> {
        let State::Pausing { began, .. } = self.state else { return None };
        let end = self.until().filter(|end| now >= *end)?;
        self.state = State::Between { began };
        Some(end)
    }

    fn longest(&self) -> Duration {
        let day = Duration::from_secs(86_400);
        if self.behaviour.has(Bug::NoBusyMax) { day } else { self.behaviour.profile.busy_max }
    }
}
