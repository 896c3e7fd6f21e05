//! Slots in numbered buckets, each in one of them at most: the memory of a timing wheel.

use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;

/// The bucket of a slot that is in none: behind all others.
pub(super) const NO_BUCKET: u16 = (1 << (u8::BITS + LOWER_BITS)) - 1;

/// A bucket's number is kept in two bytes: so many bits in the lower one, the others in the upper one.
const LOWER_BITS: u32 = 5;

/// With these many slots a chunk is 64 bytes, a cache line.
const CHUNK: usize = 15;

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
    /// The upper part of the bucket of each slot. It decides nearly every comparison of buckets alone, and a million fit into the
    /// cache that is next to a processor, where two million bytes would compete with everything else.
    uppers: Vec<u8>,
    /// The lower part.
    lowers: Vec<u8>,
    /// Where each slot is in `chunks`, counted in slots. Means nothing for one that is in no bucket.
    places: Vec<u32>,
}

impl Buckets {
    /// This many, and all empty.
    pub(super) fn new(count: usize) -> Self {
        debug_assert!(
            count <= usize::from(NO_BUCKET) && upper(count as u16) < upper(NO_BUCKET),
            "numbers have two bytes"
        );
        Self {
            buckets: vec![Bucket { first: NIL, count: 0 }; count].into_boxed_slice(),
            chunks: Vec::new(),
            free: NIL,
            uppers: Vec::new(),
            lowers: Vec::new(),
            places: Vec::new(),
        }
    }

    /// The bucket that a slot is in, or [`NO_BUCKET`].
    #[inline]
    pub(super) fn home(&self, slot: u32) -> u16 {
        let index = slot as usize;
        match (self.uppers.get(index), self.lowers.get(index)) {
            (Some(upper), Some(lower)) => u16::from(*upper) << LOWER_BITS | u16::from(*lower),
            (Some(_), None) | (None, _) => NO_BUCKET,
        }
    }

    /// Whether a slot is in an earlier bucket than this one, as far as half of their numbers tells: where the others are equal,
    /// it says no.
    #[inline]
    pub(super) fn is_surely_before(&self, slot: u32, bucket: u16) -> bool {
        self.uppers.get(slot as usize).is_some_and(|home| *home < upper(bucket))
    }

    #[inline]
    fn set_home(&mut self, slot: u32, bucket: u16) {
        self.uppers[slot as usize] = upper(bucket);
        self.lowers[slot as usize] = (bucket % (1 << LOWER_BITS)) as u8;
    }

    #[inline]
    pub(super) fn is_empty(&self, bucket: u16) -> bool {
        self.buckets[usize::from(bucket)].count == 0
    }

    /// Puts in a slot that is in no bucket.
    #[inline]
    pub(super) fn insert(&mut self, bucket: u16, slot: u32) {
        let index = slot as usize;
        if index >= self.uppers.len() {
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
        reserve(&mut self.uppers, length);
        reserve(&mut self.lowers, length);
        reserve(&mut self.places, length);
        self.uppers.resize(length, upper(NO_BUCKET));
        self.lowers.resize(length, u8::MAX >> (u8::BITS - LOWER_BITS));
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

/// The upper part of a bucket's number: a byte, as no number is above that of `NO_BUCKET`.
#[inline]
fn upper(bucket: u16) -> u8 {
    (bucket >> LOWER_BITS) as u8
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
            prop_assert!(buckets.uppers.len() <= 100 && held.iter().all(|slot| buckets.home(*slot) == 1));
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
                        match buckets.pop(bucket) {
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
