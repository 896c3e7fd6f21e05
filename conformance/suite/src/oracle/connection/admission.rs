//! The first packet of the peer, and whether the application lets a client in.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::super::Bug;
use super::super::fault::Fault;
use super::super::heartbeat::Heartbeat;
use super::super::limit::Limit;
use super::super::table::Judgement;
use super::{Connection, Phase};
use crate::codec::registry::{item, kind, reason};
use crate::codec::{Close, Hello, Packet, encode_items, parse_items};
use crate::role::Role;
use crate::subject::{CloseFrame, Happening, Origin};

impl Connection {
    /// The first packet of the peer.
    pub(super) fn greet(&mut self, packet: &Packet, limit: Limit, now: Instant) -> Result<(), Fault> {
        match self.role {
            Role::Server => self.take_hello(packet, limit, now),
            Role::Client if packet.kind == kind::HELLO_ACK => {
                // If it gives up now, this is the key to say so with (PW-HS-018).
                self.key_to_give_up = sync_key_in(&packet.payload);
                let server = self.behaviour.read_greeting(&packet.payload)?;
                self.behaviour.check_chosen_version(&server)?;
                self.behaviour.compare_timers(&server)?;
                self.open(&server, now);
                Ok(())
            }
            Role::Client => {
                let frame = Close::parse(&packet.payload)
                    .map_or(CloseFrame::from(reason::BAD_PACKET), |close| close.to_frame());
                let hides = self.behaviour.has(Bug::HidesRefusal);
                self.ending = Some((if hides { CloseFrame::from(frame.reason) } else { frame }, Origin::Peer));
                if self.behaviour.has(Bug::AnswersRefusal) {
                    self.outgoing.push_first(Packet::close_ack(0));
                    self.phase = Phase::Failing { limit: Limit::new(now) };
                } else {
                    self.linger(now);
                }
                Ok(())
            }
        }
    }

    fn take_hello(&mut self, packet: &Packet, limit: Limit, now: Instant) -> Result<(), Fault> {
        let client = self.behaviour.read_greeting(&packet.payload)?;
        if self.behaviour.has(Bug::JudgesTimersFirst) {
            self.behaviour.compare_timers(&client)?;
        }
        let version = self.behaviour.choose_version(&client)?;
        let asks_first = self.behaviour.profile.admission && self.behaviour.has(Bug::JudgesTimersLast);
        if !asks_first {
            self.behaviour.compare_timers(&client)?;
        }
        if !self.behaviour.profile.admission {
            self.admit(&client, version, now);
            return Ok(());
        }
        self.framer.first_packet_received(self.greeting.sync_key);
        self.table.judge(self.id);
        self.table.note(self.id, Happening::Admission);
        if self.behaviour.has(Bug::AnswersBeforeJudgement) {
            self.admit(&client, version, now);
        } else {
            self.phase = Phase::Judging { limit, client: Box::new(client), version };
        }
        Ok(())
    }

    /// Does what the application judged.
    pub(super) fn obey_judgement(&mut self, judgement: Judgement, now: Instant) {
        let Phase::Judging { client, version, .. } = &self.phase else {
            return;
        };
        match judgement {
            Judgement::Accept => {
                let (client, version) = (client.clone(), *version);
                // Only a bug comes here with timers that do not fit.
                if let Err(fault) = self.behaviour.compare_timers(&client) {
                    self.fail(fault, now);
                    return;
                }
                self.admit(&client, version, now);
            }
            Judgement::Refuse(frame) => {
                let bare = self.behaviour.has(Bug::LosesRefusalText);
                let close = self.say(&if bare { frame.reason.into() } else { frame.clone() }, 0);
                self.outgoing.push_first(close.to_packet());
                self.ending = Some((frame, Origin::Local));
                self.phase = Phase::Failing { limit: Limit::new(now) };
            }
        }
    }

    /// The server answers HELLO.
    fn admit(&mut self, client: &Hello, version: u8, now: Instant) {
        let answer = Hello { lowest_version: version, highest_version: version, ..self.greeting.clone() };
        self.outgoing.push_first(Packet::control(kind::HELLO_ACK, encode_items(&self.behaviour.items(&answer))));
        self.open(client, now);
    }

    /// The handshake is complete.
    pub(super) fn open(&mut self, peer: &Hello, now: Instant) {
        self.framer.first_packet_received(self.greeting.sync_key);
        let floor = Duration::from_millis(peer.ping_floor.into());
        self.heartbeat = Some(Heartbeat::new(Arc::clone(&self.behaviour), floor, now));
        self.table.establish(self.id, peer.message_limit);
        self.outgoing.set_peer(peer.clone());
        self.phase = Phase::Open;
    }
}

/// The sync key in a HELLO_ACK that may be bad otherwise, wherever it stands; none if it stands there twice.
fn sync_key_in(payload: &[u8]) -> Option<u32> {
    let (items, _) = parse_items(payload);
    let mut keys = items.iter().filter(|entry| entry.id == item::SYNC_KEY);
    let only = keys.next().filter(|_| keys.next().is_none())?;
    let key = u32::from_be_bytes(only.value.as_slice().try_into().ok()?);
    (key != 0).then_some(key)
}
