//! A model check of the heartbeat (section 8 of the specification): the real machine, every order of events.
//!
//! Time goes in ticks. In each tick the world may do whatever a setup allows (answer now or later, lose a packet, take a PING
//! late, pause, die, block this side's own loop), then the machine judges. The clock is moved back after each tick, so that
//! the states are finite and the result holds for any length of time.

use std::fmt::Write as _;
use std::hash::{Hash, Hasher};
use std::string::String;
use std::vec::Vec;
use std::{format, println};

use stateright::{Checker, Model, Property};

use super::*;

/// The present, always.
const NOW: Instant = Instant::from_nanos(1_000_000 * TICK.as_nanos() as u64);
const TICK: Duration = Duration::from_secs(1);

/// What the world may do. All times in ticks.
#[derive(Debug, Clone, Copy)]
struct Setup {
    idle: u32,
    interval: u32,
    probes: u32,
    /// A living peer's answer arrives at most this long after the transport took the PING.
    delay: u32,
    /// So many exchanges in a row may be lost.
    losses: u32,
    /// A PING is acknowledged at most this late, as long as the peer lives.
    flush: u32,
    /// Until then something is acknowledged at least once in so many ticks.
    lumps: Option<u32>,
    /// What the bytes in front of a PING take at the least rate.
    transfer: u32,
    /// As much may be added for slow round trips and writes; else the bound again.
    extension_max: Option<u32>,
    /// This side may be blocked for as long as this.
    stall: u32,
    /// The peer may pause for as long as this, again and again up to `busy_max`.
    pause: u32,
    busy_max: u32,
    /// The round trip that was measured before; it sets the wait for an answer.
    measured: Option<u32>,
}

const CALM: Setup = Setup {
    idle: 3,
    interval: 2,
    probes: 3,
    delay: 2,
    losses: 0,
    flush: 0,
    lumps: None,
    transfer: 0,
    extension_max: None,
    stall: 0,
    pause: 0,
    busy_max: 0,
    measured: None,
};

impl Setup {
    fn config(&self) -> HeartbeatConfig {
        HeartbeatConfig {
            idle: TICK * self.idle,
            interval: TICK * self.interval,
            probes: self.probes,
            busy_max: TICK * self.busy_max,
            extension_max: self.extension_max.map(|ticks| TICK * ticks),
            ..HeartbeatConfig::default()
        }
    }

    fn bound(&self) -> u32 {
        self.idle + self.interval * self.probes
    }

    /// The earliest verdict: the bound, and what a measured round trip adds to every wait.
    fn shortest(&self) -> u32 {
        let wait = self.measured.map_or(self.interval, |measured| measured.clamp(self.interval, 4 * self.interval));
        self.idle + (wait * self.probes).min(self.interval * self.probes + self.extension_max())
    }

    fn extension_max(&self) -> u32 {
        self.extension_max.unwrap_or(self.bound())
    }

    /// All that PW-HB-013 allows: `extension_max`, what the bytes in front of each PING take, the wait granted for a stall of
    /// this side's own, and its stalls, one at each deadline.
    fn longest(&self) -> u32 {
        let transfers = (self.probes + 1) * self.transfer;
        self.bound() + self.extension_max() + transfers + 4 * self.interval + (self.probes + 2) * self.stall
    }
}

/// A PING that the transport took, and that waits for its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Exchange {
    age: u32,
    latest: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Peer {
    /// Pauses that the next one would follow began so long ago; 0 for none.
    Reading { pauses: u32 },
    /// It announced a pause that goes on for so long; the first of those that follow each other began `pauses` ago.
    Pausing { left: u32, pauses: u32 },
    /// It died during a pause that goes on for so long; until then nobody can know.
    Dead { left: u32 },
}

/// How it ended, for this side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Outcome {
    alive: bool,
    /// Ticks from the last evidence, or the end of a pause, to the verdict.
    silent: u32,
    /// What the verdict says was allowed.
    allowed: u32,
}

#[derive(Debug, Clone)]
struct World {
    heartbeat: Heartbeat,
    peer: Peer,
    exchanges: Vec<Exchange>,
    /// A PING waits for the transport since so many ticks.
    unflushed: Option<u32>,
    /// Nothing was acknowledged for so many ticks.
    unmoved: u32,
    silent: u32,
    lost: u32,
    stalled: u32,
    outcome: Option<Outcome>,
}

/// The Debug form has every field of the machine, so two worlds that look alike behave alike.
impl World {
    fn key(&self) -> String {
        let mut key = String::new();
        write!(key, "{self:?}").expect("strings grow");
        key
    }
}

impl PartialEq for World {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Hash for World {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.key().hash(state);
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// The answer to the oldest PING arrives.
    Answer,
    /// The oldest PING, or its answer, is damaged on the way.
    Lose,
    /// Something else arrives.
    Message,
    /// BUSY arrives.
    Pause,
    Resume,
    Die,
    /// The transport takes the PING.
    Flush,
    /// The transport takes something, but not yet the PING.
    Progress,
    /// What could be read was read: the machine judges, and the tick is over.
    Judge,
    /// The tick passes unseen: this side is blocked.
    Block,
}

fn ticks(duration: Duration) -> u32 {
    duration.as_secs() as u32
}

impl World {
    fn new(setup: &Setup) -> Self {
        let floor = TICK * setup.idle.min(setup.interval);
        // A generator that stands at 0 gives no jitter, and stays there.
        let heartbeat = Heartbeat { jitter: 0, ..Heartbeat::new(NOW, floor, 1) };
        let mut world = Self {
            heartbeat,
            peer: Peer::Reading { pauses: 0 },
            exchanges: Vec::new(),
            unflushed: None,
            unmoved: 0,
            silent: 0,
            lost: 0,
            stalled: 0,
            outcome: None,
        };
        world.forget(setup);
        world
    }

    /// Sets back what only counts or drifts, and has no part in what is checked.
    fn forget(&mut self, setup: &Setup) {
        self.heartbeat.notices = None;
        self.heartbeat.unanswered = 0;
        // Only a measurement looks at it, and those are set back too.
        self.heartbeat.sent_at = self.heartbeat.sent_at.get().map(|_| NOW).into();
        self.heartbeat.rtt = RttEstimator::default();
        if let Some(measured) = setup.measured {
            // After so many equal measurements the variation is 0.
            (0..100).for_each(|_| self.heartbeat.rtt.sample(TICK * measured));
        }
    }

    fn alive(&self) -> bool {
        !matches!(self.peer, Peer::Dead { .. })
    }

    /// Evidence comes; a PING that waits is withdrawn.
    fn hear(&mut self) {
        if self.heartbeat.evidence(NOW) {
            self.unflushed = None;
        }
    }

    fn evidence(&mut self) {
        (self.silent, self.lost) = (0, 0);
    }

    /// Moves every moment that the machine remembers one tick into the past.
    fn pass(&mut self, setup: &Setup) {
        let earlier = |instant: Instant| Instant::from_nanos(instant.as_nanos() - TICK.as_nanos() as u64);
        let heartbeat = &mut self.heartbeat;
        heartbeat.last_evidence = earlier(heartbeat.last_evidence);
        // Longer ago than the floor is as long ago as that.
        let floor = heartbeat.floor();
        heartbeat.last_ping = heartbeat.last_ping.get().map(earlier).filter(|at| NOW - *at < floor).into();
        match &mut heartbeat.state {
            State::Quiet => {}
            State::Probing(probe) => {
                probe.since = earlier(probe.since);
                probe.held = probe.held.map(earlier);
            }
            State::Spared { until } => *until = earlier(*until),
        }
        heartbeat.pauses_end = heartbeat.pauses_end.get().map(|end| earlier(end).max(earlier(NOW))).into();
        self.silent += 1;
        self.unmoved = if setup.lumps.is_some() && self.unflushed.is_some() { self.unmoved + 1 } else { 0 };
        self.unflushed = self.unflushed.map(|age| age + 1);
        match &mut self.peer {
            Peer::Reading { pauses } => {
                *pauses = if *pauses > 0 { (*pauses + 1).min(setup.busy_max) } else { 0 };
                self.exchanges.iter_mut().for_each(|exchange| exchange.age += 1);
            }
            Peer::Pausing { left, pauses } => {
                self.silent = 0;
                (*left, *pauses) = (*left - 1, *pauses + 1);
                if *left == 0 {
                    self.peer = Peer::Reading { pauses: *pauses };
                }
            }
            Peer::Dead { left } => {
                if *left > 0 {
                    self.silent = 0;
                    *left -= 1;
                }
            }
        }
    }

    fn judge(&mut self, setup: &Setup) {
        match self.heartbeat.timeout(NOW, TICK * setup.transfer, &setup.config()) {
            Action::Nothing => {}
            Action::Ping => {
                self.exchanges.iter_mut().for_each(|exchange| exchange.latest = false);
                self.unflushed = Some(0);
                self.heartbeat.handed_out(NOW, TICK * setup.transfer, false);
            }
            Action::GiveUp(verdict) => {
                let extended = verdict.for_round_trips + verdict.for_slow_writes + verdict.for_own_stalls;
                self.outcome = Some(Outcome {
                    alive: self.alive(),
                    silent: self.silent,
                    allowed: ticks(verdict.bound + extended),
                });
            }
        }
    }

    fn progress(&mut self) {
        self.unmoved = 0;
        self.heartbeat.progress();
    }

    fn flush(&mut self, setup: &Setup) {
        (self.unflushed, self.unmoved) = (None, 0);
        self.heartbeat.departed(NOW);
        self.heartbeat.acknowledged(NOW, &setup.config());
        if self.alive() {
            self.exchanges.push(Exchange { age: 0, latest: true });
        }
    }
}

impl Model for Setup {
    type State = World;
    type Action = Step;

    fn init_states(&self) -> Vec<World> {
        [World::new(self)].into()
    }

    fn actions(&self, world: &World, steps: &mut Vec<Step>) {
        if world.outcome.is_some() {
            return;
        }
        let reading = matches!(world.peer, Peer::Reading { .. });
        let answered = reading && !world.exchanges.is_empty();
        let (pauses, pausing) = match world.peer {
            Peer::Pausing { pauses, .. } => (pauses, true),
            Peer::Reading { pauses } => (pauses, false),
            Peer::Dead { .. } => (0, false),
        };
        let overdue = reading && world.exchanges.first().is_some_and(|exchange| exchange.age >= self.delay);
        let unwritten = world.alive() && world.unflushed.is_some_and(|age| age >= self.flush);
        steps.extend(answered.then_some(Step::Answer));
        steps.extend((answered && world.lost < self.losses).then_some(Step::Lose));
        steps.extend(reading.then_some(Step::Message));
        steps.extend((world.alive() && self.pause > 0 && pauses + self.pause < self.busy_max).then_some(Step::Pause));
        steps.extend(pausing.then_some(Step::Resume));
        steps.extend(world.alive().then_some(Step::Die));
        steps.extend(world.unflushed.is_some().then_some(Step::Flush));
        steps.extend((world.unflushed.is_some() && self.flush > 0).then_some(Step::Progress));
        if !overdue && !unwritten {
            steps.push(Step::Judge);
            steps.extend((world.stalled < self.stall).then_some(Step::Block));
        }
    }

    fn next_state(&self, world: &World, step: Step) -> Option<World> {
        let mut next = world.clone();
        match step {
            Step::Answer => {
                let exchange = next.exchanges.remove(0);
                // The latest PING has number 2 here, any before it 1.
                let number = if exchange.latest { 2 } else { 1 };
                next.heartbeat.pong(NOW, number, 2).expect("a number that was sent");
                next.hear();
                next.peer = Peer::Reading { pauses: 0 };
                next.evidence();
            }
            Step::Lose => {
                next.exchanges.remove(0);
                next.lost += 1;
            }
            Step::Message => {
                next.hear();
                next.peer = Peer::Reading { pauses: 0 };
                next.evidence();
            }
            Step::Pause => {
                let (Peer::Pausing { pauses, .. } | Peer::Reading { pauses }) = next.peer else { return None };
                if next.heartbeat.busy(NOW, TICK * self.pause, &self.config()) {
                    next.unflushed = None;
                }
                next.peer = Peer::Pausing { left: self.pause, pauses };
                next.evidence();
            }
            Step::Resume => {
                if next.heartbeat.busy(NOW, Duration::ZERO, &self.config()) {
                    next.unflushed = None;
                }
                next.peer = Peer::Reading { pauses: 0 };
                next.evidence();
            }
            Step::Die => {
                let left = if let Peer::Pausing { left, .. } = next.peer { left } else { 0 };
                next.peer = Peer::Dead { left };
                next.exchanges.clear();
            }
            Step::Flush => next.flush(self),
            Step::Progress => next.progress(),
            Step::Judge => {
                if next.alive() && next.unflushed.is_some() && self.lumps.is_some_and(|lumps| next.unmoved + 1 >= lumps)
                {
                    next.progress();
                }
                next.judge(self);
                if next.outcome.is_none() {
                    if self.flush == 0 && next.unflushed.is_some() {
                        next.flush(self);
                    }
                    next.stalled = 0;
                    next.pass(self);
                }
            }
            Step::Block => {
                next.stalled += 1;
                next.pass(self);
            }
        }
        next.forget(self);
        Some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        [
            Property::always("a living peer is never given up", |_, world: &World| {
                !world.outcome.is_some_and(|outcome| outcome.alive)
            }),
            Property::always(
                "a verdict comes after exactly what it says was allowed",
                |setup: &Self, world: &World| {
                    world.outcome.is_none_or(|end| end.silent == end.allowed && end.silent >= setup.bound())
                },
            ),
            Property::always("no silence goes on without a verdict", |setup: &Self, world: &World| {
                world.outcome.is_some() || world.silent <= setup.longest()
            }),
            Property::sometimes("a dead peer is found after the bound", |setup: &Self, world: &World| {
                world.outcome.is_some_and(|end| !end.alive && end.silent == setup.shortest())
            }),
        ]
        .into()
    }
}

/// Searches all states; gives their number, and the names of the properties that do not hold, with the shortest way there.
fn search(name: &str, setup: Setup) -> (usize, Vec<String>) {
    let checker = setup.checker().threads(2).spawn_bfs().join();
    let mut broken = Vec::new();
    for property in setup.properties() {
        let found = checker.discovery(property.name);
        let holds = match property.expectation {
            stateright::Expectation::Sometimes => found.is_some(),
            stateright::Expectation::Always | stateright::Expectation::Eventually => found.is_none(),
        };
        if !holds {
            let way = found.map_or_else(String::new, |path| format!("{:?}", path.into_actions()));
            broken.push(format!("{}: {way}", property.name));
        }
    }
    let states = checker.unique_state_count();
    let result = if broken.is_empty() { "holds" } else { "a living peer can be given up" };
    println!("model: {name}: {states} states, {result}");
    (states, broken)
}

fn holds(name: &str, setup: Setup) {
    let (states, broken) = search(name, setup);
    assert!(broken.is_empty(), "{name}, {states} states: {broken:#?}");
}

/// The same with one more of something: then a living peer can be given up, so the limit is tight.
fn breaks(name: &str, setup: Setup) {
    let (_, broken) = search(name, setup);
    assert!(
        broken.iter().any(|text| text.starts_with("a living peer")),
        "{name}: the limit could be wider: {broken:#?}"
    );
}

/// With `losses` exchanges lost in a row, the answer to the next PING is in time if it comes before the last wait is over.
#[test]
fn losses_and_delays_within_the_bound_are_no_false_verdict_and_the_bound_is_tight() {
    for probes in 1..=3 {
        for losses in 0..probes {
            let delay = (probes - losses) * CALM.interval;
            let setup = Setup { probes, losses, delay, ..CALM };
            holds(&format!("{probes} probes, {losses} lost, answers after {delay} ticks"), setup);
            breaks(
                &format!("{probes} probes, {losses} lost, answers after {} ticks", delay + 1),
                Setup { delay: delay + 1, ..setup },
            );
        }
        let lost = Setup { probes, losses: probes, delay: 1, ..CALM };
        breaks(&format!("{probes} probes, {probes} lost"), lost);
    }
}

/// A round trip that was measured as long makes the wait longer: it is tolerated, and the verdict itemises it.
#[test]
fn a_slow_round_trip_is_waited_for() {
    let delay = 3 * CALM.probes;
    holds("a measured round trip of 3 ticks", Setup { measured: Some(3), delay, ..CALM });
    breaks("a measured round trip of 3 ticks, answers later", Setup { measured: Some(3), delay: delay + 1, ..CALM });
}

/// A PING that the transport takes late, be it while bytes before it trickle or while nothing moves (PW-HB-010, PW-HB-011).
#[test]
fn a_slow_transport_is_not_a_dead_peer() {
    for flush in 1..=CALM.interval {
        holds(&format!("PINGs taken up to {flush} ticks late"), Setup { flush, ..CALM });
    }
}

/// A link that is slow but moves: what the bytes in front of a PING take at the least rate is waited for, also where nothing else
/// may be added (PW-HB-011, PW-HB-013). The peer may die at any moment, and is found all the same.
#[test]
fn a_link_that_moves_is_waited_for() {
    for transfer in [4, 8] {
        let setup = Setup { flush: transfer, lumps: Some(1), transfer, extension_max: Some(0), ..CALM };
        holds(&format!("PINGs acknowledged up to {transfer} ticks late, while bytes before them are"), setup);
        breaks(
            &format!("PINGs acknowledged up to {} ticks late", transfer + 3),
            Setup { flush: transfer + 3, probes: 1, ..setup },
        );
    }
}

/// The same where bytes are acknowledged in lumps, so that waits pass without any: they count no more when the next one comes.
#[test]
fn a_link_that_moves_in_lumps_is_waited_for() {
    let (lumps, transfer) = (CALM.interval * CALM.probes, 16);
    let setup = Setup { flush: transfer, lumps: Some(lumps), transfer, extension_max: Some(0), ..CALM };
    holds(&format!("PINGs acknowledged up to {transfer} ticks late, while a byte is every {lumps} ticks"), setup);
    breaks(&format!("the same, while a byte is every {} ticks", lumps + 2), Setup { lumps: Some(lumps + 2), ..setup });
}

/// This side is blocked now and then: the peer is asked once more (PW-HB-016).
#[test]
fn a_stall_of_this_side_costs_the_peer_nothing() {
    for stall in 1..=6 {
        holds(&format!("this side blocked for up to {stall} ticks"), Setup { stall, ..CALM });
    }
}

/// The peer pauses, and may die meanwhile (section 8.4).
#[test]
fn a_pause_is_not_a_silence() {
    holds("the peer pauses", Setup { pause: 2, busy_max: 5, ..CALM });
}

/// All of it together, in every order.
#[test]
fn everything_at_once() {
    let setup = Setup { delay: 4, losses: 1, flush: 1, stall: 2, pause: 2, busy_max: 5, ..CALM };
    holds("losses, delays, slow writes, stalls and pauses together", setup);
}

/// The same with larger numbers: minutes, for `.ci/deep-check`.
#[test]
#[ignore = "takes minutes"]
fn everything_at_once_and_more_of_it() {
    let setup = Setup { idle: 4, interval: 3, delay: 6, losses: 1, flush: 1, stall: 3, pause: 3, busy_max: 7, ..CALM };
    holds("the same with longer times", setup);
}
