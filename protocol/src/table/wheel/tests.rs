//! The wheel against a sorted map, and what it asks for.

use core::cell::RefCell;
use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};
use std::vec::Vec;

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
    prop_oneof![
        4 => 0u64..200_000,
        4 => 0u64..10_000_000_000,
        1 => (0u32..64).prop_map(|bits| 1 << bits),
        2 => about_a_reach(),
        1 => any::<u64>(),
    ]
}

/// As far as a level reaches, but for a bucket and a bit.
fn about_a_reach() -> impl Strategy<Value = u64> {
    let near = |(width, count): (u32, u32)| {
        let reach = u64::from(count - GROUP) << width;
        reach.saturating_sub(2 << width)..reach.saturating_add(2 << width)
    };
    prop::sample::select(&SHAPE[..]).prop_flat_map(near)
}

/// When a test begins: somewhere, or shortly before a moment at which many levels come to another bucket, or round.
fn start() -> impl Strategy<Value = u64> {
    let boundary = |(bits, multiple, before): (u32, u64, u64)| (multiple << bits).saturating_sub(before);
    prop_oneof![
        any::<u64>().prop_map(|start| start >> 1),
        (16u32..60, 1u64..16, 0u64..10_000_000_000).prop_map(boundary)
    ]
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
        1 => about_a_reach().prop_map(Operation::Pass),
        2 => (0u64..300_000, 0usize..4).prop_map(|(span, count)| Operation::PassAndTake(span, count)),
    ]
}

/// What is noted of each bucket is right, and each is less than a round ahead, so that their order is that of time.
fn check(wheel: &TimingWheel) {
    let homes: BTreeSet<u16> =
        (0..SLOTS).map(|slot| wheel.buckets.home(slot)).filter(|home| *home != NO_BUCKET).collect();
    let mut ordered = Vec::new();
    for bucket in homes.iter().copied().filter(|bucket| *bucket >= NEAR && *bucket != wheel.draining) {
        let (index, bit) = group_bit(group(bucket));
        assert!(wheel.occupied[usize::from(group(bucket))] >> member(bucket) & 1 == 1);
        assert!(wheel.occupied_groups[index] & bit != 0);
        let (level, earliest) = (&LEVELS[index], wheel.earliest[usize::from(bucket)].as_nanos());
        let (position, current) = (level.position(earliest), level.position(wheel.current));
        assert_eq!(level.bucket(position), bucket);
        assert!(current <= position && position - current < level.reach);
        ordered.push(((index, position), wheel.order(bucket)));
    }
    let bits = |words: &[u64]| words.iter().map(|word| word.count_ones() as usize).sum::<usize>();
    assert_eq!(bits(&wheel.occupied), ordered.len());
    assert_eq!(bits(&wheel.occupied_groups), wheel.occupied.iter().filter(|word| **word != 0).count());
    ordered.sort_unstable();
    assert!(ordered.is_sorted_by(|(_, before), (_, after)| before < after));
    let near = [0, 1].map(|bucket: u16| (homes.contains(&bucket), wheel.earliest[usize::from(bucket)] < Instant::MAX));
    assert!(near.iter().all(|(occupied, noted)| occupied == noted));
}

proptest! {
    /// Against a sorted map: none is missed, none is early, and whoever waits for `earliest` is never late.
    #[test]
    fn exactly_what_has_come_expires(start in start(), operations in prop::collection::vec(operation(), 1..200)) {
        let mut wheel = TimingWheel::new();
        let mut model: BTreeMap<u32, Instant> = BTreeMap::new();
        let mut now = Instant::from_nanos(start);
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
            let all = take == usize::MAX;
            while take > 0 {
                take -= 1;
                let Some(slot) = wheel.expire(now, |slot| model.get(&slot).copied()) else { break };
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
        let noted = (0u16..).zip(&wheel.earliest).filter(|(_, earliest)| **earliest < Instant::MAX);
        prop_assert!(noted.into_iter().all(|(bucket, _)| !wheel.buckets.is_empty(bucket)));
    }
}

/// How often the wheel asks while this happens to a hundred slots.
fn asked(calls: impl FnOnce(&mut TimingWheel, &mut dyn FnMut(u32) -> Option<Instant>)) -> usize {
    let mut count = 0;
    let mut wheel = TimingWheel::new();
    let deadlines: Vec<Instant> = (0..100).map(|slot| Instant::from_nanos(5_000_000_000 + slot * 10_000_000)).collect();
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
fn small_steps_ask_for_a_deadline_once_for_its_2_ms_and_once_or_twice_for_its_tick() {
    let count = asked(|wheel, deadline| {
        let mut now = 0;
        while wheel.earliest().is_some() {
            now += 100_000;
            while wheel.expire(Instant::from_nanos(now), &mut *deadline).is_some() {}
        }
    });
    assert!(count <= 100 * 3, "{count}");
}

#[test]
fn nothing_is_asked_for_before_its_time() {
    let count = asked(|wheel, deadline| {
        assert_eq!(wheel.earliest(), Some(Instant::from_nanos(5_000_000_000)));
        assert_eq!(wheel.expire(Instant::from_nanos(4_999_999_999), &mut *deadline), None);
    });
    assert_eq!(count, 0);
}

/// Wherever a boundary lies between, deadlines that are seconds ahead come bit by bit: a call looks at no more than what falls
/// into some milliseconds.
#[test]
fn no_call_asks_for_many_deadlines_that_are_seconds_ahead() {
    const COUNT: u32 = 2_000;
    const MILLISECOND: u64 = 1_000_000;
    for bits in 16..64 {
        let mut now = (1u64 << bits).saturating_sub(6_000 * MILLISECOND);
        let mut wheel = TimingWheel::new();
        assert_eq!(wheel.expire(Instant::from_nanos(now), |_| None), None);
        // From 4 to 5 s ahead, two in each millisecond. They expire in that order.
        let ahead = |slot: u32| 4_000 * MILLISECOND + u64::from(slot) * MILLISECOND / 2;
        let mut deadlines: Vec<Instant> = (0..COUNT).map(|slot| Instant::from_nanos(now + ahead(slot))).collect();
        (0..).zip(&deadlines).for_each(|(slot, deadline)| wheel.note(slot, *deadline));
        let mut expired = 0;
        for _ in 0..12_000 {
            now += MILLISECOND;
            loop {
                let mut asked = 0;
                let due = wheel.expire(Instant::from_nanos(now), |slot| {
                    asked += 1;
                    Some(deadlines[slot as usize])
                });
                assert!(asked <= 10, "{asked} at {now}, before and after 2^{bits} ns");
                let Some(slot) = due else { break };
                deadlines[slot as usize] = Instant::from_nanos(now + 4_500 * MILLISECOND);
                wheel.note(slot, deadlines[slot as usize]);
                expired += 1;
            }
        }
        assert!(expired >= 2 * COUNT, "{expired}");
    }
}

#[test]
fn each_slot_is_fetched_before_its_deadline_is_asked_for() {
    let deadline = |slot: u32| Instant::from_nanos(5_000_000_000 + u64::from(slot % 100) * 1_000_000);
    let mut wheel = TimingWheel::new();
    (0..10_000).for_each(|slot| wheel.note(slot, deadline(slot)));
    let fetched = RefCell::new(BTreeSet::<u32>::new());
    for step in 0..200 {
        let fetch = |next: &[u32]| {
            assert!(next.len() <= CHUNK, "no more than the caches hold");
            fetched.borrow_mut().extend(next);
        };
        let asked = |slot| {
            assert!(fetched.borrow().contains(&slot));
            Some(deadline(slot))
        };
        let now = deadline(0) + Duration::from_micros(step * 500);
        while let Some(slot) = wheel.expire_with(now, fetch, asked) {
            assert!(fetched.borrow_mut().remove(&slot));
        }
    }
    assert_eq!(wheel.earliest(), None);
}

#[test]
fn everything_has_come_at_the_end_of_time() {
    let mut wheel = TimingWheel::new();
    assert_eq!(wheel.expire(Instant::MAX, |_| None), None);
    let mut wheel = TimingWheel::new();
    (0..64).for_each(|bits| wheel.note(bits, Instant::from_nanos(1 << bits)));
    let mut expired = 0;
    while wheel.expire(Instant::MAX, |bits| Some(Instant::from_nanos(1 << bits))).is_some() {
        expired += 1;
    }
    assert_eq!((expired, wheel.earliest()), (64, None));
}
