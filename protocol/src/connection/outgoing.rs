//! Out: the queues behind the batches.

mod claims;
mod control;
mod encoding;
mod lane;
mod lanes;
mod progress;

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::num::NonZeroU64;
use core::time::Duration;

use control::{Control, Farewell};
use encoding::Encoding;
use lanes::Lanes;
pub(super) use lanes::Messages;
pub(super) use progress::Progress;

use super::batch::encode;
use super::prepared::PreparedMessage;
use super::rejects::Rejects as WaitingRejects;
use super::transmit::Transmit;
use crate::message::Message;
use crate::time::MaybeInstant;
use crate::wire::{Class, ClosePayload, Flags, Header, Hello, Kind};

/// What goes out: control packets ahead, messages by class, CLOSE and CLOSE_ACK last.
pub(super) struct Outgoing {
    pub(super) encoding: Encoding,
    control: Option<Box<Control>>,
    lanes: Lanes,
    /// The number of the latest PING handed out; they count from 1.
    pings: u64,
    /// The number of the PONG that waits.
    pong: Option<NonZeroU64>,
    /// Where in the stream the latest PING ends, until it is acknowledged.
    ping_ends: Option<NonZeroU64>,
    /// Bytes handed to the driver, and those that the transport took, since the beginning.
    handed: u64,
    taken: u64,
    /// Bytes that the peer's host acknowledged, if the transport tells; else what is taken counts.
    acknowledged: u64,
    is_told: bool,
    /// A PING waits. It gets its number when it is handed out, so that every number up to `pings` was.
    ping: bool,
    /// The latest PING is not on its way yet.
    ping_departs: bool,
    /// When the transport last took any.
    last_taken: MaybeInstant,
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

impl Outgoing {
    pub(super) fn new() -> Self {
        Self {
            encoding: Encoding::new(),
            control: None,
            lanes: Lanes::default(),
            pings: 0,
            pong: None,
            ping_ends: None,
            handed: 0,
            taken: 0,
            acknowledged: 0,
            is_told: false,
            ping: false,
            ping_departs: false,
            last_taken: MaybeInstant::NONE,
        }
    }

    fn control(&mut self) -> &mut Control {
        self.control.get_or_insert_default()
    }

    fn farewell(&self) -> Option<&Farewell> {
        self.control.as_ref().map(|control| &control.farewell)
    }

    /// Whether anything waits for the driver.
    pub(super) fn has_more(&self) -> bool {
        !self.lanes.is_empty()
            || self.pong.is_some()
            || self.ping
            || self.control.as_ref().is_some_and(|control| control.waits())
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

    /// Messages accepted since the beginning.
    pub(super) fn accepted(&self) -> u64 {
        self.lanes.accepted()
    }

    /// A message of this class found no room.
    pub(super) fn note_full(&mut self, class: Class) {
        self.lanes.note_full(class);
    }

    /// A class of which a message found no room, and of which so little waits now. Says so once.
    pub(super) fn drained(&mut self, low: usize) -> Option<Class> {
        self.lanes.drained(low)
    }

    /// Messages of this class that were handed out whole.
    pub(super) fn completed_of(&self, class: Class) -> u64 {
        self.lanes.completed_of(class)
    }

    /// Messages handed out since the beginning.
    pub(super) fn messages(&self) -> Messages {
        self.lanes.messages()
    }

    /// CLOSE_ACK went out: nothing may follow (PW-CLS-001).
    pub(super) fn said_everything(&self) -> bool {
        self.farewell().is_some_and(|farewell| farewell.close_ack_handed)
    }

    /// CLOSE went out, or CLOSE_ACK did.
    fn said_farewell(&self) -> bool {
        self.farewell().is_some_and(|farewell| farewell.close_handed || farewell.close_ack_handed)
    }

    pub(super) fn greet(&mut self, kind: Kind, hello: Hello) {
        self.control().greeting = Some((kind, hello));
    }

    pub(super) fn ping(&mut self) {
        if self.said_everything() {
            return;
        }
        self.ping = true;
        (self.ping_departs, self.ping_ends) = (false, None);
    }

    /// Takes back a PING that was not handed out.
    pub(super) fn cancel_ping(&mut self) {
        self.ping = false;
    }

    /// The REJECTs that wait, if any may still go out (PW-REJ-005).
    pub(super) fn rejects(&mut self) -> Option<&mut WaitingRejects> {
        (!self.said_everything()).then(|| &mut self.control().announcements.rejects)
    }

    /// Bytes of memory that waiting REJECTs hold.
    pub(super) fn rejects_buffered(&self) -> usize {
        self.control.as_ref().map_or(0, |control| control.announcements.rejects.buffered())
    }

    pub(super) fn drain(&mut self) {
        self.control().announcements.drain();
    }

    pub(super) fn busy(&mut self, pause: Duration) {
        if !self.said_farewell() {
            self.control().announcements.busy(pause);
        }
    }

    /// The number of the latest PING handed out; they count from 1.
    pub(super) fn pings(&self) -> u64 {
        self.pings
    }

    /// Queues the answer to a PING, in place of one that waits (PW-HB-008).
    pub(super) fn pong(&mut self, number: u64) {
        if !self.said_everything() {
            self.pong = NonZeroU64::new(number);
        }
    }

    /// Queues CLOSE, unless one went out before or none may any more.
    pub(super) fn close(&mut self, close: ClosePayload) {
        if !self.said_farewell() {
            self.control().farewell.close = Some(Box::new(close));
        }
    }

    /// Drops CLOSE and CLOSE_ACK that were not handed out.
    pub(super) fn drop_farewell(&mut self) {
        if let Some(Control { farewell, .. }) = self.control.as_deref_mut() {
            (farewell.close, farewell.close_ack) = (None, false);
        }
    }

    /// Drops what has no more meaning at the end. A peer that still waits for CLOSE_ACK learns what was refused.
    pub(super) fn drop_control(&mut self) {
        (self.ping, self.pong) = (false, None);
        let Some(control) = &mut self.control else { return };
        control.greeting = None;
        control.announcements.drop_advice();
        if !control.farewell.close_ack {
            control.announcements.rejects.clear();
        }
    }

    pub(super) fn close_ack(&mut self) {
        self.control().farewell.close_ack = true;
    }

    /// The peer greeted: what it announced holds from now on.
    pub(super) fn establish(&mut self, hello: &Hello, frame_sent: u32) {
        self.encoding.establish(hello, frame_sent);
    }

    /// Appends a small message to a batch that has room, and gives its number.
    #[inline]
    pub(super) fn append(&mut self, class: Class, encrypted: bool, payload: &[u8]) -> Option<NonZeroU64> {
        self.lanes.append(&self.encoding, class, encrypted, payload)
    }

    /// Queues a message that was judged before, and gives its number. `ceiling` bytes of its class may wait.
    pub(super) fn push(&mut self, message: Message<'_>, ceiling: usize) -> Option<NonZeroU64> {
        self.lanes.push(&self.encoding, message, ceiling)
    }

    /// The same for a prepared one.
    pub(super) fn push_prepared(&mut self, prepared: &PreparedMessage, ceiling: usize) -> Option<NonZeroU64> {
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
        if self.lanes.is_empty() && (out.is_empty() || out.len() < max) {
            handed.close = self.poll_farewell(received, out);
        }
        handed.any = !out.is_empty();
        self.handed += out.len() as u64;
        handed
    }

    fn poll_control(&mut self, received: u64, out: &mut Transmit) {
        if let Some(control) = self.control.take_if(|control| control.waits()) {
            self.control = self.poll_rare(control, received, out);
        }
        if let Some(number) = self.pong.take() {
            self.poll_payload(Kind::PONG, &number.get().to_be_bytes(), out);
        }
        if core::mem::take(&mut self.ping) {
            self.pings += 1;
            self.poll_payload(Kind::PING, &self.pings.to_be_bytes(), out);
            self.ping_ends = NonZeroU64::new(self.handed + out.len() as u64);
            self.ping_departs = true;
        }
    }

    /// Hands out the greeting and announcements. Gives back what goes on to matter.
    fn poll_rare(&self, mut control: Box<Control>, received: u64, out: &mut Transmit) -> Option<Box<Control>> {
        if let Some((kind, hello)) = control.greeting.take() {
            let mut payload = Vec::new();
            hello.encode(&mut payload);
            self.poll_payload(kind, &payload, out);
        }
        while let Some((kind, payload)) = control.announcements.next(received) {
            self.poll_payload(kind, &payload, out);
        }
        (!control.is_blank()).then_some(control)
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
        let Some(mut control) = self.control.take() else { return false };
        let farewell = &mut control.farewell;
        let close = farewell.close.take();
        let closes = close.is_some();
        if let Some(mut close) = close {
            close.received = received;
            let mut payload = Vec::new();
            close.encode(&mut payload);
            self.poll_payload(Kind::CLOSE, &payload, out);
            farewell.close_handed = true;
            farewell.close_ends = Some(self.handed + out.len() as u64);
        }
        if core::mem::take(&mut farewell.close_ack) {
            self.poll_payload(Kind::CLOSE_ACK, &received.to_be_bytes(), out);
            farewell.close_ack_handed = true;
            farewell.close_ack_ends = Some(self.handed + out.len() as u64);
        }
        self.control = Some(control);
        closes
    }
}
