//! Runs a scripted conversation: feeds a connection what a step says, and compares what comes of it.

mod translate;

use pulsewire_protocol::{Connection, Event, Instant, Kind, Transmit};
use pulsewire_spec::vectors::{
    Conversation, ConversationAction, ConversationEvent, ConversationRole, ConversationStep,
};
use translate::{close_frame, config, disconnect, event, message};

use crate::pair::{at, parse, seed, valid};

pub(crate) struct Runner {
    conversation: &'static Conversation,
    connection: Connection,
    now: Instant,
    /// How many bytes the connection gets at once.
    piece: usize,
    /// Received bytes that wait for more.
    held: Vec<u8>,
    /// What was handed out and not taken.
    handed: Vec<u8>,
    batch: Transmit,
    room: Option<usize>,
    /// What came of the present step.
    out: Vec<u8>,
    events: Vec<ConversationEvent>,
    /// All that was sent so far, and all that should have been.
    sent: [Vec<u8>; 2],
}

impl Runner {
    pub(crate) fn new(conversation: &'static Conversation, piece: usize) -> Self {
        let (config, seed) = (valid(config(&conversation.config)), seed(conversation.keys.own));
        let connection = match conversation.role {
            ConversationRole::Client => Connection::client(Instant::ZERO, &config, seed),
            ConversationRole::Server => Connection::server(Instant::ZERO, &config, seed),
        };
        Self {
            conversation,
            connection,
            now: Instant::ZERO,
            piece,
            held: Vec::new(),
            handed: Vec::new(),
            batch: Transmit::new(),
            room: None,
            out: Vec::new(),
            events: Vec::new(),
            sent: Default::default(),
        }
    }

    pub(crate) fn run(mut self) {
        for (index, step) in self.conversation.steps.iter().enumerate() {
            let place = format!("{}, step {index} at {} ms", self.conversation.name, step.at);
            if !step.late {
                self.run_until_just_before(at(step.clock.unwrap_or(step.at)), &place);
            }
            self.now = at(step.clock.unwrap_or(step.at));
            self.act(&step.action);
            self.settle();
            self.compare(step, &place);
        }
    }

    /// Serves every deadline before the moment; nothing may come of it.
    fn run_until_just_before(&mut self, moment: Instant, place: &str) {
        while let Some(deadline) = self.connection.poll_timeout().filter(|deadline| *deadline < moment) {
            self.now = self.now.max(deadline);
            self.settle();
            assert!(
                self.out.is_empty() && self.events.is_empty(),
                "{place}: {:?} sent {:?} early",
                self.out,
                self.events
            );
        }
    }

    fn act(&mut self, action: &ConversationAction) {
        match action {
            ConversationAction::Start if self.conversation.config.acknowledges => {
                self.connection.acknowledged(self.now, 0);
            }
            ConversationAction::Start | ConversationAction::Wait => {}
            ConversationAction::Receive(bytes) => {
                bytes.bytes().chunks(self.piece).for_each(|piece| self.receive(piece));
            }
            ConversationAction::Send { class, encrypted, payload } => {
                self.connection.send(self.now, message(*class, *encrypted, payload)).expect("accepted");
            }
            ConversationAction::Close(farewell) => self.connection.close(self.now, close_frame(farewell)),
            ConversationAction::Accept => self.connection.accept(self.now),
            ConversationAction::Refuse(farewell) => self.connection.refuse(self.now, close_frame(farewell)),
            ConversationAction::Drain => self.connection.drain(self.now),
            ConversationAction::Pause => self.connection.pause(self.now),
            ConversationAction::Resume => self.connection.resume(self.now),
            ConversationAction::Abort => self.connection.abort(self.now),
            ConversationAction::Disconnect(how) => self.connection.disconnected(self.now, disconnect(*how)),
            ConversationAction::Room(size) => self.room = *size,
            ConversationAction::Acknowledge(bytes) => self.connection.acknowledged(self.now, *bytes),
        }
    }

    fn receive(&mut self, bytes: &[u8]) {
        let mut held = std::mem::take(&mut self.held);
        held.extend_from_slice(bytes);
        let mut input = &held[..];
        while let Ok(Some(came)) = self.connection.receive(self.now, &mut input) {
            self.note(&came);
        }
        self.held = input.to_vec();
    }

    fn note(&mut self, came: &Event<'_>) {
        let over = self.events.iter().any(|event| matches!(event, ConversationEvent::Closed { .. }));
        assert!(!over, "{}: {came:?} after Closed", self.conversation.name);
        self.events.push(event(came));
    }

    /// Does what is due, and lets the transport take what it has room for, until nothing moves.
    fn settle(&mut self) {
        loop {
            if self.connection.poll_timeout().is_some_and(|deadline| deadline <= self.now) {
                self.connection.handle_timeout(self.now);
            }
            while let Some(came) = self.connection.poll_event() {
                self.note(&came);
            }
            if !self.transmit() && self.connection.poll_timeout().is_none_or(|deadline| deadline > self.now) {
                return;
            }
        }
    }

    /// Hands out the least there is, where all that was handed out before is taken. Returns whether anything was taken.
    fn transmit(&mut self) -> bool {
        if self.handed.is_empty() {
            self.connection.poll_transmit(self.now, 1, &mut self.batch);
            self.batch.slices().for_each(|slice| self.handed.extend_from_slice(slice));
        }
        let count = self.room.map_or(self.handed.len(), |room| room.min(self.handed.len()));
        if count == 0 {
            return false;
        }
        self.room = self.room.map(|room| room - count);
        self.out.extend(self.handed.drain(..count));
        self.connection.transmitted(self.now, &mut self.batch, count);
        while let Some(came) = self.connection.poll_event() {
            self.note(&came);
        }
        true
    }

    fn compare(&mut self, step: &ConversationStep, place: &str) {
        let (out, events) = (std::mem::take(&mut self.out), std::mem::take(&mut self.events));
        self.sent[0].extend_from_slice(&out);
        self.sent[1].extend_from_slice(step.out.bytes());
        if out != step.out.bytes() {
            let [sent, mut expected] = self.sent.each_ref().map(|stream| packets(stream, self.conversation.keys.peer));
            // A client that gives up because of HELLO_ACK may say so, and this one does not where it could read no more of it
            // than the key (PW-HS-018).
            if self.conversation.requirements.iter().any(|id| id == "PW-HS-018") && sent.len() == 1 {
                expected.truncate(1);
            }
            assert_eq!(sent, expected, "{place}: sent");
        }
        assert_eq!(in_order(events), in_order(step.events.clone()), "{place}: events");
        if self.connection.is_over() {
            return;
        }
        let deadline = self.connection.poll_timeout();
        let expected = step.deadline.map(at);
        if self.conversation.config.acknowledges {
            // It asks more often what is acknowledged.
            assert!(
                deadline.is_some() == expected.is_some() && deadline <= expected,
                "{place}: {deadline:?}, {expected:?}"
            );
        } else {
            assert_eq!(deadline, expected, "{place}: deadline");
        }
    }
}

/// What the heartbeat tells comes anywhere among the events of a step.
fn in_order(mut events: Vec<ConversationEvent>) -> Vec<ConversationEvent> {
    events.sort_by_key(|event| !matches!(event, ConversationEvent::Suspect {} | ConversationEvent::Recovered {}));
    events
}

/// The packets of a stream, without the sentence that an implementation may put into its CLOSE.
fn packets(stream: &[u8], key: u32) -> Vec<(Kind, Vec<u8>)> {
    let packets = parse(stream, key, true).into_iter();
    packets.map(|(header, payload)| (header.kind, without_text(header.kind, payload))).collect()
}

fn without_text(kind: Kind, payload: Vec<u8>) -> Vec<u8> {
    const FIXED: usize = 14;
    const TEXT: [u8; 2] = [0x80, 0x10];
    if kind != Kind::CLOSE {
        return payload;
    }
    let (fixed, mut items) = payload.split_at(FIXED);
    let mut rest = fixed.to_vec();
    while let [a, b, high, low, ..] = *items {
        let (item, behind) = items.split_at(4 + usize::from(u16::from_be_bytes([high, low])));
        if [a, b] != TEXT {
            rest.extend_from_slice(item);
        }
        items = behind;
    }
    rest
}
