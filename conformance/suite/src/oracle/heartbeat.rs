//! The heartbeat of one connection (spec section 8): it says when to probe and when to give up.

mod pause;

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::fault::Fault;
use super::{Behaviour, Bug};
use crate::codec::registry::{kind, reason};
use pause::PeerPause;

/// What a deadline asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// Nothing is due.
    Wait,
    /// Send PING with this number.
    Probe(u64),
    /// Close with PEER_TIMEOUT.
    GiveUp,
}

enum State {
    /// The peer gave a sign of life; at `probe_at` it is asked for another.
    Quiet { probe_at: Instant },
    /// PING went out and nothing came back yet.
    Probing { taken_at: Option<Instant>, deadline: Instant, progress: bool },
}

/// Probes, their answers, and the PINGs of the peer.
pub(super) struct Heartbeat {
    behaviour: Arc<Behaviour>,
    idle: Duration,
    interval: Duration,
    floor: Duration,
    state: State,
    silent_since: Instant,
    unanswered: u32,
    /// A probe stayed unanswered, and no evidence came since.
    suspect: bool,
    grace_used: bool,
    last_number: u64,
    /// When the transport took the latest PING, until the first answer to it. A sign of life of another kind takes nothing away.
    taken_at: Option<Instant>,
    round_trip: Option<RoundTrip>,
    pause: PeerPause,
    highest_received: u64,
    tokens: f64,
    tokens_at: Instant,
}

/// The estimator of RFC 6298, in seconds.
struct RoundTrip {
    smoothed: f64,
    variation: f64,
}

impl Heartbeat {
    /// `peer_floor` is the PING_FLOOR that the peer announced.
    pub(super) fn new(behaviour: Arc<Behaviour>, peer_floor: Duration, now: Instant) -> Self {
        let floor = if behaviour.has(Bug::IgnoresPingFloor) { Duration::ZERO } else { peer_floor };
        let mut heartbeat = Self {
            idle: behaviour.profile.idle,
            interval: behaviour.profile.interval.max(floor),
            pause: PeerPause::new(Arc::clone(&behaviour)),
            behaviour,
            floor,
            state: State::Quiet { probe_at: now },
            silent_since: now,
            unanswered: 0,
            suspect: false,
            grace_used: false,
            last_number: 0,
            taken_at: None,
            round_trip: None,
            highest_received: 0,
            tokens: 16.0,
            tokens_at: now,
        };
        heartbeat.evidence(now);
        heartbeat
    }

    /// The peer gave a sign of life (PW-HB-004).
    pub(super) fn evidence(&mut self, now: Instant) {
        if !self.behaviour.has(Bug::MissesAddUp) {
            self.unanswered = 0;
        }
        self.suspect = self.unanswered > 0;
        self.be_quiet(now);
    }

    fn be_quiet(&mut self, since: Instant) {
        self.silent_since = since;
        self.grace_used = false;
        self.state = State::Quiet { probe_at: since + self.jittered_idle() };
    }

    /// A packet other than BUSY came: it is a sign of life (PW-HB-001).
    pub(super) fn packet(&mut self, now: Instant) {
        self.end_pause(now);
        self.pause.other_packet();
        self.evidence(now);
    }

    /// BUSY came (PW-HB-020); tells whether the peer pauses now.
    pub(super) fn busy(&mut self, pause: Duration, now: Instant) -> bool {
        // An answer behind it says nothing about the way (section 8.3).
        self.taken_at = None;
        self.end_pause(now);
        if self.pause.busy(pause, now) {
            self.evidence(now);
        }
        self.pause.until().is_some()
    }

    /// Bytes of a payload came, whose header was verified (PW-HB-002).
    pub(super) fn payload(&mut self, kind: u8, now: Instant) {
        self.end_pause(now);
        if kind != kind::BUSY || !self.pause.ignores_busy(now) {
            self.evidence(now);
        }
    }

    /// This side reads again (PW-HB-023), also where a pause of the peer has ended meanwhile.
    pub(super) fn read_again(&mut self, now: Instant) {
        self.end_pause(now);
        self.begin_silence(now);
    }

    /// The silence begins anew when a pause of the peer ended (PW-HB-022), or one of this side. That is no evidence: a peer that
    /// was suspect still is.
    fn begin_silence(&mut self, at: Instant) {
        self.unanswered = 0;
        self.be_quiet(at);
    }

    fn end_pause(&mut self, now: Instant) {
        if let Some(end) = self.pause.end(now)
            && !self.behaviour.has(Bug::SilenceCountsPause)
        {
            self.begin_silence(end);
        }
    }

    /// Whether the peer pauses.
    pub(super) fn peer_pauses(&self) -> bool {
        self.pause.until().is_some()
    }

    /// Whether a probe of this silence stayed unanswered for its wait (PW-HB-018).
    pub(super) fn is_suspect(&self) -> bool {
        self.suspect
    }

    /// This side sent a message, which is no evidence: only the bug cares.
    pub(super) fn sent_message(&mut self, now: Instant) {
        if self.behaviour.has(Bug::PingSuppressedBySending) {
            self.state = State::Quiet { probe_at: now + self.idle };
        }
    }

    /// The transport took bytes, of whatever packet.
    pub(super) fn bytes_taken(&mut self) {
        if let State::Probing { progress, .. } = &mut self.state {
            *progress = true;
        }
    }

    /// The transport took the whole PING (PW-HB-010).
    pub(super) fn ping_taken(&mut self, now: Instant) {
        self.taken_at = Some(now);
        let wait = self.wait();
        if let State::Probing { taken_at, deadline, .. } = &mut self.state {
            *taken_at = Some(now);
            *deadline = now + wait;
        }
    }

    pub(super) fn deadline(&self) -> Instant {
        if let Some(until) = self.pause.until() {
            return until;
        }
        match self.state {
            State::Quiet { probe_at } => probe_at,
            State::Probing { deadline, .. } => deadline.min(self.latest_verdict()),
        }
    }

    /// Does what the time asks for.
    pub(super) fn tick(&mut self, now: Instant) -> Action {
        self.end_pause(now);
        if now < self.deadline() {
            return Action::Wait;
        }
        let (wait, latest) = (self.wait(), self.latest_verdict());
        match &mut self.state {
            State::Quiet { .. } => return self.probe(now),
            State::Probing { taken_at: None, deadline, .. } if self.behaviour.has(Bug::WaitsForTransport) => {
                *deadline = now + wait;
                return Action::Wait;
            }
            State::Probing { .. } if now >= latest => {}
            State::Probing { deadline, .. } if now > *deadline + self.interval && !self.grace_used => {
                self.grace_used = true;
                return self.probe(now);
            }
            State::Probing { taken_at: None, deadline, progress } if *progress => {
                *progress = false;
                *deadline = now + wait;
                return Action::Wait;
            }
            State::Probing { .. } => {}
        }
        self.unanswered += 1;
        self.suspect = true;
        let early = u32::from(self.behaviour.has(Bug::VerdictTooEarly));
        let enough = self.unanswered + early >= self.behaviour.profile.probes || now >= latest;
        if enough && !self.behaviour.has(Bug::NeverGivesUp) { Action::GiveUp } else { self.probe(now) }
    }

    /// A PONG came (PW-HB-009).
    pub(super) fn pong(&mut self, number: u64, now: Instant) -> Result<(), Fault> {
        let is_zero = number == 0 && !self.behaviour.has(Bug::AcceptsPongZero);
        if (is_zero || number > self.last_number) && !self.behaviour.has(Bug::AcceptsStrangePong) {
            return Err(Fault::new(reason::BAD_PONG));
        }
        if number == self.last_number
            && let Some(taken_at) = self.taken_at.take()
        {
            self.measure((now - taken_at).as_secs_f64());
        }
        Ok(())
    }

    /// A PING came (PW-HB-007, PW-HB-017).
    pub(super) fn ping(&mut self, number: u64, now: Instant) -> Result<(), Fault> {
        if number <= self.highest_received {
            return Err(Fault::new(reason::BAD_PING));
        }
        self.highest_received = number;
        let refill = self.behaviour.profile.ping_floor.as_secs_f64() / 2.0;
        let gained = (now - self.tokens_at).as_secs_f64() / refill;
        let gained = if self.behaviour.has(Bug::NeverRefills) { 0.0 } else { gained };
        let most = if self.behaviour.has(Bug::SavesUpPings) { f64::MAX } else { 16.0 };
        self.tokens = (self.tokens + gained).min(most) - 1.0;
        self.tokens_at = now;
        if self.tokens < 0.0 && !self.behaviour.has(Bug::NoFloodLimit) {
            return Err(Fault::new(reason::PING_FLOOD));
        }
        Ok(())
    }

    fn probe(&mut self, now: Instant) -> Action {
        let repeats = self.behaviour.has(Bug::PingNumberRepeats) && self.last_number > 0;
        self.last_number += u64::from(!repeats);
        self.taken_at = None;
        self.state = State::Probing { taken_at: None, deadline: now + self.wait(), progress: false };
        Action::Probe(self.last_number)
    }

    /// Jitter comes first, then the floor (PW-HB-005).
    fn jittered_idle(&self) -> Duration {
        let share = 1.0 - 0.2 * self.behaviour.fraction();
        self.idle.mul_f64(share).max(self.floor)
    }

    /// The wait for an answer (section 8.3).
    fn wait(&self) -> Duration {
        if self.behaviour.has(Bug::ProbesInARow) && self.unanswered + 1 < self.behaviour.profile.probes {
            return self.interval / 8;
        }
        let measured = self.round_trip.as_ref().map_or(Duration::ZERO, |round_trip| {
            Duration::from_secs_f64(round_trip.smoothed + 4.0 * round_trip.variation)
        });
        measured.clamp(self.interval, self.interval * 4)
    }

    /// However much the verdict was put off, it comes by then (PW-HB-013).
    fn latest_verdict(&self) -> Instant {
        if self.behaviour.has(Bug::NeverGivesUp) {
            return self.silent_since + Duration::from_secs(86_400);
        }
        let longest_silence = self.idle.max(self.floor) + self.interval * self.behaviour.profile.probes;
        self.silent_since + longest_silence + self.behaviour.profile.extension_max
    }

    fn measure(&mut self, sample: f64) {
        match &mut self.round_trip {
            None => self.round_trip = Some(RoundTrip { smoothed: sample, variation: sample / 2.0 }),
            Some(RoundTrip { smoothed, variation }) => {
                *variation = 0.75 * *variation + 0.25 * (*smoothed - sample).abs();
                *smoothed = 0.875 * *smoothed + 0.125 * sample;
            }
        }
    }
}
