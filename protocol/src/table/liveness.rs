//! Which ids live, for other threads to read without a lock.

use alloc::boxed::Box;
use core::fmt;
use core::num::NonZeroU64;

use super::ConnectionId;
use crate::sync::{Arc, AtomicU64, OnceBox, Ordering};

/// The cookie of no connection: they count from 1.
const DEAD: u64 = 0;

/// Segment `n` has room for `FIRST << n` slots, so that together they hold 2^32 and none ever moves.
const FIRST: usize = if cfg!(loom) { 1 } else { 64 };
const SEGMENTS: usize = if cfg!(loom) { 3 } else { 27 };

type Segment = Box<[AtomicU64]>;

/// The cookies that live, by slot. Shared by the owner and its readers.
struct Cookies {
    domain: u32,
    segments: [OnceBox<Segment>; SEGMENTS],
}

/// Segment and place in it. Worked out in 64 bits: the position of a slot near 2^32, as an id of another table may name one, is more
/// than a pointer has room for on a 32-bit target.
#[inline]
fn locate(slot: u32) -> (usize, usize) {
    let position = u64::from(slot) + FIRST as u64;
    let segment = (position / FIRST as u64).ilog2();
    (segment as usize, (position - ((FIRST as u64) << segment)) as usize)
}

/// The owner's side.
pub(super) struct LivenessWriter(Arc<Cookies>);

impl LivenessWriter {
    pub(super) fn new(domain: u32) -> Self {
        Self(Arc::new(Cookies { domain, segments: core::array::from_fn(|_| OnceBox::new()) }))
    }

    pub(super) fn reader(&self) -> Liveness {
        Liveness(Arc::clone(&self.0))
    }

    pub(super) fn begin(&self, slot: u32, cookie: NonZeroU64) {
        self.store(slot, cookie.get());
    }

    pub(super) fn end(&self, slot: u32) {
        self.store(slot, DEAD);
    }

    fn store(&self, slot: u32, cookie: u64) {
        let (segment, place) = locate(slot);
        let cookies = self.0.segments[segment]
            .get_or_init(|| Box::new((0..FIRST << segment).map(|_| AtomicU64::new(DEAD)).collect()));
        cookies[place].store(cookie, Ordering::Release);
    }
}

impl fmt::Debug for LivenessWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LivenessWriter").finish_non_exhaustive()
    }
}

/// Says on any thread whether an id lives, without a lock. Cloning it is cheap.
///
/// The answer is advice: by the time it is read, the owner may have ended the id. A `false` is final for an id that the
/// reader got from its owner, since a cookie never comes back (PW-CK-001); whoever acts on a `true` is checked again by the
/// owner (PW-CK-002). An id that was ended before something else is dead to every thread that knows of the latter.
///
/// Only on targets with 64-bit atomics.
///
/// ```
/// use pulsewire_protocol::Slots;
///
/// let mut slots = Slots::new(0);
/// let liveness = slots.liveness();
/// let id = slots.insert("a connection");
/// assert!(std::thread::spawn({ let liveness = liveness.clone(); move || liveness.is_live(id) }).join().unwrap());
/// slots.retire(id);
/// assert!(!liveness.is_live(id));
/// ```
pub struct Liveness(Arc<Cookies>);

impl Liveness {
    /// Whether the id lived a moment ago.
    #[inline]
    #[must_use]
    pub fn is_live(&self, id: ConnectionId) -> bool {
        let (segment, place) = locate(id.slot());
        let cookie = self.0.segments[segment].get().map_or(DEAD, |cookies| cookies[place].load(Ordering::Acquire));
        cookie == id.cookie().get() && self.0.domain == id.domain()
    }
}

impl Clone for Liveness {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl fmt::Debug for Liveness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Liveness").field("domain", &self.0.domain).finish_non_exhaustive()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn each_slot_has_a_place_of_its_own() {
        assert_eq!([0, 63, 64, 191, 192].map(locate), [(0, 0), (0, 63), (1, 0), (1, 127), (2, 0)]);
        let (segment, place) = locate(u32::MAX);
        assert!(segment < SEGMENTS && (place as u64) < (FIRST as u64) << segment);
        // The last segment but one is full where the last begins.
        let last = ((1 << 26) - 1) * FIRST as u32;
        assert_eq!([last - 1, last].map(locate), [(25, (FIRST << 25) - 1), (26, 0)]);
    }

    proptest::proptest! {
        /// Whatever slots an id names, nobody is disturbed: there is no memory for them, so nothing lives there.
        #[test]
        fn ids_near_the_end_do_no_harm(below in 0u32..200, cookie: u64, domain in 6u32..9) {
            let writer = LivenessWriter::new(7);
            writer.begin(0, NonZeroU64::MIN);
            let id = ConnectionId::new(u32::MAX - below, domain, NonZeroU64::new(cookie).unwrap_or(NonZeroU64::MIN));
            proptest::prop_assert!(!writer.reader().is_live(id));
            let (segment, place) = locate(id.slot());
            proptest::prop_assert!(segment >= SEGMENTS - 2 && (place as u64) < (FIRST as u64) << segment);
        }
    }

    #[test]
    fn what_never_was_and_what_another_table_has_is_dead() {
        let writer = LivenessWriter::new(7);
        let liveness = writer.reader();
        let id = |slot, domain, cookie| ConnectionId::new(slot, domain, NonZeroU64::new(cookie).unwrap());
        writer.begin(3, id(3, 7, 5).cookie());
        assert!(liveness.is_live(id(3, 7, 5)));
        for other in [id(3, 8, 5), id(3, 7, 6), id(4, 7, 5), id(u32::MAX, 7, 5)] {
            assert!(!liveness.is_live(other), "{other:?}");
        }
    }

    /// On threads of their own, while the owner goes on and the slots grow. Miri judges every access here; loom, below, tries every
    /// order of a few.
    #[test]
    fn readers_find_what_they_know_of() {
        let writer = LivenessWriter::new(7);
        let liveness = writer.reader();
        let (tell, told) = std::sync::mpsc::channel();
        let reader = std::thread::spawn(move || {
            told.into_iter().for_each(|(id, lives)| assert_eq!(liveness.is_live(id), lives, "{id:?}"));
        });
        for slot in 0..200 {
            let id = ConnectionId::new(slot, 7, NonZeroU64::new(u64::from(slot) + 1).unwrap());
            writer.begin(slot, id.cookie());
            let ends = slot % 2 == 0;
            if ends {
                writer.end(slot);
            }
            tell.send((id, !ends)).unwrap();
        }
        drop(tell);
        reader.join().unwrap();
    }
}

/// Every interleaving of an owner with readers, within the bound on preemptions.
#[cfg(all(test, loom))]
mod interleavings {
    use loom::sync::atomic::AtomicBool;
    use loom::thread;

    use super::*;
    use crate::table::Slots;

    /// PW-CK-005: whoever knows that the transport was closed finds the id dead.
    #[test]
    fn an_id_that_ended_before_something_is_dead_to_who_knows_of_that() {
        loom::model(|| {
            let mut slots = Slots::new(0);
            let liveness = slots.liveness();
            let id = slots.insert(());
            let closed = Arc::new(AtomicBool::new(false));
            let reader = thread::spawn({
                let closed = Arc::clone(&closed);
                move || {
                    if closed.load(Ordering::Acquire) {
                        assert!(!liveness.is_live(id));
                    }
                }
            });
            assert!(slots.retire(id));
            closed.store(true, Ordering::Release);
            reader.join().unwrap();
        });
    }

    /// PW-CK-001: a slot that is used again never brings an old id back.
    #[test]
    fn an_id_that_was_seen_dead_stays_dead() {
        loom::model(|| {
            let mut slots = Slots::new(0);
            let liveness = slots.liveness();
            let old = slots.insert(());
            let reader = thread::spawn(move || {
                let first = liveness.is_live(old);
                let second = liveness.is_live(old);
                assert!(first || !second);
            });
            slots.remove(old).unwrap();
            let new = slots.insert(());
            assert_eq!(new.slot(), old.slot());
            slots.remove(new).unwrap();
            reader.join().unwrap();
        });
    }

    /// While the slots grow, a reader finds each id that it was told of live, and no id that was never given.
    #[test]
    fn growing_shows_no_wrong_cookie() {
        loom::model(|| {
            let mut slots = Slots::new(0);
            let liveness = slots.liveness();
            let first = slots.insert(());
            let grown = Arc::new(AtomicBool::new(false));
            let reader = thread::spawn({
                let grown = Arc::clone(&grown);
                move || {
                    let told = grown.load(Ordering::Acquire);
                    let second = ConnectionId::new(1, 0, NonZeroU64::new(2).unwrap());
                    assert!(liveness.is_live(first));
                    assert!(liveness.is_live(second) || !told);
                    assert!(!liveness.is_live(ConnectionId::new(1, 0, NonZeroU64::MIN)));
                }
            });
            slots.insert(());
            grown.store(true, Ordering::Release);
            reader.join().unwrap();
        });
    }
}
