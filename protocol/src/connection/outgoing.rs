//! Out: the queue behind the batches.

mod messages;

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
use crate::message::Message;
use crate::time::Instant;
use crate::wire::{Class, ClosePayload, Flags, HEADER_SIZE, Header, Hello, Kind, MessageHeaders, TRAILER_SIZE};

/// Something that waits to be sent.
enum Entry {
    /// Small messages, encoded.
    Batch(Batch),
    /// A large message, `sent` bytes of which went out in frames.
    Large { class: Class, encrypted: bool, payload: Bytes, sent: usize },
    /// A large message whose only frame was prepared.
    Frame { message: Message<'static>, header: [u8; HEADER_SIZE], trailer: Option<[u8; TRAILER_SIZE]> },
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
    /// The peer's limits (PW-DAT-009).
    frame_limit: u32,
    pub(super) message_limit: u32,
    /// The peer resynchronises, so DATA carries checksums (PW-FRM-007).
    checksums: bool,
    /// What small messages have in common.
    headers: MessageHeaders,
    /// Smaller payloads are copied and have no trailer; 0 if all have one.
    plain_below: usize,
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
            plain_below: 0,
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

    /// The largest payload that is copied.
    fn copied_max(&self) -> usize {
        (LARGE - 1).min(self.frame_limit as usize)
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

    /// CLOSE_ACK went out: nothing may follow (PW-CLS-001).
    pub(super) fn said_everything(&self) -> bool {
        self.farewell.close_ack_handed
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

    /// Takes back a PING that was not handed out.
    pub(super) fn cancel_ping(&mut self) {
        self.ping = false;
    }

    /// The REJECTs that wait, if any may still go out (PW-REJ-005).
    pub(super) fn rejects(&mut self) -> Option<&mut Rejects> {
        (!self.farewell.close_ack_handed).then_some(&mut self.announcements.rejects)
    }

    /// Bytes of memory that waiting REJECTs hold.
    pub(super) fn rejects_buffered(&self) -> usize {
        self.announcements.rejects.buffered()
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

    /// Queues the answer to a PING, in place of one that waits (PW-HB-008).
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
        self.plain_below = if hello.resync { 0 } else { self.copied_max() + 1 };
    }

    /// Fills the batch with whole packets until it holds `max` bytes or nothing more may go out. CLOSE and CLOSE_ACK go out
    /// behind every message (PW-CLS-003).
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

    /// CLOSE and CLOSE_ACK carry how many messages were received whole by now (PW-CLS-004).
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
