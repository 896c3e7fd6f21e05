//! Out: the queue behind the batches.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::vec::Vec;

use bytes::Bytes;

use super::prepared::PreparedMessage;
use super::transmit::Transmit;
use crate::framer::LARGE;
use crate::message::{Message, Payload};
use crate::time::Instant;
use crate::wire::{Class, CloseFrame, Flags, HEADER_SIZE, Header, Hello, Kind, TRAILER_SIZE, payload_checksum};

/// Small packets are joined up to this size before another batch is begun: what `max` is overshot by at most.
const BATCH: usize = 16 << 10;

/// Something that waits to be sent.
enum Entry {
    /// Whole small packets, encoded.
    Batch(Vec<u8>),
    /// A large message, `sent` bytes of which went out in frames.
    Large { class: Class, encrypted: bool, payload: Bytes, sent: usize },
    /// A large message whose only frame was prepared.
    Frame { message: Message<'static>, header: [u8; HEADER_SIZE], trailer: Option<[u8; TRAILER_SIZE]> },
}

/// The last packets of this side: what waits, and what was handed out.
#[derive(Default)]
struct Farewell {
    close: Option<Box<CloseFrame>>,
    close_ack: bool,
    /// No second CLOSE may follow (PW-CLS-013).
    close_handed: bool,
    /// Nothing at all may follow (PW-CLS-001).
    close_ack_handed: bool,
}

/// The queue of what goes out: control packets ahead, messages in order, CLOSE and CLOSE_ACK last.
pub(super) struct Outgoing {
    /// The peer's sync key; 0 before its first packet came.
    pub(super) key: u32,
    /// The peer's limits.
    pub(super) frame_limit: u32,
    pub(super) message_limit: u32,
    /// The peer resynchronises, so DATA carries checksums (PW-FRM-007).
    pub(super) checksums: bool,
    greeting: Option<Box<(Kind, Hello)>>,
    /// A PING waits. It gets its number when it is handed out, so that every number up to `pings` was sent.
    ping: bool,
    pings: u64,
    pong: Option<u64>,
    queue: VecDeque<Entry>,
    /// Bytes in `queue`: encoded ones, or payloads with one header each.
    queued: usize,
    farewell: Farewell,
    /// Bytes handed to the driver, and those that the transport took, since the beginning.
    handed: u64,
    taken: u64,
    /// Where in the stream the latest PING, and CLOSE_ACK, end.
    ping_ends: Option<u64>,
    close_ack_ends: Option<u64>,
    /// When bytes were handed out, or the transport last took some, while it has not taken all.
    waiting_since: Option<Instant>,
}

/// What [`Outgoing::poll`] handed out beside messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Handed {
    /// Something was handed out.
    pub(super) any: bool,
    /// CLOSE was.
    pub(super) close: bool,
}

/// What [`Outgoing::taken`] completed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Taken {
    pub(super) ping: bool,
    pub(super) close_ack: bool,
}

impl Outgoing {
    pub(super) fn new() -> Self {
        Self {
            key: 0,
            frame_limit: 0,
            message_limit: 0,
            checksums: false,
            greeting: None,
            ping: false,
            pings: 0,
            pong: None,
            queue: VecDeque::new(),
            queued: 0,
            farewell: Farewell::default(),
            handed: 0,
            taken: 0,
            ping_ends: None,
            close_ack_ends: None,
            waiting_since: None,
        }
    }

    /// Whether anything waits for the driver.
    pub(super) fn has_more(&self) -> bool {
        !self.queue.is_empty()
            || self.pong.is_some()
            || self.ping
            || self.greeting.is_some()
            || self.farewell.close.is_some()
            || self.farewell.close_ack
    }

    /// Since when the transport has taken nothing of what it was given, if there is any left.
    pub(super) fn waiting_since(&self) -> Option<Instant> {
        self.waiting_since
    }

    pub(super) fn queued(&self) -> usize {
        self.queued
    }

    /// Bytes that the transport has not taken, as far as they are encoded.
    pub(super) fn untaken(&self) -> u64 {
        self.handed - self.taken + self.queued as u64
    }

    pub(super) fn greet(&mut self, kind: Kind, hello: Hello) {
        self.greeting = Some(Box::new((kind, hello)));
    }

    pub(super) fn ping(&mut self) {
        if self.farewell.close_ack_handed {
            return;
        }
        self.ping = true;
        self.ping_ends = None;
        self.rest();
    }

    /// The number of the latest PING handed out; they count from 1.
    pub(super) fn pings(&self) -> u64 {
        self.pings
    }

    pub(super) fn pong(&mut self, number: u64) {
        if self.farewell.close_ack_handed {
            return;
        }
        self.pong = Some(number);
        self.rest();
    }

    /// A side was silent for long: an empty queue keeps no memory for messages that may come.
    fn rest(&mut self) {
        if self.queue.is_empty() {
            self.queue.shrink_to_fit();
        }
    }

    /// Queues CLOSE, unless one went out before or none may any more.
    pub(super) fn close(&mut self, close: CloseFrame) {
        if self.farewell.close_handed || self.farewell.close_ack_handed {
            return;
        }
        self.farewell.close = Some(Box::new(close));
    }

    /// Drops CLOSE and CLOSE_ACK that were not handed out.
    pub(super) fn drop_farewell(&mut self) {
        (self.farewell.close, self.farewell.close_ack) = (None, false);
    }

    pub(super) fn close_ack(&mut self) {
        self.farewell.close_ack = true;
    }

    /// Queues a message that was judged before.
    #[inline]
    pub(super) fn message(&mut self, message: Message<'_>) {
        let Message { class, encrypted, payload } = message;
        if payload.len() >= LARGE || payload.len() > self.frame_limit as usize {
            self.queued += HEADER_SIZE + payload.len();
            self.queue.push_back(Entry::Large { class, encrypted, payload: payload.into_bytes(), sent: 0 });
            return;
        }
        let header = self.data_header(class, encrypted, Flags::FIRST, payload.len());
        let (key, size) = (self.key, HEADER_SIZE + header.body_size());
        self.queued += size;
        self.join(size, |batch| encode(batch, header, &payload, key));
    }

    /// Queues a prepared message that was judged before.
    pub(super) fn prepared(&mut self, prepared: &PreparedMessage) {
        let payload = prepared.payload();
        if payload.len() > self.frame_limit as usize {
            return self.message(prepared.message().clone());
        }
        let (header, trailer) = prepared.frame(self.key, self.checksums);
        if payload.len() >= LARGE {
            self.queued += HEADER_SIZE + payload.len();
            self.queue.push_back(Entry::Frame { message: prepared.message().clone(), header, trailer });
            return;
        }
        let trailer = trailer.as_ref().map_or(&[][..], |trailer| trailer);
        let size = HEADER_SIZE + payload.len() + trailer.len();
        self.queued += size;
        self.join(size, |batch| {
            batch.extend_from_slice(&header);
            batch.extend_from_slice(payload);
            batch.extend_from_slice(trailer);
        });
    }

    /// Writes a packet of this size to the end of the queue.
    #[inline]
    fn join(&mut self, size: usize, write: impl FnOnce(&mut Vec<u8>)) {
        match self.queue.back_mut() {
            Some(Entry::Batch(batch)) if batch.len() + size <= BATCH => write(batch),
            Some(Entry::Batch(_) | Entry::Large { .. } | Entry::Frame { .. }) | None => {
                let mut batch = Vec::with_capacity(size);
                write(&mut batch);
                self.queue.push_back(Entry::Batch(batch));
            }
        }
    }

    fn data_header(&self, class: Class, encrypted: bool, flags: Flags, length: usize) -> Header {
        let sealed = if encrypted { Flags::ENCRYPTED } else { Flags::NONE };
        let checked = if self.checksums { Flags::CHECKSUM } else { Flags::NONE };
        // The length is at most the peer's frame limit, which fits in 24 bits.
        Header { kind: Kind::DATA, flags: flags | sealed | checked, class, length: length as u32 }
    }

    /// Takes back what was not handed out whole.
    pub(super) fn take_unsent(&mut self) -> Vec<Message<'static>> {
        let mut unsent = Vec::new();
        self.queued = 0;
        (self.ping, self.pong, self.greeting) = (false, None, None);
        for entry in core::mem::take(&mut self.queue) {
            match entry {
                Entry::Large { class, encrypted, payload, .. } => {
                    unsent.push(Message { class, encrypted, payload: Payload::Owned(payload) });
                }
                Entry::Frame { message, .. } => unsent.push(message),
                Entry::Batch(batch) => unpack(&batch.into(), self.key, &mut unsent),
            }
        }
        unsent
    }

    /// Fills the batch with whole packets until it holds `max` bytes or nothing more may go out.
    pub(super) fn poll(&mut self, now: Instant, max: usize, received: u64, out: &mut Transmit) -> Handed {
        out.clear();
        let mut handed = Handed { any: false, close: false };
        if !self.has_more() {
            return handed;
        }
        self.poll_control(out);
        while out.len() < max
            && let Some(entry) = self.queue.pop_front()
        {
            self.poll_entry(entry, out);
        }
        if self.queue.is_empty() {
            handed.close = self.poll_farewell(received, out);
        }
        handed.any = !out.is_empty();
        if handed.any {
            self.handed += out.len() as u64;
            self.waiting_since.get_or_insert(now);
        }
        handed
    }

    fn poll_control(&mut self, out: &mut Transmit) {
        if let Some(greeting) = self.greeting.take() {
            let (kind, hello) = *greeting;
            let mut payload = Vec::new();
            hello.encode(&mut payload);
            self.poll_payload(kind, &payload, out);
        }
        if let Some(number) = self.pong.take() {
            self.poll_payload(Kind::PONG, &number.to_be_bytes(), out);
        }
        if core::mem::take(&mut self.ping) {
            self.pings += 1;
            self.poll_payload(Kind::PING, &self.pings.to_be_bytes(), out);
            self.ping_ends = Some(self.handed + out.len() as u64);
        }
    }

    /// Hands out a control packet.
    fn poll_payload(&self, kind: Kind, payload: &[u8], out: &mut Transmit) {
        // The first packet in each direction has key 0 (PW-KEY-001), though the peer's key may be known by now.
        let key = if self.handed == 0 && out.is_empty() { 0 } else { self.key };
        let length = payload.len() as u32;
        let header = Header { kind, flags: Flags::NONE, class: Class::UNCLASSIFIED, length };
        out.inline(|inline| encode(inline, header, payload, key));
    }

    fn poll_entry(&mut self, entry: Entry, out: &mut Transmit) {
        match entry {
            Entry::Batch(batch) => {
                self.queued -= batch.len();
                out.batch(batch);
            }
            Entry::Frame { message, header, trailer } => {
                self.queued -= HEADER_SIZE + message.payload.len();
                out.inline(|inline| inline.extend_from_slice(&header));
                out.shared(message.payload.into_bytes());
                if let Some(trailer) = trailer {
                    out.inline(|inline| inline.extend_from_slice(&trailer));
                }
            }
            Entry::Large { class, encrypted, payload, sent } => {
                let size = (payload.len() - sent).min(self.frame_limit as usize);
                let end = sent + size;
                let more = end < payload.len();
                let first = if sent == 0 { Flags::FIRST } else { Flags::NONE };
                let header = self.data_header(class, encrypted, if more { first | Flags::MORE } else { first }, size);
                out.inline(|inline| inline.extend_from_slice(&header.encode(self.key)));
                let frame = payload.slice(sent..end);
                let checksum = self.checksums.then(|| payload_checksum(&frame));
                out.shared(frame);
                if let Some(checksum) = checksum {
                    out.inline(|inline| inline.extend_from_slice(&checksum.to_be_bytes()));
                }
                self.queued -= size;
                if more {
                    self.queue.push_front(Entry::Large { class, encrypted, payload, sent: end });
                } else {
                    self.queued -= HEADER_SIZE;
                }
            }
        }
    }

    fn poll_farewell(&mut self, received: u64, out: &mut Transmit) -> bool {
        let close = self.farewell.close.take();
        let closes = close.is_some();
        if let Some(mut close) = close {
            close.received = received;
            let mut payload = Vec::new();
            close.encode(&mut payload);
            self.poll_payload(Kind::CLOSE, &payload, out);
            self.farewell.close_handed = true;
        }
        if core::mem::take(&mut self.farewell.close_ack) {
            self.poll_payload(Kind::CLOSE_ACK, &received.to_be_bytes(), out);
            self.farewell.close_ack_handed = true;
            self.close_ack_ends = Some(self.handed + out.len() as u64);
        }
        closes
    }

    /// The transport took this many bytes of what was handed out.
    pub(super) fn taken(&mut self, now: Instant, bytes: usize) -> Taken {
        self.taken = self.taken.saturating_add(bytes as u64).min(self.handed);
        if self.taken == self.handed {
            self.waiting_since = None;
        } else if bytes > 0 {
            self.waiting_since = Some(now);
        }
        let taken = self.taken;
        Taken {
            ping: self.ping_ends.take_if(|end| *end <= taken).is_some(),
            close_ack: self.close_ack_ends.take_if(|end| *end <= taken).is_some(),
        }
    }
}

/// Appends a packet. Its header says whether a trailer follows.
#[inline]
fn encode(out: &mut Vec<u8>, header: Header, payload: &[u8], key: u32) {
    out.reserve(HEADER_SIZE + payload.len() + TRAILER_SIZE);
    out.extend_from_slice(&header.encode(key));
    out.extend_from_slice(payload);
    if header.flags.contains(Flags::CHECKSUM) {
        out.extend_from_slice(&payload_checksum(payload).to_be_bytes());
    }
}

/// Reads back the messages of a batch that this side encoded.
fn unpack(batch: &Bytes, key: u32, messages: &mut Vec<Message<'static>>) {
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
