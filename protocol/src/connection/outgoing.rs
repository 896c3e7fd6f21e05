//! Out: the queues behind the batches.

mod encoding;
mod lane;
mod lanes;

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::num::NonZeroU64;
use core::time::Duration;

use encoding::Encoding;
use lanes::Lanes;
pub(super) use lanes::Messages;

use super::announcements::Announcements;
use super::batch::encode;
use super::prepared::PreparedMessage;
use super::rejects::Rejects;
use super::transmit::Transmit;
use crate::error::ProtocolError;
use crate::message::Message;
use crate::time::Instant;
use crate::wire::{Class, ClosePayload, Flags, HEADER_SIZE, Header, Hello, Kind, Rejected};

/// Bytes of a PING.
const PING_SIZE: u64 = HEADER_SIZE as u64 + 8;

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

/// What goes out: control packets ahead, messages by class, CLOSE and CLOSE_ACK last.
pub(super) struct Outgoing {
    pub(super) encoding: Encoding,
    greeting: Option<Box<(Kind, Hello)>>,
    /// A PING waits. It gets its number when it is handed out, so that every number up to `pings` was.
    ping: bool,
    pings: u64,
    pong: Option<u64>,
    announcements: Announcements,
    lanes: Lanes,
    farewell: Farewell,
    /// Messages accepted.
    accepted: u64,
    /// REJECTs that came, and the count that the peer told last of what it received (PW-CLS-019).
    rejected: u64,
    received_told: u64,
    /// Bytes handed to the driver, and those that the transport took, since the beginning.
    handed: u64,
    taken: u64,
    /// Bytes that the peer's host acknowledged; `None` while the transport tells nothing, and what is taken counts.
    acknowledged: Option<u64>,
    /// Where in the stream the latest PING ends: until it is on its way, and until it is acknowledged.
    ping_departs: Option<u64>,
    ping_ends: Option<u64>,
    /// Where CLOSE_ACK ends, until it is taken.
    close_ack_ends: Option<u64>,
    /// Where CLOSE ends, until it is acknowledged.
    close_ends: Option<u64>,
    /// When the transport last took any.
    last_taken: Option<Instant>,
}

/// What [`Outgoing::poll`] handed out beside messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Handed {
    /// Something was handed out.
    pub(super) any: bool,
    /// A PING was.
    pub(super) ping: bool,
    /// CLOSE was.
    pub(super) close: bool,
}

/// How far what was handed out has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Progress {
    /// Bytes were acknowledged.
    pub(super) any: bool,
    /// The latest PING is with the transport, and all before it acknowledged.
    pub(super) ping_departed: bool,
    /// The latest PING is acknowledged.
    pub(super) ping_acknowledged: bool,
    /// Bytes up to the end of CLOSE were acknowledged.
    pub(super) close: bool,
    /// CLOSE_ACK was taken.
    pub(super) close_ack: bool,
}

impl Outgoing {
    pub(super) fn new() -> Self {
        Self {
            encoding: Encoding::new(),
            greeting: None,
            ping: false,
            pings: 0,
            pong: None,
            announcements: Announcements::default(),
            lanes: Lanes::default(),
            farewell: Farewell::default(),
            accepted: 0,
            rejected: 0,
            received_told: 0,
            handed: 0,
            taken: 0,
            acknowledged: None,
            ping_departs: None,
            ping_ends: None,
            close_ack_ends: None,
            close_ends: None,
            last_taken: None,
        }
    }

    /// Whether anything waits for the driver.
    pub(super) fn has_more(&self) -> bool {
        !self.lanes.is_empty()
            || self.pong.is_some()
            || self.ping
            || !self.announcements.is_empty()
            || self.greeting.is_some()
            || self.farewell.close.is_some()
            || self.farewell.close_ack
    }

    /// Bytes accepted and not handed out.
    pub(super) fn queued(&self) -> usize {
        self.lanes.waiting()
    }

    /// The same for one class.
    pub(super) fn queued_of(&self, class: Class) -> usize {
        self.lanes.waiting_of(class)
    }

    /// Bytes of memory that messages hold which wait.
    pub(super) fn buffered(&self) -> usize {
        self.lanes.buffered()
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

    /// Bytes acknowledged since the beginning, or taken where the transport tells no more.
    pub(super) fn acknowledged_bytes(&self) -> u64 {
        self.acknowledged.unwrap_or(self.taken)
    }

    /// Whether the transport tells what is acknowledged.
    pub(super) fn is_told(&self) -> bool {
        self.acknowledged.is_some()
    }

    /// Bytes handed out that are not acknowledged.
    pub(super) fn unacknowledged(&self) -> u64 {
        self.handed - self.acknowledged_bytes()
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
        self.lanes.messages
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
        (self.ping_departs, self.ping_ends) = (None, None);
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
    pub(super) fn establish(&mut self, hello: &Hello, frame_sent: u32) {
        self.encoding.establish(hello, frame_sent);
    }

    /// Appends a small message to a batch that has room, and gives its number.
    #[inline]
    pub(super) fn append(&mut self, class: Class, encrypted: bool, payload: &[u8]) -> Option<NonZeroU64> {
        let ordinal = self.lanes.append(&self.encoding, class, encrypted, payload);
        self.accepted += u64::from(ordinal.is_some());
        ordinal
    }

    /// Queues a message that was judged before, and gives its number. `ceiling` bytes of its class may wait.
    pub(super) fn push(&mut self, message: Message<'_>, ceiling: usize) -> Option<NonZeroU64> {
        self.accepted += 1;
        self.lanes.push(&self.encoding, message, ceiling)
    }

    /// The same for a prepared one.
    pub(super) fn push_prepared(&mut self, prepared: &PreparedMessage, ceiling: usize) -> Option<NonZeroU64> {
        self.accepted += 1;
        self.lanes.push_prepared(&self.encoding, prepared, ceiling)
    }

    /// Leaves no room for more than may still wait.
    pub(super) fn limit_room(&mut self, room: usize) {
        self.lanes.limit_room(room);
    }

    /// Takes back what was not handed out whole.
    pub(super) fn take_unsent(&mut self) -> Vec<Message<'static>> {
        self.lanes.take_unsent(self.encoding.key)
    }

    /// The peer can't have received what was not sent, nor what it refused (PW-CLS-019).
    pub(super) fn judge_count(&mut self, kind: Kind, count: u64) -> Result<(), ProtocolError> {
        let Messages { begun, completed } = self.lanes.messages;
        let sent = completed.min(begun.saturating_sub(self.rejected));
        if count > sent {
            return Err(ProtocolError::BadCount { kind, count, sent });
        }
        self.received_told = count;
        Ok(())
    }

    /// The peer can't refuse what was not sent, nor the same twice (PW-REJ-008), nor what it received (PW-CLS-019).
    pub(super) fn judge_reject(&mut self, rejected: &Rejected) -> Result<(), ProtocolError> {
        let Rejected { class, ordinal, .. } = *rejected;
        let (begun, before, last) = self.lanes.rejected(class);
        let bad = |count, sent| Err(ProtocolError::BadCount { kind: Kind::REJECT, count, sent });
        if let Some(ordinal) = ordinal.map(NonZeroU64::get) {
            if ordinal > begun {
                return bad(ordinal, begun);
            }
            if ordinal <= last {
                return Err(ProtocolError::RejectedAgain { class, ordinal, last });
            }
        }
        if before >= begun {
            return bad(before + 1, begun);
        }
        if self.received_told + self.rejected >= self.lanes.messages.begun {
            return bad(self.received_told + self.rejected + 1, self.lanes.messages.begun);
        }
        self.rejected += 1;
        self.lanes.note_rejected(class, ordinal);
        Ok(())
    }

    /// Fills the batch with whole packets until nothing more fits in `max` bytes, or may go out. CLOSE and CLOSE_ACK go out
    /// behind every message (PW-CLS-003).
    pub(super) fn poll(&mut self, max: usize, received: u64, out: &mut Transmit) -> Handed {
        let mut handed = Handed { any: false, ping: self.ping, close: false };
        if !self.has_more() {
            return handed;
        }
        out.clear();
        self.poll_control(received, out);
        self.lanes.poll(&self.encoding, max, out);
        if self.lanes.is_empty() {
            handed.close = self.poll_farewell(received, out);
        }
        handed.any = !out.is_empty();
        self.handed += out.len() as u64;
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
            self.ping_departs = self.ping_ends;
        }
    }

    /// Hands out a control packet.
    fn poll_payload(&self, kind: Kind, payload: &[u8], out: &mut Transmit) {
        // The first packet in each direction has key 0 (PW-KEY-001), though the peer's key may be known by now.
        let key = if self.handed == 0 && out.is_empty() { 0 } else { self.encoding.key };
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
            self.close_ends = Some(self.handed + out.len() as u64);
        }
        if core::mem::take(&mut self.farewell.close_ack) {
            self.poll_payload(Kind::CLOSE_ACK, &received.to_be_bytes(), out);
            self.farewell.close_ack_handed = true;
            self.close_ack_ends = Some(self.handed + out.len() as u64);
        }
        closes
    }

    /// The transport took this many bytes of what was handed out.
    pub(super) fn taken(&mut self, now: Instant, bytes: usize) -> Progress {
        let before = self.acknowledged_bytes();
        self.taken = self.taken.saturating_add(bytes as u64).min(self.handed);
        if bytes > 0 {
            self.last_taken = Some(now);
        }
        self.progress(before)
    }

    /// The peer's host has acknowledged this many bytes in all. Never fewer than before, nor more than were taken.
    pub(super) fn acknowledge(&mut self, bytes: u64) -> Progress {
        let before = self.acknowledged_bytes();
        // The first time, what was taken counted so far, and that is not taken back.
        self.acknowledged = Some(bytes.min(self.taken).max(self.acknowledged.unwrap_or(0)));
        self.progress(before)
    }

    fn progress(&mut self, before: u64) -> Progress {
        let (taken, acknowledged) = (self.taken, self.acknowledged_bytes());
        let departed = |end: &mut u64| *end <= taken && *end - PING_SIZE <= acknowledged;
        let any = acknowledged > before;
        let close = any && self.close_ends.is_some();
        self.close_ends.take_if(|end| *end <= acknowledged);
        Progress {
            any,
            close,
            ping_departed: self.ping_departs.take_if(departed).is_some(),
            ping_acknowledged: self.ping_ends.take_if(|end| *end <= acknowledged).is_some(),
            close_ack: self.close_ack_ends.take_if(|end| *end <= taken).is_some(),
        }
    }
}
