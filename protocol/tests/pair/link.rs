//! One direction of a connection: bytes under way, and what happens to them there.

use std::collections::VecDeque;

use pulsewire_protocol::Instant;

/// Bytes under way to one end, in order.
#[derive(Debug, Default)]
pub struct Link {
    writes: VecDeque<(Instant, Vec<u8>)>,
    /// When the end of the stream arrives, if its sender is done.
    end: Option<Instant>,
    ended: bool,
}

impl Link {
    /// Bytes were written. A stream keeps its order, whatever the latency does.
    pub fn push(&mut self, arrival: Instant, bytes: Vec<u8>) {
        let earliest = self.writes.back().map_or(Instant::ZERO, |(arrival, _)| *arrival);
        self.writes.push_back((earliest.max(arrival), bytes));
    }

    /// The sender writes nothing more.
    pub fn finish(&mut self, arrival: Instant) {
        self.end.get_or_insert(arrival);
    }

    /// When there is something to take next.
    pub fn next_arrival(&self) -> Option<Instant> {
        self.writes.front().map(|(arrival, _)| *arrival).or(self.end.filter(|_| !self.ended))
    }

    /// All that has arrived, glued together.
    pub fn take(&mut self, now: Instant) -> Vec<u8> {
        let mut bytes = Vec::new();
        while let Some((_, write)) = self.writes.pop_front_if(|(arrival, _)| *arrival <= now) {
            bytes.extend(write);
        }
        bytes
    }

    /// Whether the end of the stream has arrived. Says so once.
    pub fn take_end(&mut self, now: Instant) -> bool {
        let arrived = self.writes.is_empty() && self.end.is_some_and(|arrival| arrival <= now);
        arrived && !std::mem::replace(&mut self.ended, true)
    }

    /// Flips a bit of the byte at this offset, counted round and round over what is under way.
    pub fn corrupt(&mut self, offset: usize, bit: u8) {
        if let Some((write, offset)) = self.place(offset) {
            self.writes[write].1[offset] ^= 1 << (bit % 8);
        }
    }

    /// Inserts these bytes before the one at this offset.
    pub fn insert(&mut self, offset: usize, bytes: &[u8]) {
        if let Some((write, offset)) = self.place(offset) {
            self.writes[write].1.splice(offset..offset, bytes.iter().copied());
        }
    }

    /// In which write a byte lies, and where in it; `None` while nothing is under way.
    fn place(&self, offset: usize) -> Option<(usize, usize)> {
        let under_way: usize = self.writes.iter().map(|(_, bytes)| bytes.len()).sum();
        let mut offset = offset.checked_rem(under_way)?;
        self.writes.iter().enumerate().find_map(|(index, (_, bytes))| {
            if offset < bytes.len() {
                return Some((index, offset));
            }
            offset -= bytes.len();
            None
        })
    }
}
