//! One run: steps through time, and does what the plan says.

use std::cell::Cell;
use std::panic;
use std::sync::{Arc, Once};
use std::time::{Duration, SystemTime};

use fastrand::Rng;
use tokio::sync::Notify;
use turmoil::Sim;

use super::hosts::{Seeds, run_client, run_server};
use super::judgement::{Outage, judge};
use super::ledger::Ledger;
use super::plan::{CHAOS, CLIENTS, LATENCY, Step, length, plan};
use crate::seeds::Outcome;

const TICK: Duration = Duration::from_millis(8);

pub(crate) const SERVER: &str = "server";

fn client(number: usize) -> String {
    format!("client-{number}")
}

thread_local! {
    static PANICS: Cell<u64> = const { Cell::new(0) };
}

/// A task that panics tells nobody who doesn't wait for it.
fn count_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |panicked| {
            PANICS.with(|count| count.set(count.get() + 1));
            before(panicked);
        }));
    });
}

pub(crate) fn run(seed: u64) -> Outcome {
    count_panics();
    let panics = PANICS.get();
    let mut random = Rng::with_seed(seed);
    let ledger = Ledger::default();
    let mut world = World::new(&mut random, ledger.clone());
    let mut plan = plan(&mut random).into_iter().peekable();
    while world.sim.elapsed() < length() {
        ledger.set_now(world.sim.elapsed());
        while let Some((_, step)) = plan.next_if(|(at, _)| *at <= world.sim.elapsed()) {
            world.take(step);
        }
        if world.sim.elapsed() > CHAOS && plan.peek().is_none() && ledger.is_quiet() {
            break;
        }
        if let Err(error) = world.step() {
            ledger.violation(format!("a host failed: {error}"));
            break;
        }
    }
    for (host, endpoint) in ledger.endpoints() {
        let left = endpoint.connections();
        if !left.is_empty() {
            ledger.violation(format!("an endpoint of {host} has {} connections left", left.len()));
        }
    }
    let World { outages, sim, .. } = world;
    drop(sim);
    let mut ended = ledger.close();
    judge(&ended.sides, &outages, &mut ended.violations);
    if PANICS.get() > panics {
        ended.violations.push("a task panicked; see above".to_owned());
    }
    Outcome { trace: ended.trace, violations: ended.violations, seen: ended.seen }
}

struct World {
    sim: Sim<'static>,
    ledger: Ledger,
    outages: Vec<Outage>,
    /// Tells the process of a host that its time has come: the server's, then those of the clients.
    deaths: [Arc<Notify>; 1 + CLIENTS],
    /// Hosts whose processes have been told, and crash behind the next step.
    dying: Vec<String>,
}

impl World {
    fn new(random: &mut Rng, ledger: Ledger) -> Self {
        let mut sim = turmoil::Builder::new()
            .epoch(SystemTime::UNIX_EPOCH)
            .simulation_duration(length() * 2)
            .tick_duration(TICK)
            .min_message_latency(Duration::ZERO)
            .max_message_latency(LATENCY)
            .rng_seed(random.u64(..))
            .build();
        let (seeds, its) = (Seeds::new(random.u64(..)), ledger.clone());
        let deaths: [_; 1 + CLIENTS] = std::array::from_fn(|_| Arc::new(Notify::new()));
        let death = Arc::clone(&deaths[0]);
        sim.host(SERVER, move || run_server(its.clone(), Arc::clone(&death), seeds.next()));
        for number in 0..CLIENTS {
            let (seeds, its) = (Seeds::new(random.u64(..)), ledger.clone());
            let death = Arc::clone(&deaths[1 + number]);
            sim.host(client(number), move || run_client(client(number), its.clone(), Arc::clone(&death), seeds.next()));
        }
        Self { sim, ledger, outages: Vec::new(), deaths, dying: Vec::new() }
    }

    fn step(&mut self) -> turmoil::Result<bool> {
        let result = self.sim.step();
        for host in std::mem::take(&mut self.dying) {
            self.crash(host);
        }
        result
    }

    /// Ends what runs on a host, at once.
    fn crash(&mut self, host: String) {
        self.sim.crash(host);
        self.ledger.note_crashed();
    }

    fn take(&mut self, step: Step) {
        self.ledger.note(&format!("{step:?}"));
        self.ledger.saw(format!("{step:?}").split('(').next().unwrap_or_default());
        let sim = &mut self.sim;
        match step {
            Step::Latency(number, latency) => sim.set_link_latency(client(number), SERVER, latency),
            Step::Hold(number) => {
                sim.hold(client(number), SERVER);
                self.outage_begins(number);
            }
            Step::Release(number) => {
                sim.release(client(number), SERVER);
                self.outage_ends(number);
            }
            Step::Partition(number) => {
                sim.partition(client(number), SERVER);
                self.outage_begins(number);
            }
            Step::PartitionFrom(number) => {
                sim.partition_oneway(client(number), SERVER);
                self.outage_begins(number);
            }
            Step::PartitionTo(number) => {
                sim.partition_oneway(SERVER, client(number));
                self.outage_begins(number);
            }
            Step::Repair(number) => {
                sim.repair(client(number), SERVER);
                self.outage_ends(number);
            }
            Step::Crash(number) => {
                self.deaths[1 + number].notify_one();
                self.dying.push(client(number));
            }
            Step::Vanish(number) => {
                sim.partition(client(number), SERVER);
                self.crash(client(number));
                self.outage_begins(number);
            }
            Step::Start(number) => {
                sim.repair(client(number), SERVER);
                sim.bounce(client(number));
                self.outage_ends(number);
            }
            Step::CrashServer => {
                self.deaths[0].notify_one();
                self.dying.push(SERVER.to_owned());
            }
            Step::StartServer => sim.bounce(SERVER),
        }
    }

    fn outage_begins(&mut self, number: usize) {
        self.outages.push(Outage { client: self.sim.lookup(client(number)), from: self.sim.elapsed(), until: None });
    }

    fn outage_ends(&mut self, number: usize) {
        let (address, now) = (self.sim.lookup(client(number)), self.sim.elapsed());
        if let Some(outage) = self.outages.iter_mut().rev().find(|outage| outage.client == address) {
            outage.until.get_or_insert(now);
        }
    }
}
