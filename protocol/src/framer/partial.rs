//! A packet of which only a part has come, and which does not wait in the driver's buffer.

use bytes::BytesMut;

use super::Body;
use crate::wire::{Checksum, Flags, HEADER_SIZE, Header, TRAILER_SIZE, payload_checksum};

/// How much memory a packet gets before bytes of it come.
const RESERVE: usize = 4 << 10;

/// And from then on at most so many times what has come (PW-FRM-013). Where it doubled, the bytes of a packet of 64 KiB were
/// copied twice on the way there: that would take as long as all the rest.
const AHEAD: usize = 8;

/// The payload of a packet is kept as it comes, or passed over.
pub(super) enum Partial {
    Kept(Kept),
    PassedOver(PassedOver),
}

impl Partial {
    /// Bytes of payload and trailer still to come.
    pub(super) fn missing(&self) -> usize {
        match self {
            Self::Kept(kept) => kept.missing(),
            Self::PassedOver(passed) => passed.missing,
        }
    }

    /// Takes bytes, no more than are missing.
    pub(super) fn append(&mut self, bytes: &[u8]) {
        match self {
            Self::Kept(kept) => kept.append(bytes),
            Self::PassedOver(passed) => passed.append(bytes),
        }
    }

    /// The packet is complete: its header and payload, the latter only if the trailer is right.
    pub(super) fn finish(self) -> (Header, Option<Body<'static>>) {
        match self {
            Self::Kept(kept) => (kept.header, kept.finish()),
            Self::PassedOver(passed) => (passed.header, passed.is_right().then_some(Body::Borrowed(&[]))),
        }
    }

    /// Bytes of memory that it holds.
    pub(super) fn buffered(&self) -> usize {
        match self {
            Self::Kept(kept) => kept.buffer.capacity() + kept.lent.map_or(0, |lent| lent.capacity),
            Self::PassedOver(_) => 0,
        }
    }
}

/// A large packet, in a buffer of its own.
pub(super) struct Kept {
    header: Header,
    buffer: BytesMut,
    /// Bytes in `buffer` that were there before this packet: of the message that it belongs to.
    start: usize,
    /// The memory that was lent to the driver behind those bytes.
    lent: Option<Lent>,
}

/// Memory that the driver has.
#[derive(Clone, Copy)]
struct Lent {
    /// Where it lies. No other memory does while the rest of the buffer lives, so that nothing else is taken for it.
    address: usize,
    capacity: usize,
}

impl Kept {
    /// Goes on in `buffer`.
    pub(super) fn new(header: Header, buffer: BytesMut) -> Self {
        Self { header, start: buffer.len(), buffer, lent: None }
    }

    /// Taken from the buffer itself, so that it is right whatever a driver that borrowed memory says.
    fn missing(&self) -> usize {
        (self.start + self.header.body_size()).saturating_sub(self.buffer.len())
    }

    fn append(&mut self, bytes: &[u8]) {
        self.lent = None;
        if self.buffer.capacity() - self.buffer.len() < bytes.len() {
            self.reserve(bytes.len());
        }
        self.buffer.extend_from_slice(bytes);
    }

    /// Makes room for `bytes` more as they arrive, never for all that a length field promises (PW-FRM-013).
    fn reserve(&mut self, bytes: usize) {
        let held = self.buffer.len();
        let room = self.missing().min(RESERVE.max(bytes + AHEAD * (held + bytes)));
        // `BytesMut::reserve` may double what it is asked for, which would come on top of `AHEAD`. What a message had before this
        // frame is doubled, so that many frames of one are copied a bounded number of times.
        let mut grown = BytesMut::with_capacity((held + room).max(2 * self.start));
        grown.extend_from_slice(&self.buffer);
        self.buffer = grown;
    }

    /// Lends memory behind what has come, and says how many bytes belong there. What has come stays here, so that nothing is
    /// lost with memory that does not come back.
    pub(super) fn lend(&mut self) -> (BytesMut, usize) {
        if self.buffer.capacity() == self.buffer.len() {
            self.reserve(1);
        }
        let lent = self.buffer.split_off(self.buffer.len());
        self.lent = Some(Lent { address: lent.as_ptr().addr(), capacity: lent.capacity() });
        (lent, self.missing())
    }

    /// Memory that was lent comes back, filled. Returns whether it is what was lent last.
    pub(super) fn take_back(&mut self, memory: BytesMut) -> bool {
        let address = memory.as_ptr().addr();
        let was_lent = self.lent.take_if(|lent| lent.address == address).is_some();
        if was_lent {
            self.buffer.unsplit(memory);
        }
        was_lent
    }

    fn finish(mut self) -> Option<Body<'static>> {
        let end = self.start + self.header.body_size();
        let payload = verified(&self.header, &self.buffer[self.start..end])?;
        let payload_end = self.start + payload.len();
        self.buffer.truncate(payload_end);
        Some(Body::Owned(self.buffer))
    }
}

/// A packet without a meaning: nothing of it is kept but what its trailer is judged by.
pub(super) struct PassedOver {
    header: Header,
    missing: usize,
    checksum: Checksum,
    /// The last bytes that came: the trailer, in the end.
    trailer: [u8; TRAILER_SIZE],
}

impl PassedOver {
    pub(super) fn new(header: Header) -> Self {
        Self { header, missing: header.body_size(), checksum: Checksum::new(), trailer: [0; TRAILER_SIZE] }
    }

    fn append(&mut self, bytes: &[u8]) {
        let trailer = if self.header.flags.contains(Flags::CHECKSUM) { TRAILER_SIZE } else { 0 };
        let (payload, end) = bytes.split_at(self.missing.saturating_sub(trailer).min(bytes.len()));
        self.checksum.update(payload);
        for byte in end {
            self.trailer.rotate_left(1);
            self.trailer[TRAILER_SIZE - 1] = *byte;
        }
        self.missing -= bytes.len();
    }

    fn is_right(&self) -> bool {
        !self.header.flags.contains(Flags::CHECKSUM) || self.checksum.value().to_be_bytes() == self.trailer
    }
}

/// The payload in a whole body, if the trailer behind it is right or the header says that there is none (PW-HDR-012).
#[inline(always)]
pub(super) fn verified<'b>(header: &Header, body: &'b [u8]) -> Option<&'b [u8]> {
    if header.flags.contains(Flags::CHECKSUM) { without_trailer(body) } else { Some(body) }
}

/// Out of line, so that packets without a trailer don't save registers for it.
#[inline(never)]
fn without_trailer(body: &[u8]) -> Option<&[u8]> {
    let (payload, trailer) = body.split_last_chunk::<TRAILER_SIZE>()?;
    (payload_checksum(payload).to_be_bytes() == *trailer).then_some(payload)
}

/// Bytes of a packet in all.
pub(super) fn packet_size(header: &Header) -> u64 {
    (HEADER_SIZE + header.body_size()) as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{Class, Kind};

    fn packet(length: u32) -> Kept {
        Kept::new(Header { kind: Kind::DATA, flags: Flags::NONE, class: Class::default(), length }, BytesMut::new())
    }

    /// PW-FRM-013: memory follows what came, and yet the bytes are copied a few times only.
    #[test]
    fn a_packet_that_comes_in_pieces_is_copied_seldom_and_takes_little() {
        const PIECE: usize = 100;
        let mut kept = packet(64_000);
        let (mut copies, mut place) = (0, kept.buffer.as_ptr());
        for came in (PIECE..=64_000).step_by(PIECE) {
            kept.append(&[7; PIECE]);
            let holds = kept.buffer.capacity();
            assert!(holds <= RESERVE.max(PIECE + (AHEAD + 1) * came), "{holds} bytes for {came}");
            if kept.buffer.as_ptr() != place {
                (copies, place) = (copies + 1, kept.buffer.as_ptr());
            }
        }
        // 4,096 bytes at first, nine times 4,100 then, and all that is missing.
        assert_eq!((copies, kept.buffer.capacity()), (3, 64_000));
        assert_eq!(kept.finish().map(|body| body.bytes().len()), Some(64_000));
    }
}
