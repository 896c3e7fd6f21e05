//! What waits to be sent, and in which order it goes (PW-HB-015, PW-REJ-005, PW-CLS-003).

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::link::Transport;
use super::messages::Refusal;
use super::{Behaviour, Bug};
use crate::codec::registry::{flag, kind};
use crate::codec::{Hello, Packet};
use crate::peer::Message;

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
    first: VecDeque<Packet>,
    fault: Option<Packet>,
    pongs: VecDeque<u64>,
    ping: Option<u64>,
    busy: Option<u32>,
    drain: VecDeque<u64>,
    rejects: VecDeque<Refusal>,
    /// REJECT that were ever queued. Only a bug looks at it.
    rejected: usize,
    frames: VecDeque<Packet>,
    messages: VecDeque<Message>,
    last: VecDeque<Packet>,
    /// Messages of which a frame was handed to the transport, and of which the last one was.
    begun: u64,
    completed: u64,
    close_sent: bool,
    /// Nothing more goes out but what is on the wire.
    over: bool,
}

/// The packet that is being written.
struct Wire {
    bytes: Vec<u8>,
    /// How many of them the transport took.
    taken: usize,
    /// When they were given to it.
    given_at: Instant,
    /// When it took some for the last time, since then.
    progress_at: Instant,
    kind: u8,
}

/// What a flush did.
#[derive(Default)]
pub(super) struct Flushed {
    /// Bytes that the transport took.
    pub(super) bytes: usize,
    /// Whether it took the last byte of a PING.
    pub(super) ping: bool,
    /// Whether it took a frame of a message.
    pub(super) message: bool,
    /// Whether CLOSE was given to it.
    pub(super) close: bool,
}

impl Outgoing {
    pub(super) fn new(behaviour: Arc<Behaviour>, now: Instant) -> Self {
        Self {
            behaviour,
            peer: None,
            wire: Wire { bytes: Vec::new(), taken: 0, given_at: now, progress_at: now, kind: kind::HELLO },
            first: VecDeque::new(),
            fault: None,
            pongs: VecDeque::new(),
            ping: None,
            busy: None,
            drain: VecDeque::new(),
            rejects: VecDeque::new(),
            rejected: 0,
            frames: VecDeque::new(),
            messages: VecDeque::new(),
            last: VecDeque::new(),
            begun: 0,
            completed: 0,
            close_sent: false,
            over: false,
        }
    }

    /// The handshake told what the peer takes.
    pub(super) fn set_peer(&mut self, peer: Hello) {
        self.behaviour.frame_limit_of_last_peer.store(peer.frame_limit, Ordering::Relaxed);
        self.peer = Some(peer);
    }

    /// The first packet of this side, which has key 0.
    pub(super) fn push_first(&mut self, packet: Packet) {
        self.first.push_back(packet);
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

    /// The peer pauses: a PING that waits is not sent (PW-HB-020).
    pub(super) fn cancel_ping(&mut self) {
        self.ping = None;
    }

    pub(super) fn push_busy(&mut self, pause: u32) {
        self.busy = Some(pause);
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
        if self.behaviour.has(Bug::DropsOldest) && self.messages.len() >= 64 {
            self.messages.pop_front();
        }
        let small = message.payload.len() < 1_000;
        if self.behaviour.has(Bug::DeliversOutOfOrder) || self.behaviour.has(Bug::SmallOvertakes) && small {
            self.messages.push_front(message);
        } else {
            self.messages.push_back(message);
        }
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

    /// Nothing more goes out but what is on the wire.
    pub(super) fn finish(&mut self) {
        self.over = !self.behaviour.has(Bug::FlushesAfterFault);
    }

    /// Forgets the messages that no byte was sent of.
    pub(super) fn take_messages(&mut self) -> Vec<Message> {
        self.messages.drain(..).collect()
    }

    pub(super) fn has_messages(&self) -> bool {
        !self.messages.is_empty() || !self.frames.is_empty()
    }

    /// Messages that were begun to be sent (PW-REJ-008).
    pub(super) fn begun(&self) -> u64 {
        self.begun
    }

    /// Messages that were sent to the last frame (PW-CLS-019).
    pub(super) fn completed(&self) -> u64 {
        self.completed
    }

    pub(super) fn is_empty(&self) -> bool {
        let control = self.pongs.is_empty() && self.ping.is_none() && self.busy.is_none() && self.drain.is_empty();
        let waits = !control || !self.rejects.is_empty() || self.has_messages() || !self.last.is_empty();
        self.wire.is_taken() && self.first.is_empty() && (self.over || self.fault.is_none() && !waits)
    }

    /// When the transport has taken too long (PW-CLS-015).
    pub(super) fn stall_deadline(&self) -> Option<Instant> {
        let waits = !self.wire.is_taken() && !self.behaviour.has(Bug::WritesForEver);
        waits.then(|| self.wire.deadline(self.behaviour.profile.write_stall, self.behaviour.profile.assembly_rate))
    }

    /// Writes as much as the transport takes, up to a limit: a transport that takes everything must not keep this side from
    /// reading the PING that is to be answered ahead of it (PW-HB-015).
    pub(super) fn flush(&mut self, link: &mut dyn Transport, now: Instant) -> Flushed {
        let mut flushed = Flushed::default();
        while flushed.bytes < FLUSH_MAX {
            if self.wire.is_taken() {
                let Some((packet, key)) = self.next_packet() else {
                    return flushed;
                };
                flushed.message |= packet.kind == kind::DATA;
                flushed.close |= packet.kind == kind::CLOSE;
                self.wire.give(&packet, key, now);
                if self.behaviour.has(Bug::PadsPackets) {
                    self.wire.bytes.push(0);
                }
            }
            let count = link.write(&self.wire.bytes[self.wire.taken..]);
            if count == 0 {
                return flushed;
            }
            self.wire.take(count, now);
            flushed.bytes += count;
            flushed.ping |= self.wire.is_taken() && self.wire.kind == kind::PING;
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
    fn next_packet(&mut self) -> Option<(Packet, u32)> {
        let key = self.peer_key();
        if let Some(packet) = self.first.pop_front() {
            return Some((packet, 0));
        }
        if self.over {
            return None;
        }
        let packet = self.next_control().or_else(|| self.next_frame()).or_else(|| self.last.pop_front())?;
        self.close_sent |= packet.kind == kind::CLOSE;
        self.over |= packet.kind == kind::CLOSE_ACK;
        Some((packet, key))
    }

    /// The next packet that goes ahead of messages.
    fn next_control(&mut self) -> Option<Packet> {
        let has_messages = self.has_messages();
        let waits = |bug| self.behaviour.has(bug) && has_messages;
        let silent = self.close_sent && self.behaviour.has(Bug::NoRejectBehindClose);
        if !waits(Bug::RejectWaitsInLine)
            && !silent
            && let Some(Refusal { ordinal, reason }) = self.rejects.pop_front()
        {
            return Some(Packet::reject(ordinal, reason));
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
        if let Some(number) = self.ping.take_if(|_| !waits(Bug::PingWaitsInLine)) {
            return Some(Packet::ping(number));
        }
        if let Some(pause) = self.busy.take_if(|_| !waits(Bug::BusyWaitsInLine)) {
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
        if self.frames.is_empty() {
            let message = self.messages.pop_front()?;
            self.frames = self.cut(&message).into();
            self.begun += 1;
        }
        let frame = self.frames.pop_front()?;
        self.completed += u64::from(self.frames.is_empty());
        Some(frame)
    }

    fn cut(&self, message: &Message) -> Vec<Packet> {
        let mut limit = self.peer.as_ref().map_or(512, |peer| peer.frame_limit as usize);
        if self.behaviour.has(Bug::LimitsOfLastPeer) {
            limit = self.behaviour.frame_limit_of_last_peer.load(Ordering::Relaxed) as usize;
        }
        let size = if self.behaviour.has(Bug::IgnoresPeerLimits) { 16_777_215 } else { limit };
        let mut frames = message.frames(size);
        let omits = |frame: &Packet| {
            let later = self.behaviour.has(Bug::OmitsLaterChecksums) && !frame.has(flag::FIRST);
            later || self.behaviour.has(Bug::OmitsChecksum)
        };
        frames.iter_mut().filter(|frame| omits(frame)).for_each(|frame| frame.flags &= !flag::CHECKSUM);
        frames
    }
}

impl Wire {
    fn give(&mut self, packet: &Packet, key: u32, now: Instant) {
        *self = Self { bytes: packet.encode(key), taken: 0, given_at: now, progress_at: now, kind: packet.kind };
    }

    fn take(&mut self, count: usize, now: Instant) {
        self.taken += count;
        self.progress_at = now;
    }

    fn is_taken(&self) -> bool {
        self.taken == self.bytes.len()
    }

    /// No byte may wait longer than `stall` for the next to be taken, nor than that and the time for all of them at `rate`.
    fn deadline(&self, stall: Duration, rate: u32) -> Instant {
        let for_all = Duration::from_millis(self.bytes.len() as u64 * 1_000 / u64::from(rate));
        (self.progress_at + stall).min(self.given_at + stall + for_all)
    }
}
