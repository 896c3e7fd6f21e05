//! The input of the target `operations`: one connection, and what is done to it.

use std::time::Duration;

use arbitrary::{Result, Unstructured};
use bytes::Bytes;
use pulsewire_protocol::{
    Admission, Class, CloseReason, Closed, Disconnect, Event, Instant, Kind, Message, Operation, Outcome, Recorder,
    Role, Seed, ValidConfig,
};

use crate::memory;
use crate::packets::hello_packet;
use crate::pieces::{Pieces, hello, pattern};
use crate::sent::Sent;
use crate::watched::{PEER_KEY, config};

/// The bits of the first byte.
const CLIENT: u8 = 1;
const RESYNC: u8 = 2;
const PEER_RESYNC: u8 = 4;
const GREETED: u8 = 8;
const ASKS: u8 = 16;
const LARGE_FRAMES: u8 = 32;

/// More would make runs slow, and shows nothing new.
const STEPS_MAX: usize = 300;

/// Does to a connection what the input says: `options u8, key u32`, then operations until the input ends. All little-endian;
/// an operation is a tag and its fields.
///
/// # Errors
/// The input ended within a field: what came before was done.
///
/// # Panics
/// If something that must hold does not.
pub fn run_operations(u: &mut Unstructured<'_>) -> Result<()> {
    let options: u8 = u.arbitrary()?;
    let key = u.arbitrary::<u32>()?.max(1);
    let mut operated = Operated::new(options, key);
    let mut pieces = Pieces::new(key, options & RESYNC != 0);
    for _ in 0..STEPS_MAX {
        if u.is_empty() || operated.step(u, &mut pieces).is_err() {
            break;
        }
    }
    operated.finish();
    Ok(())
}

/// A connection whose every step is checked.
struct Operated {
    recorder: Recorder,
    now: Instant,
    outcomes: Vec<Outcome>,
    sent: Sent,
    accepted: Vec<Message<'static>>,
    closed: Option<Closed>,
    established: bool,
    /// Events of these sorts: messages, gaps, messages that the peer refused.
    counts: [u64; 3],
    /// Bytes that came, and that were offered.
    moved: usize,
    memory_before: usize,
}

fn configuration(options: u8) -> ValidConfig {
    let mut config = config(options & RESYNC != 0);
    if options & ASKS != 0 {
        config.admission = Admission::Ask;
    }
    if options & LARGE_FRAMES != 0 {
        (config.limits.frame, config.limits.message) = (0xFF_FFFF, u32::MAX);
    }
    config.validate().expect("a valid configuration")
}

impl Operated {
    fn new(options: u8, key: u32) -> Self {
        let (role, first) = match options & CLIENT {
            0 => (Role::Server, Kind::HELLO),
            _ => (Role::Client, Kind::HELLO_ACK),
        };
        let [a, b, c, d] = key.to_be_bytes();
        let seed = Seed::from_bytes([a, b, c, d, 8, 7, 6, 5, 4, 3, 2, 1]);
        let memory_before = memory::in_use();
        let mut operated = Self {
            recorder: Recorder::new(Instant::ZERO, role, &configuration(options), seed),
            now: Instant::ZERO,
            outcomes: Vec::new(),
            sent: Sent::default(),
            accepted: Vec::new(),
            closed: None,
            established: false,
            counts: [0; 3],
            moved: 0,
            memory_before,
        };
        if options & GREETED != 0 {
            let greeting = hello_packet(first, &hello(PEER_KEY, options & PEER_RESYNC != 0));
            operated.sent.know_key(PEER_KEY);
            operated.apply(Operation::Received(greeting.into()));
            operated.apply(Operation::Accept);
        }
        operated
    }

    fn step(&mut self, u: &mut Unstructured<'_>, pieces: &mut Pieces) -> Result<()> {
        let operation = match u.arbitrary::<u8>()? % 17 {
            0 => Operation::Received(piece(u, pieces)?),
            1 => Operation::ReceivedDirect(piece(u, pieces)?),
            2 => Operation::Transmitted(u.arbitrary::<u16>()?.into()),
            3 => Operation::PollTransmit { max: u.arbitrary::<u16>()?.into() },
            4 => Operation::Timeout,
            5 => {
                let (class, sealed, size) = (u.arbitrary()?, u.arbitrary()?, u.arbitrary::<u16>()?);
                let payload = pattern(usize::from(size) % 25_000).into();
                Operation::Send(Message { class: Class(class), encrypted: sealed, payload })
            }
            6 => Operation::Close(CloseReason(u.arbitrary()?).into()),
            7 => Operation::Drain,
            8 => Operation::Pause,
            9 => Operation::Resume,
            10 => Operation::Accept,
            11 => Operation::Refuse(CloseReason(u.arbitrary()?).into()),
            12 => Operation::Abort,
            13 => Operation::Disconnected(match u.arbitrary::<u8>()? % 4 {
                0 => Disconnect::EndOfStream,
                1 => Disconnect::Reset,
                2 => Disconnect::NetworkLost,
                _ => Disconnect::Aborted,
            }),
            14 => {
                self.now = self.now + Duration::from_millis(u.arbitrary::<u16>()?.into());
                return Ok(());
            }
            15 => {
                self.now = self.recorder.connection().poll_timeout().map_or(self.now, |next| next.max(self.now));
                Operation::Timeout
            }
            _ => {
                self.exchange();
                return Ok(());
            }
        };
        self.apply(operation);
        Ok(())
    }

    /// The transport takes all that waits.
    fn exchange(&mut self) {
        while self.recorder.connection().has_transmit() {
            self.apply(Operation::PollTransmit { max: 4_096 });
            let untaken = self.recorder.connection().statistics().untaken;
            self.apply(Operation::Transmitted(untaken as usize));
        }
    }

    fn apply(&mut self, operation: Operation) {
        let offered = match &operation {
            Operation::Received(bytes) | Operation::ReceivedDirect(bytes) => {
                self.moved += bytes.len();
                None
            }
            Operation::Send(message) => {
                self.moved += message.payload.len();
                Some(message.clone())
            }
            _ => None,
        };
        let times_out = operation == Operation::Timeout;
        let was_over = self.recorder.connection().is_over();
        let outcome = self.recorder.apply(self.now, operation);
        outcome.events.iter().for_each(|event| self.note(event));
        self.sent.check(&outcome.bytes);
        if let Some(message) = offered {
            match &outcome.refused {
                Some(refused) => assert_eq!(refused.message, message, "what was refused is not what comes back"),
                None => self.accepted.push(message),
            }
        }
        let connection = self.recorder.connection();
        assert!(outcome.fault.is_none() || (connection.is_over() && !was_over), "a fault that is not the end");
        if times_out {
            let next = connection.poll_timeout();
            assert!(next.is_none_or(|next| next > self.now), "a deadline in the past after handle_timeout");
        }
        self.outcomes.push(outcome);
        self.check_numbers();
    }

    fn note(&mut self, event: &Event<'_>) {
        assert!(self.closed.is_none(), "{event:?} after Closed");
        match event {
            Event::Established(_) => assert!(!std::mem::replace(&mut self.established, true), "established twice"),
            Event::Message(message) => {
                assert!(self.established && message.payload.len() <= self.moved, "a payload that never came");
                self.counts[0] += 1;
            }
            Event::Gap(_) => self.counts[1] += 1,
            Event::Rejected(_) => self.counts[2] += 1,
            Event::Closed(closed) => self.closed = Some((**closed).clone()),
            _ => {}
        }
    }

    fn check_numbers(&self) {
        let connection = self.recorder.connection();
        let statistics = connection.statistics();
        let Self { accepted, counts, .. } = self;
        assert_eq!([statistics.messages_received, statistics.gaps, statistics.messages_rejected], *counts);
        assert_eq!(statistics.messages_sent, accepted.len() as u64);
        assert!(statistics.messages_handed_out <= statistics.messages_sent);
        assert_eq!(statistics.bytes_handed_out, statistics.bytes_taken + statistics.untaken);
        assert!(statistics.bytes_skipped <= statistics.bytes_received);
        assert!(statistics.pongs_received <= statistics.bytes_received / 20);
        assert_eq!(connection.is_over(), self.closed.is_some(), "over, but not Closed, or the other way round");
        if let Some(closed) = &self.closed {
            assert_eq!(closed.received, statistics.messages_received);
            assert_eq!(closed.unsent[..], accepted[statistics.messages_handed_out as usize..]);
            assert_eq!(connection.queued(), 0);
        }
        // What came and what was offered is kept by the trace and by the checks too.
        let memory = memory::in_use().saturating_sub(self.memory_before);
        let bound = (1 << 20) + 16 * (self.moved + statistics.bytes_handed_out as usize);
        assert!(memory <= bound, "{memory} bytes in use after {} came or were offered", self.moved);
    }

    /// The stream ends; by now there is an end, it stays the end, and all of it would go the same way again.
    fn finish(mut self) {
        self.apply(Operation::Disconnected(Disconnect::EndOfStream));
        assert!(self.closed.is_some() && self.recorder.connection().poll_timeout().is_none());
        self.now = self.now + Duration::from_secs(3_600);
        self.apply(Operation::Timeout);
        self.apply(Operation::Received(Bytes::from_static(&[0xF7; 20])));
        self.apply(Operation::Abort);
        self.exchange();
        let replay = self.recorder.trace().replay();
        assert_eq!(replay.outcomes, self.outcomes, "another time, another way");
    }
}

fn piece(u: &mut Unstructured<'_>, pieces: &mut Pieces) -> Result<Bytes> {
    let mut stream = Vec::new();
    pieces.add_to(&mut stream, u)?;
    // What is flipped or lost needs something to be flipped or lost.
    if stream.is_empty() && !u.is_empty() {
        pieces.add_to(&mut stream, u)?;
    }
    Ok(stream.into())
}
