//! A stream in memory, as a socket would give it.

use bytes::BytesMut;

/// Bytes that are copied at once. Larger copies are done by one instruction, whose speed depends on where the bytes lie: on some
/// processors a tenth of what it is elsewhere, which would be all that is measured.
const COPIED: usize = 2 << 10;

/// A stream that is read again and again, at most so many bytes at a time.
#[derive(Clone)]
pub(crate) struct Source {
    bytes: Vec<u8>,
    position: usize,
    /// How much the reads give at most, in turn.
    reads: Vec<usize>,
    turn: usize,
}

impl Source {
    /// Gives at most `most` bytes a read.
    pub(crate) fn new(bytes: Vec<u8>, most: usize) -> Self {
        Self { bytes, position: 0, reads: vec![most], turn: 0 }
    }

    /// Gives 1 to 100 bytes a read, at random, but always the same.
    pub(crate) fn trickling(bytes: Vec<u8>) -> Self {
        let mut random = fastrand::Rng::with_seed(100);
        let reads = (0..4_096).map(|_| random.usize(1..=100)).collect();
        Self { bytes, position: 0, reads, turn: 0 }
    }

    /// Reads into the front of `buffer`; 0 at the end of the stream, after which it begins anew.
    pub(crate) fn read_into(&mut self, buffer: &mut [u8]) -> usize {
        copy_into(self.next(buffer.len()), buffer)
    }

    /// Reads behind what is in `buffer`, at most `room` bytes; 0 at the end of the stream, after which it begins anew.
    pub(crate) fn read_behind(&mut self, buffer: &mut BytesMut, room: usize) -> usize {
        copy_behind(self.next(room), buffer)
    }

    /// One read into two places, as `readv` does it: behind what is in `first`, at most `room` bytes, and what comes behind them
    /// into the front of `second`. Gives the bytes that went to each; none at the end of the stream, after which it begins anew.
    pub(crate) fn read_both(&mut self, first: &mut BytesMut, room: usize, second: &mut [u8]) -> (usize, usize) {
        let bytes = self.next(room + second.len());
        let (front, back) = bytes.split_at(room.min(bytes.len()));
        (copy_behind(front, first), copy_into(back, second))
    }

    /// What one read into a buffer of `room` bytes would give; nothing at the end of the stream, after which it begins anew.
    fn next(&mut self, room: usize) -> &[u8] {
        let size = room.min(self.reads[self.turn]).min(self.bytes.len() - self.position);
        self.turn = (self.turn + 1) % self.reads.len();
        let start = self.position;
        self.position = if size == 0 { 0 } else { start + size };
        &self.bytes[start..start + size]
    }
}

fn copy_into(bytes: &[u8], buffer: &mut [u8]) -> usize {
    for (to, from) in buffer.chunks_mut(COPIED).zip(bytes.chunks(COPIED)) {
        to[..from.len()].copy_from_slice(from);
    }
    bytes.len()
}

fn copy_behind(bytes: &[u8], buffer: &mut BytesMut) -> usize {
    bytes.chunks(COPIED).for_each(|chunk| buffer.extend_from_slice(chunk));
    bytes.len()
}
