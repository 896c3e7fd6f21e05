//! Messages arrive whole and in order, whatever the order of completions.

use super::*;

fn echo(seed: u64, sizes: &[usize]) {
    let (mut world, id, _) = World::connected(seed, config());
    world.server.handler.echoes = true;
    for &size in sizes {
        world.client.send(id, pattern(size)).unwrap();
    }
    world.run_until(|world| world.client.handler.messages.len() == sizes.len());
    for ((from, message), &size) in world.client.handler.messages.iter().zip(sizes) {
        assert_eq!((*from, message.payload.len()), (id, size));
        assert!(*message.payload == pattern(size)[..]);
    }
    assert_eq!(world.server.handler.full, 0);
}

#[test]
fn small_messages_are_echoed_whole_and_in_order() {
    for_each_seed(|seed| {
        echo(seed, &[0, 1, 11, 12, 13, 100, 2_035, 2_036, 2_047, 2_048, 2_049, 4_080, 4_096, 5_000, 0, 7]);
    });
}

#[test]
fn large_messages_are_echoed_whole_and_in_order() {
    for_each_seed(|seed| {
        echo(seed, &[65_535, 3, 65_536, 65_537, 0, 300_000]);
    });
}

#[test]
fn many_connections_are_told_apart() {
    for_each_seed(|seed| {
        let mut world = World::new(seed, config());
        world.server.handler.echoes = true;
        let ids: Vec<_> = (0..50).map(|_| world.connect()).collect();
        for (number, &id) in ids.iter().enumerate() {
            for part in 0..3 {
                world.client.send(id, format!("{number} {part}")).unwrap();
            }
        }
        world.run_until(|world| world.client.handler.messages.len() == 3 * ids.len());
        for (number, &id) in ids.iter().enumerate() {
            let mine = world.client.handler.messages.iter().filter(|(from, _)| *from == id);
            let expected: Vec<_> = (0..3).map(|part| format!("{number} {part}").into_bytes()).collect();
            assert_eq!(mine.map(|(_, message)| message.payload.to_vec()).collect::<Vec<_>>(), expected);
        }
    });
}

#[test]
fn a_busy_connection_starves_nobody() {
    for_each_seed(|seed| {
        let mut world = World::new(seed, config());
        world.server.handler.echoes = true;
        let (busy, quiet) = (world.connect(), world.connect());
        world.client.send(busy, pattern(1 << 20)).unwrap();
        world.client.send(quiet, *b"quick").unwrap();
        world.run_until(|world| !world.client.handler.messages.is_empty());
        assert_eq!(world.client.handler.messages[0].0, quiet);
    });
}

#[test]
fn quiet_peers_stay_connected_by_answering_pings() {
    for_each_seed(|seed| {
        let (mut world, id, _) = World::connected(seed, config());
        world.run_for(Duration::from_secs(600));
        assert!(world.client.handler.closed.is_empty() && world.server.handler.closed.is_empty());
        assert!(world.client.table.get_mut(id).expect("alive").rtt().is_some());
    });
}

#[test]
fn a_quiet_connection_holds_a_small_buffer_and_a_busy_one_a_large_one() {
    for_each_seed(|seed| {
        let (mut world, id, server) = World::connected(seed, config());
        world.server.send(server, pattern(200_000)).unwrap();
        (0..200).for_each(|_| drop(world.server.send(server, pattern(2_000))));
        let mut was_busy = false;
        while world.client.handler.messages.len() < 201 {
            for side in world.sides() {
                side.turn(Some(Duration::ZERO)).unwrap();
            }
            was_busy |= world.client.table.get_mut(id).unwrap().data().busy;
        }
        assert!(was_busy);
        // After a PING a page will do.
        world.run_for(Duration::from_secs(2));
        assert!(!world.client.table.get_mut(id).unwrap().data().busy);
    });
}
