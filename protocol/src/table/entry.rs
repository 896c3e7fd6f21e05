//! A connection of a table, and the loan of it.

use core::ops::{Deref, DerefMut};

use super::ConnectionId;
use super::limits::{Share, Usage};
use super::wheel::TimingWheel;
use crate::connection::Connection;

#[derive(Debug)]
pub(super) struct Entry<T> {
    pub(super) connection: Connection,
    pub(super) data: T,
}

impl<T> Entry<T> {
    pub(super) fn new(connection: Connection, data: T) -> Self {
        Self { connection, data }
    }

    pub(super) fn into_parts(self) -> (Connection, T) {
        (self.connection, self.data)
    }
}

/// A connection of a table, borrowed. When it is given back, its deadline is noted, and what it holds is counted.
///
/// If all together came to hold more than [`TableLimits::buffered`](crate::TableLimits::buffered) allows,
/// [`ConnectionTable::handle_timeout`](crate::ConnectionTable::handle_timeout) closes those that hold most.
#[derive(Debug)]
pub struct ConnectionRef<'t, T> {
    id: ConnectionId,
    entry: &'t mut Entry<T>,
    wheel: &'t mut TimingWheel,
    usage: &'t mut Usage,
    /// What the connection counted when it was borrowed.
    before: Share,
}

impl<'t, T> ConnectionRef<'t, T> {
    pub(super) fn new(
        id: ConnectionId,
        entry: &'t mut Entry<T>,
        wheel: &'t mut TimingWheel,
        usage: &'t mut Usage,
    ) -> Self {
        let before = usage.lend(&mut entry.connection);
        Self { id, entry, wheel, usage, before }
    }

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
        self.usage.take_back(self.id.slot(), self.before, &self.entry.connection);
        // A deadline that moved to later is found when the noted one runs out: then this is one comparison.
        if let Some(deadline) = self.entry.connection.poll_timeout() {
            self.wheel.note(self.id.slot(), deadline);
        }
    }
}
