//! The connections of an endpoint, by id.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use pulsewire_protocol::{ConnectionId, Slots};
use tokio::sync::Notify;

use crate::keeper::{Keeper, Times};
use crate::shared::Shared;

/// Ids, and what is still being said good-bye to.
pub(crate) struct Registry {
    entries: Mutex<Entries>,
    /// A connection or a farewell ended.
    ended: Notify,
    pub(crate) keeper: Arc<Keeper>,
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.keeper.end();
    }
}

struct Entries {
    slots: Slots<Arc<Shared>>,
    /// Those that are over, while their last words are said.
    parting: HashMap<ConnectionId, Arc<Shared>>,
}

impl Registry {
    pub(crate) fn new(domain: u32, times: Times) -> Self {
        Self {
            entries: Mutex::new(Entries { slots: Slots::new(domain), parting: HashMap::new() }),
            ended: Notify::new(),
            keeper: Keeper::new(times),
        }
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

    /// Those that are over, and are still being said good-bye to.
    pub(crate) fn parting(&self) -> Vec<Arc<Shared>> {
        self.lock().parting.values().cloned().collect()
    }

    /// Ends the id of a connection that is over. Until what is returned is dropped it is not forgotten: no shutdown is complete
    /// in between.
    pub(crate) fn part(self: &Arc<Self>, id: ConnectionId) -> Option<Parting> {
        let mut entries = self.lock();
        let shared = entries.slots.remove(id)?;
        entries.parting.insert(id, Arc::clone(&shared));
        Some(Parting { registry: Arc::clone(self), shared })
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
        entries.slots.is_empty() && entries.parting.is_empty()
    }
}

/// A connection whose id is dead and whose stream is not closed yet.
pub(crate) struct Parting {
    registry: Arc<Registry>,
    shared: Arc<Shared>,
}

impl Parting {
    pub(crate) fn shared(&self) -> &Shared {
        &self.shared
    }
}

impl Drop for Parting {
    fn drop(&mut self) {
        self.registry.lock().parting.remove(&self.shared.id);
        self.registry.ended.notify_waiters();
    }
}
