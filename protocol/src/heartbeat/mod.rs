//! The heartbeat (section 8 of the specification): a machine of its own that is told what happened and says what to do.
//!
//! It touches nothing else. Evidence is recorded by storing one instant, so that a packet costs next to nothing; deadlines
//! are worked out when somebody asks.

#[cfg(test)]
mod flood_model;
#[cfg(test)]
mod model;
mod pause;
mod probe;

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::num::NonZeroU8;
use core::time::Duration;

use probe::{Extensions, Probe};

use crate::config::HeartbeatConfig;
use crate::error::ProtocolError;
use crate::event::{Recovered, Suspect};
use crate::rtt::{Rtt, RttEstimator};
use crate::time::{Instant, MaybeInstant, millis, nanos};
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
    /// The state of a random generator, which is never 0. Its upper bits are the jitter of the silence.
    jitter: u64,
    last_evidence: Instant,
    rtt: RttEstimator,
    /// From when the round trip of the latest PING is measured, if it is on its way and no answer came.
    sent_at: MaybeInstant,
    /// When a PING was last handed out: the next one keeps the distance of the floor (PW-HB-026).
    last_ping: MaybeInstant,
    state: State,
    /// When pauses of the peer that follow each other must have ended (PW-HB-021); none before the first of them.
    pauses_end: MaybeInstant,
    /// What the application has not been told yet, in order.
    notices: Option<Box<Notices>>,
    /// The number of the peer's last PING; 0 before the first.
    last_received: u64,
    /// The bucket that meters the peer's PINGs, as a time (PW-HB-017): it is full once this has passed, and empty when this lies
    /// `BURST` refills ahead.
    full_at: Instant,
    /// The floor that the peer announced, in milliseconds.
    floor: u32,
    /// The application knows that the peer is suspect: after this many probes, of which there are at most ten.
    suspect: Option<NonZeroU8>,
    /// PINGs handed out and not answered.
    unanswered: u8,
}

#[derive(Debug, Clone, Default)]
struct Notices {
    waiting: Vec<Notice>,
}

/// The numbers that hold with this peer. They are worked out when they are asked for: a connection that keeps them is half as large
/// again.
#[derive(Debug, Clone, Copy)]
struct Effective {
    idle: Duration,
    interval: Duration,
    probes: u32,
    extension_max: Duration,
}

impl Effective {
    fn bound(&self) -> Duration {
        self.idle + self.interval * self.probes
    }
}

/// How many PINGs may come at once (PW-HB-017).
const BURST: u32 = 16;

/// How many PINGs of this side may be unanswered (PW-HB-025): never more than the peer admits at once, even where the network
/// held back all of them, and this side sends another when the first of them is answered.
const UNANSWERED_MAX: u8 = 14;

/// How much news is kept for a driver that does not ask for it. Most have to keep one.
const NOTICES_MAX: usize = 4;

impl Heartbeat {
    /// `peer_floor` is what the peer announced; `idle` and `interval` are raised to it (PW-HB-005).
    pub(crate) fn new(now: Instant, peer_floor: Duration, jitter: u64) -> Self {
        let mut heartbeat = Self {
            jitter: jitter | 1,
            last_evidence: now,
            rtt: RttEstimator::default(),
            sent_at: MaybeInstant::NONE,
            last_ping: MaybeInstant::NONE,
            state: State::Quiet,
            pauses_end: MaybeInstant::NONE,
            notices: None,
            last_received: 0,
            full_at: now,
            // What is announced is at most a minute.
            floor: millis(peer_floor) as u32,
            suspect: None,
            unanswered: 0,
        };
        heartbeat.draw_first_wait();
        heartbeat
    }

    /// The shortest time between PINGs that the peer tolerates.
    pub(crate) fn floor(&self) -> Duration {
        Duration::from_millis(self.floor.into())
    }

    fn effective(&self, config: &HeartbeatConfig) -> Effective {
        let (idle, interval) = (self.idle(config), self.interval(config));
        let extension_max = config.extension_max.unwrap_or_else(|| idle + interval * config.probes);
        Effective { idle, interval, probes: config.probes, extension_max }
    }

    /// `idle` less the jitter of this silence, which must not undercut the floor.
    fn first_wait(&self, config: &HeartbeatConfig) -> Duration {
        let idle = self.idle(config);
        let spread = idle - (config.idle * 4 / 5).max(self.floor());
        let part = (u128::from(nanos(spread)) * u128::from(self.jitter >> 40)) >> 24;
        // Less than `spread`, which fits.
        idle - Duration::from_nanos(part as u64)
    }

    /// Draws the jitter of the next silence (PW-HB-006). It is drawn when a PING or its answer ended a silence, so that the
    /// sides of an idle pair take turns in probing, and a message only ever moves the deadline to later.
    fn draw_first_wait(&mut self) {
        // Marsaglia's xorshift: nobody has to be kept from guessing it.
        self.jitter ^= self.jitter << 13;
        self.jitter ^= self.jitter >> 7;
        self.jitter ^= self.jitter << 17;
    }

    pub(crate) fn idle(&self, config: &HeartbeatConfig) -> Duration {
        config.idle.max(self.floor())
    }

    pub(crate) fn interval(&self, config: &HeartbeatConfig) -> Duration {
        config.interval.max(self.floor())
    }

    /// `idle + interval * probes`, effective.
    pub(crate) fn bound(&self, config: &HeartbeatConfig) -> Duration {
        self.effective(config).bound()
    }

    pub(crate) fn rtt(&self) -> Option<Rtt> {
        self.rtt.rtt()
    }

    pub(crate) fn take_notice(&mut self) -> Option<Notice> {
        let notices = self.notices.as_mut()?;
        let notice = notices.waiting.remove(0);
        if notices.waiting.is_empty() {
            self.notices = None;
        }
        Some(notice)
    }

    /// Whether a notice waits.
    pub(crate) fn has_notice(&self) -> bool {
        self.notices.is_some()
    }

    /// Whether a notice waits, or the next evidence brings one.
    #[inline]
    pub(crate) fn has_news(&self) -> bool {
        self.suspect.is_some() || self.has_notice()
    }

    fn notify(&mut self, notice: Notice) {
        let Notices { waiting } = &mut **self.notices.get_or_insert_default();
        if waiting.len() >= NOTICES_MAX {
            waiting.remove(0);
        }
        waiting.push(notice);
    }

    /// A header that verifies came, or more of its packet, so the peer lives (PW-HB-001, PW-HB-002). Not for BUSY, which
    /// [`busy`](Self::busy) judges. Returns whether a PING that waits is to be withdrawn (PW-HB-004).
    #[inline]
    #[must_use]
    pub(crate) fn evidence(&mut self, now: Instant) -> bool {
        let mut probed = false;
        if !matches!(self.state, State::Quiet) || self.suspect.is_some() || self.pauses_end.is_some() {
            probed = self.end_silence(now);
            self.end_pauses();
        }
        self.last_evidence = now;
        probed
    }

    /// Unanswered probes are forgotten (PW-HB-004), so a peer that answers is never given up (PW-HB-014). Returns whether there was
    /// one.
    #[cold]
    fn end_silence(&mut self, now: Instant) -> bool {
        self.end_pause(now);
        if let Some(unanswered) = self.suspect.take() {
            self.notify(Notice::Recovered(Recovered {
                silent_for: now - self.last_evidence,
                unanswered: unanswered.get().into(),
            }));
        }
        match self.state {
            State::Probing(_) => {
                self.state = State::Quiet;
                self.draw_first_wait();
                true
            }
            State::Quiet | State::Spared { .. } => false,
        }
    }

    /// The application wants a PING that no silence asks for. Returns whether one may be queued: what probes a silence goes before,
    /// and the limits of the peer hold for all (PW-HB-025, PW-HB-026).
    pub(crate) fn ask(&mut self, now: Instant) -> bool {
        self.end_pause(now);
        let distant = self.last_ping.get().is_none_or(|at| now >= at + self.floor());
        let may = matches!(self.state, State::Quiet) && self.unanswered < UNANSWERED_MAX && distant;
        if may {
            self.sent_at = MaybeInstant::NONE;
        }
        may
    }

    /// Bytes were acknowledged, but not yet the PING that waits.
    pub(crate) fn progress(&mut self) {
        if let State::Probing(probe) = &mut self.state {
            probe.progressed = true;
        }
    }

    /// The latest PING was handed out. All that was not acknowledged then takes so long to go away at the least rate. `told`: the
    /// transport tells what is acknowledged.
    pub(crate) fn handed_out(&mut self, now: Instant, transfer: Duration, told: bool) {
        self.last_ping = MaybeInstant::some(now);
        self.unanswered = self.unanswered.saturating_add(1);
        if let State::Probing(probe) = &mut self.state {
            probe.transfer = transfer;
            probe.look = told.then(|| probe.wait / probe::FIRST_LOOK);
        }
    }

    /// The transport has the latest PING, and all before it is acknowledged: from here the round trip counts (section 8.3).
    pub(crate) fn departed(&mut self, now: Instant) {
        self.sent_at = MaybeInstant::some(now);
    }

    /// The latest PING is acknowledged: the wait for its answer starts (PW-HB-010).
    pub(crate) fn acknowledged(&mut self, now: Instant, config: &HeartbeatConfig) {
        let Effective { interval, extension_max, .. } = self.effective(config);
        if let State::Probing(probe) = &mut self.state
            && !probe.acknowledged
        {
            probe.acknowledged = true;
            // The wait runs from here; what lay before extends the silence, as far as that may be extended.
            probe.since = probe.since + probe.extend_for_progress(now - probe.since, extension_max);
            probe.forgive(interval, extension_max);
        }
    }

    /// PONG came (PW-HB-009); `last` is the number of the latest PING handed out, and all from 1 to `last` were. The
    /// evidence is recorded by the caller, as for every packet.
    pub(crate) fn pong(&mut self, now: Instant, number: u64, last: u64) -> Result<(), ProtocolError> {
        if !(1..=last).contains(&number) {
            return Err(ProtocolError::BadPong { number, last });
        }
        // As many of the latest as come after this number, at the most.
        self.unanswered = self.unanswered.min(u8::try_from(last - number).unwrap_or(u8::MAX));
        // Only the latest PING's answer tells the round trip; an older one's may belong to either.
        if number == last
            && let Some(sent_at) = self.sent_at.take()
        {
            self.rtt.sample(now - sent_at);
        }
        Ok(())
    }

    /// PING came (PW-HB-007, PW-HB-017).
    pub(crate) fn ping(&mut self, now: Instant, number: u64, config: &HeartbeatConfig) -> Result<(), ProtocolError> {
        let last = core::mem::replace(&mut self.last_received, number);
        if number <= last {
            return Err(ProtocolError::BadPing { number, last });
        }
        // Half of what was announced, which is whole milliseconds.
        let refill = Duration::from_millis(millis(config.ping_floor)) / 2;
        let full_at = self.full_at.max(now) + refill;
        if full_at - now > refill * BURST {
            return Err(ProtocolError::PingFlood);
        }
        self.full_at = full_at;
        self.draw_first_wait();
        Ok(())
    }

    /// When [`timeout`](Self::timeout) has something to do.
    #[inline]
    pub(crate) fn deadline(&self, config: &HeartbeatConfig) -> Instant {
        match &self.state {
            State::Quiet => self.last_evidence + self.first_wait(config),
            State::Probing(probe) => probe.deadline(),
            State::Spared { until } => *until,
        }
    }

    /// Time passed. Calling it early does nothing. Each wait without evidence brings the next PING, or the end (PW-HB-012).
    /// `transfer` is what the bytes that are not acknowledged may take.
    pub(crate) fn timeout(&mut self, now: Instant, transfer: Duration, config: &HeartbeatConfig) -> Action {
        self.end_pause(now);
        let deadline = self.deadline(config);
        if now < deadline {
            return Action::Nothing;
        }
        let effective = self.effective(config);
        let Effective { interval, probes, extension_max, .. } = effective;
        let excess = self.rtt.wait(interval) - interval;
        match &mut self.state {
            State::Spared { .. } => Action::Nothing,
            State::Quiet => {
                self.state = State::Probing(Box::new(Probe::new(now, now - deadline, interval, excess, extension_max)));
                self.probe(now, transfer)
            }
            State::Probing(probe) if now < probe.since + probe.wait => {
                probe.looked(now);
                match probe.held.take_if(|held| now >= *held) {
                    Some(_) => Action::Ping,
                    None => Action::Nothing,
                }
            }
            State::Probing(probe) => {
                let deadline = probe.since + probe.wait;
                probe.extensions.own_stalls += now - deadline;
                // The floor is no longer than a wait: what was held for it may go by now (PW-HB-026).
                let otherwise = if probe.held.take().is_some() { Action::Ping } else { Action::Nothing };
                if !probe.acknowledged && probe.progressed {
                    // A slow link, not a dead one: wait for the PING to get through (PW-HB-011).
                    let extension = probe.extend_for_progress(probe.wait, extension_max);
                    if !extension.is_zero() {
                        (probe.since, probe.wait, probe.progressed) = (now, extension, false);
                        probe.forgive(interval, extension_max);
                        return otherwise;
                    }
                }
                if now - deadline > interval && !probe.grace_spent {
                    // This side was late itself; it asks once more, and can't know better how long that may take.
                    probe.grace_spent = true;
                    probe.extensions.own_stalls += probe.wait;
                } else {
                    probe.unanswered += 1;
                    probe.missed += u32::from(!probe.acknowledged);
                }
                let unanswered = probe.unanswered;
                if unanswered >= probes {
                    return Action::GiveUp(self.verdict(now, effective.bound()));
                }
                probe.wait_again(now, interval, excess, extension_max);
                let goes_on = core::mem::take(&mut probe.acknowledged);
                self.suspect_after(now, unanswered);
                if goes_on { self.probe(now, transfer) } else { otherwise }
            }
        }
    }

    /// The next probe: a PING, unless as many as may be unanswered are (PW-HB-025): the answer to one of those serves as well.
    /// It keeps its distance from the one before (PW-HB-026).
    fn probe(&mut self, now: Instant, transfer: Duration) -> Action {
        let allowed = self.last_ping.get().map(|at| at + self.floor()).filter(|allowed| *allowed > now);
        let State::Probing(probe) = &mut self.state else { return Action::Nothing };
        (probe.transfer, probe.missed) = (transfer, 0);
        if self.unanswered >= UNANSWERED_MAX {
            probe.acknowledged = true;
            return Action::Nothing;
        }
        self.sent_at = MaybeInstant::NONE;
        probe.held = allowed;
        if allowed.is_none() { Action::Ping } else { Action::Nothing }
    }

    /// Notes that this many probes are unanswered, and tells the application at the first one (PW-HB-018).
    fn suspect_after(&mut self, now: Instant, unanswered: u32) {
        if let Some(count) = u8::try_from(unanswered).ok().and_then(NonZeroU8::new)
            && self.suspect.replace(count).is_none()
        {
            self.notify(Notice::Suspect(Suspect { silent_for: now - self.last_evidence, unanswered }));
        }
    }

    /// What was seen, for the person who asks why.
    fn verdict(&self, now: Instant, bound: Duration) -> Box<Verdict> {
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
            bound,
            for_round_trips: extensions.round_trips,
            for_slow_writes: extensions.slow_writes + extensions.transfers,
            for_own_stalls: extensions.own_stalls,
            unsent: 0,
            rtt: self.rtt.smoothed(),
        })
    }
}
