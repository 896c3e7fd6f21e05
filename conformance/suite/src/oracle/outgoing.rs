//! What waits to be sent, and in which order it goes (PW-HB-015, PW-REJ-005, PW-CLS-003).

mod messages;
mod wire;

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::limit::Moment;
use super::link::Transport;
use super::messages::Refusal;
use super::{Behaviour, Bug};
use crate::codec::registry::kind;
use crate::codec::{Hello, Packet};
use crate::peer::Message;
pub(super) use messages::MessageQueue;
use wire::Wire;

/// Bytes written before the next read, about.
const FLUSH_MAX: usize = 128 << 10;
/// REJECT that may wait (PW-REJ-006).
const REJECTS_MAX: usize = 16;

/// The sending side of a connection.
pub(super) struct Outgoing {
    behaviour: Arc<Behaviour>,
    /// What the peer announced; nothing but first packets goes out without it.
    peer: Option<Hello>,
    wire: Wire,
    /// First packets, and the key of each.
    first: VecDeque<(Packet, u32)>,
    fault: Option<Packet>,
    pongs: VecDeque<u64>,
    ping: Option<u64>,
    /// Before that time none is handed out (PW-HB-026).
    ping_allowed_at: Instant,
    /// This side pauses. Only a bug looks at it.
    pauses: bool,
    /// At most a BUSY of 0 and one behind it.
    busy: VecDeque<u32>,
    drain: VecDeque<u64>,
    rejects: VecDeque<Refusal>,
    /// REJECT that were ever queued. Only a bug looks at it.
    rejected: usize,
    messages: MessageQueue,
    last: VecDeque<Packet>,
    close_sent: bool,
    close_ack_sent: bool,
    /// Nothing more goes out but what is on the wire.
    over: bool,
}

/// What a flush did.
#[derive(Default)]
pub(super) struct Flushed {
    /// Bytes that the transport took.
    pub(super) bytes: usize,
    /// Whether some of them were of CLOSE.
    pub(super) close_bytes: bool,
    /// The number of a PING that was handed out.
    pub(super) asked: Option<u64>,
    /// Whether the transport took the last byte of a PING.
    pub(super) ping: bool,
    /// Whether a frame of a message was handed out.
    pub(super) message: bool,
    /// Whether CLOSE was handed out.
    pub(super) close: bool,
}

impl Outgoing {
    pub(super) fn new(behaviour: Arc<Behaviour>, now: Instant) -> Self {
        Self {
            peer: None,
            wire: Wire::new(Arc::clone(&behaviour), now),
            first: VecDeque::new(),
            fault: None,
            pongs: VecDeque::new(),
            ping: None,
            ping_allowed_at: now,
            pauses: false,
            busy: VecDeque::new(),
            drain: VecDeque::new(),
            rejects: VecDeque::new(),
            rejected: 0,
            messages: MessageQueue::new(Arc::clone(&behaviour)),
            last: VecDeque::new(),
            close_sent: false,
            close_ack_sent: false,
            over: false,
            behaviour,
        }
    }

    /// The handshake told what the peer takes.
    pub(super) fn set_peer(&mut self, peer: Hello) {
        self.behaviour.frame_limit_of_last_peer.store(peer.frame_limit, Ordering::Relaxed);
        self.peer = Some(peer);
    }

    /// The first packet of this side, which has key 0.
    pub(super) fn push_first(&mut self, packet: Packet) {
        self.first.push_back((packet, 0));
    }

    /// The CLOSE of a client that gives up because of what HELLO_ACK says, with the key that it read there (PW-HS-018).
    pub(super) fn push_refusal(&mut self, close: Packet, key: u32) {
        self.first.push_back((close, key));
    }

    /// At most one PONG waits (PW-HB-008).
    pub(super) fn push_pong(&mut self, number: u64) {
        if !self.behaviour.has(Bug::QueuesPongs) {
            self.pongs.clear();
        }
        self.pongs.push_back(number);
    }

    pub(super) fn push_ping(&mut self, number: u64) {
        self.ping = Some(number);
    }

    /// The peer pauses, or showed that it lives, or this side pauses: a PING that was not handed out is withdrawn (PW-HB-004,
    /// PW-HB-020, PW-HB-023).
    pub(super) fn cancel_ping(&mut self) {
        self.ping = None;
    }

    /// A later BUSY replaces one that waits, but not a BUSY of 0: behind that it queues, unless it is 0 itself (PW-HB-019).
    pub(super) fn push_busy(&mut self, pause: u32) {
        self.pauses = pause > 0;
        self.busy.pop_back_if(|last| *last > 0);
        if pause > 0 || self.busy.is_empty() {
            self.busy.push_back(pause);
        }
    }

    pub(super) fn push_drain(&mut self, received: u64) {
        self.drain.push_back(received);
    }

    /// Queues REJECT; `false` if there is no room (PW-REJ-006).
    pub(super) fn push_reject(&mut self, refusal: Refusal) -> bool {
        self.rejected += 1;
        let counted = if self.behaviour.has(Bug::RejectsAddUp) { self.rejected - 1 } else { self.rejects.len() };
        let full = counted >= REJECTS_MAX && !self.behaviour.has(Bug::QueuesAnyRejects);
        if !full && !self.behaviour.has(Bug::RefusesSilently) {
            self.rejects.push_back(refusal);
        }
        !full
    }

    /// Queues a message, unless it is above the peer's limit.
    pub(super) fn push_message(&mut self, message: Message) {
        let fits = self.peer.as_ref().is_some_and(|peer| message.payload.len() <= peer.message_limit as usize);
        if !fits && !self.behaviour.has(Bug::IgnoresPeerLimits) {
            return;
        }
        self.messages.push(message);
    }

    /// Queues a CLOSE or CLOSE_ACK behind every message.
    pub(super) fn push_last(&mut self, packet: Packet) {
        self.last.push_back(packet);
    }

    /// A fault: this CLOSE overtakes everything but REJECT, and nothing follows it. Behind a CLOSE or CLOSE_ACK none is sent.
    pub(super) fn fail(&mut self, close: Packet) {
        let silent = self.close_sent && !self.behaviour.has(Bug::ClosesTwice);
        if self.over || silent {
            self.over = true;
        } else if self.behaviour.has(Bug::FaultWaitsInLine) {
            self.last.push_back(close);
        } else {
            self.fault = Some(close);
        }
    }

    /// Nothing more goes out but what is on the wire: HELLO_ACK neither, where that still waits.
    pub(super) fn finish(&mut self) {
        if !self.behaviour.has(Bug::FlushesAfterFault) {
            self.over = true;
            self.first.clear();
        }
    }

    /// Forgets the messages of which no byte was handed out.
    pub(super) fn take_messages(&mut self) -> Vec<Message> {
        self.messages.take_all()
    }

    pub(super) fn has_messages(&self) -> bool {
        !self.messages.is_empty()
    }

    /// What was sent of messages.
    pub(super) fn messages(&self) -> &MessageQueue {
        &self.messages
    }

    /// Whether CLOSE_ACK was handed out, behind which nothing goes.
    pub(super) fn close_ack_sent(&self) -> bool {
        self.close_ack_sent
    }

    pub(super) fn is_empty(&self) -> bool {
        let control = self.pongs.is_empty() && self.ping.is_none() && self.busy.is_empty() && self.drain.is_empty();
        let waits = !control || !self.rejects.is_empty() || self.has_messages() || !self.last.is_empty();
        self.wire.is_taken() && self.first.is_empty() && (self.over || self.fault.is_none() && !waits)
    }

    /// Whether the time of what was handed out has passed.
    pub(super) fn is_overdue(&self, moment: Moment) -> bool {
        self.wire.is_overdue(moment)
    }

    /// Whether what was handed out goes away too slowly (PW-CLS-015).
    pub(super) fn is_stalled(&mut self, interval: Duration, moment: Moment) -> bool {
        self.wire.is_stalled(interval, moment)
    }

    /// The connection is over: its last packets have their whole time (PW-CLS-015).
    pub(super) fn begin_anew(&mut self, moment: Moment) {
        self.wire.begin_anew(moment);
    }

    /// Writes as much as the transport takes, up to a limit: a transport that takes everything must not keep this side from
    /// reading the PING that is to be answered ahead of it (PW-HB-015).
    pub(super) fn flush(&mut self, link: &mut dyn Transport, moment: Moment) -> Flushed {
        let mut flushed = Flushed::default();
        while flushed.bytes < FLUSH_MAX {
            if self.wire.is_taken() {
                let Some((packet, key)) = self.next_packet(moment.now) else {
                    return flushed;
                };
                flushed.message |= packet.kind == kind::DATA;
                flushed.close |= packet.kind == kind::CLOSE;
                if packet.kind == kind::PING {
                    flushed.asked = Some(packet.number());
                }
                self.wire.hand_out(&packet, key, moment);
            }
            let count = link.write(self.wire.rest());
            if count == 0 {
                return flushed;
            }
            self.wire.take(count, moment);
            flushed.bytes += count;
            flushed.close_bytes |= self.wire.kind() == kind::CLOSE;
            flushed.ping |= self.wire.is_taken() && self.wire.kind() == kind::PING;
        }
        flushed
    }

    /// The sync key that the peer announced; 0 before.
    pub(super) fn peer_key(&self) -> u32 {
        match &self.peer {
            Some(peer) if !self.behaviour.has(Bug::WrongCheckKey) => peer.sync_key,
            Some(_) | None => 0,
        }
    }

    /// The next packet and its key.
    fn next_packet(&mut self, now: Instant) -> Option<(Packet, u32)> {
        let key = self.peer_key();
        if let Some(first) = self.first.pop_front() {
            return Some(first);
        }
        if self.over {
            return None;
        }
        let packet = self.next_control(now).or_else(|| self.next_frame()).or_else(|| self.last.pop_front())?;
        self.close_sent |= packet.kind == kind::CLOSE;
        self.close_ack_sent |= packet.kind == kind::CLOSE_ACK;
        self.over |= self.close_ack_sent;
        Some((packet, key))
    }

    /// The next packet that goes ahead of messages.
    fn next_control(&mut self, now: Instant) -> Option<Packet> {
        let has_messages = self.has_messages();
        let waits = |bug| self.behaviour.has(bug) && has_messages;
        let silent = self.close_sent && self.behaviour.has(Bug::NoRejectBehindClose);
        if !waits(Bug::RejectWaitsInLine)
            && !silent
            && let Some(Refusal { class, ordinal, reason }) = self.rejects.pop_front()
        {
            return Some(Packet::reject(class, ordinal, reason));
        }
        if let Some(close) = self.fault.take() {
            self.over = !self.behaviour.has(Bug::ActsAfterFault);
            return Some(close);
        }
        if !waits(Bug::PongWaitsInLine)
            && let Some(number) = self.pongs.pop_front()
        {
            return Some(Packet::pong(number));
        }
        let ping_may_go = now >= self.ping_allowed_at && !waits(Bug::PingWaitsInLine);
        if let Some(number) = self.ping.take_if(|_| ping_may_go) {
            self.ping_allowed_at = now + self.ping_floor();
            return Some(Packet::ping(number));
        }
        if !waits(Bug::BusyWaitsInLine)
            && let Some(pause) = self.busy.pop_front()
        {
            return Some(Packet::busy(pause));
        }
        if !waits(Bug::DrainWaitsInLine)
            && let Some(received) = self.drain.pop_front()
        {
            return Some(Packet::drain(received));
        }
        if self.behaviour.has(Bug::CloseOvertakes) { self.last.pop_front() } else { None }
    }

    fn next_frame(&mut self) -> Option<Packet> {
        if self.pauses && self.behaviour.has(Bug::WritesNothingWhilePausing) {
            return None;
        }
        self.messages.next_frame(self.peer.as_ref()?)
    }

    /// Between two PINGs lies the PING_FLOOR of the peer at the least (PW-HB-026).
    fn ping_floor(&self) -> Duration {
        let floor = self.peer.as_ref().map_or(0, |peer| peer.ping_floor);
        let ignored = self.behaviour.has(Bug::IgnoresPingFloor) || self.behaviour.has(Bug::JittersBelowFloor);
        if ignored { Duration::ZERO } else { Duration::from_millis(floor.into()) }
    }
}
