//! Which connections hold the most memory.

use alloc::vec::Vec;
use core::cmp::Reverse;
use core::time::Duration;

use crate::time::Instant;

/// Who holds less is not noted: closing it would free next to nothing.
const LEAST: usize = 4 << 10;

/// A message that has been open for so long is looked at first.
const LONG: Duration = Duration::from_secs(10);

/// A connection that holds memory worth mentioning.
#[derive(Debug, Clone, Copy)]
struct Holder {
    slot: u32,
    bytes: usize,
    /// When the message began that is open.
    open_since: Option<Instant>,
}

/// All of them, in no order: a limit of 1 GiB has room for 262,144, which are looked through in well under a millisecond.
#[derive(Debug, Default)]
pub(super) struct Holders {
    holders: Vec<Holder>,
    /// Where in `holders` a slot stands; behind its end if it does not.
    places: Vec<u32>,
}

impl Holders {
    /// What the connection in a slot holds now.
    #[inline]
    pub(super) fn note(&mut self, slot: u32, bytes: usize, open_since: Option<Instant>) {
        match self.place(slot) {
            Some(place) if bytes >= LEAST => self.holders[place] = Holder { slot, bytes, open_since },
            None if bytes < LEAST => {}
            Some(_) => self.remove(slot),
            None => self.add(Holder { slot, bytes, open_since }),
        }
    }

    fn add(&mut self, holder: Holder) {
        let index = holder.slot as usize;
        if self.places.len() <= index {
            self.places.resize(index.saturating_add(1), u32::MAX);
        }
        // There are no more of them than slots.
        self.places[index] = self.holders.len() as u32;
        self.holders.push(holder);
    }

    /// The connection in a slot is gone.
    #[inline]
    pub(super) fn remove(&mut self, slot: u32) {
        let Some(place) = self.place(slot) else { return };
        self.holders.swap_remove(place);
        if let Some(moved) = self.holders.get(place) {
            self.places[moved.slot as usize] = place as u32;
        }
        self.places[slot as usize] = u32::MAX;
    }

    #[inline]
    fn place(&self, slot: u32) -> Option<usize> {
        let place = *self.places.get(slot as usize)? as usize;
        (place < self.holders.len()).then_some(place)
    }

    /// The slot to free first when memory is short (PW-CLS-020): among those whose message has been open for long, or else among
    /// all, the one that holds most.
    pub(super) fn first_to_close(&self, now: Instant) -> Option<u32> {
        let rank = |holder: &&Holder| {
            let long = holder.open_since.is_some_and(|since| now - since >= LONG);
            (long, holder.bytes)
        };
        self.holders.iter().max_by_key(rank).map(|holder| holder.slot)
    }

    /// The slots that hold the most, with the bytes, the largest first.
    pub(super) fn largest(&self, count: usize) -> Vec<(u32, usize)> {
        let mut sorted: Vec<(u32, usize)> = self.holders.iter().map(|holder| (holder.slot, holder.bytes)).collect();
        sorted.sort_unstable_by_key(|(slot, bytes)| (Reverse(*bytes), *slot));
        sorted.truncate(count);
        sorted
    }
}

#[cfg(test)]
mod tests {
    use alloc::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_largest_are_those_that_hold_most(
            notes in prop::collection::vec((0u32..20, prop_oneof![Just(0usize), 4_000usize..10_000]), 0..100),
        ) {
            let (mut holders, mut expected) = (Holders::default(), BTreeMap::new());
            for (slot, bytes) in notes {
                holders.note(slot, bytes, None);
                expected.insert(slot, bytes);
                expected.retain(|_, bytes| *bytes >= LEAST);
                let mut sorted: Vec<(u32, usize)> = expected.clone().into_iter().collect();
                sorted.sort_by_key(|(slot, bytes)| (Reverse(*bytes), *slot));
                prop_assert_eq!(holders.largest(usize::MAX), sorted.clone());
                let most = sorted.first().map(|(_, bytes)| *bytes);
                prop_assert_eq!(holders.first_to_close(Instant::ZERO).map(|slot| expected[&slot]), most);
            }
        }
    }

    #[test]
    fn a_message_that_was_open_for_long_goes_first() {
        let now = Instant::ZERO + 2 * LONG;
        let mut holders = Holders::default();
        holders.note(1, 1 << 20, None);
        holders.note(2, 2 << 20, Some(now));
        assert_eq!(holders.first_to_close(now), Some(2));
        holders.note(3, 10_000, Some(Instant::ZERO + LONG));
        holders.note(4, 9_000, Some(Instant::ZERO));
        assert_eq!(holders.first_to_close(now), Some(3));
    }
}
