//! One connection of the oracle, from its first byte to its end.

mod admission;
#[cfg(test)]
mod conversations;
mod counts;
mod ending;
mod flooded;
mod life;
mod packets;
mod phase;
#[cfg(any(test, feature = "driven"))]
mod pipe;
#[cfg(test)]
mod vectors;
mod wishes;

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::fault::Fault;
use super::framing::{Found, Framer};
use super::heartbeat::Heartbeat;
use super::limit::Limit;
use super::link::{Received, Transport};
use super::messages::{Assembler, Refusal};
use super::outgoing::Outgoing;
use super::table::Table;
use super::{Behaviour, Bug};
use crate::clock;
use crate::codec::registry::{item, kind, reason, reject};
use crate::codec::{Close, Header, Hello, Item, Packet, TEXT_MAX, encode_items};
use crate::role::Role;
use crate::subject::{CloseFrame, Happening, Id, Origin};
use counts::Counts;
use phase::{Farewell, Phase, judge_in_phase};
#[cfg(any(test, feature = "driven"))]
pub(super) use pipe::Pipe;

/// How long the thread waits for bytes before it looks at the wishes of the application again.
const TURN: Duration = Duration::from_millis(10);
/// How long it waits while the transport does not take what it has to send.
const TURN_WHILE_BLOCKED: Duration = Duration::from_millis(1);
/// Bytes of a PING.
const PING_SIZE: u64 = 20;
/// How long one that pauses without being asked does so.
const REST: Duration = Duration::from_millis(5);
/// Bytes of a packet that it does so behind.
const MUCH: usize = 500;

/// A connection and everything that belongs to it.
pub(super) struct Connection {
    link: Box<dyn Transport>,
    role: Role,
    behaviour: Arc<Behaviour>,
    table: Arc<Table>,
    id: Id,
    greeting: Hello,
    phase: Phase,
    framer: Framer,
    assembler: Assembler,
    outgoing: Outgoing,
    heartbeat: Option<Heartbeat>,
    counts: Counts,
    /// What a client that gives up because of HELLO_ACK says so with (PW-HS-018).
    key_to_give_up: Option<u32>,
    /// The latest moment that it has seen.
    latest: Instant,
    /// How many faults there had been on all connections when this one began. Only a bug looks at it.
    faults_before: u64,
    /// The application was told that the peer is suspect.
    suspect: bool,
    /// The application is elsewhere, and this side pauses for it.
    away: bool,
    /// Since when bytes may be called rare again. Only bugs look at it.
    quiet_from: Instant,
    /// While this side pauses: when the next BUSY goes out.
    busy_due: Option<Instant>,
    /// Until then it pauses without being asked.
    rests_until: Option<Instant>,
    /// DRAIN that went out.
    drains_sent: u32,
    /// How it ends, once that is known.
    ending: Option<(CloseFrame, Origin)>,
    /// CLOSE was answered by CLOSE_ACK.
    orderly: bool,
    /// The peer's direction of the stream has ended.
    peer_ended: bool,
    peer: Farewell,
    /// What the peer's CLOSE said.
    peer_said: Option<CloseFrame>,
    /// What a test keeps in place of returning it.
    #[cfg(any(test, feature = "driven"))]
    kept: Option<Vec<crate::peer::Message>>,
}

impl Connection {
    /// `greeting` is what HELLO or HELLO_ACK says.
    pub(super) fn new(
        link: Box<dyn Transport>,
        role: Role,
        greeting: Hello,
        behaviour: Arc<Behaviour>,
        table: Arc<Table>,
        now: Instant,
    ) -> Self {
        let mut outgoing = Outgoing::new(Arc::clone(&behaviour), now);
        if role == Role::Server && behaviour.has(Bug::SpeaksFirst) {
            outgoing.push_first(Packet::ping(1));
        }
        if role == Role::Client {
            outgoing.push_first(Packet::control(kind::HELLO, encode_items(&behaviour.items(&greeting))));
            if behaviour.has(Bug::SpeaksBeforeHelloAck) {
                outgoing.push_first(Packet::ping(1));
            }
        }
        Self {
            link,
            role,
            id: table.insert(),
            greeting,
            phase: Phase::Greeting { limit: Limit::new(now) },
            framer: Framer::new(Arc::clone(&behaviour)),
            assembler: Assembler::new(Arc::clone(&behaviour)),
            outgoing,
            heartbeat: None,
            counts: Counts::default(),
            key_to_give_up: None,
            latest: now,
            faults_before: table.faults(),
            suspect: false,
            away: false,
            quiet_from: now,
            busy_due: None,
            rests_until: None,
            drains_sent: 0,
            ending: None,
            orderly: false,
            peer_ended: false,
            peer: Farewell::default(),
            peer_said: None,
            #[cfg(any(test, feature = "driven"))]
            kept: None,
            table,
            behaviour,
        }
    }

    /// Runs until the connection is over.
    pub(super) fn run(mut self) {
        let mut buffer = vec![0; 65_536];
        while !matches!(self.phase, Phase::Gone) {
            if !self.waits_for_quiet(Bug::FloodDefersApplication) {
                self.obey_application(clock::now());
            }
            if !self.waits_for_quiet(Bug::FloodDefersAnswers) && !self.waits_for_others(Bug::FloodSilencesOthers) {
                self.send(clock::now());
            }
            if self.is_pausing() && self.behaviour.has(Bug::DropsWhilePausing) {
                let _ = self.link.read(&mut buffer, TURN_WHILE_BLOCKED);
            } else if self.peer_ended || self.is_pausing() || self.waits_for_others(Bug::FloodDeafensToOthers) {
                clock::sleep(TURN_WHILE_BLOCKED);
            } else {
                self.read(&mut buffer);
            }
            self.last_try(clock::now());
            self.check_deadlines(clock::now());
        }
    }

    fn read(&mut self, buffer: &mut [u8]) {
        match self.link.read(buffer, self.patience()) {
            Received::Bytes(count) => {
                let now = clock::now();
                self.bytes_came(now);
                if self.behaviour.has(Bug::JudgesBeforeItReads) {
                    self.check_deadlines(now);
                }
                // What was asked for before these bytes came is in force.
                if !self.waits_for_quiet(Bug::FloodDefersApplication) {
                    self.obey_application(now);
                }
                self.receive(&buffer[..count], now);
            }
            Received::Nothing => {}
            Received::End => self.stream_ended(),
            Received::Reset if self.behaviour.has(Bug::ReportsResetAsEnd) => self.stream_ended(),
            Received::Reset => self.end(CloseFrame::from(reason::RESET), Origin::Transport),
        }
    }

    /// From now on messages are kept, not returned.
    #[cfg(any(test, feature = "driven"))]
    pub(super) fn keep_messages(&mut self) {
        self.kept = Some(Vec::new());
    }

    /// What was kept.
    #[cfg(any(test, feature = "driven"))]
    pub(super) fn take_kept(&mut self) -> Vec<crate::peer::Message> {
        self.kept.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// Whether all is done.
    #[cfg(any(test, feature = "driven"))]
    pub(super) fn is_gone(&self) -> bool {
        matches!(self.phase, Phase::Gone)
    }

    /// Names the connection in commands.
    #[cfg(any(test, feature = "driven"))]
    pub(super) fn id(&self) -> Id {
        self.id
    }

    fn patience(&self) -> Duration {
        if matches!(self.phase, Phase::Gone) || !self.outgoing.is_empty() {
            return TURN_WHILE_BLOCKED;
        }
        let deadline = self.heartbeat.as_ref().map(Heartbeat::deadline);
        deadline.map_or(TURN, |deadline| deadline.saturating_duration_since(clock::now()).min(TURN))
    }

    /// Sends what can be sent, and ends what is thereby done.
    pub(super) fn send(&mut self, now: Instant) {
        let now = self.no_earlier(now);
        self.queue_last_words();
        if self.behaviour.has(Bug::OneBlocksAll) && !self.table.may_send(self.id, self.outgoing.is_empty()) {
            return;
        }
        let moment = self.moment(now);
        let flushed = self.outgoing.flush(&mut *self.link, moment);
        if let Phase::Closing { sent, .. } = &mut self.phase
            && flushed.close
        {
            *sent = Some(Limit::new(now));
        }
        if flushed.bytes > 0 {
            self.phase.bytes_taken(flushed.close_bytes, now, &self.behaviour);
        }
        if let Some(heartbeat) = &mut self.heartbeat {
            if flushed.bytes > 0 {
                heartbeat.bytes_taken();
            }
            if let Some(number) = flushed.asked {
                // All in front of it was taken.
                heartbeat.ping_handed_out(number, PING_SIZE);
            }
            if flushed.ping {
                heartbeat.ping_taken(now);
            }
            if flushed.message {
                heartbeat.sent_message(now);
            }
        }
        let done = match self.phase {
            Phase::Acknowledging { queued, .. } => queued && self.outgoing.is_empty(),
            Phase::Closing { over, .. } => over.is_some() && self.outgoing.is_empty(),
            Phase::Failing { .. } => self.outgoing.is_empty(),
            Phase::Greeting { .. } | Phase::Judging { .. } | Phase::Open | Phase::Lingering { .. } | Phase::Gone => {
                false
            }
        };
        if done {
            self.linger(now);
        }
    }

    /// Queues CLOSE or CLOSE_ACK when nothing is left to go before it.
    fn queue_last_words(&mut self) {
        let received = self.assembler.received;
        let has_messages = self.outgoing.has_messages();
        if let Phase::Closing { queued: queued @ false, .. } = &mut self.phase
            && (!has_messages || self.behaviour.has(Bug::CloseOvertakes))
        {
            *queued = true;
            let frame = self.ending.as_ref().map_or(CloseFrame::from(reason::NORMAL), |(frame, _)| frame.clone());
            self.outgoing.push_last(self.say(&frame, received).to_packet());
            if self.peer.closed {
                self.outgoing.push_last(Packet::close_ack(received));
            }
        }
        if let Phase::Acknowledging { queued: queued @ false, .. } = &mut self.phase
            && !has_messages
        {
            *queued = true;
            if !self.behaviour.has(Bug::NoCloseAck) {
                self.outgoing.push_last(Packet::close_ack(received));
            }
        }
    }

    /// The CLOSE that says what the application wants (PW-CLS-021).
    fn say(&self, frame: &CloseFrame, received: u64) -> Close {
        if self.behaviour.has(Bug::LosesOwnText) {
            return Close::new(frame.reason, received);
        }
        let mut close = Close::from_frame(frame, received);
        if self.behaviour.has(Bug::CutsCharacters) && frame.text.len() > TEXT_MAX {
            close.items = vec![Item::new(item::TEXT, &frame.text.as_bytes()[..TEXT_MAX])];
        }
        close
    }

    pub(super) fn receive(&mut self, bytes: &[u8], now: Instant) {
        let now = self.no_earlier(now);
        if self.phase.is_over() {
            return;
        }
        if let Phase::Greeting { limit } = &mut self.phase
            && self.behaviour.has(Bug::HandshakeTimeRestarts)
        {
            limit.progress(now);
        }
        self.framer.push(bytes, now);
        loop {
            if self.hears_too_much() {
                self.fail(Fault::new(reason::UNEXPECTED_PACKET), now);
                return;
            }
            let result = match self.find(now) {
                Ok(None) => break,
                Ok(Some(found)) => self.take(found, now),
                Err(fault) => Err(fault),
            };
            if let Err(fault) = result {
                self.fail(fault, now);
            }
            let goes_on = self.behaviour.has(Bug::ActsAfterFault) && matches!(self.phase, Phase::Failing { .. });
            if self.phase.is_over() && !(goes_on && (result.is_ok() || self.framer.pass_over(now))) {
                return;
            }
        }
        if let Some(header) = self.framer.header_under_way() {
            self.part_came(&header, now);
        }
    }

    /// Whether bytes came from a client that has to wait (PW-HS-021).
    fn hears_too_much(&self) -> bool {
        let judging = matches!(self.phase, Phase::Judging { .. });
        judging && !self.framer.is_empty() && !self.behaviour.has(Bug::HearsWhileJudging)
    }

    fn find(&mut self, now: Instant) -> Result<Option<Found>, Fault> {
        let Self { framer, phase, role, behaviour, assembler, peer, .. } = self;
        let judge = |header: &Header| {
            judge_in_phase(phase, *role, *peer, behaviour, header.kind)?;
            if header.kind == kind::DATA { assembler.judge(header) } else { Ok(()) }
        };
        framer.next(&judge, now)
    }

    fn take(&mut self, found: Found, now: Instant) -> Result<(), Fault> {
        match found {
            Found::Verified(header) => {
                if !self.behaviour.has(Bug::HeaderIsNoEvidence) {
                    self.part_came(&header, now);
                }
                Ok(())
            }
            Found::Header(header) if header.kind == kind::DATA => {
                match self.assembler.begin(&header, self.moment(now)) {
                    Some(refusal) => self.refuse(refusal),
                    None => Ok(()),
                }
            }
            Found::Header(_) => Ok(()),
            Found::Skipped => self.assembler.skipped().map_or(Ok(()), |refusal| self.refuse(refusal)),
            Found::Dropped(header) => {
                self.part_came(&header, now);
                if header.kind != kind::DATA {
                    return Ok(());
                }
                self.assembler.dropped(&header).into_iter().try_for_each(|refusal| self.refuse(refusal))
            }
            Found::Packet(packet) if packet.kind == kind::BUSY => {
                if let Some(heartbeat) = &mut self.heartbeat
                    && !self.behaviour.has(Bug::PongOnlyIsEvidence)
                    && heartbeat.busy(Duration::from_millis(packet.pause().into()), now)
                {
                    self.outgoing.cancel_ping();
                }
                self.act(packet, now)
            }
            Found::Packet(packet) => {
                if packet.kind == kind::DATA && packet.payload.len() >= MUCH && self.behaviour.pauses {
                    self.rests_until = Some(now + REST);
                }
                self.evidence(packet.kind, now);
                self.act(packet, now)
            }
        }
    }

    /// Tells the peer, and the application if it may care (spec section 6.1).
    fn refuse(&mut self, refusal: Refusal) -> Result<(), Fault> {
        let too_large = refusal.reason == reject::TOO_LARGE;
        if !self.outgoing.push_reject(refusal) {
            return Err(Fault::new(reason::MESSAGE_TOO_LARGE));
        }
        if too_large {
            self.table.note(self.id, Happening::TooLarge);
        }
        Ok(())
    }
}
