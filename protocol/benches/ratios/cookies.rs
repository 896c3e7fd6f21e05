//! The check of an id at every use.

use std::hint::black_box;

use dashmap::DashMap;
use pulsewire_protocol::{ConnectionId, Slots};

use crate::goal::Goal;
use crate::measure::Group;

const VEC: &str = "Vec, unchecked";
const SLOTS: &str = "Slots::get";
const DASHMAP: &str = "DashMap";
const LIVENESS: &str = "Liveness::is_live";

/// Look-ups in a pass.
const LOOK_UPS: usize = 10_000;

/// What of a connection is touched first: a cache line.
type Value = [u64; 8];

pub(crate) fn groups() -> Vec<Group> {
    [("10k", 10_000), ("1M", 1_000_000)]
        .into_iter()
        .flat_map(|(name, count)| [owner(name, count), others(name, count)])
        .collect()
}

/// Slots of which each was used several times, and their ids in a random order.
fn slots(count: u64) -> (Slots<Value>, Vec<ConnectionId>) {
    let mut slots = Slots::new(1);
    let mut ids: Vec<ConnectionId> = (0..count).map(|value| slots.insert([value; 8])).collect();
    for _ in 0..3 {
        fastrand::shuffle(&mut ids);
        for id in &mut ids[..count as usize / 2] {
            slots.remove(*id);
            *id = slots.insert([id.cookie; 8]);
        }
    }
    fastrand::shuffle(&mut ids);
    (slots, ids)
}

/// The ids of the next pass.
fn next<'i>(ids: &'i [ConnectionId], position: &mut usize) -> &'i [ConnectionId] {
    *position = (*position + LOOK_UPS) % ids.len();
    &ids[*position..*position + LOOK_UPS]
}

/// The thread that owns the connections, on its way to one of them.
fn owner(name: &str, count: u64) -> Group {
    let (slots, ids) = slots(count);
    let values: Vec<Value> = (0..count).map(|value| [value; 8]).collect();
    let same = ids.clone();
    let (mut one, mut other) = (0, 0);
    Group::new(format!("cookies/{name}, the owner"))
        .contender(VEC, move || {
            next(&same, &mut one).iter().for_each(|id| {
                black_box(values[id.slot as usize][0]);
            });
            LOOK_UPS as u64
        })
        .contender(SLOTS, move || {
            next(&ids, &mut other).iter().for_each(|id| {
                if let Some(value) = slots.get(*id) {
                    black_box(value[0]);
                }
            });
            LOOK_UPS as u64
        })
        .goal(Goal::within(SLOTS, VEC, 1.3))
}

/// Any other thread, which wants to know whether an id lives.
fn others(name: &str, count: u64) -> Group {
    let (mut slots, ids) = slots(count);
    let liveness = slots.liveness();
    let map: DashMap<u32, u64> = ids.iter().map(|id| (id.slot, id.cookie)).collect();
    let same = ids.clone();
    let (mut one, mut other) = (0, 0);
    let group = Group::new(format!("cookies/{name}, other threads"))
        .contender(DASHMAP, move || {
            let live = |id: &&ConnectionId| map.get(&id.slot).is_some_and(|cookie| *cookie == id.cookie);
            next(&same, &mut one).iter().filter(live).count() as u64
        })
        .contender(LIVENESS, move || next(&ids, &mut other).iter().filter(|id| liveness.is_live(**id)).count() as u64);
    if count == 10_000 { group.goal(Goal::faster(LIVENESS, DASHMAP, 8.0)) } else { group }
}
