//! What a message costs, in numbers that need no clock: calls of the port, and allocations.

use super::*;
use crate::fake_port::allocations;

/// Messages of 32 bytes that are echoed, so many at a time. Gives the calls of the server's port and its allocations for each
/// time.
fn cost(depth: usize) -> (f64, f64) {
    const ROUNDS: usize = 100;
    let (mut world, client, _) = World::connected(1, config());
    world.network.move_bytes_whole();
    world.server.handler.echoes = true;
    let (mut calls, mut taken) = (0, 0);
    for round in 0..2 * ROUNDS {
        // In the first half all gets as large as it becomes.
        if round == ROUNDS {
            (calls, taken) = (world.server.io.port.calls(), 0);
        }
        for _ in 0..depth {
            world.client.send(client, [7; 32]).unwrap();
        }
        while world.client.handler.messages.len() < depth || world.server.io.port.is_ready() {
            world.client.turn(Some(Duration::ZERO)).unwrap();
            // It waits until there is something.
            if world.server.io.port.is_ready() {
                let before = allocations();
                world.server.turn(Some(Duration::ZERO)).unwrap();
                taken += allocations() - before;
            }
        }
        world.client.handler.messages.clear();
    }
    let calls = world.server.io.port.calls() - calls;
    (calls as f64 / ROUNDS as f64, taken as f64 / ROUNDS as f64)
}

/// A wait that finds the message, a send and the next receive; and a wait that finds that it was sent.
const CALLS: f64 = 4.0;

/// The connection's copy of what it sends. (The port of the system takes one for each operation besides.)
const ALLOCATIONS: f64 = 1.0;

#[test]
fn one_message_takes_four_calls_and_one_allocation() {
    assert_eq!(cost(1), (CALLS, ALLOCATIONS));
}

/// The copy grows four times on the way.
#[test]
fn messages_that_come_together_take_as_many_calls_as_one() {
    let (calls, allocations) = cost(64);
    assert!(calls <= CALLS && allocations <= 5.0, "{calls} calls, {allocations} allocations for 64 messages");
}
