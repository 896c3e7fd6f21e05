//! Packets that are joined to a batch while they wait, and taken apart again if they are never sent.

use alloc::vec::Vec;

use bytes::Bytes;

use crate::message::{Message, Payload};
use crate::wire::{Flags, HEADER_SIZE, Header};

/// Small messages in one frame each, encoded.
#[derive(Default)]
pub(super) struct Batch {
    pub(super) packets: Vec<u8>,
    pub(super) messages: u64,
}

impl Batch {
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.packets.is_empty()
    }

    /// Bytes of its packets.
    #[inline]
    pub(super) fn len(&self) -> usize {
        self.packets.len()
    }

    /// Bytes that it takes without more memory.
    #[inline]
    pub(super) fn room(&self) -> usize {
        self.packets.capacity() - self.packets.len()
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

/// Appends a control packet.
pub(super) fn encode(out: &mut Vec<u8>, header: Header, payload: &[u8], key: u32) {
    out.extend_from_slice(&header.encode(key));
    out.extend_from_slice(payload);
}
