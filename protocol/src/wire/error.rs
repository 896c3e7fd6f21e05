//! What is wrong with bytes by themselves, whatever came before them.

use super::header::{Class, Kind};

/// A rule that a header or a HELLO breaks by itself. To a connection it is the [`ProtocolError`](crate::ProtocolError) of the same
/// name, which it becomes by `From`, and as which it is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum WireError {
    /// Bits of the flags that this version doesn't define (PW-HDR-005).
    UnknownFlag {
        /// All flags as received.
        flags: u8,
    },
    /// A critical kind that this version doesn't define (PW-HDR-007).
    UnknownKind {
        /// The kind as received.
        kind: Kind,
    },
    /// Flags that the kind must not have (PW-HDR-006, PW-HDR-009).
    FlagsNotAllowed {
        /// The kind.
        kind: Kind,
        /// All flags as received.
        flags: u8,
    },
    /// A class that the kind must not have, or a reserved one (PW-HDR-010, PW-HDR-011).
    ClassNotAllowed {
        /// The kind.
        kind: Kind,
        /// The class as received.
        class: Class,
    },
    /// A control packet of the wrong size (PW-HDR-014).
    BadLength {
        /// The kind.
        kind: Kind,
        /// Payload bytes.
        length: u32,
    },
    /// A frame above the receiver's limit (PW-FRM-012, PW-HDR-015).
    FrameTooLarge {
        /// The limit, in bytes.
        limit: u32,
        /// The frame's payload, in bytes.
        size: u32,
    },
    /// A malformed HELLO or HELLO_ACK (section 7).
    BadHello {
        /// HELLO or HELLO_ACK.
        kind: Kind,
        /// The rule that was broken.
        what: &'static str,
    },
    /// An unknown critical item (PW-HS-005).
    UnknownItem {
        /// Its id.
        id: u16,
    },
}
