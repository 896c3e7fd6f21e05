//! Connections that are made, and then idle.

use std::time::Duration;

use pulsewire_protocol::{ConnectionId, Instant};

use crate::clock::Progress;
use crate::memory::{Held, held};
use crate::report::thousands;
use crate::server::{STEP, Server, Step};

/// In the middle of what is measured. A boundary of every timing wheel whose digits are powers of two, also for those that it
/// crosses every minute: there it divides all that lies behind among smaller buckets. So what is measured holds such a moment,
/// whatever the digits are.
const BOUNDARY: Instant = Instant::from_nanos(1 << 46);

/// In this time HELLO comes from all, in a random order. It is the longest silence before a PING.
const CONNECTING: Duration = Duration::from_secs(5);

/// Then each has sent and got its first PING, and everything is as it stays.
const SETTLING: Duration = Duration::from_secs(5);

/// Each connection sends two PINGs meanwhile.
pub(crate) const MEASURED: Duration = Duration::from_secs(10);

/// How often all of it is done. It is the same work every time, to the last step, so of each step the shortest time that it
/// took is the one in which least came in between.
pub(crate) const RUNS: usize = 3;

/// What came out, over all runs.
pub(crate) struct Life {
    pub(crate) count: u32,
    /// The most that was held while it was measured.
    pub(crate) held: Held,
    pub(crate) steps: Vec<Step>,
    /// The longest call of `insert`.
    pub(crate) longest_insert: Duration,
}

impl Life {
    /// Of this many connections.
    pub(crate) fn measure(count: u32, progress: &mut Progress) -> Self {
        let mut life = Self::run(count, 1, progress);
        for run in 2..=RUNS {
            life.keep_shortest(&Self::run(count, run, progress));
        }
        life
    }

    fn run(count: u32, run: usize, progress: &mut Progress) -> Self {
        let name = format!("{} connections, run {run} of {RUNS}", thousands(count));
        let mut steps = Vec::with_capacity(in_steps(MEASURED));
        let before = held();
        let start = Instant::from_nanos(BOUNDARY.as_nanos() - nanos(CONNECTING + SETTLING + MEASURED / 2));
        let mut server = Server::new(start, count);
        let longest_insert = connect(&mut server, count, |done| progress.say(|| format!("{name}: {done}")));
        for _ in 0..in_steps(SETTLING) {
            server.step();
            progress.say(|| format!("{name}: settling"));
        }
        let mut most = Held::default();
        for step in 1..=in_steps(MEASURED) {
            steps.push(server.step());
            let now = held().since(before);
            if now.bytes > most.bytes {
                most = now;
            }
            progress.say(|| format!("{name}: {:.1} of {} s measured", seconds(step), MEASURED.as_secs()));
        }
        Self { count, held: most, steps, longest_insert }
    }

    /// Keeps the shortest time of each piece of work.
    fn keep_shortest(&mut self, other: &Self) {
        assert_eq!(self.held.bytes, other.held.bytes, "the same calls take the same memory");
        self.longest_insert = self.longest_insert.min(other.longest_insert);
        for (step, other) in self.steps.iter_mut().zip(&other.steps) {
            assert_eq!(step.pings, other.pings, "the same calls with the same times give the same results");
            step.took = step.took.min(other.took);
            step.longest_call = step.longest_call.min(other.longest_call);
            step.longest_turn = step.longest_turn.min(other.longest_turn);
        }
    }
}

/// All connect at once, and say HELLO in a random order over [`CONNECTING`], so that neighbours in the table have nothing to do
/// with each other in time. Gives the longest call of `insert`.
fn connect(server: &mut Server, count: u32, mut say: impl FnMut(&str)) -> Duration {
    let mut longest = Duration::ZERO;
    let mut ids: Vec<ConnectionId> = (0..count)
        .map(|_| {
            let (id, took) = server.insert();
            longest = longest.max(took);
            say("connecting");
            id
        })
        .collect();
    fastrand::Rng::with_seed(2).shuffle(&mut ids);
    for share in ids.chunks(ids.len().div_ceil(in_steps(CONNECTING))) {
        share.iter().for_each(|id| server.greet(*id));
        server.step();
        say("shaking hands");
    }
    longest
}

/// Steps in a time.
fn in_steps(time: Duration) -> usize {
    (time.as_nanos() / STEP.as_nanos()) as usize
}

/// After so many steps.
pub(crate) fn seconds(steps: usize) -> f64 {
    steps as f64 * STEP.as_secs_f64()
}

fn nanos(time: Duration) -> u64 {
    time.as_nanos() as u64
}
