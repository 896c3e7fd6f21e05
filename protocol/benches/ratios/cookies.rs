//! The check of an id at every use.

use std::hint::black_box;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::Duration;

use dashmap::DashMap;
use fastrand::Rng;
use pulsewire_protocol::{ConnectionId, Slots};
use slotmap::{DefaultKey, SlotMap};

use crate::goal::Goal;
use crate::measure::{Group, time};

const VEC: &str = "Vec, unchecked";
const SLOT_MAP: &str = "slotmap";
const SLOTS: &str = "Slots::get";
const DASHMAP: &str = "DashMap";
const LIVENESS: &str = "Liveness::is_live";

/// Look-ups in a pass.
const LOOK_UPS: usize = 10_000;

/// So large that a slot is about a cache line.
type Value = [u64; 6];
const VALUE: Value = [1; 6];

pub(crate) fn groups() -> Vec<Group> {
    [("10k", 10_000), ("1M", 1_000_000)]
        .into_iter()
        .flat_map(|(name, count)| [owner(name, count), others(name, count)])
        .collect()
}

/// Slots of which each was used several times, and their ids in a random order.
fn slots(count: u32) -> (Slots<Value>, Vec<ConnectionId>) {
    let mut slots = Slots::new(1);
    let mut ids: Vec<ConnectionId> = (0..count).map(|_| slots.insert(VALUE)).collect();
    reused(&mut ids, |id| {
        slots.remove(*id);
        *id = slots.insert(VALUE);
    });
    (slots, ids)
}

/// The same of the peer.
fn slot_map(count: u32) -> (SlotMap<DefaultKey, Value>, Vec<DefaultKey>) {
    let mut slots = SlotMap::new();
    let mut keys: Vec<DefaultKey> = (0..count).map(|_| slots.insert(VALUE)).collect();
    reused(&mut keys, |key| {
        slots.remove(*key);
        *key = slots.insert(VALUE);
    });
    (slots, keys)
}

/// Replaces half of the ids by new ones, three times, and leaves them in a random order.
fn reused<I>(ids: &mut [I], mut replace: impl FnMut(&mut I)) {
    for _ in 0..3 {
        fastrand::shuffle(ids);
        let half = ids.len() / 2;
        ids[..half].iter_mut().for_each(&mut replace);
    }
    fastrand::shuffle(ids);
}

/// The ids of a pass. Each is drawn when its turn comes, as a driver learns from the system which connection is next; every
/// contender pays for that.
fn drawn<'i, I: Copy>(ids: &'i [I], random: &'i mut Rng) -> impl Iterator<Item = I> + 'i {
    (0..LOOK_UPS).map(|_| ids[random.usize(..ids.len())])
}

/// A contender that looks up what is drawn, one after the other.
fn look_up<I: Copy>(ids: Vec<I>, one: impl Fn(I)) -> impl FnMut() -> u64 {
    let mut random = Rng::with_seed(1);
    move || {
        drawn(&ids, &mut random).for_each(&one);
        LOOK_UPS as u64
    }
}

/// The thread that owns the connections, on its way to one of them. An id that names nothing ends the program for each contender, as
/// an index does.
fn owner(name: &str, count: u32) -> Group {
    let (slots, ids) = slots(count);
    let (slot_map, keys) = slot_map(count);
    let values = vec![VALUE; count as usize];
    let indexed = look_up(ids.clone(), move |id: ConnectionId| {
        black_box(values[id.slot() as usize][0]);
    });
    let checked = look_up(ids, move |id| {
        black_box(slots.get(id).expect("lives")[0]);
    });
    let peer = look_up(keys, move |key| {
        black_box(slot_map.get(key).expect("lives")[0]);
    });
    let group = Group::new(format!("cookies/{name}, the owner"))
        .contender(VEC, indexed)
        .contender(SLOTS, checked)
        .contender(SLOT_MAP, peer);
    group.goal(Goal::within(SLOTS, VEC, 1.5))
}

/// A thread of several that don't own the connections, and want to know whether an id lives.
fn others(name: &str, count: u32) -> Group {
    let (mut slots, ids) = slots(count);
    let liveness = slots.liveness();
    let map: DashMap<u32, u64> = ids.iter().map(|id| (id.slot(), id.cookie().get())).collect();
    let map = Arc::new(map);
    let in_map = move |id: ConnectionId| map.get(&id.slot()).is_some_and(|cookie| *cookie == id.cookie().get());
    let in_liveness = move |id| liveness.is_live(id);
    let group = Group::new(format!("cookies/{name}, other threads"))
        .self_timed(DASHMAP, beside_another(ids.clone(), in_map))
        .self_timed(LIVENESS, beside_another(ids, in_liveness));
    if count == 10_000 { group.goal(Goal::faster(LIVENESS, DASHMAP, 5.0)) } else { group }
}

/// A contender that looks up what is drawn while another thread does the same.
fn beside_another<L>(ids: Vec<ConnectionId>, is_live: L) -> impl FnMut() -> (Duration, u64)
where
    L: Fn(ConnectionId) -> bool + Sync,
{
    let mut random = Rng::with_seed(1);
    move || {
        let (begun, ended) = (Barrier::new(2), AtomicBool::new(false));
        thread::scope(|scope| {
            scope.spawn(|| {
                let mut random = Rng::with_seed(2);
                begun.wait();
                while !ended.load(Ordering::Relaxed) {
                    black_box(drawn(&ids, &mut random).filter(|id| is_live(*id)).count());
                }
            });
            begun.wait();
            let timed = time(|| {
                drawn(&ids, &mut random).for_each(|id| {
                    black_box(is_live(id));
                });
                LOOK_UPS as u64
            });
            ended.store(true, Ordering::Relaxed);
            timed
        })
    }
}
