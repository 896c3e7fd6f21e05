//! Looks after the connections of an endpoint: for all of them one timing wheel, and one task.
//!
//! A connection asks to be looked at, at a time or at once ([`Keeper::look_at`], [`Keeper::look_soon`]):
//!
//! - The task in `recv` waits: at the next deadline of its machine. When that has passed the task is woken, reads what can be read by
//!   then, and judges (PW-TCP-001). One that does not look lives on beside a future that is not polled, and is taken for elsewhere.
//! - The task is elsewhere, in a handler, in another branch of a `select!`, or gone for good: every [`Times::look`]. What was sent
//!   is written; after [`Times::away`] the connection pauses; and time passes for it.
//! - Senders' messages wait to be joined ([`Joining`]): when the first of them has waited for long enough.
//! - A handler has sent something that waits to be joined with the answers to what came together: at once, which is when that handler
//!   waits for something, or has come to its end.
//!
//! A look later than asked for costs nothing more: nearly every packet moves a deadline to later, and the wheel hears of it at the
//! next look.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use pulsewire_policy::Joining;
use pulsewire_protocol::{Instant, TimingWheel, ValidConfig};
use tokio::runtime::Handle;
use tokio::time::Sleep;

use crate::clock::Clock;
use crate::registry::Registry;
use crate::turn::give_way;

/// A task that is away for less is no reason to pause for a peer that is quicker than this side.
const SHORTEST_ABSENCE: Duration = Duration::from_millis(250);
/// Looks in a row, before others run.
const LOOKS: usize = 64;

/// When the keeper does what.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Times {
    /// Between two looks at a connection whose task is away: so long may it take until a peer that reads again is written to.
    pub(crate) look: Duration,
    /// A task that is away for so long is taken for slow: its connection pauses, and the peer is told. One that comes back, but for so
    /// long not to the end of what there is to read, has the peer told that it lives (PW-HB-027).
    pub(crate) away: Duration,
}

impl Times {
    pub(crate) fn new(config: &ValidConfig) -> Self {
        // No peer is quicker than it was told that it may be. But on a busy machine any task is away for a moment.
        let floor = config.heartbeat.ping_floor.max(SHORTEST_ABSENCE);
        let away = (config.heartbeat.idle / 2).min(floor).min(Duration::from_secs(1));
        Self { look: (away / 4).min(Duration::from_millis(50)), away }
    }
}

pub(crate) struct Keeper {
    /// Whose connections these are.
    pub(crate) registry: Weak<Registry>,
    pub(crate) times: Times,
    pub(crate) clock: Clock,
    pub(crate) joining: Joining,
    plan: Mutex<Plan>,
}

/// What is to be looked at, by the slots of ids. Another connection may have come into a slot meanwhile; a look does it no harm.
struct Plan {
    later: TimingWheel,
    soon: Vec<u32>,
    /// The task is awake until it has seen to all that is planned.
    waiting: Option<(Instant, Waker)>,
    runs: bool,
}

impl Keeper {
    pub(crate) fn new(registry: Weak<Registry>, times: Times, clock: Clock, joining: Joining) -> Arc<Self> {
        let plan = Plan { later: TimingWheel::new(), soon: Vec::new(), waiting: None, runs: false };
        Arc::new(Self { registry, times, clock, joining, plan: Mutex::new(plan) })
    }

    /// Begins the task, unless it runs. It ends with the runtime where it began; the next connection begins it anew.
    pub(crate) fn start(self: &Arc<Self>, runtime: &Handle) {
        if std::mem::replace(&mut self.lock().runs, true) {
            return;
        }
        let running = Running(Arc::clone(self));
        runtime.spawn(async move { running.0.run().await });
    }

    /// The connection in this slot is to be looked at, when the time has come.
    pub(crate) fn look_at(&self, slot: u32, time: Instant) {
        let mut plan = self.lock();
        plan.later.note(slot, time);
        plan.wake_for(time);
    }

    /// The connection in this slot is to be looked at when the task has waited that runs now.
    pub(crate) fn look_soon(&self, slot: u32) {
        let mut plan = self.lock();
        plan.soon.push(slot);
        plan.wake_for(Instant::ZERO);
    }

    /// The endpoint is gone: so is the task.
    pub(crate) fn end(&self) {
        self.lock().wake_for(Instant::ZERO);
    }

    fn lock(&self) -> MutexGuard<'_, Plan> {
        self.plan.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn run(&self) {
        let mut sleep = pin!(tokio::time::sleep_until(self.clock.tokio(Instant::ZERO)));
        poll_fn(|context| self.poll(sleep.as_mut(), context)).await;
    }

    /// Sees to what is due, and waits for the next. `Ready` when the endpoint is gone.
    fn poll(&self, mut sleep: Pin<&mut Sleep>, context: &mut Context<'_>) -> Poll<()> {
        let Some(registry) = self.registry.upgrade() else { return Poll::Ready(()) };
        for _ in 0..LOOKS {
            let planned = self.lock().next(self.clock.now(), context);
            match planned {
                Planned::Soon(slots) => {
                    slots.into_iter().filter_map(|slot| registry.at(slot)).for_each(|shared| shared.flush_left());
                }
                Planned::Now(slot) => {
                    if let Some(shared) = registry.at(slot) {
                        shared.look_after(self.times, &registry);
                    }
                }
                Planned::At(time) => {
                    sleep.as_mut().reset(self.clock.tokio(time));
                    if sleep.as_mut().poll(context).is_pending() {
                        return Poll::Pending;
                    }
                }
                Planned::Nothing => return Poll::Pending,
            }
        }
        give_way(context);
        Poll::Pending
    }
}

enum Planned {
    Soon(Vec<u32>),
    Now(u32),
    At(Instant),
    Nothing,
}

impl Plan {
    /// What is next. The task waits if that is later.
    fn next(&mut self, now: Instant, context: &Context<'_>) -> Planned {
        self.waiting = None;
        if !self.soon.is_empty() {
            return Planned::Soon(std::mem::take(&mut self.soon));
        }
        // Whether a deadline has come is seen at the connection, which knows its latest.
        if let Some(slot) = self.later.expire(now, |_| Some(Instant::ZERO)) {
            return Planned::Now(slot);
        }
        let earliest = self.later.earliest();
        self.waiting = Some((earliest.unwrap_or(Instant::MAX), context.waker().clone()));
        earliest.map_or(Planned::Nothing, Planned::At)
    }

    fn wake_for(&mut self, time: Instant) {
        if let Some((_, waker)) = self.waiting.take_if(|(until, _)| time < *until) {
            waker.wake();
        }
    }
}

/// The task.
struct Running(Arc<Keeper>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.lock().runs = false;
    }
}
