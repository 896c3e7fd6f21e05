//! The heartbeat (section 8 of the specification): a machine of its own that is told what happened and says what to do.
//!
//! It touches nothing else. Evidence is recorded by storing one instant, so that a packet costs next to nothing; deadlines
//! are worked out when somebody asks.

#[cfg(test)]
mod model;
mod pause;
mod probe;

use alloc::boxed::Box;
use core::time::Duration;

use probe::{Cause, Extensions, Probe};

use crate::config::HeartbeatConfig;
use crate::error::ProtocolError;
use crate::event::{Recovered, Suspect};
use crate::rtt::{Rtt, RttEstimator};
use crate::time::{Instant, millis};
use crate::verdict::Verdict;

/// What the connection has to do now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Action {
    Nothing,
    /// Queue PING.
    Ping,
    /// Give the peer up. What the connection itself knows is not filled in yet.
    GiveUp(Box<Verdict>),
}

/// What the application has to be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Notice {
    Suspect(Suspect),
    Recovered(Recovered),
}

#[derive(Debug, Clone)]
enum State {
    /// The peer was heard of lately; `idle` (with jitter) after `last_evidence` comes the first PING.
    Quiet,
    /// Rare, so that it takes no room in a connection that is merely idle.
    Probing(Box<Probe>),
    /// The peer pauses: it is left alone until then (PW-HB-020).
    Spared { until: Instant },
}

#[derive(Debug, Clone)]
pub(crate) struct Heartbeat {
    idle: Duration,
    interval: Duration,
    probes: u32,
    extension_max: Duration,
    /// `idle` less its jitter, which is at most `spread`.
    first_wait: Duration,
    spread: Duration,
    /// The state of a random generator; never 0.
    jitter: u64,
    last_evidence: Instant,
    rtt: RttEstimator,
    /// When the transport took the latest PING, if it did and no answer came.
    sent_at: Option<Instant>,
    state: State,
    /// The application knows that the peer is suspect: after this many probes.
    suspect: Option<u32>,
    notice: Option<Notice>,
    busy_max: Duration,
    /// When pauses of the peer that follow each other must have ended (PW-HB-021); `None` before the first of them.
    pauses_end: Option<Instant>,
    pauses: u64,
    received: Received,
}

/// The peer's PINGs: the last number (0 before the first), and the bucket that meters them (PW-HB-017).
#[derive(Debug, Clone)]
struct Received {
    last: u64,
    refill: Duration,
    /// The bucket as a time: it is full once this has passed, and empty when this lies `BURST` refills ahead.
    full_at: Instant,
}

/// How many PINGs may come at once.
const BURST: u32 = 16;

impl Heartbeat {
    /// `peer_floor` is what the peer announced; `idle` and `interval` are raised to it (PW-HB-005).
    pub(crate) fn new(now: Instant, config: &HeartbeatConfig, peer_floor: Duration, jitter: u64) -> Self {
        let (idle, interval) = (config.idle.max(peer_floor), config.interval.max(peer_floor));
        let bound = idle + interval * config.probes;
        // Jitter must not undercut the floor.
        let shortest = (config.idle * 4 / 5).max(peer_floor);
        let mut heartbeat = Self {
            idle,
            interval,
            probes: config.probes,
            extension_max: config.extension_max.unwrap_or(bound),
            first_wait: idle,
            spread: idle.saturating_sub(shortest),
            jitter: jitter | 1,
            last_evidence: now,
            rtt: RttEstimator::default(),
            sent_at: None,
            state: State::Quiet,
            suspect: None,
            notice: None,
            busy_max: config.busy_max,
            pauses_end: None,
            pauses: 0,
            // Half of what was announced, which is whole milliseconds.
            received: Received { last: 0, refill: Duration::from_millis(millis(config.ping_floor)) / 2, full_at: now },
        };
        heartbeat.draw_first_wait();
        heartbeat
    }

    /// Draws the jitter of the next silence (PW-HB-006). It is drawn when a PING or its answer ended a silence, so that the
    /// sides of an idle pair take turns in probing, and a message only ever moves the deadline to later.
    fn draw_first_wait(&mut self) {
        // Marsaglia's xorshift: nobody has to be kept from guessing it.
        self.jitter ^= self.jitter << 13;
        self.jitter ^= self.jitter >> 7;
        self.jitter ^= self.jitter << 17;
        let share = (self.jitter >> 40) as f64 / (1u64 << 24) as f64;
        self.first_wait = self.idle - self.spread.mul_f64(share);
    }

    pub(crate) fn idle(&self) -> Duration {
        self.idle
    }

    pub(crate) fn interval(&self) -> Duration {
        self.interval
    }

    /// `idle + interval * probes`, effective.
    pub(crate) fn bound(&self) -> Duration {
        self.idle + self.interval * self.probes
    }

    pub(crate) fn rtt(&self) -> Option<Rtt> {
        self.rtt.rtt()
    }

    pub(crate) fn take_notice(&mut self) -> Option<Notice> {
        self.notice.take()
    }

    /// A packet came, so the peer lives (PW-HB-001, PW-HB-004). Not for BUSY, which [`busy`](Self::busy) judges.
    #[inline]
    pub(crate) fn evidence(&mut self, now: Instant) {
        if !matches!(self.state, State::Quiet) || self.suspect.is_some() || self.pauses_end.is_some() {
            self.end_silence(now);
            self.end_pauses();
        }
        self.last_evidence = now;
    }

    /// Bytes of a payload came, so the peer lives (PW-HB-002).
    pub(crate) fn evidence_of_payload(&mut self, now: Instant) {
        self.end_silence(now);
        self.last_evidence = now;
    }

    /// Unanswered probes are forgotten (PW-HB-004), so a peer that answers is never given up (PW-HB-014).
    #[cold]
    fn end_silence(&mut self, now: Instant) {
        self.end_pause(now);
        if let Some(unanswered) = self.suspect.take() {
            // An application that has not been told that the peer is suspect need not be told that it recovered.
            self.notice = match self.notice {
                Some(Notice::Suspect(_)) => None,
                Some(Notice::Recovered(_)) | None => {
                    Some(Notice::Recovered(Recovered { silent_for: now - self.last_evidence, unanswered }))
                }
            };
        }
        match self.state {
            State::Probing(_) => {
                self.state = State::Quiet;
                self.draw_first_wait();
            }
            State::Quiet | State::Spared { .. } => {}
        }
    }

    /// The transport took bytes, but not yet the PING that waits.
    pub(crate) fn progress(&mut self) {
        if let State::Probing(probe) = &mut self.state {
            probe.progressed = true;
        }
    }

    /// The transport took the latest PING: the wait for its answer starts (PW-HB-010).
    pub(crate) fn flushed(&mut self, now: Instant) {
        self.sent_at = Some(now);
        if let State::Probing(probe) = &mut self.state
            && !probe.flushed
        {
            probe.flushed = true;
            // The wait runs from here; what lay before extends the silence, as far as that may be extended.
            probe.since = probe.since + probe.extend(Cause::SlowWrite, now - probe.since, self.extension_max);
        }
    }

    /// PONG came (PW-HB-009); `last` is the number of the latest PING handed out, and all from 1 to `last` were. The
    /// evidence is recorded by the caller, as for every packet.
    pub(crate) fn pong(&mut self, now: Instant, number: u64, last: u64) -> Result<(), ProtocolError> {
        if !(1..=last).contains(&number) {
            return Err(ProtocolError::BadPong { number, last });
        }
        // Only the latest PING's answer tells the round trip; an older one's may belong to either.
        if number == last
            && let Some(sent_at) = self.sent_at.take()
        {
            self.rtt.sample(now - sent_at);
        }
        Ok(())
    }

    /// PING came (PW-HB-007, PW-HB-017).
    pub(crate) fn ping(&mut self, now: Instant, number: u64) -> Result<(), ProtocolError> {
        let received = &mut self.received;
        let last = core::mem::replace(&mut received.last, number);
        if number <= last {
            return Err(ProtocolError::BadPing { number, last });
        }
        let full_at = received.full_at.max(now) + received.refill;
        if full_at - now > received.refill * BURST {
            return Err(ProtocolError::PingFlood);
        }
        received.full_at = full_at;
        self.draw_first_wait();
        Ok(())
    }

    /// When [`timeout`](Self::timeout) has something to do.
    #[inline]
    pub(crate) fn deadline(&self) -> Instant {
        match &self.state {
            State::Quiet => self.last_evidence + self.first_wait,
            State::Probing(probe) => probe.since + probe.wait,
            State::Spared { until } => *until,
        }
    }

    /// Time passed. Calling it early does nothing. Each wait without evidence brings the next PING, or the end (PW-HB-012).
    pub(crate) fn timeout(&mut self, now: Instant) -> Action {
        self.end_pause(now);
        let deadline = self.deadline();
        if now < deadline {
            return Action::Nothing;
        }
        let excess = self.rtt.wait(self.interval) - self.interval;
        match &mut self.state {
            State::Spared { .. } => Action::Nothing,
            State::Quiet => {
                self.state = State::Probing(Box::new(Probe::new(
                    now,
                    now - deadline,
                    self.interval,
                    excess,
                    self.extension_max,
                )));
                self.sent_at = None;
                Action::Ping
            }
            State::Probing(probe) => {
                probe.extensions.own_stalls += now - deadline;
                if !probe.flushed && probe.progressed {
                    // A slow link, not a dead one: wait for the PING to get through (PW-HB-011).
                    let extension = probe.extend(Cause::SlowWrite, probe.wait, self.extension_max);
                    if !extension.is_zero() {
                        (probe.since, probe.wait, probe.progressed) = (now, extension, false);
                        return Action::Nothing;
                    }
                }
                if now - deadline > self.interval && !probe.grace_spent {
                    // This side was late itself; it asks once more, and can't know better how long that may take.
                    probe.grace_spent = true;
                    probe.extensions.own_stalls += probe.wait;
                } else {
                    probe.unanswered += 1;
                }
                let unanswered = probe.unanswered;
                if unanswered >= self.probes {
                    return Action::GiveUp(self.verdict(now));
                }
                probe.wait_again(now, self.interval, excess, self.extension_max);
                let queues = core::mem::take(&mut probe.flushed);
                self.suspect_after(now, unanswered);
                if !queues {
                    return Action::Nothing;
                }
                self.sent_at = None;
                Action::Ping
            }
        }
    }

    /// Notes that this many probes are unanswered, and tells the application at the first one (PW-HB-018).
    fn suspect_after(&mut self, now: Instant, unanswered: u32) {
        if unanswered > 0 && self.suspect.replace(unanswered).is_none() {
            self.notice = Some(Notice::Suspect(Suspect { silent_for: now - self.last_evidence, unanswered }));
        }
    }

    /// What was seen, for the person who asks why.
    fn verdict(&self, now: Instant) -> Box<Verdict> {
        let silent_for = now - self.last_evidence;
        let (unanswered, extensions) = match &self.state {
            State::Quiet | State::Spared { .. } => (0, Extensions::default()),
            State::Probing(probe) => (probe.unanswered, probe.extensions),
        };
        Box::new(Verdict {
            silent_for,
            last_byte_in: silent_for,
            last_byte_out: None,
            unanswered,
            bound: self.bound(),
            for_round_trips: extensions.round_trips,
            for_slow_writes: extensions.slow_writes,
            for_own_stalls: extensions.own_stalls,
            unsent: 0,
            rtt: self.rtt.smoothed(),
        })
    }
}
