//! Many peers: ids with cookies, and one structure for all deadlines (section 14 of the specification).

mod slots;
mod wheel;

use core::ops::{Deref, DerefMut};

pub use slots::{ConnectionId, Slots};
pub use wheel::TimingWheel;

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
    /// No connection's true deadline is earlier than the one noted here.
    wheel: TimingWheel,
}

#[derive(Debug)]
struct Entry<T> {
    connection: Connection,
    data: T,
}

impl<T> ConnectionTable<T> {
    /// An empty table. `domain` tells its ids from those of the process's other tables.
    #[must_use]
    pub fn new(domain: u32) -> Self {
        Self { slots: Slots::new(domain), wheel: TimingWheel::new() }
    }

    /// Gives the connection an id of its own, for ever (PW-CK-001).
    pub fn insert(&mut self, connection: Connection, data: T) -> ConnectionId {
        self.insert_with(connection, |_| data)
    }

    /// Like [`insert`](Self::insert), for data that knows the id.
    pub fn insert_with(&mut self, connection: Connection, data: impl FnOnce(ConnectionId) -> T) -> ConnectionId {
        let id = self.slots.insert_with(|id| Entry { connection, data: data(id) });
        drop(self.get_mut(id));
        id
    }

    /// The connection that `id` names, if it lives.
    pub fn get_mut(&mut self, id: ConnectionId) -> Option<ConnectionRef<'_, T>> {
        let entry = self.slots.get_mut(id)?;
        Some(ConnectionRef { id, entry, wheel: &mut self.wheel })
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
        if self.slots.get(id).is_some() {
            self.wheel.cancel(id.slot);
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
        self.wheel.earliest()
    }

    /// Lets time come to `now` for one connection whose deadline has passed, and names it: poll it then. Call until `None`.
    pub fn handle_timeout(&mut self, now: Instant) -> Option<ConnectionId> {
        let Self { slots, wheel } = self;
        let slot = wheel.expire(now, |slot| slots.at(slot)?.1.connection.poll_timeout())?;
        let (id, entry) = slots.at_mut(slot)?;
        ConnectionRef { id, entry, wheel }.handle_timeout(now);
        Some(id)
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
    wheel: &'t mut TimingWheel,
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
        // One that moved to later is found when the noted one runs out: then this is one comparison.
        if let Some(deadline) = self.entry.connection.poll_timeout() {
            self.wheel.note(self.id.slot, deadline);
        }
    }
}
