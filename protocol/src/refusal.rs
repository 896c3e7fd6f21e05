//! Messages that this side refused while the connection goes on (section 6.1 of the specification).

use core::num::NonZeroU64;

use crate::wire::Class;

/// This side refused a message of the peer, because it grew above the limit that this side announced (PW-DAT-008). The peer
/// is told, and the rest of the message is passed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct TooLarge {
    /// What it was about.
    pub class: Class,
    /// Its number among the messages of this class of the peer, from 1. `None` where damage kept this side from counting.
    pub ordinal: Option<NonZeroU64>,
    /// The limit, in bytes.
    pub limit: u32,
    /// What the message had grown to when it was refused, in bytes.
    pub size: u64,
}
