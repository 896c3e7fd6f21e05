//! Clients that stay connected, and messages that wait to be joined.

use super::*;
use crate::clients::OverReason;
use pulsewire_policy::{GiveUp, Joining, ReconnectConfig};
use pulsewire_protocol::Retry;

fn stay(world: &mut World, config: ReconnectConfig) -> ClientId {
    let (answer, answered) = sync_channel(1);
    let config = config.validate().expect("valid");
    world.client.inbox.push(Command::StayConnected { remote: world.address, config, answer });
    world.client.turn(Some(Duration::ZERO)).unwrap();
    answered.try_recv().unwrap().unwrap()
}

fn close(world: &mut World, client: ClientId) -> bool {
    let (answer, answered) = sync_channel(1);
    world.client.inbox.push(Command::CloseClient { client, close: CloseReason::NORMAL.into(), answer });
    world.client.turn(Some(Duration::ZERO)).unwrap();
    answered.try_recv().unwrap().unwrap()
}

#[test]
fn a_client_comes_back_when_its_connection_is_lost_and_not_when_it_was_closed() {
    for_each_seed(|seed| {
        let mut world = World::new(seed, config());
        let client = stay(&mut world, ReconnectConfig::default());
        for round in 1..=3 {
            world.run_until(|world| world.client.handler.established.len() == round);
            let id = world.client.handler.established[round - 1];
            assert!(matches!(world.client.handler.clients.last(),
                Some((same, ClientEvent::Connecting { connection, .. })) if (*same, *connection) == (client, id)));
            if round < 3 {
                world.client.with_socket(id, |socket| world.network.reset(socket));
                world.run_until(|world| world.client.handler.closed.len() == round);
                assert!(matches!(world.client.handler.clients.last(), Some((_, ClientEvent::Waiting { .. }))));
            }
        }
        assert!(close(&mut world, client));
        world.run_until(|world| world.client.handler.closed.len() == 3);
        assert_eq!(
            world.client.handler.clients.last(),
            Some(&(client, ClientEvent::Over(OverReason::Closed { reason: CloseReason::NORMAL })))
        );
        world.run_for(Duration::from_secs(100));
        assert_eq!(world.client.handler.established.len(), 3);
        assert!(!close(&mut world, client));
        world.run_until_all_closed();
    });
}

#[test]
fn a_client_waits_longer_and_longer_for_a_server_that_is_away_and_gives_up() {
    for_each_seed(|seed| {
        let mut world = World::new(seed, config());
        world.address.set_port(9);
        let client = stay(&mut world, ReconnectConfig { tries_max: Some(5), ..ReconnectConfig::default() });
        let before = world.now();
        let over = ClientEvent::Over(OverReason::GivenUp(GiveUp::Tries { tries: 5 }));
        world.run_until(|world| world.client.handler.clients.last() == Some(&(client, over)));
        assert!(world.now() > before);
        assert_eq!(world.client.handler.closed.len(), 5);
        let attempts = world.client.handler.clients.iter().filter_map(|(_, event)| match event {
            ClientEvent::Connecting { attempt, .. } => Some(*attempt),
            _ => None,
        });
        assert_eq!(attempts.collect::<Vec<_>>(), [1, 2, 3, 4, 5]);
    });
}

#[test]
fn a_client_heeds_what_the_server_says_about_coming_again() {
    for_each_seed(|seed| {
        let mut world = World::new(seed, config());
        stay(&mut world, ReconnectConfig::default());
        world.run_until(|world| world.server.handler.established.len() == 1);
        let later = CloseFrame::from(CloseReason::GOING_AWAY).with_retry(Retry::After(Duration::from_secs(60)));
        world.server.mailbox(world.server.only()).close(later);
        world.run_until(|world| world.client.handler.closed.len() == 1);
        let before = world.now();
        world.run_until(|world| world.client.handler.established.len() == 2);
        assert!(world.now() - before >= Duration::from_secs(60));
        let never = CloseFrame::from(CloseReason::REFUSED).with_retry(Retry::Never);
        world.run_until(|world| world.server.handler.established.len() == 2);
        world.server.mailbox(world.server.only()).close(never);
        let gave_up = OverReason::GivenUp(GiveUp::Refused { reason: CloseReason::REFUSED });
        world.run_until(|world| {
            matches!(world.client.handler.clients.last(), Some((_, ClientEvent::Over(reason))) if *reason == gave_up)
        });
    });
}

#[test]
fn an_endpoint_that_ends_takes_its_clients_along() {
    for_each_seed(|seed| {
        let mut world = World::new(seed, config());
        let connected = stay(&mut world, ReconnectConfig::default());
        world.run_until(|world| world.client.handler.established.len() == 1);
        world.address.set_port(9);
        let waiting = stay(&mut world, ReconnectConfig::default());
        world.run_until(|world| {
            matches!(world.client.handler.clients.last(), Some((id, ClientEvent::Waiting { .. })) if *id == waiting)
        });
        let patience = Duration::from_secs(30);
        world.client.inbox.push(Command::ShutDown { drain: Duration::ZERO, patience });
        world.run_until(|world| world.client.outcome().is_some());
        let over = ClientEvent::Over(OverReason::Closed { reason: CloseReason::GOING_AWAY });
        assert_eq!(
            world.client.handler.clients[world.client.handler.clients.len() - 2..],
            [(waiting, over), (connected, over)]
        );
        world.client.assert_empty();
    });
}

fn joining(seed: u64, up_to: usize) -> (World, ConnectionId) {
    let (mut world, client, _) = World::connected(seed, config());
    world.network.move_bytes_whole();
    world.run_for(Duration::from_millis(10));
    world.client.options.joining = Joining::Coalesce { within: Duration::from_millis(5), up_to };
    (world, client)
}

#[test]
fn what_threads_send_waits_for_more_but_not_long() {
    for_each_seed(|seed| {
        let (mut world, client) = joining(seed, 10_000);
        let before = world.now();
        let sends = world.client.handler.messages.len();
        for number in 0..5_u8 {
            world.client.send(client, [number]).unwrap();
            world.run_for(Duration::from_millis(1));
            assert!(number == 4 || world.server.handler.messages.is_empty(), "{number} {sends}");
        }
        world.run_until(|world| world.server.handler.messages.len() == 5);
        assert_eq!(world.now() - before, Duration::from_millis(5));
    });
}

#[test]
fn much_waits_for_nothing_and_neither_does_an_answer() {
    for_each_seed(|seed| {
        let (mut world, client) = joining(seed, 1_000);
        let before = world.now();
        world.client.send(client, [7; 900]).unwrap();
        world.client.send(client, [7; 900]).unwrap();
        world.run_until(|world| world.server.handler.messages.len() == 2);
        assert_eq!(world.now(), before);
        // What waits goes out with the answer.
        world.client.handler.echoes = true;
        world.client.send(client, *b"waits").unwrap();
        let server = world.server.only();
        world.server.send(server, *b"question").unwrap();
        world.run_until(|world| world.server.handler.messages.len() == 4);
        assert_eq!(world.now(), before);
    });
}
