//! Finding the next packet in a damaged stream (PW-FRM-005, PW-FRM-011).

use core::time::Duration;

use memchr::memmem;

use crate::error::ProtocolError;
use crate::time::Instant;
use crate::wire::{HEADER_SIZE, Header, MAGIC, TRAILER_SIZE};

/// What may be skipped and dropped within one window: so many gaps, and the bytes of as many of the largest packets, or these.
const GAPS_MAX: u32 = 16;
const BYTES_MAX: u64 = 65_536;
const WINDOW: Duration = Duration::from_secs(60);

pub(crate) struct Resync {
    /// Bytes that a window may have.
    bytes_max: u64,
    /// Bytes skipped since the last packet, not yet reported.
    run: u64,
    window_ends: Option<Instant>,
    bytes: u64,
    gaps: u32,
}

impl Resync {
    /// For packets with at most so much payload.
    pub(super) fn new(frame_limit: u32) -> Self {
        let largest = u64::from(frame_limit) + (HEADER_SIZE + TRAILER_SIZE) as u64;
        Self { bytes_max: (largest * u64::from(GAPS_MAX)).max(BYTES_MAX), run: 0, window_ends: None, bytes: 0, gaps: 0 }
    }

    /// Skips to the next header that verifies, or to the last bytes, which are too few for one. Those wait for more whatever they
    /// are, as they do where they come by themselves: or their time would depend on the cut (PW-FRM-001, PW-FRM-015).
    ///
    /// The front of the input is known not to verify.
    pub(super) fn skip(&mut self, now: Instant, input: &mut &[u8], key: u32) -> Result<(), ProtocolError> {
        let mut offset = 1;
        loop {
            let rest = &input[offset..];
            offset += match memmem::find(rest, &MAGIC) {
                Some(found) => found,
                None => rest.len(),
            };
            match input[offset..].first_chunk::<HEADER_SIZE>() {
                Some(bytes) if Header::verify(bytes, key).is_none() => offset += 1,
                Some(_) | None => break,
            }
        }
        offset = offset.min(input.len() + 1 - HEADER_SIZE);
        let begins = self.run == 0;
        self.run += offset as u64;
        *input = &input[offset..];
        self.charge(now, offset as u64, u32::from(begins))
    }

    /// Whether skipped bytes wait to be reported.
    pub(super) fn in_run(&self) -> bool {
        self.run > 0
    }

    /// Ends the run of skipped bytes, if there is one, and gives its length.
    pub(super) fn end_run(&mut self) -> Option<u64> {
        (self.run > 0).then(|| core::mem::take(&mut self.run))
    }

    /// A whole packet was dropped.
    pub(super) fn charge_packet(&mut self, now: Instant, size: u64) -> Result<(), ProtocolError> {
        self.charge(now, size, 1)
    }

    fn charge(&mut self, now: Instant, bytes: u64, gaps: u32) -> Result<(), ProtocolError> {
        if self.window_ends.is_none_or(|end| now >= end) {
            self.window_ends = Some(now + WINDOW);
            (self.bytes, self.gaps) = (0, 0);
        }
        self.bytes += bytes;
        self.gaps += gaps;
        if self.bytes > self.bytes_max || self.gaps > GAPS_MAX {
            return Err(ProtocolError::ResyncBudget { bytes: self.bytes, gaps: self.gaps });
        }
        Ok(())
    }
}
