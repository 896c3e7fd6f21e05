//! What is done at once comes back without the queue of the port.

use super::*;

const BUDGET: u32 = 4;

fn skipping() -> SocketOptions {
    SocketOptions { skip_on_success: NonZeroU32::new(BUDGET), ..SocketOptions::default() }
}

fn world(seed: u64) -> World {
    let mut world = World::new(seed, config());
    (world.client.options, world.server.options) = (skipping(), skipping());
    world.server.handler.echoes = true;
    world
}

#[test]
fn all_arrives_in_order_and_nothing_is_left() {
    for_each_seed(|seed| {
        let mut world = world(seed);
        let id = world.connect();
        let mut random = Random::new(!seed);
        let sizes: Vec<_> = (0..40).map(|_| random.up_to(3_000)).collect();
        for &size in &sizes {
            world.client.send(id, pattern(size)).unwrap();
        }
        world.run_until(|world| world.client.handler.messages.len() == sizes.len());
        let got = world.client.handler.messages.iter().map(|(_, message)| message.payload.len());
        assert!(got.eq(sizes));
        world.client.mailbox(id).close(CloseReason::NORMAL);
        world.run_until_all_closed();
    });
}

/// However much there is for one connection, a turn handles no more of it than what had come by then and the budget.
#[test]
fn a_turn_ends_though_more_is_done_at_once() {
    for_each_seed(|seed| {
        let mut world = world(seed);
        let id = world.connect();
        for _ in 0..200 {
            world.client.send(id, pattern(1_000)).unwrap();
        }
        let mut most = 0;
        for _ in 0..500 {
            for side in world.sides() {
                let before = side.io.port.delivered();
                side.turn(Some(Duration::ZERO)).unwrap();
                most = most.max(side.io.port.delivered() - before);
            }
        }
        // A receive and a send that had come back, and what was received where there was something to receive.
        assert!(most > 3, "nothing was done at once");
        assert!(most <= 3 + 2 * BUDGET as usize, "{most} operations in one turn");
    });
}

/// The number of calls for a message that is echoed, with and without.
#[test]
fn it_saves_calls_and_where_it_is_not_offered_all_is_as_without() {
    let calls = |options: SocketOptions, offered: bool| {
        let mut world = World::new(7, config());
        if !offered {
            world.network.layer_a_provider();
        }
        (world.client.options, world.server.options) = (options, options);
        world.server.handler.echoes = true;
        let id = world.connect();
        world.network.move_bytes_whole();
        let before = world.server.io.port.calls();
        for count in 1..=100 {
            world.client.send(id, [7; 32]).unwrap();
            while world.client.handler.messages.len() < count || world.server.io.port.is_ready() {
                world.client.turn(Some(Duration::ZERO)).unwrap();
                if world.server.io.port.is_ready() {
                    world.server.turn(Some(Duration::ZERO)).unwrap();
                }
            }
        }
        world.server.io.port.calls() - before
    };
    let without = calls(SocketOptions::default(), true);
    assert_eq!(calls(skipping(), false), without);
    let with = calls(skipping(), true);
    assert!(with < without, "{with} calls with it, {without} without");
}
