//! Does to a connection what a trace knows, and what only a driver can do.

use std::collections::VecDeque;
use std::num::NonZeroU64;

use bytes::{Bytes, BytesMut};
use pulsewire_protocol::{
    Connection, Instant, Message, Operation, Outcome, PreparedMessage, ProtocolError, Role, Seed, Transmit, ValidConfig,
};

/// Something that is done to a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Doing {
    /// What a trace knows.
    Known(Operation),
    /// [`Connection::send_prepared`].
    SendPrepared(Message<'static>),
    /// [`Connection::handle_write_timeout`].
    WriteTimeout,
    /// Memory is lent, and dropped.
    Drop,
    /// Memory is lent, and kept.
    Keep,
    /// Memory that was kept comes back with the front of these bytes: what was lent last, or else what was kept first.
    GiveBack {
        /// What was lent last.
        latest: bool,
        /// As many as have room, and are missing.
        bytes: Bytes,
    },
    /// Memory that was never lent comes with these bytes.
    Foreign(Bytes),
}

impl Doing {
    /// Whether the connection sees the time: at every call but that which lends memory.
    pub(crate) fn tells_time(&self) -> bool {
        !matches!(self, Self::Drop | Self::Keep)
    }
}

/// What came of it.
pub(crate) struct Done {
    pub(crate) outcome: Outcome,
    /// The number that a message got.
    pub(crate) ordinal: Option<NonZeroU64>,
    /// What would have brought about the same, to a driver that knows no lent memory; `None`: nothing was to come of it.
    pub(crate) plain: Option<Doing>,
}

/// A connection, and what a driver keeps for it.
pub(crate) struct Player {
    pub(crate) connection: Connection,
    /// Received bytes that wait for more.
    held: Vec<u8>,
    /// What was handed out and not taken.
    batches: VecDeque<Transmit>,
    kept: Vec<Kept>,
    /// Bytes that came.
    arrived: usize,
}

/// Memory that was lent, and did not come back yet.
struct Kept {
    memory: BytesMut,
    missing: usize,
    /// It was lent last, and no other bytes came after it.
    good: bool,
}

impl Player {
    pub(crate) fn new(role: Role, config: &ValidConfig, seed: Seed) -> Self {
        let connection = match role {
            Role::Client => Connection::client(Instant::ZERO, config, seed),
            Role::Server => Connection::server(Instant::ZERO, config, seed),
        };
        Self { connection, held: Vec::new(), batches: VecDeque::new(), kept: Vec::new(), arrived: 0 }
    }

    /// Bytes of memory that was lent and is kept: the caller's from then on.
    pub(crate) fn kept_bytes(&self) -> usize {
        self.kept.iter().map(|kept| kept.memory.capacity()).sum()
    }

    pub(crate) fn apply(&mut self, now: Instant, doing: &Doing) -> Done {
        let mut done = Done { outcome: Outcome::default(), ordinal: None, plain: Some(doing.clone()) };
        match doing {
            Doing::Known(operation) => self.operate(now, operation, &mut done),
            Doing::SendPrepared(message) => {
                match self.connection.send_prepared(now, &PreparedMessage::new(message.clone())) {
                    Ok(ordinal) => done.ordinal = Some(ordinal),
                    Err(reason) => {
                        let refused = pulsewire_protocol::SendError { reason, message: message.clone() };
                        done.outcome.refused = Some(Box::new(refused));
                    }
                }
            }
            Doing::WriteTimeout => self.connection.handle_write_timeout(now),
            Doing::Drop => {
                self.lend();
                done.plain = None;
            }
            Doing::Keep => {
                let lent = self.lend();
                self.kept.extend(lent);
                done.plain = None;
            }
            Doing::GiveBack { latest, bytes } => self.give_back(now, *latest, bytes, &mut done),
            Doing::Foreign(bytes) => {
                let aborts = !bytes.is_empty() && !self.connection.is_over();
                done.plain = aborts.then_some(Doing::Known(Operation::Abort));
                self.return_memory(now, BytesMut::from(&bytes[..]), &mut done.outcome);
            }
        }
        done.outcome.events.extend(std::iter::from_fn(|| self.connection.poll_event()));
        done
    }

    fn operate(&mut self, now: Instant, operation: &Operation, done: &mut Done) {
        let (connection, outcome) = (&mut self.connection, &mut done.outcome);
        match operation {
            Operation::Received(bytes) => self.receive(now, bytes, outcome),
            Operation::ReceivedDirect(bytes) => {
                self.receive_direct(now, bytes, outcome);
                done.plain = Some(Doing::Known(Operation::Received(bytes.clone())));
            }
            Operation::Transmitted(count) => self.transmitted(now, *count),
            Operation::Acknowledged(count) => connection.acknowledged(now, *count),
            Operation::PollTransmit { max } => self.poll_transmit(now, *max, outcome),
            Operation::Timeout => connection.handle_timeout(now),
            Operation::Send(message) => match connection.send(now, message.clone()) {
                Ok(ordinal) => done.ordinal = Some(ordinal),
                Err(refused) => outcome.refused = Some(Box::new(refused)),
            },
            Operation::Close(frame) => connection.close(now, frame.clone()),
            Operation::Drain => connection.drain(now),
            Operation::Pause => connection.pause(now),
            Operation::Resume => connection.resume(now),
            Operation::Accept => connection.accept(now),
            Operation::Refuse(frame) => connection.refuse(now, frame.clone()),
            Operation::Abort => connection.abort(now),
            Operation::Disconnected(how) => connection.disconnected(now, *how),
            other => panic!("{other:?} is not known here"),
        }
    }

    /// A batch that holds bytes stays as it is, and takes nothing from the connection.
    fn poll_transmit(&mut self, now: Instant, max: usize, outcome: &mut Outcome) {
        let bytes = |batch: &Transmit| batch.slices().flatten().copied().collect::<Vec<u8>>();
        let mut batch = Transmit::new();
        if !self.connection.poll_transmit(now, max, &mut batch) {
            assert!(batch.is_empty(), "something was handed out in silence");
            return;
        }
        outcome.bytes = bytes(&batch);
        assert!(!batch.is_empty() && batch.len() == outcome.bytes.len());
        let before = self.connection.statistics();
        assert!(!self.connection.poll_transmit(now, max, &mut batch), "a batch that holds bytes was filled");
        assert!(bytes(&batch) == outcome.bytes && self.connection.statistics() == before);
        self.batches.push_back(batch);
    }

    /// The transport takes so many bytes of what was handed out, or all.
    fn transmitted(&mut self, now: Instant, mut count: usize) {
        self.connection.transmitted(now, &mut Transmit::new(), 0);
        while let Some(batch) = self.batches.front_mut().filter(|_| count > 0) {
            let (before, taken) = (batch.len(), count.min(batch.len()));
            count -= taken;
            let whole = self.connection.transmitted(now, batch, taken);
            assert_eq!((batch.len(), whole), (before - taken, taken == before));
            if whole {
                self.batches.pop_front();
            }
        }
    }

    fn receive(&mut self, now: Instant, bytes: &[u8], outcome: &mut Outcome) {
        self.note_arrival(bytes.len());
        self.held.extend_from_slice(bytes);
        let mut input = &self.held[..];
        loop {
            match self.connection.receive(now, &mut input) {
                Ok(Some(event)) => outcome.events.push(event.into_owned()),
                Ok(None) => break,
                Err(fault) => {
                    fail(outcome, fault);
                    break;
                }
            }
        }
        assert!(input.len() < 4_096, "more held back than was promised");
        let used = self.held.len() - input.len();
        self.held.drain(..used);
    }

    fn receive_direct(&mut self, now: Instant, mut bytes: &[u8], outcome: &mut Outcome) {
        while !bytes.is_empty() {
            let Some(Kept { mut memory, missing, .. }) = self.lend() else { return self.receive(now, bytes, outcome) };
            let (front, rest) = bytes.split_at(missing.min(memory.capacity()).min(bytes.len()));
            memory.extend_from_slice(front);
            bytes = rest;
            self.note_arrival(front.len());
            self.return_memory(now, memory, outcome);
        }
    }

    /// Borrows memory. What was lent before can't come back any more.
    fn lend(&mut self) -> Option<Kept> {
        let (memory, missing) = self.connection.direct_buffer()?;
        self.kept.iter_mut().for_each(|kept| kept.good = false);
        let capacity = memory.capacity();
        assert!(missing > 0 && capacity > 0 && memory.is_empty(), "lent memory without room, or not empty");
        // Room for eight times what came beside that itself (PW-FRM-013), and a buffer that has to grow for it may double.
        assert!(capacity <= (64 << 10).max(10 * self.arrived), "{capacity} bytes lent for {}", self.arrived);
        Some(Kept { memory, missing, good: true })
    }

    fn give_back(&mut self, now: Instant, latest: bool, bytes: &[u8], done: &mut Done) {
        done.plain = None;
        let Some(last) = self.kept.len().checked_sub(1) else { return };
        let Kept { mut memory, missing, good } = self.kept.remove(if latest { last } else { 0 });
        let front = &bytes[..bytes.len().min(missing).min(memory.capacity())];
        memory.extend_from_slice(front);
        if !front.is_empty() && !self.connection.is_over() {
            let received = Operation::Received(Bytes::copy_from_slice(front));
            done.plain = Some(Doing::Known(if good { received } else { Operation::Abort }));
            self.note_arrival(front.len());
        }
        self.return_memory(now, memory, &mut done.outcome);
    }

    fn return_memory(&mut self, now: Instant, memory: BytesMut, outcome: &mut Outcome) {
        match self.connection.received_direct(now, memory) {
            Ok(event) => outcome.events.extend(event),
            Err(fault) => fail(outcome, fault),
        }
    }

    fn note_arrival(&mut self, count: usize) {
        self.arrived += count;
        if count > 0 {
            self.kept.iter_mut().for_each(|kept| kept.good = false);
        }
    }
}

fn fail(outcome: &mut Outcome, fault: ProtocolError) {
    assert!(outcome.fault.is_none(), "a second fault: {fault}");
    outcome.fault = Some(fault);
}
