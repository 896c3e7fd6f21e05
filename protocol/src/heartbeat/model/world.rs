//! One side with its real heartbeat, and the peer and the network that it meets.

use std::vec::Vec;

use stateright::{Model, Property};

use super::super::*;
use super::{NOW, Setup, TICK};
use crate::model_state::compare_by_debug;

/// A PING that the transport took, and that waits for its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Exchange {
    age: u32,
    latest: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Peer {
    /// Pauses that the next one would follow began so long ago; 0 for none.
    Reading { pauses: u32 },
    /// It announced a pause that goes on for so long; the first of those that follow each other began `pauses` ago.
    Pausing { left: u32, pauses: u32 },
    /// It died during a pause that goes on for so long; until then nobody can know.
    Dead { left: u32 },
}

/// How it ended, for this side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Outcome {
    alive: bool,
    /// Ticks from the last evidence, or the end of a pause, to the verdict.
    silent: u32,
    /// What the verdict says was allowed.
    allowed: u32,
}

#[derive(Debug, Clone)]
pub(super) struct World {
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

compare_by_debug!(World);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
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
