//! What the connections of one subject did, as the suite asks for it.

use std::sync::{Mutex, MutexGuard, PoisonError};

use pulsewire_conformance::subject::{self, Happening, Reply};
use pulsewire_protocol::{ConnectionId, Event};

use super::{happening, id_to_suite};

/// Filled by the tasks or threads that receive.
#[derive(Default)]
pub(super) struct Seen(Mutex<Lists>);

#[derive(Default)]
struct Lists {
    /// Established and not over, oldest first.
    live: Vec<ConnectionId>,
    events: Vec<subject::Event>,
}

impl Seen {
    fn lock(&self) -> MutexGuard<'_, Lists> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn established(&self, id: ConnectionId) {
        self.lock().live.push(id);
    }

    /// Notes an event of a connection that has an id.
    pub(super) fn event(&self, id: ConnectionId, event: &Event<'_>) {
        let mut lists = self.lock();
        match event {
            Event::Established(_) => lists.live.push(id),
            Event::Closed(_) => lists.live.retain(|live| *live != id),
            _ => {}
        }
        let connection = Some(id_to_suite(id));
        lists.events.extend(happening(event).map(|what| subject::Event { connection, what }));
    }

    /// Notes how a handshake ended of which nothing else is known.
    pub(super) fn failed(&self, what: Happening) {
        self.lock().events.push(subject::Event { connection: None, what });
    }

    pub(super) fn connections(&self) -> Reply {
        Reply::Connections(self.lock().live.iter().copied().map(id_to_suite).collect())
    }

    pub(super) fn events(&self) -> Reply {
        Reply::Events(self.lock().events.clone())
    }
}
