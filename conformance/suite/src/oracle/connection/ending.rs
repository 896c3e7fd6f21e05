//! How a connection of the oracle ends: faults, deadlines, the end of the stream.

use std::time::Instant;

use super::super::Bug;
use super::super::fault::Fault;
use super::super::heartbeat::{Action, Heartbeat};
use super::{Connection, FAREWELL, Phase};
use crate::codec::registry::{kind, reason};
use crate::codec::{Packet, encode_items};
use crate::role::Role;
use crate::subject::{CloseFrame, Happening, Origin};

impl Connection {
    /// Closes for a fault of the peer.
    pub(super) fn fail(&mut self, fault: Fault, now: Instant) {
        if self.behaviour.has(Bug::CutsWithoutAWord) {
            self.end(CloseFrame::from(fault.reason), Origin::Local);
            return;
        }
        if self.behaviour.has(Bug::FaultWaitsInLine) {
            self.accept_messages();
        }
        let wrong = self.behaviour.has(Bug::NamesWrongReason);
        let fault = if wrong { Fault::new(reason::BAD_PACKET) } else { fault };
        self.faults_before = self.table.count_fault();
        let frame = CloseFrame::from(fault.reason);
        self.ending = Some((frame.clone(), Origin::Local));
        let close = fault.to_close(self.assembler.received).to_packet();
        match (&self.phase, self.role) {
            (Phase::Greeting { .. }, Role::Client) if !self.behaviour.has(Bug::ScreamsBeforeHelloAck) => {
                self.linger(now);
                return;
            }
            (Phase::Greeting { .. } | Phase::Judging { .. }, _) => {
                if self.behaviour.has(Bug::AnswersBeforeRefusal) {
                    self.outgoing.push_first(Packet::control(kind::HELLO_ACK, encode_items(&self.greeting.to_items())));
                }
                self.outgoing.push_first(close);
            }
            (Phase::Open | Phase::Closing { .. } | Phase::Acknowledging { .. }, _) => self.outgoing.fail(close),
            (Phase::Failing { .. } | Phase::Lingering { .. } | Phase::Gone, _) => return,
        }
        if !self.behaviour.has(Bug::IdOutlivesConnection) {
            self.table.refuse_sends(self.id, frame);
        }
        self.phase = Phase::Failing { until: now + FAREWELL };
    }

    /// Ends this side's direction and reads on for a while.
    pub(super) fn linger(&mut self, now: Instant) {
        self.orderly = matches!(self.phase, Phase::Closing { acknowledged: true, .. } | Phase::Acknowledging { .. });
        if self.peer_ended || self.behaviour.has(Bug::ClosesAtOnce) {
            let (frame, origin) = self.known_ending();
            self.end(frame, origin);
            return;
        }
        self.forget_id();
        self.link.half_close();
        self.phase = Phase::Lingering { until: now + FAREWELL };
    }

    /// The connection is over; the transport is closed when the thread ends.
    pub(super) fn end(&mut self, frame: CloseFrame, origin: Origin) {
        if !matches!(self.phase, Phase::Lingering { .. }) {
            self.ending = Some((frame, origin));
        }
        self.forget_id();
        self.phase = Phase::Gone;
    }

    /// The peer's direction of the stream has ended.
    pub(in super::super) fn stream_ended(&mut self) {
        self.peer_ended = true;
        if self.behaviour.has(Bug::WaitsForCutPacket) && !self.framer.is_empty() {
            return;
        }
        match self.phase {
            Phase::Acknowledging { .. } | Phase::Failing { .. } => {}
            Phase::Greeting { .. } | Phase::Judging { .. } | Phase::Open => {
                let orderly = self.behaviour.has(Bug::ReportsEndAsOrderly);
                let (code, origin) =
                    if orderly { (reason::NORMAL, Origin::Peer) } else { (reason::PEER_ENDED, Origin::Transport) };
                self.end(CloseFrame::from(code), origin);
            }
            Phase::Closing { .. } | Phase::Lingering { .. } | Phase::Gone => {
                let (frame, origin) = self.known_ending();
                self.end(frame, origin);
            }
        }
    }

    /// Does what is due.
    pub(in super::super) fn check_deadlines(&mut self, now: Instant) {
        match self.phase {
            Phase::Greeting { until } if now >= until && !self.behaviour.has(Bug::NoHandshakeTimeout) => {
                self.fail(Fault::new(reason::HANDSHAKE_TIMEOUT), now);
            }
            Phase::Judging { until, .. } if now >= until && !self.behaviour.has(Bug::JudgesForEver) => {
                self.fail(Fault::new(reason::HANDSHAKE_TIMEOUT), now);
            }
            Phase::Closing { sent_at: Some(sent_at), .. }
                if now >= sent_at + self.behaviour.profile.close_timeout
                    && !self.behaviour.has(Bug::NoCloseTimeout) =>
            {
                self.end(CloseFrame::from(reason::CLOSE_TIMEOUT), Origin::Local);
            }
            Phase::Failing { until } | Phase::Lingering { until } if now >= until => {
                let (frame, origin) = self.known_ending();
                self.end(frame, origin);
            }
            Phase::Greeting { .. }
            | Phase::Judging { .. }
            | Phase::Open
            | Phase::Closing { .. }
            | Phase::Acknowledging { .. }
            | Phase::Failing { .. }
            | Phase::Lingering { .. }
            | Phase::Gone => {}
        }
        if self.judges_silence() && (!self.is_pausing() || self.behaviour.has(Bug::JudgesWhilePausing)) {
            self.tick(now);
        }
        self.report_suspicion();
        self.check_stalls(now);
    }

    /// The heartbeat goes on while the connection closes, until both CLOSE are sent and answered (PW-CLS-006).
    fn judges_silence(&self) -> bool {
        match self.phase {
            Phase::Open | Phase::Acknowledging { .. } => true,
            Phase::Closing { queued, .. } => {
                let both = queued && self.peer.closed && !self.behaviour.has(Bug::JudgesBothClosing);
                !both && !self.behaviour.has(Bug::QuietAfterClose)
            }
            Phase::Greeting { .. }
            | Phase::Judging { .. }
            | Phase::Failing { .. }
            | Phase::Lingering { .. }
            | Phase::Gone => false,
        }
    }

    fn check_stalls(&mut self, now: Instant) {
        let passed = |deadline: Option<Instant>| deadline.is_some_and(|deadline| now >= deadline);
        let established = matches!(self.phase, Phase::Open | Phase::Closing { .. } | Phase::Acknowledging { .. });
        let reads = !self.is_pausing() || self.behaviour.has(Bug::StallsWhilePausing);
        if established && reads && passed(self.framer.stall_deadline()) {
            self.fail(Fault::new(reason::FRAME_STALL), now);
        }
        let pauses = self.heartbeat.as_ref().is_some_and(Heartbeat::peer_pauses);
        let forgives = pauses && self.behaviour.has(Bug::PauseStopsWriteStall);
        if passed(self.outgoing.stall_deadline()) && !forgives {
            self.fail(Fault::new(reason::WRITE_STALL), now);
        }
    }

    fn tick(&mut self, now: Instant) {
        match self.heartbeat.as_mut().map_or(Action::Wait, |heartbeat| heartbeat.tick(now)) {
            Action::Wait => {}
            Action::Probe(number) => self.outgoing.push_ping(number),
            Action::GiveUp => self.fail(Fault::new(reason::PEER_TIMEOUT), now),
        }
    }

    /// Tells the application when its opinion of the peer changes (PW-HB-018).
    fn report_suspicion(&mut self) {
        let suspect = self.heartbeat.as_ref().is_some_and(Heartbeat::is_suspect);
        if suspect != self.suspect {
            self.suspect = suspect;
            let (what, hidden) = if suspect {
                (Happening::Suspect, Bug::NeverSuspects)
            } else {
                (Happening::Recovered, Bug::NeverRecovers)
            };
            if !self.behaviour.has(hidden) {
                self.table.note(self.id, what);
            }
        }
    }

    fn known_ending(&self) -> (CloseFrame, Origin) {
        self.ending.clone().unwrap_or((CloseFrame::from(reason::ABORTED), Origin::Local))
    }

    /// The id becomes invalid (PW-CK-005).
    fn forget_id(&mut self) {
        // What came before the end is told before it.
        self.report_suspicion();
        if self.behaviour.has(Bug::IdOutlivesConnection) {
            return;
        }
        let (frame, origin) = self.known_ending();
        let unsent = self.outgoing.take_messages();
        let orderly = self.orderly || self.behaviour.has(Bug::AlwaysOrderly);
        self.table.remove(self.id, Happening::Closed { frame, origin, orderly }, unsent);
    }
}
