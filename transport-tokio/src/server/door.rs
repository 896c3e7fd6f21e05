//! What the parts of a server share: who is there, what all hold, and what happened.

use std::fmt;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use pulsewire_policy::server::{Gate, LogLimit, Memory, Overload, Pass, Refused, ValidServerConfig};
use pulsewire_protocol::{CloseFrame, ConnectionId, Instant};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::statistics::ServerStatistics;
use crate::clock::Clock;

pub(crate) struct Door {
    pub(super) config: ValidServerConfig,
    pub(super) clock: Clock,
    gate: Mutex<Gate>,
    memory: Mutex<Memory<ConnectionId>>,
    /// Connections hold more than they may.
    exceeded: Notify,
    counts: Mutex<ServerStatistics>,
    log: Mutex<LogLimit>,
    /// Checks of clients that may still begin.
    pub(super) checks: Semaphore,
    /// Connections through proxies that may still begin, before it is known for whom they are.
    unknown: Arc<Semaphore>,
    /// Nothing is accepted any more.
    pub(super) stop: CancellationToken,
    /// The server ends: whoever is established from now on is drained at once.
    pub(super) draining: AtomicBool,
    pub(super) listeners: TaskTracker,
    pub(super) handlers: TaskTracker,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing panics while one is held.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Door {
    pub(super) fn new(config: ValidServerConfig, clock: Clock) -> Self {
        Self {
            clock,
            gate: Mutex::new(Gate::new(config.limits)),
            memory: Mutex::new(Memory::new(config.limits.buffered)),
            exceeded: Notify::new(),
            counts: Mutex::default(),
            log: Mutex::default(),
            checks: Semaphore::new(config.admission.at_once as usize),
            unknown: Arc::new(Semaphore::new(config.limits.handshakes as usize)),
            stop: CancellationToken::new(),
            draining: AtomicBool::new(false),
            listeners: TaskTracker::new(),
            handlers: TaskTracker::new(),
            config,
        }
    }

    /// A connection came in.
    pub(super) fn admit(self: &Arc<Self>, peer: Option<SocketAddr>) -> Entrance {
        self.count(|counts| counts.accepted += 1);
        match lock(&self.gate).admit(self.clock.now(), peer.map(|peer| peer.ip())) {
            Ok(pass) => Entrance::Open(Ticket::new(self, pass)),
            Err(Refused { why, pass: Some(pass) }) => Entrance::Refused(why, Ticket::new(self, pass)),
            Err(Refused { why, pass: None }) => Entrance::Shut(why),
        }
    }

    /// A place for a connection of which it is not known yet for whom it is.
    pub(super) fn proxied(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.unknown).try_acquire_owned().ok()
    }

    /// Counts a connection that there is no room for, and says so now and then.
    pub(super) fn note_refused(&self, why: Overload, told: bool) {
        self.count(|counts| {
            counts.refused.note(why);
            counts.dropped += u64::from(!told);
        });
        self.warn(format_args!("refused: {why}"));
    }

    /// What to tell a client that there is no room for.
    pub(super) fn overloaded(&self, why: impl fmt::Display) -> CloseFrame {
        self.config.limits.overloaded(why, random())
    }

    /// Logs a warning about a connection, once a second at most.
    pub(super) fn warn(&self, what: fmt::Arguments<'_>) {
        let count = lock(&self.log).note(self.clock.now());
        if let Some(count) = count {
            tracing::warn!(count, "a connection was {what}; the count is that of all such since the last warning");
        }
    }

    pub(super) fn count(&self, change: impl FnOnce(&mut ServerStatistics)) {
        change(&mut lock(&self.counts));
    }

    pub(super) fn statistics(&self) -> ServerStatistics {
        let mut statistics = lock(&self.counts).clone();
        statistics.occupancy = lock(&self.gate).occupancy();
        statistics.buffered = lock(&self.memory).held();
        statistics.handlers = self.handlers.len();
        statistics
    }

    /// Waits until connections hold too much. Gives who has to go, and the limit.
    pub(super) async fn exceeded(&self) -> (ConnectionId, usize) {
        loop {
            let first = {
                let memory = lock(&self.memory);
                memory.first_to_close(self.clock.now()).map(|id| (id, memory.limit()))
            };
            match first {
                Some(first) => return first,
                None => self.exceeded.notified().await,
            }
        }
    }

    /// A connection holds nothing any more, whatever it says later.
    pub(super) fn forget(&self, id: ConnectionId) {
        lock(&self.memory).note(id, 0, None);
    }
}

/// What becomes of a connection that came in.
pub(super) enum Entrance {
    Open(Arc<Ticket>),
    /// It is to be told so.
    Refused(Overload, Arc<Ticket>),
    /// It is closed without a word.
    Shut(Overload),
}

/// What counts for one connection, until its stream is closed.
pub(crate) struct Ticket {
    door: Arc<Door>,
    /// `None` while it is given back.
    pass: Mutex<Option<Pass>>,
    id: OnceLock<ConnectionId>,
    held: AtomicUsize,
}

impl Ticket {
    fn new(door: &Arc<Door>, pass: Pass) -> Arc<Self> {
        let (pass, id, held) = (Mutex::new(Some(pass)), OnceLock::new(), AtomicUsize::new(0));
        Arc::new(Self { door: Arc::clone(door), pass, id, held })
    }

    /// Whose it is. Before, it holds nothing.
    pub(super) fn belongs_to(&self, id: ConnectionId) {
        let _first = self.id.set(id);
    }

    /// The handshake is complete.
    pub(crate) fn established(&self) {
        if let Some(pass) = &mut *lock(&self.pass) {
            lock(&self.door.gate).established(pass);
        }
    }

    /// Whether the server ends.
    pub(crate) fn is_draining(&self) -> bool {
        self.door.draining.load(Ordering::SeqCst)
    }

    /// The connection holds so much now. Called under its lock.
    #[inline]
    pub(crate) fn note_held(&self, bytes: usize, open_since: Option<Instant>) {
        if bytes != self.held.load(Ordering::Relaxed) {
            self.change_held(bytes, open_since);
        }
    }

    fn change_held(&self, bytes: usize, open_since: Option<Instant>) {
        let Some(id) = self.id.get() else { return };
        let before = self.held.swap(bytes, Ordering::Relaxed);
        let mut memory = lock(&self.door.memory);
        memory.note(*id, bytes, open_since);
        if bytes > before && memory.is_exceeded() {
            self.door.exceeded.notify_one();
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if let Some(id) = self.id.get() {
            self.door.forget(*id);
        }
        if let Some(pass) = lock(&self.pass).take() {
            lock(&self.door.gate).leave(pass);
        }
    }
}

/// Any number. It spreads load, and nothing depends on it: without random numbers all get the same.
pub(super) fn random() -> u64 {
    getrandom::u64().unwrap_or(0)
}
