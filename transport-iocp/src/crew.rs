//! The threads of an endpoint, as each of them sees the others.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::inbox::Inbox;

/// A connection that one thread has accepted and another is to have. No operation was started on it, and it belongs to no port.
#[derive(Debug)]
pub(crate) struct Arrival<Socket> {
    pub(crate) socket: Socket,
    pub(crate) remote: SocketAddr,
}

/// One of the threads.
#[derive(Debug)]
struct Member<Socket> {
    inbox: Arc<Inbox>,
    /// Connections that it has, as it said last.
    connections: AtomicUsize,
    /// Connections that are handed to it; `None` when it is gone.
    arrivals: Mutex<Option<Vec<Arrival<Socket>>>>,
}

impl<Socket> Member<Socket> {
    fn lock(&self) -> MutexGuard<'_, Option<Vec<Arrival<Socket>>>> {
        // A push or a take is done or not done.
        self.arrivals.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many connections it has or is about to have; `None` when it is gone.
    fn load(&self) -> Option<usize> {
        // Both under the lock, under which what arrives becomes what is there.
        let arrivals = self.lock();
        arrivals.as_ref().map(|arriving| arriving.len() + self.connections.load(Ordering::Relaxed))
    }
}

/// All threads, and which of them this one is.
#[derive(Debug)]
pub(crate) struct Crew<Socket> {
    members: Arc<[Member<Socket>]>,
    own: usize,
}

impl<Socket> Crew<Socket> {
    /// The view of each of the threads with these inboxes.
    pub(crate) fn of(inboxes: impl IntoIterator<Item = Arc<Inbox>>) -> Vec<Self> {
        let member = |inbox| Member { inbox, connections: AtomicUsize::new(0), arrivals: Mutex::new(Some(Vec::new())) };
        let members: Arc<[_]> = inboxes.into_iter().map(member).collect();
        (0..members.len()).map(|own| Self { members: Arc::clone(&members), own }).collect()
    }

    /// Has the thread with the fewest connections take this one, of which `connections` is the number here. It comes back where that is
    /// this thread.
    pub(crate) fn hand_on(&self, arrival: Arrival<Socket>, connections: usize) -> Option<Arrival<Socket>> {
        if self.members.len() == 1 {
            return Some(arrival);
        }
        let others = self.members.iter().enumerate().filter(|(index, _)| *index != self.own);
        let loads = others.filter_map(|(_, member)| Some((member.load()?, member)));
        match loads.min_by_key(|(load, _)| *load) {
            Some((load, member)) if load < connections => {
                match &mut *member.lock() {
                    Some(arrivals) => arrivals.push(arrival),
                    // It has ended meanwhile.
                    None => return Some(arrival),
                }
                member.inbox.wake();
                None
            }
            Some(_) | None => Some(arrival),
        }
    }

    /// Takes out what was handed to this thread.
    pub(crate) fn arrivals(&self) -> Vec<Arrival<Socket>> {
        let member = &self.members[self.own];
        let mut arrivals = member.lock();
        let taken = arrivals.as_mut().map(std::mem::take).unwrap_or_default();
        member.connections.fetch_add(taken.len(), Ordering::Relaxed);
        taken
    }

    /// Says how many connections this thread has.
    pub(crate) fn note(&self, connections: usize) {
        self.members[self.own].connections.store(connections, Ordering::Relaxed);
    }

    /// This thread takes nothing more.
    pub(crate) fn leave(&self) {
        // Closed when they are dropped, behind the lock.
        let _never_taken = self.members[self.own].lock().take();
    }
}
