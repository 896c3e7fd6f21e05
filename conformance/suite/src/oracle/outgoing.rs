//! What waits to be sent, and in which order it goes (PW-HB-015, PW-CLS-003).

use std::collections::VecDeque;
use std::sync::Arc;

use super::link::Link;
use super::{Behaviour, Bug};
use crate::codec::registry::{flag, kind};
use crate::codec::{Hello, Packet};
use crate::peer::Message;

/// Bytes written before the next read, about.
const FLUSH_MAX: usize = 128 << 10;

/// The sending side of a connection.
pub(super) struct Outgoing {
    behaviour: Arc<Behaviour>,
    /// What the peer announced; nothing but first packets goes out without it.
    peer: Option<Hello>,
    /// The packet that is being written, and how much of it the transport took.
    wire: Vec<u8>,
    taken: usize,
    ping_on_wire: bool,
    first: VecDeque<Packet>,
    pong: Option<u64>,
    ping: Option<u64>,
    frames: VecDeque<Packet>,
    messages: VecDeque<Message>,
    last: VecDeque<Packet>,
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
}

impl Outgoing {
    pub(super) fn new(behaviour: Arc<Behaviour>) -> Self {
        Self {
            behaviour,
            peer: None,
            wire: Vec::new(),
            taken: 0,
            ping_on_wire: false,
            first: VecDeque::new(),
            pong: None,
            ping: None,
            frames: VecDeque::new(),
            messages: VecDeque::new(),
            last: VecDeque::new(),
        }
    }

    /// The handshake told what the peer takes.
    pub(super) fn set_peer(&mut self, peer: Hello) {
        self.peer = Some(peer);
    }

    /// The first packet of this side, which has key 0.
    pub(super) fn push_first(&mut self, packet: Packet) {
        self.first.push_back(packet);
    }

    /// At most one PONG waits (PW-HB-008).
    pub(super) fn push_pong(&mut self, number: u64) {
        self.pong = Some(number);
    }

    pub(super) fn push_ping(&mut self, number: u64) {
        self.ping = Some(number);
    }

    /// Queues a message, unless it is above the peer's limit.
    pub(super) fn push_message(&mut self, message: Message) {
        let fits = self.peer.as_ref().is_some_and(|peer| message.payload.len() <= peer.message_limit as usize);
        if !fits && !self.behaviour.has(Bug::IgnoresPeerLimits) {
            return;
        }
        if self.behaviour.has(Bug::DeliversOutOfOrder) {
            self.messages.push_front(message);
        } else {
            self.messages.push_back(message);
        }
    }

    /// Queues a CLOSE or CLOSE_ACK behind every message.
    pub(super) fn push_last(&mut self, packet: Packet) {
        self.last.push_back(packet);
    }

    /// Forgets the messages that no byte was sent of.
    pub(super) fn take_messages(&mut self) -> Vec<Message> {
        self.messages.drain(..).collect()
    }

    pub(super) fn has_messages(&self) -> bool {
        !self.messages.is_empty() || !self.frames.is_empty()
    }

    pub(super) fn is_empty(&self) -> bool {
        let control = self.first.is_empty() && self.pong.is_none() && self.ping.is_none() && self.last.is_empty();
        self.taken == self.wire.len() && control && !self.has_messages()
    }

    /// Writes as much as the transport takes, up to a limit: a transport that takes everything must not keep this side from
    /// reading the PING that is to be answered ahead of it (PW-HB-015).
    pub(super) fn flush(&mut self, link: &mut Link) -> Flushed {
        let mut flushed = Flushed::default();
        while flushed.bytes < FLUSH_MAX {
            if self.taken == self.wire.len() {
                flushed.ping |= std::mem::take(&mut self.ping_on_wire);
                let Some((packet, key)) = self.next_packet() else {
                    return flushed;
                };
                flushed.message |= packet.kind == kind::DATA;
                (self.wire, self.taken) = (packet.encode(key), 0);
            }
            let count = link.write(&self.wire[self.taken..]);
            if count == 0 {
                return flushed;
            }
            self.taken += count;
            flushed.bytes += count;
        }
        flushed
    }

    /// The next packet and its key.
    fn next_packet(&mut self) -> Option<(Packet, u32)> {
        let key = match &self.peer {
            Some(peer) if !self.behaviour.has(Bug::WrongCheckKey) => peer.sync_key,
            Some(_) | None => 0,
        };
        if let Some(packet) = self.first.pop_front() {
            return Some((packet, 0));
        }
        let waits = self.behaviour.has(Bug::PongWaitsInLine) && self.has_messages();
        if let Some(number) = self.pong.take_if(|_| !waits) {
            return Some((Packet::pong(number), key));
        }
        if let Some(number) = self.ping.take() {
            self.ping_on_wire = true;
            return Some((Packet::ping(number), key));
        }
        if self.behaviour.has(Bug::CloseOvertakes)
            && let Some(packet) = self.last.pop_front()
        {
            return Some((packet, key));
        }
        if self.frames.is_empty()
            && let Some(message) = self.messages.pop_front()
        {
            self.frames = self.cut(&message).into();
        }
        let packet = self.frames.pop_front().or_else(|| self.last.pop_front())?;
        Some((packet, key))
    }

    fn cut(&self, message: &Message) -> Vec<Packet> {
        let limit = self.peer.as_ref().map_or(512, |peer| peer.frame_limit as usize);
        let size = if self.behaviour.has(Bug::IgnoresPeerLimits) { 16_777_215 } else { limit };
        let mut frames = message.frames(size);
        if self.behaviour.has(Bug::OmitsChecksum) {
            frames.iter_mut().for_each(|frame| frame.flags &= !flag::CHECKSUM);
        }
        frames
    }
}
