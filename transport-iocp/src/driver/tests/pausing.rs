//! Slow applications that say so (section 8.4 of the specification), and sides that say what they are going to do.

use super::*;
use pulsewire_protocol::Retry;

/// Ten times as long as a healthy peer may be silent.
fn long() -> Duration {
    config().heartbeat.bound() * 10
}

impl World {
    fn nobody_ended(&self) -> bool {
        self.client.handler.closed.is_empty() && self.server.handler.closed.is_empty()
    }
}

/// PW-HB-019, PW-HB-020, PW-HB-023.
#[test]
fn a_paused_receiver_outlives_ten_bounds_and_then_gets_every_message() {
    for_each_seed(|seed| {
        let (mut world, client, server) = World::connected(seed, config());
        let sender = Sender::new(world.server.mailbox(server));
        sender.pause();
        world.run_for(Duration::from_millis(10));
        // Small and large: the receive that was pending may have been one of a large packet.
        let sizes = [10, 3_000, 50_000, 0, 70_000, 300_000];
        for size in sizes {
            world.client.send(client, pattern(size)).unwrap();
        }
        world.run_for(long());
        assert!(world.nobody_ended() && world.server.handler.messages.is_empty());
        let received = world.server.table.get_mut(server).unwrap().statistics().bytes_received;
        sender.resume();
        world.run_until(|world| world.server.handler.messages.len() == sizes.len());
        for ((_, message), size) in world.server.handler.messages.iter().zip(sizes) {
            assert!(*message.payload == pattern(size)[..]);
        }
        assert!(received < 10_000, "what was received stays outside the protocol's machine: {received}");
        world.run_for(long());
        assert!(world.nobody_ended(), "both answer each other again");
        assert_eq!(world.client.table.get_mut(client).unwrap().statistics().peer_pauses, 1);
    });
}

/// What came together with the message that made it too much waits as well.
#[test]
fn a_handler_that_pauses_gets_one_message_at_a_time() {
    for_each_seed(|seed| {
        let mut config = config();
        config.timeouts.write_stall = long() * 10;
        // No single pause lasts that long, but all of them together do.
        config.heartbeat.busy_max = long() * 2;
        let (mut world, client, server) = World::connected(seed, config);
        world.server.handler.pauses = true;
        let sizes = [5, 100, 2_047, 20_000, 0, 7];
        for size in sizes {
            world.client.send(client, pattern(size)).unwrap();
        }
        for (index, size) in sizes.into_iter().enumerate() {
            world.run_until(|world| world.server.handler.messages.len() > index);
            world.run_for(long());
            assert_eq!(world.server.handler.messages.len(), index + 1);
            assert!(*world.server.handler.messages[index].1.payload == pattern(size)[..]);
            assert!(world.nobody_ended());
            Sender::new(world.server.mailbox(server)).resume();
        }
    });
}

/// A thread that is stuck in the handler says nothing, and is given up.
#[test]
fn a_side_that_stops_without_a_word_is_given_up() {
    for_each_seed(|seed| {
        let (mut world, client, _) = World::connected(seed, config());
        let before = world.now();
        while world.client.handler.closed.is_empty() {
            let wait = Some(world.client.timeout());
            world.client.turn(wait).unwrap();
            assert!(world.now() - before < long());
        }
        assert_eq!(world.client.closed(client).reason, CloseReason::PEER_TIMEOUT);
        assert_eq!(world.client.handler.suspect, [client]);
    });
}

/// PW-HB-018.
#[test]
fn a_side_that_stops_for_a_while_is_suspect_and_recovers() {
    for_each_seed(|seed| {
        let (mut world, client, _) = World::connected(seed, config());
        while world.client.handler.suspect.is_empty() {
            let wait = Some(world.client.timeout());
            world.client.turn(wait).unwrap();
        }
        world.run_until(|world| !world.client.handler.recovered.is_empty());
        assert_eq!((&*world.client.handler.suspect, &*world.client.handler.recovered), (&[client][..], &[client][..]));
        assert!(world.nobody_ended());
    });
}

/// PW-HB-024: behind its CLOSE a side reads, and gets what came before.
#[test]
fn closing_ends_a_pause_and_none_begins_then() {
    for_each_seed(|seed| {
        let (mut world, client, server) = World::connected(seed, config());
        world.server.handler.pauses = true;
        for size in [10, 20, 30_000] {
            world.client.send(client, pattern(size)).unwrap();
        }
        world.run_until(|world| !world.server.handler.messages.is_empty());
        world.run_for(long());
        assert_eq!(world.server.handler.messages.len(), 1);
        assert!(world.server.mailbox(server).close(CloseReason::NORMAL));
        world.run_until_all_closed();
        assert_eq!(world.server.handler.messages.len(), 3, "it did not pause again");
        assert!(world.server.closed(server).orderly && world.client.closed(client).orderly);
    });
}

/// What the peer said last is reported before the end, though this side did not want to hear more.
#[test]
fn a_reset_ends_a_pause_and_what_had_come_is_delivered() {
    for_each_seed(|seed| {
        let (mut world, client, server) = World::connected(seed, config());
        world.server.handler.pauses = true;
        for size in [10, 20, 30] {
            world.client.send(client, pattern(size)).unwrap();
        }
        world.run_until(|world| !world.server.handler.messages.is_empty());
        world.run_for(Duration::from_millis(50));
        world.client.with_socket(client, |socket| world.network.reset(socket));
        world.run_until_all_closed();
        assert_eq!(world.server.closed(server).reason, CloseReason::RESET);
        assert_eq!(world.server.handler.messages.len() as u64, world.server.closed(server).received);
    });
}

/// PW-HB-023: two sides that both pause do not wait for ever.
#[test]
fn a_stalled_write_ends_a_pause() {
    for_each_seed(|seed| {
        let (mut world, client, server) = World::connected(seed, config());
        world.client.mailbox(client).pause();
        world.server.mailbox(server).pause();
        world.client.send(client, pattern(4 << 20)).unwrap();
        world.server.send(server, pattern(4 << 20)).unwrap();
        world.run_until_all_closed();
        let reasons = [world.client.closed(client).reason, world.server.closed(server).reason];
        assert!(reasons.contains(&CloseReason::WRITE_STALL), "{reasons:?}");
    });
}

/// PW-CLS-016, PW-CLS-017: with a count, at once, and the connection goes on.
#[test]
fn a_drain_is_told_and_ends_nothing() {
    for_each_seed(|seed| {
        let (mut world, client, server) = World::connected(seed, config());
        world.client.send(client, *b"before").unwrap();
        world.run_until(|world| !world.server.handler.messages.is_empty());
        world.server.mailbox(server).drain();
        world.run_until(|world| !world.client.handler.draining.is_empty());
        world.client.with_context(client, |context| context.drain());
        world.client.touch(client);
        world.client.send(client, *b"after").unwrap();
        world.run_until(|world| world.server.handler.messages.len() == 2 && !world.server.handler.draining.is_empty());
        assert_eq!((&*world.client.handler.draining, &*world.server.handler.draining), (&[1][..], &[0][..]));
        assert!(world.nobody_ended());
    });
}

#[test]
fn a_close_carries_a_sentence_and_advice() {
    for_each_seed(|seed| {
        let (mut world, client, server) = World::connected(seed, config());
        let said = CloseFrame::from(CloseReason::GOING_AWAY)
            .with_retry(Retry::After(Duration::from_secs(77)))
            .with_text("back in a minute or so");
        world.server.with_context(server, |context| context.close(said.clone()));
        world.server.touch(server);
        world.run_until_all_closed();
        assert_eq!(world.client.handler.closing, [said]);
        let closed = world.client.closed(client);
        assert_eq!((closed.retry, &*closed.detail), (Retry::After(Duration::from_secs(77)), "back in a minute or so"));
    });
}

#[test]
fn statistics_are_told_to_other_threads_while_the_connection_lives() {
    let (mut world, client, _) = World::connected(1, config());
    world.server.handler.echoes = true;
    world.client.send(client, pattern(1_000)).unwrap();
    world.run_until(|world| world.client.handler.messages.len() == 1);
    let ask = |world: &mut World| {
        let (answer, answered) = sync_channel(1);
        world.client.inbox.push(Command::Statistics { id: client, answer });
        world.client.turn(Some(Duration::ZERO)).unwrap();
        answered.try_recv().expect("answered").expect("the thread lives")
    };
    let statistics = ask(&mut world).expect("it lives");
    assert_eq!((statistics.messages_sent, statistics.messages_received), (1, 1));
    assert!(statistics.bytes_taken > 1_000 && statistics.bytes_received > 1_000);
    world.client.with_context(client, |context| assert_eq!(context.statistics(), statistics));
    world.client.mailbox(client).abort();
    world.run_until_all_closed();
    assert_eq!(ask(&mut world), None);
}
