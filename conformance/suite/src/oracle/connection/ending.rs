//! How a connection of the oracle ends: faults, deadlines, the end of the stream.

use std::time::{Duration, Instant};

use super::super::Bug;
use super::super::fault::Fault;
use super::super::heartbeat::{Action, Heartbeat};
use super::super::limit::Limit;
use super::{Connection, Phase};
use crate::codec::registry::{kind, reason};
use crate::codec::{Close, Packet, encode_items};
use crate::role::Role;
use crate::subject::{CloseFrame, Happening, Origin};

impl Connection {
    /// Closes for a fault of the peer.
    pub(super) fn fail(&mut self, fault: Fault, now: Instant) {
        let wrong = self.behaviour.has(Bug::NamesWrongReason);
        let fault = if wrong { Fault::new(reason::BAD_PACKET) } else { fault };
        self.fail_with(fault.to_close(self.assembler.received), CloseFrame::from(fault.reason), now);
    }

    /// Closes for a fault with this CLOSE; the application is told `frame`.
    pub(super) fn fail_with(&mut self, close: Close, frame: CloseFrame, now: Instant) {
        if self.behaviour.has(Bug::CutsWithoutAWord) {
            self.end(frame, Origin::Local);
            return;
        }
        if self.behaviour.has(Bug::FaultWaitsInLine) {
            self.accept_messages();
        }
        self.faults_before = self.table.count_fault();
        self.ending = Some((frame.clone(), Origin::Local));
        let close = close.to_packet();
        match (&self.phase, self.role, self.key_to_give_up) {
            (Phase::Greeting { .. }, Role::Client, Some(key)) => self.outgoing.push_refusal(close, key),
            (Phase::Greeting { .. }, Role::Client, None) if !self.behaviour.has(Bug::ScreamsBeforeHelloAck) => {
                self.linger(now);
                return;
            }
            (Phase::Greeting { .. } | Phase::Judging { .. }, _, _) => {
                if self.behaviour.has(Bug::AnswersBeforeRefusal) {
                    self.outgoing.push_first(Packet::control(kind::HELLO_ACK, encode_items(&self.greeting.to_items())));
                }
                self.outgoing.push_first(close);
            }
            (Phase::Open | Phase::Closing { .. } | Phase::Acknowledging { .. }, _, _) => self.outgoing.fail(close),
            (Phase::Failing { .. } | Phase::Lingering { .. } | Phase::Gone, _, _) => return,
        }
        if !self.behaviour.has(Bug::IdOutlivesConnection) {
            self.table.refuse_sends(self.id, frame);
        }
        self.outgoing.begin_anew(self.moment(now));
        self.phase = Phase::Failing { limit: Limit::new(now) };
    }

    /// Ends this side's direction and reads on for a while.
    pub(super) fn linger(&mut self, now: Instant) {
        self.orderly |= matches!(self.phase, Phase::Acknowledging { .. });
        if self.peer_ended || self.behaviour.has(Bug::ClosesAtOnce) {
            let (frame, origin) = self.known_ending();
            self.end(frame, origin);
            return;
        }
        self.forget_id();
        self.link.half_close();
        let limit = match self.phase {
            Phase::Closing { over: Some(limit), .. } | Phase::Failing { limit } | Phase::Lingering { limit } => limit,
            Phase::Closing { over: None, .. }
            | Phase::Greeting { .. }
            | Phase::Judging { .. }
            | Phase::Open
            | Phase::Acknowledging { .. }
            | Phase::Gone => Limit::new(now),
        };
        self.phase = Phase::Lingering { limit };
    }

    /// The transport is closed when the thread ends. Where the connection was over before, that end stays (PW-CLS-011).
    pub(super) fn end(&mut self, frame: CloseFrame, origin: Origin) {
        if !self.phase.is_over() {
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
            // The last packets go out all the same (PW-CLS-012).
            Phase::Failing { .. } | Phase::Closing { over: Some(_), .. } => {}
            // Its own CLOSE was not handed out: that of the peer gives the reason, if it came (PW-CLS-011).
            Phase::Closing { sent: None, .. } if self.peer_said.is_some() => {
                let of_peer = self.peer_said.clone().filter(|_| !self.behaviour.has(Bug::ReportsWaitingClose));
                let (frame, origin) = of_peer.map_or_else(|| self.known_ending(), |frame| (frame, Origin::Peer));
                self.cut_short(frame, origin);
            }
            Phase::Greeting { .. } | Phase::Judging { .. } | Phase::Open | Phase::Closing { sent: None, .. } => {
                let orderly = self.behaviour.has(Bug::ReportsEndAsOrderly);
                let (code, origin) =
                    if orderly { (reason::NORMAL, Origin::Peer) } else { (reason::PEER_ENDED, Origin::Transport) };
                self.cut_short(CloseFrame::from(code), origin);
            }
            Phase::Acknowledging { .. } | Phase::Closing { sent: Some(_), .. } => {
                let (frame, origin) = self.known_ending();
                self.cut_short(frame, origin);
            }
            Phase::Lingering { .. } | Phase::Gone => {
                let (frame, origin) = self.known_ending();
                self.end(frame, origin);
            }
        }
    }

    /// The stream ended before the connection was over: what is on the wire goes out, and nothing else (PW-CLS-011, PW-CLS-012).
    fn cut_short(&mut self, frame: CloseFrame, origin: Origin) {
        if !self.behaviour.has(Bug::IdOutlivesConnection) {
            self.table.refuse_sends(self.id, frame.clone());
        }
        self.ending = Some((frame, origin));
        self.outgoing.finish();
        self.outgoing.begin_anew(self.moment(self.latest));
        self.phase = Phase::Failing { limit: Limit::new(self.latest) };
    }

    /// Does what is due.
    pub(in super::super) fn check_deadlines(&mut self, now: Instant) {
        let now = self.no_earlier(now);
        let [close_waits, linger_waits] =
            [Bug::FloodDefersCloseTimeout, Bug::FloodDefersLinger].map(|bug| self.waits_for_quiet(bug));
        let (interval, bug) = (self.interval(), |bug| self.behaviour.has(bug));
        let profile = &self.behaviour.profile;
        match &mut self.phase {
            Phase::Greeting { limit } => {
                if limit.is_up(profile.handshake_timeout, interval, now) && !bug(Bug::NoHandshakeTimeout) {
                    self.fail(Fault::new(reason::HANDSHAKE_TIMEOUT), now);
                }
            }
            Phase::Judging { limit, .. } => {
                if limit.is_up(profile.handshake_timeout, interval, now) && !bug(Bug::JudgesForEver) {
                    self.fail(Fault::new(reason::HANDSHAKE_TIMEOUT), now);
                }
            }
            Phase::Closing { over: Some(limit), .. } | Phase::Failing { limit } | Phase::Lingering { limit } => {
                let more = match () {
                    // It needs the time to go on sending.
                    () if bug(Bug::FlushesAfterFault) => 10,
                    () if bug(Bug::LingerBeginsTwice) => 2,
                    () => 1,
                };
                if limit.is_up(profile.linger * more, interval, now) && !linger_waits {
                    let (frame, origin) = self.known_ending();
                    self.end(frame, origin);
                }
            }
            Phase::Closing { sent: Some(limit), over: None, .. } => {
                if limit.is_up(profile.close_timeout, interval, now) && !bug(Bug::NoCloseTimeout) && !close_waits {
                    self.fail(Fault::new(reason::CLOSE_TIMEOUT), now);
                }
            }
            Phase::Acknowledging { since, .. } if bug(Bug::LingersWhileItAnswers) => {
                if now >= *since + profile.linger {
                    let (frame, origin) = self.known_ending();
                    self.end(frame, origin);
                }
            }
            Phase::Closing { sent: None, over: None, .. } | Phase::Open | Phase::Acknowledging { .. } | Phase::Gone => {
            }
        }
        if self.judges_silence() && (!self.is_pausing() || self.behaviour.has(Bug::JudgesWhilePausing)) {
            self.tick(now);
        }
        self.report_suspicion();
        self.check_stalls(now);
    }

    /// The heartbeat goes on while the connection closes, until CLOSE_ACK is sent, behind which no PING goes (PW-CLS-001).
    fn judges_silence(&self) -> bool {
        let asks = !self.outgoing.close_ack_sent() || self.behaviour.has(Bug::JudgesBothClosing);
        match self.phase {
            Phase::Open => true,
            Phase::Acknowledging { .. } => asks,
            Phase::Closing { .. } => asks && !self.behaviour.has(Bug::QuietAfterClose),
            Phase::Greeting { .. }
            | Phase::Judging { .. }
            | Phase::Failing { .. }
            | Phase::Lingering { .. }
            | Phase::Gone => false,
        }
    }

    fn check_stalls(&mut self, now: Instant) {
        let (interval, moment) = (self.interval(), self.moment(now));
        let established =
            matches!(self.phase, Phase::Open | Phase::Closing { over: None, .. } | Phase::Acknowledging { .. });
        let pauses = self.is_pausing();
        let judges_packet = established && (!pauses || self.behaviour.has(Bug::StallsWhilePausing));
        let judges_message = established && (!pauses || self.behaviour.has(Bug::OwnPauseRunsMessageTime));
        if judges_packet && self.framer.is_stalled(interval, now) {
            self.fail(Fault::new(reason::FRAME_STALL), now);
        } else if judges_message && self.assembler.is_stalled(interval, moment) {
            self.fail(Fault::new(reason::MESSAGE_STALL), now);
        }
        self.check_writing(interval, now);
    }

    /// Tries to write before it judges that what waits goes away too slowly: the peer may have made room meanwhile (PW-TCP-001).
    pub(super) fn last_try(&mut self, now: Instant) {
        let gone = matches!(self.phase, Phase::Gone);
        if !gone && self.outgoing.is_overdue(self.moment(now)) && !self.behaviour.has(Bug::JudgesBeforeItWrites) {
            self.send(now);
        }
    }

    /// What was handed out may go away too slowly, also when the connection is over and its last packets go out (PW-CLS-015).
    fn check_writing(&mut self, interval: Duration, now: Instant) {
        let over = self.phase.is_over();
        if over && self.behaviour.has(Bug::LastPacketsTakeAnyTime)
            || self.waits_for_quiet(Bug::FloodDefersWriteStall)
            || !self.outgoing.is_stalled(interval, self.moment(now))
        {
            return;
        }
        if over {
            let (frame, origin) = self.known_ending();
            self.end(frame, origin);
        } else {
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
