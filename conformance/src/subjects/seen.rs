//! What the connections of one subject did, as the suite asks for it.

use std::sync::{Mutex, MutexGuard, PoisonError};

use pulsewire_conformance::subject::{Ending, Reply};
use pulsewire_protocol::{Closed, ConnectionId};

use super::{ending, id_to_suite};

/// Filled by the tasks or threads that receive.
#[derive(Default)]
pub(super) struct Seen(Mutex<Lists>);

#[derive(Default)]
struct Lists {
    /// Established and not over, oldest first.
    live: Vec<ConnectionId>,
    endings: Vec<Ending>,
}

impl Seen {
    fn lock(&self) -> MutexGuard<'_, Lists> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn established(&self, id: ConnectionId) {
        self.lock().live.push(id);
    }

    /// A connection that was never established does not count.
    pub(super) fn closed(&self, id: ConnectionId, closed: &Closed) {
        let mut lists = self.lock();
        if lists.live.contains(&id) {
            lists.live.retain(|live| *live != id);
            lists.endings.push(ending(id_to_suite(id), closed));
        }
    }

    pub(super) fn connections(&self) -> Reply {
        Reply::Connections(self.lock().live.iter().copied().map(id_to_suite).collect())
    }

    pub(super) fn endings(&self) -> Reply {
        Reply::Endings(self.lock().endings.clone())
    }
}
