//! What REJECT says: which message was refused, and why (sections 6.1 and 11.4 of the specification).

use core::fmt;
use core::num::NonZeroU64;

use super::header::Class;

/// Why a message was refused: a number of the registry in section 11.4 of the specification.
///
/// Unknown numbers are kept as they came. 32,768 to 65,535 are private experiments.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RejectReason(pub u16);

impl RejectReason {
    /// The message was above the receiver's limit.
    pub const TOO_LARGE: Self = Self(1);
    /// Damage to the stream destroyed it.
    pub const DAMAGED: Self = Self(2);

    /// The name of the registry, or `None` for a number that it doesn't list.
    #[must_use]
    pub const fn name(self) -> Option<&'static str> {
        match self {
            Self::TOO_LARGE => Some("TOO_LARGE"),
            Self::DAMAGED => Some("DAMAGED"),
            Self(_) => None,
        }
    }

    /// The reason that the registry gives this name.
    #[cfg(feature = "serde")]
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        [Self::TOO_LARGE, Self::DAMAGED].into_iter().find(|reason| reason.name() == Some(name))
    }
}

impl fmt::Debug for RejectReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "RejectReason({})", self.0),
        }
    }
}

impl fmt::Display for RejectReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sentence = match *self {
            Self::TOO_LARGE => "the message was above the receiver's limit",
            Self::DAMAGED => "the message was damaged on its way",
            Self(32_768..) => "the peer refused the message for a reason of its own",
            Self(_) => "the peer refused the message for a reason that this version does not know",
        };
        write!(f, "{sentence} ({})", self.0)
    }
}

/// The peer refused one of our messages (PW-REJ-007). The connection goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Rejected {
    /// The class of the message.
    pub class: Class,
    /// Which: its number among the messages of this class of this side, from 1, as [`Connection::send`](crate::Connection::send)
    /// gave it. `None` where damage kept the peer from counting.
    pub ordinal: Option<NonZeroU64>,
    /// Why.
    pub reason: RejectReason,
}
