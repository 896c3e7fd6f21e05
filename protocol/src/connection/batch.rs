//! Packets that are joined to a batch while they wait, and taken apart again if they are never sent.

use alloc::vec::Vec;

use bytes::Bytes;

use crate::message::{Message, Payload};
use crate::wire::{Flags, HEADER_SIZE, Header, TRAILER_SIZE, payload_checksum};

/// Appends a packet. Its header says whether a trailer follows.
#[inline]
pub(super) fn encode(out: &mut Vec<u8>, header: Header, payload: &[u8], key: u32) {
    out.reserve(HEADER_SIZE + payload.len() + TRAILER_SIZE);
    out.extend_from_slice(&header.encode(key));
    out.extend_from_slice(payload);
    if header.flags.contains(Flags::CHECKSUM) {
        out.extend_from_slice(&payload_checksum(payload).to_be_bytes());
    }
}

/// Reads back the messages of a batch that this side encoded.
pub(super) fn unpack(batch: &Bytes, key: u32, messages: &mut Vec<Message<'static>>) {
    let mut offset = 0;
    while let Some(header) = batch[offset..].first_chunk().and_then(|bytes| Header::verify(bytes, key)) {
        let start = offset + HEADER_SIZE;
        messages.push(Message {
            class: header.class,
            encrypted: header.flags.contains(Flags::ENCRYPTED),
            payload: Payload::Owned(batch.slice(start..start + header.length as usize)),
        });
        offset = start + header.body_size();
    }
}
