//! A timing wheel: the deadlines of many connections, in twelve bytes each.

#[cfg(test)]
mod tests;

use alloc::boxed::Box;
use alloc::vec;

use super::buckets::{Buckets, NO_BUCKET};
use crate::time::Instant;

/// A tick is 2^16 ns, 66 µs. Only what lies in one tick is ever looked at for nothing.
const TICK_BITS: u32 = 16;

/// Each level has a bucket for each value of one digit of the tick, lowest digit first. The levels cover all of time. Digits
/// are so large that a deadline less than a minute away passes through one bucket, 67 ms wide, on its way to that of its tick.
const DIGIT_BITS: u32 = 10;
const DIGITS: usize = 1 << DIGIT_BITS;
const LEVELS: usize = (u64::BITS - TICK_BITS).div_ceil(DIGIT_BITS) as usize;

/// The buckets before those of the levels: two that take turns in holding what falls into the tick that is now.
const NEAR: u16 = 2;
const BUCKETS: usize = NEAR as usize + LEVELS * DIGITS;
const WORDS: usize = BUCKETS.div_ceil(u64::BITS as usize);

/// The deadlines of many things that are numbered from 0: connections in their slots.
///
/// Each has at most one deadline, which its owner keeps: the wheel only remembers roughly when to ask for it. So a deadline
/// that moves to later, as they all do with every packet, costs one comparison; it is asked for when the one before it has
/// passed, and noted anew. Noting, cancelling and expiring take amortised constant time, however far the deadline or the
/// jump of time. None expires before its time, nor after a call of [`expire`](Self::expire) at its time.
///
/// Memory: at most 12 bytes for each slot up to the highest that was noted, 82 KiB, and 64 bytes for each of the 5,122 buckets
/// that were in use at one time. The order in which deadlines that
/// passed together expire follows from the calls alone.
///
/// ```
/// use pulsewire_protocol::{Instant, TimingWheel};
///
/// let mut deadlines = [Instant::from_nanos(5_000_000), Instant::from_nanos(2_000_000)];
/// let mut wheel = TimingWheel::new();
/// wheel.note(0, deadlines[0]);
/// wheel.note(1, deadlines[1]);
/// deadlines[1] = Instant::from_nanos(9_000_000); // later: nothing has to be done
///
/// let now = Instant::from_nanos(6_000_000);
/// assert_eq!(wheel.earliest(), Some(Instant::from_nanos(2_000_000)));
/// assert_eq!(wheel.expire(now, |slot| Some(deadlines[slot as usize])), Some(0));
/// assert_eq!(wheel.expire(now, |slot| Some(deadlines[slot as usize])), None);
/// assert_eq!(wheel.earliest(), Some(deadlines[1]));
/// ```
#[derive(Debug)]
pub struct TimingWheel {
    /// The tick that all buckets are relative to. A deadline is in the level of the highest digit in which its tick differs
    /// from this one, so buckets in the order of their numbers are in the order of time, and stay so while this advances.
    current: u64,
    buckets: Buckets,
    /// By bucket: no deadline in it is earlier. `Instant::MAX` while it is empty.
    earliest: Box<[Instant]>,
    /// By bucket of the levels, a bit each: it is not empty, and is not being emptied.
    occupied: [u64; WORDS],
    /// The one of the first two buckets that takes deadlines of the current tick.
    near: u16,
    /// The bucket that is being emptied: the other one of the first two where there is nothing to empty. Never one that a
    /// deadline is put into.
    draining: u16,
}

impl TimingWheel {
    /// Without deadlines.
    #[must_use]
    pub fn new() -> Self {
        Self {
            current: 0,
            buckets: Buckets::new(BUCKETS),
            earliest: vec![Instant::MAX; BUCKETS].into_boxed_slice(),
            occupied: [0; WORDS],
            near: 0,
            draining: 1,
        }
    }

    /// The deadline of `slot` is now `deadline`. Where it only moved to later since it was noted, this need not be called, and
    /// does nothing. `Instant::MAX` is never noted.
    ///
    /// # Panics
    /// If `slot` is `u32::MAX`, or with more than four billion deadlines.
    #[inline]
    pub fn note(&mut self, slot: u32, deadline: Instant) {
        let bucket = self.bucket(deadline);
        // Nearly every packet moves a deadline to a later bucket.
        if !self.buckets.is_surely_before(slot, bucket) {
            self.note_in(slot, bucket, deadline);
        }
    }

    /// Out of line, so that the way of nearly every packet stays short.
    #[inline(never)]
    fn note_in(&mut self, slot: u32, bucket: u16, deadline: Instant) {
        let home = self.buckets.home(slot);
        if home > bucket {
            self.cancel(slot);
            self.arm(slot, bucket, deadline);
        } else if (home == bucket || bucket < NEAR)
            && let Some(earliest) = self.earliest.get_mut(usize::from(home))
        {
            *earliest = deadline.min(*earliest);
        }
    }

    /// Forgets the deadline of `slot`, if it has one.
    pub fn cancel(&mut self, slot: u32) {
        if let Some(bucket) = self.buckets.remove(slot)
            && self.buckets.is_empty(bucket)
        {
            self.emptied(bucket);
        }
    }

    /// When [`expire`](Self::expire) has something to look at: never later than the earliest deadline.
    #[must_use]
    pub fn earliest(&self) -> Option<Instant> {
        let draining = self.earliest[usize::from(self.draining)];
        let next = self.first_bucket().map_or(Instant::MAX, |bucket| self.earliest[usize::from(bucket)]);
        Some(draining.min(next)).filter(|earliest| *earliest < Instant::MAX)
    }

    /// Takes out one deadline that has come at `now`, and names its slot. Call until `None`.
    ///
    /// `deadline` tells the true deadline of a slot; `None` is one that never comes.
    pub fn expire(&mut self, now: Instant, mut deadline: impl FnMut(u32) -> Option<Instant>) -> Option<u32> {
        loop {
            while let Some(slot) = self.take_one() {
                match deadline(slot) {
                    Some(due) if due <= now => return Some(slot),
                    Some(later) => self.arm(slot, self.bucket(later), later),
                    None => {}
                }
            }
            if !self.drain_next(now) {
                return None;
            }
        }
    }

    /// Where a deadline belongs.
    #[inline]
    fn bucket(&self, deadline: Instant) -> u16 {
        if deadline == Instant::MAX {
            return NO_BUCKET;
        }
        let tick = tick(deadline);
        if tick <= self.current {
            return self.near;
        }
        let level = (tick ^ self.current).ilog2() / DIGIT_BITS;
        let digit = (tick >> (level * DIGIT_BITS)) % DIGITS as u64;
        // Below 2 + 5 * 1024.
        NEAR + (level as usize * DIGITS) as u16 + digit as u16
    }

    /// The first bucket in time that is not empty, beside the one that is being emptied.
    #[inline]
    fn first_bucket(&self) -> Option<u16> {
        if !self.buckets.is_empty(self.near) {
            return Some(self.near);
        }
        let word = self.occupied.iter().position(|word| *word != 0)?;
        Some((word as u32 * u64::BITS + self.occupied[word].trailing_zeros()) as u16)
    }

    /// The first tick of a bucket of the levels.
    fn start(&self, bucket: u16) -> u64 {
        let (level, digit) = split(bucket);
        let shift = level as u32 * DIGIT_BITS;
        let above = self.current >> shift & !(DIGITS as u64 - 1);
        (above | digit as u64) << shift
    }

    /// Begins to empty the first bucket, if anything in it may have come at `now`. Returns whether it does.
    fn drain_next(&mut self, now: Instant) -> bool {
        let bucket = self.first_bucket();
        let Some(bucket) = bucket.filter(|bucket| self.earliest[usize::from(*bucket)] <= now) else {
            self.draining = 1 - self.near;
            if bucket.is_none_or(|bucket| bucket >= NEAR && self.start(bucket) > tick(now)) {
                self.current = self.current.max(tick(now));
            }
            return false;
        };
        if bucket < NEAR {
            self.near = 1 - bucket;
        } else {
            // What has not come yet then belongs to lower levels, or to the current tick.
            self.current = self.start(bucket);
            let (word, bit) = bit(bucket);
            self.occupied[word] &= !bit;
        }
        self.draining = bucket;
        true
    }

    /// Takes a slot out of the bucket that is being emptied.
    #[inline]
    fn take_one(&mut self) -> Option<u32> {
        let slot = self.buckets.pop(self.draining)?;
        if self.buckets.is_empty(self.draining) {
            self.emptied(self.draining);
        }
        Some(slot)
    }

    /// Puts a slot that is in no bucket into this one.
    #[inline]
    fn arm(&mut self, slot: u32, bucket: u16, deadline: Instant) {
        assert!(slot != u32::MAX, "slot 2^32 - 1 has no deadline");
        if bucket == NO_BUCKET {
            return;
        }
        self.buckets.insert(bucket, slot);
        let earliest = &mut self.earliest[usize::from(bucket)];
        *earliest = deadline.min(*earliest);
        if bucket >= NEAR {
            let (word, bit) = bit(bucket);
            self.occupied[word] |= bit;
        }
    }

    /// Notes that nothing is left in a bucket.
    fn emptied(&mut self, bucket: u16) {
        self.earliest[usize::from(bucket)] = Instant::MAX;
        if bucket >= NEAR {
            let (word, bit) = bit(bucket);
            self.occupied[word] &= !bit;
        }
    }
}

impl Default for TimingWheel {
    fn default() -> Self {
        Self::new()
    }
}

#[inline]
fn tick(moment: Instant) -> u64 {
    moment.as_nanos() >> TICK_BITS
}

/// Level and digit of a bucket of the levels.
#[inline]
fn split(bucket: u16) -> (usize, usize) {
    let index = usize::from(bucket - NEAR);
    (index / DIGITS, index % DIGITS)
}

/// The word and the bit of a bucket in `occupied`.
#[inline]
fn bit(bucket: u16) -> (usize, u64) {
    let index = usize::from(bucket);
    (index / u64::BITS as usize, 1 << (index % u64::BITS as usize))
}
