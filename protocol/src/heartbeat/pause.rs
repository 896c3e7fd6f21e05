//! Pauses (section 8.4 of the specification): the peer's, which BUSY announces, and those of this side.

use core::time::Duration;

use super::{Heartbeat, State};
use crate::time::Instant;

impl Heartbeat {
    /// BUSY came. Says whether the peer is to be left alone from now on: then no PING may go out.
    pub(crate) fn busy(&mut self, now: Instant, pause: Duration) -> bool {
        self.end_pause(now);
        if !pause.is_zero() && self.busy_spent {
            return false;
        }
        self.evidence(now);
        let latest = match self.state {
            State::Spared { latest, .. } => latest,
            State::Quiet | State::Probing(_) => now + self.busy_max,
        };
        if !pause.is_zero() {
            self.pauses += u64::from(!matches!(self.state, State::Spared { .. }));
            self.state = State::Spared { until: now + pause, latest };
            self.end_pause(now);
        } else if matches!(self.state, State::Spared { .. }) {
            self.listen_again(now);
        }
        matches!(self.state, State::Spared { .. })
    }

    /// Whether a BUSY other than 0 is no evidence (PW-HB-021). Its payload is none either then, however it comes.
    pub(crate) fn ignores_busy(&self) -> bool {
        self.busy_spent
    }

    /// Ends the peer's pause if its time is up.
    pub(super) fn end_pause(&mut self, now: Instant) {
        let State::Spared { until, latest } = self.state else { return };
        if now >= until.min(latest) {
            self.busy_spent = latest <= until;
            self.listen_again(until.min(latest));
        }
    }

    /// The peer's pause ended: its silence begins (PW-HB-022).
    fn listen_again(&mut self, ended: Instant) {
        self.last_evidence = self.last_evidence.max(ended);
        self.state = State::Quiet;
        self.draw_first_wait();
    }

    /// This side reads again after a pause of its own: the silence starts anew (PW-HB-023).
    pub(crate) fn restart(&mut self, now: Instant) {
        self.end_pause(now);
        self.last_evidence = now;
        match self.state {
            State::Probing(_) => {
                self.state = State::Quiet;
                self.draw_first_wait();
            }
            State::Quiet | State::Spared { .. } => {}
        }
    }

    /// How long this side asks for when it pauses: twice its `idle`, at most a minute, in whole milliseconds.
    pub(crate) fn pause_to_announce(&self) -> Duration {
        let pause = (self.idle * 2).min(Duration::from_secs(60));
        Duration::from_millis(crate::config::millis(pause))
    }

    /// How often the peer began to pause.
    pub(crate) fn pauses(&self) -> u64 {
        self.pauses
    }
}
