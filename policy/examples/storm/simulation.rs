//! Clients that all lose the same server at once, in virtual time.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fmt::Write;
use std::time::Duration;

use fastrand::Rng;
use pulsewire_policy::{Failure, Next, Reconnect, ReconnectConfig};
use pulsewire_protocol::{CloseReason, Instant, Retry};

/// So finely are tries counted.
pub(crate) const BIN: Duration = Duration::from_millis(100);

/// What happens to the server.
pub(crate) struct Outage {
    pub(crate) clients: usize,
    /// How each connection ended.
    pub(crate) end: Failure,
    /// When the server accepts again. Until then each try fails at once.
    pub(crate) back_after: Duration,
}

/// A server that crashed: the system resets its connections.
pub(crate) const CRASH: Outage = Outage {
    clients: 1_000,
    end: Failure::Closed { reason: CloseReason::RESET, retry: CloseReason::RESET.retry() },
    back_after: Duration::from_secs(3),
};

/// A server that goes away in order, and says to all when to come again.
pub(crate) const RESTART: Outage = Outage {
    clients: 1_000,
    end: Failure::Closed { reason: CloseReason::GOING_AWAY, retry: Retry::After(Duration::from_secs(2)) },
    back_after: Duration::from_secs(1),
};

/// How many clients tried in each tenth of a second, until all were connected again.
pub(crate) fn run(outage: &Outage, seed: u64) -> Vec<usize> {
    let mut random = Rng::with_seed(seed);
    let config = ReconnectConfig::default().validate().expect("the defaults are valid");
    let lost = Instant::ZERO + Duration::from_secs(3_600);
    let mut clients: Vec<_> = (0..outage.clients).map(|_| Reconnect::new(config.clone(), Instant::ZERO)).collect();
    let mut due = BinaryHeap::new();
    for (index, client) in clients.iter_mut().enumerate() {
        client.established(Instant::ZERO);
        let next = client.ended(lost, outage.end, random.u64(..));
        due.push(Reverse((time_of(next), index)));
    }
    let mut tries = Vec::new();
    while let Some(Reverse((now, index))) = due.pop() {
        let bin = ((now - lost).as_nanos() / BIN.as_nanos()) as usize;
        tries.resize(tries.len().max(bin + 1), 0);
        tries[bin] += 1;
        if now - lost < outage.back_after {
            let next = clients[index].failed(now, Failure::Unreachable, random.u64(..));
            due.push(Reverse((time_of(next), index)));
        }
    }
    tries
}

fn time_of(next: Next) -> Instant {
    match next {
        Next::TryAt(time) => time,
        Next::GiveUp(why) => unreachable!("nothing limits the tries: {why}"),
    }
}

/// Bars, one for each second.
pub(crate) fn histogram(tries: &[usize]) -> String {
    const BINS: usize = 10;
    const PER_MARK: usize = 20;
    let mut text = String::from("seconds  tries  most in 0.1 s\n");
    for (second, bins) in tries.chunks(BINS).enumerate() {
        let sum = bins.iter().sum::<usize>();
        let most = bins.iter().max().copied().unwrap_or(0);
        let line = format!("{second:7}  {sum:5}  {most:13}  {}", "#".repeat(sum.div_ceil(PER_MARK)));
        writeln!(text, "{}", line.trim_end()).expect("a string takes everything");
    }
    text
}
