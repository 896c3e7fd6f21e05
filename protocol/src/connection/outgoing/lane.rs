//! The messages of one class on their way from the application to the driver. Order is promised within a class (PW-DAT-011).

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::num::NonZeroU64;

use bytes::Bytes;

use super::encoding::Encoding;
use crate::connection::batch::{Batch, front_size};
use crate::connection::prepared::PreparedMessage;
use crate::framer::LARGE;
use crate::message::{Message, Payload};
use crate::wire::{Class, HEADER_SIZE, TRAILER_SIZE, payload_checksum};

/// Small packets are joined up to this size before another batch is begun.
const BATCH: usize = 32 << 10;

/// Something that waits to be sent.
pub(super) enum Entry {
    /// Small messages, encoded.
    Batch(Batch),
    /// A large message, `sent` bytes of which went out in frames.
    Large { encrypted: bool, payload: Bytes, sent: usize },
    /// A large message whose only frame was prepared.
    Frame { message: Message<'static>, header: [u8; HEADER_SIZE], trailer: Option<[u8; TRAILER_SIZE]> },
}

impl Entry {
    /// Bytes that wait: encoded ones, or payload with one header.
    fn bytes(&self) -> usize {
        match self {
            Self::Batch(batch) => batch.packets.len(),
            Self::Large { payload, sent, .. } => HEADER_SIZE + payload.len() - sent,
            Self::Frame { message, .. } => HEADER_SIZE + message.payload.len(),
        }
    }
}

/// What waits longest in a lane, with the bytes that it takes.
pub(super) enum Next {
    /// Small packets, the first of them so large.
    Packets { first: usize },
    /// A message in one frame.
    Message { size: usize },
    /// The next frame of a message in several.
    Part { size: usize },
}

/// One class: its queue, and what it has come to.
pub(super) struct Lane {
    pub(super) class: Class,
    /// A message found no room.
    refused: bool,
    /// How many messages are in `tail`, which is at most a batch.
    tail_messages: u16,
    /// Messages of which no frame was handed out.
    unbegun: u32,
    /// The batch that is being filled, behind `queue`. It moves out whole: an idle connection holds no such memory.
    tail: Vec<u8>,
    /// What waits in front of it.
    queue: Option<Box<Queue>>,
    /// Messages accepted.
    accepted: u64,
    rejects: Option<Box<Rejects>>,
}

#[derive(Default)]
struct Queue {
    entries: VecDeque<Entry>,
    /// Bytes in it: encoded ones, or payloads with one header each.
    bytes: usize,
}

/// REJECTs that came, and the ordinal of the last one that had one (PW-REJ-008).
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Rejects {
    pub(super) count: u64,
    pub(super) last: u64,
}

impl Lane {
    pub(super) fn new(class: Class) -> Self {
        Self {
            class,
            refused: false,
            tail_messages: 0,
            unbegun: 0,
            tail: Vec::new(),
            queue: None,
            accepted: 0,
            rejects: None,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.tail.is_empty() && self.queue.is_none()
    }

    /// Bytes in `queue`.
    fn queued(&self) -> usize {
        self.queue.as_ref().map_or(0, |queue| queue.bytes)
    }

    /// Bytes that wait.
    pub(super) fn waiting(&self) -> usize {
        self.queued() + self.tail.len()
    }

    /// Bytes of memory that it holds.
    pub(super) fn buffered(&self) -> usize {
        let queue = |queue: &Queue| queue.bytes + size_of::<Queue>() + queue.entries.capacity() * size_of::<Entry>();
        self.tail.capacity() + self.queue.as_deref().map_or(0, queue)
    }

    /// A message found no room.
    pub(super) fn note_full(&mut self) {
        self.refused = true;
    }

    /// Whether a message found no room, and so little waits now. Says so once.
    pub(super) fn drained(&mut self, low: usize) -> bool {
        let drained = self.refused && self.waiting() <= low;
        self.refused &= !drained;
        drained
    }

    /// Messages accepted.
    pub(super) fn accepted(&self) -> u64 {
        self.accepted
    }

    /// Messages of which the first frame was handed out.
    pub(super) fn begun(&self) -> u64 {
        self.accepted - u64::from(self.unbegun)
    }

    /// The first frames of so many messages are handed out.
    pub(super) fn begin(&mut self, messages: u32) {
        self.unbegun -= messages;
    }

    fn accept(&mut self) {
        self.accepted += 1;
        self.unbegun += 1;
    }

    pub(super) fn rejects(&self) -> Rejects {
        self.rejects.as_deref().copied().unwrap_or_default()
    }

    /// Notes a REJECT that was judged.
    pub(super) fn note_rejected(&mut self, ordinal: Option<NonZeroU64>) {
        let rejects = self.rejects.get_or_insert_default();
        rejects.count += 1;
        rejects.last = ordinal.map_or(rejects.last, NonZeroU64::get);
    }

    /// Queues something behind all that waits.
    fn push_back(&mut self, entry: Entry) {
        let queue = self.queue.get_or_insert_default();
        queue.bytes += entry.bytes();
        queue.entries.push_back(entry);
    }

    /// Puts back the rest of what was taken out.
    pub(super) fn push_front(&mut self, entry: Entry) {
        let queue = self.queue.get_or_insert_default();
        queue.bytes += entry.bytes();
        queue.entries.push_front(entry);
    }

    /// The number of the message that was accepted last.
    #[inline]
    fn ordinal(&self) -> Option<NonZeroU64> {
        NonZeroU64::new(self.accepted)
    }

    /// Appends a small message to the batch that is being filled, if that has room. Gives its number if it did.
    #[inline]
    pub(super) fn append(&mut self, encoding: &Encoding, encrypted: bool, payload: &[u8]) -> Option<NonZeroU64> {
        // Asked as the two appends ask it, so that the compiler drops what they would do without room.
        let (capacity, begin) = (self.tail.capacity(), self.tail.len() + HEADER_SIZE);
        let fits =
            payload.len() < usize::from(encoding.plain_below) && begin <= capacity && payload.len() <= capacity - begin;
        if !fits {
            return self.append_checked(encoding, encrypted, payload);
        }
        self.append_packet(encoding, encrypted, payload);
        self.ordinal()
    }

    /// The same with a trailer, if packets need one. Out of line, so that those without one save no registers for it.
    #[inline(never)]
    fn append_checked(&mut self, encoding: &Encoding, encrypted: bool, payload: &[u8]) -> Option<NonZeroU64> {
        let size = HEADER_SIZE + payload.len() + TRAILER_SIZE;
        if !encoding.checksums || payload.len() > encoding.copied_max() || size > self.room() {
            return None;
        }
        self.append_packet(encoding, encrypted, payload);
        self.tail.extend_from_slice(&payload_checksum(payload).to_be_bytes());
        self.ordinal()
    }

    #[inline]
    fn append_packet(&mut self, encoding: &Encoding, encrypted: bool, payload: &[u8]) {
        self.accept();
        self.tail_messages += 1;
        // A small payload's length fits.
        let header = encoding.headers.encode(self.class, encrypted, payload.len() as u16);
        self.tail.extend_from_slice(&header);
        self.tail.extend_from_slice(payload);
    }

    /// Queues a message that was judged before. `ceiling` bytes may wait.
    pub(super) fn push(&mut self, encoding: &Encoding, message: Message<'_>, ceiling: usize) -> Option<NonZeroU64> {
        let Message { encrypted, payload, .. } = message;
        if payload.len() > encoding.copied_max() {
            self.push_large(encrypted, payload.into_bytes());
        } else {
            self.make_room(encoding, HEADER_SIZE + payload.len() + TRAILER_SIZE, ceiling);
            self.append(encoding, encrypted, &payload);
        }
        self.ordinal()
    }

    /// Queues a prepared message that was judged before. `ceiling` bytes may wait.
    pub(super) fn push_prepared(
        &mut self,
        encoding: &Encoding,
        prepared: &PreparedMessage,
        ceiling: usize,
    ) -> Option<NonZeroU64> {
        let message = prepared.message();
        let size = message.payload.len();
        if size > encoding.frame_max as usize {
            self.push_large(message.encrypted, message.payload.clone().into_bytes());
            return self.ordinal();
        }
        let (header, trailer) = prepared.frame(encoding.key, encoding.checksums);
        if size > encoding.copied_max() {
            self.push_tail();
            self.accept();
            self.push_back(Entry::Frame { message: message.clone(), header, trailer });
        } else {
            self.make_room(encoding, HEADER_SIZE + size + TRAILER_SIZE, ceiling);
            self.accept();
            self.tail_messages += 1;
            self.tail.extend_from_slice(&header);
            self.tail.extend_from_slice(&message.payload);
            self.tail.extend_from_slice(trailer.as_ref().map_or(&[][..], |trailer| trailer));
        }
        self.ordinal()
    }

    fn push_large(&mut self, encrypted: bool, payload: Bytes) {
        self.push_tail();
        self.accept();
        self.push_back(Entry::Large { encrypted, payload, sent: 0 });
    }

    /// Makes room for a packet in `tail`: for itself alone if nothing is there, as most are sent alone; then for a few more;
    /// then for as much as waits already, up to a whole batch. Never for more than may wait, so that whatever fits need not be
    /// judged.
    ///
    /// One buffer that doubles copies every byte twice on its way to 64 KiB, and again where it is joined to others: half
    /// the time of sending packets of 1 KiB.
    fn make_room(&mut self, encoding: &Encoding, size: usize, ceiling: usize) {
        if size <= self.room() {
            return;
        }
        let joined = self.tail.len() + size;
        if self.is_empty() {
            self.tail = Vec::with_capacity(size);
        } else if joined <= LARGE {
            let capacity = LARGE.min(ceiling.saturating_sub(self.queued())).max(joined);
            self.tail.reserve_exact(capacity - self.tail.len());
        } else {
            let wanted = (2 * self.waiting()).min(BATCH).min(encoding.frame_max as usize);
            self.push_tail();
            self.tail = Vec::with_capacity(wanted.min(ceiling.saturating_sub(self.queued())).max(size));
        }
    }

    /// Leaves no room for more than may still wait.
    pub(super) fn limit_room(&mut self, room: usize) {
        if self.room() > room {
            self.push_tail();
        }
    }

    fn push_tail(&mut self) {
        if let Some(batch) = self.take_tail() {
            self.push_back(Entry::Batch(batch));
        }
    }

    /// Takes out what waits longest.
    pub(super) fn pop(&mut self) -> Option<Entry> {
        let Some(queue) = &mut self.queue else { return self.take_tail().map(Entry::Batch) };
        let entry = queue.entries.pop_front();
        queue.bytes -= entry.as_ref().map_or(0, Entry::bytes);
        // An empty queue keeps no memory for messages that may come.
        if queue.entries.is_empty() {
            self.queue = None;
        }
        entry
    }

    fn take_tail(&mut self) -> Option<Batch> {
        if self.tail.is_empty() {
            return None;
        }
        let messages = core::mem::take(&mut self.tail_messages).into();
        Some(Batch { packets: core::mem::take(&mut self.tail), messages })
    }

    /// What waits longest.
    pub(super) fn next(&self, encoding: &Encoding) -> Option<Next> {
        let Some(entry) = self.queue.as_ref().and_then(|queue| queue.entries.front()) else {
            return (!self.tail.is_empty()).then(|| Next::Packets { first: front_size(&self.tail) });
        };
        let framed = |length: usize| HEADER_SIZE + length + if encoding.checksums { TRAILER_SIZE } else { 0 };
        let frame_max = encoding.frame_max as usize;
        Some(match entry {
            Entry::Batch(batch) => Next::Packets { first: front_size(&batch.packets) },
            Entry::Frame { message, .. } => Next::Message { size: framed(message.payload.len()) },
            Entry::Large { payload, sent: 0, .. } if payload.len() <= frame_max => {
                Next::Message { size: framed(payload.len()) }
            }
            Entry::Large { payload, sent, .. } => Next::Part { size: framed((payload.len() - sent).min(frame_max)) },
        })
    }

    /// Whether what waits longest takes several frames. Where another lane's message is open, none of them went out.
    pub(super) fn begins_fragments(&self, encoding: &Encoding) -> bool {
        matches!(self.next(encoding), Some(Next::Part { .. }))
    }

    /// Takes back what was not handed out whole.
    pub(super) fn take_unsent(&mut self, key: u32, unsent: &mut Vec<Message<'static>>) {
        while let Some(entry) = self.pop() {
            match entry {
                Entry::Large { encrypted, payload, .. } => {
                    unsent.push(Message { class: self.class, encrypted, payload: Payload::Owned(payload) });
                }
                Entry::Frame { message, .. } => unsent.push(message),
                Entry::Batch(batch) => batch.unpack(key, unsent),
            }
        }
    }

    /// Bytes that `tail` takes without more memory.
    #[inline]
    fn room(&self) -> usize {
        self.tail.capacity() - self.tail.len()
    }
}
