//! Shutting down: in order, out of patience, and by dropping.

use super::*;

impl World {
    /// Until the client's side has stopped. Returns whether in order.
    fn run_until_client_stopped(&mut self) -> bool {
        self.run_until(|world| world.client.in_order().is_some());
        self.client.in_order().unwrap()
    }
}

#[test]
fn a_shutdown_loses_nothing_and_every_operation_comes_back() {
    for_each_seed(|seed| {
        let mut world = World::new(seed, config());
        let ids: Vec<_> = (0..5).map(|_| world.connect()).collect();
        for (index, &id) in ids.iter().enumerate() {
            for number in 0..10 {
                world.client.send(id, pattern(index * 1_000 + number)).unwrap();
            }
        }
        world.client.inbox.push(Command::ShutDown { drain: Duration::ZERO, patience: Duration::from_secs(30) });
        assert!(world.run_until_client_stopped());
        world.client.assert_empty();
        assert_eq!(world.server.handler.messages.len(), 50);
        for &id in &ids {
            let closed = world.client.closed(id);
            assert_eq!((closed.reason, closed.orderly), (CloseReason::GOING_AWAY, true));
            assert_eq!((closed.acknowledged, closed.unsent.len()), (Some(10), 0));
        }
        world.run_until_all_closed();
    });
}

#[test]
fn a_server_that_stops_takes_no_new_connections() {
    for_each_seed(|seed| {
        let mut world = World::new(seed, config());
        world.connect();
        world.server.inbox.push(Command::ShutDown { drain: Duration::ZERO, patience: Duration::from_secs(30) });
        world.run_until(|world| world.server.in_order().is_some());
        assert_eq!(world.server.in_order(), Some(true));
        world.server.assert_empty();
        let late = world.begin_to_connect(world.address);
        world.run_until_all_closed();
        assert_eq!(world.client.closed(late).reason, CloseReason::RESET);
        let (answer, answered) = sync_channel(1);
        world.server.inbox.push(Command::Listen { address: ANYWHERE, answer });
        world.server.turn(Some(Duration::ZERO)).unwrap();
        assert!(answered.try_recv().unwrap().is_err());
    });
}

#[test]
fn a_peer_that_does_not_answer_is_cut_when_patience_ends() {
    for_each_seed(|seed| {
        let mut world = World::new(seed, config());
        let id = world.connect();
        // A second one that is still connecting.
        let nobody = SocketAddr::new(ANYWHERE.ip(), 9);
        world.network.make_unreachable(nobody);
        let connecting = world.begin_to_connect(nobody);
        world.client.send(id, pattern(100_000)).unwrap();
        let before = world.now();
        world.client.inbox.push(Command::ShutDown { drain: Duration::ZERO, patience: Duration::from_millis(500) });
        // The server takes no turns.
        for _ in 0..PATIENCE {
            if world.client.in_order().is_some() {
                break;
            }
            let wait = Some(world.client.timeout());
            world.client.turn(wait).unwrap();
        }
        assert_eq!(world.client.in_order(), Some(false));
        world.client.assert_empty();
        assert_eq!(world.now() - before, Duration::from_millis(500));
        assert_eq!(world.client.closed(id).reason, CloseReason::ABORTED);
        assert_eq!(world.client.closed(connecting).reason, CloseReason::GOING_AWAY);
    });
}

/// Above all is the patience of who stops the endpoint.
#[test]
fn a_farewell_is_cut_when_patience_ends() {
    for_each_seed(|seed| {
        let mut world = World::new(seed, config());
        let mut stranger = world.network.port::<Transmit>();
        let socket = stranger.connect(world.address, Token { slot: 0, cookie: std::num::NonZeroU64::MIN }).unwrap();
        stranger.wait(Some(Duration::ZERO), &mut Vec::new()).unwrap();
        // It says nothing, so it is refused, and neither reads nor ends.
        world.run_until(|world| !world.server.handler.closed.is_empty());
        let before = world.now();
        world.server.inbox.push(Command::ShutDown { drain: Duration::ZERO, patience: Duration::from_millis(500) });
        world.run_until(|world| world.server.in_order().is_some());
        assert_eq!(world.server.in_order(), Some(false));
        world.server.assert_empty();
        assert_eq!(world.now() - before, Duration::from_millis(500));
        drop(socket);
    });
}

#[test]
fn a_shutdown_without_patience_cuts_at_once() {
    for_each_seed(|seed| {
        let (mut world, id, _) = World::connected(seed, config());
        let before = world.now();
        world.client.inbox.push(Command::ShutDown { drain: Duration::ZERO, patience: Duration::ZERO });
        assert!(!world.run_until_client_stopped());
        world.client.assert_empty();
        assert_eq!((world.now(), world.client.closed(id).reason), (before, CloseReason::ABORTED));
    });
}

#[test]
fn a_driver_that_is_dropped_leaves_nobody_waiting() {
    let (mut world, id, _) = World::connected(1, config());
    let mailbox = world.client.mailbox(id);
    let (inbox, directory) = (Arc::clone(&world.client.inbox), Arc::clone(&world.client.directory));
    world.client = side(&world.network, 3, config(), SocketOptions::default());
    assert_eq!(mailbox.send(message(*b"x")).unwrap_err().reason, SendRefused::Stale);
    assert!(directory.ids().is_empty());
    let (answer, answered) = sync_channel(1);
    inbox.push(Command::Listen { address: ANYWHERE, answer });
    assert!(answered.try_recv().is_err(), "the answer was dropped, so nobody waits for it");
}
