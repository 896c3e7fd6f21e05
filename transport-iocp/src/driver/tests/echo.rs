//! Messages arrive whole and in order, whatever the order of completions.

use super::peer::Receiving;
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

/// What a side holds for a connection while both are left alone.
fn receiving(side: &mut Side, id: ConnectionId) -> (bool, usize) {
    let awaited = matches!(side.table.get_mut(id).expect("alive").data().receiving, Receiving::Awaited);
    (awaited, side.io.buffers.lent())
}

#[test]
fn a_connection_that_never_said_anything_holds_no_buffer() {
    for_each_seed(|seed| {
        let mut world = World::new(seed, config());
        let mut stranger = world.network.port::<Transmit>();
        let socket = stranger.connect(world.address, Token { slot: 0, cookie: std::num::NonZeroU64::MIN }).unwrap();
        stranger.wait(Some(Duration::ZERO), &mut Vec::new()).unwrap();
        world.run_until(|world| !world.server.directory.ids().is_empty());
        let id = world.server.only();
        world.run_for(Duration::from_millis(1));
        assert_eq!(receiving(&mut world.server, id), (true, 0));
        drop(socket);
    });
}

#[test]
fn a_busy_connection_holds_a_large_buffer_and_a_quiet_one_none() {
    for_each_seed(|seed| {
        let (mut world, id, server) = World::connected(seed, config());
        world.server.send(server, pattern(200_000)).unwrap();
        (0..200).for_each(|_| drop(world.server.send(server, pattern(2_000))));
        let mut was_busy = false;
        while world.client.handler.messages.len() < 201 {
            for side in world.sides() {
                side.turn(Some(Duration::ZERO)).unwrap();
            }
            was_busy |= world.client.table.get_mut(id).unwrap().data().large_receives > 0;
        }
        assert!(was_busy);
        // After the next heartbeat, in which both are heard.
        world.network.move_bytes_whole();
        world.run_for(Duration::from_secs(3));
        assert_eq!(receiving(&mut world.client, id), (true, 0));
        assert_eq!(receiving(&mut world.server, server), (true, 0));
    });
}

/// Batches that are slightly larger than a small buffer come with one receive each, not with two.
#[test]
fn a_batch_that_does_not_fit_into_a_small_buffer_is_received_whole() {
    for_each_seed(|seed| {
        let (mut world, client, _) = World::connected(seed, config());
        world.network.move_bytes_whole();
        world.network.widen(64 << 10);
        let mut receives = Vec::new();
        for round in 1..=20 {
            let before = world.server.io.port.delivered();
            for _ in 0..5 {
                world.client.send(client, pattern(1_000)).unwrap();
            }
            world.run_until(|world| world.server.handler.messages.len() == 5 * round);
            receives.push(world.server.io.port.delivered() - before);
            world.run_for(Duration::from_millis(10));
        }
        assert!(receives[10..].iter().all(|&receives| receives == 1), "{receives:?}");
    });
}

/// A message that follows another one soon is received with one call of the port.
#[test]
fn a_lively_connection_is_asked_once_for_what_comes() {
    for_each_seed(|seed| {
        let (mut world, client, server) = World::connected(seed, config());
        for round in 0..20 {
            world.client.send(client, *b"and on").unwrap();
            world.run_until(|world| world.server.handler.messages.len() > round);
            world.run_for(Duration::from_millis(100));
            assert!(round < 4 || !receiving(&mut world.server, server).0);
        }
    });
}

#[test]
fn buffers_come_back_when_connections_end() {
    for_each_seed(|seed| {
        let mut world = World::new(seed, config());
        world.server.handler.echoes = true;
        let ids: Vec<_> = (0..20).map(|_| world.connect()).collect();
        for (number, &id) in ids.iter().enumerate() {
            world.client.send(id, pattern(number * 4_000)).unwrap();
        }
        world.run_for(Duration::from_millis(5));
        for (number, &id) in ids.iter().enumerate() {
            match number % 3 {
                0 => drop(world.client.mailbox(id).abort()),
                1 => drop(world.client.mailbox(id).close(CloseReason::NORMAL)),
                _ => world.client.with_socket(id, |socket| world.network.reset(socket)),
            }
        }
        world.run_until_all_closed();
        assert_eq!((world.client.io.buffers.lent(), world.server.io.buffers.lent()), (0, 0));
    });
}

/// However much waits, one send takes no more than was configured, but for the end of a packet.
#[test]
fn sends_are_as_large_as_configured() {
    for_each_seed(|seed| {
        let network = FakeNetwork::new(seed);
        let options = SocketOptions { largest_send: 2_000, ..SocketOptions::default() };
        let mut client = side(&network, 1, config(), options);
        let mut server = side(&network, 2, config(), SocketOptions::default());
        let address = server.listen(ANYWHERE).unwrap();
        let id = client.connect(address).unwrap();
        let mut turn = |client: &mut Side| {
            client.turn(Some(Duration::ZERO)).unwrap();
            server.turn(Some(Duration::ZERO)).unwrap();
            server.handler.messages.len()
        };
        while client.handler.established.is_empty() {
            turn(&mut client);
        }
        for _ in 0..100 {
            client.send(id, pattern(500)).unwrap();
        }
        let mut largest = 0;
        while turn(&mut client) < 100 {
            largest = largest.max(client.io.port.largest_pending_send());
        }
        assert!((1_000..=2_000 + 512).contains(&largest), "{largest} bytes");
    });
}
