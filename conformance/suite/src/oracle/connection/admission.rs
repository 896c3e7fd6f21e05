//! The first packet of the peer, and whether the application lets a client in.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::super::Bug;
use super::super::fault::Fault;
use super::super::heartbeat::Heartbeat;
use super::super::table::Judgement;
use super::{Connection, FAREWELL, Phase};
use crate::codec::registry::{kind, reason};
use crate::codec::{Close, Hello, Packet, encode_items};
use crate::role::Role;
use crate::subject::{CloseFrame, Happening, Origin};

impl Connection {
    /// The first packet of the peer.
    pub(super) fn greet(&mut self, packet: &Packet, until: Instant, now: Instant) -> Result<(), Fault> {
        match self.role {
            Role::Server => self.take_hello(packet, until, now),
            Role::Client if packet.kind == kind::HELLO_ACK => {
                let server = self.behaviour.read_greeting(&packet.payload)?;
                self.behaviour.check_chosen_version(&server)?;
                self.open(&server, now);
                // Only now can a client say why it closes; a server has compared them before.
                self.behaviour.compare_timers(&server)
            }
            Role::Client => {
                let frame = Close::parse(&packet.payload)
                    .map_or(CloseFrame::from(reason::BAD_PACKET), |close| close.to_frame());
                let hides = self.behaviour.has(Bug::HidesRefusal);
                self.end(if hides { CloseFrame::from(frame.reason) } else { frame }, Origin::Peer);
                Ok(())
            }
        }
    }

    fn take_hello(&mut self, packet: &Packet, until: Instant, now: Instant) -> Result<(), Fault> {
        let client = self.behaviour.read_greeting(&packet.payload)?;
        self.behaviour.compare_timers(&client)?;
        let version = self.behaviour.choose_version(&client)?;
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
            self.phase = Phase::Judging { until, client: Box::new(client), version };
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
                self.admit(&client, version, now);
            }
            Judgement::Refuse(frame) => {
                let bare = self.behaviour.has(Bug::LosesRefusalText);
                let close = Close::from_frame(&if bare { frame.reason.into() } else { frame.clone() }, 0);
                self.outgoing.push_first(close.to_packet());
                self.ending = Some((frame, Origin::Local));
                self.phase = Phase::Failing { until: now + FAREWELL };
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
