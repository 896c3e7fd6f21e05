//! Errors by blame: the peer's ([`ProtocolError`]), the caller's ([`SendError`]), the configuration's ([`ConfigError`]).

use alloc::string::String;
use core::fmt;

use crate::message::Message;
use crate::wire::{Class, CloseReason, Kind, WireError};

/// What the peer did wrong. Always fatal: the connection has queued CLOSE with [`close_reason`](Self::close_reason).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProtocolError {
    /// The first 12 bytes were not a header (PW-FRM-003).
    #[error("the first bytes are not Pulsewire's{}; check the address and port of the peer", looks_like(.protocol))]
    NotPulsewire {
        /// The protocol that they look like, where it is a well-known one (PW-FRM-014).
        protocol: Option<&'static str>,
    },
    /// A header did not verify (PW-FRM-002).
    #[error("a header did not verify: the stream was damaged, or the peer writes between packets")]
    BadHeader,
    /// A trailer did not match (PW-HDR-013).
    #[error("the checksum of a payload of {length} bytes is wrong: the stream was damaged")]
    PayloadChecksum {
        /// Payload bytes.
        length: u32,
    },
    /// Bits of the flags that this version doesn't define (PW-HDR-005).
    #[error("unknown flags {flags:#04x}: the peer uses something that was not agreed on")]
    UnknownFlag {
        /// All flags as received.
        flags: u8,
    },
    /// A critical kind that this version doesn't define (PW-HDR-007).
    #[error("unknown kind {:#04x}: the peer uses something that was not agreed on", .kind.0)]
    UnknownKind {
        /// The kind as received.
        kind: Kind,
    },
    /// Flags that the kind must not have (PW-HDR-006, PW-HDR-009).
    #[error("flags {flags:#04x} are not allowed on {kind:?}")]
    FlagsNotAllowed {
        /// The kind.
        kind: Kind,
        /// All flags as received.
        flags: u8,
    },
    /// A class that the kind must not have, or a reserved one (PW-HDR-010, PW-HDR-011).
    #[error("class {} is not allowed on {kind:?}", .class.0)]
    ClassNotAllowed {
        /// The kind.
        kind: Kind,
        /// The class as received.
        class: Class,
    },
    /// A control packet of the wrong size (PW-HDR-014).
    #[error("a {kind:?} of {length} bytes: no such packet has that size")]
    BadLength {
        /// The kind.
        kind: Kind,
        /// Payload bytes.
        length: u32,
    },
    /// Frames that don't fit together (section 6).
    #[error("frames do not fit together: {what}")]
    BadFragment {
        /// The rule that was broken.
        what: &'static str,
    },
    /// A frame above the announced limit (PW-FRM-012).
    #[error("a frame of {size} bytes, above the announced limit of {limit}")]
    FrameTooLarge {
        /// The limit, in bytes.
        limit: u32,
        /// The frame's payload, in bytes.
        size: u32,
    },
    /// A message had to be refused while the peer takes none of the refusals before (PW-REJ-006).
    #[error("{waiting} refused messages have not been told yet: the peer keeps to no limit, or reads nothing")]
    TooManyRefused {
        /// REJECTs that wait to be sent.
        waiting: usize,
    },
    /// Too much had to be skipped (PW-FRM-011).
    #[error("{bytes} bytes in {gaps} gaps had to be skipped within a minute: the link damages too much")]
    ResyncBudget {
        /// Bytes skipped in this window.
        bytes: u64,
        /// Gaps in this window.
        gaps: u32,
    },
    /// DATA without CHECKSUM though RESYNC was announced (PW-FRM-008).
    #[error("a DATA packet lacks the checksum that this side asked for")]
    ChecksumRequired,
    /// A packet that isn't allowed now (appendix A).
    #[error("{kind:?} is not allowed {when}")]
    UnexpectedPacket {
        /// The kind.
        kind: Kind,
        /// The point of the connection.
        when: &'static str,
    },
    /// More bytes of a client before HELLO_ACK (PW-HS-021).
    #[error("the client sent more before its HELLO was answered")]
    SentBeforeAnswer,
    /// A count or an ordinal above what this side has sent (PW-REJ-008, PW-CLS-019).
    #[error("{kind:?} tells of {count} messages, but this side has sent {sent}")]
    BadCount {
        /// REJECT, DRAIN, CLOSE or CLOSE_ACK.
        kind: Kind,
        /// The count or ordinal received.
        count: u64,
        /// Messages begun to be sent (REJECT), or sent to the last frame.
        sent: u64,
    },
    /// A malformed HELLO or HELLO_ACK (section 7).
    #[error("a malformed {kind:?}: {what}")]
    BadHello {
        /// HELLO or HELLO_ACK.
        kind: Kind,
        /// The rule that was broken.
        what: &'static str,
    },
    /// No version in common (PW-HS-004, PW-HS-015).
    #[error("the peer speaks versions {lowest} to {highest}, this side version 1: update the older one")]
    UnsupportedVersion {
        /// The peer's lowest.
        lowest: u8,
        /// The peer's highest.
        highest: u8,
    },
    /// An unknown critical item (PW-HS-005).
    #[error("unknown critical item {id:#06x}: the peer uses something that was not agreed on")]
    UnknownItem {
        /// Its id.
        id: u16,
    },
    /// The peer's ping floor makes detection too slow (PW-HS-016).
    #[error(
        "with the peer's ping floor a dead peer would be noticed after {bound_ms} ms, later than the {limit_ms} ms asked for"
    )]
    IncompatibleTimers {
        /// `idle + interval * probes`, raised to the floor.
        bound_ms: u64,
        /// `detect_within`.
        limit_ms: u64,
    },
    /// A REJECT for a message that was refused before, or out of order (PW-REJ-008).
    #[error("a REJECT for message {ordinal} of class {}, after one for message {last}", class.0)]
    RejectedAgain {
        /// The class.
        class: Class,
        /// The number that REJECT carries.
        ordinal: u64,
        /// The one before.
        last: u64,
    },
    /// A PING beyond the bucket (PW-HB-017).
    #[error("more PINGs than the announced floor admits: raise the peer's idle and interval")]
    PingFlood,
    /// A PING whose number did not increase (PW-HB-007).
    #[error("PING {number} after PING {last}: numbers must increase, from 1")]
    BadPing {
        /// The number received.
        number: u64,
        /// The one before; 0 if this was the first.
        last: u64,
    },
    /// A PONG that nothing asked for (PW-HB-009).
    #[error("PONG {number}, but the last PING sent was {last}")]
    BadPong {
        /// The number received.
        number: u64,
        /// The highest sent.
        last: u64,
    },
}

fn looks_like(protocol: &Option<&'static str>) -> String {
    protocol.map_or_else(String::new, |name| alloc::format!(" (they look like {name})"))
}

impl From<WireError> for ProtocolError {
    fn from(error: WireError) -> Self {
        match error {
            WireError::UnknownFlag { flags } => Self::UnknownFlag { flags },
            WireError::UnknownKind { kind } => Self::UnknownKind { kind },
            WireError::FlagsNotAllowed { kind, flags } => Self::FlagsNotAllowed { kind, flags },
            WireError::ClassNotAllowed { kind, class } => Self::ClassNotAllowed { kind, class },
            WireError::BadLength { kind, length } => Self::BadLength { kind, length },
            WireError::FrameTooLarge { limit, size } => Self::FrameTooLarge { limit, size },
            WireError::BadHello { kind, what } => Self::BadHello { kind, what },
            WireError::UnknownItem { id } => Self::UnknownItem { id },
        }
    }
}

impl fmt::Display for WireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        ProtocolError::from(*self).fmt(f)
    }
}

impl core::error::Error for WireError {}

impl ProtocolError {
    /// The reason that CLOSE carries.
    #[must_use]
    pub const fn close_reason(&self) -> CloseReason {
        match self {
            Self::NotPulsewire { .. } => CloseReason::NOT_PULSEWIRE,
            Self::BadHeader => CloseReason::BAD_HEADER,
            Self::PayloadChecksum { .. } => CloseReason::PAYLOAD_CHECKSUM,
            Self::UnknownFlag { .. } => CloseReason::UNKNOWN_FLAG,
            Self::UnknownKind { .. } => CloseReason::UNKNOWN_KIND,
            Self::FlagsNotAllowed { .. } | Self::ClassNotAllowed { .. } => CloseReason::BAD_PACKET,
            Self::BadLength { .. } => CloseReason::BAD_LENGTH,
            Self::BadFragment { .. } => CloseReason::BAD_FRAGMENT,
            Self::FrameTooLarge { .. } => CloseReason::FRAME_TOO_LARGE,
            Self::TooManyRefused { .. } => CloseReason::MESSAGE_TOO_LARGE,
            Self::ResyncBudget { .. } => CloseReason::RESYNC_BUDGET,
            Self::ChecksumRequired => CloseReason::CHECKSUM_REQUIRED,
            Self::UnexpectedPacket { .. } | Self::SentBeforeAnswer => CloseReason::UNEXPECTED_PACKET,
            Self::BadCount { .. } | Self::RejectedAgain { .. } => CloseReason::BAD_COUNT,
            Self::BadHello { .. } => CloseReason::BAD_HELLO,
            Self::UnsupportedVersion { .. } => CloseReason::UNSUPPORTED_VERSION,
            Self::UnknownItem { .. } => CloseReason::UNKNOWN_ITEM,
            Self::IncompatibleTimers { .. } => CloseReason::INCOMPATIBLE_TIMERS,
            Self::PingFlood => CloseReason::PING_FLOOD,
            Self::BadPing { .. } => CloseReason::BAD_PING,
            Self::BadPong { .. } => CloseReason::BAD_PONG,
        }
    }

    /// What CLOSE says in LIMIT: the limit and the size that exceeded it.
    #[must_use]
    pub const fn limit(&self) -> Option<(u64, u64)> {
        match self {
            Self::FrameTooLarge { limit, size } => Some((*limit as u64, *size as u64)),
            _ => None,
        }
    }
}

/// Why a message was not accepted for sending.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SendRefused {
    /// The id names no connection that lives now.
    Stale,
    /// The handshake is not complete.
    NotEstablished,
    /// The connection is closing or closed, for this reason.
    Closed(CloseReason),
    /// The send queue is full. Let the transport take some, then try again.
    Full,
    /// Larger than the message limit that the peer announced, in bytes.
    TooLarge {
        /// The peer's limit.
        limit: u32,
    },
    /// The class is reserved (PW-HDR-011).
    ReservedClass,
}

impl fmt::Display for SendRefused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stale => write!(f, "the connection that this id named is gone"),
            Self::NotEstablished => write!(f, "the handshake is not complete; wait for `Established`"),
            Self::Closed(reason) => write!(f, "the connection is closing: {reason}"),
            Self::Full => write!(f, "the send queue is full; try again when the transport has taken some"),
            Self::TooLarge { limit } => write!(f, "the peer receives at most {limit} bytes in a message"),
            Self::ReservedClass => write!(f, "classes 5 to 127 are reserved; use 0 to 4 or 128 to 255"),
        }
    }
}

impl core::error::Error for SendRefused {}

/// A message that was not accepted, and why. Nothing changed; the message comes back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SendError<'p> {
    /// Why.
    pub reason: SendRefused,
    /// What was to be sent.
    pub message: Message<'p>,
}

impl fmt::Display for SendError<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a message of {} bytes was not accepted: {}", self.message.payload.len(), self.reason)
    }
}

impl core::error::Error for SendError<'_> {}

/// A configuration that can't be used (section 10 of the specification).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// A number outside its range.
    #[error("{name} is {value}; it must be {range}")]
    OutOfRange {
        /// The field.
        name: &'static str,
        /// What it holds.
        value: String,
        /// What it may hold.
        range: &'static str,
    },
    /// A field that the peer was told of in the handshake: it holds for the whole connection.
    #[error("the peer was told {name}, which can't change while the connection lasts")]
    Announced {
        /// The field.
        name: &'static str,
    },
    /// `idle + interval * probes` exceeds `detect_within`.
    #[error(
        "idle + interval * probes is {bound_ms} ms, above detect_within ({limit_ms} ms): lower the first three or raise the last"
    )]
    DetectWithin {
        /// The sum.
        bound_ms: u64,
        /// The limit.
        limit_ms: u64,
    },
}
