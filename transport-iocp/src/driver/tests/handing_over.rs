//! What other threads hand over: cookies, back-pressure, and that nothing vanishes.

use super::*;

#[test]
fn a_stale_send_is_refused_after_the_slot_was_used_again() {
    for_each_seed(|seed| {
        let (mut world, old, _) = World::connected(seed, config());
        let sender = Sender::new(world.client.mailbox(old));
        assert!(sender.is_open());
        world.client.send(old, pattern(20_000)).unwrap();
        sender.abort();
        world.run_until_all_closed();
        let new = world.connect();
        assert_eq!((new.slot(), new.domain()), (old.slot(), old.domain()));
        assert_ne!(new.cookie(), old.cookie());

        let refused = sender.try_send(message(*b"to a stranger?")).unwrap_err();
        assert_eq!(refused.reason, SendRefused::Stale);
        assert_eq!(&*refused.message.payload, b"to a stranger?");
        assert!(!sender.is_open() && world.client.directory.find(old).is_none());
        sender.close(CloseReason::NORMAL);
        sender.abort();
        // A command that names the old connection, and was on its way when that ended.
        world.client.inbox.push(Command::Look(old));
        world.client.send(new, *b"to the right one").unwrap();
        world.run_until(|world| !world.server.handler.messages.is_empty());
        assert_eq!(&*world.server.handler.messages[0].1.payload, b"to the right one");
        assert!(world.client.table.get_mut(new).is_some());
    });
}

#[test]
fn the_slot_is_kept_until_every_operation_is_back() {
    for_each_seed(|seed| {
        let (mut world, old, _) = World::connected(seed, config());
        world.client.mailbox(old).abort();
        // At the end of some turn the id dies and the socket is dropped, but the receive is still out.
        while world.client.handler.closed.is_empty() {
            world.client.turn(Some(Duration::ZERO)).unwrap();
        }
        assert!(world.client.table.retired_mut(old).is_some_and(|peer| peer.outstanding > 0));
        let meanwhile = world.client.connect(world.address).unwrap();
        assert_ne!(meanwhile.slot(), old.slot());
        world.run_until(|world| world.client.handler.established.contains(&meanwhile));
        assert!(world.client.table.retired_mut(old).is_none());
        assert_eq!(world.connect().slot(), old.slot());
    });
}

/// PW-CLS-001: what another thread handed over before CLOSE was looked at goes out before CLOSE_ACK.
#[test]
fn what_was_accepted_before_a_close_came_is_sent() {
    for_each_seed(|seed| {
        let (mut world, client, server) = World::connected(seed, config());
        world.client.mailbox(client).close(CloseReason::NORMAL);
        // The client's side alone, until its CLOSE has left; the server has not looked yet.
        for _ in 0..20 {
            world.client.turn(Some(Duration::ZERO)).unwrap();
        }
        for number in 0..10 {
            world.server.send(server, [number; 100]).unwrap();
        }
        world.run_until_all_closed();
        assert_eq!(world.server.handler.unsent.len(), 0);
        assert_eq!(world.client.handler.messages.len(), 10);
        assert!(world.client.closed(client).orderly && world.server.closed(server).orderly);
    });
}

#[test]
fn a_slow_reader_is_felt_by_the_sender_who_is_told_when_there_is_room() {
    for_each_seed(|seed| {
        let mut config = config();
        config.limits.send_queue = 100_000;
        let (mut world, client, _) = World::connected(seed, config);
        let mut accepted = 0;
        let mut refused = None;
        // The server takes no turns meanwhile: it doesn't read.
        for _ in 0..1_000 {
            match world.client.send(client, [accepted as u8; 1_000]) {
                Ok(()) => accepted += 1,
                Err(error) => refused = Some(error),
            }
            world.client.turn(Some(Duration::ZERO)).unwrap();
        }
        let refused = refused.expect("the queue has a limit");
        assert_eq!((refused.reason, refused.message.payload.len()), (SendRefused::Full, 1_000));
        // The queue, one batch on its way, and what the network holds.
        assert!((90..=400).contains(&accepted), "{accepted} accepted");
        assert_eq!(world.client.handler.writable, 0);
        world.run_until(|world| world.server.handler.messages.len() == accepted);
        assert!(world.client.handler.writable > 0);
        for (index, (_, message)) in world.server.handler.messages.iter().enumerate() {
            assert_eq!(*message.payload, [index as u8; 1_000]);
        }
        assert!(world.client.handler.unsent.is_empty(), "what was accepted is not refused later");
        world.client.send(client, [0; 1_000]).unwrap();
    });
}

#[test]
fn a_handler_that_is_refused_for_lack_of_room_is_told_when_there_is_some() {
    for_each_seed(|seed| {
        let mut config = config();
        config.limits.send_queue = 10_000;
        let (mut world, client, server) = World::connected(seed, config);
        world.server.handler.echoes = true;
        for _ in 0..40 {
            // As fast as the client's own limit allows; it does not care about the answers.
            while world.client.send(client, [1; 3_000]).is_ok() {}
            world.client.turn(Some(Duration::ZERO)).unwrap();
            world.server.turn(Some(Duration::ZERO)).unwrap();
            world.server.with_context(
                server,
                |context| {
                    while context.send(Message::new(Class::ROOM, &[2; 3_000])).is_ok() {}
                },
            );
        }
        world.run_until(|world| world.server.handler.writable > 0);
    });
}

#[test]
fn a_message_that_was_accepted_waits_for_the_room_that_the_handler_took_meanwhile() {
    for_each_seed(|seed| {
        let mut config = config();
        config.limits.send_queue = 10_000;
        let (mut world, _, server) = World::connected(seed, config);
        world.server.send(server, [1; 5_000]).unwrap();
        let mut taken = 0;
        world.server.with_context(server, |context| {
            while context.send(Message::new(Class::BUSINESS, &[2; 3_000])).is_ok() {
                taken += 1;
            }
        });
        assert_eq!(taken, 1, "the queue is one for both");
        world.run_until(|world| world.client.handler.messages.len() == taken + 1);
        assert_eq!(*world.client.handler.messages[taken].1.payload, [1; 5_000]);
        assert!(world.server.handler.unsent.is_empty());
    });
}

#[test]
fn a_single_message_of_any_size_is_accepted_while_nothing_waits() {
    let mut config = config();
    config.limits.send_queue = 1_000;
    let (mut world, client, _) = World::connected(1, config);
    world.client.send(client, pattern(50_000)).unwrap();
    assert_eq!(world.client.send(client, *b"x").unwrap_err().reason, SendRefused::Full);
    world.run_until(|world| world.server.handler.messages.len() == 1);
}

#[test]
fn refusals_come_at_once_where_they_can_and_otherwise_to_the_handler() {
    let mut limited = config();
    limited.limits.message = limited.limits.frame;
    let mut world = World::new(1, limited);
    let client = world.begin_to_connect(world.address);
    assert_eq!(world.client.send(client, *b"early").unwrap_err().reason, SendRefused::NotEstablished);
    world.run_until(|world| !world.client.handler.established.is_empty());
    let refused = world.client.send(client, pattern(65_537)).unwrap_err();
    assert_eq!(refused.reason, SendRefused::TooLarge { limit: 65_536 });
    let reserved = Message::new(Class(5), vec![]);
    assert_eq!(world.client.mailbox(client).send(reserved), Ok(()));
    world.client.mailbox(client).close(CloseReason::NORMAL);
    let refused = world.client.send(client, *b"late").unwrap_err();
    assert_eq!(refused.reason, SendRefused::Closed(CloseReason::NORMAL));
    world.run_until_all_closed();
    assert_eq!(world.client.handler.unsent[0].reason, SendRefused::ReservedClass);
}

#[test]
fn every_message_that_was_accepted_is_delivered_or_comes_back() {
    for_each_seed(|seed| {
        let (mut world, client, server) = World::connected(seed, config());
        let mut accepted = 0;
        for number in 0..60_u64 {
            // Few seeds spread it over the row of messages, and many take every place.
            if number == seed * 7 % 60 {
                world.server.mailbox(server).close(CloseReason::NORMAL);
            }
            let refused = world
                .client
                .directory
                .find(client)
                .is_none_or(|mailbox| mailbox.send(message(vec![0; (seed * number) as usize % 5_000])).is_err());
            accepted += usize::from(!refused);
            for side in world.sides() {
                side.turn(Some(Duration::ZERO)).unwrap();
            }
        }
        world.run_until_all_closed();
        let closed = world.client.closed(client);
        assert!(closed.orderly, "{closed}");
        let back = closed.unsent.len() + world.client.handler.unsent.len();
        assert_eq!(world.server.handler.messages.len() + back, accepted);
    });
}

#[test]
fn nothing_holds_on_to_a_payload_that_was_sent() {
    for_each_seed(|seed| {
        let (mut world, client, _) = World::connected(seed, config());
        let payload = bytes::Bytes::from(pattern(100_000));
        world.client.mailbox(client).send(Message::new(Class::BUSINESS, payload.clone())).unwrap();
        world.run_until(|world| world.server.handler.messages.len() == 1);
        world.run_for(Duration::from_secs(1));
        assert!(payload.is_unique());
    });
}

#[test]
fn a_thread_that_waits_for_room_gets_it_and_learns_of_the_end() {
    let mut config = config();
    config.limits.send_queue = 10_000;
    let (mut world, client, _) = World::connected(1, config);
    let sender = Sender::new(world.client.mailbox(client));
    let thread = std::thread::spawn(move || {
        let sent = (0..50).filter(|_| sender.send_blocking(message(vec![0; 3_000])).is_ok()).count();
        (sent, sender)
    });
    // This thread takes the turns, at the speed of the machine.
    while world.server.handler.messages.len() < 50 {
        for side in world.sides() {
            side.turn(Some(Duration::ZERO)).unwrap();
        }
    }
    let (sent, sender) = thread.join().unwrap();
    assert_eq!(sent, 50);
    while sender.try_send(message(vec![0; 3_000])).is_ok() {}
    let thread = std::thread::spawn(move || sender.send_blocking(message(vec![0; 3_000])));
    world.client.mailbox(client).abort();
    world.run_until(|world| !world.client.handler.closed.is_empty());
    let refused = thread.join().unwrap().unwrap_err();
    assert_ne!(refused.reason, SendRefused::Full);
}

/// Wherever the room is lacking: in its own queue, or in all connections together.
#[test]
fn a_thread_that_is_refused_rests_until_there_is_room() {
    let mut config = config();
    config.limits.send_queue = 1 << 20;
    let mut world = short_of_memory(config);
    let (greedy, modest) = (world.connect(), world.connect());
    while world.client.send(greedy, vec![0; 4_000]).is_ok() {}
    assert_eq!(world.client.send(modest, vec![0; 4_000]).unwrap_err().reason, SendRefused::Full);
    assert!(world.client.mailbox(modest).is_waited_for(message(*b"").class));

    let mut config = super::config();
    config.limits.send_queue = 10_000;
    let (world, client, _) = World::connected(1, config);
    while world.client.send(client, vec![0; 4_000]).is_ok() {}
    assert!(world.client.mailbox(client).is_waited_for(message(*b"").class));
}
