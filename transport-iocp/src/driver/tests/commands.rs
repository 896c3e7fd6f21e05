//! Other threads command at any moment, and wait for a turn at most.

use super::*;
use pulsewire_protocol::Statistics;
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::mpsc::Receiver;

/// A command that was given, when, and its answer to come.
type Asked = (Duration, Receiver<io::Result<Option<Statistics>>>);

/// Has somebody ask for the statistics of `id` during some of the waits.
fn keep_asking(world: &World, id: ConnectionId, mut random: Random) -> Rc<RefCell<Vec<Asked>>> {
    let asked = Rc::new(RefCell::new(Vec::new()));
    let (inbox, list) = (Arc::clone(&world.client.inbox), Rc::clone(&asked));
    world.network.meanwhile(move |now| {
        if random.up_to(4) > 1 {
            return;
        }
        let (answer, answered) = sync_channel(1);
        inbox.push(Command::Statistics { id, answer });
        list.borrow_mut().push((now, answered));
    });
    asked
}

#[test]
fn a_command_that_comes_within_a_turn_waits_for_the_next_one_at_most() {
    for_each_seed(|seed| {
        let (mut world, client, _) = World::connected(seed, config());
        let asked = keep_asking(&world, client, Random::new(!seed));
        let end = world.now() + Duration::from_secs(5);
        while world.now() < end {
            world.server.turn(Some(Duration::ZERO)).unwrap();
            let wait = Some(world.client.timeout().min(world.server.timeout()));
            // Asked before this turn, and so answered in it.
            let before = asked.borrow().len();
            world.client.turn(wait).unwrap();
            let now = world.now();
            let mut asked = asked.borrow_mut();
            let mut number = 0;
            asked.retain(|(when, answered)| {
                number += 1;
                let answered = answered.try_recv().is_ok();
                assert!(answered || number > before, "asked at {when:?}, not answered by {now:?}");
                assert!(!answered || *when == now, "asked at {when:?}, answered at {now:?}");
                !answered
            });
        }
    });
}

/// Each side's handler passes on what it gets on one connection by the handle of another one.
#[test]
fn what_a_handler_sends_on_another_connection_leaves_at_once() {
    for_each_seed(|seed| {
        let (mut world, first, _) = World::connected(seed, config());
        let second = world.connect();
        let theirs = world.server.directory.ids();
        let relays = theirs.into_iter().map(|id| (id, Sender::new(world.server.mailbox(id)))).collect();
        world.server.handler.relays = relays;
        for round in 0..30 {
            world.client.send(first, pattern(round)).unwrap();
            (0..10).for_each(|_| world.client.turn(Some(Duration::ZERO)).unwrap());
            // The message lies there when a deadline of the server is due, which makes it look again and again.
            let due = world.now() + world.server.timeout();
            while world.now() < due {
                let left = due - world.now();
                world.client.turn(Some(left)).unwrap();
            }
            world.run_until(|world| world.client.handler.messages.len() > round);
            assert_eq!(world.now(), due, "nothing had to wait");
            assert_eq!(world.client.handler.messages[round].0, second);
        }
    });
}

#[test]
fn a_waker_without_memory_delays_a_command_by_a_second_at_most() {
    let mut config = config();
    config.heartbeat.idle = Duration::from_secs(3_600);
    let (mut world, client, _) = World::connected(1, config);
    world.run_for(Duration::from_secs(10));
    world.network.fail_wakes(true);
    let (answer, answered) = sync_channel(1);
    let before = world.now();
    world.client.inbox.push(Command::Statistics { id: client, answer });
    for _ in 0..10 {
        let wait = Some(world.client.timeout());
        world.client.turn(wait).unwrap();
        if answered.try_recv().is_ok() {
            return assert!(world.now() - before <= Duration::from_secs(1));
        }
    }
    panic!("nobody looked");
}
