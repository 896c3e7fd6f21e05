//! The oracle keeps to the conversations of the specification, in virtual time.
//!
//! It looks at its clock every millisecond, as it gives no deadline; and its application is told of fewer things.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use pulsewire_spec::vectors::{
    self, Conversation, ConversationAction, ConversationConfig, ConversationDisconnect, ConversationEvent,
    ConversationFarewell, ConversationOrigin, ConversationRole, ConversationStep,
};

use super::Connection;
use super::pipe::Pipe;
use super::vectors::{behaviour, kept_words, message_word, rejected_word};
use crate::clock;
use crate::codec::Close;
use crate::codec::registry::{kind, reason};
use crate::codec::{Header, Packet};
use crate::oracle::table::Table;
use crate::peer::Message;
use crate::profile::Profile;
use crate::role::Role;
use crate::subject::{CloseFrame, Command, Happening, Origin, Reply};

/// What the oracle cannot do, or does otherwise where the text leaves it free.
const LEFT_OUT: [(&str, &str); 3] = [
    ("network-lost", "it takes a transport that gives up for a reset"),
    ("own-pause-outlasts-busy", "it renews BUSY earlier"),
    ("own-pause-renewed", "it renews BUSY earlier"),
];

#[test]
fn conversations_as_they_are_written() {
    let (mut run, mut acknowledging, mut with_token, mut broken) = (0, Vec::new(), Vec::new(), Vec::new());
    for conversation in vectors::conversations() {
        if conversation.config.acknowledges {
            // Its transports cannot tell what the peer's host has acknowledged.
            acknowledging.push(&conversation.name);
        } else if conversation.role == ConversationRole::Client && conversation.config.token.is_some() {
            // It has no TOKEN to send.
            with_token.push(&conversation.name);
        } else if LEFT_OUT.iter().all(|(name, _)| *name != conversation.name) {
            // All of them are run before the first failure ends the test.
            let kept = catch_unwind(AssertUnwindSafe(|| Runner::new(conversation).run()));
            broken.extend(kept.is_err().then_some(&conversation.name));
            run += 1;
        }
    }
    let left_out = LEFT_OUT.len() + acknowledging.len() + with_token.len();
    eprintln!("{} left out, since nothing tells it what is acknowledged: {acknowledging:?}", acknowledging.len());
    eprintln!("{} left out, since it has no TOKEN to send: {with_token:?}", with_token.len());
    assert!(broken.is_empty(), "it does not keep to {broken:?}");
    assert_eq!(run + left_out, vectors::conversations().len(), "a conversation that is left out does not exist");
}

struct Runner {
    conversation: &'static Conversation,
    connection: Connection,
    table: Arc<Table>,
    pipe: Pipe,
    begun: Instant,
    /// Milliseconds since then, and by how many the side's clock was set back.
    time: u64,
    set_back: u64,
    /// All that was sent, and all that should have been.
    sent: [Vec<u8>; 2],
}

impl Runner {
    fn new(conversation: &'static Conversation) -> Self {
        let behaviour = behaviour(profile(&conversation.config));
        let table = Arc::new(Table::new(Arc::clone(&behaviour)));
        let pipe = Pipe::default();
        let begun = clock::now();
        let mut greeting = behaviour.greeting();
        greeting.sync_key = conversation.keys.own;
        let role = match conversation.role {
            ConversationRole::Client => Role::Client,
            ConversationRole::Server => Role::Server,
        };
        let link = Box::new(pipe.clone());
        let mut connection = Connection::new(link, role, greeting, behaviour, Arc::clone(&table), begun);
        connection.kept = Some(Vec::new());
        Self { conversation, connection, table, pipe, begun, time: 0, set_back: 0, sent: Default::default() }
    }

    fn run(mut self) {
        for (index, step) in self.conversation.steps.iter().enumerate() {
            let place = format!("{}, step {index} at {} ms", self.conversation.name, step.at);
            self.set_back = step.clock.map_or(0, |clock| step.at - clock);
            if !step.late {
                while self.time + 1 < step.at {
                    self.time += 1;
                    self.settle();
                    assert!(self.taken().is_empty(), "{place}: it sends something at {} ms", self.time);
                }
            }
            self.time = step.at;
            self.act(&step.action);
            self.settle();
            self.compare(step, &place);
        }
        self.compare_events();
    }

    fn now(&self) -> Instant {
        self.begun + Duration::from_millis(self.time.saturating_sub(self.set_back))
    }

    fn taken(&self) -> Vec<u8> {
        self.pipe.with(|taken| std::mem::take(&mut taken.bytes))
    }

    fn act(&mut self, action: &ConversationAction) {
        let (now, id) = (self.now(), self.connection.id);
        match action {
            ConversationAction::Start | ConversationAction::Wait => {}
            ConversationAction::Acknowledge(_) => unreachable!("these conversations are left out"),
            ConversationAction::Receive(bytes) => self.connection.receive(bytes.bytes(), now),
            ConversationAction::Send { class, encrypted, payload } => {
                let message = Message { class: *class, encrypted: *encrypted, payload: payload.bytes().to_vec() };
                self.connection.outgoing.push_message(message);
            }
            ConversationAction::Close(farewell) => {
                self.command(Command::Close { connection: id, frame: frame(farewell) });
            }
            ConversationAction::Accept => self.command(Command::Accept(id)),
            ConversationAction::Refuse(farewell) => {
                self.command(Command::Refuse { connection: id, frame: frame(farewell) });
            }
            ConversationAction::Drain => self.command(Command::Drain(id)),
            ConversationAction::Pause => self.command(Command::Pause(id)),
            ConversationAction::Resume => self.command(Command::Resume(id)),
            ConversationAction::Abort => self.connection.end(CloseFrame::from(reason::ABORTED), Origin::Local),
            ConversationAction::Disconnect(ConversationDisconnect::EndOfStream) => self.connection.stream_ended(),
            ConversationAction::Disconnect(ConversationDisconnect::Reset | ConversationDisconnect::NetworkLost) => {
                self.connection.end(CloseFrame::from(reason::RESET), Origin::Transport);
            }
            ConversationAction::Room(size) => self.pipe.with(|taken| taken.room = *size),
        }
    }

    fn command(&self, command: Command) {
        assert_eq!(self.table.control(command), Ok(Reply::Done), "{}", self.conversation.name);
    }

    /// Goes round until nothing more is sent.
    fn settle(&mut self) {
        let now = self.now();
        loop {
            let before = self.pipe.with(|taken| taken.bytes.len());
            self.connection.obey_application(now);
            self.connection.send(now);
            self.connection.check_deadlines(now);
            self.connection.send(now);
            if self.pipe.with(|taken| taken.bytes.len()) == before {
                return;
            }
        }
    }

    fn compare(&mut self, step: &ConversationStep, place: &str) {
        let out = self.taken();
        self.sent[0].extend_from_slice(&out);
        self.sent[1].extend_from_slice(step.out.bytes());
        if out != step.out.bytes() {
            let [sent, expected] = self.sent.each_ref().map(|stream| packets(stream));
            assert_eq!(sent, expected, "{place}: sent");
        }
    }

    /// Compares what the application was told in all, as far as both know it.
    fn compare_events(&mut self) {
        let over = |event: &ConversationEvent| matches!(event, ConversationEvent::Closed { .. });
        if self.conversation.steps.iter().any(|step| step.events.iter().any(over)) {
            // What cannot be sent any more is given up in the end.
            self.time += 2_000;
            self.settle();
        }
        assert_eq!(kept_words(&self.connection), message_words(self.conversation), "{}", self.conversation.name);
        let Ok(Reply::Events(told)) = self.table.control(Command::Events) else {
            panic!("{}: events are not told", self.conversation.name);
        };
        let mut told: Vec<String> = told.iter().filter_map(|event| told_word(&event.what)).collect();
        // A verdict with the first probe: whether the peer was suspect before is a matter of taste.
        let at_once = told.windows(2).position(|pair| pair[0] == "suspect" && pair[1].starts_with("closed 48"));
        if let Some(suspect) = at_once.filter(|_| self.conversation.config.probes == 1) {
            told.remove(suspect);
        }
        let steps = self.conversation.steps.iter();
        let expected: Vec<String> = steps.flat_map(|step| &step.events).filter_map(expected_word).collect();
        assert_eq!(told, expected, "{}: events", self.conversation.name);
    }
}

fn message_words(conversation: &Conversation) -> Vec<String> {
    let events = conversation.steps.iter().flat_map(|step| &step.events);
    events
        .filter_map(|event| match event {
            ConversationEvent::Message { class, encrypted, payload } => {
                Some(message_word(*class, *encrypted, payload.bytes()))
            }
            ConversationEvent::Established { .. }
            | ConversationEvent::Admission { .. }
            | ConversationEvent::Gap { .. }
            | ConversationEvent::TooLarge { .. }
            | ConversationEvent::Rejected { .. }
            | ConversationEvent::Suspect {}
            | ConversationEvent::Recovered {}
            | ConversationEvent::Draining { .. }
            | ConversationEvent::Closing { .. }
            | ConversationEvent::Closed { .. } => None,
        })
        .collect()
}

fn told_word(what: &Happening) -> Option<String> {
    Some(match what {
        Happening::Admission => String::from("admission"),
        Happening::Rejected { class, ordinal, reason } => rejected_word(*class, *ordinal, *reason),
        Happening::TooLarge => String::from("too large"),
        Happening::Suspect => String::from("suspect"),
        Happening::Recovered => String::from("recovered"),
        Happening::Draining { received } => format!("draining {received}"),
        // Told of every CLOSE, those included that end the connection.
        Happening::Closing(_) => return None,
        Happening::Closed { frame, origin: Origin::Peer, .. } => {
            format!("closed {} {:?} {}", frame.reason, frame.retry_after, frame.text)
        }
        Happening::Closed { frame, origin: origin @ (Origin::Local | Origin::Transport), .. } => {
            format!("closed {} {origin:?}", frame.reason)
        }
    })
}

fn expected_word(event: &ConversationEvent) -> Option<String> {
    Some(match event {
        ConversationEvent::Admission { .. } => String::from("admission"),
        ConversationEvent::Rejected { class, ordinal, reason } => rejected_word(*class, *ordinal, *reason),
        ConversationEvent::TooLarge { .. } => String::from("too large"),
        ConversationEvent::Suspect {} => String::from("suspect"),
        ConversationEvent::Recovered {} => String::from("recovered"),
        ConversationEvent::Draining { received } => format!("draining {received}"),
        ConversationEvent::Closed { reason, origin: ConversationOrigin::Peer, text, retry_after, .. } => {
            format!("closed {reason} {retry_after:?} {}", text.as_deref().unwrap_or_default())
        }
        ConversationEvent::Closed { reason, origin, .. } => format!("closed {reason} {origin:?}"),
        ConversationEvent::Established { .. }
        | ConversationEvent::Message { .. }
        | ConversationEvent::Gap { .. }
        | ConversationEvent::Closing { .. } => return None,
    })
}

fn profile(from: &ConversationConfig) -> Profile {
    let ms = Duration::from_millis;
    Profile {
        idle: ms(from.idle),
        interval: ms(from.interval),
        probes: from.probes,
        extension_max: from.extension_max.map(ms),
        detect_within: from.detect_within.map(ms),
        ping_floor: ms(from.ping_floor),
        frame_limit: from.frame_limit,
        message_limit: from.message_limit,
        frame_sent: from.frame_sent,
        handshake_timeout: ms(from.handshake_timeout),
        close_timeout: ms(from.close_timeout),
        write_stall: ms(from.write_stall),
        linger: Duration::from_secs(2),
        assembly_base: ms(from.assembly_base),
        assembly_rate: from.assembly_rate,
        busy_max: ms(from.busy_max),
        resync: from.resync,
        admission: from.admission,
    }
}

fn frame(farewell: &ConversationFarewell) -> CloseFrame {
    CloseFrame {
        reason: farewell.reason,
        retry_after: Some(farewell.retry_after),
        text: farewell.text.clone().unwrap_or_default(),
    }
}

/// The packets of a stream, in words; without the sentence that an implementation may put into its CLOSE.
fn packets(mut stream: &[u8]) -> Vec<String> {
    let mut packets = Vec::new();
    while stream.len() >= Header::SIZE {
        let header = Header::decode(stream);
        let (raw, rest) = stream.split_at(header.packet_size().min(stream.len()));
        packets.push(match header.kind {
            kind::CLOSE => close_word(raw),
            _ => format!("{raw:02x?}"),
        });
        stream = rest;
    }
    packets
}

fn close_word(raw: &[u8]) -> String {
    let packet = Packet::control(kind::CLOSE, raw[Header::SIZE..].to_vec());
    let close = Close::parse(&packet.payload).expect("14 bytes at least");
    format!("CLOSE {} {} {} {:?}", close.reason, close.received, close.retry_after, close.limit())
}
