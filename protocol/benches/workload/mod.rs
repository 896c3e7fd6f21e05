//! What the benchmarks work on: streams, connections, and everybody's way through them.
#![allow(dead_code, reason = "a module of several benchmarks, each of which uses a part")]

mod connections;
pub(crate) mod decoders;
pub(crate) mod encoders;
mod source;
pub(crate) mod streams;

use pulsewire_protocol::HEADER_SIZE;
pub(crate) use source::Source;

/// Payload sizes, in bytes.
pub(crate) const SIZES: [usize; 7] = [0, 16, 64, 256, 1 << 10, 4 << 10, 64 << 10];

/// What one read or one batch has at most.
pub(crate) const BATCH: usize = 64 << 10;

/// As many packets as make about four reads.
pub(crate) fn packets(size: usize) -> usize {
    (4 * BATCH).div_ceil(size + HEADER_SIZE)
}

/// As many packets as a batch holds.
pub(crate) fn per_batch(size: usize) -> usize {
    BATCH.div_ceil(size + HEADER_SIZE)
}

/// Random bytes, the same every time.
pub(crate) fn payload(size: usize) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(size as u64);
    std::iter::repeat_with(|| random.u8(..)).take(size).collect()
}
