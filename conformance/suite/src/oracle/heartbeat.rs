//! The heartbeat of one connection (spec section 8): it says when to probe and when to give up.

mod pause;
mod round_trip;
#[cfg(test)]
mod timelines;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::fault::Fault;
use super::{Behaviour, Bug};
use crate::codec::registry::reason;
use pause::PeerPause;
use round_trip::RoundTrip;

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

/// PINGs of this side that may be unanswered at a time (PW-HB-025).
const UNANSWERED_MAX: usize = 14;

enum State {
    /// The peer gave a sign of life; at `probe_at` it is asked for another.
    Quiet { probe_at: Instant },
    /// It was asked, or would have been if the answers to so many PINGs were not due already.
    Probing(Probe),
}

/// A probe, and the wait for an answer to it.
struct Probe {
    acknowledged: bool,
    since: Instant,
    wait: Duration,
    /// What the wait may still be longer for bytes that go away slowly, when E is used up.
    slow: Duration,
    /// Waits that passed without a byte while its PING was not acknowledged.
    missed: u32,
    /// A byte was acknowledged since the wait began.
    progress: bool,
}

/// Probes, their answers, and the PINGs of the peer.
pub(super) struct Heartbeat {
    behaviour: Arc<Behaviour>,
    idle: Duration,
    interval: Duration,
    floor: Duration,
    state: State,
    unanswered: u32,
    /// What this silence was put off by: the E of PW-HB-013.
    extended: Duration,
    /// A probe stayed unanswered, and no evidence came since.
    suspect: bool,
    grace_used: bool,
    /// The number of the PING that was handed out last.
    last_asked: u64,
    /// The numbers of the PINGs that were handed out and not answered.
    asked: VecDeque<u64>,
    /// When the transport took the latest PING, until the first answer to it. A sign of life of another kind takes nothing away.
    taken_at: Option<Instant>,
    round_trip: Option<RoundTrip>,
    pause: PeerPause,
    highest_received: u64,
    tokens: f64,
    tokens_at: Instant,
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
            unanswered: 0,
            extended: Duration::ZERO,
            suspect: false,
            grace_used: false,
            last_asked: 0,
            asked: VecDeque::new(),
            taken_at: None,
            round_trip: None,
            highest_received: 0,
            tokens: 16.0,
            tokens_at: now,
        };
        heartbeat.evidence(now);
        heartbeat
    }

    /// The effective `idle` without jitter, and the effective `interval` (PW-HB-005).
    pub(super) fn effective(&self) -> (Duration, Duration) {
        (self.idle.max(self.floor), self.interval)
    }

    /// The peer gave a sign of life (PW-HB-004).
    fn evidence(&mut self, now: Instant) {
        if !self.behaviour.has(Bug::MissesAddUp) {
            self.unanswered = 0;
        }
        self.suspect = self.unanswered > 0;
        self.be_quiet(now);
    }

    fn be_quiet(&mut self, since: Instant) {
        self.extended = Duration::ZERO;
        self.grace_used = false;
        self.state = State::Quiet { probe_at: since + self.jittered_idle() };
    }

    /// A header that verifies came, or more of its packet: a sign of life, unless that is BUSY (PW-HB-001, PW-HB-002).
    pub(super) fn sign_of_life(&mut self, now: Instant) {
        self.end_pause(now);
        self.pause.other_evidence(now);
        self.evidence(now);
    }

    /// A part of BUSY came, which proves nothing: only a bug cares.
    pub(super) fn part_of_busy(&mut self, now: Instant) {
        if self.behaviour.has(Bug::BusyPartIsEvidence) {
            self.evidence(now);
        }
    }

    /// BUSY came whole (PW-HB-020); tells whether a PING that was not handed out is withdrawn.
    pub(super) fn busy(&mut self, pause: Duration, now: Instant) -> bool {
        // An answer behind it says nothing about the way (section 8.3).
        self.taken_at = None;
        self.end_pause(now);
        let is_evidence = self.pause.busy(pause, now);
        if is_evidence {
            self.evidence(now);
        }
        is_evidence
    }

    /// This side stops reading, and so does not see when an answer comes.
    pub(super) fn stop_reading(&mut self) {
        self.taken_at = None;
    }

    /// This side reads again (PW-HB-023), also where a pause of the peer has ended meanwhile.
    pub(super) fn read_again(&mut self, now: Instant) {
        self.taken_at = None;
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

    /// For how long pauses of the peer have been honoured, all together.
    pub(super) fn honoured(&self, now: Instant) -> Duration {
        self.pause.honoured(now)
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

    /// The transport took bytes, of whatever packet: as far as this side knows, they are acknowledged.
    pub(super) fn bytes_taken(&mut self) {
        if let State::Probing(probe) = &mut self.state {
            probe.progress = true;
        }
    }

    /// PING was handed out behind so many bytes that are not acknowledged, its own included.
    pub(super) fn ping_handed_out(&mut self, number: u64, unacknowledged: u64) {
        self.last_asked = number;
        self.asked.push_back(number);
        self.taken_at = None;
        let rate = u64::from(self.behaviour.profile.assembly_rate);
        if let State::Probing(probe) = &mut self.state {
            probe.slow = Duration::from_millis(unacknowledged * 1_000 / rate);
        }
    }

    /// The transport took the whole PING: the wait starts (PW-HB-010).
    pub(super) fn ping_taken(&mut self, now: Instant) {
        self.taken_at = Some(now);
        let State::Probing(mut probe) = std::mem::replace(&mut self.state, State::Quiet { probe_at: now }) else {
            return;
        };
        probe.acknowledged = true;
        let put_off = self.progress(now - probe.since, &mut probe);
        probe.since += put_off;
        self.forgive(&mut probe);
        self.state = State::Probing(probe);
    }

    /// When [`tick`](Self::tick) has something to do next.
    pub(super) fn deadline(&self) -> Instant {
        match (self.pause.until(), &self.state) {
            (Some(until), _) => until,
            (None, State::Quiet { probe_at }) => *probe_at,
            (None, State::Probing(probe)) => probe.since + probe.wait,
        }
    }

    /// Does what the time asks for.
    pub(super) fn tick(&mut self, now: Instant) -> Action {
        self.end_pause(now);
        let deadline = self.deadline();
        if self.pause.until().is_some() || now < deadline {
            return Action::Wait;
        }
        let State::Probing(mut probe) = std::mem::replace(&mut self.state, State::Quiet { probe_at: now }) else {
            return self.probe(now);
        };
        if !probe.acknowledged && (probe.progress || self.behaviour.has(Bug::WaitsForTransport)) {
            let endless = self.behaviour.has(Bug::WaitsForTransport);
            let more = if endless { probe.wait } else { self.progress(probe.wait, &mut probe) };
            if more > Duration::ZERO {
                self.forgive(&mut probe);
                self.state = State::Probing(Probe { since: now, wait: more, progress: false, ..probe });
                return Action::Wait;
            }
        }
        if now > deadline + self.interval && !self.grace_used && !self.behaviour.has(Bug::MissesInItsSleep) {
            self.grace_used = true;
        } else {
            self.unanswered += 1;
            probe.missed += u32::from(!probe.acknowledged);
            self.suspect = true;
        }
        let early = u32::from(self.behaviour.has(Bug::VerdictTooEarly));
        let enough = self.unanswered + early >= self.behaviour.profile.probes;
        if enough && !self.behaviour.has(Bug::NeverGivesUp) {
            return Action::GiveUp;
        }
        if probe.acknowledged {
            return self.probe(now);
        }
        let wait = self.next_wait();
        self.state = State::Probing(Probe { since: now, wait, progress: false, ..probe });
        Action::Wait
    }

    /// A PONG came (PW-HB-009).
    pub(super) fn pong(&mut self, number: u64, now: Instant) -> Result<(), Fault> {
        let is_zero = number == 0 && !self.behaviour.has(Bug::AcceptsPongZero);
        if (is_zero || number > self.last_asked) && !self.behaviour.has(Bug::AcceptsStrangePong) {
            return Err(Fault::new(reason::BAD_PONG));
        }
        if !self.behaviour.has(Bug::AnswersOneByOne) {
            self.asked.retain(|asked| *asked > number);
        } else if let Some(place) = self.asked.iter().position(|asked| *asked == number) {
            self.asked.remove(place);
        }
        if number == self.last_asked
            && let Some(taken_at) = self.taken_at.take()
        {
            RoundTrip::measure(&mut self.round_trip, now - taken_at);
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

    /// Asks the peer, unless it has as many PINGs to answer as it may: then it counts as asked, and the wait starts (PW-HB-025).
    fn probe(&mut self, now: Instant) -> Action {
        let is_full = self.asked.len() >= UNANSWERED_MAX && !self.behaviour.has(Bug::AsksWithoutEnd);
        if is_full && self.behaviour.has(Bug::ForgivesWhenFull) {
            self.state = State::Quiet { probe_at: now + self.idle };
            return Action::Wait;
        }
        let wait = self.next_wait();
        let probe = Probe { acknowledged: is_full, since: now, wait, slow: Duration::ZERO, missed: 0, progress: false };
        self.state = State::Probing(probe);
        if is_full {
            return Action::Wait;
        }
        let repeats = self.behaviour.has(Bug::PingNumberRepeats) && self.last_asked > 0;
        // A PING that is withdrawn was never sent, and leaves no hole.
        Action::Probe(self.last_asked + u64::from(!repeats))
    }

    /// Jitter comes first, then the floor (PW-HB-005).
    fn jittered_idle(&self) -> Duration {
        let share = 1.0 - 0.2 * self.behaviour.fraction();
        if self.behaviour.has(Bug::JittersBelowFloor) {
            return self.idle.max(self.floor).mul_f64(share);
        }
        self.idle.mul_f64(share).max(self.floor)
    }

    /// The next wait for an answer (section 8.3). What it is longer than `interval` is taken from what is left of E.
    fn next_wait(&mut self) -> Duration {
        if self.behaviour.has(Bug::ProbesInARow) && self.unanswered + 1 < self.behaviour.profile.probes {
            return self.interval / 8;
        }
        let measured = self.round_trip.as_ref().map_or(Duration::ZERO, RoundTrip::wait);
        let wait = measured.clamp(self.interval, self.interval * 4);
        self.interval + self.extend(wait - self.interval)
    }

    /// Puts the verdict off by as much of `time` as E permits (PW-HB-013).
    fn extend(&mut self, time: Duration) -> Duration {
        let granted = time.min(self.extension_max().saturating_sub(self.extended));
        self.extended += granted;
        granted
    }

    /// Its default speaks of effective numbers.
    fn extension_max(&self) -> Duration {
        let (idle, interval) = self.effective();
        self.behaviour.profile.extension_max.unwrap_or(idle + interval * self.behaviour.profile.probes)
    }

    /// A byte went away: the waits that this PING missed before count no more, as far as there is room for them (PW-HB-011).
    fn forgive(&mut self, probe: &mut Probe) {
        if self.behaviour.has(Bug::ForgivesNoLump) {
            return;
        }
        while probe.missed > 0 && self.extension_max().saturating_sub(self.extended) + probe.slow >= self.interval {
            self.progress(self.interval, probe);
            probe.missed -= 1;
            self.unanswered -= 1;
        }
    }

    /// The same, where bytes go away slowly: each PING has something more for that.
    fn progress(&mut self, time: Duration, probe: &mut Probe) -> Duration {
        let granted = self.extend(time);
        let more = (time - granted).min(probe.slow);
        probe.slow -= more;
        granted + more
    }
}
