//! Clients that load a server, and how long it takes to answer.

mod peer;
mod plan;
mod processor;
mod totals;

use std::thread;
use std::time::{Duration, Instant};

use conformance::named;
use pulsewire_transport_tokio::Endpoint;
use pulsewire_transport_tokio::protocol::{Config, Damage};
use tokio::runtime::Builder;
use tokio::task::{JoinSet, LocalSet};

use crate::arguments::tools::LoadArguments;
use crate::show;
use peer::Peer;
use plan::Plan;
use totals::{Summary, Totals};

/// Between the starts of two connections: no listener's queue holds them all in one moment.
const BETWEEN_STARTS: Duration = Duration::from_micros(200);

/// Exits with 0 if every message was answered and every connection closed in order, and with 1 otherwise.
pub(crate) fn load(arguments: &LoadArguments) -> Result<u8, String> {
    named::resolve(&arguments.address)?;
    let plan = Plan::new(arguments);
    let (totals, took) = thread::scope(|scope| {
        let began = Instant::now();
        let threads: Vec<_> = (0..plan.threads)
            .map(|thread| {
                let (plan, address) = (&plan, arguments.address.as_str());
                scope.spawn(move || run(plan, address, thread, began))
            })
            .collect();
        let mut totals = Totals::new();
        for thread in threads {
            totals.add(&thread.join().map_err(|_| "a thread of the load panicked".to_owned())??);
        }
        Ok::<_, String>((totals, began.elapsed()))
    })?;
    if totals.connects.is_empty() {
        let failures: Vec<&str> = totals.failures.keys().map(String::as_str).collect();
        return Err(format!("no connection to {}: {}", arguments.address, failures.join("; ")));
    }
    let summary = Summary::new(&plan, totals, took);
    show(&if arguments.json { summary.json() } else { summary.to_string() });
    Ok(u8::from(!summary.is_good()))
}

/// The connections of one thread.
fn run(plan: &Plan, address: &str, thread: usize, began: Instant) -> Result<Totals, String> {
    let endpoint = Endpoint::new(config(plan)?);
    let runtime = Builder::new_current_thread().enable_all().build().map_err(|error| format!("no runtime: {error}"))?;
    LocalSet::new().block_on(&runtime, async {
        let mut peers = JoinSet::new();
        // Threads take turns, so that each has as many as the others, or one more.
        for number in (thread..plan.connections).step_by(plan.threads) {
            let (endpoint, plan, address) = (endpoint.clone(), plan.clone(), address.to_owned());
            peers.spawn_local(async move {
                let start = BETWEEN_STARTS * u32::try_from(number).unwrap_or(u32::MAX);
                tokio::time::sleep(start).await;
                Peer::new(&plan, Instant::now(), began + plan.duration).run(&endpoint, &address).await
            });
        }
        let mut totals = Totals::new();
        while let Some(peer) = peers.join_next().await {
            totals.add(&peer.map_err(|error| format!("a connection of the load panicked: {error}"))?);
        }
        Ok(totals)
    })
}

fn config(plan: &Plan) -> Result<pulsewire_transport_tokio::protocol::ValidConfig, String> {
    let damage = if plan.resync { Damage::Resynchronise } else { Damage::Close };
    let mut config = Config { damage, ..Config::default() };
    // What is under way must not wait for room.
    if let plan::Pace::Depth(depth) = plan.pace {
        config.limits.send_queue = config.limits.send_queue.max(depth.saturating_mul(plan.payload + 64));
    }
    config.validate().map_err(|error| error.to_string())
}
