//! The pause that the peer asked for with BUSY (spec section 8.4).

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::super::{Behaviour, Bug};

enum State {
    /// The peer reads, as far as it says.
    Reading,
    /// It does not, until then. `began` is when the first BUSY in a row came, and `since` when this pause began.
    Pausing { began: Instant, since: Instant, until: Instant },
    /// The last pause ran out, and the peer has not shown since that it reads: another one follows it (PW-HB-021).
    Between { began: Instant },
}

/// What BUSY does to the heartbeat.
pub(super) struct PeerPause {
    behaviour: Arc<Behaviour>,
    state: State,
    /// How long the pauses that are over have lasted, all together.
    honoured: Duration,
}

impl PeerPause {
    pub(super) fn new(behaviour: Arc<Behaviour>) -> Self {
        Self { behaviour, state: State::Reading, honoured: Duration::ZERO }
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
        let (began, since) = match self.state {
            State::Reading => (now, now),
            State::Pausing { began, since, .. } => (began, since),
            State::Between { began } => (began, now),
        };
        if !pause.is_zero() {
            self.state = State::Pausing { began, since, until: now + pause };
        } else if !bug(Bug::IgnoresBusyZero) {
            self.leave(State::Reading, now);
        }
        true
    }

    /// Whether pauses that follow each other have lasted for as long as they may.
    fn is_used_up(&self, now: Instant) -> bool {
        matches!(self.state, State::Between { began } if now > began + self.longest())
    }

    /// A sign of life that is no BUSY came.
    pub(super) fn other_evidence(&mut self, now: Instant) {
        match self.state {
            State::Pausing { .. } if self.behaviour.has(Bug::AnyPacketEndsPause) => self.leave(State::Reading, now),
            State::Between { .. } => self.state = State::Reading,
            State::Reading | State::Pausing { .. } => {}
        }
    }

    /// When the pause ends by itself, if there is one.
    pub(super) fn until(&self) -> Option<Instant> {
        match self.state {
            State::Pausing { began, until, .. } => Some(until.min(began + self.longest())),
            State::Reading | State::Between { .. } => None,
        }
    }

    /// Ends a pause whose time has passed, and tells when it did.
    pub(super) fn end(&mut self, now: Instant) -> Option<Instant> {
        let State::Pausing { began, .. } = self.state else { return None };
        let end = self.until().filter(|end| now >= *end)?;
        self.leave(State::Between { began }, end);
        Some(end)
    }

    /// For how long pauses have been honoured, all together.
    pub(super) fn honoured(&self, now: Instant) -> Duration {
        let current = match self.state {
            State::Pausing { since, .. } => self.until().unwrap_or(now).min(now).saturating_duration_since(since),
            State::Reading | State::Between { .. } => Duration::ZERO,
        };
        self.honoured + current
    }

    /// The pause ends, if there is one.
    fn leave(&mut self, next: State, at: Instant) {
        self.honoured = self.honoured(at);
        self.state = next;
    }

    fn longest(&self) -> Duration {
        let day = Duration::from_secs(86_400);
        if self.behaviour.has(Bug::NoBusyMax) { day } else { self.behaviour.profile.busy_max }
    }
}
