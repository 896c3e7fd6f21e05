//! The memory that operations own while they are pending.
//!
//! The system locks the pages of a receive's buffer for as long as it is pending. So buffers begin at the beginning of a page, and
//! end at the end of one: none costs a page that it has only a part of, and no page is locked twice.

use bytes::BytesMut;
use pulsewire_protocol::Transmit;

/// A page of memory, in bytes.
const PAGE: usize = 4 << 10;

/// The receive buffer of a connection that says little, in bytes.
pub(super) const SMALL: usize = PAGE;

/// The receive buffer of a busy connection, in bytes.
pub(super) const LARGE: usize = 16 * PAGE;

/// How much is asked of the allocator at a time, in bytes, besides what brings it to a page.
const BLOCK: usize = LARGE;

/// How many unused ones of each are kept.
const KEPT: usize = 64;

/// Unused buffers and batches.
#[derive(Debug, Default)]
pub(super) struct Buffers {
    small: Vec<BytesMut>,
    large: Vec<BytesMut>,
    batches: Vec<Transmit>,
    /// Receive buffers that somebody has.
    lent: usize,
}

impl Buffers {
    /// An empty buffer of the size that suits.
    fn take(&mut self, busy: bool) -> BytesMut {
        self.lent += 1;
        if busy {
            return self.large.pop().unwrap_or_else(|| pages(LARGE));
        }
        self.small.pop().unwrap_or_else(|| {
            let mut block = pages(BLOCK);
            while block.capacity() > SMALL {
                let rest = block.split_off(SMALL);
                self.small.push(std::mem::replace(&mut block, rest));
            }
            block
        })
    }

    /// Takes a receive buffer back. One that this did not lend, which has another size, is let go.
    pub(super) fn give(&mut self, mut buffer: BytesMut) {
        buffer.clear();
        let kept = match buffer.capacity() {
            SMALL => &mut self.small,
            LARGE => &mut self.large,
            _ => return,
        };
        self.lent -= 1;
        if kept.len() < KEPT {
            kept.push(buffer);
        }
    }

    /// A buffer of the size that suits, with `held` at its front, which is less than [`SMALL`]. It is `held` itself
    /// where that will do.
    pub(super) fn fit(&mut self, held: BytesMut, busy: bool) -> BytesMut {
        let size = if busy { LARGE } else { SMALL };
        if held.capacity() == size {
            return held;
        }
        let mut buffer = self.take(busy);
        buffer.extend_from_slice(&held);
        self.give(held);
        buffer
    }

    /// How many receive buffers are lent.
    pub(super) fn lent(&self) -> usize {
        self.lent
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

/// New memory of `size` bytes, from the beginning of a page to the end of one.
fn pages(size: usize) -> BytesMut {
    let mut memory = BytesMut::with_capacity(size + PAGE - 1);
    let before = memory.as_ptr().align_offset(PAGE);
    let mut whole = memory.split_off(before);
    drop(whole.split_off(size));
    whole
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
            assert_eq!((&buffer[..], buffer.capacity()), (&b"held"[..], if busy { LARGE } else { SMALL }));
        }
        buffers.give(buffer);
        assert_eq!(buffers.lent(), 0);
    }

    #[test]
    fn buffers_are_used_again() {
        let mut buffers = Buffers::default();
        let buffer = buffers.fit(BytesMut::new(), true);
        let address = buffer.as_ptr();
        buffers.give(buffer);
        assert_eq!(buffers.fit(BytesMut::new(), true).as_ptr(), address);
    }

    /// No two share a page, and each is as large as it says.
    #[test]
    fn buffers_are_whole_pages() {
        let mut buffers = Buffers::default();
        let mut lent: Vec<_> = (0..100).map(|number| buffers.fit(BytesMut::new(), number % 3 == 0)).collect();
        assert_eq!(buffers.lent(), 100);
        let mut places = Vec::new();
        for buffer in &mut lent {
            assert_eq!(buffer.as_ptr() as usize % PAGE, 0);
            let size = buffer.capacity();
            buffer.resize(size, 7);
            places.push(buffer.as_ptr() as usize..buffer.as_ptr() as usize + size);
        }
        places.sort_by_key(|place| place.start);
        assert!(places.is_sorted_by(|one, next| one.end <= next.start));
        lent.into_iter().for_each(|buffer| buffers.give(buffer));
        assert!(buffers.small.len() <= KEPT && buffers.large.len() <= KEPT);
    }
}
