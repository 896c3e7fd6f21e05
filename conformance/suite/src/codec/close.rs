//! The payload of CLOSE (spec section 9).

use super::items::{Item, encode_items, parse_items};
use super::packet::Packet;
use super::registry::{item, kind, reason};
use crate::subject::CloseFrame;

/// The bytes of TEXT for which a CLOSE has room: 512 less the fields and the head of the item.
pub(crate) const TEXT_MAX: usize = 512 - 14 - 4;

/// What a CLOSE says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Close {
    pub(crate) reason: u16,
    /// Messages that the sender of the CLOSE received whole.
    pub(crate) received: u64,
    /// In milliseconds; `u32::MAX` means never.
    pub(crate) retry_after: u32,
    pub(crate) items: Vec<Item>,
}

impl Close {
    /// With the `retry_after` of the reason, and no items.
    pub(crate) fn new(reason: u16, received: u64) -> Self {
        Self { reason, received, retry_after: reason::retry_after(reason), items: Vec::new() }
    }

    /// What the application wants to say. TEXT is cut to what CLOSE has room for, at the end of a character.
    pub(crate) fn from_frame(frame: &CloseFrame, received: u64) -> Self {
        let mut close = Self::new(frame.reason, received);
        close.retry_after = frame.retry_after.unwrap_or(close.retry_after);
        if !frame.text.is_empty() {
            let end = frame.text.floor_char_boundary(TEXT_MAX);
            close.items.push(Item::new(item::TEXT, frame.text.as_bytes()[..end].to_vec()));
        }
        close
    }

    /// What it says to the application. Of equal items the last one counts (PW-CLS-014).
    pub(crate) fn to_frame(&self) -> CloseFrame {
        let text = self.items.iter().rfind(|entry| entry.id == item::TEXT);
        let text = text.and_then(|entry| String::from_utf8(entry.value.clone()).ok()).unwrap_or_default();
        CloseFrame { reason: self.reason, retry_after: Some(self.retry_after), text }
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
        let (mut items, _) = parse_items(rest);
        items.truncate(items.iter().position(is_malformed).unwrap_or(items.len()));
        let (reason, received) = (u16::from_be_bytes(*reason), u64::from_be_bytes(*received));
        Some(Self { reason, received, retry_after: u32::from_be_bytes(*retry_after), items })
    }

    /// The limit and the size that the item LIMIT names, if it is there and well formed.
    pub(crate) fn limit(&self) -> Option<(u64, u64)> {
        let value = &self.items.iter().rfind(|entry| entry.id == item::LIMIT)?.value;
        let (limit, size) = value.split_first_chunk()?;
        Some((u64::from_be_bytes(*limit), u64::from_be_bytes(size.try_into().ok()?)))
    }
}

/// A TEXT that is no UTF-8, or a LIMIT of another length than its own.
fn is_malformed(entry: &Item) -> bool {
    match entry.id {
        item::TEXT => str::from_utf8(&entry.value).is_err(),
        item::LIMIT => entry.value.len() != 16,
        _ => false,
    }
}
