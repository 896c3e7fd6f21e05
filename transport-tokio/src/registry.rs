//! The connections of an endpoint, by id.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use pulsewire_policy::{Joining, Traffic, telemetry};
use pulsewire_protocol::{ConnectionId, Slots};
use tokio::sync::Notify;

use crate::clock::Clock;
use crate::keeper::{Keeper, Times};
use crate::report::ShutdownReport;
use crate::shared::Shared;
use crate::statistics::EndpointStatistics;

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
    /// How all ended that are gone.
    gone: ShutdownReport,
    /// What went over these.
    traffic: Traffic,
}

impl Registry {
    pub(crate) fn new(domain: u32, clock: Clock, times: Times, joining: Joining) -> Arc<Self> {
        Arc::new_cyclic(|registry| Self {
            entries: Mutex::new(Entries {
                slots: Slots::new(domain),
                parting: HashMap::new(),
                gone: ShutdownReport::default(),
                traffic: Traffic::default(),
            }),
            ended: Notify::new(),
            keeper: Keeper::new(Weak::clone(registry), times, clock, joining),
        })
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

    /// What lives in a slot now.
    pub(crate) fn at(&self, slot: u32) -> Option<Arc<Shared>> {
        self.lock().slots.at(slot).map(|(_, shared)| Arc::clone(shared))
    }

    /// How all ended that are gone.
    pub(crate) fn gone(&self) -> ShutdownReport {
        self.lock().gone
    }

    /// What those did that are gone, and those that live or are being said good-bye to: each connection is among one of these.
    pub(crate) fn statistics(&self) -> (EndpointStatistics, Vec<Arc<Shared>>) {
        let Entries { slots, parting, gone, traffic } = &*self.lock();
        let statistics =
            EndpointStatistics { connections: slots.len(), parting: parting.len(), ended: *gone, traffic: *traffic };
        let live = slots.ids().filter_map(|id| slots.get(id));
        (statistics, live.chain(parting.values()).cloned().collect())
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
        Some(Parting {
            registry: Arc::clone(self),
            shared,
            report: ShutdownReport::default(),
            traffic: Traffic::default(),
        })
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
    report: ShutdownReport,
    traffic: Traffic,
}

impl Parting {
    /// How it ended, as far as is known by now.
    pub(crate) fn note(&mut self, report: ShutdownReport, traffic: Traffic) {
        (self.report, self.traffic) = (report, traffic);
    }

    pub(crate) fn shared(&self) -> &Shared {
        &self.shared
    }
}

impl Drop for Parting {
    fn drop(&mut self) {
        let mut entries = self.registry.lock();
        entries.parting.remove(&self.shared.id);
        entries.gone += self.report;
        entries.traffic += self.traffic;
        drop(entries);
        telemetry::ended(self.shared.role, self.shared.lasted(), &self.report, &self.traffic);
        self.registry.ended.notify_waiters();
    }
}
