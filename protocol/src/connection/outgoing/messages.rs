//! Messages on their way from the application to the driver.

use alloc::vec::Vec;

use bytes::Bytes;

use super::{Entry, Outgoing};
use crate::connection::batch::Batch;
use crate::connection::prepared::PreparedMessage;
use crate::connection::transmit::Transmit;
use crate::framer::LARGE;
use crate::message::{Message, Payload};
use crate::wire::{Class, Flags, HEADER_SIZE, Header, Kind, TRAILER_SIZE, payload_checksum};

/// Small packets are joined up to this size before another batch is begun: what `max` is overshot by at most.
const BATCH: usize = 32 << 10;

impl Outgoing {
    /// Appends a small message to the batch that is being filled, if that has room. Says whether it did.
    #[inline(never)]
    pub(in crate::connection) fn append(&mut self, class: Class, encrypted: bool, payload: &[u8]) -> bool {
        // Asked as the two appends ask it, so that the compiler drops what they would do without room.
        let (capacity, begin) = (self.tail.capacity(), self.tail.len() + HEADER_SIZE);
        let fits = payload.len() < self.plain_below && begin <= capacity && payload.len() <= capacity - begin;
        if !fits {
            return self.append_checked(class, encrypted, payload);
        }
        self.append_packet(class, encrypted, payload);
        true
    }

    /// The same with a trailer, if packets need one. Out of line, so that those without one save no registers for it.
    #[inline(never)]
    fn append_checked(&mut self, class: Class, encrypted: bool, payload: &[u8]) -> bool {
        let size = HEADER_SIZE + payload.len() + TRAILER_SIZE;
        let fits = self.checksums && payload.len() <= self.copied_max() && size <= self.room();
        if fits {
            self.append_packet(class, encrypted, payload);
            self.tail.extend_from_slice(&payload_checksum(payload).to_be_bytes());
        }
        fits
    }

    #[inline]
    fn append_packet(&mut self, class: Class, encrypted: bool, payload: &[u8]) {
        self.accepted += 1;
        // A small payload's length fits.
        let header = self.headers.encode(class, encrypted, payload.len() as u16);
        self.tail.extend_from_slice(&header);
        self.tail.extend_from_slice(payload);
    }

    /// Queues a message that was judged before. `ceiling` bytes may wait.
    pub(in crate::connection) fn message(&mut self, message: Message<'_>, ceiling: usize) {
        let Message { class, encrypted, payload } = message;
        if payload.len() > self.copied_max() {
            return self.large(class, encrypted, payload.into_bytes());
        }
        self.make_room(HEADER_SIZE + payload.len() + TRAILER_SIZE, ceiling);
        self.append(class, encrypted, &payload);
    }

    /// Queues a prepared message that was judged before. `ceiling` bytes may wait.
    pub(in crate::connection) fn prepared(&mut self, prepared: &PreparedMessage, ceiling: usize) {
        let message = prepared.message();
        let size = message.payload.len();
        if size > self.frame_limit as usize {
            return self.large(message.class, message.encrypted, message.payload.clone().into_bytes());
        }
        let (header, trailer) = prepared.frame(self.key, self.checksums);
        if size > self.copied_max() {
            self.push_tail();
            self.accepted += 1;
            self.enqueued += 1;
            self.queued += HEADER_SIZE + size;
            self.queue.push_back(Entry::Frame { message: message.clone(), header, trailer });
            return;
        }
        self.make_room(HEADER_SIZE + size + TRAILER_SIZE, ceiling);
        self.accepted += 1;
        self.tail.extend_from_slice(&header);
        self.tail.extend_from_slice(&message.payload);
        self.tail.extend_from_slice(trailer.as_ref().map_or(&[][..], |trailer| trailer));
    }

    fn large(&mut self, class: Class, encrypted: bool, payload: Bytes) {
        self.push_tail();
        self.accepted += 1;
        self.enqueued += 1;
        self.queued += HEADER_SIZE + payload.len();
        self.queue.push_back(Entry::Large { class, encrypted, payload, sent: 0 });
    }

    /// Makes room for a packet in `tail`: for itself alone if nothing is there, as most are sent alone; then for a few more;
    /// then for a whole batch. Never for more than may wait, so that whatever fits need not be judged.
    ///
    /// One buffer that doubles copies every byte twice on its way to 64 KiB, and again where it is joined to others: half
    /// the time of sending packets of 1 KiB.
    fn make_room(&mut self, size: usize, ceiling: usize) {
        if size <= self.room() {
            return;
        }
        let joined = self.tail.len() + size;
        if self.tail.is_empty() {
            self.tail = Vec::with_capacity(size);
        } else if joined <= LARGE {
            let capacity = LARGE.min(ceiling.saturating_sub(self.queued)).max(joined);
            self.tail.reserve_exact(capacity - self.tail.len());
        } else {
            self.push_tail();
            self.tail = Vec::with_capacity(BATCH.min(ceiling.saturating_sub(self.queued)).max(size));
        }
    }

    /// Leaves no room for more than may still wait.
    pub(in crate::connection) fn limit_room(&mut self, room: usize) {
        if self.room() > room {
            self.push_tail();
        }
    }

    fn push_tail(&mut self) {
        if let Some(batch) = self.take_tail() {
            self.queue.push_back(batch);
        }
    }

    /// Takes what waits longest: messages keep their order (PW-DAT-011).
    pub(super) fn pop_entry(&mut self) -> Option<Entry> {
        self.queue.pop_front().or_else(|| self.take_tail())
    }

    /// Takes what is in `tail`; from now on it counts as queued.
    fn take_tail(&mut self) -> Option<Entry> {
        if self.tail.is_empty() {
            return None;
        }
        self.queued += self.tail.len();
        let messages = self.accepted - core::mem::replace(&mut self.enqueued, self.accepted);
        let packets = core::mem::take(&mut self.tail);
        Some(Entry::Batch(Batch { packets, messages }))
    }

    fn data_header(&self, class: Class, encrypted: bool, flags: Flags, length: usize) -> Header {
        let sealed = if encrypted { Flags::ENCRYPTED } else { Flags::NONE };
        let checked = if self.checksums { Flags::CHECKSUM } else { Flags::NONE };
        // The length is at most the peer's frame limit, which fits in 24 bits.
        Header { kind: Kind::DATA, flags: flags | sealed | checked, class, length: length as u32 }
    }

    /// Takes back what was not handed out whole.
    pub(in crate::connection) fn take_unsent(&mut self) -> Vec<Message<'static>> {
        let mut unsent = Vec::new();
        while let Some(entry) = self.pop_entry() {
            match entry {
                Entry::Large { class, encrypted, payload, .. } => {
                    unsent.push(Message { class, encrypted, payload: Payload::Owned(payload) });
                }
                Entry::Frame { message, .. } => unsent.push(message),
                Entry::Batch(batch) => batch.unpack(self.key, &mut unsent),
            }
        }
        self.queued = 0;
        unsent
    }

    pub(super) fn poll_entry(&mut self, entry: Entry, out: &mut Transmit) {
        match entry {
            Entry::Batch(Batch { packets, messages }) => {
                self.queued -= packets.len();
                self.messages.begun += messages;
                self.messages.completed += messages;
                out.batch(packets);
            }
            Entry::Frame { message, header, trailer } => {
                self.queued -= HEADER_SIZE + message.payload.len();
                self.messages.begun += 1;
                self.messages.completed += 1;
                out.inline(|inline| inline.extend_from_slice(&header));
                out.shared(message.payload.into_bytes());
                if let Some(trailer) = trailer {
                    out.inline(|inline| inline.extend_from_slice(&trailer));
                }
            }
            Entry::Large { class, encrypted, payload, sent } => self.poll_large(class, encrypted, payload, sent, out),
        }
    }

    /// Hands out the next frame of a large message, and puts back what is left.
    fn poll_large(&mut self, class: Class, encrypted: bool, payload: Bytes, sent: usize, out: &mut Transmit) {
        let end = payload.len().min(sent + self.frame_limit as usize);
        let more = end < payload.len();
        let first = if sent == 0 { Flags::FIRST } else { Flags::NONE };
        let header = self.data_header(class, encrypted, if more { first | Flags::MORE } else { first }, end - sent);
        let checksum = self.checksums.then(|| payload_checksum(&payload[sent..end]).to_be_bytes());
        self.queued -= end - sent;
        self.messages.begun += u64::from(sent == 0);
        out.inline(|inline| inline.extend_from_slice(&header.encode(self.key)));
        if more {
            out.shared(payload.slice(sent..end));
            self.queue.push_front(Entry::Large { class, encrypted, payload, sent: end });
        } else {
            self.queued -= HEADER_SIZE;
            self.messages.completed += 1;
            // Most are one frame; a part of it would be counted as another reference.
            out.shared(if sent == 0 { payload } else { payload.slice(sent..) });
        }
        if let Some(checksum) = checksum {
            out.inline(|inline| inline.extend_from_slice(&checksum));
        }
    }

    /// Bytes that `tail` takes without more memory.
    #[inline]
    fn room(&self) -> usize {
        self.tail.capacity() - self.tail.len()
    }
}
