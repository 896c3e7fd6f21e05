//! What a table admits, and what it holds.

use alloc::boxed::Box;
use core::fmt;
use core::ops::Deref;

use super::holders::Holders;
use crate::config::check_range;
use crate::connection::Connection;
use crate::error::ConfigError;
use crate::time::Instant;
use crate::wire::CloseReason;

/// What the connections of a table may take together.
///
/// ```
/// use pulsewire_protocol::TableLimits;
///
/// let limits = TableLimits { buffered: 256 << 20, ..TableLimits::default() }.validate()?;
/// # Ok::<(), pulsewire_protocol::ConfigError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TableLimits {
    /// Connections that live. At least 1, default 1,048,576.
    pub connections: u32,
    /// Connections among them whose handshake is not complete. At least 1, default 16,384.
    pub handshakes: u32,
    /// Bytes of memory that they hold for what is only partly received and what waits to be sent: the sum of
    /// [`Connection::buffered`]. At least 64 KiB, default 1 GiB; `usize::MAX`: no limit.
    ///
    /// Above it nothing is accepted for sending ([`SendRefused::Full`](crate::SendRefused::Full)), nothing is inserted, and where
    /// connections take more memory for what they receive, [`ConnectionTable::handle_timeout`](crate::ConnectionTable::handle_timeout)
    /// closes those that hold most with OVERLOADED, and first of all those whose message has been open for ten seconds
    /// (PW-CLS-020). So it is exceeded by no more than what came in until the next call of that.
    pub buffered: usize,
}

impl Default for TableLimits {
    fn default() -> Self {
        Self { connections: 1 << 20, handshakes: 16_384, buffered: 1 << 30 }
    }
}

impl TableLimits {
    /// Checks every number against its range.
    ///
    /// # Errors
    /// [`ConfigError`] names the first field that is wrong, and what it may hold.
    pub fn validate(self) -> Result<ValidTableLimits, ConfigError> {
        check_range("connections", self.connections, 1, u32::MAX, "at least 1")?;
        check_range("handshakes", self.handshakes, 1, u32::MAX, "at least 1")?;
        check_range("buffered", self.buffered, 64 << 10, usize::MAX, "at least 64 KiB")?;
        Ok(ValidTableLimits(self))
    }
}

/// [`TableLimits`] whose numbers all lie in their ranges. The default is theirs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ValidTableLimits(TableLimits);

impl Deref for ValidTableLimits {
    type Target = TableLimits;

    fn deref(&self) -> &TableLimits {
        &self.0
    }
}

/// Why a connection was not inserted. [`close_reason`](Self::close_reason) is what to tell the peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InsertRefused {
    /// The table has as many connections as its limit allows.
    Connections {
        /// The limit.
        limit: u32,
    },
    /// As many handshakes are in progress as the limit allows.
    Handshakes {
        /// The limit.
        limit: u32,
    },
    /// The connections hold as much memory as the limit allows.
    Buffered {
        /// The limit, in bytes.
        limit: usize,
    },
}

impl InsertRefused {
    /// The reason to close the connection with: OVERLOADED, which asks the peer to come again after a second.
    #[must_use]
    pub const fn close_reason(&self) -> CloseReason {
        match self {
            Self::Connections { .. } | Self::Handshakes { .. } | Self::Buffered { .. } => CloseReason::OVERLOADED,
        }
    }
}

impl fmt::Display for InsertRefused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connections { limit } => write!(f, "the table has {limit} connections, which is its limit")?,
            Self::Handshakes { limit } => write!(f, "{limit} handshakes are in progress, which is the limit")?,
            Self::Buffered { limit } => write!(f, "the connections hold {limit} bytes, which is their limit")?,
        }
        write!(f, "; close this one with OVERLOADED, so that its client comes again later")
    }
}

impl core::error::Error for InsertRefused {}

/// A connection that was not inserted, and why. The table has not changed.
///
/// Call [`Connection::close`] with the reason's [`close_reason`](InsertRefused::close_reason) and write what
/// [`Connection::poll_transmit`] gives, so that the peer knows when to come again.
pub struct InsertError<T> {
    /// Why.
    pub reason: InsertRefused,
    /// The connection.
    pub connection: Box<Connection>,
    /// What was to be stored with it, or what was to make that.
    pub data: T,
}

impl<T> fmt::Debug for InsertError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InsertError")
            .field("reason", &self.reason)
            .field("connection", &self.connection)
            .finish_non_exhaustive()
    }
}

impl<T> fmt::Display for InsertError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a connection was not inserted: {}", self.reason)
    }
}

impl<T> core::error::Error for InsertError<T> {}

/// What one connection counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Share {
    handshaking: bool,
    receiving: usize,
    pub(super) buffered: usize,
    /// When the message began that the peer has open.
    pub(super) open_since: Option<Instant>,
}

impl Share {
    #[inline]
    pub(super) fn of(connection: &Connection) -> Self {
        let (receiving, buffered) = (connection.receiving(), connection.buffered());
        let open_since = connection.open_since();
        Self { handshaking: connection.is_handshaking(), receiving, buffered, open_since }
    }
}

/// What the live connections of a table count together. It is the sum of their shares, always.
#[derive(Debug, Default)]
pub(super) struct Usage {
    limits: ValidTableLimits,
    handshakes: u32,
    buffered: usize,
    pub(super) holders: Holders,
    /// Somebody came to receive into more memory than there is.
    crowded: bool,
}

impl Usage {
    pub(super) fn new(limits: ValidTableLimits) -> Self {
        Self { limits, handshakes: 0, buffered: 0, holders: Holders::default(), crowded: false }
    }

    pub(super) fn handshakes(&self) -> usize {
        self.handshakes as usize
    }

    pub(super) fn buffered(&self) -> usize {
        self.buffered
    }

    /// Bytes that may still be buffered.
    #[inline]
    pub(super) fn room(&self) -> usize {
        self.limits.buffered.saturating_sub(self.buffered)
    }

    /// Why a connection with this share is not admitted beside `live` others, if it is not.
    pub(super) fn refusal(&self, live: usize, share: Share) -> Option<InsertRefused> {
        let TableLimits { connections, handshakes, buffered } = *self.limits;
        if live >= connections as usize {
            Some(InsertRefused::Connections { limit: connections })
        } else if share.handshaking && self.handshakes >= handshakes {
            Some(InsertRefused::Handshakes { limit: handshakes })
        } else if share.buffered > self.room() || self.room() == 0 {
            Some(InsertRefused::Buffered { limit: buffered })
        } else {
            None
        }
    }

    #[inline]
    pub(super) fn add(&mut self, share: Share) {
        self.handshakes += u32::from(share.handshaking);
        self.buffered += share.buffered;
    }

    #[inline]
    pub(super) fn remove(&mut self, share: Share) {
        self.handshakes = self.handshakes.saturating_sub(u32::from(share.handshaking));
        self.buffered = self.buffered.saturating_sub(share.buffered);
    }

    /// A connection is going to be used. Gives what it counts until then.
    #[inline]
    pub(super) fn lend(&self, connection: &mut Connection) -> Share {
        connection.limit_queue(self.room());
        Share::of(connection)
    }

    /// The connection in this slot was used, and counted this before.
    #[inline]
    pub(super) fn take_back(&mut self, slot: u32, before: Share, connection: &Connection) {
        let after = Share::of(connection);
        if after != before {
            self.change(slot, before, after);
        }
    }

    fn change(&mut self, slot: u32, before: Share, after: Share) {
        self.remove(before);
        self.add(after);
        self.holders.note(slot, after.buffered, after.open_since);
        self.crowded |= self.buffered > self.limits.buffered && after.receiving > before.receiving;
    }

    /// The limit on what is buffered, if it is exceeded and somebody has to go.
    #[inline]
    pub(super) fn exceeded(&self) -> Option<usize> {
        (self.crowded && self.buffered > self.limits.buffered).then_some(self.limits.buffered)
    }

    /// There is room again, or nobody left who holds much.
    pub(super) fn settle(&mut self) {
        self.crowded = false;
    }
}
