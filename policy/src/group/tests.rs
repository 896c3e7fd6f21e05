//! Properties of groups, with members whose send queues take what they are told to.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use proptest::prelude::*;
use pulsewire_protocol::{Class, CloseReason, Message, Slots};

use super::*;

/// Send queues of so many messages each, by member.
#[derive(Default)]
struct Queues {
    room: BTreeMap<usize, usize>,
    got: BTreeMap<usize, Vec<(u8, u32)>>,
    over: BTreeSet<usize>,
    closed: BTreeSet<usize>,
}

impl Deliver<usize> for Queues {
    fn send(&mut self, member: &usize, message: &PreparedMessage) -> Result<(), SendRefused> {
        if self.over.contains(member) || self.closed.contains(member) {
            return Err(SendRefused::Closed(CloseReason::NORMAL));
        }
        let room = self.room.entry(*member).or_default();
        *room = room.checked_sub(1).ok_or(SendRefused::Full)?;
        self.got.entry(*member).or_default().push(read(message));
        Ok(())
    }

    fn close(&mut self, member: &usize) {
        self.closed.insert(*member);
    }
}

fn message(class: u8, number: u32) -> PreparedMessage {
    PreparedMessage::new(Message::new(Class(class), &number.to_be_bytes()))
}

fn read(message: &PreparedMessage) -> (u8, u32) {
    let number = <[u8; 4]>::try_from(&*message.message().payload).unwrap();
    (message.message().class.0, u32::from_be_bytes(number))
}

fn ids(count: usize) -> Vec<ConnectionId> {
    let mut slots = Slots::new(1);
    (0..count).map(|_| slots.insert_with(|_| ())).collect()
}

fn at(millis: u64) -> Instant {
    Instant::ZERO + Duration::from_millis(millis)
}

/// A group whose members have places 0 to `count`.
fn group(slow_member: SlowMember, count: usize) -> (Group<usize>, Vec<ConnectionId>) {
    let mut group = Group::new(GroupConfig { slow_member, time_to_live: None });
    let ids = ids(count);
    for (place, id) in ids.iter().enumerate() {
        assert_eq!(group.join(*id, place), Ok(true));
    }
    (group, ids)
}

#[test]
fn a_slow_member_is_passed_over_and_named() {
    let (mut group, ids) = group(SlowMember::Refuse, 3);
    let mut queues = Queues { room: [(0, 1), (2, 1)].into(), ..Queues::default() };
    let delivery = group.send(at(0), &message(0, 1), &mut queues);
    assert_eq!((delivery.sent, delivery.waiting), (2, 0));
    assert_eq!(delivery.missed, [(ids[1], Missed::Slow)]);
    assert_eq!(group.len(), 3);
    assert_eq!(group.statistics().refused, 1);
}

#[test]
fn a_slow_member_is_closed_and_let_go() {
    let (mut group, ids) = group(SlowMember::Close, 2);
    let mut queues = Queues { room: [(0, 2)].into(), ..Queues::default() };
    let delivery = group.send(at(0), &message(0, 1), &mut queues);
    assert_eq!(delivery.missed, [(ids[1], Missed::Closed)]);
    assert_eq!(queues.closed, [1].into());
    assert_eq!(group.ids().collect::<Vec<_>>(), [ids[0]]);
    assert_eq!(group.send(at(0), &message(0, 2), &mut queues).missed, []);
}

#[test]
fn the_oldest_make_room_for_the_newest() {
    let (mut group, ids) = group(SlowMember::DropOldest { bytes: 8 }, 1);
    let mut queues = Queues::default();
    let first = group.send(at(0), &message(0, 1), &mut queues);
    assert_eq!((first.waiting, &first.slow[..], &first.missed[..]), (1, &ids[..], &[][..]));
    assert_eq!(group.send(at(0), &message(0, 2), &mut queues).missed, []);
    let third = group.send(at(0), &message(0, 3), &mut queues);
    assert_eq!((third.waiting, &third.slow[..], &third.missed[..]), (1, &[][..], &[(ids[0], Missed::Older(1))][..]));
    queues.room.insert(0, 1);
    assert_eq!(group.resume(at(0), ids[0], &mut queues), Resumed::Waits);
    queues.room.insert(0, 5);
    assert_eq!(group.resume(at(0), ids[0], &mut queues), Resumed::Done);
    assert_eq!(queues.got[&0], [(0, 2), (0, 3)]);
    // It has caught up.
    assert_eq!(group.send(at(0), &message(0, 4), &mut queues).sent, 1);
    assert_eq!(group.statistics().displaced, 1);
}

#[test]
fn the_newest_of_each_class_waits() {
    let (mut group, ids) = group(SlowMember::KeepNewest, 1);
    let mut queues = Queues::default();
    for (class, number) in [(1, 1), (2, 2), (1, 3), (1, 4), (3, 5)] {
        group.send(at(0), &message(class, number), &mut queues);
    }
    queues.room.insert(0, 9);
    assert_eq!(group.resume(at(0), ids[0], &mut queues), Resumed::Done);
    assert_eq!(queues.got[&0], [(2, 2), (1, 4), (3, 5)]);
}

#[test]
fn what_waits_expires() {
    let slow_member = SlowMember::DropOldest { bytes: 1_000 };
    let mut group = Group::new(GroupConfig { slow_member, time_to_live: Some(Duration::from_millis(100)) });
    let (id, mut queues) = (ids(1)[0], Queues::default());
    group.join(id, 0).unwrap();
    group.send(at(0), &message(0, 1), &mut queues);
    group.send(at(60), &message(0, 2), &mut queues);
    let delivery = group.send(at(120), &message(0, 3), &mut queues);
    assert_eq!(delivery.missed, [(id, Missed::Older(1))]);
    queues.room.insert(0, 9);
    assert_eq!(group.resume(at(159), id, &mut queues), Resumed::Done);
    assert_eq!(queues.got[&0], [(0, 2), (0, 3)]);
    group.send(at(200), &message(0, 4), &mut Queues::default());
    assert_eq!(group.resume(at(300), id, &mut queues), Resumed::Done);
    assert_eq!((group.statistics().expired, queues.got[&0].len()), (2, 2));
}

#[test]
fn whose_connection_is_over_is_no_member() {
    let (mut group, ids) = group(SlowMember::KeepNewest, 2);
    let mut queues = Queues { over: [0].into(), ..Queues::default() };
    let delivery = group.send(at(0), &message(0, 1), &mut queues);
    assert_eq!(delivery.missed, [(ids[0], Missed::Refused(SendRefused::Closed(CloseReason::NORMAL)))]);
    queues.over.insert(1);
    assert_eq!(group.resume(at(0), ids[1], &mut queues), Resumed::Done);
    assert!(group.is_empty());
    assert_eq!(group.statistics().lost, 1);
}

#[test]
fn nobody_joins_a_dissolved_group() {
    let (mut group, ids) = group(SlowMember::Refuse, 2);
    assert_eq!(group.join(ids[0], 7), Ok(false));
    let mut members = group.dissolve();
    members.sort_by_key(|(_, place)| *place);
    assert_eq!(members, [(ids[0], 0), (ids[1], 1)]);
    assert_eq!(group.join(ids[0], 0), Err(Dissolved));
    assert!(group.is_empty() && group.is_dissolved());
}

#[derive(Debug, Clone)]
enum Step {
    Join(usize),
    Leave(usize),
    Send(u8),
    Room(usize, usize),
    Ends(usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        2 => (0..6_usize).prop_map(Step::Join),
        1 => (0..6_usize).prop_map(Step::Leave),
        6 => (0..3_u8).prop_map(Step::Send),
        3 => (0..6_usize, 1..4_usize).prop_map(|(member, room)| Step::Room(member, room)),
        1 => (0..6_usize).prop_map(Step::Ends),
    ]
}

fn slow_member() -> impl Strategy<Value = SlowMember> {
    prop_oneof![
        Just(SlowMember::Refuse),
        Just(SlowMember::Close),
        (0..40_usize).prop_map(|bytes| SlowMember::DropOldest { bytes }),
        Just(SlowMember::KeepNewest),
    ]
}

proptest! {
    /// Whatever happens: nobody gets a message twice, out of order within a class, or that was sent while it did not belong to the
    /// group; and each message to each member is sent, waits, or was named as missed.
    #[test]
    fn members_get_their_messages_in_order(slow in slow_member(), steps in prop::collection::vec(step(), 1..60)) {
        let mut group = Group::new(GroupConfig { slow_member: slow, time_to_live: None });
        let (ids, queues) = (ids(6), RefCell::new(Queues::default()));
        let mut due: BTreeMap<usize, Vec<(u8, u32)>> = BTreeMap::new();
        let mut missed = 0;
        let mut number = 0;
        for step in steps {
            let queues = &mut *queues.borrow_mut();
            match step {
                Step::Join(member) => drop(group.join(ids[member], member)),
                Step::Leave(member) => drop(group.leave(ids[member])),
                Step::Ends(member) => drop(queues.over.insert(member)),
                Step::Room(member, room) => {
                    queues.room.insert(member, room);
                    group.resume(at(0), ids[member], queues);
                }
                Step::Send(class) => {
                    number += 1;
                    let members: Vec<_> = group.ids().map(|id| ids.iter().position(|of| *of == id).unwrap()).collect();
                    members.iter().for_each(|member| due.entry(*member).or_default().push((class, number)));
                    let delivery = group.send(at(0), &message(class, number), queues);
                    let this_one = delivery.missed.iter().filter(|(_, missed)| missed.is_this_one()).count();
                    prop_assert_eq!(delivery.sent + delivery.waiting + this_one, members.len());
                    missed += delivery.missed.iter().map(|(_, missed)| match missed {
                        Missed::Older(count) => *count,
                        _ => 1,
                    }).sum::<usize>();
                }
            }
        }
        let queues = queues.into_inner();
        for (member, got) in &queues.got {
            let due = due.get(member).map_or(&[][..], Vec::as_slice);
            prop_assert!(got.iter().all(|message| due.contains(message)));
            prop_assert!(got.is_sorted_by_key(|(_, number)| *number));
            prop_assert!(got.windows(2).all(|pair| pair[0] != pair[1]));
        }
        let got: usize = queues.got.values().map(Vec::len).sum();
        let waits: usize = group.members.iter().flatten().map(|member| {
            member.backlog.as_ref().map_or(0, |backlog| backlog.len())
        }).sum();
        let lost = usize::try_from(group.statistics().lost).unwrap();
        prop_assert_eq!(due.values().map(Vec::len).sum::<usize>(), got + waits + missed + lost);
    }
}
