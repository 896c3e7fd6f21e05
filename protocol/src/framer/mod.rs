//! Cuts the received stream into verified packets (sections 3 to 5 of the specification).
//!
//! Small packets stay in the driver's buffer until they are whole, and are lent from it. A large one that is only partly
//! there moves into a buffer of its own, which the driver may fill directly.

mod fragments;
mod resync;

use alloc::boxed::Box;
use core::time::Duration;

use bytes::BytesMut;

pub(crate) use fragments::{Fate, Fragments};
use resync::Resync;

use crate::config::Timeouts;
use crate::error::ProtocolError;
use crate::message::Payload;
use crate::time::Instant;
use crate::wire::{Flags, HEADER_SIZE, Header, MessageHeaders, TRAILER_SIZE, payload_checksum};

/// From this size on, a partial packet gets a buffer of its own, and a payload to be sent is referenced, not copied.
///
/// Copying 2 KiB costs about as much as the bookkeeping of a reference does.
pub(crate) const LARGE: usize = 2_048;

/// How much memory a partial packet gets ahead of its bytes (PW-FRM-013).
const RESERVE: usize = 64 << 10;

/// What [`Framer::header`] found.
pub(crate) enum Step {
    /// The input begins with this verified header, not yet consumed.
    Header(Header),
    /// This many bytes were skipped; ask again.
    Gap(u64),
    /// More bytes are needed. Whether more of a payload came whose header is verified (PW-HB-002).
    Incomplete { payload_grew: bool },
}

/// A packet's payload, verified.
pub(crate) enum Body<'b> {
    /// In the driver's buffer.
    Borrowed(&'b [u8]),
    /// In a buffer of its own, behind what that held before.
    Owned(BytesMut),
}

impl<'b> Body<'b> {
    pub(crate) fn bytes(&self) -> &[u8] {
        match self {
            Self::Borrowed(bytes) => bytes,
            Self::Owned(buffer) => buffer,
        }
    }

    pub(crate) fn into_payload(self) -> Payload<'b> {
        match self {
            Self::Borrowed(bytes) => Payload::Borrowed(bytes),
            Self::Owned(buffer) => Payload::Owned(buffer.freeze()),
        }
    }
}

/// What became of a packet's payload.
pub(crate) enum Arrival<'b> {
    Whole(Header, Body<'b>),
    /// The trailer is wrong; the packet was dropped, with this many bytes in all.
    Damaged(Header, u64),
    /// As [`Step::Incomplete`].
    Incomplete {
        payload_grew: bool,
    },
}

/// A large packet under way.
struct Partial {
    header: Header,
    /// Empty while it is lent.
    buffer: BytesMut,
    /// Bytes in `buffer` that were there before this packet.
    start: usize,
    /// The buffer's capacity while it is lent, else 0.
    lent: usize,
}

impl Partial {
    /// Bytes of payload and trailer still to come. Taken from the buffer itself, so that it is right whatever a driver that
    /// borrowed it says.
    fn missing(&self) -> usize {
        (self.start + self.header.body_size()).saturating_sub(self.buffer.len())
    }

    /// Makes room for `bytes` more as they arrive, never for all that a length field promises (PW-FRM-013).
    fn reserve(&mut self, bytes: usize) {
        let ahead = self.missing().min(RESERVE.max(self.buffer.len()));
        self.buffer.reserve(ahead.max(bytes));
    }
}

/// Where in the stream this side stands. What is incomplete is looked at again from its beginning, or kept in a buffer of its
/// own, so it makes no difference how the stream was cut (PW-FRM-001).
pub(crate) struct Framer {
    /// What the peer mixes into headers; 0 before the first packet, and never again (PW-KEY-003).
    key: u32,
    /// The headers of messages as they should come from now on: with a checksum, if this side resynchronises.
    messages: MessageHeaders,
    resync: Option<Box<Resync>>,
    /// Bytes that the driver's buffer must hold before another look is worth while.
    wanted: usize,
    /// Bytes that it held at the last look.
    seen: usize,
    /// The length of the incomplete packet, once its header is verified.
    length: Option<u32>,
    /// When the first byte of the incomplete packet came.
    since: Option<Instant>,
    partial: Option<Box<Partial>>,
}

impl Framer {
    pub(crate) fn new() -> Self {
        Self {
            key: 0,
            messages: MessageHeaders::new(0, false),
            resync: None,
            wanted: HEADER_SIZE,
            seen: 0,
            length: None,
            since: None,
            partial: None,
        }
    }

    /// The first packet was received: from now on headers carry `key`, and damage is skipped if `resync`.
    pub(crate) fn establish(&mut self, key: u32, resync: bool) {
        self.key = key;
        self.messages = MessageHeaders::new(key, resync);
        self.resync = resync.then(Box::default);
    }

    pub(crate) fn resynchronises(&self) -> bool {
        self.resync.is_some()
    }

    /// The message at the front of the input, if it lies there whole in one frame, is right in every byte, and nothing is
    /// unfinished before it. Gives its header also as the bytes that it is, with the payload behind them. Consumes
    /// nothing.
    #[inline]
    pub(crate) fn whole_message<'b>(&self, input: &&'b [u8]) -> Option<(Header, &'b [u8])> {
        let header = self.messages.verify(input.first_chunk()?)?;
        let (packet, _) = input.split_at_checked(HEADER_SIZE + header.body_size())?;
        if self.resync.as_ref().is_some_and(|resync| resync.in_run()) || self.partial.is_some() {
            return None;
        }
        let payload = verified(&header, &packet[HEADER_SIZE..])?;
        Some((header, &packet[..HEADER_SIZE + payload.len()]))
    }

    /// Looks at the front of the input. Consumes only what is skipped.
    pub(crate) fn header(&mut self, now: Instant, input: &mut &[u8]) -> Result<Step, ProtocolError> {
        if input.len() < self.wanted {
            return Ok(self.wait(now, input.len()));
        }
        let Some((bytes, _)) = input.split_first_chunk() else { return Ok(self.wait(now, input.len())) };
        match Header::verify(bytes, self.key) {
            Some(header) => {
                Ok(self.resync.as_mut().and_then(|resync| resync.end_run()).map_or(Step::Header(header), Step::Gap))
            }
            None => self.skip(now, input),
        }
    }

    fn wait(&mut self, now: Instant, held: usize) -> Step {
        let payload_grew = self.length.is_some() && held > self.seen;
        self.seen = held;
        if held > 0 {
            self.since.get_or_insert(now);
        }
        Step::Incomplete { payload_grew }
    }

    #[cold]
    fn skip(&mut self, now: Instant, input: &mut &[u8]) -> Result<Step, ProtocolError> {
        let Some(resync) = &mut self.resync else {
            return Err(match self.key {
                0 => ProtocolError::NotPulsewire { protocol: looks_like(input) },
                _ => ProtocolError::BadHeader,
            });
        };
        self.wanted = HEADER_SIZE;
        self.length = None;
        self.since = None;
        resync.skip(now, input, self.key)?;
        if input.len() >= HEADER_SIZE {
            return Ok(resync.end_run().map_or(Step::Incomplete { payload_grew: false }, Step::Gap));
        }
        Ok(self.wait(now, input.len()))
    }

    /// Takes the packet whose header [`header`](Self::header) gave. `buffer` is where a large payload is appended.
    pub(crate) fn body<'b>(
        &mut self,
        now: Instant,
        header: Header,
        input: &mut &'b [u8],
        buffer: impl FnOnce() -> BytesMut,
    ) -> Result<Arrival<'b>, ProtocolError> {
        let size = header.body_size();
        let rest = &input[HEADER_SIZE..];
        if let Some((body, tail)) = rest.split_at_checked(size) {
            *input = tail;
            self.forget_packet();
            return match verified(&header, body) {
                Some(payload) => Ok(Arrival::Whole(header, Body::Borrowed(payload))),
                None => self.damaged(now, header),
            };
        }
        self.since.get_or_insert(now);
        self.length = Some(header.length);
        if size < LARGE {
            self.wanted = HEADER_SIZE + size;
            self.seen = input.len();
        } else {
            let buffer = buffer();
            let mut partial = Box::new(Partial { header, start: buffer.len(), buffer, lent: 0 });
            partial.reserve(rest.len());
            partial.buffer.extend_from_slice(rest);
            self.partial = Some(partial);
            *input = &[];
        }
        Ok(Arrival::Incomplete { payload_grew: !rest.is_empty() })
    }

    /// Whether a large packet is under way: then its bytes come first.
    pub(crate) fn has_partial(&self) -> bool {
        self.partial.is_some()
    }

    /// Bytes of the large packet came the ordinary way.
    pub(crate) fn continue_partial<'b>(
        &mut self,
        now: Instant,
        input: &mut &'b [u8],
    ) -> Result<Arrival<'b>, ProtocolError> {
        let Some(partial) = &mut self.partial else { return Ok(Arrival::Incomplete { payload_grew: false }) };
        let (bytes, tail) = input.split_at(partial.missing().min(input.len()));
        partial.buffer.extend_from_slice(bytes);
        *input = tail;
        self.finish_partial(now, !bytes.is_empty())
    }

    /// Lends the large packet's buffer, with spare capacity, and the number of bytes that belong there.
    pub(crate) fn lend(&mut self) -> Option<(BytesMut, usize)> {
        let partial = self.partial.as_mut()?;
        if partial.buffer.capacity() == partial.buffer.len() {
            partial.reserve(1);
        }
        let missing = partial.missing();
        partial.lent = partial.buffer.capacity();
        Some((core::mem::take(&mut partial.buffer), missing))
    }

    /// The lent buffer came back with `received` bytes more.
    pub(crate) fn take_back(
        &mut self,
        now: Instant,
        buffer: BytesMut,
        received: usize,
    ) -> Result<Arrival<'static>, ProtocolError> {
        if let Some(partial) = &mut self.partial {
            (partial.buffer, partial.lent) = (buffer, 0);
        }
        self.finish_partial(now, received > 0)
    }

    fn finish_partial<'b>(&mut self, now: Instant, payload_grew: bool) -> Result<Arrival<'b>, ProtocolError> {
        let Some(partial) = self.partial.take_if(|partial| partial.missing() == 0) else {
            return Ok(Arrival::Incomplete { payload_grew });
        };
        self.forget_packet();
        let Partial { header, mut buffer, start, .. } = *partial;
        let end = start + header.body_size();
        let Some(payload) = verified(&header, &buffer[start..end]) else { return self.damaged(now, header) };
        buffer.truncate(start + payload.len());
        Ok(Arrival::Whole(header, Body::Owned(buffer)))
    }

    /// The trailer is wrong (PW-HDR-013). The packet is consumed already, so nothing is looked for inside it (PW-FRM-006).
    #[cold]
    fn damaged<'b>(&mut self, now: Instant, header: Header) -> Result<Arrival<'b>, ProtocolError> {
        let Some(resync) = &mut self.resync else {
            return Err(ProtocolError::PayloadChecksum { length: header.length });
        };
        let size = (HEADER_SIZE + header.body_size()) as u64;
        resync.charge_packet(now, size)?;
        Ok(Arrival::Damaged(header, size))
    }

    /// Bytes of memory that the large packet under way holds.
    pub(crate) fn buffered(&self) -> usize {
        self.partial.as_ref().map_or(0, |partial| partial.buffer.capacity() + partial.lent)
    }

    /// Lets go of the large packet under way.
    pub(crate) fn drop_partial(&mut self) {
        self.partial = None;
    }

    /// A packet is complete.
    #[inline]
    pub(crate) fn forget_packet(&mut self) {
        self.wanted = HEADER_SIZE;
        self.length = None;
        self.since = None;
    }

    /// The incomplete packet's time starts anew (PW-HB-023).
    pub(crate) fn restart(&mut self, now: Instant) {
        if let Some(since) = &mut self.since {
            *since = now;
        }
    }

    /// How long ago the first byte of the incomplete packet came.
    pub(crate) fn age(&self, now: Instant) -> Duration {
        self.since.map_or(Duration::ZERO, |since| now - since)
    }

    /// When the incomplete packet must be complete (PW-FRM-015).
    pub(crate) fn deadline(&self, timeouts: &Timeouts) -> Option<Instant> {
        let length = u64::from(self.length.unwrap_or(0)) + (HEADER_SIZE + TRAILER_SIZE) as u64;
        let nanos = length * 1_000_000_000 / u64::from(timeouts.assembly_rate);
        Some(self.since? + timeouts.assembly_base + Duration::from_nanos(nanos))
    }
}

/// The payload in a whole body, if the trailer behind it is right or the header says that there is none (PW-HDR-012).
#[inline]
fn verified<'b>(header: &Header, body: &'b [u8]) -> Option<&'b [u8]> {
    if !header.flags.contains(Flags::CHECKSUM) {
        return Some(body);
    }
    let (payload, trailer) = body.split_last_chunk::<TRAILER_SIZE>()?;
    (payload_checksum(payload).to_be_bytes() == *trailer).then_some(payload)
}

/// The well-known protocol whose first bytes these are (PW-FRM-014).
fn looks_like(bytes: &[u8]) -> Option<&'static str> {
    const METHODS: [&[u8]; 8] =
        [b"GET ", b"POST ", b"PUT ", b"HEAD ", b"DELETE ", b"OPTIONS ", b"PRI * HTTP", b"HTTP/"];
    match bytes {
        [0x16, 0x03, 0x00..=0x04, ..] => Some("TLS"),
        _ if bytes.starts_with(b"SSH-") => Some("SSH"),
        _ if METHODS.iter().any(|method| bytes.starts_with(method)) => Some("HTTP"),
        _ => None,
    }
}
