//! What the connections of one subject did, as the suite asks for it.

use std::sync::{Mutex, MutexGuard, PoisonError};

use pulsewire_conformance::subject::{Event, Happening, Reply};
use pulsewire_protocol::{Closed, ConnectionId};

use super::{ending, id_to_suite};

/// Filled by the tasks or threads that receive.
#[derive(Default)]
pub(super) struct Seen(Mutex<Lists>);

#[derive(Default)]
struct Lists {
    /// Established and not over, oldest first.
    live: Vec<ConnectionId>,
    events: Vec<Event>,
}

impl Seen {
    fn lock(&self) -> MutexGuard<'_, Lists> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn established(&self, id: ConnectionId) {
        self.lock().live.push(id);
    }

    pub(super) fn happened(&self, id: Option<ConnectionId>, what: Happening) {
        self.lock().events.push(Event { connection: id.map(id_to_suite), what });
    }

    pub(super) fn closed(&self, id: ConnectionId, closed: &Closed) {
        self.lock().live.retain(|live| *live != id);
        self.happened(Some(id), ending(closed));
    }

    pub(super) fn connections(&self) -> Reply {
        Reply::Connections(self.lock().live.iter().copied().map(id_to_suite).collect())
    }

    pub(super) fn events(&self) -> Reply {
        Reply::Events(self.lock().events.clone())
    }
}
