//! Pauses (section 8.4 of the specification): the peer's, which BUSY announces, and those of this side.

use core::time::Duration;

use super::{Heartbeat, State};
use crate::config::HeartbeatConfig;
use crate::time::{Instant, MaybeInstant, millis};

impl Heartbeat {
    /// BUSY came. Returns whether a PING that waits is to be withdrawn: because the peer is to be left alone from now on, or because
    /// it lives (PW-HB-004).
    pub(crate) fn busy(&mut self, now: Instant, pause: Duration, config: &HeartbeatConfig) -> bool {
        self.end_pause(now);
        // The answer to a PING before it would measure a pause, or the end of one (section 8.3).
        self.sent_at = MaybeInstant::NONE;
        if !pause.is_zero() && self.ignores_busy(now) {
            return false;
        }
        let probed = self.end_silence(now);
        self.last_evidence = now;
        if pause.is_zero() {
            self.pauses_end = MaybeInstant::NONE;
            if matches!(self.state, State::Spared { .. }) {
                self.listen_again(now);
            }
        } else {
            self.pauses_end.begin(now + config.busy_max);
            let latest = self.pauses_end.get().unwrap_or(now);
            self.state = State::Spared { until: (now + pause).min(latest) };
            self.end_pause(now);
        }
        probed || matches!(self.state, State::Spared { .. })
    }

    /// Whether a BUSY other than 0 is no evidence (PW-HB-021).
    fn ignores_busy(&self, now: Instant) -> bool {
        self.pauses_end.get().is_some_and(|end| now > end)
    }

    /// Evidence came that is not BUSY: where no pause is in force, the next one follows none (PW-HB-021).
    pub(super) fn end_pauses(&mut self) {
        if !matches!(self.state, State::Spared { .. }) {
            self.pauses_end = MaybeInstant::NONE;
        }
    }

    /// Ends the peer's pause if its time is up.
    pub(super) fn end_pause(&mut self, now: Instant) {
        let State::Spared { until } = self.state else { return };
        if now >= until {
            self.listen_again(until);
        }
    }

    /// The peer's pause ended: its silence begins (PW-HB-022).
    fn listen_again(&mut self, ended: Instant) {
        self.last_evidence = self.last_evidence.max(ended);
        self.state = State::Quiet;
        self.draw_first_wait();
    }

    /// Until when the peer is left alone.
    pub(crate) fn spared_until(&self) -> Option<Instant> {
        match self.state {
            State::Spared { until } => Some(until),
            State::Quiet | State::Probing(_) => None,
        }
    }

    /// This side pauses: a PING that waits is withdrawn, and the answer to one before would measure the pause (PW-HB-023).
    pub(crate) fn rest(&mut self) {
        self.sent_at = MaybeInstant::NONE;
    }

    /// This side reads again after a pause of its own: the silence starts anew (PW-HB-023). An answer to a PING before it would
    /// measure the pause.
    pub(crate) fn restart(&mut self, now: Instant) {
        self.end_pause(now);
        self.sent_at = MaybeInstant::NONE;
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
    pub(crate) fn pause_to_announce(&self, config: &HeartbeatConfig) -> Duration {
        let pause = (self.idle(config) * 2).min(Duration::from_secs(60));
        Duration::from_millis(millis(pause))
    }
}
