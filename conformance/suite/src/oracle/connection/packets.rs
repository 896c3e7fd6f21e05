//! What each kind of packet does to a connection of the oracle.

use std::time::Instant;

use super::super::Bug;
use super::super::fault::Fault;
use super::super::limit::Limit;
use super::{Connection, Phase};
use crate::codec::registry::{kind, reason, reject};
use crate::codec::{Close, Packet};
use crate::peer::Message;
use crate::subject::{CloseFrame, Happening, Origin};

impl Connection {
    pub(super) fn act(&mut self, packet: Packet, now: Instant) -> Result<(), Fault> {
        if let Phase::Greeting { limit } = self.phase {
            return self.greet(&packet, limit, now);
        }
        if packet.kind != kind::DATA {
            self.assembler.control_came();
        }
        match packet.kind {
            kind::DATA => {
                if let Some(message) = self.assembler.receive(packet, self.moment(now)) {
                    self.deliver(message);
                }
                Ok(())
            }
            kind::PING => self.answer_ping(packet.number(), now),
            kind::PONG => self.take_pong(packet.number(), now),
            kind::REJECT => self.take_reject(&packet),
            kind::DRAIN => self.take_drain(packet.number()),
            kind::CLOSE => self.take_close(&packet, now),
            kind::CLOSE_ACK => self.take_close_ack(packet.number(), now),
            // BUSY has done its work on the heartbeat. Kinds of 0x80 and above are a sign of life and nothing else.
            _ => Ok(()),
        }
    }

    /// Hands a message to the application, which returns it.
    fn deliver(&mut self, message: Message) {
        #[cfg(any(test, feature = "driven"))]
        if let Some(kept) = &mut self.kept {
            kept.push(message);
            return;
        }
        let may_send = match self.phase {
            Phase::Open => true,
            Phase::Closing { .. } => self.behaviour.has(Bug::SendsAfterClose),
            Phase::Failing { .. } => self.behaviour.has(Bug::ActsAfterFault),
            Phase::Greeting { .. }
            | Phase::Judging { .. }
            | Phase::Acknowledging { .. }
            | Phase::Lingering { .. }
            | Phase::Gone => false,
        };
        if may_send {
            self.outgoing.push_message(message);
        } else if self.behaviour.has(Bug::DeafAfterClose) {
            self.assembler.received -= 1;
        }
    }

    fn answer_ping(&mut self, number: u64, now: Instant) -> Result<(), Fault> {
        if let Some(heartbeat) = &mut self.heartbeat {
            heartbeat.ping(number, now)?;
        }
        if self.behaviour.has(Bug::DeafInsideMessage) && self.assembler.is_open() {
            return Ok(());
        }
        if self.behaviour.has(Bug::PongWrongNumber) {
            self.outgoing.push_pong(number + 1);
        } else if !self.behaviour.has(Bug::NoPong) {
            self.outgoing.push_pong(number);
        }
        Ok(())
    }

    fn take_pong(&mut self, number: u64, now: Instant) -> Result<(), Fault> {
        self.heartbeat.as_mut().map_or(Ok(()), |heartbeat| heartbeat.pong(number, now))
    }

    fn take_reject(&mut self, packet: &Packet) -> Result<(), Fault> {
        let (class, ordinal, code) = packet.rejected();
        self.counts.reject(class, ordinal, self.outgoing.messages(), &self.behaviour)?;
        let known = matches!(code, reject::TOO_LARGE | reject::DAMAGED);
        if !known && self.behaviour.has(Bug::ClosesOnUnknownReject) {
            return Err(Fault::new(reason::BAD_PACKET));
        }
        if !self.behaviour.has(Bug::HidesReject) {
            let class = if self.behaviour.has(Bug::FlattensRejectedClass) { 0 } else { class };
            self.table.note(self.id, Happening::Rejected { class, ordinal, reason: code });
        }
        Ok(())
    }

    /// Nobody can have received more messages than were sent (PW-CLS-019).
    fn judge_count(&mut self, received: u64) -> Result<(), Fault> {
        self.counts.receive(received, self.outgoing.messages(), &self.behaviour)
    }

    fn take_drain(&mut self, received: u64) -> Result<(), Fault> {
        self.judge_count(received)?;
        self.peer.drained = true;
        if !self.behaviour.has(Bug::HidesDrain) {
            self.table.note(self.id, Happening::Draining { received });
        }
        if self.behaviour.has(Bug::DrainCloses) && matches!(self.phase, Phase::Open) {
            self.ending = Some((CloseFrame::from(reason::NORMAL), Origin::Local));
            self.phase = Phase::CLOSING;
        }
        Ok(())
    }

    fn take_close(&mut self, packet: &Packet, now: Instant) -> Result<(), Fault> {
        let Some(close) = Close::parse(&packet.payload) else {
            return Err(Fault::new(reason::BAD_LENGTH));
        };
        if close.to_packet() != *packet && self.behaviour.has(Bug::RejectsOddCloseItem) {
            return Err(Fault::new(reason::BAD_PACKET));
        }
        let known = !reason::name(close.reason).starts_with("reason");
        let local = !reason::is_for_the_wire(close.reason);
        let bug = |bug| self.behaviour.has(bug);
        if !known && bug(Bug::RejectsUnknownReason) || local && bug(Bug::RejectsLocalReason) {
            return Err(Fault::new(reason::BAD_PACKET));
        }
        let final_word = reason::is_fault(close.reason) && !self.behaviour.has(Bug::AcknowledgesFault);
        if !final_word {
            self.judge_count(close.received)?;
        }
        self.peer.closed = true;
        let frame = self.told(&close, packet);
        self.table.note(self.id, Happening::Closing(frame.clone()));
        self.peer_said = Some(frame.clone());
        self.assembler.peer_closes();
        match self.phase {
            _ if final_word => {
                self.table.refuse_sends(self.id, frame.clone());
                self.ending = Some((frame, Origin::Peer));
                self.outgoing.finish();
                self.outgoing.begin_anew(self.moment(now));
                self.phase = Phase::Failing { limit: Limit::new(now) };
            }
            Phase::Closing { .. } if self.behaviour.has(Bug::IgnoresCrossingClose) => {}
            Phase::Closing { .. } if self.behaviour.has(Bug::ReportsReasonOfPeer) => {
                self.ending = Some((frame, Origin::Peer));
                self.answer_crossing_close();
            }
            Phase::Closing { .. } => self.answer_crossing_close(),
            Phase::Greeting { .. }
            | Phase::Judging { .. }
            | Phase::Open
            | Phase::Acknowledging { .. }
            | Phase::Failing { .. }
            | Phase::Lingering { .. }
            | Phase::Gone => {
                self.table.refuse_sends(self.id, frame.clone());
                self.accept_messages();
                if self.behaviour.has(Bug::ForgetsWhatWaitsAtClose) {
                    self.outgoing.take_messages();
                }
                self.ending = Some((frame, Origin::Peer));
                self.phase = Phase::Acknowledging { queued: false, since: now };
            }
        }
        Ok(())
    }

    /// Both sides close. While CLOSE of this side still waits, CLOSE_ACK is queued behind it later.
    fn answer_crossing_close(&mut self) {
        if !matches!(self.phase, Phase::Closing { queued: false, .. }) {
            self.outgoing.push_last(Packet::close_ack(self.assembler.received));
        }
    }

    /// What a CLOSE says to the application; the bugs lose some of it.
    fn told(&self, close: &Close, packet: &Packet) -> CloseFrame {
        let bug = |bug| self.behaviour.has(bug);
        let mut close = close.clone();
        if bug(Bug::FirstItemCounts) {
            close.items.reverse();
        }
        if bug(Bug::ForgetsItems) && close.to_packet() != *packet {
            close.items.clear();
        }
        if bug(Bug::HidesText) {
            close.items.clear();
        }
        if bug(Bug::FlattensReasons) && reason::name(close.reason).starts_with("reason") {
            close.reason = reason::NORMAL;
        }
        close.to_frame()
    }

    fn take_close_ack(&mut self, received: u64, now: Instant) -> Result<(), Fault> {
        self.judge_count(received)?;
        self.outgoing.cancel_ping();
        if let Phase::Closing { over, .. } = &mut self.phase {
            *over = Some(Limit::new(now));
            self.orderly = true;
            self.outgoing.begin_anew(self.moment(now));
        }
        Ok(())
    }
}
