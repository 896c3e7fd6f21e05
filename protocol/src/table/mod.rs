//! Many peers: ids with cookies, and one structure for all deadlines (section 13 of the specification).

mod deadlines;
mod slots;

use core::ops::{Deref, DerefMut};

use deadlines::Deadlines;
pub use slots::{ConnectionId, Slots};

use crate::connection::Connection;
use crate::error::{SendError, SendRefused};
use crate::message::Message;
use crate::time::Instant;

/// The connections of one driver, each with data of the driver's own. One thread owns it.
///
/// Every verb takes a [`ConnectionId`] and is refused if that names no connection which lives now.
///
/// ```
/// use pulsewire_protocol::{Class, Config, Connection, ConnectionTable, Instant, Message, Seed, SendRefused};
///
/// let config = Config::default().validate()?;
/// let mut table = ConnectionTable::new(0);
/// let old = table.insert(Connection::server(Instant::ZERO, &config, Seed::from_bytes([1; 12])), "a socket");
/// table.remove(old);
/// let new = table.insert(Connection::server(Instant::ZERO, &config, Seed::from_bytes([2; 12])), "another");
/// assert_eq!((old.slot, old.cookie == new.cookie), (new.slot, false));
///
/// let refused = table.send(old, Message::new(Class::BUSINESS, b"to a stranger?")).unwrap_err();
/// assert_eq!(refused.reason, SendRefused::Stale);
/// # Ok::<(), pulsewire_protocol::ConfigError>(())
/// ```
#[derive(Debug)]
pub struct ConnectionTable<T> {
    slots: Slots<Entry<T>>,
    deadlines: Deadlines,
}

#[derive(Debug)]
struct Entry<T> {
    connection: Connection,
    data: T,
    /// This connection's deadline in `deadlines`, or `Instant::MAX`. The true one may be later, never earlier.
    armed: Instant,
}

impl<T> ConnectionTable<T> {
    /// An empty table. `domain` tells its ids from those of the process's other tables.
    #[must_use]
    pub fn new(domain: u32) -> Self {
        Self { slots: Slots::new(domain), deadlines: Deadlines::default() }
    }

    /// Gives the connection an id of its own, for ever (PW-CK-001).
    pub fn insert(&mut self, connection: Connection, data: T) -> ConnectionId {
        self.insert_with(connection, |_| data)
    }

    /// Like [`insert`](Self::insert), for data that knows the id.
    pub fn insert_with(&mut self, connection: Connection, data: impl FnOnce(ConnectionId) -> T) -> ConnectionId {
        let id = self.slots.insert_with(|id| Entry { connection, data: data(id), armed: Instant::MAX });
        drop(self.get_mut(id));
        id
    }

    /// The connection that `id` names, if it lives.
    pub fn get_mut(&mut self, id: ConnectionId) -> Option<ConnectionRef<'_, T>> {
        let entry = self.slots.get_mut(id)?;
        Some(ConnectionRef { id, entry, deadlines: &mut self.deadlines })
    }

    /// [`Connection::send`] to the connection that `id` names.
    ///
    /// # Errors
    /// As there, and [`SendRefused::Stale`]. The message comes back.
    pub fn send<'p>(&mut self, id: ConnectionId, message: Message<'p>) -> Result<(), SendError<'p>> {
        match self.get_mut(id) {
            Some(mut connection) => connection.send(message),
            None => Err(SendError { reason: SendRefused::Stale, message }),
        }
    }

    /// Ends the id and frees the slot. For a driver that has nothing outstanding on the connection.
    pub fn remove(&mut self, id: ConnectionId) -> Option<(Connection, T)> {
        self.disarm(id);
        self.slots.remove(id).map(Entry::into_parts)
    }

    /// Ends the id, but keeps the slot: operations of the driver are still outstanding (PW-CK-005). Says whether it lived.
    pub fn retire(&mut self, id: ConnectionId) -> bool {
        self.disarm(id);
        self.slots.retire(id)
    }

    fn disarm(&mut self, id: ConnectionId) {
        if let Some(entry) = self.slots.get_mut(id) {
            self.deadlines.rearm(entry.armed, Instant::MAX, id);
            entry.armed = Instant::MAX;
        }
    }

    /// The data of a retired connection.
    pub fn retired_mut(&mut self, id: ConnectionId) -> Option<&mut T> {
        self.slots.retired_mut(id).map(|entry| &mut entry.data)
    }

    /// Frees the slot of a retired connection.
    pub fn release(&mut self, id: ConnectionId) -> Option<(Connection, T)> {
        self.slots.release(id).map(Entry::into_parts)
    }

    /// The ids of all connections that live, by slot.
    pub fn ids(&self) -> impl Iterator<Item = ConnectionId> {
        self.slots.ids()
    }

    /// How many connections live.
    #[must_use]
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether none lives.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.slots.len() == 0
    }

    /// When [`handle_timeout`](Self::handle_timeout) has something to look at.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.deadlines.earliest()
    }

    /// Lets time come to `now` for one connection whose deadline has passed, and names it: poll it then. Call until `None`.
    pub fn handle_timeout(&mut self, now: Instant) -> Option<ConnectionId> {
        while let Some(id) = self.deadlines.pop_until(now) {
            let Some(entry) = self.slots.get_mut(id) else { continue };
            entry.armed = Instant::MAX;
            let mut connection = ConnectionRef { id, entry, deadlines: &mut self.deadlines };
            if connection.poll_timeout().is_some_and(|deadline| deadline <= now) {
                connection.handle_timeout(now);
                return Some(id);
            }
        }
        None
    }
}

impl<T> Entry<T> {
    fn into_parts(self) -> (Connection, T) {
        (self.connection, self.data)
    }
}

/// A connection of a table, borrowed. When it is given back, its deadline is noted.
#[derive(Debug)]
pub struct ConnectionRef<'t, T> {
    id: ConnectionId,
    entry: &'t mut Entry<T>,
    deadlines: &'t mut Deadlines,
}

impl<T> ConnectionRef<'_, T> {
    /// Its id.
    #[must_use]
    pub fn id(&self) -> ConnectionId {
        self.id
    }

    /// The driver's data.
    pub fn data(&mut self) -> &mut T {
        &mut self.entry.data
    }

    /// The connection and the driver's data, both to be changed.
    pub fn parts(&mut self) -> (&mut Connection, &mut T) {
        (&mut self.entry.connection, &mut self.entry.data)
    }
}

impl<T> Deref for ConnectionRef<'_, T> {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        &self.entry.connection
    }
}

impl<T> DerefMut for ConnectionRef<'_, T> {
    fn deref_mut(&mut self) -> &mut Connection {
        &mut self.entry.connection
    }
}

impl<T> Drop for ConnectionRef<'_, T> {
    fn drop(&mut self) {
        // A deadline that moved to later is found when the old one runs out; only an earlier one must be noted.
        if let Some(deadline) = self.entry.connection.poll_timeout()
            && deadline < self.entry.armed
        {
            self.deadlines.rearm(self.entry.armed, deadline, self.id);
            self.entry.armed = deadline;
        }
    }
}
