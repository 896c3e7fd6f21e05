//! The deadlines of a million connections.

use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use pulsewire_protocol::{Instant, TimingWheel};
use tokio::runtime::Runtime;
use tokio::time::Sleep;
use tokio_util::time::DelayQueue;
use tokio_util::time::delay_queue::Key;

use crate::goal::Goal;
use crate::measure::{Group, time};

const WHEEL: &str = "TimingWheel";
const DELAY_QUEUE: &str = "tokio-util DelayQueue";
const SLEEP: &str = "tokio Sleep::reset";

const CONNECTIONS: u32 = 1_000_000;

/// Deadlines that move in a pass.
const MOVES: usize = 1_000;

/// How far time goes until somebody looks: some hundred deadlines.
const STEP: Duration = Duration::from_millis(2);

/// Steps in a pass: 5 s, in which as many deadlines pass as there are. Timing wheels work in bursts, when a bucket is divided
/// among smaller ones, and none that matters is rarer than that.
const STEPS: u32 = 2_500;

/// From now until the latest deadline.
const LATEST: Duration = Duration::from_secs(6);

/// How far the deadlines of a pass lie behind those of the one before.
const LATER: Duration = Duration::from_millis(1);

pub(crate) fn groups() -> Vec<Group> {
    vec![rearm(), expire()]
}

/// A packet came: the deadline of its connection moves to later, each time. The connections take turns at random.
fn rearm() -> Group {
    let mut wheel = Wheel::new();
    let mut queue = Queue::new();
    let mut sleeps = Sleeps::new();
    Group::new("deadlines/1M, one moves to later")
        .contender(WHEEL, move || wheel.rearm())
        .contender(DELAY_QUEUE, move || queue.rearm())
        .contender(SLEEP, move || sleeps.rearm())
        .goal(Goal::faster(WHEEL, DELAY_QUEUE, 60.0))
        .goal(Goal::faster(WHEEL, SLEEP, 30.0))
}

/// Deadlines pass, one after the other. Noting the next ones is not measured.
fn expire() -> Group {
    let mut wheel = Wheel::new();
    let mut queue = Queue::new();
    Group::new("deadlines/1M, one passes")
        .self_timed(WHEEL, move || wheel.expire())
        .self_timed(DELAY_QUEUE, move || queue.expire())
        .rounds(9)
        .goal(Goal::faster(WHEEL, DELAY_QUEUE, 4.0))
}

/// A whole pass: the time that its steps take, and the deadlines that pass.
fn steps(mut step: impl FnMut() -> (Duration, u64)) -> (Duration, u64) {
    (0..STEPS).map(|_| step()).fold((Duration::ZERO, 0), |(took, did), (time, count)| (took + time, did + count))
}

/// From now until a deadline: 4 to 6 s.
fn wait() -> Duration {
    Duration::from_micros(fastrand::u64(4_000_000..6_000_000))
}

/// Until the first one: as if time had gone on for long, so that some pass with every step.
fn first_wait() -> Duration {
    Duration::from_micros(fastrand::u64(0..5_000_000))
}

/// All connections, in a random order, some at a time.
struct Order {
    slots: Vec<u32>,
    position: usize,
}

impl Order {
    fn new() -> Self {
        let mut slots: Vec<u32> = (0..CONNECTIONS).collect();
        fastrand::shuffle(&mut slots);
        Self { slots, position: 0 }
    }

    fn next(&mut self) -> &[u32] {
        self.position = (self.position + MOVES) % self.slots.len();
        &self.slots[self.position..self.position + MOVES]
    }
}

struct Wheel {
    wheel: TimingWheel,
    deadlines: Vec<Instant>,
    order: Order,
    now: Instant,
    later: Instant,
    passed: Vec<u32>,
}

impl Wheel {
    fn new() -> Self {
        let deadlines: Vec<Instant> = (0..CONNECTIONS).map(|_| Instant::ZERO + first_wait()).collect();
        let mut wheel = TimingWheel::new();
        (0..).zip(&deadlines).for_each(|(slot, deadline)| wheel.note(slot, *deadline));
        let (now, later) = (Instant::ZERO, Instant::ZERO + LATEST);
        Self { wheel, deadlines, order: Order::new(), now, later, passed: Vec::new() }
    }

    fn rearm(&mut self) -> u64 {
        self.later = self.later + LATER;
        // The deadline itself is part of the connection, which the packet has changed already.
        for slot in self.order.next() {
            self.wheel.note(*slot, self.later);
        }
        MOVES as u64
    }

    fn expire(&mut self) -> (Duration, u64) {
        steps(|| self.step())
    }

    fn step(&mut self) -> (Duration, u64) {
        self.now = self.now + STEP;
        self.passed.clear();
        let Self { wheel, deadlines, now, passed, .. } = self;
        let timed = time(|| {
            while let Some(slot) = wheel.expire(*now, |slot| Some(deadlines[slot as usize])) {
                passed.push(slot);
            }
            passed.len() as u64
        });
        for slot in passed {
            deadlines[*slot as usize] = *now + wait();
            wheel.note(*slot, deadlines[*slot as usize]);
        }
        timed
    }
}

/// A runtime whose clock stands still until it is told to go on.
fn paused() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().expect("a runtime")
}

struct Queue {
    queue: DelayQueue<u32>,
    keys: Vec<Key>,
    order: Order,
    later: tokio::time::Instant,
    runtime: Runtime,
}

impl Queue {
    fn new() -> Self {
        let runtime = paused();
        let mut queue = DelayQueue::with_capacity(CONNECTIONS as usize);
        let entered = runtime.enter();
        let keys = (0..CONNECTIONS).map(|slot| queue.insert(slot, first_wait())).collect();
        let later = tokio::time::Instant::now() + LATEST;
        drop(entered);
        Self { queue, keys, order: Order::new(), later, runtime }
    }

    fn rearm(&mut self) -> u64 {
        let _entered = self.runtime.enter();
        self.later += LATER;
        for slot in self.order.next() {
            self.queue.reset_at(&self.keys[*slot as usize], self.later);
        }
        MOVES as u64
    }

    fn expire(&mut self) -> (Duration, u64) {
        steps(|| self.step())
    }

    fn step(&mut self) -> (Duration, u64) {
        let Self { queue, runtime, .. } = self;
        runtime.block_on(async {
            tokio::time::advance(STEP).await;
            let mut context = Context::from_waker(Waker::noop());
            let mut passed = Vec::with_capacity(1_000);
            let timed = tokio::task::unconstrained(async {
                time(|| {
                    while let Poll::Ready(Some(expired)) = queue.poll_expired(&mut context) {
                        passed.push(expired.into_inner());
                    }
                    passed.len() as u64
                })
            })
            .await;
            for slot in passed {
                queue.insert(slot, wait());
            }
            timed
        })
    }
}

struct Sleeps {
    sleeps: Vec<Pin<Box<Sleep>>>,
    order: Order,
    later: tokio::time::Instant,
    runtime: Runtime,
}

impl Sleeps {
    fn new() -> Self {
        let runtime = paused();
        let (sleeps, later) = runtime.block_on(tokio::task::unconstrained(async {
            let mut context = Context::from_waker(Waker::noop());
            let sleep = |_| {
                let mut sleep = Box::pin(tokio::time::sleep(wait()));
                // It is registered when it is polled.
                assert!(sleep.as_mut().poll(&mut context).is_pending());
                sleep
            };
            let later = tokio::time::Instant::now() + LATEST;
            ((0..CONNECTIONS).map(sleep).collect(), later)
        }));
        Self { sleeps, order: Order::new(), later, runtime }
    }

    fn rearm(&mut self) -> u64 {
        let _entered = self.runtime.enter();
        self.later += LATER;
        for slot in self.order.next() {
            self.sleeps[*slot as usize].as_mut().reset(self.later);
        }
        MOVES as u64
    }
}
