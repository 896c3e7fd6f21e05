//! Slots that are reused, and cookies that never are (PW-CK-001).

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::num::NonZeroU64;

use super::id::{ConnectionId, place};
#[cfg(target_has_atomic = "64")]
use super::liveness::{Liveness, LivenessWriter};

/// What lives in a slot. No cookie is zero, so for most `T` a free slot is told from others by the cookie alone, which the check
/// of an id has to read anyway; see [`Slots::get`].
#[derive(Debug)]
#[repr(C)]
struct Live<T> {
    cookie: NonZeroU64,
    value: T,
}

/// Values under ids that are checked at every use. The last slot freed is the first one used again.
#[derive(Debug)]
pub struct Slots<T> {
    domain: u32,
    slots: Vec<Option<Live<T>>>,
    free: Vec<u32>,
    /// Ids that have ended while something is still outstanding, by slot: few, and not for long.
    retired: BTreeMap<u32, Live<T>>,
    next_cookie: NonZeroU64,
    live: usize,
    /// Made when somebody asks for it.
    #[cfg(target_has_atomic = "64")]
    liveness: Option<LivenessWriter>,
}

impl<T> Slots<T> {
    /// None yet. `domain` goes into every id.
    #[must_use]
    pub fn new(domain: u32) -> Self {
        Self {
            domain,
            slots: Vec::new(),
            free: Vec::new(),
            retired: BTreeMap::new(),
            next_cookie: NonZeroU64::MIN,
            live: 0,
            #[cfg(target_has_atomic = "64")]
            liveness: None,
        }
    }

    /// Stores a value under a new id.
    ///
    /// # Panics
    /// With 2^32 - 1 slots in use, or after 2^64 insertions.
    pub fn insert(&mut self, value: T) -> ConnectionId {
        self.insert_with(|_| value)
    }

    /// Stores a value that knows its own id.
    ///
    /// # Panics
    /// As [`insert`](Self::insert).
    #[expect(clippy::expect_used, reason = "documented: memory ends long before, and 2^64 cookies last for centuries")]
    pub fn insert_with(&mut self, value: impl FnOnce(ConnectionId) -> T) -> ConnectionId {
        let cookie = self.next_cookie;
        self.next_cookie = cookie.checked_add(1).expect("2^64 cookies are used up");
        let slot = self.free.pop().unwrap_or_else(|| {
            let slot = u32::try_from(self.slots.len()).ok().filter(|slot| *slot < u32::MAX);
            self.slots.push(None);
            slot.expect("2^32 - 1 slots are in use")
        });
        let id = self.id(slot, cookie);
        self.slots[slot as usize] = Some(Live { cookie, value: value(id) });
        self.live += 1;
        #[cfg(target_has_atomic = "64")]
        if let Some(liveness) = &self.liveness {
            liveness.begin(slot, cookie);
        }
        id
    }

    fn id(&self, slot: u32, cookie: NonZeroU64) -> ConnectionId {
        ConnectionId::new(slot, self.domain, cookie)
    }

    /// Where the slot of an id is. For an id of another domain that is 2^32 or more, behind all slots: the check of the length
    /// covers the domain too. Checked by itself, the domain makes a look-up in the cache half again as long as an unchecked index,
    /// in place of a quarter.
    #[inline]
    fn place(&self, id: ConnectionId) -> Option<usize> {
        usize::try_from(id.place().wrapping_sub(place(0, self.domain))).ok()
    }

    /// The value of a live id.
    // A free slot has no cookie, and each id has one: comparing the two finds a free slot as well as a stale id. Asked first
    // whether the slot is free, the compiler keeps both tests, and a look-up in the cache takes 0.1 ns more.
    #[inline]
    #[must_use]
    pub fn get(&self, id: ConnectionId) -> Option<&T> {
        let slot = self.slots.get(self.place(id)?)?.as_ref();
        if slot.map(|live| live.cookie) != Some(id.cookie()) {
            return None;
        }
        slot.map(|live| &live.value)
    }

    /// The value of a live id.
    #[inline]
    pub fn get_mut(&mut self, id: ConnectionId) -> Option<&mut T> {
        let place = self.place(id)?;
        let slot = self.slots.get_mut(place)?.as_mut();
        if slot.as_ref().map(|live| live.cookie) != Some(id.cookie()) {
            return None;
        }
        slot.map(|live| &mut live.value)
    }

    /// What lives in a slot, and its id: for a driver that keeps something by slot, such as a [`TimingWheel`](crate::TimingWheel).
    #[must_use]
    pub fn at(&self, slot: u32) -> Option<(ConnectionId, &T)> {
        let Live { cookie, value } = self.slots.get(slot as usize)?.as_ref()?;
        Some((self.id(slot, *cookie), value))
    }

    /// Has the processor fetch these slots all at once: nothing that it does here waits for one of them.
    pub(super) fn fetch(&self, slots: &[u32]) {
        let cookie = |slot: &u32| Some(self.slots.get(*slot as usize)?.as_ref()?.cookie.get());
        let cookies = slots.iter().map(|slot| cookie(slot).unwrap_or_default());
        core::hint::black_box(cookies.fold(0, u64::wrapping_add));
    }

    /// The live id in a slot, and its value.
    pub(super) fn at_mut(&mut self, slot: u32) -> Option<(ConnectionId, &mut T)> {
        let (id, _) = self.at(slot)?;
        Some((id, self.get_mut(id)?))
    }

    /// Ends a live id and gives what was in its slot.
    fn end(&mut self, id: ConnectionId) -> Option<Live<T>> {
        self.get(id)?;
        self.live -= 1;
        #[cfg(target_has_atomic = "64")]
        if let Some(liveness) = &self.liveness {
            liveness.end(id.slot());
        }
        self.slots[id.slot() as usize].take()
    }

    /// Ends a live id and keeps its slot. Returns whether it lived.
    pub fn retire(&mut self, id: ConnectionId) -> bool {
        let ended = self.end(id);
        ended.map(|live| self.retired.insert(id.slot(), live)).is_some()
    }

    /// The value of a retired id.
    #[must_use]
    pub fn retired(&self, id: ConnectionId) -> Option<&T> {
        let Live { cookie, value } = self.retired.get(&id.slot())?;
        (*cookie == id.cookie() && self.domain == id.domain()).then_some(value)
    }

    /// The value of a retired id.
    pub fn retired_mut(&mut self, id: ConnectionId) -> Option<&mut T> {
        let Live { cookie, value } = self.retired.get_mut(&id.slot())?;
        (*cookie == id.cookie() && self.domain == id.domain()).then_some(value)
    }

    /// Frees the slot of a retired id.
    pub fn release(&mut self, id: ConnectionId) -> Option<T> {
        self.retired_mut(id)?;
        self.free.push(id.slot());
        self.retired.remove(&id.slot()).map(|retired| retired.value)
    }

    /// Ends a live id and frees its slot.
    pub fn remove(&mut self, id: ConnectionId) -> Option<T> {
        let ended = self.end(id)?;
        self.free.push(id.slot());
        Some(ended.value)
    }

    /// Tells other threads which ids live. The first call costs eight bytes a slot, and a store at every begin and end of an
    /// id from then on.
    #[cfg(target_has_atomic = "64")]
    pub fn liveness(&mut self) -> Liveness {
        if let Some(liveness) = &self.liveness {
            return liveness.reader();
        }
        let liveness = LivenessWriter::new(self.domain);
        self.ids().for_each(|id| liveness.begin(id.slot(), id.cookie()));
        self.liveness.insert(liveness).reader()
    }

    /// How many ids live.
    #[must_use]
    pub fn len(&self) -> usize {
        self.live
    }

    /// Whether none lives.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.live == 0
    }

    /// All live ids, by slot.
    pub fn ids(&self) -> impl Iterator<Item = ConnectionId> {
        let live = |(slot, live): (u32, &Option<Live<T>>)| Some(self.id(slot, live.as_ref()?.cookie));
        (0..=u32::MAX).zip(&self.slots).filter_map(live)
    }

    /// All live ids and their values, by slot.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (ConnectionId, &mut T)> {
        let domain = self.domain;
        (0..=u32::MAX).zip(&mut self.slots).filter_map(move |(slot, live)| {
            let Live { cookie, value } = live.as_mut()?;
            Some((ConnectionId::new(slot, domain, *cookie), value))
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_retired_id_is_dead_and_its_slot_is_not_reused() {
        let mut slots = Slots::new(7);
        assert!(slots.is_empty());
        let old = slots.insert('a');
        assert!(!slots.is_empty());
        assert!(slots.retire(old));
        assert!(slots.is_empty(), "what is retired does not live");
        assert_eq!(slots.get(old), None);
        assert_ne!(slots.insert('b').slot(), old.slot());
        assert_eq!(slots.release(old), Some('a'));
        assert_eq!(slots.release(old), None);
        let new = slots.insert('c');
        assert_eq!(new.slot(), old.slot());
        assert_eq!((slots.get(old), slots.get(new)), (None, Some(&'c')));
    }

    /// From before and after somebody asked, in slots that are used again.
    #[cfg(target_has_atomic = "64")]
    #[test]
    fn liveness_says_what_get_says() {
        let mut slots = Slots::new(0);
        let mut ids: Vec<ConnectionId> = (0..100).map(|value| slots.insert(value)).collect();
        ids[..50].iter().for_each(|id| assert!(slots.retire(*id)));
        let liveness = slots.liveness();
        ids[..20].iter().for_each(|id| assert!(slots.release(*id).is_some()));
        ids[50..70].iter().for_each(|id| assert!(slots.remove(*id).is_some()));
        ids.extend((0..200).map(|value| slots.insert(value)));
        for id in ids {
            assert_eq!(liveness.is_live(id), slots.get(id).is_some(), "{id:?}");
        }
    }

    #[test]
    fn all_that_live_can_be_changed_in_turn() {
        let mut slots = Slots::new(3);
        let ids: Vec<ConnectionId> = (0..6).map(|value| slots.insert(value)).collect();
        assert!(slots.retire(ids[0]) && slots.remove(ids[3]).is_some());
        slots.iter_mut().for_each(|(_, value)| *value *= 10);
        let live: Vec<(ConnectionId, i32)> = slots.iter_mut().map(|(id, value)| (id, *value)).collect();
        assert_eq!(live, [1, 2, 4, 5].map(|index| (ids[index], index as i32 * 10)));
        assert_eq!(slots.retired_mut(ids[0]), Some(&mut 0));
        assert_eq!(slots.at(ids[1].slot()), Some((ids[1], &10)));
        assert_eq!([ids[0], ids[3]].map(|gone| slots.at(gone.slot())), [None, None]);
    }

    #[test]
    fn an_id_of_another_table_is_refused() {
        let (mut one, mut other) = (Slots::new(1), Slots::new(2));
        let id = one.insert(());
        other.insert(());
        assert_eq!(other.get(id), None);
    }

    proptest! {
        /// The distance of an id's place from those of the table wraps around at both ends, and finds nothing there.
        #[test]
        fn ids_near_the_end_find_nothing(
            own in prop_oneof![Just(0), Just(1), Just(u32::MAX)],
            domain in prop_oneof![Just(0), Just(1), Just(u32::MAX - 1), Just(u32::MAX)],
            slot in prop_oneof![0u32..3, u32::MAX - 3..=u32::MAX],
        ) {
            let mut slots = Slots::new(own);
            let ids = [slots.insert(0), slots.insert(1)];
            let id = ConnectionId::new(slot, domain, NonZeroU64::MIN);
            let lives = ids.contains(&id);
            prop_assert_eq!((slots.get(id).is_some(), slots.get_mut(id).is_some()), (lives, lives));
            prop_assert_eq!(slots.retired_mut(id), None);
            prop_assert_eq!(slots.release(id), None);
            prop_assert_eq!(slots.retire(id), lives);
            prop_assert_eq!(slots.len(), 2 - usize::from(lives));
        }

        #[test]
        fn cookies_never_repeat(operations: Vec<Option<u8>>) {
            let mut slots = Slots::new(0);
            let (mut seen, mut live) = (std::collections::HashSet::new(), Vec::new());
            for operation in operations {
                match operation {
                    Some(index) if !live.is_empty() => {
                        let (id, value) = live.swap_remove(usize::from(index) % live.len());
                        prop_assert_eq!(slots.remove(id), Some(value));
                        prop_assert_eq!(slots.get(id), None);
                    }
                    _ => {
                        let id = slots.insert(seen.len());
                        live.push((id, seen.len()));
                        prop_assert!(seen.insert(id.cookie()));
                    }
                }
                prop_assert_eq!(slots.len(), live.len());
                for (id, value) in &live {
                    prop_assert_eq!(slots.get(*id), Some(value));
                }
            }
        }
    }
}
