//! Several sends of one connection that are pending at the same time.

use super::*;
use crate::fake_port::Troubles;
use std::cell::Cell;

const AHEAD: u32 = 4_000;

/// Two sides that send ahead, the one or the other also what is done at once.
fn world(seed: u64) -> World {
    let network = FakeNetwork::new(seed);
    let options = SocketOptions {
        send_ahead: AHEAD,
        largest_send: 1_024,
        skip_on_success: NonZeroU32::new((seed % 3) as u32),
        ..SocketOptions::default()
    };
    let client = side(&network, 1, config(), options);
    let mut server = side(&network, 2, config(), options);
    server.handler.echoes = true;
    let address = server.listen(ANYWHERE).unwrap();
    World { network, client, server, address }
}

fn sizes(seed: u64) -> Vec<usize> {
    let mut random = Random::new(!seed);
    // Some are larger than what is sent at once, and some of those in buffers of their own.
    (0..60).map(|_| random.up_to(5_000)).collect()
}

#[test]
fn all_arrives_in_order_and_several_are_pending() {
    let most = Cell::new(0);
    for_each_seed(|seed| {
        let mut world = world(seed);
        let id = world.connect();
        let sizes = sizes(seed);
        for &size in &sizes {
            world.client.send(id, pattern(size)).unwrap();
        }
        world.run_until(|world| {
            most.set(most.get().max(world.client.io.port.pending_sends()));
            world.client.handler.messages.len() == sizes.len()
        });
        for ((_, message), size) in world.client.handler.messages.iter().zip(&sizes) {
            assert!(message.payload[..] == pattern(*size)[..]);
        }
        world.client.mailbox(id).close(CloseReason::NORMAL);
        world.run_until_all_closed();
        assert!(world.client.closed(id).unsent.is_empty());
    });
    // Below the threshold there may be one more, of the largest size.
    assert!((2..=AHEAD as usize / 500 + 1).contains(&most.get()), "{} pending", most.get());
}

/// What could not be started goes out before what comes behind it.
#[test]
fn a_shortage_changes_no_order() {
    for_each_seed(|seed| {
        let mut world = world(seed);
        let id = world.connect();
        let shortage = SystemError::from_code(10055);
        let troubles = Troubles { calls: vec![shortage], operations: vec![], waits: vec![], one_in: 5 };
        world.network.make_trouble(Some(troubles));
        let sizes = sizes(seed);
        for &size in &sizes {
            world.client.send(id, pattern(size)).unwrap();
        }
        world.run_until(|world| world.client.handler.messages.len() == sizes.len());
        for ((_, message), size) in world.client.handler.messages.iter().zip(&sizes) {
            assert!(message.payload[..] == pattern(*size)[..]);
        }
        world.network.make_trouble(None);
        world.client.mailbox(id).close(CloseReason::NORMAL);
        world.run_until_all_closed();
    });
}

#[test]
fn an_end_takes_all_of_them_along() {
    for_each_seed(|seed| {
        let mut world = world(seed);
        let id = world.connect();
        for _ in 0..60 {
            world.client.send(id, pattern(1_000)).unwrap();
        }
        // The server reads nothing meanwhile.
        for _ in 0..20 {
            world.client.turn(Some(Duration::ZERO)).unwrap();
        }
        assert!(world.client.io.port.pending_sends() > 1);
        match seed % 3 {
            0 => world.client.with_socket(id, |socket| world.network.reset(socket)),
            1 => drop(world.client.mailbox(id).abort()),
            _ => world.client.with_socket(id, |socket| world.network.fail_sends(socket, SystemError::SEM_TIMEOUT)),
        }
        world.run_until_all_closed();
        let unsent = world.client.closed(id).unsent.len();
        assert!(unsent > 0 && unsent < 60, "{unsent} came back");
    });
}
