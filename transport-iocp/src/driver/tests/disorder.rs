//! Everything at once: connections come and go in every way while messages are under way.

use super::*;
use std::collections::{HashMap, HashSet};

/// How many messages were sent on each of the client's connections, by its cookie.
pub(super) type Numbers = HashMap<u64, u64>;

/// The number of the connection that a message was sent on, and of the message on it.
pub(super) fn stamp(cookie: u64, number: u64, padding: usize) -> Vec<u8> {
    [&cookie.to_be_bytes()[..], &number.to_be_bytes(), &vec![7; padding]].concat()
}

pub(super) fn read_stamp(payload: &[u8]) -> (u64, u64) {
    let number = |bytes: &[u8]| u64::from_be_bytes(bytes.try_into().expect("eight bytes"));
    (number(&payload[..8]), number(&payload[8..16]))
}

/// One thing that applications or networks do.
pub(super) fn disturb(world: &mut World, random: &mut Random, sent: &mut Numbers) {
    let ids = world.client.directory.ids();
    let Some(&id) = ids.get(random.up_to(ids.len().max(1)) - 1) else {
        return world.try_to_connect();
    };
    let theirs = world.server.directory.ids();
    let their_id = theirs.get(random.up_to(theirs.len().max(1)) - 1).copied();
    match random.up_to(40) {
        1..=6 if ids.len() < 8 => world.try_to_connect(),
        7 => drop(world.client.mailbox(id).close(CloseReason::NORMAL)),
        8 => drop(world.client.mailbox(id).abort()),
        9 => world.client.with_socket(id, |socket| world.network.reset(socket)),
        10 => world.client.with_socket(id, |socket| world.network.cut(socket)),
        11 => drop(their_id.map(|id| world.server.mailbox(id).close(CloseReason(40_000)))),
        12 => drop(their_id.map(|id| world.server.mailbox(id).abort())),
        13 => world.network.fail_accepts(random.flip().then_some(SystemError::INVALID)),
        14 => world.run_for(Duration::from_millis(random.up_to(400) as u64)),
        15 => world.client.mailbox(id).pause(),
        16 => world.client.mailbox(id).resume(),
        17 => drop(their_id.map(|id| world.server.mailbox(id).pause())),
        18 => drop(their_id.map(|id| world.server.mailbox(id).resume())),
        19 => drop(their_id.map(|id| world.server.mailbox(id).drain())),
        _ => {
            let number = sent.entry(id.cookie().get()).or_default();
            let padding = if random.flip() { random.up_to(100) } else { random.up_to(20_000) };
            if world.client.send(id, stamp(id.cookie().get(), *number, padding)).is_ok() {
                *number += 1;
            }
        }
    }
}

#[test]
fn no_message_reaches_a_stranger_and_nothing_is_left_behind() {
    for_each_seed(|seed| {
        let (mut world, mut random) = (World::new(seed, config()), Random::new(!seed));
        let mut sent = Numbers::new();
        for _ in 0..300 {
            disturb(&mut world, &mut random, &mut sent);
            for _ in 0..random.up_to(6) {
                for side in world.sides() {
                    side.turn(Some(Duration::ZERO)).unwrap();
                }
            }
        }
        world.network.fail_accepts(None);
        for side in world.sides() {
            side.inbox.push(Command::ShutDown { drain: Duration::ZERO, patience: Duration::from_secs(60) });
        }
        world.run_until(|world| world.client.in_order().is_some() && world.server.in_order().is_some());
        assert_eq!((world.client.in_order(), world.server.in_order()), (Some(true), Some(true)));
        world.client.assert_empty();
        world.server.assert_empty();
        assert_no_stranger(&world.server.handler.messages);
    });
}

/// On each of the server's connections: messages of one of the client's, from the first one on, without a hole.
pub(super) fn assert_no_stranger(messages: &[(ConnectionId, Message<'static>)]) {
    let mut next = HashMap::new();
    for (at, message) in messages {
        let (cookie, number) = read_stamp(&message.payload);
        let (expected_cookie, expected_number) = next.entry(*at).or_insert((cookie, 0));
        assert_eq!((cookie, number), (*expected_cookie, *expected_number));
        *expected_number += 1;
    }
    let senders: HashSet<_> = next.values().map(|(cookie, _)| cookie).collect();
    assert_eq!(senders.len(), next.len(), "one connection here for one there");
}

/// PW-TCP-001: bytes that can be read are delivered before time passes, however late the turn and however many connections.
#[test]
fn a_side_that_is_late_hears_its_peers_before_it_judges_them() {
    for_each_seed(|seed| {
        let (mut strict, mut patient) = (config(), config());
        strict.heartbeat.probes = 1;
        patient.heartbeat.idle = Duration::from_secs(3_600);
        let mut world = World::with_configs(seed, strict, patient);
        for _ in 0..20 {
            world.connect();
        }
        world.network.move_bytes_whole();
        // The client takes one turn per 99 ms, just within `interval`; what it sent was answered long before.
        for _ in 0..100 {
            for _ in 0..100 {
                world.server.turn(Some(Duration::ZERO)).unwrap();
            }
            let late = world.now() + Duration::from_millis(99);
            while world.now() < late {
                let left = late - world.now();
                let wait = world.server.timeout().min(left);
                world.server.turn(Some(wait)).unwrap();
            }
            world.client.turn(Some(Duration::ZERO)).unwrap();
        }
        assert!(world.client.handler.closed.is_empty(), "{}", world.client.handler.closed[0].1);
    });
}
