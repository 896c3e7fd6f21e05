//! What makes the oracle close.

use crate::codec::registry::reason;
use crate::codec::{Close, Item};

/// A broken rule: the reason for the CLOSE, and the limit that was exceeded, if it was one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) reason: u16,
    limit: Option<(u64, u64)>,
}

impl Fault {
    pub(super) fn new(reason: u16) -> Self {
        Self { reason, limit: None }
    }

    pub(super) fn frame_too_large(limit: u32, size: u32) -> Self {
        Self { reason: reason::FRAME_TOO_LARGE, limit: Some((limit.into(), size.into())) }
    }

    /// The CLOSE that tells the peer.
    pub(super) fn to_close(self, received: u64) -> Close {
        let items = self.limit.map(|(limit, size)| Item::limit(limit, size)).into_iter().collect();
        Close { items, ..Close::new(self.reason, received) }
    }
}
