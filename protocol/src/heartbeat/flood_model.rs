//! A model check of PING and its bucket (section 8.5 of the specification): two real machines, one that probes and one that meters,
//! and a network between them that holds back whatever it likes for as long as it likes, in both directions.
//!
//! As in the other model, time goes in ticks and is moved back after each, so what holds, holds for any length of time.

use std::println;

use stateright::{Checker, Model, Property};

use super::*;
use crate::model_state::compare_by_debug;

const NOW: Instant = Instant::from_nanos(1_000_000 * TICK.as_nanos() as u64);
const TICK: Duration = Duration::from_secs(1);

/// PINGs are at least two ticks apart, so that the bucket gains one in a tick.
const FLOOR: Duration = Duration::from_secs(2);

struct Network;

#[derive(Debug, Clone)]
struct World {
    prober: Heartbeat,
    meter: Heartbeat,
    /// PINGs handed out: numbers from the first one that is not answered on.
    handed_out: u64,
    /// PINGs that have arrived.
    arrived: u64,
    flooded: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// The oldest PING arrives, and is answered.
    Ping,
    /// All PINGs arrive at once.
    Bunch,
    /// One answer arrives: to the oldest PING that has arrived.
    Pong,
    /// All answers arrive at once.
    Pongs,
    /// Something else arrives.
    Message,
    /// The machine judges, and a tick passes.
    Judge,
}

impl World {
    fn new() -> Self {
        let new = || Heartbeat { jitter: 0, ..Heartbeat::new(NOW, FLOOR, 1) };
        Self { prober: new(), meter: new(), handed_out: 0, arrived: 0, flooded: false }
    }

    fn config() -> HeartbeatConfig {
        HeartbeatConfig { idle: FLOOR, interval: FLOOR, probes: 10, ping_floor: FLOOR, ..HeartbeatConfig::default() }
    }

    /// Sets back what only counts, and has no part in what is checked.
    fn forget(&mut self) {
        for machine in [&mut self.prober, &mut self.meter] {
            machine.notices = None;
            machine.suspect = None;
            machine.sent_at = MaybeInstant::NONE;
            machine.rtt = RttEstimator::default();
            machine.last_evidence = machine.last_evidence.max(Instant::ZERO);
        }
        let answered = self.handed_out - u64::from(self.prober.unanswered);
        self.handed_out -= answered;
        self.arrived -= answered;
        self.meter.last_received -= answered.min(self.meter.last_received);
        self.meter.last_evidence = NOW;
        self.meter.full_at = self.meter.full_at.max(NOW);
    }

    fn arrive(&mut self) {
        self.arrived += 1;
        self.flooded |= self.meter.ping(NOW, self.arrived, &Self::config()).is_err();
    }

    fn answer(&mut self, number: u64) {
        self.prober.pong(NOW, number, self.handed_out).expect("a number that was sent");
        self.hear();
    }

    fn hear(&mut self) {
        let _withdrawn = self.prober.evidence(NOW);
    }

    fn pass(&mut self) {
        let earlier = |instant: Instant| Instant::from_nanos(instant.as_nanos() - TICK.as_nanos() as u64);
        self.prober.last_evidence = earlier(self.prober.last_evidence);
        self.prober.last_ping = self.prober.last_ping.get().map(earlier).filter(|at| NOW - *at < FLOOR).into();
        if let State::Probing(probe) = &mut self.prober.state {
            probe.since = earlier(probe.since);
            probe.held = probe.held.map(earlier);
        }
        self.meter.full_at = earlier(self.meter.full_at);
    }

    fn judge(&mut self) {
        match self.prober.timeout(NOW, Duration::ZERO, &Self::config()) {
            Action::Nothing => {}
            Action::Ping => {
                self.handed_out += 1;
                self.prober.handed_out(NOW, Duration::ZERO, false);
                self.prober.departed(NOW);
                self.prober.acknowledged(NOW, &Self::config());
            }
            // Its PINGs are still under way, and the next silence sends no more than another would.
            Action::GiveUp(_) => self.hear(),
        }
    }
}

compare_by_debug!(World);

impl Model for Network {
    type State = World;
    type Action = Step;

    fn init_states(&self) -> Vec<World> {
        [World::new()].into()
    }

    fn actions(&self, world: &World, steps: &mut Vec<Step>) {
        let (under_way, unanswered) = (world.arrived < world.handed_out, world.arrived > 0);
        steps.extend(under_way.then_some(Step::Ping));
        steps.extend(under_way.then_some(Step::Bunch));
        steps.extend(unanswered.then_some(Step::Pong));
        steps.extend(unanswered.then_some(Step::Pongs));
        steps.extend([Step::Message, Step::Judge]);
    }

    fn next_state(&self, world: &World, step: Step) -> Option<World> {
        if world.flooded {
            return None;
        }
        let mut next = world.clone();
        match step {
            Step::Ping => next.arrive(),
            Step::Bunch => (world.arrived..world.handed_out).for_each(|_| next.arrive()),
            Step::Pong => next.answer(1),
            Step::Pongs => next.answer(world.arrived),
            Step::Message => next.hear(),
            Step::Judge => {
                next.judge();
                next.pass();
            }
        }
        next.forget();
        Some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        [
            Property::always("no PING of a peer that keeps the rules is one too many", |_, world: &World| {
                !world.flooded
            }),
            Property::sometimes("the bucket is nearly empty", |_, world: &World| {
                world.meter.full_at - NOW >= TICK * (BURST - 2)
            }),
            Property::sometimes("as many PINGs as may be are under way at once", |_, world: &World| {
                world.handed_out - world.arrived == u64::from(UNANSWERED_MAX)
            }),
        ]
        .into()
    }
}

/// PW-HB-017, PW-HB-025, PW-HB-026: however the network bunches PINGs and their answers, and whatever else the peer says.
#[test]
fn no_bunching_makes_a_flood() {
    let checker = Network.checker().threads(2).spawn_bfs().join();
    println!("model: PINGs bunched in any way: {} states, no flood", checker.unique_state_count());
    checker.assert_properties();
}
