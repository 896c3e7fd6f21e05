//! What happens to the network and the hosts, and when; and the times that all are configured with.

use std::time::Duration;

use fastrand::Rng;
use pulsewire_transport_tokio::protocol::{Config, Damage, ValidConfig};

pub(crate) const CLIENTS: usize = 3;
/// So long things begin to go wrong. Then no connection begins any more, and clients close those that they have.
pub(crate) const CHAOS: Duration = Duration::from_millis(3_000);
/// A fault lasts for some steps of the simulation at least.
const STEPS: Duration = Duration::from_millis(50);
/// The longest that an application pauses, or waits in a handler.
pub(crate) const SLOW: Duration = Duration::from_millis(200);
/// The longest that a byte is under way, where nothing holds it.
pub(crate) const LATENCY: Duration = Duration::from_millis(30);

pub(crate) fn config() -> ValidConfig {
    let ms = Duration::from_millis;
    let mut config = Config::default();
    config.heartbeat.idle = ms(120);
    config.heartbeat.interval = ms(60);
    config.heartbeat.probes = 3;
    config.heartbeat.ping_floor = ms(10);
    config.heartbeat.busy_max = ms(300);
    config.timeouts.handshake = ms(400);
    config.timeouts.close = ms(500);
    config.timeouts.write_stall = ms(300);
    config.timeouts.linger = ms(100);
    config.timeouts.assembly_base = ms(500);
    config.timeouts.assembly_rate = 1 << 20;
    config.limits.frame = 4 << 10;
    config.limits.frame_sent = 4 << 10;
    config.limits.message = 1 << 20;
    config.limits.send_queue = 64 << 10;
    config.damage = Damage::Resynchronise;
    config.validate().expect("a valid configuration")
}

/// An application that was slow is not so again for as long as its heartbeat may take: a side that is slow itself judges nobody, and
/// begins anew (PW-HB-023).
pub(crate) fn between_slow() -> Duration {
    config().heartbeat.bound() * 2
}

/// A side whose peer is gone, or can't be heard any more, has ended after this: its own slowness, and that of its peer; the heartbeat with its extension; a pause that the peer asked for; a write that does not move; and the leave-taking.
pub(crate) fn bound() -> Duration {
    let config = config();
    let (heartbeat, timeouts) = (&config.heartbeat, &config.timeouts);
    SLOW * 2
        + heartbeat.bound() * 2
        + heartbeat.busy_max
        + timeouts.write_stall
        + timeouts.close
        + timeouts.linger
        + LATENCY * 2
}

/// How long all is simulated at most. Nothing begins when the chaos is over.
pub(crate) fn length() -> Duration {
    CHAOS + bound() * 2
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Step {
    /// How long bytes are under way to this client and back.
    Latency(usize, Duration),
    /// What is under way waits, and goes on later.
    Hold(usize),
    Release(usize),
    /// What is under way vanishes, and nobody is told. The streams stay broken, as nothing is sent again.
    Partition(usize),
    PartitionFrom(usize),
    PartitionTo(usize),
    Repair(usize),
    /// The process ends; the host closes its sockets.
    Crash(usize),
    /// The host loses its power.
    Vanish(usize),
    /// It starts again.
    Start(usize),
    CrashServer,
    StartServer,
}

/// Steps in the order of time.
pub(crate) fn plan(random: &mut Rng) -> Vec<(Duration, Step)> {
    let mut plan = Vec::new();
    for client in 0..CLIENTS {
        plan_link(random, client, &mut plan);
    }
    if random.u8(..) < 96 {
        let at = within(random, 500, 2_400);
        plan.extend([(at, Step::CrashServer), (at + within(random, 50, 500), Step::StartServer)]);
    }
    plan.sort_by_key(|(at, _)| *at);
    plan
}

/// One thing after the other goes wrong with a client or with its link.
fn plan_link(random: &mut Rng, client: usize, plan: &mut Vec<(Duration, Step)>) {
    let long = bound() + Duration::from_millis(200);
    let mut at = within(random, 0, 800);
    while at < CHAOS {
        let short = within(random, 50, 500);
        let partition = if random.u8(..) < 80 { long } else { short };
        let fault = match random.u8(0..8) {
            0 | 1 => {
                plan.push((at, Step::Latency(client, within(random, 0, LATENCY.as_millis() as u64))));
                None
            }
            2 => Some((Step::Hold(client), Step::Release(client), short)),
            3 => Some((Step::Partition(client), Step::Repair(client), partition)),
            4 => Some((Step::PartitionFrom(client), Step::Repair(client), partition)),
            5 => Some((Step::PartitionTo(client), Step::Repair(client), partition)),
            6 => Some((Step::Crash(client), Step::Start(client), short)),
            _ => Some((Step::Vanish(client), Step::Start(client), partition)),
        };
        if let Some((begin, end, after)) = fault {
            // All is mended when the chaos ends; only what lasts long goes on.
            let until = if after == long { at + after } else { (at + after).min(CHAOS + STEPS) };
            plan.extend([(at, begin), (until, end)]);
            at = until;
        }
        at += within(random, 50, 1_000);
    }
}

fn within(random: &mut Rng, least: u64, most: u64) -> Duration {
    Duration::from_millis(random.u64(least..=most))
}
