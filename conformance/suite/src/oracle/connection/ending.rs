//! How a connection of the oracle ends: faults, deadlines, the end of the stream.

use std::time::{Duration, Instant};

use super::super::Bug;
use super::super::fault::Fault;
use super::super::heartbeat::Action;
use super::{Connection, Phase};
use crate::codec::registry::reason;
use crate::role::Role;
use crate::subject::Origin;

/// How long a side that has ended its direction reads on (PW-CLS-012), and how long a last CLOSE may take to go out.
const LINGER: Duration = Duration::from_secs(1);

impl Connection {
    /// Closes for a fault of the peer.
    pub(super) fn fail(&mut self, fault: Fault, now: Instant) {
        if self.behaviour.has(Bug::CutsWithoutAWord) {
            self.end(fault.reason, Origin::Local);
            return;
        }
        let wrong = self.behaviour.has(Bug::NamesWrongReason);
        let fault = if wrong { Fault::new(reason::BAD_PACKET) } else { fault };
        self.ending = Some((fault.reason, Origin::Local));
        let close = fault.to_close(self.assembler.received).to_packet();
        match (&self.phase, self.role) {
            (Phase::Greeting { .. }, Role::Client) if !self.behaviour.has(Bug::ScreamsBeforeHelloAck) => {
                self.end(fault.reason, Origin::Local);
                return;
            }
            (Phase::Greeting { .. }, _) => self.outgoing.push_first(close),
            (Phase::Open | Phase::Closing { .. } | Phase::Acknowledging { .. }, _) => self.outgoing.push_last(close),
            (Phase::Failing { .. } | Phase::Lingering { .. } | Phase::Gone, _) => return,
        }
        self.table.refuse_sends(self.id, fault.reason);
        self.phase = Phase::Failing { until: now + LINGER };
    }

    /// Ends this side's direction and reads on for a while.
    pub(super) fn linger(&mut self) {
        if self.peer_ended || self.behaviour.has(Bug::ClosesAtOnce) {
            let (reason, origin) = self.ending.unwrap_or((reason::ABORTED, Origin::Local));
            self.end(reason, origin);
            return;
        }
        self.forget_id();
        self.link.half_close();
        self.phase = Phase::Lingering { until: Instant::now() + LINGER };
    }

    /// The connection is over; the transport is closed when the thread ends.
    pub(super) fn end(&mut self, reason: u16, origin: Origin) {
        if !matches!(self.phase, Phase::Lingering { .. }) {
            self.ending = Some((reason, origin));
        }
        self.forget_id();
        self.phase = Phase::Gone;
    }

    /// The peer's direction of the stream has ended.
    pub(super) fn stream_ended(&mut self) {
        self.peer_ended = true;
        match self.phase {
            Phase::Acknowledging { .. } | Phase::Failing { .. } => {}
            Phase::Greeting { .. } | Phase::Open if self.behaviour.has(Bug::ReportsEndAsOrderly) => {
                self.end(reason::NORMAL, Origin::Peer);
            }
            Phase::Greeting { .. } | Phase::Open => self.end(reason::PEER_ENDED, Origin::Transport),
            Phase::Closing { .. } | Phase::Lingering { .. } | Phase::Gone => {
                let (reason, origin) = self.ending.unwrap_or((reason::PEER_ENDED, Origin::Transport));
                self.end(reason, origin);
            }
        }
    }

    /// Does what is due.
    pub(super) fn check_deadlines(&mut self, now: Instant) {
        match self.phase {
            Phase::Greeting { until } if now >= until && !self.behaviour.has(Bug::NoHandshakeTimeout) => {
                self.fail(Fault::new(reason::HANDSHAKE_TIMEOUT), now);
            }
            Phase::Closing { sent_at: Some(sent_at), .. }
                if now >= sent_at + self.behaviour.profile.close_timeout
                    && !self.behaviour.has(Bug::NoCloseTimeout) =>
            {
                self.end(reason::CLOSE_TIMEOUT, Origin::Local);
            }
            Phase::Failing { until } | Phase::Lingering { until } if now >= until => {
                let (reason, origin) = self.ending.unwrap_or((reason::ABORTED, Origin::Local));
                self.end(reason, origin);
            }
            Phase::Open => self.tick(now),
            Phase::Greeting { .. }
            | Phase::Closing { .. }
            | Phase::Acknowledging { .. }
            | Phase::Failing { .. }
            | Phase::Lingering { .. }
            | Phase::Gone => {}
        }
        let receives = matches!(self.phase, Phase::Open | Phase::Closing { .. } | Phase::Acknowledging { .. });
        if receives && self.framer.stall_deadline().is_some_and(|deadline| now >= deadline) {
            self.fail(Fault::new(reason::FRAME_STALL), now);
        }
        let stall = self.behaviour.profile.write_stall;
        if self.blocked_since.is_some_and(|since| now >= since + stall) {
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

    /// The id becomes invalid (PW-CK-005).
    fn forget_id(&mut self) {
        let (reason, origin) = self.ending.unwrap_or((reason::ABORTED, Origin::Local));
        let unsent = self.outgoing.take_messages();
        self.table.remove(self.id, reason, origin, unsent);
    }
}
