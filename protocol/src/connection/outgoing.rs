//! Out: the queue behind the batches.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::time::Duration;

use bytes::Bytes;

use super::announcements::Announcements;
use super::batch::{Batch, encode};
use super::rejects::Rejects;
use super::transmit::Transmit;
use crate::framer::LARGE;
use crate::message::{Message, Payload};
use crate::time::Instant;
use crate::wire::{
    Class, ClosePayload, Flags, HEADER_SIZE, Header, Hello, Kind, MessageHeaders, TRAILER_SIZE, payload_checksum,
};

/// Small packets are joined up to this size before another batch is begun: what `max` is overshot by at most.
const BATCH: usize = 32 << 10;

/// Something that waits to be sent.
enum Entry {
    /// Small messages, encoded.
    Batch(Batch),
    /// A large message, `sent` bytes of which went out in frames.
    Large { class: Class, encrypted: bool, payload: Bytes, sent: usize },
}

/// The last packets of this side: what waits, and what was handed out.
#[derive(Default)]
struct Farewell {
    close: Option<Box<ClosePayload>>,
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
    frame_limit: u32,
    pub(super) message_limit: u32,
    /// The peer resynchronises, so DATA carries checksums (PW-FRM-007).
    checksums: bool,
    /// What small messages have in common, and how large they are at most.
    headers: MessageHeaders,
    copied_max: usize,
    greeting: Option<Box<(Kind, Hello)>>,
    /// A PING waits. It gets its number when it is handed out, so that every number up to `pings` was sent.
    ping: bool,
    pings: u64,
    pong: Option<u64>,
    announcements: Announcements,
    queue: VecDeque<Entry>,
    /// The batch that is being filled, behind `queue`. It moves out whole: an idle connection holds no such memory.
    tail: Vec<u8>,
    /// Bytes in `queue`: encoded ones, or payloads with one header each.
    queued: usize,
    farewell: Farewell,
    /// Messages accepted, and those of them that are not in `tail`.
    accepted: u64,
    enqueued: u64,
    messages: Messages,
    /// Bytes handed to the driver, and those that the transport took, since the beginning.
    handed: u64,
    taken: u64,
    /// Where in the stream the latest PING, and CLOSE_ACK, end.
    ping_ends: Option<u64>,
    close_ack_ends: Option<u64>,
    /// When bytes were handed out, or the transport last took some, while it has not taken all.
    waiting_since: Option<Instant>,
    /// When the transport last took any.
    last_taken: Option<Instant>,
}

/// Messages handed out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Messages {
    /// Their first frame was.
    pub(super) begun: u64,
    /// Their last frame was.
    pub(super) completed: u64,
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
            headers: MessageHeaders::new(0, false),
            copied_max: 0,
            greeting: None,
            ping: false,
            pings: 0,
            pong: None,
            announcements: Announcements::default(),
            queue: VecDeque::new(),
            tail: Vec::new(),
            queued: 0,
            farewell: Farewell::default(),
            accepted: 0,
            enqueued: 0,
            messages: Messages::default(),
            handed: 0,
            taken: 0,
            ping_ends: None,
            close_ack_ends: None,
            waiting_since: None,
            last_taken: None,
        }
    }

    /// Whether anything waits for the driver.
    pub(super) fn has_more(&self) -> bool {
        self.has_messages()
            || self.pong.is_some()
            || self.ping
            || !self.announcements.is_empty()
            || self.greeting.is_some()
            || self.farewell.close.is_some()
            || self.farewell.close_ack
    }

    /// Bytes that `tail` takes without more memory.
    #[inline]
    fn room(&self) -> usize {
        self.tail.capacity() - self.tail.len()
    }

    fn has_messages(&self) -> bool {
        !self.queue.is_empty() || !self.tail.is_empty()
    }

    /// Since when the transport has taken nothing of what it was given, if there is any left.
    pub(super) fn waiting_since(&self) -> Option<Instant> {
        self.waiting_since
    }

    pub(super) fn queued(&self) -> usize {
        self.queued + self.tail.len()
    }

    /// Bytes handed out since the beginning.
    pub(super) fn handed(&self) -> u64 {
        self.handed
    }

    /// Bytes that the transport took since the beginning.
    pub(super) fn taken_bytes(&self) -> u64 {
        self.taken
    }

    /// Bytes handed out that the transport has not taken.
    pub(super) fn untaken(&self) -> u64 {
        self.handed - self.taken
    }

    /// When the transport last took bytes.
    pub(super) fn last_taken(&self) -> Option<Instant> {
        self.last_taken
    }

    /// Messages accepted since the beginning.
    pub(super) fn accepted(&self) -> u64 {
        self.accepted
    }

    /// Messages handed out since the beginning.
    pub(super) fn messages(&self) -> Messages {
        self.messages
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
    }

    /// Takes back a PING that was not handed out.
    pub(super) fn cancel_ping(&mut self) {
        self.ping = false;
    }

    /// The REJECTs that wait, if any may still go out (PW-REJ-005).
    pub(super) fn rejects(&mut self) -> Option<&mut Rejects> {
        (!self.farewell.close_ack_handed).then_some(&mut self.announcements.rejects)
    }

    pub(super) fn drain(&mut self) {
        self.announcements.drain();
    }

    pub(super) fn busy(&mut self, pause: Duration) {
        if !self.farewell.close_handed && !self.farewell.close_ack_handed {
            self.announcements.busy(pause);
        }
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
    }

    /// Queues CLOSE, unless one went out before or none may any more.
    pub(super) fn close(&mut self, close: ClosePayload) {
        if self.farewell.close_handed || self.farewell.close_ack_handed {
            return;
        }
        self.farewell.close = Some(Box::new(close));
    }

    /// Drops CLOSE and CLOSE_ACK that were not handed out.
    pub(super) fn drop_farewell(&mut self) {
        (self.farewell.close, self.farewell.close_ack) = (None, false);
    }

    /// Drops what has no more meaning at the end. A peer that still waits for CLOSE_ACK learns what was refused.
    pub(super) fn drop_control(&mut self) {
        (self.ping, self.pong, self.greeting) = (false, None, None);
        self.announcements.drop_advice();
        if !self.farewell.close_ack {
            self.announcements.rejects.clear();
        }
    }

    pub(super) fn close_ack(&mut self) {
        self.farewell.close_ack = true;
    }

    /// The peer greeted: what it announced holds from now on.
    pub(super) fn establish(&mut self, hello: &Hello) {
        (self.frame_limit, self.message_limit) = (hello.frame_limit, hello.message_limit);
        self.checksums = hello.resync;
        self.headers = MessageHeaders::new(self.key, hello.resync);
        self.copied_max = (LARGE - 1).min(hello.frame_limit as usize);
    }

    /// Appends a small message to the batch that is being filled, if that has room. Says whether it did.
    #[inline(never)]
    pub(super) fn append(&mut self, class: Class, encrypted: bool, payload: &[u8]) -> bool {
        if self.checksums {
            return self.append_checked(class, encrypted, payload);
        }
        let fits = payload.len() <= self.copied_max && HEADER_SIZE + payload.len() <= self.room();
        if fits {
            self.append_packet(class, encrypted, payload);
        }
        fits
    }

    /// The same with a trailer. Out of line, so that packets without one save no registers for it.
    #[inline(never)]
    fn append_checked(&mut self, class: Class, encrypted: bool, payload: &[u8]) -> bool {
        let size = HEADER_SIZE + payload.len() + TRAILER_SIZE;
        let fits = payload.len() <= self.copied_max && size <= self.room();
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

    /// Queues a message that was judged before.
    pub(super) fn message(&mut self, message: Message<'_>) {
        let Message { class, encrypted, payload } = message;
        if payload.len() > self.copied_max {
            return self.large(class, encrypted, payload.into_bytes());
        }
        self.make_room(HEADER_SIZE + payload.len() + TRAILER_SIZE);
        self.append(class, encrypted, &payload);
    }

    fn large(&mut self, class: Class, encrypted: bool, payload: Bytes) {
        self.push_tail();
        self.accepted += 1;
        self.enqueued += 1;
        self.queued += HEADER_SIZE + payload.len();
        self.queue.push_back(Entry::Large { class, encrypted, payload, sent: 0 });
    }

    /// Makes room for a packet in `tail`: for itself alone if nothing is there, as most are sent alone; then for a few more;
    /// then for a whole batch.
    ///
    /// One buffer that doubles copies every byte twice on its way to 64 KiB, and again where it is joined to others: half
    /// the time of sending packets of 1 KiB.
    fn make_room(&mut self, size: usize) {
        if size <= self.room() {
            return;
        }
        let joined = self.tail.len() + size;
        if self.tail.is_empty() {
            self.tail = Vec::with_capacity(size);
        } else if joined <= LARGE {
            self.tail.reserve_exact(LARGE - self.tail.len());
        } else {
            self.push_tail();
            self.tail = Vec::with_capacity(BATCH);
        }
    }

    fn push_tail(&mut self) {
        if let Some(batch) = self.take_tail() {
            self.queue.push_back(batch);
        }
    }

    /// Takes what waits longest.
    fn pop_entry(&mut self) -> Option<Entry> {
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
    pub(super) fn take_unsent(&mut self) -> Vec<Message<'static>> {
        let mut unsent = Vec::new();
        while let Some(entry) = self.pop_entry() {
            match entry {
                Entry::Large { class, encrypted, payload, .. } => {
                    unsent.push(Message { class, encrypted, payload: Payload::Owned(payload) });
                }
                Entry::Batch(batch) => batch.unpack(self.key, &mut unsent),
            }
        }
        self.queued = 0;
        unsent
    }

    /// Fills the batch with whole packets until it holds `max` bytes or nothing more may go out.
    pub(super) fn poll(&mut self, now: Instant, max: usize, received: u64, out: &mut Transmit) -> Handed {
        out.clear();
        let mut handed = Handed { any: false, close: false };
        if !self.has_more() {
            return handed;
        }
        self.poll_control(received, out);
        while out.len() < max
            && let Some(entry) = self.pop_entry()
        {
            self.poll_entry(entry, out);
        }
        if !self.has_messages() {
            handed.close = self.poll_farewell(received, out);
        }
        handed.any = !out.is_empty();
        if handed.any {
            self.handed += out.len() as u64;
            self.waiting_since.get_or_insert(now);
        }
        handed
    }

    fn poll_control(&mut self, received: u64, out: &mut Transmit) {
        if let Some(greeting) = self.greeting.take() {
            let (kind, hello) = *greeting;
            let mut payload = Vec::new();
            hello.encode(&mut payload);
            self.poll_payload(kind, &payload, out);
        }
        while let Some((kind, payload)) = self.announcements.next(received) {
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
            Entry::Batch(Batch { packets, messages }) => {
                self.queued -= packets.len();
                self.messages.begun += messages;
                self.messages.completed += messages;
                out.batch(packets);
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
        if bytes > 0 {
            self.last_taken = Some(now);
        }
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
