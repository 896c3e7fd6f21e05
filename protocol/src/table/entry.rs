//! A connection of a table, and the loan of it.

use core::ops::{Deref, DerefMut};

use super::ConnectionId;
use super::limits::{Share, Usage};
use super::wheel::TimingWheel;
use crate::connection::Connection;
use crate::time::Instant;

#[derive(Debug)]
pub(super) struct Entry<T> {
    pub(super) connection: Connection,
    pub(super) data: T,
    /// The table closed the connection, and has not named it yet.
    overloaded: bool,
}

impl<T> Entry<T> {
    pub(super) fn new(connection: Connection, data: T) -> Self {
        Self { connection, data, overloaded: false }
    }

    pub(super) fn into_parts(self) -> (Connection, T) {
        (self.connection, self.data)
    }

    /// When the driver has to hear of it.
    pub(super) fn deadline(&self) -> Option<Instant> {
        if self.overloaded { Some(Instant::ZERO) } else { self.connection.poll_timeout() }
    }
}

/// A connection of a table, borrowed. When it is given back, its deadline is noted, and what it holds is counted.
///
/// If it came to hold more than [`TableLimits::buffered`](crate::TableLimits::buffered) allows, it is closed then with
/// OVERLOADED, and [`ConnectionTable::handle_timeout`](crate::ConnectionTable::handle_timeout) names it.
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
        entry.connection.limit_queue(usage.room());
        let before = Share::of(&entry.connection);
        Self { id, entry, wheel, usage, before }
    }

    /// Lets time come to `now`.
    pub(super) fn pass_time(&mut self, now: Instant) {
        self.entry.overloaded = false;
        self.entry.connection.handle_timeout(now);
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

    fn count(&mut self) {
        let after = Share::of(&self.entry.connection);
        if after == self.before {
            return;
        }
        self.usage.remove(self.before);
        self.usage.add(after);
        if let Some(limit) = self.usage.exceeded(self.before, after) {
            self.entry.connection.overload(limit);
            self.entry.overloaded = true;
            self.usage.remove(after);
            self.usage.add(Share::of(&self.entry.connection));
        }
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
        self.count();
        // A deadline that moved to later is found when the noted one runs out: then this is one comparison.
        if let Some(deadline) = self.entry.deadline() {
            self.wheel.note(self.id.slot(), deadline);
        }
    }
}
