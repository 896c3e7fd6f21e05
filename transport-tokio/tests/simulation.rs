//! A server and its clients on simulated hosts, in virtual time: a seed decides what they do to each other and what the network and
//! the hosts do to them. What must hold whatever happens is in `simulation/ledger.rs` and `simulation/judgement.rs`.
//!
//! ```text
//! SIMULATION_SEED=17 cargo test -p pulsewire-transport-tokio --test simulation -- --nocapture   # one, and what happened in it
//! SIMULATION_SEEDS=10000 cargo test -p pulsewire-transport-tokio --test simulation              # so many
//! ```

mod seeds;
mod simulation {
    pub(crate) mod application;
    pub(crate) mod hosts;
    pub(crate) mod judgement;
    pub(crate) mod ledger;
    pub(crate) mod plan;
    pub(crate) mod wire;
    pub(crate) mod world;
}

use seeds::Simulation;
use simulation::world::run;

const HOSTS: Simulation<fn(u64, bool) -> seeds::Outcome> = Simulation {
    name: "SIMULATION",
    test: "simulation",
    seeds: 300,
    seen: &[
        "orderly",
        "dropped",
        "crashed",
        "Local ABORTED",
        "Local PEER_TIMEOUT",
        "Peer PEER_TIMEOUT",
        "Local NORMAL",
        "Peer NORMAL",
        "Local HANDSHAKE_TIMEOUT",
        "Transport PEER_ENDED",
        "Transport RESET",
        "paused",
    ],
    run: |seed, _traced| run(seed),
};

#[test]
fn what_must_hold_holds_whatever_happens() {
    HOSTS.run_all();
}

#[test]
fn the_same_seed_gives_the_same_trace() {
    HOSTS.repeat(1_000..1_008);
}
