//! One connection's trouble is no other's: panics, refusals, last words.

use super::*;
use crate::fake_port::Troubles;
use std::sync::atomic::{AtomicBool, Ordering};

#[test]
fn a_handler_that_panics_costs_the_connection_that_it_was_called_for() {
    for_each_seed(|seed| {
        let (mut world, cut, theirs) = World::connected(seed, config());
        let other = world.connect();
        world.server.handler.panics = true;
        world.client.send(cut, *b"x").unwrap();
        world.run_until(|world| !world.server.handler.closed.is_empty() && !world.client.handler.closed.is_empty());
        world.server.handler.panics = false;
        assert_eq!(world.server.closed(theirs).reason, CloseReason::ABORTED);
        world.client.send(other, *b"y").unwrap();
        world.run_until(|world| world.server.handler.messages.len() == 1);
    });
}

/// A server for few connections.
fn narrow(seed: u64, limits: ServerLimits) -> World {
    let mut world = World::new(seed, config());
    world.server.limit(limits);
    world
}

#[test]
fn a_client_for_whom_there_is_no_room_is_told_so_and_the_handler_is_not() {
    for_each_seed(|seed| {
        let mut world = narrow(seed, ServerLimits { connections: 2, ..ServerLimits::default() });
        let first = world.connect();
        world.connect();
        let refused: Vec<_> = (0..5).map(|_| world.begin_to_connect(world.address)).collect();
        world.run_until(|world| world.client.handler.closed.len() == refused.len());
        for id in refused {
            assert_eq!(world.client.closed(id).reason, CloseReason::OVERLOADED);
        }
        assert!(world.server.handler.closed.is_empty() && world.server.handler.established.len() == 2);
        assert_eq!(world.server.directory.ids().len(), 2);
        world.client.mailbox(first).close(CloseReason::NORMAL);
        // Its socket counts until it is closed.
        world.run_until(|world| world.server.statistics().occupancy.connections == 1);
        world.connect();
    });
}

#[test]
fn a_side_without_room_does_not_connect() {
    let mut world = World::new(1, config());
    world.client.limit(ServerLimits { connections: 1, ..ServerLimits::default() });
    world.connect();
    assert_eq!(world.client.connect(world.address).unwrap_err().kind(), io::ErrorKind::QuotaExceeded);
}

/// What the peer said before it left is read, though a send found out first that it is gone.
#[test]
fn a_send_that_fails_hides_no_last_words() {
    for_each_seed(|seed| {
        let (mut world, client, server) = World::connected(seed, config());
        let mut random = Random::new(!seed);
        // Its words are on the way, and the client has not looked.
        let said = 1 + random.up_to(5);
        for _ in 0..said {
            world.server.send(server, *b"last words").unwrap();
        }
        (0..30).for_each(|_| world.server.turn(Some(Duration::ZERO)).unwrap());
        world.client.send(client, *b"x").unwrap();
        world.client.with_socket(client, |socket| world.network.fail_sends(socket, SystemError::from_code(10053)));
        world.run_until(|world| !world.client.handler.closed.is_empty());
        assert_eq!(world.client.handler.messages.len(), said);
        let closed = world.client.closed(client);
        assert_eq!((closed.reason, &*closed.detail), (CloseReason::NETWORK_LOST, "system error 10053"));
    });
}

#[test]
fn a_flood_of_failures_to_accept_is_no_flood_of_work() {
    let mut world = World::new(1, config());
    let short = vec![SystemError::from_code(10055)];
    world.network.make_trouble(Some(Troubles { calls: short, operations: vec![], waits: vec![], one_in: 1 }));
    let before = world.delivered();
    world.run_for(Duration::from_secs(60));
    assert!(world.delivered() - before <= 8 * 70);
    world.network.make_trouble(None);
    world.connect();
}

/// A handler that can't be asked any more, as one whose lock was poisoned.
#[derive(Default)]
struct Poisoned(Arc<AtomicBool>);

impl Handler for Poisoned {
    fn event(&mut self, _connection: &mut Context<'_>, _event: Event<'_>) {}

    fn unsent(&mut self, _connection: &mut Context<'_>, _refused: SendError<'static>) {}

    fn has_room(&self) -> bool {
        assert!(!self.0.load(Ordering::Relaxed), "on purpose");
        true
    }
}

#[test]
fn a_handler_that_panics_when_asked_for_room_costs_nobody_but_who_comes() {
    let network = FakeNetwork::new(1);
    let mut client = side(&network, 1, config(), SocketOptions::default());
    let handler = Poisoned::default();
    let poison = Arc::clone(&handler.0);
    let options = SocketOptions::default();
    let mut server = limited(network.port(), 2, config(), options, ServerConfig::default(), handler);
    let address = server.listen(ANYWHERE).unwrap();
    server.post_accepts();
    let mut turns = |client: &mut Side| {
        for _ in 0..300 {
            client.turn(Some(Duration::ZERO)).unwrap();
            server.turn(Some(Duration::ZERO)).unwrap();
        }
        server.statistics()
    };
    let innocent = client.connect(address).unwrap();
    turns(&mut client);
    poison.store(true, Ordering::Relaxed);
    let refused = client.connect(address).unwrap();
    let statistics = turns(&mut client);
    assert_eq!((statistics.panics, statistics.refused_by_handler, statistics.connections), (1, 1, 1));
    assert_eq!(client.closed(refused).reason, CloseReason::OVERLOADED);
    assert!(client.table.get(innocent).is_some());
}
