//! The heartbeat (section 8 of the specification): a machine of its own that is told what happened and says what to do.
//!
//! It touches nothing else. Evidence is recorded by storing one instant, so that a packet costs next to nothing; deadlines
//! are worked out when somebody asks.

use alloc::boxed::Box;
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
    /// Queue PING.
    Ping,
    /// Give the peer up; a sentence with the particulars.
    GiveUp(String),
}

#[derive(Debug, Clone)]
enum State {
    /// The peer was heard of lately; `idle` (with jitter) after `last_evidence` comes the first PING.
    Quiet,
    /// Rare, so that it takes no room in a connection that is merely idle.
    Probing(Box<Probe>),
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

impl Probe {
    /// As much of `wanted` as this silence may still be extended by (PW-HB-013).
    fn extend(&mut self, wanted: Duration, extension_max: Duration) -> Duration {
        let granted = wanted.min(extension_max.saturating_sub(self.extended));
        self.extended += granted;
        granted
    }

    /// Starts the next wait for an answer.
    fn wait_again(&mut self, now: Instant, interval: Duration, excess: Duration, extension_max: Duration) {
        self.since = now;
        self.wait = interval + self.extend(excess, extension_max);
        self.progressed = false;
    }
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
            // Half of what was announced, which is whole milliseconds.
            received: Received {
                last: None,
                refill: Duration::from_millis(millis(config.ping_floor)) / 2,
                full_at: now,
            },
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

    pub(crate) fn rtt(&self) -> Option<Duration> {
        self.rtt.smoothed()
    }

    /// The peer lives (PW-HB-001, PW-HB-002, PW-HB-004).
    #[inline]
    pub(crate) fn evidence(&mut self, now: Instant) {
        self.last_evidence = now;
        if let State::Probing(_) = self.state {
            self.state = State::Quiet;
            self.draw_first_wait();
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
            probe.since = probe.since + probe.extend(now - probe.since, self.extension_max);
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
        self.draw_first_wait();
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
        let excess = self.rtt.wait(self.interval) - self.interval;
        match &mut self.state {
            State::Quiet => {
                let mut probe = Probe {
                    unanswered: 0,
                    since: now,
                    wait: self.interval,
                    flushed: false,
                    progressed: false,
                    grace_spent: false,
                    extended: Duration::ZERO,
                };
                probe.wait_again(now, self.interval, excess, self.extension_max);
                self.state = State::Probing(Box::new(probe));
                self.sent_at = None;
                Action::Ping
            }
            State::Probing(probe) => {
                if !probe.flushed && probe.progressed {
                    // A slow link, not a dead one: wait for the PING to get through (PW-HB-011).
                    let extension = probe.extend(probe.wait, self.extension_max);
                    if !extension.is_zero() {
                        (probe.since, probe.wait, probe.progressed) = (now, extension, false);
                        return Action::Nothing;
                    }
                }
                if now - deadline > self.interval && !probe.grace_spent {
                    // This side was late itself; it asks once more, and can't know better how long that may take.
                    probe.grace_spent = true;
                    probe.extend(probe.wait, self.extension_max);
                } else {
                    probe.unanswered += 1;
                }
                if probe.unanswered >= self.probes {
                    return Action::GiveUp(self.verdict(now));
                }
                probe.wait_again(now, self.interval, excess, self.extension_max);
                if !probe.flushed {
                    return Action::Nothing;
                }
                probe.flushed = false;
                self.sent_at = None;
                Action::Ping
            }
        }
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
