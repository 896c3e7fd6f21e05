//! The connections of an endpoint, by id.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use pulsewire_protocol::{ConnectionId, Slots};
use tokio::sync::Notify;

use crate::driver::Shared;

/// Ids, and what is still being said good-bye to.
pub(crate) struct Registry {
    entries: Mutex<Entries>,
    /// A connection or a farewell ended.
    ended: Notify,
}

struct Entries {
    slots: Slots<Arc<Shared>>,
    farewells: usize,
}

impl Registry {
    pub(crate) fn new(domain: u32) -> Self {
        Self { entries: Mutex::new(Entries { slots: Slots::new(domain), farewells: 0 }), ended: Notify::new() }
    }

    fn lock(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes a connection that knows its id.
    pub(crate) fn insert_with(&self, make: impl FnOnce(ConnectionId) -> Shared) -> Arc<Shared> {
        let mut entries = self.lock();
        let id = entries.slots.insert_with(|id| Arc::new(make(id)));
        entries.slots.get(id).map(Arc::clone).expect("inserted just now")
    }

    pub(crate) fn get(&self, id: ConnectionId) -> Option<Arc<Shared>> {
        self.lock().slots.get(id).cloned()
    }

    pub(crate) fn remove(&self, id: ConnectionId) {
        self.lock().slots.remove(id);
        self.ended.notify_waiters();
    }

    pub(crate) fn all(&self) -> Vec<Arc<Shared>> {
        let entries = self.lock();
        entries.slots.ids().filter_map(|id| entries.slots.get(id).cloned()).collect()
    }

    /// Counts a farewell until what is returned is dropped.
    pub(crate) fn farewell(self: &Arc<Self>) -> FarewellGuard {
        self.lock().farewells += 1;
        FarewellGuard(Arc::clone(self))
    }

    /// Waits until no connection lives and no farewell is under way.
    pub(crate) async fn empty(&self) {
        loop {
            let ended = self.ended.notified();
            tokio::pin!(ended);
            // Registered before looking, so that nothing is missed in between.
            ended.as_mut().enable();
            if self.is_empty() {
                return;
            }
            ended.await;
        }
    }

    fn is_empty(&self) -> bool {
        let entries = self.lock();
        entries.slots.is_empty() && entries.farewells == 0
    }
}

pub(crate) struct FarewellGuard(Arc<Registry>);

impl Drop for FarewellGuard {
    fn drop(&mut self) {
        self.0.lock().farewells -= 1;
        self.0.ended.notify_waiters();
    }
}
