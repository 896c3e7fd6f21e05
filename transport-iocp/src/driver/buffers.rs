//! The memory that operations own while they are pending.

use bytes::BytesMut;
use pulsewire_protocol::Transmit;

/// The receive buffer of a quiet connection, in bytes: one page, since every connection has a receive pending.
pub(super) const QUIET: usize = 4 << 10;

/// The receive buffer of a busy connection, in bytes.
pub(super) const BUSY: usize = 64 << 10;

/// How many unused ones of each are kept.
const KEPT: usize = 64;

/// Unused buffers and batches.
#[derive(Debug, Default)]
pub(super) struct Buffers {
    quiet: Vec<BytesMut>,
    busy: Vec<BytesMut>,
    batches: Vec<Transmit>,
}

impl Buffers {
    /// An empty buffer of the size that suits.
    fn take(&mut self, busy: bool) -> BytesMut {
        let (kept, size) = if busy { (&mut self.busy, BUSY) } else { (&mut self.quiet, QUIET) };
        kept.pop().unwrap_or_else(|| BytesMut::with_capacity(size))
    }

    /// Takes a receive buffer back. One of any other size is let go.
    pub(super) fn give(&mut self, mut buffer: BytesMut) {
        buffer.clear();
        let kept = match buffer.capacity() {
            QUIET => &mut self.quiet,
            BUSY => &mut self.busy,
            _ => return,
        };
        if kept.len() < KEPT {
            kept.push(buffer);
        }
    }

    /// A buffer of the size that suits, with `held` at its front, which is less than [`QUIET`]. It is `held` itself
    /// where that will do.
    pub(super) fn fit(&mut self, held: BytesMut, busy: bool) -> BytesMut {
        let size = if busy { BUSY } else { QUIET };
        if held.capacity() == size {
            return held;
        }
        let mut buffer = self.take(busy);
        buffer.extend_from_slice(&held);
        self.give(held);
        buffer
    }

    pub(super) fn take_batch(&mut self) -> Transmit {
        self.batches.pop().unwrap_or_default()
    }

    /// Takes a batch back that was sent.
    pub(super) fn give_batch(&mut self, batch: Transmit) {
        if self.batches.len() < KEPT {
            self.batches.push(batch);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_held_stays_at_the_front_whatever_the_size_becomes() {
        let mut buffers = Buffers::default();
        let mut buffer = buffers.fit(BytesMut::new(), false);
        buffer.extend_from_slice(b"held");
        for busy in [true, true, false] {
            buffer = buffers.fit(buffer, busy);
            assert_eq!((&buffer[..], buffer.capacity()), (&b"held"[..], if busy { BUSY } else { QUIET }));
        }
    }

    #[test]
    fn buffers_are_used_again() {
        let mut buffers = Buffers::default();
        let buffer = buffers.fit(BytesMut::new(), true);
        let address = buffer.as_ptr();
        buffers.give(buffer);
        assert_eq!(buffers.fit(BytesMut::new(), true).as_ptr(), address);
    }
}
