//! The wheel against a sorted map, and what it asks for.

use std::collections::BTreeMap;
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

/// What is noted of each bucket is right, and the order of buckets is that of time.
fn check(wheel: &TimingWheel) {
    for bucket in 0..BUCKETS as u16 {
        let empty = wheel.buckets.is_empty(bucket);
        assert!(!empty || wheel.earliest[usize::from(bucket)] == Instant::MAX);
        if bucket >= NEAR && bucket != wheel.draining {
            let (word, bit) = bit(bucket);
            assert_eq!(wheel.occupied[word] & bit == 0, empty);
            assert!(empty || wheel.start(bucket) > wheel.current);
        }
    }
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
