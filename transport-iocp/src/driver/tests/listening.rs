//! Accepting, and what goes wrong there.

use super::*;
use pulsewire_socket::Keepalive;
use std::num::NonZeroU64;

/// `WSAEMFILE`: no more sockets.
const EXHAUSTED: SystemError = SystemError::from_code(10024);

#[test]
fn failing_accepts_are_retried_without_spinning_and_recover() {
    for_each_seed(|seed| {
        let mut world = World::new(seed, config());
        // Those pending since before fail, too.
        world.network.fail_accepts(Some(EXHAUSTED));
        let before = world.delivered();
        world.run_for(Duration::from_secs(60));
        let attempts = world.delivered() - before;
        assert!((60..=8 * 70).contains(&attempts), "{attempts} in a minute");
        world.network.fail_accepts(None);
        world.connect();
    });
}

#[test]
fn a_client_that_was_gone_before_it_was_accepted_delays_nobody() {
    for_each_seed(|seed| {
        let mut world = World::new(seed, config());
        let mut stranger = world.network.port::<Transmit>();
        for _ in 0..20 {
            let socket = stranger.connect(world.address, Token { slot: 0, cookie: NonZeroU64::MIN }).unwrap();
            stranger.wait(Some(Duration::ZERO), &mut Vec::new()).unwrap();
            world.network.reset(&socket);
        }
        let before = world.now();
        world.connect();
        assert_eq!(world.now(), before);
        assert!(world.server.acceptors.iter().all(|acceptor| acceptor.deadline().is_none()));
    });
}

#[test]
fn an_address_in_use_is_an_error_of_the_caller() {
    let mut world = World::new(1, config());
    let (answer, answered) = sync_channel(1);
    world.server.inbox.push(Command::Listen { address: world.address, answer });
    world.server.turn(Some(Duration::ZERO)).unwrap();
    assert_eq!(answered.try_recv().unwrap().unwrap_err().raw_os_error(), Some(10048));
}

#[test]
fn one_driver_listens_at_several_addresses() {
    let mut world = World::new(1, config());
    let (answer, answered) = sync_channel(1);
    world.server.inbox.push(Command::Listen { address: ANYWHERE, answer });
    world.server.turn(Some(Duration::ZERO)).unwrap();
    let second = answered.try_recv().unwrap().unwrap();
    assert_ne!(second, world.address);
    world.connect();
    world.address = second;
    world.connect();
    assert_eq!(world.server.directory.ids().len(), 2);
}

#[test]
fn socket_options_are_set_on_connections_of_both_kinds() {
    let keepalive = Keepalive::new(Duration::from_secs(5), Duration::from_secs(1), 3).unwrap();
    let network = FakeNetwork::new(1);
    let options = SocketOptions { keepalive: Some(keepalive), ..SocketOptions::default() };
    let mut both = side(&network, 1, config(), options);
    let (answer, answered) = sync_channel(1);
    both.inbox.push(Command::Listen { address: ANYWHERE, answer });
    both.turn(Some(Duration::ZERO)).unwrap();
    let remote = answered.try_recv().unwrap().unwrap();
    let (answer, _answered) = sync_channel(1);
    both.inbox.push(Command::Connect { remote, answer });
    for _ in 0..PATIENCE {
        if both.handler.established.len() == 2 {
            break;
        }
        both.turn(Some(Duration::ZERO)).unwrap();
    }
    assert_eq!(network.options_set(), vec![options; 2]);
}

/// Again and again, which leaves nothing behind.
#[test]
fn one_listener_of_several_is_ended_and_its_connections_go_on() {
    for_each_seed(|seed| {
        let (mut world, client, _) = World::connected(seed, config());
        let first = world.address;
        for _ in 0..10 {
            let second = world.server.listen(ANYWHERE).unwrap();
            world.address = second;
            world.connect();
            let stopped = [true, false].map(|_| {
                let (answer, answered) = sync_channel(1);
                world.server.inbox.push(Command::StopListening { address: second, answer });
                world.server.turn(Some(Duration::ZERO)).unwrap();
                answered.try_recv().unwrap().unwrap()
            });
            assert_eq!(stopped, [true, false]);
            world.run_for(Duration::from_millis(10));
            let late = world.begin_to_connect(second);
            world.run_until(|world| !world.client.handler.closed.is_empty());
            assert_eq!(world.client.closed(late).reason, CloseReason::RESET);
            world.client.handler.closed.clear();
        }
        assert_eq!(world.server.acceptors.len(), 2);
        world.address = first;
        world.connect();
        world.client.send(client, *b"still there").unwrap();
        world.run_until(|world| !world.server.handler.messages.is_empty());
        assert_eq!(world.server.directory.ids().len(), 12);
    });
}

/// Whatever the system says of a connection that broke before it was accepted.
#[test]
fn connections_that_break_before_they_are_accepted_delay_nobody() {
    for_each_seed(|seed| {
        let codes = [59, 64, 121, 1236, 10053, 10054, 10057];
        let mut world = World::new(seed, config());
        world.network.break_accepted(&codes.map(SystemError::from_code));
        let broken: Vec<_> = codes.iter().map(|_| world.begin_to_connect(world.address)).collect();
        world.run_until(|world| world.client.handler.closed.len() == broken.len());
        let before = world.now();
        world.connect();
        assert_eq!(world.now(), before);
        assert_eq!(world.server.statistics().accept_failures, codes.len() as u64);
        assert!(world.server.acceptors.iter().all(|acceptor| acceptor.deadline().is_none()));
    });
}

#[test]
fn as_many_accepts_are_pending_as_clients_come() {
    let mut world = World::new(1, config());
    world.network.move_bytes_whole();
    let pending = |world: &World| world.server.acceptors[0].pending();
    assert_eq!(pending(&world), 8);
    let mut stranger = world.network.port::<Transmit>();
    let mut come = |world: &mut World, count: usize| {
        let before = world.server.statistics().accepted;
        let token = Token { slot: 0, cookie: NonZeroU64::MIN };
        let sockets: Vec<_> = (0..count).map(|_| stranger.connect(world.address, token).unwrap()).collect();
        while stranger.outstanding() > 0 {
            stranger.wait(Some(Duration::ZERO), &mut Vec::new()).unwrap();
        }
        world.run_until(|world| world.server.statistics().accepted == before + count as u64);
        drop(sockets);
    };
    come(&mut world, 900);
    let many = pending(&world);
    assert!((32..=256).contains(&many), "{many}");
    for _ in 0..400 {
        come(&mut world, 1);
        world.run_for(Duration::from_secs(2));
    }
    assert_eq!(pending(&world), 8);
}
