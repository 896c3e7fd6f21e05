//! One direction of a connection: bytes under way, and what happens to them there.

use std::collections::VecDeque;

use pulsewire_protocol::{HEADER_SIZE, Instant, MAGIC};

/// A byte under way, counted round and round.
#[derive(Debug, Clone, Copy)]
pub enum Spot {
    /// The one at this offset.
    Anywhere(usize),
    /// One of a header, where damage does most.
    Header {
        /// Which header.
        number: usize,
        /// Which byte of it.
        byte: usize,
    },
}

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

    /// Flips a bit of a byte under way.
    pub fn corrupt(&mut self, spot: Spot, bit: u8) {
        if let Some((write, offset)) = self.place(spot) {
            self.writes[write].1[offset] ^= 1 << (bit % 8);
        }
    }

    /// Inserts these bytes before a byte under way.
    pub fn insert(&mut self, spot: Spot, bytes: &[u8]) {
        if let Some((write, offset)) = self.place(spot) {
            self.writes[write].1.splice(offset..offset, bytes.iter().copied());
        }
    }

    /// In which write the spot lies, and where in it; `None` while there is no such spot.
    fn place(&self, spot: Spot) -> Option<(usize, usize)> {
        let writes = self.writes.iter().enumerate();
        match spot {
            Spot::Anywhere(offset) => {
                let sizes = writes.map(|(index, (_, bytes))| (index, bytes.len()));
                let mut offset = offset.checked_rem(sizes.clone().map(|(_, size)| size).sum())?;
                for (index, size) in sizes {
                    if offset < size {
                        return Some((index, offset));
                    }
                    offset -= size;
                }
                None
            }
            Spot::Header { number, byte } => {
                let headers: Vec<_> = writes
                    .flat_map(|(index, (_, bytes))| {
                        let magic = bytes.windows(HEADER_SIZE).enumerate();
                        magic.filter(|(_, window)| window.starts_with(&MAGIC)).map(move |(at, _)| (index, at))
                    })
                    .collect();
                let (index, at) = headers[number.checked_rem(headers.len())?];
                Some((index, at + byte % HEADER_SIZE))
            }
        }
    }
}
