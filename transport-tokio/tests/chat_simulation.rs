//! The example `chat` in virtual time: several servers and a bus between them that is slow and loses letters, users who come and go and
//! do at random what there is to do, and servers that are killed. What users see must hold whatever happens: `ledger.rs` judges it.
//!
//! ```text
//! CHAT_SEED=17 cargo test -p pulsewire-transport-tokio --test chat_simulation -- --nocapture   # one, and what happened in it
//! CHAT_SEEDS=10000 cargo test -p pulsewire-transport-tokio --test chat_simulation              # so many
//! ```

#[path = "../examples/chat/hub.rs"]
mod hub;
#[path = "../examples/chat/messages.rs"]
mod messages;
#[path = "../examples/chat/rooms.rs"]
mod rooms;

mod seeds;

mod chat_simulation {
    pub(crate) mod bus;
    pub(crate) mod ledger;
    pub(crate) mod servers;
    pub(crate) mod users;
}

use std::sync::{Arc, Mutex};
use std::time::Duration;

use chat_simulation::ledger::Ledger;
use chat_simulation::servers::Servers;
use chat_simulation::users;
use fastrand::Rng;
use seeds::{Outcome, Simulation};
use tokio::time::{Instant, sleep, sleep_until};

const USERS: usize = 5;
/// Until then users come, act and go, and servers are killed.
const CHAOS: Duration = Duration::from_secs(4);
/// The silence after which a server has died, a second between two lists, and the slowest letters.
const UNTIL_ALL_AGREE: Duration = Duration::from_secs(6);

const CHAT: Simulation<fn(u64, bool) -> Outcome> = Simulation {
    name: "CHAT",
    test: "chat_simulation",
    seeds: 300,
    seen: &[
        "said",
        "left",
        "kicked",
        "dissolved",
        "refused",
        "owner handed over",
        "server killed",
        "letter lost",
        "too slow",
        "members of two servers",
    ],
    run,
};

/// When users stop to act, and when each says something in each of its rooms.
#[derive(Debug, Clone, Copy)]
struct Until {
    quiet: Instant,
    last_words: Instant,
}

fn run(seed: u64, traces: bool) -> Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    let Ledger { trace, violations, seen, .. } = runtime.block_on(play(Rng::with_seed(seed), traces));
    Outcome { trace, violations, seen }
}

async fn play(mut random: Rng, traces: bool) -> Ledger {
    let began = Instant::now();
    let ledger = Arc::new(Mutex::new(Ledger::new(traces)));
    let servers = Arc::new(Servers::new(&mut random, Arc::clone(&ledger)));
    let until = Until { quiet: began + CHAOS, last_words: began + CHAOS + UNTIL_ALL_AGREE };
    for number in 0..USERS {
        tokio::spawn(users::user(number, random.fork(), Arc::clone(&servers), Arc::clone(&ledger), until));
    }
    let kills = random.usize(1..=2);
    let mut times: Vec<Duration> = (0..kills).map(|_| CHAOS.mul_f64(random.f64())).collect();
    times.sort_unstable();
    for time in times {
        sleep_until(began + time).await;
        servers.kill_one(&mut random);
    }
    sleep_until(until.quiet).await;
    servers.lose_no_letters();
    sleep_until(until.last_words - Duration::from_millis(1)).await;
    ledger.lock().unwrap().judge_lists();
    sleep(Duration::from_secs(2)).await;
    let mut ledger = std::mem::take(&mut *ledger.lock().unwrap());
    ledger.judge_last_words();
    ledger
}

#[test]
fn no_stranger_hears_anything_and_all_agree_in_the_end() {
    CHAT.run_all();
}

#[test]
fn the_same_seed_gives_the_same_trace() {
    CHAT.repeat(1_000..1_003);
}
