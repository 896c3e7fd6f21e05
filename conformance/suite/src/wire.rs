//! The wire format for tools that speak or watch the protocol: packets written by hand, right or wrong, and what passes between a
//! client and a server, in words.

mod observer;

pub use crate::codec::Packet;
use crate::codec::registry::{flag, item, kind, reason};
use crate::codec::{Close, Hello, Item, encode_items};
use crate::subject::CloseFrame;
pub use observer::{Observer, Seen, Side};

/// Flags of the header that tools set (spec section 3).
pub mod flags {
    /// Begins a message.
    pub const FIRST: u8 = super::flag::FIRST;
    /// The message goes on in another frame.
    pub const MORE: u8 = super::flag::MORE;
    /// A trailer follows the payload.
    pub const CHECKSUM: u8 = super::flag::CHECKSUM;
    /// The application sealed the payload.
    pub const ENCRYPTED: u8 = super::flag::ENCRYPTED;
}

/// What a peer announces in HELLO or HELLO_ACK (section 7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Announced {
    /// The key for headers that this peer receives; not 0.
    pub sync_key: u32,
    /// The largest payload of a frame that it takes, in bytes.
    pub frame_limit: u32,
    /// The largest message that it takes, in bytes.
    pub message_limit: u32,
    /// Whether it resynchronises, and wants CHECKSUM on each DATA packet.
    pub resync: bool,
}

impl Announced {
    /// What the payload of a HELLO or HELLO_ACK announces; `None` if it is none that can be accepted.
    #[must_use]
    pub fn from_payload(payload: &[u8]) -> Option<Self> {
        let Hello { sync_key, frame_limit, message_limit, resync, .. } = Hello::parse(payload).ok()?;
        Some(Self { sync_key, frame_limit, message_limit, resync })
    }
}

/// HELLO of version 1 with the defaults of section 10.
#[must_use]
pub fn hello(sync_key: u32, resync: bool) -> Packet {
    let features = u32::from(resync) * item::FEATURE_RESYNC;
    let items = [Item::versions(1, 1), Item::sync_key(sync_key), Item::features(features)];
    Packet::control(kind::HELLO, encode_items(&items))
}

/// CLOSE with this reason and text (section 9), which is cut where it is too long. `received` is how many messages came.
#[must_use]
pub fn close(reason: u16, text: &str, received: u64) -> Packet {
    let frame = CloseFrame { reason, retry_after: None, text: text.into() };
    Close::from_frame(&frame, received).to_packet()
}

/// The name of a kind (section 11.1), or its number.
#[must_use]
pub fn kind_name(kind: u8) -> String {
    kind::name(kind)
}

/// The kind with this name, whatever the case of its letters.
#[must_use]
pub fn kind_named(name: &str) -> Option<u8> {
    (kind::HELLO..=kind::CLOSE_ACK).find(|kind| kind::name(*kind).eq_ignore_ascii_case(name))
}

/// The close reason with this name (section 11.3), whatever the case of its letters.
#[must_use]
pub fn reason_named(name: &str) -> Option<u16> {
    (0..=u16::from(u8::MAX)).find(|reason| reason::name(*reason).eq_ignore_ascii_case(name))
}

/// The name of a close reason, or its number.
#[must_use]
pub fn reason_name(reason: u16) -> String {
    reason::name(reason)
}

/// The reason in the payload of a CLOSE; `None` if that is cut off.
#[must_use]
pub fn reason_of(close: &Packet) -> Option<u16> {
    Close::parse(&close.payload).map(|close| close.reason)
}
