//! What the application wants of a connection: messages, DRAIN, a pause, the end.

use std::time::{Duration, Instant};

use super::super::Bug;
use super::super::heartbeat::Heartbeat;
use super::super::limit::Limit;
use super::{Connection, Phase};
use crate::codec::registry::reason;
use crate::subject::{CloseFrame, Origin};

/// The longest time that one BUSY asks for.
const PAUSE_MAX: Duration = Duration::from_secs(60);

impl Connection {
    pub(in super::super) fn obey_application(&mut self, now: Instant) {
        let now = self.no_earlier(now);
        if self.table.is_stopping() {
            self.end(CloseFrame::from(reason::ABORTED), Origin::Local);
            return;
        }
        if self.behaviour.has(Bug::FaultEndsAll) && self.table.faults() > self.faults_before {
            self.end(CloseFrame::from(reason::ABORTED), Origin::Local);
            return;
        }
        let open = matches!(self.phase, Phase::Open);
        let wishes = self.table.wishes(self.id, open);
        if wishes.cut {
            self.cut(now);
            return;
        }
        if let Some(judgement) = wishes.judgement {
            self.obey_judgement(judgement, now);
        }
        for message in wishes.messages {
            self.outgoing.push_message(message);
        }
        self.away = wishes.held;
        let rests = self.rests_until.is_some_and(|until| now < until);
        self.obey_pause(wishes.paused || wishes.held || rests, now);
        if open {
            self.obey_drain(wishes.drains);
        }
        if let Some(frame) = wishes.close.filter(|_| open) {
            self.obey_pause(false, now);
            if reason::is_fault(frame.reason) && !self.behaviour.has(Bug::FaultOfApplicationWaits) {
                self.fail_with(self.say(&frame, self.assembler.received), frame, now);
                return;
            }
            self.ending = Some((frame, Origin::Local));
            let early = self.behaviour.has(Bug::CloseTimeRunsWhileItWaits);
            self.phase = Phase::Closing { queued: false, sent: early.then(|| Limit::new(now)), over: None };
        }
    }

    /// The application cuts the connection: nothing more is sent, and the transport is closed at once (PW-CLS-012).
    fn cut(&mut self, now: Instant) {
        let code = if self.behaviour.has(Bug::ReportsCutAsReset) { reason::RESET } else { reason::ABORTED };
        let origin = if code == reason::RESET { Origin::Transport } else { Origin::Local };
        if !self.behaviour.has(Bug::LingersWhenCut) {
            self.end(CloseFrame::from(code), origin);
        } else if !matches!(self.phase, Phase::Lingering { .. }) {
            self.ending = Some((CloseFrame::from(code), origin));
            self.linger(now);
        }
    }

    /// Queues what the application has sent, although no more is taken from it.
    pub(super) fn accept_messages(&mut self) {
        for message in self.table.wishes(self.id, true).messages {
            self.outgoing.push_message(message);
        }
    }

    /// DRAIN goes out once, however often it is asked for (PW-CLS-016).
    fn obey_drain(&mut self, wanted: u32) {
        let due = if self.behaviour.has(Bug::DrainsTwice) { wanted } else { wanted.min(1) };
        while self.drains_sent < due {
            self.drains_sent += 1;
            self.outgoing.push_drain(self.assembler.received);
        }
    }

    /// BUSY, again before half of its time is over, and with 0 at the end (PW-HB-019).
    fn obey_pause(&mut self, wanted: bool, now: Instant) {
        let may_pause = match self.phase {
            Phase::Open => true,
            Phase::Closing { .. } => self.behaviour.has(Bug::PausesBehindClose),
            Phase::Judging { .. } => self.behaviour.has(Bug::PausesBeforeHandshake),
            Phase::Greeting { .. }
            | Phase::Acknowledging { .. }
            | Phase::Failing { .. }
            | Phase::Lingering { .. }
            | Phase::Gone => false,
        };
        match (self.busy_due, wanted && may_pause) {
            (None, true) => {
                self.stop_reading();
                self.send_busy(now);
            }
            (Some(due), true) if now >= due && !self.behaviour.has(Bug::BusyOnce) => self.send_busy(now),
            (Some(_), false) => self.read_again(now),
            (Some(_), true) | (None, false) => {}
        }
    }

    /// A PING that was not handed out is withdrawn (PW-HB-023).
    fn stop_reading(&mut self) {
        self.outgoing.cancel_ping();
        self.heartbeat.iter_mut().for_each(Heartbeat::stop_reading);
    }

    fn send_busy(&mut self, now: Instant) {
        let idle = self.heartbeat.as_ref().map_or(self.behaviour.profile.idle, |heartbeat| heartbeat.effective().0);
        let pause = (idle * 2).min(PAUSE_MAX);
        self.busy_due = Some(now + pause * 2 / 5);
        let silent = self.away && self.behaviour.has(Bug::AwaySilently);
        if !silent && !self.behaviour.has(Bug::PausesSilently) {
            self.outgoing.push_busy(u32::try_from(pause.as_millis()).expect("at most 60,000 ms"));
        }
    }

    fn read_again(&mut self, now: Instant) {
        self.busy_due = None;
        if !self.behaviour.has(Bug::NoBusyZero) {
            self.outgoing.push_busy(0);
        }
        if !self.behaviour.has(Bug::StallsWhilePausing) {
            self.framer.restart_clock(now);
        }
        let moment = self.moment(now);
        self.assembler.restart_clock(moment);
        if let Some(heartbeat) = &mut self.heartbeat
            && !self.behaviour.has(Bug::JudgesWhilePausing)
        {
            heartbeat.read_again(now);
        }
    }

    /// Whether this side does not read for now.
    pub(super) fn is_pausing(&self) -> bool {
        self.busy_due.is_some()
    }
}
