//! Vectors of streams after the handshake.

use serde::Deserialize;

use super::VectorBytes;
use crate::{CloseReason, UnknownCloseReason};

/// A stream of bytes after the handshake, and what a receiver makes of it (sections 5 and 6).
///
/// All bytes come at the same instant, and however they are cut into segments the result is the same (PW-FRM-001). The
/// receiver has sent neither DRAIN nor CLOSE.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FramingVector {
    /// The name, unique in its file.
    pub name: String,
    /// The ids of the requirements that decide the result.
    pub requirements: Vec<String>,
    /// The sync key that the receiver announced.
    pub key: u32,
    /// Whether the receiver announced RESYNC.
    pub resync: bool,
    /// The frame limit that the receiver announced, in bytes.
    pub frame_limit: u32,
    /// The message limit that the receiver announced, in bytes.
    pub message_limit: u32,
    /// How many PINGs the receiver has sent, numbered from 1.
    pub pings_sent: u64,
    /// How many messages of class 2 the receiver has sent, each in one frame.
    pub messages_sent: u64,
    /// The bytes, from the first one after HELLO or HELLO_ACK on. A part of a packet may be left at the end.
    pub stream: VectorBytes,
    /// What the receiver notices, in order.
    pub events: Vec<FramingEvent>,
    /// The state after the last byte.
    pub end: FramingEnd,
}

/// Something that a receiver notices in a stream.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum FramingEvent {
    /// A message came whole and is delivered.
    Message {
        /// Its class.
        class: u8,
        /// Whether its frames had ENCRYPTED.
        encrypted: bool,
        /// The payloads of its frames, joined.
        payload: VectorBytes,
    },
    /// Bytes skipped in a row, or one dropped packet (PW-FRM-011). A gap that the receiver closes for is not listed.
    Gap {
        /// How many bytes; a dropped packet counts with its header and trailer.
        skipped: u64,
        /// Whether a message was open, had not been refused, and is discarded (PW-FRM-009). A dropped frame that opened
        /// nothing does not count.
        message_lost: bool,
    },
    /// The receiver refuses a message: REJECT is due (section 6.1). Its place among the other events means nothing.
    Refused {
        /// Its class.
        class: u8,
        /// The number of the message; 0 where that is unknown (PW-REJ-002).
        ordinal: u64,
        /// The name of the reason, section 11.4.
        reason: RejectReason,
    },
    /// PING with this number.
    Ping(u64),
    /// PONG with this number.
    Pong(u64),
    /// BUSY with this pause in milliseconds; 0 ends one.
    Busy(u32),
    /// DRAIN.
    Drain {
        /// How many messages the peer has received whole.
        received: u64,
    },
    /// REJECT: the peer refused a message of the receiver.
    Rejected {
        /// The class of the message.
        class: u8,
        /// The number of the message; 0 where that is unknown.
        ordinal: u64,
        /// The reason, which need not be a named one (PW-REJ-007).
        reason: u16,
    },
    /// CLOSE (section 9).
    Close {
        /// The reason, which need not be a named one (PW-CLS-008).
        reason: u16,
        /// How many messages the peer has received whole.
        received: u64,
        /// The time to wait before connecting again in milliseconds; 0xFFFFFFFF for never.
        retry_after: u32,
        /// The item TEXT.
        text: Option<String>,
        /// The item LIMIT.
        limit: Option<ExceededLimit>,
    },
}

/// Why a receiver refuses a message (section 11.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum RejectReason {
    /// It is above the message limit.
    TooLarge,
    /// Damage destroyed it.
    Damaged,
}

impl RejectReason {
    /// The number on the wire.
    #[must_use]
    pub const fn value(self) -> u16 {
        match self {
            Self::TooLarge => 1,
            Self::Damaged => 2,
        }
    }
}

/// The item LIMIT of CLOSE (section 9).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExceededLimit {
    /// The limit that was exceeded, in bytes.
    pub limit: u64,
    /// The size that exceeded it, in bytes.
    pub size: u64,
}

/// The state of a receiver after the last byte of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum FramingEnd {
    /// The connection is open.
    Open,
    /// The receiver got CLOSE, and has not answered it yet.
    PeerClosed,
    /// The receiver got CLOSE for a fault, and acts on nothing after it (PW-CLS-009).
    PeerFailed,
    /// The receiver closes for this reason, and acts on nothing after the packet at fault (PW-FRM-016).
    Closed(CloseReason),
}

impl TryFrom<String> for FramingEnd {
    type Error = UnknownCloseReason;

    fn try_from(name: String) -> Result<Self, UnknownCloseReason> {
        match name.as_str() {
            "open" => Ok(Self::Open),
            "peer_closed" => Ok(Self::PeerClosed),
            "peer_failed" => Ok(Self::PeerFailed),
            _ => CloseReason::try_from(name).map(Self::Closed),
        }
    }
}
