//! The heartbeat (section 8 of the specification): a machine of its own that is told what happened and says what to do.
//!
//! It touches nothing else. Evidence is recorded by storing one instant, so that a packet costs next to nothing; deadlines
//! are worked out when somebody asks.

use alloc::format;
use alloc::string::String;
use core::time::Duration;

use crate::config::{HeartbeatConfig, millis};
use crate::error::ProtocolError;
use crate::rtt::RttEstimator;
use crate::time::{Instant, nanos};

/// What the connection has to do now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Action {
    Nothing,
    /// Queue PING with this number.
    Ping(u64),
    /// Give the peer up; a sentence with the particulars.
    GiveUp(String),
}

#[derive(Debug, Clone)]
enum State {
    /// The peer was heard of lately; `idle` (with jitter) after `last_evidence` comes the first PING.
    Quiet,
    Probing(Probe),
}

/// One silence that is being probed.
#[derive(Debug, Clone)]
struct Probe {
    unanswered: u32,
    /// When the current wait began: when the PING was queued, later when the transport took it.
    since: Instant,
    wait: Duration,
    /// The transport took the latest PING.
    flushed: bool,
    /// The transport took some byte during this wait.
    progressed: bool,
    /// The one probe for a stall of our own was spent (PW-HB-016).
    grace_spent: bool,
    /// What this silence was extended by so far.
    extended: Duration,
}

#[derive(Debug, Clone)]
pub(crate) struct Heartbeat {
    idle: Duration,
    interval: Duration,
    probes: u32,
    extension_max: Duration,
    /// `idle` less its jitter.
    first_wait: Duration,
    jitter: u64,
    last_evidence: Instant,
    rtt: RttEstimator,
    /// The number of the latest PING queued, and when the transport took it, if it is unanswered.
    sent: u64,
    sent_at: Option<Instant>,
    state: State,
    received: Received,
}

/// The peer's PINGs: the last number, and the bucket that meters them (PW-HB-017).
#[derive(Debug, Clone)]
struct Received {
    last: Option<u64>,
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
        let mut heartbeat = Self {
            idle,
            interval,
            probes: config.probes,
            extension_max: config.extension_max.unwrap_or(bound),
            first_wait: idle,
            // Zero is the one state that xorshift never leaves.
            jitter: jitter | 1,
            last_evidence: now,
            rtt: RttEstimator::default(),
            sent: 0,
            sent_at: None,
            state: State::Quiet,
            received: Received { last: None, refill: config.ping_floor / 2, full_at: now },
        };
        heartbeat.draw_first_wait(config.idle, peer_floor);
        heartbeat
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

    pub(crate) fn rtt(&self) -> Option<Duration> {
        self.rtt.smoothed()
    }

    /// Shortens `idle` by a random 0 to 20 % and then raises it to the floor: in this order, or jitter would undercut it.
    fn draw_first_wait(&mut self, idle: Duration, floor: Duration) {
        self.jitter ^= self.jitter << 13;
        self.jitter ^= self.jitter >> 7;
        self.jitter ^= self.jitter << 17;
        let shortening = idle.mul_f64((self.jitter >> 40) as f64 / (1u64 << 24) as f64 / 5.0);
        self.first_wait = (idle - shortening).max(floor);
    }

    /// The peer lives (PW-HB-001, PW-HB-002, PW-HB-004).
    #[inline]
    pub(crate) fn evidence(&mut self, now: Instant) {
        self.last_evidence = now;
        if let State::Probing(_) = self.state {
            self.state = State::Quiet;
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
            let extension = (now - probe.since).min(self.extension_max.saturating_sub(probe.extended));
            probe.since = probe.since + extension;
            probe.extended += extension;
        }
    }

    /// PONG came (PW-HB-009). The evidence is recorded by the caller, as for every packet.
    pub(crate) fn pong(&mut self, now: Instant, number: u64) -> Result<(), ProtocolError> {
        if number > self.sent || self.sent == 0 {
            return Err(ProtocolError::BadPong { number, last: self.sent });
        }
        // Only the latest PING's answer tells the round trip; an older one's may belong to either.
        if number == self.sent
            && let Some(sent_at) = self.sent_at.take()
        {
            self.rtt.sample(now - sent_at);
        }
        Ok(())
    }

    /// PING came (PW-HB-007, PW-HB-017).
    pub(crate) fn ping(&mut self, now: Instant, number: u64) -> Result<(), ProtocolError> {
        let received = &mut self.received;
        if let Some(last) = received.last.replace(number)
            && number <= last
        {
            return Err(ProtocolError::BadPing { number, last });
        }
        let full_at = received.full_at.max(now) + received.refill;
        if full_at - now > received.refill * BURST {
            return Err(ProtocolError::PingFlood);
        }
        received.full_at = full_at;
        Ok(())
    }

    /// When [`timeout`](Self::timeout) has something to do.
    #[inline]
    pub(crate) fn deadline(&self) -> Instant {
        match &self.state {
            State::Quiet => self.last_evidence + self.first_wait,
            State::Probing(probe) => probe.since + probe.wait,
        }
    }

    /// Time passed. Calling it early does nothing.
    pub(crate) fn timeout(&mut self, now: Instant) -> Action {
        let deadline = self.deadline();
        if now < deadline {
            return Action::Nothing;
        }
        match &mut self.state {
            State::Quiet => {
                self.state = State::Probing(Probe {
                    unanswered: 0,
                    since: now,
                    wait: self.rtt.wait(self.interval).min(self.interval + self.extension_max),
                    flushed: false,
                    progressed: false,
                    grace_spent: false,
                    extended: Duration::ZERO,
                });
                self.next_ping()
            }
            State::Probing(probe) => {
                let left = self.extension_max.saturating_sub(probe.extended);
                if !probe.flushed && probe.progressed && !left.is_zero() {
                    // A slow link, not a dead one: wait for the PING to get through (PW-HB-011).
                    let extension = probe.wait.min(left);
                    probe.extended += extension;
                    probe.since = now;
                    probe.wait = extension;
                    probe.progressed = false;
                    return Action::Nothing;
                }
                if now - deadline > self.interval && !probe.grace_spent {
                    probe.grace_spent = true;
                } else {
                    probe.unanswered += 1;
                }
                if probe.unanswered >= self.probes {
                    return Action::GiveUp(self.verdict(now));
                }
                let wait = self.rtt.wait(self.interval);
                let extension = (wait - self.interval).min(self.extension_max.saturating_sub(probe.extended));
                probe.extended += extension;
                probe.wait = self.interval + extension;
                probe.since = now;
                probe.progressed = false;
                if probe.flushed { self.next_ping() } else { Action::Nothing }
            }
        }
    }

    fn next_ping(&mut self) -> Action {
        self.sent += 1;
        self.sent_at = None;
        if let State::Probing(probe) = &mut self.state {
            probe.flushed = false;
        }
        Action::Ping(self.sent)
    }

    /// What was seen, for the person who asks why.
    fn verdict(&self, now: Instant) -> String {
        let extended = match &self.state {
            State::Quiet => Duration::ZERO,
            State::Probing(probe) => probe.extended,
        };
        let rtt = self.rtt.smoothed().map_or_else(|| String::from("unknown"), |rtt| format!("{rtt:?}"));
        format!(
            "silent for {} ms; {} probes unanswered; allowed {} ms + {} ms for slow writes and round trips; round trip {rtt}",
            millis(now - self.last_evidence),
            self.probes,
            millis(self.bound()),
            nanos(extended) / 1_000_000,
        )
    }
}
