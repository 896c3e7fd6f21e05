//! One connection of the oracle, from its first byte to its end.

mod ending;
#[cfg(test)]
mod vectors;

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use super::fault::Fault;
use super::framing::{Found, Framer};
use super::heartbeat::Heartbeat;
use super::link::{Link, Received};
use super::messages::Assembler;
use super::outgoing::Outgoing;
use super::table::Table;
use super::{Behaviour, Bug};
use crate::codec::registry::{kind, reason};
use crate::codec::{Close, Header, Hello, Packet, encode_items};
use crate::peer::Message;
use crate::role::Role;
use crate::subject::{Id, Origin};

/// How long the thread waits for bytes before it looks at the wishes of the application again.
const TURN: Duration = Duration::from_millis(10);
/// How long it waits while the transport does not take what it has to send.
const TURN_WHILE_BLOCKED: Duration = Duration::from_millis(1);

/// Where the connection stands.
enum Phase {
    /// The peer's first packet is awaited.
    Greeting { until: Instant },
    /// Messages go both ways.
    Open,
    /// The application closes; this side's CLOSE goes out behind the messages, and `acknowledged` when CLOSE_ACK came.
    Closing { sent_at: Option<Instant>, acknowledged: bool },
    /// The peer's CLOSE came: what was accepted goes out, then CLOSE_ACK, then nothing.
    Acknowledging { queued: bool },
    /// A fault: CLOSE goes out, and nothing that comes is acted on.
    Failing { until: Instant },
    /// This side's direction is ended; the peer's is read to its end.
    Lingering { until: Instant },
    /// Over.
    Gone,
}

/// A connection and everything that belongs to it.
pub(super) struct Connection {
    link: Link,
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
    /// Since when the transport has taken nothing although something waited.
    blocked_since: Option<Instant>,
    /// How it ends, once that is known.
    ending: Option<(u16, Origin)>,
    /// The peer's direction of the stream has ended.
    peer_ended: bool,
    /// The peer's CLOSE came.
    peer_closed: bool,
}

impl Connection {
    pub(super) fn new(link: Link, role: Role, behaviour: Arc<Behaviour>, table: Arc<Table>) -> Self {
        let greeting = behaviour.greeting();
        let mut outgoing = Outgoing::new(Arc::clone(&behaviour));
        if role == Role::Client {
            outgoing.push_first(Packet::control(kind::HELLO, encode_items(&greeting.to_items())));
        }
        Self {
            link,
            role,
            id: table.insert(),
            table,
            greeting,
            phase: Phase::Greeting { until: Instant::now() + behaviour.profile.handshake_timeout },
            framer: Framer::new(Arc::clone(&behaviour)),
            assembler: Assembler::new(Arc::clone(&behaviour)),
            outgoing,
            heartbeat: None,
            blocked_since: None,
            ending: None,
            peer_ended: false,
            peer_closed: false,
            behaviour,
        }
    }

    /// Runs until the connection is over.
    pub(super) fn run(mut self) {
        let mut buffer = vec![0; 65_536];
        while !matches!(self.phase, Phase::Gone) {
            self.obey_application();
            self.send();
            if self.peer_ended {
                thread::sleep(TURN_WHILE_BLOCKED);
            } else {
                match self.link.read(&mut buffer, self.patience()) {
                    Received::Bytes(count) => self.receive(&buffer[..count], Instant::now()),
                    Received::Nothing => {}
                    Received::End => self.stream_ended(),
                    Received::Reset => self.end(reason::RESET, Origin::Transport),
                }
            }
            self.check_deadlines(Instant::now());
        }
    }

    fn patience(&self) -> Duration {
        if matches!(self.phase, Phase::Gone) || !self.outgoing.is_empty() {
            return TURN_WHILE_BLOCKED;
        }
        let deadline = self.heartbeat.as_ref().map(Heartbeat::deadline);
        deadline.map_or(TURN, |deadline| deadline.saturating_duration_since(Instant::now()).min(TURN))
    }

    fn obey_application(&mut self) {
        if self.table.is_stopping() {
            self.end(reason::ABORTED, Origin::Local);
            return;
        }
        let open = matches!(self.phase, Phase::Open);
        let wishes = self.table.wishes(self.id, open);
        for message in wishes.messages {
            self.outgoing.push_message(message);
        }
        if let Some(reason) = wishes.close.filter(|_| open) {
            self.ending = Some((reason, Origin::Local));
            self.phase = Phase::Closing { sent_at: None, acknowledged: false };
        }
    }

    /// Sends what can be sent, and ends what is thereby done.
    fn send(&mut self) {
        let now = Instant::now();
        if let Phase::Closing { sent_at: sent_at @ None, .. } = &mut self.phase
            && (!self.outgoing.has_messages() || self.behaviour.has(Bug::CloseOvertakes))
        {
            *sent_at = Some(now);
            let reason = self.ending.map_or(reason::NORMAL, |(reason, _)| reason);
            self.outgoing.push_last(Close::new(reason, self.assembler.received).to_packet());
        }
        if let Phase::Acknowledging { queued: queued @ false } = &mut self.phase
            && !self.outgoing.has_messages()
        {
            *queued = true;
            if !self.behaviour.has(Bug::NoCloseAck) {
                self.outgoing.push_last(Packet::close_ack(self.assembler.received));
            }
        }
        let flushed = self.outgoing.flush(&mut self.link);
        if flushed.bytes > 0 || self.outgoing.is_empty() {
            self.blocked_since = None;
        }
        if !self.outgoing.is_empty() {
            self.blocked_since.get_or_insert(now);
        }
        if let Some(heartbeat) = &mut self.heartbeat {
            if flushed.bytes > 0 {
                heartbeat.bytes_taken();
            }
            if flushed.ping {
                heartbeat.ping_taken(Instant::now());
            }
            if flushed.message {
                heartbeat.sent_message(Instant::now());
            }
        }
        let done = match self.phase {
            Phase::Acknowledging { queued } => queued && self.outgoing.is_empty(),
            Phase::Closing { acknowledged, .. } => acknowledged && self.outgoing.is_empty(),
            Phase::Failing { .. } => self.outgoing.is_empty(),
            Phase::Greeting { .. } | Phase::Open | Phase::Lingering { .. } | Phase::Gone => false,
        };
        if done {
            self.linger();
        }
    }

    fn receive(&mut self, bytes: &[u8], now: Instant) {
        if matches!(self.phase, Phase::Failing { .. } | Phase::Lingering { .. } | Phase::Gone) {
            return;
        }
        self.framer.push(bytes, now);
        loop {
            let found = {
                let Self { framer, phase, role, behaviour, assembler, peer_closed, .. } = self;
                let judge = |header: &Header| {
                    judge_in_phase(phase, *role, *peer_closed, behaviour, header.kind)?;
                    if header.kind == kind::DATA { assembler.judge(header) } else { Ok(()) }
                };
                framer.next(&judge, now)
            };
            match found {
                Ok(None) => break,
                Ok(Some(Found::Gap)) => self.assembler.gap(),
                Ok(Some(Found::Packet(packet))) => {
                    // A PONG is measured before it counts as evidence.
                    if let Some(heartbeat) = self.heartbeat.as_mut().filter(|_| packet.kind != kind::PONG) {
                        heartbeat.evidence(now);
                    }
                    if let Err(fault) = self.act(packet, now) {
                        self.fail(fault, now);
                    }
                }
                Err(fault) => self.fail(fault, now),
            }
            let finished = match self.phase {
                Phase::Failing { .. } if self.behaviour.has(Bug::ActsAfterFault) => !self.framer.pass_over(now),
                Phase::Failing { .. } => true,
                Phase::Lingering { .. } | Phase::Gone => true,
                Phase::Greeting { .. } | Phase::Open | Phase::Closing { .. } | Phase::Acknowledging { .. } => false,
            };
            if finished {
                return;
            }
        }
        if let Some(heartbeat) = &mut self.heartbeat
            && self.framer.is_inside_payload()
        {
            heartbeat.evidence(now);
        }
    }

    fn act(&mut self, packet: Packet, now: Instant) -> Result<(), Fault> {
        if matches!(self.phase, Phase::Greeting { .. }) {
            return self.greet(&packet, now);
        }
        match packet.kind {
            kind::DATA => {
                if let Some(message) = self.assembler.receive(packet) {
                    self.deliver(message);
                }
                Ok(())
            }
            kind::PING => self.answer_ping(packet.number(), now),
            kind::PONG => self.take_pong(packet.number(), now),
            kind::CLOSE => self.take_close(&packet),
            kind::CLOSE_ACK => {
                if let Phase::Closing { acknowledged, .. } = &mut self.phase {
                    *acknowledged = true;
                }
                Ok(())
            }
            // Reserved kinds (section 12), and those of 0x80 and above: a sign of life and nothing else.
            _ => Ok(()),
        }
    }

    /// The first packet of the peer.
    fn greet(&mut self, packet: &Packet, now: Instant) -> Result<(), Fault> {
        let peer = match self.role {
            Role::Server => {
                let client = self.behaviour.read_greeting(&packet.payload)?;
                self.behaviour.compare_timers(&client)?;
                let version = self.behaviour.choose_version(&client)?;
                let answer = Hello { lowest_version: version, highest_version: version, ..self.greeting.clone() };
                self.outgoing.push_first(Packet::control(kind::HELLO_ACK, encode_items(&answer.to_items())));
                client
            }
            Role::Client if packet.kind == kind::HELLO_ACK => {
                let server = self.behaviour.read_greeting(&packet.payload)?;
                self.behaviour.check_chosen_version(&server)?;
                server
            }
            Role::Client => {
                let code = Close::parse(&packet.payload).map_or(reason::BAD_PACKET, |close| close.reason);
                self.end(code, Origin::Peer);
                return Ok(());
            }
        };
        self.framer.first_packet_received(self.greeting.sync_key);
        let floor = Duration::from_millis(peer.ping_floor.into());
        self.heartbeat = Some(Heartbeat::new(Arc::clone(&self.behaviour), floor, now));
        self.table.establish(self.id, peer.message_limit);
        self.outgoing.set_peer(peer.clone());
        self.phase = Phase::Open;
        // Only now can a client say why it closes; a server has compared them before.
        self.behaviour.compare_timers(&peer)
    }

    /// Hands a message to the application, which returns it.
    fn deliver(&mut self, message: Message) {
        let may_send = match self.phase {
            Phase::Open => true,
            Phase::Closing { .. } => self.behaviour.has(Bug::SendsAfterClose),
            Phase::Failing { .. } => self.behaviour.has(Bug::ActsAfterFault),
            Phase::Greeting { .. } | Phase::Acknowledging { .. } | Phase::Lingering { .. } | Phase::Gone => false,
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
        if self.behaviour.has(Bug::PongWrongNumber) {
            self.outgoing.push_pong(number + 1);
        } else if !self.behaviour.has(Bug::NoPong) {
            self.outgoing.push_pong(number);
        }
        Ok(())
    }

    fn take_pong(&mut self, number: u64, now: Instant) -> Result<(), Fault> {
        let Some(heartbeat) = &mut self.heartbeat else {
            return Ok(());
        };
        heartbeat.pong(number, now)?;
        if !self.behaviour.has(Bug::PongsAreNoEvidence) {
            heartbeat.evidence(now);
        }
        Ok(())
    }

    fn take_close(&mut self, packet: &Packet) -> Result<(), Fault> {
        let Some(close) = Close::parse(&packet.payload) else {
            return Err(Fault::new(reason::BAD_LENGTH));
        };
        if close.to_packet() != *packet && self.behaviour.has(Bug::RejectsOddCloseItem) {
            return Err(Fault::new(reason::BAD_PACKET));
        }
        let known = !reason::name(close.reason).starts_with("reason");
        if !known && self.behaviour.has(Bug::RejectsUnknownReason) {
            return Err(Fault::new(reason::BAD_PACKET));
        }
        self.peer_closed = true;
        match self.phase {
            Phase::Closing { .. } if self.behaviour.has(Bug::IgnoresCrossingClose) => {}
            Phase::Closing { .. } => self.outgoing.push_last(Packet::close_ack(self.assembler.received)),
            _ => {
                self.table.refuse_sends(self.id, close.reason);
                for message in self.table.wishes(self.id, true).messages {
                    self.outgoing.push_message(message);
                }
                self.ending = Some((close.reason, Origin::Peer));
                self.phase = Phase::Acknowledging { queued: false };
            }
        }
        Ok(())
    }
}

/// Which kinds may come in which phase.
fn judge_in_phase(phase: &Phase, role: Role, peer_closed: bool, behaviour: &Behaviour, kind: u8) -> Result<(), Fault> {
    let fits = match (phase, kind) {
        (Phase::Greeting { .. }, _) => match role {
            Role::Server => kind == kind::HELLO,
            Role::Client => kind == kind::HELLO_ACK || kind == kind::CLOSE,
        },
        (_, kind::HELLO | kind::HELLO_ACK) => behaviour.has(Bug::SecondHelloAccepted),
        (Phase::Closing { sent_at: Some(_), .. }, kind::CLOSE_ACK) => true,
        (_, kind::CLOSE_ACK) => behaviour.has(Bug::AcceptsStrayCloseAck),
        (_, kind::DATA | kind::CLOSE) => !peer_closed || behaviour.has(Bug::ListensAfterClose),
        (_, _) => true,
    };
    if fits { Ok(()) } else { Err(Fault::new(reason::UNEXPECTED_PACKET)) }
}
