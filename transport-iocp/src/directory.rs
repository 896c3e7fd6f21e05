//! The connections that live, for other threads to look up by id.

use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use pulsewire_protocol::ConnectionId;

use crate::mailbox::Mailbox;

/// The mailboxes of the live connections, by slot. An id that names none of them finds none (PW-CK-002).
#[derive(Debug, Default)]
pub(crate) struct Directory {
    mailboxes: RwLock<Vec<Option<Arc<Mailbox>>>>,
}

/// The directories of all threads of an endpoint.
#[derive(Debug)]
pub(crate) struct Directories(pub(crate) Vec<Arc<Directory>>);

impl Directories {
    /// The mailbox of the connection that `id` names, if it lives, on whichever thread.
    pub(crate) fn find(&self, id: ConnectionId) -> Option<Arc<Mailbox>> {
        self.0.iter().find_map(|directory| directory.find(id))
    }

    #[cfg(windows)]
    pub(crate) fn ids(&self) -> Vec<ConnectionId> {
        self.0.iter().flat_map(|directory| directory.ids()).collect()
    }
}

impl Directory {
    fn read(&self) -> RwLockReadGuard<'_, Vec<Option<Arc<Mailbox>>>> {
        // Each change is one assignment, done or not done.
        self.mailboxes.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Vec<Option<Arc<Mailbox>>>> {
        self.mailboxes.write().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn insert(&self, mailbox: &Arc<Mailbox>) {
        let mut mailboxes = self.write();
        let slot = mailbox.id().slot() as usize;
        if mailboxes.len() <= slot {
            mailboxes.resize(slot + 1, None);
        }
        mailboxes[slot] = Some(Arc::clone(mailbox));
    }

    pub(crate) fn remove(&self, id: ConnectionId) {
        if let Some(entry) = self.write().get_mut(id.slot() as usize) {
            entry.take_if(|mailbox| mailbox.id() == id);
        }
    }

    /// The mailbox of the connection that `id` names, if it lives.
    pub(crate) fn find(&self, id: ConnectionId) -> Option<Arc<Mailbox>> {
        self.read().get(id.slot() as usize)?.as_ref().filter(|mailbox| mailbox.id() == id).cloned()
    }

    pub(crate) fn ids(&self) -> Vec<ConnectionId> {
        self.read().iter().flatten().map(|mailbox| mailbox.id()).collect()
    }

    /// Takes all out.
    pub(crate) fn clear(&self) -> Vec<Arc<Mailbox>> {
        std::mem::take(&mut *self.write()).into_iter().flatten().collect()
    }
}
