//! The payload of CLOSE (spec section 9).

use super::items::{Item, encode_items, parse_items};
use super::packet::Packet;
use super::registry::{item, kind};

/// The value of `retry_after` that means never.
pub(crate) const NEVER: u32 = u32::MAX;

/// What a CLOSE says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Close {
    pub(crate) reason: u16,
    /// Messages that the sender of the CLOSE received whole.
    pub(crate) received: u64,
    /// In milliseconds.
    pub(crate) retry_after: u32,
    pub(crate) items: Vec<Item>,
}

impl Close {
    pub(crate) fn new(reason: u16, received: u64) -> Self {
        Self { reason, received, retry_after: NEVER, items: Vec::new() }
    }

    pub(crate) fn to_packet(&self) -> Packet {
        let mut payload = self.reason.to_be_bytes().to_vec();
        payload.extend_from_slice(&self.received.to_be_bytes());
        payload.extend_from_slice(&self.retry_after.to_be_bytes());
        payload.extend_from_slice(&encode_items(&self.items));
        Packet::control(kind::CLOSE, payload)
    }

    /// Reads the payload of a CLOSE; `None` if it is too short. A malformed item ends the items (PW-CLS-014).
    pub(crate) fn parse(payload: &[u8]) -> Option<Self> {
        let (reason, rest) = payload.split_first_chunk()?;
        let (received, rest) = rest.split_first_chunk()?;
        let (retry_after, rest) = rest.split_first_chunk()?;
        let (items, _) = parse_items(rest);
        let (reason, received) = (u16::from_be_bytes(*reason), u64::from_be_bytes(*received));
        Some(Self { reason, received, retry_after: u32::from_be_bytes(*retry_after), items })
    }

    /// The limit and the size that the item LIMIT names, if it is there and well formed.
    pub(crate) fn limit(&self) -> Option<(u64, u64)> {
        let value = &self.items.iter().find(|entry| entry.id == item::LIMIT)?.value;
        let (limit, size) = value.split_first_chunk()?;
        Some((u64::from_be_bytes(*limit), u64::from_be_bytes(size.try_into().ok()?)))
    }
}
