//! The input of the target `operations`: one connection, and what is done to it.

use std::time::Duration;

use arbitrary::{Result, Unstructured};
use bytes::Bytes;
use pulsewire_protocol::{
    Admission, Class, CloseReason, Closed, Disconnect, Event, Instant, Kind, Message, Operation, Outcome, Role, Seed,
    Shutdown, Step, Trace, ValidConfig,
};

use crate::memory;
use crate::packets::hello_packet;
use crate::pieces::{Pieces, hello, pattern};
use crate::player::{Doing, Done, Player};
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
    player: Player,
    trace: Trace,
    now: Instant,
    /// The latest moment that the connection has seen: it takes every other one for that (PW-TIM-002).
    latest: Instant,
    /// What would have brought about the same, without lent memory and without going back in time, and what came of it.
    plain: Vec<(Instant, Doing, Outcome)>,
    sent: Sent,
    accepted: Vec<Message<'static>>,
    /// How many of each class.
    ordinals: [u64; 256],
    closed: Option<Closed>,
    shutdown: Shutdown,
    /// Memory came back that was not to come: what was in it was counted, and that is all.
    misused: bool,
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
        let config = configuration(options);
        let mut operated = Self {
            player: Player::new(role, &config, seed),
            trace: Trace { role, config, seed, began: Instant::ZERO, steps: Vec::new() },
            now: Instant::ZERO,
            latest: Instant::ZERO,
            plain: Vec::new(),
            sent: Sent::default(),
            accepted: Vec::new(),
            ordinals: [0; 256],
            closed: None,
            shutdown: Shutdown::None,
            misused: false,
            established: false,
            counts: [0; 3],
            moved: 0,
            memory_before,
        };
        if options & GREETED != 0 {
            let hello = hello(PEER_KEY, options & PEER_RESYNC != 0);
            let greeting = hello_packet(first, &hello);
            operated.sent.know_peer(PEER_KEY, hello.frame_limit);
            operated.apply(Operation::Received(greeting.into()));
            operated.apply(Operation::Accept);
        }
        operated
    }

    fn step(&mut self, u: &mut Unstructured<'_>, pieces: &mut Pieces) -> Result<()> {
        let operation = match u.arbitrary::<u8>()? % 24 {
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
                self.now = self.next_deadline().unwrap_or(self.now);
                Operation::Timeout
            }
            16 => {
                self.exchange();
                return Ok(());
            }
            tag => {
                let doing = self.unknown_to_traces(tag, u, pieces)?;
                if let Some(doing) = doing {
                    self.apply_any(doing);
                }
                return Ok(());
            }
        };
        self.apply(operation);
        Ok(())
    }

    /// What no trace knows.
    fn unknown_to_traces(&mut self, tag: u8, u: &mut Unstructured<'_>, pieces: &mut Pieces) -> Result<Option<Doing>> {
        Ok(Some(match tag {
            17 => Doing::Known(Operation::Acknowledged(match u.arbitrary::<u8>()? % 4 {
                0 => 0,
                1 => self.player.connection.statistics().bytes_taken,
                2 => u64::MAX,
                _ => u.arbitrary::<u16>()?.into(),
            })),
            18 => {
                let back = Duration::from_millis(u.arbitrary::<u16>()?.into());
                self.now = Instant::from_nanos(self.now.as_nanos().saturating_sub(back.as_nanos() as u64));
                return Ok(None);
            }
            19 => Doing::Keep,
            20 => Doing::GiveBack { latest: u.arbitrary()?, bytes: piece(u, pieces)? },
            21 => match u.arbitrary::<u8>()? % 8 {
                // Seldom, as it is the end in most cases.
                0 => Doing::Foreign(piece(u, pieces)?),
                1 => Doing::Foreign(Bytes::new()),
                _ => Doing::Drop,
            },
            22 => {
                let (class, sealed, size) = (u.arbitrary()?, u.arbitrary()?, u.arbitrary::<u16>()?);
                let payload = pattern(usize::from(size) % 25_000).into();
                Doing::SendPrepared(Message { class: Class(class), encrypted: sealed, payload })
            }
            _ => Doing::WriteTimeout,
        }))
    }

    fn next_deadline(&self) -> Option<Instant> {
        self.player.connection.poll_timeout().map(|next| next.max(self.latest))
    }

    /// The transport takes all that waits.
    fn exchange(&mut self) {
        while self.player.connection.has_transmit() {
            let before = self.player.connection.statistics().bytes_handed_out;
            self.apply(Operation::PollTransmit { max: 4_096 });
            let statistics = self.player.connection.statistics();
            assert!(statistics.bytes_handed_out > before, "something waits, and nothing is handed out");
            self.apply(Operation::Transmitted(statistics.untaken as usize));
        }
    }

    fn apply(&mut self, operation: Operation) {
        self.apply_any(Doing::Known(operation));
    }

    fn apply_any(&mut self, doing: Doing) {
        let offered = match &doing {
            Doing::Known(Operation::Received(bytes) | Operation::ReceivedDirect(bytes))
            | Doing::GiveBack { bytes, .. }
            | Doing::Foreign(bytes) => {
                self.moved += bytes.len();
                None
            }
            Doing::Known(Operation::Send(message)) | Doing::SendPrepared(message) => {
                self.moved += message.payload.len();
                Some(message.clone())
            }
            _ => None,
        };
        let was_over = self.player.connection.is_over();
        let Done { mut outcome, ordinal, plain } = self.player.apply(self.now, &doing);
        if doing.tells_time() {
            self.latest = self.latest.max(self.now);
        }
        outcome.events.iter().for_each(|event| self.note(event));
        let batch = self.sent.check(&outcome.bytes);
        if let Doing::Known(Operation::PollTransmit { max }) = doing {
            batch.check_room(max);
        }
        if let Some(message) = offered {
            match &outcome.refused {
                Some(refused) => assert_eq!(refused.message, message, "what was refused is not what comes back"),
                None => self.accept(message, ordinal.map(u64::from)),
            }
        }
        let connection = &self.player.connection;
        assert!(outcome.fault.is_none() || (connection.is_over() && !was_over), "a fault that is not the end");
        if doing == Doing::Known(Operation::Timeout) {
            let next = connection.poll_timeout();
            let past = next.filter(|next| *next <= self.latest);
            assert_eq!(past, None, "a deadline in the past after handle_timeout at {:?}", self.latest);
        }
        self.misused |= matches!(doing, Doing::GiveBack { .. } | Doing::Foreign(_))
            && plain == Some(Doing::Known(Operation::Abort));
        if self.misused {
            // Whether such bytes came from the peer, nobody knows.
            outcome.events.iter_mut().for_each(forget_heard);
        }
        match plain {
            Some(plain) => self.plain.push((self.latest, plain, outcome)),
            None => assert_eq!(outcome, Outcome::default(), "{doing:?} has an effect"),
        }
        self.check_numbers();
    }

    fn accept(&mut self, message: Message<'static>, ordinal: Option<u64>) {
        let count = &mut self.ordinals[usize::from(message.class.0)];
        *count += 1;
        assert_eq!(ordinal, Some(*count), "the number of a message among those of its class");
        self.accepted.push(message);
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
            Event::Rejected(rejected) => {
                let accepted = self.ordinals[usize::from(rejected.class.0)];
                assert!(rejected.ordinal.map_or(1, u64::from) <= accepted, "a message that was not sent is refused");
                self.counts[2] += 1;
            }
            Event::Closed(closed) => self.closed = Some((**closed).clone()),
            _ => {}
        }
    }

    fn check_numbers(&mut self) {
        let connection = &self.player.connection;
        let shutdown = connection.shutdown();
        assert!(shutdown >= self.shutdown, "{shutdown:?} after {:?}", self.shutdown);
        assert_eq!(connection.poll_timeout().is_none(), shutdown == Shutdown::Close, "what is waited for");
        assert!(shutdown == Shutdown::None || connection.is_over(), "{shutdown:?} before the end");
        self.shutdown = shutdown;
        let statistics = connection.statistics();
        let Self { accepted, counts, .. } = &*self;
        assert_eq!([statistics.messages_received, statistics.gaps, statistics.messages_rejected], *counts);
        assert_eq!(statistics.messages_sent, accepted.len() as u64);
        assert!(statistics.messages_handed_out <= statistics.messages_sent);
        assert_eq!(statistics.bytes_handed_out, statistics.bytes_taken + statistics.untaken);
        assert!(statistics.bytes_acknowledged <= statistics.bytes_taken);
        assert!(statistics.bytes_skipped <= statistics.bytes_received);
        assert!(statistics.pongs_received <= statistics.bytes_received / 20);
        assert_eq!(connection.is_over(), self.closed.is_some(), "over, but not Closed, or the other way round");
        if let Some(closed) = &self.closed {
            assert_eq!(closed.received, statistics.messages_received);
            self.check_unsent(closed);
            assert_eq!(connection.queued(), 0);
        }
        // What came and what was offered is kept by the trace and by the checks too, and lent memory by the player.
        let memory = memory::in_use().saturating_sub(self.memory_before + self.player.kept_bytes());
        let bound = (1 << 20) + 16 * (self.moved + statistics.bytes_handed_out as usize);
        assert!(memory <= bound, "{memory} bytes in use after {} came or were offered", self.moved);
    }

    /// What comes back is the end of what was accepted, in each class.
    fn check_unsent(&self, closed: &Closed) {
        let handed_out = self.player.connection.statistics().messages_handed_out as usize;
        assert_eq!(closed.unsent.len() + handed_out, self.accepted.len());
        let mut accepted: Vec<&Message<'_>> = self.accepted.iter().collect();
        for message in closed.unsent.iter().rev() {
            let last = accepted.iter().rposition(|accepted| accepted.class == message.class).expect("it was accepted");
            assert_eq!(accepted.remove(last), message, "what comes back is not what was accepted last");
        }
    }

    /// The stream ends; by now there is an end, it stays the end, and all of it would go the same way again.
    fn finish(mut self) {
        if !self.player.connection.is_over() {
            self.apply(Operation::Disconnected(Disconnect::EndOfStream));
        }
        assert!(self.closed.is_some());
        self.wait_for_the_end();
        self.now = self.latest + Duration::from_secs(3_600);
        self.apply(Operation::Timeout);
        self.apply(Operation::Received(Bytes::from_static(&[0xF7; 20])));
        self.apply(Operation::Abort);
        self.exchange();
        self.play_again();
    }

    /// Time alone ends it (PW-CLS-012), in the time that it may begin anew once (PW-TIM-001). Meanwhile it is asked now and then what was
    /// acknowledged.
    fn wait_for_the_end(&mut self) {
        let end = self.latest + self.trace.config.timeouts.linger * 2;
        let mut steps = 0;
        while let Some(next) = self.next_deadline() {
            steps += 1;
            assert!(steps <= 20 && next <= end, "an end that does not come");
            self.now = next;
            self.apply(Operation::Timeout);
        }
        assert_eq!(self.shutdown, Shutdown::Close);
    }

    /// The same, but all bytes come the ordinary way, and time never goes back.
    fn play_again(self) {
        let Self { player, mut trace, plain, misused, .. } = self;
        let known = |doing: &Doing| match doing {
            Doing::Known(operation) => Some(operation.clone()),
            _ => None,
        };
        let steps = plain.iter().map(|(at, doing, _)| Some(Step { at: *at, operation: known(doing)? }));
        let statistics = if let Some(steps) = steps.collect::<Option<Vec<Step>>>() {
            trace.steps = steps;
            let replay = trace.replay();
            for (mut outcome, (_, doing, before)) in replay.outcomes.into_iter().zip(&plain) {
                if misused {
                    outcome.events.iter_mut().for_each(forget_heard);
                }
                assert_eq!(outcome, *before, "another time, another way for {doing:?}");
            }
            replay.statistics
        } else {
            let mut again = Player::new(trace.role, &trace.config, trace.seed);
            for (at, doing, before) in &plain {
                let mut outcome = again.apply(*at, doing).outcome;
                if misused {
                    outcome.events.iter_mut().for_each(forget_heard);
                }
                assert_eq!(outcome, *before, "another time, another way for {doing:?}");
            }
            again.connection.statistics()
        };
        if !misused {
            assert_eq!(statistics, player.connection.statistics());
        }
    }
}

fn forget_heard(event: &mut Event<'_>) {
    if let Event::Closed(closed) = event {
        closed.heard = false;
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
