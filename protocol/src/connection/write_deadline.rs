//! When bytes that were handed out must have been taken by the transport (PW-CLS-015, its second half).

use alloc::collections::VecDeque;
use core::time::Duration;

use crate::config::Timeouts;
use crate::time::Instant;

/// How many deadlines are told apart. A driver that writes one batch before it asks for the next never needs a second.
const MARKS_MAX: usize = 32;

/// Up to this byte of the stream, all must be taken by then.
#[derive(Debug, Clone, Copy)]
struct Mark {
    end: u64,
    deadline: Instant,
}

/// The deadlines of all bytes that wait, in order; none that a later one makes needless.
#[derive(Debug, Default)]
pub(super) struct WriteDeadlines {
    marks: VecDeque<Mark>,
}

impl WriteDeadlines {
    /// Bytes were handed out, so that the stream now ends at `end` and the last `waiting` bytes of it are not taken.
    pub(super) fn given(&mut self, now: Instant, end: u64, waiting: u64, timeouts: &Timeouts) {
        let nanos = u128::from(waiting) * 1_000_000_000 / u128::from(timeouts.assembly_rate);
        let transfer = Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX));
        let mark = Mark { end, deadline: now + timeouts.write_stall + transfer };
        // Bytes are taken in order: an earlier deadline further back holds for all that lies before.
        while self.marks.pop_back_if(|earlier| earlier.deadline >= mark.deadline).is_some() {}
        if self.marks.len() == MARKS_MAX {
            self.marks.pop_back();
        }
        self.marks.push_back(mark);
    }

    /// The transport has taken all before `taken`.
    pub(super) fn taken(&mut self, taken: u64) {
        while self.marks.pop_front_if(|mark| mark.end <= taken).is_some() {}
    }

    pub(super) fn earliest(&self) -> Option<Instant> {
        self.marks.front().map(|mark| mark.deadline)
    }
}
