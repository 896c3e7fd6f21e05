//! Out: the batch that a driver writes.

use alloc::vec::Vec;
use core::fmt;
use core::ops::Range;

use bytes::Bytes;

use crate::framer::LARGE;
use crate::wire::printing::Length;

/// A batch of packets ready to be written: small ones copied together, large payloads referenced.
///
/// It owns what it holds, so it can move into a pending operation; its slices keep their addresses until it is changed.
/// Keep one and fill it again: its memory is reused.
///
/// [`Connection::transmitted`](crate::Connection::transmitted) takes away from its front what was written.
///
/// ```
/// use std::io::{IoSlice, Result, Write};
///
/// use pulsewire_protocol::{Clock, Connection, Transmit};
///
/// fn write(socket: &mut impl Write, clock: &Clock, connection: &mut Connection, batch: &mut Transmit) -> Result<()> {
///     while !batch.is_empty() || connection.poll_transmit(clock.now(), 64 << 10, batch) {
///         let mut slices = [IoSlice::new(&[]); 16];
///         let count = batch.fill(&mut slices);
///         let written = socket.write_vectored(&slices[..count])?;
///         connection.transmitted(clock.now(), batch, written);
///     }
///     Ok(())
/// }
/// ```
#[derive(Default)]
pub struct Transmit {
    inline: Vec<u8>,
    segments: Vec<Segment>,
    /// The first segment with bytes left, and how many of its bytes are gone.
    next: usize,
    gone: usize,
    left: usize,
}

enum Segment {
    Inline(Range<usize>),
    Batch(Vec<u8>),
    Shared(Bytes),
}

impl fmt::Debug for Transmit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Transmit").field(&Length(self.left)).finish()
    }
}

impl Transmit {
    /// An empty batch.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Bytes left to be written.
    #[must_use]
    pub fn len(&self) -> usize {
        self.left
    }

    /// Whether all is written.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.left == 0
    }

    /// What is left, in order. The slices are not empty.
    pub fn slices(&self) -> impl Iterator<Item = &[u8]> {
        let mut gone = self.gone;
        self.segments[self.next..].iter().map(move |segment| {
            let skip = core::mem::take(&mut gone);
            &self.segment(segment)[skip..]
        })
    }

    /// Fills `slices` from the front of what is left, and says how many were filled.
    #[cfg(feature = "std")]
    pub fn fill<'t>(&'t self, slices: &mut [std::io::IoSlice<'t>]) -> usize {
        self.slices().zip(slices).map(|(bytes, slice)| *slice = std::io::IoSlice::new(bytes)).count()
    }

    /// This many bytes were written. Returns whether all are; then it holds on to no payload any more.
    ///
    /// # Panics
    /// If that is more than was left.
    pub(super) fn advance(&mut self, written: usize) -> bool {
        assert!(written <= self.left, "{written} bytes written of {}", self.left);
        if written == self.left {
            self.clear();
            return true;
        }
        self.left -= written;
        self.gone += written;
        while let Some(segment) = self.segments.get(self.next) {
            let size = self.segment(segment).len();
            if self.gone < size {
                break;
            }
            self.gone -= size;
            self.next += 1;
        }
        false
    }

    fn segment<'t>(&'t self, segment: &'t Segment) -> &'t [u8] {
        match segment {
            Segment::Inline(range) => &self.inline[range.clone()],
            Segment::Batch(bytes) => bytes,
            Segment::Shared(bytes) => bytes,
        }
    }

    pub(super) fn clear(&mut self) {
        self.inline.clear();
        self.segments.clear();
        (self.next, self.gone, self.left) = (0, 0, 0);
    }

    /// Appends bytes by means of `write`.
    pub(super) fn inline(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        let start = self.inline.len();
        write(&mut self.inline);
        let end = self.inline.len();
        self.left += end - start;
        match self.segments.last_mut() {
            Some(Segment::Inline(range)) => range.end = end,
            Some(Segment::Batch(_) | Segment::Shared(_)) | None => self.segments.push(Segment::Inline(start..end)),
        }
    }

    /// Appends a batch of encoded packets; copies it only if it is small.
    pub(super) fn batch(&mut self, batch: Vec<u8>) {
        if batch.len() < LARGE {
            self.inline(|inline| inline.extend_from_slice(&batch));
        } else {
            self.left += batch.len();
            self.segments.push(Segment::Batch(batch));
        }
    }

    pub(super) fn shared(&mut self, bytes: Bytes) {
        self.left += bytes.len();
        self.segments.push(Segment::Shared(bytes));
    }
}
