//! Messages to many.

use super::*;
use pulsewire_policy::{Dissolved, GroupConfig, Missed, SlowMember};
use pulsewire_protocol::PreparedMessage;

/// A server with so many connections in one group, and their ids at both sides.
fn room(seed: u64, config: Config, group: GroupConfig, members: usize) -> (World, GroupId, Vec<ConnectionId>) {
    let mut world = World::new(seed, config);
    let room = world.server.service.desk.groups.create(group);
    let ids = (0..members).map(|_| world.connect()).collect();
    for id in world.server.directory.ids() {
        assert_eq!(world.server.service.desk.groups.join(room, id), Ok(true));
    }
    (world, room, ids)
}

fn payloads(side: &Side, id: ConnectionId) -> Vec<Vec<u8>> {
    let of_this = side.handler.messages.iter().filter(|(from, _)| *from == id);
    of_this.map(|(_, message)| message.payload.to_vec()).collect()
}

#[test]
fn all_members_get_all_messages_in_one_order() {
    for_each_seed(|seed| {
        let (mut world, group, ids) = room(seed, config(), GroupConfig::default(), 5);
        let outside = world.connect();
        world.server.handler.group = Some(group);
        for round in 0..20_u8 {
            for (number, &id) in ids.iter().enumerate() {
                world.client.send(id, vec![number as u8, round]).unwrap();
            }
        }
        world.run_until(|world| world.client.handler.messages.len() == 20 * 5 * 5);
        let first = payloads(&world.client, ids[0]);
        assert!(ids.iter().all(|&id| payloads(&world.client, id) == first));
        for number in 0..5_u8 {
            let of_one: Vec<_> = first.iter().filter(|it| it[0] == number).map(|it| it[1]).collect();
            assert_eq!(of_one, (0..20).collect::<Vec<_>>());
        }
        assert!(payloads(&world.client, outside).is_empty());
        let statistics = world.server.service.desk.groups.statistics(group).unwrap();
        assert_eq!((statistics.messages, statistics.sent, world.server.handler.deliveries.len()), (100, 500, 100));
    });
}

#[test]
fn who_leaves_gets_what_was_sent_before_and_nothing_more() {
    for_each_seed(|seed| {
        let (mut world, group, ids) = room(seed, config(), GroupConfig::default(), 2);
        let theirs = world.server.directory.ids();
        let say = |world: &mut World, text: &str| {
            world.server.service.desk.groups.send(group, Message::new(Class::ROOM, text.as_bytes()))
        };
        say(&mut world, "one").unwrap();
        assert!(world.server.service.desk.groups.leave(group, theirs[0]));
        say(&mut world, "two").unwrap();
        assert_eq!(world.server.service.desk.groups.dissolve(group), [theirs[1]]);
        assert_eq!(say(&mut world, "three"), Err(Dissolved));
        assert!(world.server.service.desk.groups.groups_of(theirs[1]).is_empty());
        world.run_until(|world| world.client.handler.messages.len() == 3);
        world.run_for(Duration::from_secs(1));
        let mut got = ids.iter().map(|&id| payloads(&world.client, id)).collect::<Vec<_>>();
        got.sort();
        assert_eq!(got, [vec![b"one".to_vec()], vec![b"one".to_vec(), b"two".to_vec()]]);
    });
}

#[test]
fn a_connection_that_is_over_has_left() {
    for_each_seed(|seed| {
        let (mut world, group, ids) = room(seed, config(), GroupConfig::default(), 3);
        world.client.mailbox(ids[1]).abort();
        world.run_until(|world| world.server.handler.closed.len() == 1);
        let gone = world.server.handler.closed[0].0;
        let groups = &world.server.service.desk.groups;
        assert!(!groups.contains(group, gone) && groups.members(group).count() == 2);
        // One that was taken in when it was over already leaves with the next message.
        world.server.service.desk.groups.join(group, gone).unwrap();
        world.server.service.desk.groups.send(group, Message::new(Class::ROOM, &b"x"[..])).unwrap();
        world.run_until(|world| world.client.handler.messages.len() == 2);
        assert_eq!(world.server.handler.deliveries[0].1.missed, [(gone, Missed::Refused(SendRefused::Stale))]);
        assert!(world.server.service.desk.groups.groups_of(gone).is_empty());
    });
}

/// A room whose first member reads nothing for a while, in which much is said.
fn slow_member(seed: u64, slow_member: SlowMember) -> (World, GroupId, Vec<ConnectionId>) {
    let mut config = config();
    config.limits.send_queue = 10_000;
    let (mut world, group, ids) = room(seed, config, GroupConfig { slow_member, ..GroupConfig::default() }, 3);
    world.client.mailbox(ids[0]).pause();
    world.run_for(Duration::from_millis(10));
    for number in 0..100_u8 {
        world.server.service.desk.groups.send(group, Message::new(Class::ROOM, vec![number; 1_000])).unwrap();
        world.run_for(Duration::from_millis(1));
    }
    (world, group, ids)
}

#[test]
fn nobody_waits_for_a_member_that_is_slow_and_it_gets_the_newest_in_the_end() {
    for_each_seed(|seed| {
        let (mut world, _, ids) = slow_member(seed, SlowMember::KeepNewest);
        world.run_until(|world| payloads(&world.client, ids[1]).len() == 100);
        assert_eq!(payloads(&world.client, ids[2]).len(), 100);
        world.client.mailbox(ids[0]).resume();
        world.run_until(|world| payloads(&world.client, ids[0]).last().is_some_and(|last| last[0] == 99));
        let got = payloads(&world.client, ids[0]);
        assert!(got.len() < 100 && got.is_sorted(), "{}", got.len());
    });
}

#[test]
fn a_member_that_is_slow_may_be_refused_or_closed() {
    for_each_seed(|seed| {
        let (mut world, group, ids) = slow_member(seed, SlowMember::Refuse);
        let slow = |(_, delivery): &(_, Delivery)| delivery.missed.iter().any(|(_, why)| *why == Missed::Slow);
        assert!(world.server.handler.deliveries.iter().any(slow));
        assert_eq!(world.server.service.desk.groups.members(group).count(), 3);
        world.client.mailbox(ids[0]).resume();
        world.run_for(Duration::from_millis(100));
        assert!(world.client.handler.closed.is_empty());

        let (mut world, group, ids) = slow_member(seed, SlowMember::Close);
        world.client.mailbox(ids[0]).resume();
        world.run_until(|world| !world.client.handler.closed.is_empty());
        let closed = world.client.closed(ids[0]);
        assert_eq!(
            (closed.reason, world.server.service.desk.groups.members(group).count()),
            (CloseReason::OVERLOADED, 2)
        );
    });
}

/// What all connections hold together is used up by another one.
#[test]
fn a_member_without_memory_gets_its_message_as_soon_as_there_is_some() {
    let mut config = config();
    config.heartbeat.idle = Duration::from_secs(60);
    config.limits.send_queue = 1 << 20;
    let mut world = short_of_memory(config);
    let (greedy, member) = (world.connect(), world.connect());
    world.run_for(Duration::from_secs(5));
    let keeps = GroupConfig { slow_member: SlowMember::KeepNewest, ..GroupConfig::default() };
    let groups = &mut world.client.service.desk.groups;
    let group = groups.create(keeps);
    groups.join(group, member).unwrap();
    while world.client.send(greedy, vec![0; 4_000]).is_ok() {
        world.client.turn(Some(Duration::ZERO)).unwrap();
    }
    world.client.service.desk.groups.send(group, Message::new(Class::ROOM, vec![7; 4_000])).unwrap();
    world.client.turn(Some(Duration::ZERO)).unwrap();
    world.run_until(|world| world.client.table.buffered() < 4_000);
    let there_is_room = world.now();
    world.run_until(|world| world.server.handler.messages.iter().any(|(_, it)| it.class == Class::ROOM));
    assert!(world.now() - there_is_room < Duration::from_millis(100), "{:?}", world.now() - there_is_room);
}

#[test]
fn what_goes_to_many_comes_behind_what_was_sent_to_one_before() {
    for_each_seed(|seed| {
        let (mut world, client, _) = World::connected(seed, config());
        let groups = &mut world.client.service.desk.groups;
        let group = groups.create(GroupConfig::default());
        groups.join(group, client).unwrap();
        for round in 0..4_u8 {
            // Nobody has looked at what waits for this one when the other message goes out.
            let mailbox = world.client.mailbox(client);
            mailbox.send(message([round, 1])).unwrap();
            if round % 2 == 0 {
                world.client.broadcast(&PreparedMessage::new(message([round, 2])));
            } else {
                world.client.service.desk.groups.send(group, message([round, 2])).unwrap();
                world.client.deliver_to_groups();
            }
        }
        world.run_until(|world| world.server.handler.messages.len() == 8);
        let came: Vec<_> = world.server.handler.messages.iter().map(|(_, it)| it.payload.to_vec()).collect();
        let sent: Vec<_> = (0..4).flat_map(|round| [vec![round, 1], vec![round, 2]]).collect();
        assert_eq!(came, sent);
    });
}
