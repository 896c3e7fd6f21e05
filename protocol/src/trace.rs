//! What was done to a connection, as data: for bug reports, fuzzing, and comparing implementations.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::fmt;

use bytes::Bytes;

use crate::close::Disconnect;
use crate::config::{Seed, ValidConfig};
use crate::connection::{Connection, Role, Transmit};
use crate::error::{ProtocolError, SendError};
use crate::event::Event;
use crate::message::Message;
use crate::statistics::Statistics;
use crate::time::Instant;
use crate::wire::CloseFrame;
use crate::wire::printing::Length;

/// Everything that a driver did to one connection. The same trace always gives the same [`Replay`].
///
/// It holds the sync key and all that was received and sent: while the connection lives, keep it as secret as these.
///
/// ```
/// use pulsewire_protocol::{Class, Config, Instant, Message, Operation, Recorder, Role, Seed};
///
/// let config = Config::default().validate()?;
/// let mut recorder = Recorder::new(Instant::ZERO, Role::Client, &config, Seed::from_bytes([7; 12]));
/// let hello = recorder.apply(Instant::ZERO, Operation::PollTransmit { max: 65_536 }).bytes;
/// recorder.apply(Instant::ZERO, Operation::Transmitted(hello.len()));
/// let refused = recorder.apply(Instant::ZERO, Operation::Send(Message::new(Class::ROOM, b"too early")));
/// assert!(refused.refused.is_some());
///
/// let replay = recorder.into_trace().replay();
/// assert_eq!(replay.bytes(), hello);
/// # Ok::<(), pulsewire_protocol::ConfigError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(deny_unknown_fields))]
pub struct Trace {
    /// Which side it was.
    pub role: Role,
    /// What it had chosen.
    pub config: ValidConfig,
    /// Its random numbers.
    pub seed: Seed,
    /// When it began.
    #[cfg_attr(feature = "serde", serde(rename = "began_ns"))]
    pub began: Instant,
    /// What was done to it, in order.
    pub steps: Vec<Step>,
}

/// One call, or one round of calls that belong together.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(deny_unknown_fields))]
pub struct Step {
    /// When.
    #[cfg_attr(feature = "serde", serde(rename = "at_ns"))]
    pub at: Instant,
    /// What.
    pub operation: Operation,
}

/// What a driver does to a connection.
#[derive(Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum Operation {
    /// These bytes came, behind those that were left: [`Connection::receive`] until it gives nothing more.
    Received(#[cfg_attr(feature = "serde", serde(with = "crate::representation::hex"))] Bytes),
    /// The same, but what belongs to a large packet is written into the buffer that [`Connection::direct_buffer`] lends.
    ReceivedDirect(#[cfg_attr(feature = "serde", serde(with = "crate::representation::hex"))] Bytes),
    /// The transport took this many bytes of the batches that were handed out: [`Connection::transmitted`]. More than they hold
    /// are as many as they hold.
    Transmitted(usize),
    /// The peer's host has acknowledged this many bytes in all: [`Connection::acknowledged`].
    Acknowledged(u64),
    /// [`Connection::poll_transmit`] with this `max`, into an empty batch.
    PollTransmit {
        /// Bytes.
        max: usize,
    },
    /// [`Connection::handle_timeout`].
    Timeout,
    /// [`Connection::send`].
    Send(Message<'static>),
    /// [`Connection::close`].
    Close(CloseFrame),
    /// [`Connection::drain`].
    Drain,
    /// [`Connection::pause`].
    Pause,
    /// [`Connection::resume`].
    Resume,
    /// [`Connection::accept`].
    Accept,
    /// [`Connection::refuse`].
    Refuse(CloseFrame),
    /// [`Connection::abort`].
    Abort,
    /// [`Connection::disconnected`].
    Disconnected(Disconnect),
}

impl fmt::Debug for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Received(bytes) => f.debug_tuple("Received").field(&Length(bytes.len())).finish(),
            Self::ReceivedDirect(bytes) => f.debug_tuple("ReceivedDirect").field(&Length(bytes.len())).finish(),
            Self::Transmitted(count) => f.debug_tuple("Transmitted").field(count).finish(),
            Self::Acknowledged(count) => f.debug_tuple("Acknowledged").field(count).finish(),
            Self::PollTransmit { max } => f.debug_struct("PollTransmit").field("max", max).finish(),
            Self::Timeout => f.write_str("Timeout"),
            Self::Send(message) => f.debug_tuple("Send").field(message).finish(),
            Self::Close(frame) => f.debug_tuple("Close").field(frame).finish(),
            Self::Drain => f.write_str("Drain"),
            Self::Pause => f.write_str("Pause"),
            Self::Resume => f.write_str("Resume"),
            Self::Accept => f.write_str("Accept"),
            Self::Refuse(frame) => f.debug_tuple("Refuse").field(frame).finish(),
            Self::Abort => f.write_str("Abort"),
            Self::Disconnected(how) => f.debug_tuple("Disconnected").field(how).finish(),
        }
    }
}

/// What one operation brought about.
#[derive(Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Outcome {
    /// The events, those of [`Connection::poll_event`] last.
    pub events: Vec<Event<'static>>,
    /// The bytes that [`Operation::PollTransmit`] handed out.
    pub bytes: Vec<u8>,
    /// What the peer did wrong.
    pub fault: Option<ProtocolError>,
    /// The message that was not accepted, and why.
    pub refused: Option<Box<SendError<'static>>>,
}

impl fmt::Debug for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outcome")
            .field("events", &self.events)
            .field("bytes", &Length(self.bytes.len()))
            .field("fault", &self.fault)
            .field("refused", &self.refused)
            .finish()
    }
}

/// What a trace brought about.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Replay {
    /// One for each step.
    pub outcomes: Vec<Outcome>,
    /// Where the connection stood at the end.
    pub statistics: Statistics,
}

impl Replay {
    /// All events, in order.
    pub fn events(&self) -> impl Iterator<Item = &Event<'static>> {
        self.outcomes.iter().flat_map(|outcome| &outcome.events)
    }

    /// All bytes that were handed out, in order.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        self.outcomes.iter().flat_map(|outcome| &outcome.bytes).copied().collect()
    }
}

impl Trace {
    /// Does it all again, to a new connection.
    #[must_use]
    pub fn replay(&self) -> Replay {
        let mut driven = Driven::new(self.began, self.role, &self.config, self.seed);
        let outcomes = self.steps.iter().map(|step| driven.apply(step.at, &step.operation)).collect();
        Replay { outcomes, statistics: driven.connection.statistics() }
    }
}

/// A connection that writes down what is done to it.
///
/// It stands between a driver and its [`Connection`]: the driver says what happened, the recorder makes the calls. What the
/// connection leaves of the received bytes is kept here, not in the driver's buffer.
pub struct Recorder {
    driven: Driven,
    trace: Trace,
}

impl fmt::Debug for Recorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recorder").field("connection", &self.driven.connection).field("trace", &self.trace).finish()
    }
}

impl Recorder {
    /// A connection that begins now, and an empty trace.
    #[must_use]
    pub fn new(now: Instant, role: Role, config: &ValidConfig, seed: Seed) -> Self {
        Self {
            driven: Driven::new(now, role, config, seed),
            trace: Trace { role, config: config.clone(), seed, began: now, steps: Vec::new() },
        }
    }

    /// Does this to the connection, and notes it.
    pub fn apply(&mut self, now: Instant, operation: Operation) -> Outcome {
        let outcome = self.driven.apply(now, &operation);
        self.trace.steps.push(Step { at: now, operation });
        outcome
    }

    /// The connection, for questions.
    #[must_use]
    pub fn connection(&self) -> &Connection {
        &self.driven.connection
    }

    /// What has been noted so far.
    #[must_use]
    pub fn trace(&self) -> &Trace {
        &self.trace
    }

    /// What was noted.
    #[must_use]
    pub fn into_trace(self) -> Trace {
        self.trace
    }
}

/// A connection, and what a driver keeps for it.
struct Driven {
    connection: Connection,
    /// Received bytes that wait for more.
    held: Vec<u8>,
    /// What was handed out and not taken.
    batches: VecDeque<Transmit>,
}

impl Driven {
    fn new(now: Instant, role: Role, config: &ValidConfig, seed: Seed) -> Self {
        let connection = match role {
            Role::Client => Connection::client(now, config, seed),
            Role::Server => Connection::server(now, config, seed),
        };
        Self { connection, held: Vec::new(), batches: VecDeque::new() }
    }

    fn apply(&mut self, now: Instant, operation: &Operation) -> Outcome {
        let mut outcome = Outcome::default();
        match operation {
            Operation::Received(bytes) => self.receive(now, bytes, &mut outcome),
            Operation::ReceivedDirect(bytes) => self.receive_direct(now, bytes, &mut outcome),
            Operation::Transmitted(count) => self.transmitted(now, *count),
            Operation::Acknowledged(count) => self.connection.acknowledged(now, *count),
            Operation::PollTransmit { max } => {
                let mut batch = Transmit::new();
                if self.connection.poll_transmit(now, *max, &mut batch) {
                    batch.slices().for_each(|slice| outcome.bytes.extend_from_slice(slice));
                    self.batches.push_back(batch);
                }
            }
            Operation::Timeout => self.connection.handle_timeout(now),
            Operation::Send(message) => {
                outcome.refused = self.connection.send(now, message.clone()).err().map(Box::new);
            }
            Operation::Close(frame) => self.connection.close(now, frame.clone()),
            Operation::Drain => self.connection.drain(now),
            Operation::Pause => self.connection.pause(now),
            Operation::Resume => self.connection.resume(now),
            Operation::Accept => self.connection.accept(now),
            Operation::Refuse(frame) => self.connection.refuse(now, frame.clone()),
            Operation::Abort => self.connection.abort(now),
            Operation::Disconnected(how) => self.connection.disconnected(now, *how),
        }
        outcome.events.extend(core::iter::from_fn(|| self.connection.poll_event()));
        outcome
    }

    /// What is more than was handed out is no progress.
    fn transmitted(&mut self, now: Instant, mut count: usize) {
        self.connection.transmitted(now, &mut Transmit::new(), 0);
        while let Some(batch) = self.batches.front_mut().filter(|_| count > 0) {
            let taken = count.min(batch.len());
            count -= taken;
            if self.connection.transmitted(now, batch, taken) {
                self.batches.pop_front();
            }
        }
    }

    fn receive(&mut self, now: Instant, bytes: &[u8], outcome: &mut Outcome) {
        self.held.extend_from_slice(bytes);
        let mut input = &self.held[..];
        loop {
            match self.connection.receive(now, &mut input) {
                Ok(Some(event)) => outcome.events.push(event.into_owned()),
                Ok(None) => break,
                Err(fault) => {
                    outcome.fault = Some(fault);
                    break;
                }
            }
        }
        let used = self.held.len() - input.len();
        self.held.drain(..used);
    }

    fn receive_direct(&mut self, now: Instant, mut bytes: &[u8], outcome: &mut Outcome) {
        while !bytes.is_empty() {
            let Some((mut buffer, missing)) = self.connection.direct_buffer() else {
                return self.receive(now, bytes, outcome);
            };
            let room = missing.min(buffer.capacity()).min(bytes.len());
            let (front, rest) = bytes.split_at(room);
            buffer.extend_from_slice(front);
            bytes = rest;
            match self.connection.received_direct(now, buffer) {
                Ok(event) => outcome.events.extend(event),
                Err(fault) => outcome.fault = Some(fault),
            }
        }
    }
}
