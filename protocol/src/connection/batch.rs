//! Packets that are joined to a batch while they wait, and taken apart again if they are never sent.

use alloc::vec::Vec;

use bytes::Bytes;

use crate::message::{Message, Payload};
use crate::wire::{Flags, HEADER_SIZE, Header};

/// Small messages of one class in one frame each, encoded.
pub(super) struct Batch {
    pub(super) packets: Vec<u8>,
    pub(super) messages: u32,
}

impl Batch {
    /// Keeps as many packets as fit in `most` bytes, and at least one, and gives the rest, if there is any.
    pub(super) fn split(&mut self, most: usize) -> Option<Self> {
        if self.packets.len() <= most {
            return None;
        }
        let (mut end, mut kept) = (front_size(&self.packets), 1);
        while end < self.packets.len() && end + front_size(&self.packets[end..]) <= most {
            end += front_size(&self.packets[end..]);
            kept += 1;
        }
        if end >= self.packets.len() {
            return None;
        }
        let rest = Self { packets: self.packets.split_off(end), messages: self.messages - kept };
        self.messages = kept;
        Some(rest)
    }

    /// Reads back the messages, which this side encoded.
    pub(super) fn unpack(self, key: u32, messages: &mut Vec<Message<'static>>) {
        let packets = Bytes::from(self.packets);
        let mut offset = 0;
        while let Some(header) = packets[offset..].first_chunk().and_then(|bytes| Header::verify(bytes, key)) {
            let start = offset + HEADER_SIZE;
            messages.push(Message {
                class: header.class,
                encrypted: header.flags.contains(Flags::ENCRYPTED),
                payload: Payload::Owned(packets.slice(start..start + header.length as usize)),
            });
            offset = start + header.body_size();
        }
    }
}

/// Bytes of the first of these packets, which this side encoded.
pub(super) fn front_size(packets: &[u8]) -> usize {
    packets.first_chunk().map_or(packets.len(), |header| HEADER_SIZE + Header::read(header).body_size())
}

/// Appends a control packet.
pub(super) fn encode(out: &mut Vec<u8>, header: Header, payload: &[u8], key: u32) {
    out.extend_from_slice(&header.encode(key));
    out.extend_from_slice(payload);
}
