//! Accepting, and what goes wrong there.

use super::*;
use crate::keepalive::Keepalive;
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
    let keepalive = Keepalive { idle: Duration::from_secs(5), interval: Duration::from_secs(1), probes: Some(3) };
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
