//! A timing wheel: the deadlines of many connections, in twelve bytes each.

#[cfg(test)]
mod tests;

use alloc::boxed::Box;
use alloc::vec;

use super::buckets::{Buckets, CHUNK, GROUP_BITS, GROUPS, NO_BUCKET, group, member};
use crate::time::Instant;

/// The widths of the levels' buckets, as powers of two in nanoseconds, and how many buckets each level has.
///
/// A bucket of the first level is a tick, 66 µs: only what lies in one is looked at again and again. The second level is for the
/// deadlines of connections: whatever is up to 8 s ahead goes into a bucket of 2 ms at once, and a million that are some seconds
/// ahead are some hundred in each. Then come buckets of 67 ms for up to two minutes and of 2 s for half an hour: each is about a
/// hundredth of what the level below reaches, and so holds a small part of the deadlines, wherever they lie. What is hours ahead
/// is expected to be rare. The last level reaches to the end of time.
const SHAPE: [(u32, u32); 7] = [(16, 512), (21, 4096), (26, 2048), (31, 1024), (40, 1024), (49, 1024), (58, 64)];
const LEVELS: [Level; SHAPE.len()] = levels();

/// By group: its level.
const LEVEL_OF: [u8; GROUPS] = {
    let mut level_of = [0; GROUPS];
    let mut level = 0;
    while level < LEVELS.len() {
        let mut ordinal = 0;
        while ordinal < LEVELS[level].groups() {
            level_of[(group(LEVELS[level].first) + ordinal) as usize] = level as u8;
            ordinal += 1;
        }
        level += 1;
    }
    level_of
};

/// The buckets before those of the levels: two that take turns in holding what falls into the tick that is now. The rest of their
/// group is not used.
const NEAR: u16 = 2;

const GROUP: u32 = 1 << GROUP_BITS;
const BUCKETS: usize = {
    let last = &LEVELS[LEVELS.len() - 1];
    last.first as usize + last.mask as usize + 1
};

/// Buckets of one width, in a ring that time goes round: those behind the current position are used again for what is farthest
/// ahead. So no boundary in time moves what lies behind it from one level to another.
#[derive(Debug)]
struct Level {
    /// A bucket is 2 to the power of this in nanoseconds wide.
    width: u32,
    /// Positions in time have the bucket of their remainder by the number of buckets, which is a power of two: one more than this.
    mask: u64,
    /// From the current position the level reaches so many positions. It is a round without one group, so that no group ever has
    /// buckets of two rounds.
    reach: u64,
    /// Its first bucket. It begins a group.
    first: u16,
}

const fn levels() -> [Level; SHAPE.len()] {
    let mut levels = [const { Level { width: 0, mask: 0, reach: 0, first: 0 } }; SHAPE.len()];
    let mut first = GROUP;
    let mut index = 0;
    while index < levels.len() {
        let (width, count) = SHAPE[index];
        assert!(count.is_power_of_two() && count.is_multiple_of(GROUP), "whole groups");
        assert!(count / GROUP <= u64::BITS, "a bit for each group");
        let last = index == levels.len() - 1;
        // Nothing lies behind the end of time, so the last level never comes round.
        let reach = if last { u64::MAX } else { (count - GROUP) as u64 };
        assert!(!last || width + count.ilog2() == u64::BITS, "up to the end of time");
        // Otherwise what is in a bucket could belong to the same one when that is divided.
        assert!(index == 0 || levels[index - 1].reach > 1 << (width - levels[index - 1].width), "levels overlap");
        levels[index] = Level { width, mask: count as u64 - 1, reach, first: first as u16 };
        first += count;
        index += 1;
    }
    assert!(first < NO_BUCKET as u32 - GROUP, "one group is for slots in no bucket");
    levels
}

impl Level {
    /// Which of the level's buckets a moment falls into, counted from the beginning of time.
    #[inline]
    fn position(&self, nanos: u64) -> u64 {
        nanos >> self.width
    }

    #[inline]
    fn bucket(&self, position: u64) -> u16 {
        self.first + (position & self.mask) as u16
    }

    /// The ordinal of a position's group among the level's.
    #[inline]
    const fn ordinal(&self, position: u64) -> u8 {
        ((position & self.mask) >> GROUP_BITS) as u8
    }

    const fn groups(&self) -> u8 {
        self.ordinal(self.mask) + 1
    }
}

/// The deadlines of many things that are numbered from 0: connections in their slots.
///
/// Each has at most one deadline, which its owner keeps: the wheel only remembers roughly when to ask for it. So a deadline
/// that moves to later, as they all do with every packet, costs one comparison; it is asked for when the one before it has
/// passed, and noted anew. Noting, cancelling and expiring take amortised constant time, however far the deadline or the
/// jump of time. None expires before its time, nor after a call of [`expire`](Self::expire) at its time.
///
/// Nor is there a moment at which a call has to look at many. A deadline that is noted up to 8 s ahead of the latest call is looked
/// at together with those of the same 2 ms, when the first of them comes; one that is up to two minutes ahead is looked at with
/// those of the same 67 ms before.
///
/// Memory: at most 12 bytes for each slot up to the highest that was noted, 157 KiB, and 64 bytes for each of the 9,794 buckets
/// that were in use at one time. The order in which deadlines that passed together expire follows from the calls alone.
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
    /// The moment, in nanoseconds, that the levels begin at. A deadline is in the first level that reached it when it was noted,
    /// or in the bucket that is near. It never passes the end of a bucket that is not empty.
    ///
    /// So buckets of one level are in the order of time from the current position on, once round. What is in a lower level is
    /// earlier than what a higher one would take now, as it has only come nearer since it was noted. What is in a higher level is
    /// taken to be later than what a lower one would take, although it may have come near as well: then it is noted anew.
    current: u64,
    buckets: Buckets,
    /// By bucket: no deadline in it is earlier. `Instant::MAX` while it is empty.
    earliest: Box<[Instant]>,
    /// By group of the levels, a bit for each bucket: it is not empty, and is not being emptied.
    occupied: [u64; GROUPS],
    /// By level, a bit for each of its groups: it has such a bucket.
    occupied_groups: [u64; LEVELS.len()],
    /// By group: its place in the order of buckets that `current` describes. It changes when `current` comes into another group.
    ranks: [u8; GROUPS],
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
            occupied: [0; GROUPS],
            occupied_groups: [0; LEVELS.len()],
            // At the beginning of time it is the order of their numbers.
            ranks: core::array::from_fn(|group| group as u8),
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
        let home = self.buckets.home_group(slot);
        if self.ranks[usize::from(home)] >= self.ranks[usize::from(group(bucket))] {
            self.note_in(slot, bucket, deadline);
        }
    }

    /// Out of line, so that the way of nearly every packet stays short.
    #[inline(never)]
    fn note_in(&mut self, slot: u32, bucket: u16, deadline: Instant) {
        let home = self.buckets.home(slot);
        if self.order(home) > self.order(bucket) {
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
        let (next, _) = self.first();
        Some(next.min(self.earliest[usize::from(self.draining)])).filter(|earliest| *earliest < Instant::MAX)
    }

    /// Takes out one deadline that has come at `now`, and names its slot. Call until `None`.
    ///
    /// `deadline` tells the true deadline of a slot; `None` is one that never comes.
    pub fn expire(&mut self, now: Instant, deadline: impl FnMut(u32) -> Option<Instant>) -> Option<u32> {
        self.expire_with(now, |_| {}, deadline)
    }

    /// Like [`expire`](Self::expire), but tells before of which slots it is going to ask for the deadlines, some at a time. They
    /// are anywhere in memory: the processor can fetch many at once, if it knows them, but not while it works on the first of them.
    pub(super) fn expire_with(
        &mut self,
        now: Instant,
        fetch: impl Fn(&[u32]),
        mut deadline: impl FnMut(u32) -> Option<Instant>,
    ) -> Option<u32> {
        loop {
            while let Some(slot) = self.take_one() {
                let next = self.buckets.next_to_pop(self.draining);
                if next.len() == CHUNK {
                    fetch(next);
                }
                match deadline(slot) {
                    Some(due) if due <= now => return Some(slot),
                    Some(later) => self.arm(slot, self.bucket(later), later),
                    None => {}
                }
            }
            if !self.drain_next(now) {
                return None;
            }
            fetch(self.buckets.next_to_pop(self.draining));
        }
    }

    /// Where a deadline belongs.
    #[inline]
    fn bucket(&self, deadline: Instant) -> u16 {
        if deadline == Instant::MAX {
            return NO_BUCKET;
        }
        let (then, now) = (deadline.as_nanos(), self.current);
        if LEVELS[0].position(then) <= LEVELS[0].position(now) {
            return self.near;
        }
        let reaches = |level: &&Level| level.position(then) - level.position(now) < level.reach;
        let level = LEVELS.iter().find(reaches).unwrap_or(&LEVELS[LEVELS.len() - 1]);
        level.bucket(level.position(then))
    }

    /// Its place in the order of buckets that `current` describes.
    #[inline]
    fn order(&self, bucket: u16) -> (u8, u8) {
        (self.ranks[usize::from(group(bucket))], member(bucket))
    }

    /// The bucket that has to be looked at first, beside the one that is being emptied, and when. `Instant::MAX` where there is none.
    #[inline]
    fn first(&self) -> (Instant, u16) {
        let mut first = (self.earliest[usize::from(self.near)], self.near);
        for (level, groups) in LEVELS.iter().zip(self.occupied_groups) {
            if groups == 0 {
                continue;
            }
            // Those before the current group come after the others. In the current group all are ahead.
            let ahead = groups & u64::MAX << level.ordinal(level.position(self.current));
            let ordinal = if ahead == 0 { groups } else { ahead }.trailing_zeros();
            let group = u32::from(group(level.first)) + ordinal;
            let bucket = (group << GROUP_BITS | self.occupied[group as usize].trailing_zeros()) as u16;
            // In one level, the first one has the earliest deadline.
            first = first.min((self.earliest[usize::from(bucket)], bucket));
        }
        first
    }

    /// Begins to empty the bucket with the earliest deadline, if that may have come at `now`. Returns whether it does.
    fn drain_next(&mut self, now: Instant) -> bool {
        let (earliest, bucket) = self.first();
        // All other buckets have later deadlines, so none of them is over then. What is in this bucket and has not come yet belongs
        // to lower levels from then on, or to the current tick.
        self.advance(earliest.min(now));
        // Nothing may be left, and it may be the end of time.
        if earliest > now || earliest == Instant::MAX {
            self.draining = 1 - self.near;
            return false;
        }
        if bucket < NEAR {
            self.near = 1 - bucket;
        } else {
            self.vacate(bucket);
        }
        self.draining = bucket;
        true
    }

    /// Lets the levels begin at this moment, if it is later.
    fn advance(&mut self, moment: Instant) {
        let before = self.current;
        self.current = before.max(moment.as_nanos());
        for level in &LEVELS {
            let (position, groups) = (level.position(self.current), level.groups());
            if position >> GROUP_BITS == level.position(before) >> GROUP_BITS {
                // Higher levels have wider groups.
                break;
            }
            let (first, current) = (group(level.first), level.ordinal(position));
            for ordinal in 0..groups {
                self.ranks[usize::from(first + ordinal)] = first + ordinal.wrapping_sub(current) % groups;
            }
        }
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
            let group = group(bucket);
            let (level, bit) = group_bit(group);
            self.occupied_groups[level] |= bit;
            self.occupied[usize::from(group)] |= 1 << member(bucket);
        }
    }

    /// Notes that nothing is left in a bucket.
    fn emptied(&mut self, bucket: u16) {
        self.earliest[usize::from(bucket)] = Instant::MAX;
        if bucket >= NEAR {
            self.vacate(bucket);
        }
    }

    /// Notes that a bucket of the levels is empty, or is being emptied.
    fn vacate(&mut self, bucket: u16) {
        let group = group(bucket);
        let occupied = &mut self.occupied[usize::from(group)];
        *occupied &= !(1 << member(bucket));
        if *occupied == 0 {
            let (level, bit) = group_bit(group);
            self.occupied_groups[level] &= !bit;
        }
    }
}

impl Default for TimingWheel {
    fn default() -> Self {
        Self::new()
    }
}

/// The level of a group, and its bit in `occupied_groups`.
#[inline]
fn group_bit(group: u8) -> (usize, u64) {
    let level = usize::from(LEVEL_OF[usize::from(group)]);
    (level, 1 << (group - self::group(LEVELS[level].first)))
}
