//! Looks after connections whose task is elsewhere: in a handler that waits, in another `select!`, or gone for good.
//!
//! A task that leaves `recv` with an event has its connection watched until it is back and finds nothing more to do. So whoever
//! is idle costs nothing here, and whoever is busy one look in each [`Times::look`].

use std::sync::{Arc, Mutex, Once, PoisonError, Weak};
use std::time::Duration;

use pulsewire_protocol::{ConnectionId, ValidConfig};
use tokio::runtime::Handle;
use tokio::sync::Notify;

use crate::registry::Registry;

/// When the keeper does what.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Times {
    /// Between two looks: so long may an answer wait that a handler left in a batch before it began to wait itself.
    pub(crate) look: Duration,
    /// A task that is away for so long is taken for slow: its connection pauses, and the peer is told.
    pub(crate) away: Duration,
}

impl Times {
    pub(crate) fn new(config: &ValidConfig) -> Self {
        let away = (config.heartbeat.idle / 2).min(Duration::from_secs(1));
        Self { look: (away / 4).min(Duration::from_millis(50)), away }
    }
}

/// The connections that are watched.
pub(crate) struct Keeper {
    times: Times,
    watched: Mutex<Vec<ConnectionId>>,
    /// There is one more, or the endpoint is gone.
    changed: Notify,
    began: Once,
}

impl Keeper {
    pub(crate) fn new(times: Times) -> Arc<Self> {
        Arc::new(Self { times, watched: Mutex::default(), changed: Notify::new(), began: Once::new() })
    }

    /// From now on this connection is looked after. The first one begins the task that does it.
    pub(crate) fn watch(self: &Arc<Self>, id: ConnectionId, registry: &Arc<Registry>, runtime: &Handle) {
        self.began.call_once(|| drop(runtime.spawn(Arc::clone(self).keep(Arc::downgrade(registry)))));
        self.watched.lock().unwrap_or_else(PoisonError::into_inner).push(id);
        self.changed.notify_one();
    }

    /// The endpoint is gone: so is the task.
    pub(crate) fn end(&self) {
        self.changed.notify_one();
    }

    async fn keep(self: Arc<Self>, registry: Weak<Registry>) {
        loop {
            self.changed.notified().await;
            loop {
                tokio::time::sleep(self.times.look).await;
                let Some(registry) = registry.upgrade() else { return };
                if !self.look_after_all(&registry) {
                    break;
                }
            }
        }
    }

    /// Returns whether any connection is still watched.
    fn look_after_all(&self, registry: &Arc<Registry>) -> bool {
        let mut kept = std::mem::take(&mut *self.watched.lock().unwrap_or_else(PoisonError::into_inner));
        kept.retain(|id| registry.get(*id).is_some_and(|shared| shared.look_after(self.times, registry)));
        let mut watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        // Others may have come meanwhile.
        watched.append(&mut kept);
        !watched.is_empty()
    }
}
