//! The scripted side: it sends exactly the bytes that a case wants, and believes nothing.

mod expect;
mod flood;
mod handshake;
mod inspect;
#[cfg(test)]
mod tests;
mod write;

use std::fmt;
use std::io::ErrorKind;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::chunking::{Chunking, Cutter};
use crate::clock;
use crate::codec::registry::kind;
use crate::codec::{Hello, Packet, Parser};
use crate::edits::Edits;
use crate::packet_text;
use crate::role::Role;
use crate::setting::Setting;
use crate::transcript::ConnectionTranscript;
use crate::verdict::{Failure, in_vain, violation};
use crate::world::Stream;

pub(crate) use expect::Message;
pub(crate) use flood::{Flood, Flooding};
use inspect::BetweenFrames;

/// How long a case waits for what must come at once. Generous: a busy machine is no violation.
pub(crate) const PATIENCE: Duration = Duration::from_secs(5);

/// Bytes that the slowest implementation reads in a second, on a busy machine.
const SLOWEST: u32 = 1 << 20;

/// Bytes that are read at once.
const BUFFER: usize = 16_384;
/// The longest that a case reads or writes one connection of several without a look at the others.
const AT_ONCE: Duration = Duration::from_millis(10);

/// What came from the subject.
pub(crate) enum Arrival {
    /// A valid packet.
    Packet(Packet),
    /// The end of the stream.
    End,
    /// The connection was reset.
    Reset,
}

impl fmt::Debug for Arrival {
    /// In words, as sentences for people have it.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Packet(packet) => formatter.write_str(&packet_text::describe(packet)),
            Self::End => formatter.write_str("the end of the stream"),
            Self::Reset => formatter.write_str("a reset"),
        }
    }
}

/// The suite's end of one connection.
pub(crate) struct Peer {
    /// Until this side cuts it.
    stream: Option<Stream>,
    /// The role of the subject, not of this side.
    pub(crate) subject_role: Role,
    /// Which of the case's [`Running`](crate::subject::Running) has the other end.
    pub(crate) runner: usize,
    /// What this side announces; cases change it before the handshake.
    pub(crate) hello: Hello,
    /// What the subject announced.
    pub(crate) subject_hello: Option<Hello>,
    /// Whether a PING is answered as it comes, or given to the case.
    pub(crate) answers_pings: bool,
    /// Whether the subject may stop in the middle of a packet: it was told of a fault, behind which nothing is asked of it.
    pub(crate) may_be_cut_off: bool,
    /// After how much silence the subject sends a PING, at most; the PING floor of this side may make it longer.
    pub(crate) ping_due: Duration,
    /// Cuts what is sent.
    pub(crate) cutter: Cutter,
    /// What differs from what cases are written for, apart from [`hello`](Self::hello).
    pub(crate) setting: Setting,
    /// What is changed about the case.
    pub(crate) edits: Arc<Edits>,
    /// How many writes the case has begun.
    writes: u32,
    /// Messages of which less was sent, and what was sent of them.
    shortened: Vec<(Message, Message)>,
    /// Bytes that were sent since something else came than BUSY.
    unanswered: u32,
    /// Taken just before the last bytes were sent: the subject's silence began no earlier.
    pub(crate) last_sent_at: Instant,
    parser: Parser,
    first_packet_came: bool,
    ended: Option<Ended>,
    write_failed: bool,
    /// What the suite waits for, as far as a case has said it.
    due: Option<String>,
    transcript: ConnectionTranscript,
    highest_ping_seen: Option<u64>,
    drain_seen: bool,
    next_ping: u64,
    open_message: Option<Message>,
    between_frames: BetweenFrames,
    /// Messages received whole from the subject.
    pub(crate) received: u64,
    markers: u64,
}

#[derive(Clone, Copy)]
enum Ended {
    InOrder,
    Reset,
}

impl Peer {
    /// Takes over a connection on which nothing was sent yet.
    pub(crate) fn new(
        stream: Stream,
        subject_role: Role,
        runner: usize,
        sync_key: u32,
        transcript: ConnectionTranscript,
    ) -> Self {
        let hello = Hello {
            lowest_version: 1,
            highest_version: 1,
            sync_key,
            frame_limit: 65_536,
            message_limit: 16_777_216,
            ping_floor: 10,
            resync: false,
        };
        Self {
            stream: Some(stream),
            subject_role,
            runner,
            hello,
            subject_hello: None,
            answers_pings: true,
            may_be_cut_off: false,
            ping_due: Duration::ZERO,
            cutter: Cutter::new(Chunking::Whole, 0),
            setting: Setting::PLAIN,
            edits: Arc::default(),
            writes: 0,
            shortened: Vec::new(),
            unanswered: 0,
            last_sent_at: clock::now(),
            parser: Parser::new(),
            first_packet_came: false,
            ended: None,
            write_failed: false,
            due: None,
            transcript,
            highest_ping_seen: None,
            drain_seen: false,
            next_ping: 1,
            open_message: None,
            between_frames: BetweenFrames::default(),
            received: 0,
            markers: 0,
        }
    }

    /// The key for what this side sends: 0 until the handshake is done.
    pub(crate) fn key(&self) -> u32 {
        self.subject_hello.as_ref().map_or(0, |hello| hello.sync_key)
    }

    /// What the subject announced.
    ///
    /// # Panics
    ///
    /// Before the handshake.
    pub(crate) fn announced(&self) -> &Hello {
        self.subject_hello.as_ref().expect("a case asks only after the handshake")
    }

    /// Ends this side's direction of the stream.
    pub(crate) fn half_close(&mut self) {
        self.stream().half_close();
    }

    /// Resets the connection, which is of no use from then on.
    pub(crate) fn cut(&mut self) -> Result<(), Failure> {
        let harness = |error: std::io::Error| Failure::Harness(format!("the connection cannot be reset: {error}"));
        self.stream().cut_when_dropped().map_err(harness)?;
        self.stream = None;
        self.transcript.note("the suite resets the connection".into());
        Ok(())
    }

    /// # Panics
    ///
    /// After [`cut`](Self::cut).
    fn stream(&mut self) -> &mut Stream {
        self.stream.as_mut().expect("a case does not go on with a connection that it cut")
    }

    /// Notes that this is due next.
    fn expecting(&mut self, what: impl Into<String>) {
        let what = what.into();
        self.transcript.expected(what.clone());
        self.due = Some(what);
    }

    /// The next arrival, within [`PATIENCE`].
    pub(crate) fn receive(&mut self) -> Result<Arrival, Failure> {
        self.receive_within(PATIENCE)
    }

    /// The next arrival, which must come in time, or at least more of it. A subject that was sent much has longer.
    fn receive_within(&mut self, patience: Duration) -> Result<Arrival, Failure> {
        let patience = patience + Duration::from_secs(1) * self.unanswered / SLOWEST;
        loop {
            let before = self.parser.rest().len();
            match self.receive_by(clock::now() + patience)? {
                Some(arrival) => {
                    self.due = None;
                    return Ok(arrival);
                }
                // More of a large packet has come meanwhile.
                None if self.parser.rest().len() > before => {}
                None => {
                    let due = self.due.take().map(|what| format!("; {what} was due")).unwrap_or_default();
                    let sentence = format!("nothing came from the subject for {} s{due}", patience.as_secs());
                    return in_vain(patience, sentence);
                }
            }
        }
    }

    /// As [`receive_within`](Self::receive_within), but for BUSY: a subject that is asked for no pause may make one all the same, where it
    /// does not keep up with what comes (PW-HB-019), and takes as much longer. Not for ever: what a case sends is soon dealt with.
    fn receive_beside_pauses(&mut self, patience: Duration) -> Result<Arrival, Failure> {
        let (due, mut wait) = (self.due.clone(), patience);
        let latest = clock::now() + patience * 4;
        loop {
            match self.receive_within(wait)? {
                Arrival::Packet(packet) if packet.kind == kind::BUSY => {
                    let pause = Duration::from_millis(packet.pause().into());
                    wait = (patience + pause).min(latest.saturating_duration_since(clock::now()));
                    self.due.clone_from(&due);
                }
                arrival => return Ok(arrival),
            }
        }
    }

    /// The next arrival, or `None` if none came by `deadline`.
    pub(crate) fn receive_by(&mut self, deadline: Instant) -> Result<Option<Arrival>, Failure> {
        loop {
            if let Some(packet) = self.parse()? {
                if packet.kind == kind::PING && self.answers_pings {
                    self.answer(packet.number())?;
                    continue;
                }
                // Only that it is alive is said by BUSY.
                if packet.kind != kind::BUSY {
                    self.unanswered = 0;
                }
                return Ok(Some(Arrival::Packet(packet)));
            }
            match self.ended {
                Some(Ended::InOrder) if !self.parser.rest().is_empty() && !self.may_be_cut_off => {
                    return violation("PW-HDR-001: the stream ended in the middle of a packet");
                }
                Some(Ended::InOrder) => return Ok(Some(Arrival::End)),
                Some(Ended::Reset) => return Ok(Some(Arrival::Reset)),
                None => {}
            }
            let left = deadline.saturating_duration_since(clock::now());
            if left.is_zero() {
                return Ok(None);
            }
            self.read(left)?;
        }
    }

    /// Answers the PINGs that are there. Whatever else comes is for the case to look at, and so are PINGs behind it.
    pub(crate) fn answer_pings(&mut self) -> Result<(), Failure> {
        self.read_at_once(BUFFER)?;
        while self.answers_pings && self.parser.next_is(kind::PING) {
            let Some(ping) = self.parse()? else { break };
            self.answer(ping.number())?;
        }
        Ok(())
    }

    /// Whether a write since the end of the stream was answered with a reset.
    pub(crate) fn was_reset(&mut self) -> Result<bool, Failure> {
        let harness = |error: std::io::Error| Failure::Harness(format!("the socket cannot be asked: {error}"));
        let error = self.stream().take_error().map_err(harness)?;
        if let Some(error) = &error {
            self.transcript.note(format!("after the end: {:?}", error.kind()));
        }
        Ok(error.is_some() || self.write_failed)
    }

    /// Reads at most so many bytes of what is there, and leaves them to the next demand: quick enough to keep pace on a busy machine.
    /// Tells how many it took; `None` if the stream has ended.
    pub(crate) fn read_some(&mut self, most: usize) -> Result<Option<usize>, Failure> {
        self.read_some_within(most, PATIENCE)
    }

    /// As [`read_some`](Self::read_some), no longer than [`AT_ONCE`]: small pieces may come as fast as they are read.
    pub(crate) fn read_at_once(&mut self, most: usize) -> Result<Option<usize>, Failure> {
        self.read_some_within(most, AT_ONCE)
    }

    fn read_some_within(&mut self, most: usize, limit: Duration) -> Result<Option<usize>, Failure> {
        if self.ended.is_some() {
            return Ok(None);
        }
        let begin = self.parser.rest().len();
        let mut taken = 0;
        let began = clock::now();
        while taken < most && clock::elapsed(began) < limit {
            self.read_at_most((most - taken).min(BUFFER), Duration::ZERO)?;
            if self.ended.is_some() {
                return Ok(None);
            }
            let now = self.parser.rest().len() - begin;
            if now == taken {
                break;
            }
            taken = now;
        }
        Ok(Some(taken))
    }

    /// Reads what is there, in memory, without giving the subject a turn, and leaves it to the next demand.
    pub(crate) fn read_there(&mut self) -> Result<(), Failure> {
        while self.ended.is_none() && self.stream().has_unread() {
            self.read_at_most(BUFFER, Duration::ZERO)?;
        }
        Ok(())
    }

    /// Waits until the subject has begun to send something, and leaves that to the next demand.
    pub(crate) fn await_bytes(&mut self) -> Result<(), Failure> {
        self.read_at_most(1, PATIENCE)?;
        let came = !self.parser.rest().is_empty();
        let sentence = || format!("nothing came from the subject for {} s", PATIENCE.as_secs());
        if came { Ok(()) } else { in_vain(PATIENCE, sentence()) }
    }

    /// Reads until so many bytes wait at least, and on until nothing comes for a moment, and leaves them to the next demand: that is
    /// faster than to look at them.
    pub(crate) fn read_ahead(&mut self, least: usize) -> Result<(), Failure> {
        const MOMENT: Duration = Duration::from_millis(100);
        while self.ended.is_none() {
            let before = self.parser.rest().len();
            self.read_at_most(BUFFER, if before < least { PATIENCE } else { MOMENT })?;
            if self.parser.rest().len() == before {
                break;
            }
        }
        Ok(())
    }

    fn read(&mut self, timeout: Duration) -> Result<(), Failure> {
        self.read_at_most(BUFFER, timeout)
    }

    fn read_at_most(&mut self, most: usize, timeout: Duration) -> Result<(), Failure> {
        let harness = |error: std::io::Error| Failure::Harness(format!("reading failed: {error}"));
        let mut buffer = [0; BUFFER];
        match self.stream().read(&mut buffer[..most], timeout) {
            Ok(None) => {}
            Ok(Some(0)) => {
                self.transcript.ended();
                self.ended = Some(Ended::InOrder);
            }
            Ok(Some(count)) => self.parser.push(&buffer[..count]),
            Err(error) => match error.kind() {
                ErrorKind::ConnectionReset | ErrorKind::ConnectionAborted | ErrorKind::BrokenPipe => {
                    self.transcript.reset();
                    self.ended = Some(Ended::Reset);
                }
                _ => return Err(harness(error)),
            },
        }
        Ok(())
    }

    fn parse(&mut self) -> Result<Option<Packet>, Failure> {
        let packet = match self.parser.next_packet() {
            Ok(None) => return Ok(None),
            Ok(Some(packet)) => packet,
            Err(sentence) => {
                self.transcript.received_invalid(self.parser.rest(), &sentence);
                return Err(Failure::Violation(sentence));
            }
        };
        self.transcript.received(&packet, self.parser.last());
        if !self.first_packet_came {
            self.first_packet_came = true;
            self.parser.set_key(self.hello.sync_key);
        }
        self.inspect(&packet)?;
        Ok(Some(packet))
    }
}
