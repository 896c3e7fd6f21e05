//! The name of a connection.

use core::fmt;
use core::num::NonZeroU64;

/// Names one connection of one table, for ever: the slot may be used again, the cookie never (PW-CK-001).
///
/// ```
/// use pulsewire_protocol::{ConnectionId, Slots};
///
/// let mut slots = Slots::new(7);
/// let id = slots.insert("a connection");
/// assert_eq!((id.slot(), id.domain(), id.cookie().get()), (0, 7, 1));
/// assert_eq!(ConnectionId::new(id.slot(), id.domain(), id.cookie()), id);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId {
    /// The domain above the slot, so that one number says where the connection lives.
    place: u64,
    cookie: NonZeroU64,
}

impl ConnectionId {
    /// An id from its parts, as a driver needs it that carries them through an operating system.
    #[must_use]
    pub const fn new(slot: u32, domain: u32, cookie: NonZeroU64) -> Self {
        Self { place: place(slot, domain), cookie }
    }

    /// Where the connection lives.
    #[must_use]
    pub const fn slot(self) -> u32 {
        self.place as u32
    }

    /// Which table the slot belongs to.
    #[must_use]
    pub const fn domain(self) -> u32 {
        (self.place >> 32) as u32
    }

    /// A number that no other connection of that table ever had or will have.
    #[must_use]
    pub const fn cookie(self) -> NonZeroU64 {
        self.cookie
    }

    /// See [`place`].
    #[inline]
    pub(super) const fn place(self) -> u64 {
        self.place
    }
}

/// The number of a slot among those of all domains.
#[inline]
pub(super) const fn place(slot: u32, domain: u32) -> u64 {
    (domain as u64) << 32 | slot as u64
}

impl fmt::Debug for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectionId")
            .field("slot", &self.slot())
            .field("domain", &self.domain())
            .field("cookie", &self.cookie)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use alloc::format;

    use super::*;

    #[test]
    fn the_parts_of_an_id_are_kept_apart() {
        let id = ConnectionId::new(1, 2, NonZeroU64::new(3).unwrap());
        assert_eq!((id.slot(), id.domain(), id.cookie().get()), (1, 2, 3));
        let largest = ConnectionId::new(u32::MAX, u32::MAX, NonZeroU64::MAX);
        assert_eq!((largest.slot(), largest.domain(), largest.cookie()), (u32::MAX, u32::MAX, NonZeroU64::MAX));
        assert_eq!(format!("{id:?}"), "ConnectionId { slot: 1, domain: 2, cookie: 3 }");
    }
}
