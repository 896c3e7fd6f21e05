//! Many peers: ids with cookies, and one structure for all deadlines (section 13 of the specification).

mod buckets;
mod entry;
mod holders;
mod id;
mod limits;
#[cfg(target_has_atomic = "64")]
mod liveness;
mod slots;
#[cfg(test)]
mod tests;
mod wheel;

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::num::NonZeroU64;

pub use entry::ConnectionRef;
use entry::Entry;
pub use id::ConnectionId;
pub use limits::{InsertError, InsertRefused, TableLimits, ValidTableLimits};
use limits::{Share, Usage};
#[cfg(target_has_atomic = "64")]
pub use liveness::Liveness;
pub use slots::Slots;
pub use wheel::TimingWheel;

use crate::connection::{Connection, PreparedMessage};
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
/// let old = table.insert(Connection::server(Instant::ZERO, &config, Seed::from_bytes([1; 12])), "a socket")?;
/// table.remove(old);
/// let new = table.insert(Connection::server(Instant::ZERO, &config, Seed::from_bytes([2; 12])), "another")?;
/// assert_eq!((old.slot(), old.cookie() == new.cookie()), (new.slot(), false));
///
/// let refused = table.send(Instant::ZERO, old, Message::new(Class::BUSINESS, b"to a stranger?")).unwrap_err();
/// assert_eq!(refused.reason, SendRefused::Stale);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct ConnectionTable<T> {
    slots: Slots<Entry<T>>,
    /// No connection's true deadline is earlier than the one noted here, except for the one that was named last.
    wheel: TimingWheel,
    /// The slot of the connection that [`handle_timeout`](Self::handle_timeout) named last, if its deadline has not been noted since.
    /// The driver borrows it next, and only then it is known when it has to be looked at again.
    named: Option<u32>,
    usage: Usage,
}

impl<T> ConnectionTable<T> {
    /// An empty table with the default limits. `domain` tells its ids from those of the process's other tables.
    #[must_use]
    pub fn new(domain: u32) -> Self {
        Self::with_limits(domain, ValidTableLimits::default())
    }

    /// An empty table with these limits.
    #[must_use]
    pub fn with_limits(domain: u32, limits: ValidTableLimits) -> Self {
        Self { slots: Slots::new(domain), wheel: TimingWheel::new(), named: None, usage: Usage::new(limits) }
    }

    /// Gives the connection an id of its own, for ever (PW-CK-001).
    ///
    /// # Errors
    /// The reason, the connection and the data, where a limit is reached.
    pub fn insert(&mut self, connection: Connection, data: T) -> Result<ConnectionId, InsertError<T>> {
        match self.refusal(&connection) {
            None => Ok(self.admit(connection, |_| data)),
            Some(reason) => Err(InsertError { reason, connection: Box::new(connection), data }),
        }
    }

    /// Like [`insert`](Self::insert), for data that knows the id.
    ///
    /// # Errors
    /// As there, with the function, which was not called.
    pub fn insert_with<F>(&mut self, connection: Connection, data: F) -> Result<ConnectionId, InsertError<F>>
    where
        F: FnOnce(ConnectionId) -> T,
    {
        match self.refusal(&connection) {
            None => Ok(self.admit(connection, data)),
            Some(reason) => Err(InsertError { reason, connection: Box::new(connection), data }),
        }
    }

    fn refusal(&self, connection: &Connection) -> Option<InsertRefused> {
        self.usage.refusal(self.slots.len(), Share::of(connection))
    }

    fn admit(&mut self, connection: Connection, data: impl FnOnce(ConnectionId) -> T) -> ConnectionId {
        self.usage.add(Share::of(&connection));
        let id = self.slots.insert_with(|id| Entry::new(connection, data(id)));
        drop(self.get_mut(id));
        id
    }

    /// The connection that `id` names, if it lives, to be looked at. The whole id counts: one that is stale finds nothing, though
    /// another connection has its slot now (PW-CK-002).
    #[must_use]
    pub fn get(&self, id: ConnectionId) -> Option<&Connection> {
        self.slots.get(id).map(|entry| &entry.connection)
    }

    /// The connection that `id` names, if it lives.
    pub fn get_mut(&mut self, id: ConnectionId) -> Option<ConnectionRef<'_, T>> {
        let entry = self.slots.get_mut(id)?;
        self.named.take_if(|named| *named == id.slot());
        Some(ConnectionRef::new(id, entry, &mut self.wheel, &mut self.usage))
    }

    /// Lends every connection that lives to `act`, by slot, one after the other: each is given back, and with that its deadline
    /// noted and its memory counted, before the next is lent.
    pub fn for_each_mut(&mut self, mut act: impl FnMut(ConnectionRef<'_, T>)) {
        let Self { slots, wheel, usage, .. } = self;
        for (id, entry) in slots.iter_mut() {
            act(ConnectionRef::new(id, entry, wheel, usage));
        }
    }

    /// [`Connection::send`] to the connection that `id` names.
    ///
    /// # Errors
    /// As there, and [`SendRefused::Stale`]. The message comes back.
    pub fn send<'p>(
        &mut self,
        now: Instant,
        id: ConnectionId,
        message: Message<'p>,
    ) -> Result<NonZeroU64, SendError<'p>> {
        match self.get_mut(id) {
            Some(mut connection) => connection.send(now, message),
            None => Err(SendError { reason: SendRefused::Stale, message }),
        }
    }

    /// Sends one message to many, and gives back the ids that refused it, with the reason. Never waits.
    ///
    /// Checksums and header are worked out once, see [`PreparedMessage`]. Poll the others for what to transmit.
    #[must_use = "some may not have accepted the message"]
    pub fn broadcast(
        &mut self,
        now: Instant,
        ids: impl IntoIterator<Item = ConnectionId>,
        message: Message<'_>,
    ) -> Vec<(ConnectionId, SendRefused)> {
        let prepared = PreparedMessage::new(message);
        ids.into_iter().filter_map(|id| Some((id, self.send_prepared(now, id, &prepared).err()?))).collect()
    }

    /// [`Connection::send_prepared`] to the connection that `id` names.
    ///
    /// # Errors
    /// As there, and [`SendRefused::Stale`].
    pub fn send_prepared(
        &mut self,
        now: Instant,
        id: ConnectionId,
        message: &PreparedMessage,
    ) -> Result<NonZeroU64, SendRefused> {
        self.get_mut(id).ok_or(SendRefused::Stale)?.send_prepared(now, message)
    }

    /// Ends the id and frees the slot. For a driver that has nothing outstanding on the connection.
    pub fn remove(&mut self, id: ConnectionId) -> Option<(Connection, T)> {
        self.discount(id);
        self.slots.remove(id).map(Entry::into_parts)
    }

    /// Ends the id, but keeps the slot: operations of the driver are still outstanding (PW-CK-005). Returns whether it lived.
    pub fn retire(&mut self, id: ConnectionId) -> bool {
        self.discount(id);
        self.slots.retire(id)
    }

    /// A connection that ends has no deadline, and counts no more.
    fn discount(&mut self, id: ConnectionId) {
        if let Some(entry) = self.slots.get_mut(id) {
            self.wheel.cancel(id.slot());
            self.usage.remove(Share::of(&entry.connection));
            self.usage.holders.remove(id.slot());
            entry.connection.limit_queue(usize::MAX);
        }
    }

    /// A retired connection.
    #[must_use]
    pub fn retired(&self, id: ConnectionId) -> Option<&Connection> {
        self.slots.retired(id).map(|entry| &entry.connection)
    }

    /// The data of a retired connection.
    pub fn retired_mut(&mut self, id: ConnectionId) -> Option<&mut T> {
        self.slots.retired_mut(id).map(|entry| &mut entry.data)
    }

    /// A retired connection and its data, for a driver that drives it on until its transport connection is closed
    /// ([`Connection::shutdown`]). Its deadline is the driver's to keep.
    pub fn retired_parts_mut(&mut self, id: ConnectionId) -> Option<(&mut Connection, &mut T)> {
        self.slots.retired_mut(id).map(|entry| (&mut entry.connection, &mut entry.data))
    }

    /// Frees the slot of a retired connection.
    pub fn release(&mut self, id: ConnectionId) -> Option<(Connection, T)> {
        self.slots.release(id).map(Entry::into_parts)
    }

    /// Tells other threads which ids live.
    #[cfg(target_has_atomic = "64")]
    pub fn liveness(&mut self) -> Liveness {
        self.slots.liveness()
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

    /// How many of them have not completed their handshake.
    #[must_use]
    pub fn handshakes(&self) -> usize {
        self.usage.handshakes()
    }

    /// Bytes of memory that they hold together: the sum of [`Connection::buffered`].
    #[must_use]
    pub fn buffered(&self) -> usize {
        self.usage.buffered()
    }

    /// The connections that hold the most memory, with the bytes ([`Connection::buffered`]), the largest first. Those that hold less
    /// than 4 KiB are not listed.
    #[must_use]
    pub fn largest_holders(&self, count: usize) -> Vec<(ConnectionId, usize)> {
        let named = |(slot, bytes)| Some((self.slots.at(slot)?.0, bytes));
        self.usage.holders.largest(count).into_iter().filter_map(named).collect()
    }

    /// When [`handle_timeout`](Self::handle_timeout) has something to look at.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        if self.usage.exceeded().is_some() {
            return Some(Instant::ZERO);
        }
        [self.named_timeout().map(|(_, deadline)| deadline), self.wheel.earliest()].into_iter().flatten().min()
    }

    /// The slot and the deadline of the connection that was named last, if it has one that is not noted.
    fn named_timeout(&self) -> Option<(u32, Instant)> {
        let slot = self.named?;
        Some((slot, self.slots.at(slot)?.1.connection.poll_timeout()?))
    }

    /// Lets time come to `now` for one connection whose deadline has passed, and names it: poll it then. Names also those that
    /// it closes for [`TableLimits::buffered`]. Call until `None`.
    pub fn handle_timeout(&mut self, now: Instant) -> Option<ConnectionId> {
        if let Some((slot, deadline)) = self.named_timeout() {
            self.wheel.note(slot, deadline);
        }
        self.named = None;
        if let Some(limit) = self.usage.exceeded() {
            if let Some(id) = self.close_largest(now, limit) {
                return Some(id);
            }
            self.usage.settle();
        }
        let Self { slots, wheel, named, usage } = self;
        let deadline = |slot| slots.at(slot)?.1.connection.poll_timeout();
        let slot = wheel.expire_with(now, |next| slots.fetch(next), deadline)?;
        let (id, entry) = slots.at_mut(slot)?;
        let before = usage.lend(&mut entry.connection);
        entry.connection.handle_timeout(now);
        usage.take_back(slot, before, &entry.connection);
        *named = Some(slot);
        Some(id)
    }

    /// Closes the connection whose end frees most (PW-CLS-020).
    fn close_largest(&mut self, now: Instant, limit: usize) -> Option<ConnectionId> {
        let slot = self.usage.holders.first_to_close(now)?;
        let (id, _) = self.slots.at(slot)?;
        self.get_mut(id)?.overload(now, limit);
        Some(id)
    }
}
