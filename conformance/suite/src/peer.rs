//! The scripted side: it sends exactly the bytes that a case wants, and believes nothing.

mod expect;
mod handshake;
mod inspect;

use std::io::ErrorKind;
use std::time::{Duration, Instant};

use crate::chunking::{Chunking, Cutter};
use crate::clock;
use crate::codec::registry::kind;
use crate::codec::{Header, Hello, Packet, Parser};
use crate::role::Role;
use crate::transcript::ConnectionTranscript;
use crate::verdict::{Failure, violation};
use crate::world::Stream;

pub(crate) use expect::Message;
use inspect::BetweenFrames;

/// How long a case waits for what must come at once. Generous: a busy machine is no violation.
pub(crate) const PATIENCE: Duration = Duration::from_secs(5);

/// Bytes that are read at once.
const BUFFER: usize = 16_384;

/// What came from the subject.
#[derive(Debug)]
pub(crate) enum Arrival {
    /// A valid packet.
    Packet(Packet),
    /// The end of the stream.
    End,
    /// The connection was reset.
    Reset,
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
    /// Taken just before the last bytes were sent: the subject's silence began no earlier.
    pub(crate) last_sent_at: Instant,
    parser: Parser,
    first_packet_came: bool,
    ended: Option<Ended>,
    write_failed: bool,
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
            last_sent_at: clock::now(),
            parser: Parser::new(),
            first_packet_came: false,
            ended: None,
            write_failed: false,
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

    /// Sends bytes as they are, cut as the run wants it.
    ///
    /// A connection that the subject has ended is no failure here: what it sent before tells whether it was right.
    pub(crate) fn send_raw(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.transcript.sent(bytes, self.key());
        let mut left = bytes;
        for length in self.cutter.cut(bytes.len()) {
            let (piece, rest) = left.split_at(length);
            self.write(piece)?;
            if self.write_failed {
                break;
            }
            left = rest;
            if !left.is_empty() {
                // Or a subject in memory would see none of the cuts.
                clock::give_way();
            }
        }
        Ok(())
    }

    fn write(&mut self, piece: &[u8]) -> Result<(), Failure> {
        self.last_sent_at = clock::now();
        match self.stream().write_all(piece, PATIENCE) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == ErrorKind::TimedOut => {
                violation(format!("the subject read nothing for {} s", PATIENCE.as_secs()))
            }
            Err(error) => {
                self.transcript.note(format!("a write failed: {:?}", error.kind()));
                self.write_failed = true;
                Ok(())
            }
        }
    }

    pub(crate) fn send(&mut self, packet: &Packet) -> Result<(), Failure> {
        self.send_raw(&packet.encode(self.key()))
    }

    /// Sends packets in one piece.
    pub(crate) fn send_glued(&mut self, packets: &[Packet]) -> Result<(), Failure> {
        let key = self.key();
        let bytes: Vec<u8> = packets.iter().flat_map(|packet| packet.encode(key)).collect();
        self.send_raw(&bytes)
    }

    /// Sends only the header of a packet whose payload would have `length` bytes.
    pub(crate) fn send_header(&mut self, packet: &Packet, length: u32) -> Result<(), Failure> {
        let header = Header { length, ..packet.header() };
        self.send_raw(&header.encode(self.key()))
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

    /// The next arrival, within [`PATIENCE`].
    pub(crate) fn receive(&mut self) -> Result<Arrival, Failure> {
        self.receive_within(PATIENCE)
    }

    /// The next arrival, which must come in time, or at least more of it.
    fn receive_within(&mut self, patience: Duration) -> Result<Arrival, Failure> {
        loop {
            let before = self.parser.rest().len();
            match self.receive_by(clock::now() + patience)? {
                Some(arrival) => return Ok(arrival),
                // More of a large packet has come meanwhile.
                None if self.parser.rest().len() > before => {}
                None => return violation(format!("nothing came from the subject for {} s", patience.as_secs())),
            }
        }
    }

    /// The next arrival, or `None` if none came by `deadline`.
    pub(crate) fn receive_by(&mut self, deadline: Instant) -> Result<Option<Arrival>, Failure> {
        loop {
            if let Some(packet) = self.parse()? {
                if packet.kind == kind::PING && self.answers_pings {
                    self.send(&Packet::pong(packet.number()))?;
                    continue;
                }
                return Ok(Some(Arrival::Packet(packet)));
            }
            match self.ended {
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
        let begin = self.parser.rest().len();
        let mut taken = 0;
        while taken < most {
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

    /// Waits until the subject has begun to send something, and leaves that to the next demand.
    pub(crate) fn await_bytes(&mut self) -> Result<(), Failure> {
        self.read_at_most(1, PATIENCE)?;
        let came = !self.parser.rest().is_empty();
        if came { Ok(()) } else { violation(format!("nothing came from the subject for {} s", PATIENCE.as_secs())) }
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
                if !self.parser.rest().is_empty() && !self.may_be_cut_off {
                    return violation("PW-HDR-001: the stream ended in the middle of a packet");
                }
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
