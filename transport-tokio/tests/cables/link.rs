//! One direction of a cable.

use std::io::{BufReader, Write};
use std::process::{ChildStdin, ChildStdout};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use super::tun::{read_packet, write_packet};

/// What becomes of packets.
pub(crate) struct Condition {
    /// Longer packets vanish: 0 is a cable that is cut.
    pub(crate) longest: AtomicUsize,
    /// How long each is under way.
    pub(crate) delay_ms: AtomicU32,
    /// How many of 1,000 vanish.
    pub(crate) lost: AtomicU32,
}

impl Default for Condition {
    fn default() -> Self {
        Self { longest: AtomicUsize::new(usize::MAX), delay_ms: AtomicU32::new(0), lost: AtomicU32::new(0) }
    }
}

/// Carries packets until one of the ends is gone.
pub(crate) fn carry(from: BufReader<ChildStdout>, to: ChildStdin, seed: u64) -> Arc<Condition> {
    let condition = Arc::new(Condition::default());
    let (give, take) = channel();
    let its = Arc::clone(&condition);
    thread::spawn(move || take_in(from, &its, &give, fastrand::Rng::with_seed(seed)));
    thread::spawn(move || give_out(&take, to));
    condition
}

type Due = (Instant, Vec<u8>);

fn take_in(mut from: BufReader<ChildStdout>, condition: &Condition, give: &Sender<Due>, mut random: fastrand::Rng) {
    while let Ok(Some(packet)) = read_packet(&mut from) {
        let is_lost = random.u32(0..1_000) < condition.lost.load(Ordering::Relaxed);
        if is_lost || packet.len() > condition.longest.load(Ordering::Relaxed) {
            continue;
        }
        let delay = Duration::from_millis(condition.delay_ms.load(Ordering::Relaxed).into());
        if give.send((Instant::now() + delay, packet)).is_err() {
            return;
        }
    }
}

fn give_out(take: &Receiver<Due>, mut to: impl Write) {
    for (due, packet) in take {
        thread::sleep(due.saturating_duration_since(Instant::now()));
        if write_packet(&mut to, &packet).is_err() {
            return;
        }
    }
}
