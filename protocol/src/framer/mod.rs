//! Cuts the received stream into verified packets (sections 3 to 5 of the specification).
//!
//! Small packets stay in the driver's buffer until they are whole, and are lent from it. A large one that is only partly
//! there moves into a buffer of its own, which the driver may fill directly; of one that is passed over nothing is kept.

mod fragments;
mod message_time;
mod partial;
mod resync;

use alloc::boxed::Box;
use core::time::Duration;

use bytes::BytesMut;

pub(crate) use fragments::{Beginning, Fate, Fragments, Named};
use partial::{Kept, Partial, PassedOver, packet_size, verified};
use resync::Resync;

use crate::config::Timeouts;
use crate::error::ProtocolError;
use crate::message::Payload;
use crate::time::{Instant, MaybeInstant, transfer};
use crate::wire::{HEADER_SIZE, Header, MessageHeaders, TRAILER_SIZE};

/// From this size on, a partial packet gets a buffer of its own, and a payload to be sent is referenced, not copied.
///
/// Copying 2 KiB costs about as much as the bookkeeping of a reference does.
pub(crate) const LARGE: usize = 2_048;

/// What is known of the incomplete packet, in one word: its length, once the header is verified, and whether its time began anew
/// (PW-TIM-001).
#[derive(Clone, Copy)]
struct UnderWay(u32);

impl UnderWay {
    const UNKNOWN: Self = Self(1 << 24);
    const GRACED: u32 = 1 << 31;

    fn length(self) -> Option<u32> {
        let length = self.0 & !Self::GRACED;
        (length < Self::UNKNOWN.0).then_some(length)
    }

    fn know(&mut self, length: u32) {
        self.0 = (self.0 & Self::GRACED) | length;
    }

    /// Returns whether it may begin anew: once.
    fn begin_anew(&mut self) -> bool {
        let first = self.0 & Self::GRACED == 0;
        self.0 |= Self::GRACED;
        first
    }
}

/// What [`Framer::look`] found.
pub(crate) enum Look<'b> {
    /// A message that is right in every byte: its header, and that as the bytes that it is with the payload behind them.
    Message(Header, &'b [u8]),
    /// What may become one. `grew`: its header came, or more of what is behind.
    Incomplete { grew: bool },
    /// Something else, or what has to be judged.
    Unusual,
}

/// What [`Framer::header`] found.
pub(crate) enum Step {
    /// The input begins with this verified header, not yet consumed. `again`: it was looked at before.
    Header { header: Header, again: bool },
    /// This many bytes were skipped; ask again.
    Gap(u64),
    /// More bytes are needed. Whether more of a packet came whose header is verified (PW-HB-001).
    Incomplete { grew: bool },
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
        grew: bool,
    },
}

/// Where in the stream this side stands. What is incomplete is looked at again from its beginning, or kept in a buffer of its
/// own, so it makes no difference how the stream was cut (PW-FRM-001).
pub(crate) struct Framer {
    /// What the peer mixes into headers; 0 before the first packet, and never again (PW-KEY-003).
    key: u32,
    /// The headers of messages as they should come from now on: with a checksum, if this side resynchronises.
    messages: MessageHeaders,
    /// The largest payload that this side receives, if it resynchronises; else 0.
    resync_limit: u32,
    /// Since the first damage.
    resync: Option<Box<Resync>>,
    /// Bytes that the driver's buffer must hold before another look is worth while.
    wanted: u16,
    /// Bytes that it held at the last look.
    seen: u16,
    under_way: UnderWay,
    /// When the first byte of the incomplete packet came.
    since: MaybeInstant,
    /// The packet under way that does not wait in the driver's buffer.
    partial: Option<Box<Partial>>,
}

impl Framer {
    pub(crate) fn new() -> Self {
        Self {
            key: 0,
            messages: MessageHeaders::new(0, false),
            resync_limit: 0,
            resync: None,
            wanted: HEADER_SIZE as u16,
            seen: 0,
            under_way: UnderWay::UNKNOWN,
            since: MaybeInstant::NONE,
            partial: None,
        }
    }

    /// The first packet was received: from now on headers carry `key`, and damage is skipped if `resync`. `frame_limit` is that
    /// of this side.
    pub(crate) fn establish(&mut self, key: u32, resync: bool, frame_limit: u32) {
        self.key = key;
        self.messages = MessageHeaders::new(key, resync);
        self.resync_limit = if resync { frame_limit } else { 0 };
    }

    pub(crate) fn resynchronises(&self) -> bool {
        self.resync_limit > 0
    }

    /// What has been skipped, where damage is.
    fn resync(&mut self) -> Option<&mut Resync> {
        let limit = self.resync_limit;
        (limit > 0).then(|| &mut **self.resync.get_or_insert_with(|| Box::new(Resync::new(limit))))
    }

    /// Looks for a message in one frame at the front of the input, where nothing is unfinished before it. Consumes nothing.
    #[inline]
    pub(crate) fn look<'b>(&mut self, now: Instant, input: &&'b [u8], frame_limit: u32) -> Look<'b> {
        if self.partial.is_some() || self.resync.as_ref().is_some_and(|resync| resync.in_run()) {
            return Look::Unusual;
        }
        let (Some(bytes), true) = (input.first_chunk(), input.len() >= usize::from(self.wanted)) else {
            return Look::Incomplete { grew: self.wait(now, input.len()) };
        };
        let Some(header) = self.messages.verify(bytes) else { return Look::Unusual };
        if header.class.is_reserved() || header.length > frame_limit {
            return Look::Unusual;
        }
        let Some((packet, _)) = input.split_at_checked(HEADER_SIZE + header.body_size()) else {
            return self.look_again(now, &header, input.len());
        };
        match verified(&header, &packet[HEADER_SIZE..]) {
            Some(payload) => Look::Message(header, &packet[..HEADER_SIZE + payload.len()]),
            None => Look::Unusual,
        }
    }

    /// A message of which only so many bytes are there.
    fn look_again<'b>(&mut self, now: Instant, header: &Header, held: usize) -> Look<'b> {
        let size = header.body_size();
        if size >= LARGE {
            return Look::Unusual;
        }
        self.since.begin(now);
        self.under_way.know(header.length);
        (self.wanted, self.seen) = ((HEADER_SIZE + size) as u16, held as u16);
        Look::Incomplete { grew: true }
    }

    /// Looks at the front of the input. Consumes only what is skipped.
    pub(crate) fn header(&mut self, now: Instant, input: &mut &[u8]) -> Result<Step, ProtocolError> {
        if input.len() < usize::from(self.wanted) {
            return Ok(Step::Incomplete { grew: self.wait(now, input.len()) });
        }
        let Some((bytes, _)) = input.split_first_chunk() else {
            return Ok(Step::Incomplete { grew: self.wait(now, input.len()) });
        };
        match Header::verify(bytes, self.key) {
            Some(header) => {
                let skipped = self.resync.as_mut().and_then(|resync| resync.end_run());
                Ok(skipped.map_or(Step::Header { header, again: self.under_way.length().is_some() }, Step::Gap))
            }
            None => self.skip(now, input),
        }
    }

    /// The driver's buffer holds too few bytes. Returns whether more of a packet whose header is known came.
    #[inline]
    fn wait(&mut self, now: Instant, held: usize) -> bool {
        // What waits in the driver's buffer is less than `LARGE`.
        let held = held as u16;
        let grew = self.under_way.length().is_some() && held > self.seen;
        self.seen = held;
        if held > 0 {
            self.since.begin(now);
        }
        grew
    }

    #[cold]
    fn skip(&mut self, now: Instant, input: &mut &[u8]) -> Result<Step, ProtocolError> {
        let key = self.key;
        let Some(resync) = self.resync() else {
            return Err(match key {
                0 => ProtocolError::NotPulsewire { protocol: looks_like(input) },
                _ => ProtocolError::BadHeader,
            });
        };
        resync.skip(now, input, key)?;
        let skipped = (input.len() >= HEADER_SIZE).then(|| resync.end_run()).flatten();
        self.forget_packet();
        Ok(skipped.map_or_else(|| Step::Incomplete { grew: self.wait(now, input.len()) }, Step::Gap))
    }

    /// Takes the packet whose header [`header`](Self::header) gave. `buffer` is where a large payload is appended; `None`: the
    /// packet is passed over.
    pub(crate) fn body<'b>(
        &mut self,
        now: Instant,
        header: Header,
        input: &mut &'b [u8],
        buffer: impl FnOnce() -> Option<BytesMut>,
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
        self.since.begin(now);
        self.under_way.know(header.length);
        if size < LARGE {
            self.wanted = (HEADER_SIZE + size) as u16;
            self.seen = input.len() as u16;
        } else {
            let mut partial = match buffer() {
                Some(buffer) => Partial::Kept(Kept::new(header, buffer)),
                None => Partial::PassedOver(PassedOver::new(header)),
            };
            partial.append(rest);
            self.partial = Some(Box::new(partial));
            *input = &[];
        }
        // By its header at least.
        Ok(Arrival::Incomplete { grew: true })
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
        let Some(partial) = &mut self.partial else { return Ok(Arrival::Incomplete { grew: false }) };
        let (bytes, tail) = input.split_at(partial.missing().min(input.len()));
        if !bytes.is_empty() {
            partial.append(bytes);
        }
        *input = tail;
        self.finish_partial(now, !bytes.is_empty())
    }

    /// Lends memory for the large packet, and says how many bytes belong there.
    pub(crate) fn lend(&mut self) -> Option<(BytesMut, usize)> {
        match self.partial.as_deref_mut()? {
            Partial::Kept(kept) => Some(kept.lend()),
            Partial::PassedOver(_) => None,
        }
    }

    /// The lent memory came back, filled. `None`: none was lent.
    pub(crate) fn take_back(
        &mut self,
        now: Instant,
        lent: BytesMut,
    ) -> Option<Result<Arrival<'static>, ProtocolError>> {
        let grew = !lent.is_empty();
        match self.partial.as_deref_mut()? {
            Partial::Kept(kept) => kept.take_back(lent).then(|| self.finish_partial(now, grew)),
            Partial::PassedOver(_) => None,
        }
    }

    fn finish_partial<'b>(&mut self, now: Instant, grew: bool) -> Result<Arrival<'b>, ProtocolError> {
        let Some(partial) = self.partial.take_if(|partial| partial.missing() == 0) else {
            return Ok(Arrival::Incomplete { grew });
        };
        self.forget_packet();
        match partial.finish() {
            (header, Some(body)) => Ok(Arrival::Whole(header, body)),
            (header, None) => self.damaged(now, header),
        }
    }

    /// The trailer is wrong (PW-HDR-013). The packet is consumed already, so nothing is looked for inside it (PW-FRM-006).
    #[cold]
    fn damaged<'b>(&mut self, now: Instant, header: Header) -> Result<Arrival<'b>, ProtocolError> {
        let Some(resync) = self.resync() else {
            return Err(ProtocolError::PayloadChecksum { length: header.length });
        };
        let size = packet_size(&header);
        resync.charge_packet(now, size)?;
        Ok(Arrival::Damaged(header, size))
    }

    /// Bytes of memory that the large packet under way holds.
    pub(crate) fn buffered(&self) -> usize {
        self.partial.as_ref().map_or(0, |partial| partial.buffered())
    }

    /// Lets go of the large packet under way.
    pub(crate) fn drop_partial(&mut self) {
        self.partial = None;
    }

    /// A packet is complete.
    #[inline]
    pub(crate) fn forget_packet(&mut self) {
        self.wanted = HEADER_SIZE as u16;
        self.under_way = UnderWay::UNKNOWN;
        self.since = MaybeInstant::NONE;
    }

    /// The incomplete packet's time starts anew (PW-HB-023).
    pub(crate) fn restart(&mut self, now: Instant) {
        if self.since.is_some() {
            self.since = MaybeInstant::some(now);
        }
    }

    /// The same because this side was late (PW-TIM-001). Returns whether it may, once for each packet.
    pub(crate) fn begin_anew(&mut self, now: Instant) -> bool {
        let first = self.under_way.begin_anew();
        if first {
            self.restart(now);
        }
        first
    }

    /// How long ago the first byte of the incomplete packet came.
    pub(crate) fn age(&self, now: Instant) -> Duration {
        self.since.get().map_or(Duration::ZERO, |since| now - since)
    }

    /// When the incomplete packet must be complete (PW-FRM-015).
    pub(crate) fn deadline(&self, timeouts: &Timeouts) -> Option<Instant> {
        Some(self.since.get()? + frame_time(self.under_way.length().unwrap_or(0), timeouts))
    }
}

/// What a packet with so much payload has to become complete (PW-FRM-015).
pub(crate) fn frame_time(length: u32, timeouts: &Timeouts) -> Duration {
    let size = u64::from(length) + (HEADER_SIZE + TRAILER_SIZE) as u64;
    timeouts.assembly_base + transfer(size, timeouts.assembly_rate)
}

/// The well-known protocol whose first bytes these are (PW-FRM-014).
fn looks_like(bytes: &[u8]) -> Option<&'static str> {
    const METHODS: [&[u8]; 8] =
        [b"GET ", b"POST ", b"PUT ", b"HEAD ", b"DELETE ", b"OPTIONS ", b"PRI * HTTP", b"HTTP/"];
    match bytes {
        [0x16, 0x03, 0x00..=0x04, ..] => Some("TLS"),
        [b'\r', b'\n', b'\r', b'\n', 0, b'\r', b'\n', b'Q', b'U', b'I', b'T', b'\n', ..] => Some("the PROXY protocol"),
        _ if bytes.starts_with(b"PROXY ") => Some("the PROXY protocol"),
        _ if bytes.starts_with(b"SSH-") => Some("SSH"),
        _ if METHODS.iter().any(|method| bytes.starts_with(method)) => Some("HTTP"),
        _ => None,
    }
}
