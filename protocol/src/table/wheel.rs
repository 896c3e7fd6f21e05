//! A timing wheel: the deadlines of many connections, in ten bytes each.

use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;

use crate::time::Instant;

/// A tick is 2^16 ns, 66 µs. Only what lies in one tick is ever looked at for nothing.
const TICK_BITS: u32 = 16;

/// Each level has a bucket for each value of one digit of the tick, lowest digit first. The levels cover all of time.
const DIGIT_BITS: u32 = 6;
const DIGITS: usize = 1 << DIGIT_BITS;
const LEVELS: usize = (u64::BITS - TICK_BITS).div_ceil(DIGIT_BITS) as usize;

/// The buckets before those of the levels: two that take turns in holding what falls into the tick that is now.
const NEAR: u16 = 2;
const BUCKETS: usize = NEAR as usize + LEVELS * DIGITS;

/// No bucket: later than all of them.
const UNARMED: u16 = u16::MAX;

/// No slot: the end of a list.
const NIL: u32 = u32::MAX;

/// The neighbours in a bucket's list.
#[derive(Debug, Clone, Copy)]
struct Links {
    next: u32,
    previous: u32,
}

#[derive(Debug, Clone, Copy)]
struct Bucket {
    first: u32,
    /// No deadline in it is earlier. `Instant::MAX` while it is empty.
    earliest: Instant,
}

/// The deadlines of many things that are numbered from 0: connections in their slots.
///
/// Each has at most one deadline, which its owner keeps: the wheel only remembers roughly when to ask for it. So a deadline
/// that moves to later, as they all do with every packet, costs one comparison; it is asked for when the one before it has
/// passed, and noted anew. Noting, cancelling and expiring take amortised constant time, however far the deadline or the
/// jump of time. None expires before its time, nor after a call of [`expire`](Self::expire) at its time.
///
/// Memory: 10 bytes for each slot up to the highest that was noted, and 8 KiB. The order in which deadlines that
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
    /// Which buckets of each level are not empty.
    occupied: [u64; LEVELS],
    buckets: Box<[Bucket]>,
    /// The one of the first two buckets that takes deadlines of the current tick.
    near: u16,
    /// The bucket that is being emptied: the other one of the first two where there is nothing to empty. Never one that a
    /// deadline is put into.
    draining: u16,
    /// The bucket of each slot.
    armed: Vec<u16>,
    links: Vec<Links>,
}

impl TimingWheel {
    /// Without deadlines.
    #[must_use]
    pub fn new() -> Self {
        Self {
            current: 0,
            occupied: [0; LEVELS],
            buckets: vec![Bucket { first: NIL, earliest: Instant::MAX }; BUCKETS].into_boxed_slice(),
            near: 0,
            draining: 1,
            armed: Vec::new(),
            links: Vec::new(),
        }
    }

    /// The deadline of `slot` is now `deadline`. Where it only moved to later since it was noted, this need not be called, and
    /// does nothing. `Instant::MAX` is never noted.
    ///
    /// # Panics
    /// If `slot` is `u32::MAX`.
    #[inline]
    pub fn note(&mut self, slot: u32, deadline: Instant) {
        let bucket = self.bucket(deadline);
        match self.armed.get(slot as usize) {
            // The way of nearly every packet: to a later bucket.
            Some(&armed) if armed < bucket && bucket >= NEAR => {}
            Some(&armed) if armed <= bucket => {
                if let Some(bucket) = self.buckets.get_mut(usize::from(armed))
                    && deadline < bucket.earliest
                {
                    bucket.earliest = deadline;
                }
            }
            Some(_) | None => self.arm(slot, bucket, deadline),
        }
    }

    /// Forgets the deadline of `slot`, if it has one.
    pub fn cancel(&mut self, slot: u32) {
        if self.armed.get(slot as usize).is_some_and(|armed| *armed != UNARMED) {
            self.unlink(slot);
        }
    }

    /// When [`expire`](Self::expire) has something to look at: never later than the earliest deadline.
    #[must_use]
    pub fn earliest(&self) -> Option<Instant> {
        let draining = self.buckets[usize::from(self.draining)].earliest;
        let next = self.first_bucket().map_or(Instant::MAX, |bucket| self.buckets[usize::from(bucket)].earliest);
        Some(draining.min(next)).filter(|earliest| *earliest < Instant::MAX)
    }

    /// Takes out one deadline that has come at `now`, and names its slot. Call until `None`.
    ///
    /// `deadline` tells the true deadline of a slot; `None` is one that never comes.
    pub fn expire(&mut self, now: Instant, mut deadline: impl FnMut(u32) -> Option<Instant>) -> Option<u32> {
        loop {
            while let Some(slot) = self.take_first() {
                match deadline(slot) {
                    Some(due) if due <= now => return Some(slot),
                    Some(later) => self.note(slot, later),
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
            return UNARMED;
        }
        let tick = tick(deadline);
        if tick <= self.current {
            return self.near;
        }
        let level = (tick ^ self.current).ilog2() / DIGIT_BITS;
        let digit = (tick >> (level * DIGIT_BITS)) % DIGITS as u64;
        // Below 2 + 8 * 64.
        NEAR + (level as usize * DIGITS) as u16 + digit as u16
    }

    /// The first bucket in time that is not empty, beside the one that is being emptied.
    #[inline]
    fn first_bucket(&self) -> Option<u16> {
        if self.buckets[usize::from(self.near)].first != NIL {
            return Some(self.near);
        }
        (NEAR..)
            .step_by(DIGITS)
            .zip(&self.occupied)
            .find(|(_, occupied)| **occupied != 0)
            .map(|(first, occupied)| first + occupied.trailing_zeros() as u16)
    }

    /// The first tick of a bucket of the levels.
    fn start(&self, bucket: u16) -> u64 {
        let (level, digit) = split(bucket);
        let shift = level as u32 * DIGIT_BITS;
        let above = self.current >> shift & !(DIGITS as u64 - 1);
        (above | digit as u64) << shift
    }

    /// Begins to empty the first bucket, if anything in it may have come at `now`. Says whether it does.
    fn drain_next(&mut self, now: Instant) -> bool {
        let bucket = self.first_bucket();
        let Some(bucket) = bucket.filter(|bucket| self.buckets[usize::from(*bucket)].earliest <= now) else {
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
            let (level, digit) = split(bucket);
            self.occupied[level] &= !(1 << digit);
        }
        self.draining = bucket;
        true
    }

    fn take_first(&mut self) -> Option<u32> {
        let slot = self.buckets[usize::from(self.draining)].first;
        (slot != NIL).then(|| {
            self.unlink(slot);
            slot
        })
    }

    fn arm(&mut self, slot: u32, bucket: u16, deadline: Instant) {
        assert!(slot != NIL, "slot 2^32 - 1 has no deadline");
        if bucket == UNARMED {
            return;
        }
        let index = slot as usize;
        if self.armed.len() <= index {
            self.armed.resize(index + 1, UNARMED);
            self.links.resize(index + 1, Links { next: NIL, previous: NIL });
        } else if self.armed[index] != UNARMED {
            self.unlink(slot);
        }
        let Bucket { first, earliest } = &mut self.buckets[usize::from(bucket)];
        *earliest = deadline.min(*earliest);
        self.links[index] = Links { next: *first, previous: NIL };
        if *first != NIL {
            self.links[*first as usize].previous = slot;
        }
        *first = slot;
        self.armed[index] = bucket;
        if bucket >= NEAR {
            let (level, digit) = split(bucket);
            self.occupied[level] |= 1 << digit;
        }
    }

    fn unlink(&mut self, slot: u32) {
        let bucket = core::mem::replace(&mut self.armed[slot as usize], UNARMED);
        let Links { next, previous } = self.links[slot as usize];
        if next != NIL {
            self.links[next as usize].previous = previous;
        }
        if previous != NIL {
            self.links[previous as usize].next = next;
            return;
        }
        let list = &mut self.buckets[usize::from(bucket)];
        list.first = next;
        if next == NIL {
            list.earliest = Instant::MAX;
            if bucket >= NEAR {
                let (level, digit) = split(bucket);
                self.occupied[level] &= !(1 << digit);
            }
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    const SLOTS: u32 = 24;

    #[derive(Debug, Clone)]
    enum Operation {
        /// To this much after now.
        Note(u32, u64),
        /// To this much before now.
        NotePast(u32, u64),
        /// To later, without telling the wheel.
        Postpone(u32, u64),
        Never(u32),
        Cancel(u32),
        /// Time passes, and all that has come expires.
        Pass(u64),
        /// Time passes, and some of what has come expires.
        PassAndTake(u64, usize),
    }

    /// From nanoseconds to centuries, with many that share a tick.
    fn span() -> impl Strategy<Value = u64> {
        prop_oneof![4 => 0u64..200_000, 4 => 0u64..8_000_000_000, 1 => (0u32..64).prop_map(|bits| 1 << bits), 1 => any::<u64>()]
    }

    fn operation() -> impl Strategy<Value = Operation> {
        prop_oneof![
            6 => (0..SLOTS, span()).prop_map(|(slot, span)| Operation::Note(slot, span)),
            1 => (0..SLOTS, span()).prop_map(|(slot, span)| Operation::NotePast(slot, span)),
            4 => (0..SLOTS, span()).prop_map(|(slot, span)| Operation::Postpone(slot, span)),
            1 => (0..SLOTS).prop_map(Operation::Never),
            1 => (0..SLOTS).prop_map(Operation::Cancel),
            5 => (0u64..20_000_000_000).prop_map(Operation::Pass),
            2 => (0u64..100_000).prop_map(Operation::Pass),
            1 => (0u32..60).prop_map(|bits| Operation::Pass(1 << bits)),
            2 => (0u64..300_000, 0usize..4).prop_map(|(span, count)| Operation::PassAndTake(span, count)),
        ]
    }

    /// Every list is whole, holds each armed slot once, and lies where the order of buckets is that of time.
    fn check(wheel: &TimingWheel) {
        let mut listed = 0;
        for (index, bucket) in wheel.buckets.iter().enumerate() {
            let (mut slot, mut previous) = (bucket.first, NIL);
            while slot != NIL {
                assert_eq!(
                    (usize::from(wheel.armed[slot as usize]), wheel.links[slot as usize].previous),
                    (index, previous)
                );
                (previous, slot) = (slot, wheel.links[slot as usize].next);
                listed += 1;
            }
            assert!(bucket.first != NIL || bucket.earliest == Instant::MAX);
            if index >= usize::from(NEAR) && index != usize::from(wheel.draining) {
                let (level, digit) = split(index as u16);
                assert_eq!(wheel.occupied[level] >> digit & 1 == 1, bucket.first != NIL);
                assert!(bucket.first == NIL || wheel.start(index as u16) > wheel.current);
            }
        }
        assert_eq!(listed, wheel.armed.iter().filter(|armed| **armed != UNARMED).count());
    }

    proptest! {
        /// Against a sorted map: none is missed, none is early, and whoever waits for `earliest` is never late.
        #[test]
        fn exactly_what_has_come_expires(start: u64, operations in prop::collection::vec(operation(), 1..200)) {
            let mut wheel = TimingWheel::new();
            let mut model: BTreeMap<u32, Instant> = BTreeMap::new();
            let mut now = Instant::from_nanos(start >> 1);
            for operation in operations {
                let nanos = now.as_nanos();
                let mut take = 0;
                match operation {
                    Operation::Note(slot, span) => {
                        let deadline = Instant::from_nanos(nanos.saturating_add(span));
                        if deadline < Instant::MAX || !model.contains_key(&slot) {
                            model.insert(slot, deadline);
                            wheel.note(slot, deadline);
                        }
                    }
                    Operation::NotePast(slot, span) => {
                        let deadline = Instant::from_nanos(nanos.saturating_sub(span));
                        model.insert(slot, deadline);
                        wheel.note(slot, deadline);
                    }
                    Operation::Postpone(slot, span) => {
                        if let Some(deadline) = model.get_mut(&slot) {
                            *deadline = Instant::from_nanos(deadline.as_nanos().saturating_add(span));
                        }
                    }
                    Operation::Never(slot) => {
                        if let Some(deadline) = model.get_mut(&slot) {
                            *deadline = Instant::MAX;
                        }
                    }
                    Operation::Cancel(slot) => {
                        model.remove(&slot);
                        wheel.cancel(slot);
                    }
                    Operation::Pass(span) => {
                        now = Instant::from_nanos(nanos.saturating_add(span).min(u64::MAX - 1));
                        take = usize::MAX;
                    }
                    Operation::PassAndTake(span, count) => {
                        now = Instant::from_nanos(nanos.saturating_add(span).min(u64::MAX - 1));
                        take = count;
                    }
                }
                check(&wheel);
                let all = take == usize::MAX;
                while take > 0 {
                    take -= 1;
                    let Some(slot) = wheel.expire(now, |slot| model.get(&slot).copied()) else { break };
                    check(&wheel);
                    let deadline = model.remove(&slot);
                    prop_assert!(deadline.is_some_and(|deadline| deadline <= now), "{:?} at {:?}", deadline, now);
                }
                let earliest = model.values().copied().filter(|deadline| *deadline < Instant::MAX).min();
                if let Some(earliest) = earliest {
                    prop_assert!(wheel.earliest().is_some_and(|armed| armed <= earliest));
                }
                if all {
                    prop_assert!(earliest.is_none_or(|earliest| earliest > now), "missed {:?} at {:?}", earliest, now);
                    prop_assert!(wheel.earliest().is_none_or(|armed| armed > now));
                }
                check(&wheel);
            }
        }
    }

    /// How often the wheel asks while this happens to a hundred slots.
    fn asked(calls: impl FnOnce(&mut TimingWheel, &mut dyn FnMut(u32) -> Option<Instant>)) -> usize {
        let mut count = 0;
        let mut wheel = TimingWheel::new();
        let deadlines: Vec<Instant> =
            (0..100).map(|slot| Instant::from_nanos(5_000_000_000 + slot * 10_000_000)).collect();
        for (slot, deadline) in (0..).zip(&deadlines) {
            wheel.note(slot, *deadline);
        }
        calls(&mut wheel, &mut |slot| {
            count += 1;
            Some(deadlines[slot as usize])
        });
        count
    }

    #[test]
    fn a_jump_over_centuries_asks_for_each_deadline_once() {
        let count = asked(|wheel, deadline| {
            let mut expired = 0;
            while wheel.expire(Instant::from_nanos(u64::MAX / 2), &mut *deadline).is_some() {
                expired += 1;
            }
            assert_eq!(expired, 100);
        });
        assert_eq!(count, 100);
    }

    #[test]
    fn small_steps_ask_for_each_deadline_at_most_once_a_level() {
        let count = asked(|wheel, deadline| {
            let mut now = 0;
            while wheel.earliest().is_some() {
                now += 100_000;
                while wheel.expire(Instant::from_nanos(now), &mut *deadline).is_some() {}
            }
        });
        assert!(count <= 100 * LEVELS, "{count}");
    }

    #[test]
    fn nothing_is_asked_for_before_its_time() {
        let count = asked(|wheel, deadline| {
            assert_eq!(wheel.earliest(), Some(Instant::from_nanos(5_000_000_000)));
            assert_eq!(wheel.expire(Instant::from_nanos(4_999_999_999), &mut *deadline), None);
        });
        assert_eq!(count, 0);
    }
}
