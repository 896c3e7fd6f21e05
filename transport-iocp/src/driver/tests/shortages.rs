//! This host runs out of memory, and the system gives calls every error that there is.

use super::*;
use crate::fake_port::{CALL_ERRORS, OPERATION_ERRORS, Stuck, Troubles};
use pulsewire_protocol::Origin;

pub(super) fn codes(codes: &[u32]) -> Vec<SystemError> {
    codes.iter().copied().map(SystemError::from_code).collect()
}

/// `WSAENOBUFS`, `ERROR_NO_SYSTEM_RESOURCES`, `ERROR_NOT_ENOUGH_MEMORY`.
fn shortages(one_in: usize) -> Troubles {
    let short = codes(&[10055, 1450, 8]);
    Troubles { calls: short.clone(), operations: Vec::new(), waits: short, one_in }
}

#[test]
fn a_shortage_that_passes_ends_no_connection_and_loses_nothing() {
    for_each_seed(|seed| {
        let (mut world, client, server) = World::connected(seed, config());
        world.network.make_trouble(Some(shortages(3)));
        let mut sent = 0;
        for round in 0..40 {
            sent += usize::from(world.client.send(client, pattern(round * 100)).is_ok());
            sent += usize::from(world.server.send(server, pattern(round * 100)).is_ok());
            world.run_for(Duration::from_millis(20));
        }
        let received = |world: &World| world.client.handler.messages.len() + world.server.handler.messages.len();
        world.network.make_trouble(None);
        world.run_until(|world| received(world) == sent);
        assert!(world.client.handler.closed.is_empty() && world.server.handler.closed.is_empty());
    });
}

/// Not even the heartbeat says that it was the peer or the network.
#[test]
fn a_shortage_that_lasts_is_reported_as_this_sides() {
    for_each_seed(|seed| {
        let (mut world, client, server) = World::connected(seed, config());
        world.network.make_trouble(Some(Troubles { waits: Vec::new(), ..shortages(1) }));
        let before = world.now();
        world.client.send(client, *b"x").unwrap();
        world.server.send(server, *b"x").unwrap();
        let ended = |side: &Side| !side.handler.closed.is_empty();
        world.run_until(|world| ended(&world.client) || ended(&world.server));
        assert!((5..=8).contains(&(world.now() - before).as_secs()), "{:?}", world.now() - before);
        // The other one may see the end of the stream by then.
        let first = if ended(&world.client) { world.client.closed(client) } else { world.server.closed(server) };
        assert_eq!((first.reason, first.origin), (CloseReason::ABORTED, Origin::Local), "{first}");
        assert!(["system error 10055", "system error 1450", "system error 8"].contains(&&*first.detail), "{first}");
        world.network.make_trouble(None);
        world.run_until_all_closed();
    });
}

#[test]
fn a_port_that_cannot_wait_for_lack_of_memory_is_asked_again() {
    for_each_seed(|seed| {
        let (mut world, _, _) = World::connected(seed, config());
        world.network.make_trouble(Some(Troubles { calls: Vec::new(), ..shortages(2) }));
        world.run_for(Duration::from_secs(10));
        assert!(world.client.handler.closed.is_empty() && world.server.handler.closed.is_empty());
    });
}

#[test]
fn a_port_that_is_broken_ends_the_driver_in_order() {
    let (world, client, _) = World::connected(1, config());
    let mailbox = world.client.mailbox(client);
    let broken = Troubles { calls: Vec::new(), operations: Vec::new(), waits: codes(&[6]), one_in: 1 };
    world.network.make_trouble(Some(broken));
    assert_eq!(world.client.run().cut, 1);
    assert_eq!(mailbox.send(message(*b"x")).unwrap_err().reason, SendRefused::Stale);
}

/// Whatever calls and operations fail with: every operation comes back once, every connection ends once, nothing is left.
#[test]
fn no_error_of_any_call_leaves_anything_behind() {
    for_each_seed(|seed| {
        let (mut world, mut random) = (World::new(seed, config()), Random::new(!seed));
        let calls = codes(&CALL_ERRORS);
        let operations = OPERATION_ERRORS.map(|(status, code)| SystemError::from_status(status, code)).to_vec();
        world.network.make_trouble(Some(Troubles { calls, operations, waits: codes(&[10055]), one_in: 30 }));
        for _ in 0..60 {
            world.try_to_connect();
            for id in world.client.directory.ids() {
                let _may_be_over = world.client.send(id, pattern(random.up_to(5_000)));
            }
            world.run_for(Duration::from_millis(random.up_to(50) as u64));
        }
        for side in world.sides() {
            side.inbox.push(Command::ShutDown { drain: Duration::ZERO, patience: Duration::from_secs(60) });
        }
        world.run_until(|world| world.client.in_order().is_some() && world.server.in_order().is_some());
        world.client.assert_empty();
        world.server.assert_empty();
    });
}

/// The peer learns of the end though an operation holds on to the socket.
#[test]
fn an_operation_that_does_not_come_back_holds_no_socket_for_ever() {
    for_each_seed(|seed| {
        let (mut world, client, server) = World::connected(seed, config());
        world.network.hold_cancelled(Stuck::UntilClosed);
        let before = world.now();
        world.client.mailbox(client).abort();
        world.run_until(|world| world.server.handler.closed.iter().any(|(closed, _)| *closed == server));
        let took = world.now() - before;
        assert!((Duration::from_secs(1)..=Duration::from_secs(2)).contains(&took), "{took:?}");
        world.run_until_all_closed();
    });
}

#[test]
fn operations_that_never_come_back_delay_a_shutdown_by_less_than_a_second() {
    for_each_seed(|seed| {
        let (mut world, client, _) = World::connected(seed, config());
        world.network.hold_cancelled(Stuck::ForEver);
        world.client.send(client, pattern(100_000)).unwrap();
        let before = world.now();
        for side in world.sides() {
            side.inbox.push(Command::ShutDown { drain: Duration::ZERO, patience: Duration::from_secs(1) });
        }
        world.run_until(|world| world.client.in_order().is_some() && world.server.in_order().is_some());
        assert_eq!((world.client.in_order(), world.server.in_order()), (Some(false), Some(false)));
        // Whoever asked for it waits for a second beyond the patience.
        assert!(world.now() - before < Duration::from_secs(2), "{:?}", world.now() - before);
    });
}

/// Nobody goes on telling a peer to wait once what had been lacking is there, whether or not the peer has anything to say.
#[test]
fn a_shortage_is_over_when_what_could_not_be_started_is() {
    for_each_seed(|seed| {
        let (mut world, client, server) = World::connected(seed, config());
        world.network.move_bytes_whole();
        for round in 1..=10 {
            world.client.send(client, *b"x").unwrap();
            world.run_until(|world| world.server.handler.messages.len() == round);
        }
        world.client.send(client, *b"x").unwrap();
        (0..20).for_each(|_| world.client.turn(Some(Duration::ZERO)).unwrap());
        // It gets what has come, and can't post another receive.
        world.network.make_trouble(Some(Troubles { waits: Vec::new(), ..shortages(1) }));
        (0..20).for_each(|_| world.server.turn(Some(Duration::ZERO)).unwrap());
        let paused = |world: &World| world.server.table.get(server).expect("alive").is_paused();
        assert!(paused(&world));
        world.network.make_trouble(None);
        world.run_for(Duration::from_millis(100));
        assert!(!paused(&world));
    });
}
