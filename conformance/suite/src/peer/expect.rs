//! What a case may demand of the subject next.

use std::time::{Duration, Instant};

use super::handshake::describe;
use super::{Arrival, PATIENCE, Peer};
use crate::clock;
use crate::codec::registry::{flag, kind, reason};
use crate::codec::{Close, Packet};
use crate::setting::{Shape, Size};
use crate::verdict::{Failure, Outcome, require, violation};

/// The most bytes to which a message or a frame grows.
const LONGEST: u32 = 100_000;
/// Larger frames than these are not filled outside of virtual time: a slow link may have to carry them.
const LONGEST_ON_SOCKETS: u32 = 4_096;
/// The most bytes that the other frames of a message have of which one grows.
const OTHER_FRAMES: u32 = 256;

/// A message as the application sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Message {
    pub(crate) class: u8,
    pub(crate) encrypted: bool,
    pub(crate) payload: Vec<u8>,
}

impl Message {
    pub(crate) fn new(class: u8, payload: impl Into<Vec<u8>>) -> Self {
        Self { class, encrypted: false, payload: payload.into() }
    }

    /// The frames of the message, each with `size` bytes of payload at most.
    pub(crate) fn frames(&self, size: usize) -> Vec<Packet> {
        let mark = if self.encrypted { flag::ENCRYPTED } else { 0 };
        let mut pieces: Vec<&[u8]> = self.payload.chunks(size).collect();
        if pieces.is_empty() {
            pieces.push(&[]);
        }
        let last = pieces.len() - 1;
        let flags = |index| (if index == 0 { flag::FIRST } else { 0 }) | (if index == last { 0 } else { flag::MORE });
        pieces.iter().enumerate().map(|(index, piece)| Packet::data(mark | flags(index), self.class, *piece)).collect()
    }
}

impl Peer {
    /// The subject lives and its application works: a message that was never sent before comes back, and nothing else.
    ///
    /// Messages of one class keep their order, so in the plain setting this also proves that no earlier message of class 0 was
    /// delivered that the case has not seen.
    pub(crate) fn alive(&mut self) -> Outcome {
        self.markers += 1;
        let marker = self.marker(format!("marker {}", self.markers));
        self.echo(&marker)
    }

    /// A message that says this, of the shape that the run wants, as far as both sides take it.
    fn marker(&self, text: String) -> Message {
        let Shape { class, encrypted, .. } = self.setting.shape();
        let both_take = self.announced().message_limit.min(self.hello.message_limit);
        Message { class, encrypted, payload: self.grown(text.into_bytes(), both_take) }
    }

    /// The payload, and behind it what makes it as long as the run wants, but no longer than `most`.
    fn grown(&self, mut payload: Vec<u8>, most: u32) -> Vec<u8> {
        let frame = self.announced().frame_limit;
        if let Size::Frame { more } = self.setting.shape().size
            && (clock::is_virtual() || frame <= LONGEST_ON_SOCKETS)
        {
            let wanted = (frame as usize + more).min(most.min(LONGEST) as usize);
            payload.resize(wanted.max(payload.len()), b'.');
        }
        payload
    }

    /// A frame as long as the run wants, on the wire. The message that it belongs to is not to become too large.
    pub(crate) fn long_frame(&self, frame: &Packet) -> Vec<u8> {
        let is_whole = frame.has(flag::FIRST) && !frame.has(flag::MORE);
        let others = if is_whole { 0 } else { OTHER_FRAMES };
        let hello = self.announced();
        let most = hello.frame_limit.min(hello.message_limit.saturating_sub(others));
        let payload = self.grown(frame.payload.clone(), most);
        Packet { payload, ..*frame }.encode(self.key())
    }

    /// The packet on the wire with one bit of its trailer wrong; a frame is as long as the run wants.
    pub(crate) fn with_wrong_trailer(&self, packet: &Packet) -> Vec<u8> {
        assert!(packet.has(flag::CHECKSUM), "only a packet with CHECKSUM has a trailer");
        let is_frame = packet.kind == kind::DATA;
        let mut bytes = if is_frame { self.long_frame(packet) } else { packet.encode(self.key()) };
        *bytes.last_mut().expect("a packet is not empty") ^= 1;
        bytes
    }

    /// The next message must be this one.
    pub(crate) fn expect_message(&mut self, message: &Message) -> Outcome {
        let came = self.next_message()?;
        let message = self.as_sent(message);
        require(came == *message, format!("the message {} came instead of {}", shorten(&came), shorten(message)))
    }

    /// The next message, put together from its frames.
    pub(crate) fn next_message(&mut self) -> Result<Message, Failure> {
        loop {
            let packet = self.expect_kind(kind::DATA)?;
            if let Some(message) = self.take_frame(packet)? {
                return Ok(message);
            }
        }
    }

    /// Adds a frame; gives the message that it completes.
    pub(crate) fn take_frame(&mut self, packet: Packet) -> Result<Option<Message>, Failure> {
        let Packet { class, .. } = packet;
        require(packet.kind == kind::DATA, format!("{} came between messages", describe(&packet)))?;
        let (first, more) = (packet.has(flag::FIRST), packet.has(flag::MORE));
        let encrypted = packet.has(flag::ENCRYPTED);
        require(!more || !packet.payload.is_empty(), "PW-DAT-004: an empty frame with MORE")?;
        let message = match (self.open_message.take(), first) {
            (None, true) => Message { class, encrypted, payload: packet.payload },
            (None, false) => return violation("PW-DAT-002: a frame without FIRST while no message is open"),
            (Some(open), true) => {
                require(!more, "PW-DAT-005: a message begins while another is open")?;
                require(open.class != class, "PW-DAT-006: a whole message of the class of the open one")?;
                self.open_message = Some(open);
                self.received += 1;
                return Ok(Some(Message { class, encrypted, payload: packet.payload }));
            }
            (Some(mut open), false) => {
                let same = open.class == class && open.encrypted == encrypted;
                require(same, "PW-DAT-003: class or ENCRYPTED changes within a message")?;
                open.payload.extend_from_slice(&packet.payload);
                open
            }
        };
        let (size, limit) = (message.payload.len(), self.hello.message_limit as usize);
        require(size <= limit, format!("PW-DAT-009: a message above the announced limit of {limit} bytes"))?;
        if more {
            self.open_message = Some(message);
            return Ok(None);
        }
        self.received += 1;
        Ok(Some(message))
    }

    /// The next packet, which must be of this kind.
    pub(crate) fn expect_kind(&mut self, kind: u8) -> Result<Packet, Failure> {
        self.expect_kind_within(kind, PATIENCE)
    }

    fn expect_kind_within(&mut self, kind: u8, patience: Duration) -> Result<Packet, Failure> {
        self.expecting(kind::name(kind));
        match self.receive_beside_pauses(patience)? {
            Arrival::Packet(packet) if packet.kind == kind => Ok(packet),
            Arrival::Packet(packet) => violation(format!("{} came instead of {}", describe(&packet), kind::name(kind))),
            Arrival::End => violation(format!("the stream ended without {}", kind::name(kind))),
            Arrival::Reset => violation(format!("the connection was reset without {}", kind::name(kind))),
        }
    }

    /// The next packet must be a REJECT of this message of class 0, for this reason.
    pub(crate) fn expect_reject(&mut self, ordinal: u64, code: u16) -> Outcome {
        self.expect_reject_of(0, ordinal, code)
    }

    /// The next packet must be a REJECT of this message of this class, for this reason.
    pub(crate) fn expect_reject_of(&mut self, class: u8, ordinal: u64, code: u16) -> Outcome {
        let (came, due) = (self.expect_kind(kind::REJECT)?.rejected(), (class, ordinal, code));
        require(came == due, format!("REJECT with class, ordinal and reason {came:?} came instead of {due:?}"))
    }

    /// The next packet must be a CLOSE with this reason.
    pub(crate) fn expect_close(&mut self, code: u16) -> Result<Close, Failure> {
        self.expecting(format!("CLOSE with {}", reason::name(code)));
        match self.receive_beside_pauses(PATIENCE)? {
            Arrival::Packet(packet) if packet.kind == kind::CLOSE => self.check_close(&packet, code),
            Arrival::Packet(packet) => {
                violation(format!("{} came instead of CLOSE with {}", describe(&packet), reason::name(code)))
            }
            Arrival::End => violation(format!("the stream ended without CLOSE; {} was due", reason::name(code))),
            Arrival::Reset => violation(format!("reset without CLOSE; {} was due", reason::name(code))),
        }
    }

    /// Nothing more comes: the stream ends. A reset is as good; the requirement about resets has cases of its own.
    pub(crate) fn expect_end(&mut self) -> Outcome {
        self.expecting("the end of the stream");
        match self.receive()? {
            Arrival::End | Arrival::Reset => Ok(()),
            Arrival::Packet(packet) => violation(format!("{} came instead of the end", describe(&packet))),
        }
    }

    /// The end, before which a CLOSE with this reason may come.
    pub(crate) fn expect_end_or_close(&mut self, code: u16) -> Outcome {
        self.expecting(format!("the end of the stream, or CLOSE with {}", reason::name(code)));
        match self.receive()? {
            Arrival::End | Arrival::Reset => Ok(()),
            Arrival::Packet(packet) => {
                self.check_close(&packet, code)?;
                self.expect_end()
            }
        }
    }

    /// CLOSE with this reason, and then the end.
    pub(crate) fn expect_rejection(&mut self, code: u16) -> Result<Close, Failure> {
        let close = self.expect_close(code)?;
        self.expect_end()?;
        Ok(close)
    }

    /// A PING and its PONG, with nothing between: everything sent before has been processed.
    pub(crate) fn barrier(&mut self) -> Outcome {
        let number = self.next_ping_number();
        self.send(&Packet::ping(number))?;
        self.expect_pong(number)
    }

    /// The number for the next PING of this side.
    pub(crate) fn next_ping_number(&mut self) -> u64 {
        self.next_ping += 1;
        self.next_ping
    }

    /// The next packet must be a PONG with this number.
    pub(crate) fn expect_pong(&mut self, number: u64) -> Outcome {
        let came = self.expect_kind(kind::PONG)?.number();
        require(came == number, format!("PW-HB-008: PONG {came} came instead of PONG {number}"))
    }

    /// The next PING of the subject and when it came; for peers that do not answer by themselves.
    pub(crate) fn expect_ping(&mut self) -> Result<(u64, Instant), Failure> {
        self.expect_ping_after(Duration::ZERO)
    }

    /// As [`expect_ping`](Self::expect_ping), where a pause of the peer comes first.
    pub(crate) fn expect_ping_after(&mut self, pause: Duration) -> Result<(u64, Instant), Failure> {
        let floor = Duration::from_millis(self.hello.ping_floor.into());
        let due = pause + self.ping_due.max(floor);
        let number = self.expect_kind_within(kind::PING, due + PATIENCE)?.number();
        Ok((number, clock::now()))
    }

    /// Closes in an orderly way: CLOSE, CLOSE_ACK and the end. Gives the subject's final count.
    pub(crate) fn close(&mut self) -> Result<u64, Failure> {
        self.send(&Close::new(reason::NORMAL, self.received).to_packet())?;
        let count = self.expect_kind(kind::CLOSE_ACK)?.number();
        self.half_close();
        self.expect_end()?;
        Ok(count)
    }
}

fn shorten(message: &Message) -> String {
    let text = String::from_utf8_lossy(&message.payload[..message.payload.len().min(24)]).into_owned();
    let Message { class, encrypted, payload } = message;
    format!("[class {class}, encrypted {encrypted}, {} bytes: {text:?}]", payload.len())
}
