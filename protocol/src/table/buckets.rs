//! Slots in numbered buckets, each in one of them at most: the memory of a timing wheel.

use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;

/// The bucket of a slot that is in none: the last one of the last group.
pub(super) const NO_BUCKET: u16 = ((GROUPS << GROUP_BITS) - 1) as u16;

/// A bucket's number is kept in two bytes: its group in one of them, and so many bits, which tell it from the others of its
/// group, in the other one.
pub(super) const GROUP_BITS: u32 = 6;

/// As many as a byte can number.
pub(super) const GROUPS: usize = 1 << u8::BITS;

/// With these many slots a chunk is 64 bytes, a cache line.
pub(super) const CHUNK: usize = 15;

/// No chunk: the end of a list.
const NIL: u32 = u32::MAX;

/// Slots of one bucket.
#[derive(Debug, Clone, Copy)]
struct Chunk {
    slots: [u32; CHUNK],
    next: u32,
}

/// A list of chunks. All but the first one are full.
#[derive(Debug, Clone, Copy)]
struct Bucket {
    first: u32,
    /// Slots in it.
    count: u32,
}

/// Puts in, takes out and finds a slot in constant time.
///
/// Slots lie beside each other in chunks: a list that is linked from slot to slot would be a cache miss for each of them, one
/// after the other. Memory: 6 bytes for each slot up to the highest, 4.3 for each that is in a bucket, and an eighth more for
/// growth; beside that a chunk and 8 bytes for each bucket.
#[derive(Debug)]
pub(super) struct Buckets {
    buckets: Box<[Bucket]>,
    chunks: Vec<Chunk>,
    /// The first of the chunks that are not in use.
    free: u32,
    /// The group of the bucket of each slot. It decides nearly every comparison of buckets alone, and a million fit into the
    /// cache that is next to a processor, where two million bytes would compete with everything else.
    groups: Vec<u8>,
    /// Which bucket of its group it is.
    members: Vec<u8>,
    /// Where each slot is in `chunks`, counted in slots. Means nothing for one that is in no bucket.
    places: Vec<u32>,
}

impl Buckets {
    /// This many, and all empty.
    pub(super) fn new(count: usize) -> Self {
        debug_assert!(
            count <= usize::from(NO_BUCKET) && group(count as u16) < group(NO_BUCKET),
            "one group is for slots in no bucket"
        );
        Self {
            buckets: vec![Bucket { first: NIL, count: 0 }; count].into_boxed_slice(),
            chunks: Vec::new(),
            free: NIL,
            groups: Vec::new(),
            members: Vec::new(),
            places: Vec::new(),
        }
    }

    /// The bucket that a slot is in, or [`NO_BUCKET`].
    #[inline]
    pub(super) fn home(&self, slot: u32) -> u16 {
        let index = slot as usize;
        match (self.groups.get(index), self.members.get(index)) {
            (Some(group), Some(member)) => u16::from(*group) << GROUP_BITS | u16::from(*member),
            (Some(_), None) | (None, _) => NO_BUCKET,
        }
    }

    /// The group of the bucket that a slot is in, or of [`NO_BUCKET`].
    #[inline]
    pub(super) fn home_group(&self, slot: u32) -> u8 {
        self.groups.get(slot as usize).copied().unwrap_or(group(NO_BUCKET))
    }

    #[inline]
    fn set_home(&mut self, slot: u32, bucket: u16) {
        self.groups[slot as usize] = group(bucket);
        self.members[slot as usize] = member(bucket);
    }

    #[inline]
    pub(super) fn is_empty(&self, bucket: u16) -> bool {
        self.buckets[usize::from(bucket)].count == 0
    }

    /// Puts in a slot that is in no bucket.
    #[inline]
    pub(super) fn insert(&mut self, bucket: u16, slot: u32) {
        let index = slot as usize;
        if index >= self.groups.len() {
            self.admit(index);
        }
        let Bucket { mut first, count } = self.buckets[usize::from(bucket)];
        let offset = count as usize % CHUNK;
        if offset == 0 {
            first = self.take_chunk(first);
        }
        self.buckets[usize::from(bucket)] = Bucket { first, count: count + 1 };
        self.chunks[first as usize].slots[offset] = slot;
        self.set_home(slot, bucket);
        self.places[index] = first * CHUNK as u32 + offset as u32;
    }

    /// The slots of a bucket's first chunk: those that are popped next, the last one first.
    #[inline]
    pub(super) fn next_to_pop(&self, bucket: u16) -> &[u32] {
        let Bucket { first, count } = self.buckets[usize::from(bucket)];
        match self.chunks.get(first as usize) {
            Some(chunk) if count > 0 => &chunk.slots[..=(count as usize - 1) % CHUNK],
            Some(_) | None => &[],
        }
    }

    /// Takes out the slot of the bucket that was put in last.
    #[inline]
    pub(super) fn pop(&mut self, bucket: u16) -> Option<u32> {
        let Bucket { first, count } = &mut self.buckets[usize::from(bucket)];
        *count = count.checked_sub(1)?;
        let offset = *count as usize % CHUNK;
        let chunk = &mut self.chunks[*first as usize];
        let slot = chunk.slots[offset];
        if offset == 0 {
            let emptied = core::mem::replace(first, chunk.next);
            chunk.next = core::mem::replace(&mut self.free, emptied);
        }
        self.set_home(slot, NO_BUCKET);
        Some(slot)
    }

    /// Takes a slot out of its bucket, if it is in one. Gives the bucket.
    pub(super) fn remove(&mut self, slot: u32) -> Option<u16> {
        let bucket = Some(self.home(slot)).filter(|home| *home != NO_BUCKET)?;
        let last = self.pop(bucket)?;
        if last != slot {
            // The last one takes its place.
            let place = self.places[slot as usize];
            self.chunks[place as usize / CHUNK].slots[place as usize % CHUNK] = last;
            self.places[last as usize] = place;
            self.set_home(last, bucket);
            self.set_home(slot, NO_BUCKET);
        }
        Some(bucket)
    }

    /// Makes room for a slot above all that were put in before.
    #[cold]
    fn admit(&mut self, index: usize) {
        // Where this is more than a pointer has room for, there is no memory for it either, and the allocation says so.
        let length = index.saturating_add(1);
        reserve(&mut self.groups, length);
        reserve(&mut self.members, length);
        reserve(&mut self.places, length);
        self.groups.resize(length, group(NO_BUCKET));
        self.members.resize(length, member(NO_BUCKET));
        self.places.resize(length, 0);
    }

    /// A chunk in front of `next`.
    fn take_chunk(&mut self, next: u32) -> u32 {
        if let Some(chunk) = self.chunks.get_mut(self.free as usize) {
            let taken = core::mem::replace(&mut self.free, chunk.next);
            chunk.next = next;
            return taken;
        }
        let taken = self.chunks.len();
        assert!(taken < u32::MAX as usize / CHUNK, "more than 4 billion deadlines");
        reserve(&mut self.chunks, taken + 1);
        self.chunks.push(Chunk { slots: [0; CHUNK], next });
        taken as u32
    }
}

/// The group of a bucket: a byte, as no number is above that of `NO_BUCKET`.
#[inline]
pub(super) const fn group(bucket: u16) -> u8 {
    (bucket >> GROUP_BITS) as u8
}

/// Which bucket of its group it is.
#[inline]
pub(super) const fn member(bucket: u16) -> u8 {
    (bucket % (1 << GROUP_BITS)) as u8
}

/// Makes room for `length` elements, and an eighth more in place of the usual twice as many.
fn reserve<T>(elements: &mut Vec<T>, length: usize) {
    if length > elements.capacity() {
        elements.reserve_exact(length.saturating_add(length / 8) - elements.len());
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[derive(Debug, Clone)]
    enum Operation {
        /// Moves the slot there, from wherever it is.
        Move(u32, u16),
        Remove(u32),
        Pop(u16),
    }

    fn operation() -> impl Strategy<Value = Operation> {
        prop_oneof![
            8 => (0u32..200, 0u16..3).prop_map(|(slot, bucket)| Operation::Move(slot, bucket)),
            2 => (0u32..200).prop_map(Operation::Remove),
            2 => (0u16..3).prop_map(Operation::Pop),
        ]
    }

    proptest! {
        /// Slots near 2^32 that are in no bucket are found in none, without memory for them.
        #[test]
        fn slots_near_the_end_do_no_harm(below in 0u32..200, held in prop::collection::vec(0u32..100, 0..20)) {
            let mut buckets = Buckets::new(3);
            for slot in &held {
                if buckets.home(*slot) == NO_BUCKET {
                    buckets.insert(1, *slot);
                }
            }
            let slot = u32::MAX - below;
            prop_assert_eq!((buckets.home(slot), buckets.remove(slot)), (NO_BUCKET, None));
            prop_assert!(buckets.groups.len() <= 100 && held.iter().all(|slot| buckets.home(*slot) == 1));
        }

        /// Against sets; and no chunk is lost.
        #[test]
        fn each_slot_is_where_it_was_put(operations in prop::collection::vec(operation(), 1..600)) {
            let mut buckets = Buckets::new(3);
            let mut sets: [BTreeSet<u32>; 3] = Default::default();
            for operation in operations {
                match operation {
                    Operation::Move(slot, bucket) => {
                        let home = sets.iter_mut().position(|set| set.remove(&slot));
                        prop_assert_eq!(buckets.remove(slot).map(usize::from), home);
                        buckets.insert(bucket, slot);
                        sets[usize::from(bucket)].insert(slot);
                    }
                    Operation::Remove(slot) => {
                        let home = sets.iter_mut().position(|set| set.remove(&slot));
                        prop_assert_eq!(buckets.remove(slot).map(usize::from), home);
                    }
                    Operation::Pop(bucket) => {
                        let set = &mut sets[usize::from(bucket)];
                        let next = buckets.next_to_pop(bucket);
                        prop_assert!(next.len() <= CHUNK && next.iter().all(|slot| set.contains(slot)));
                        let next = next.last().copied();
                        let popped = buckets.pop(bucket);
                        prop_assert_eq!(next, popped);
                        match popped {
                            Some(slot) => prop_assert!(set.remove(&slot)),
                            None => prop_assert!(set.is_empty()),
                        }
                    }
                }
                for (bucket, set) in (0..).zip(&sets) {
                    prop_assert_eq!(buckets.is_empty(bucket), set.is_empty());
                    prop_assert!(set.iter().all(|slot| buckets.home(*slot) == bucket));
                }
            }
            let used: usize = sets.iter().map(|set| set.len().div_ceil(CHUNK)).sum();
            let free = core::iter::successors(Some(buckets.free), |free| Some(buckets.chunks.get(*free as usize)?.next));
            prop_assert_eq!(free.take_while(|free| *free != NIL).count() + used, buckets.chunks.len());
            for (bucket, mut set) in (0..).zip(sets) {
                while let Some(slot) = buckets.pop(bucket) {
                    prop_assert!(set.remove(&slot));
                }
                prop_assert!(set.is_empty());
            }
        }
    }
}
