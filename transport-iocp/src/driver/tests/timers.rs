//! Calls of a handler that are about no connection.

use super::*;
use crate::poster::Poster;

#[test]
fn a_timer_comes_at_its_time_and_one_that_was_cancelled_does_not() {
    for_each_seed(|seed| {
        let (mut world, _, server) = World::connected(seed, config());
        let before = world.server.now;
        let ms = Duration::from_millis;
        world.server.with_context(server, |context| {
            context.set_timer(ms(300), 3);
            context.set_timer(ms(100), 1);
            let cancelled = context.set_timer(ms(150), 7);
            context.set_timer(ms(100), 2);
            assert!(context.cancel_timer(cancelled) && !context.cancel_timer(cancelled));
        });
        world.run_for(Duration::from_secs(1));
        let expected = [(1, before + ms(100)), (2, before + ms(100)), (3, before + ms(300))];
        assert_eq!(world.server.handler.timers, expected);
    });
}

/// One that is set again and again, for at once, keeps nobody from anything else.
#[test]
fn a_timer_that_is_set_again_waits_for_the_next_turn() {
    let (mut world, client, server) = World::connected(1, config());
    world.server.handler.sets = Some(Duration::ZERO);
    world.server.with_context(server, |context| {
        context.set_timer(Duration::ZERO, 1);
    });
    let before = world.now();
    world.client.send(client, *b"x").unwrap();
    for turns in 1..=100 {
        world.client.turn(Some(Duration::ZERO)).unwrap();
        world.server.turn(Some(Duration::ZERO)).unwrap();
        assert_eq!(world.server.handler.timers.len(), turns);
    }
    assert_eq!((world.server.handler.messages.len(), world.now()), (1, before));
}

#[test]
fn a_panic_in_a_timer_costs_no_connection() {
    let (mut world, client, server) = World::connected(1, config());
    world.server.handler.panics = true;
    world.server.with_context(server, |context| {
        context.set_timer(Duration::ZERO, 1);
    });
    world.run_for(Duration::from_millis(1));
    assert_eq!(world.server.statistics().panics, 1);
    world.server.handler.panics = false;
    world.client.send(client, *b"x").unwrap();
    world.run_until(|world| world.server.handler.messages.len() == 1);
}

#[test]
fn what_any_thread_posts_comes_in_order_and_at_once() {
    for_each_seed(|seed| {
        let (mut world, client, server) = World::connected(seed, config());
        let poster = Poster::new(&world.server.inbox);
        let threads = (0..2).map(|_| {
            let poster = poster.clone();
            std::thread::spawn(move || (0..100_u32).try_for_each(|number| poster.post(number)))
        });
        threads.for_each(|thread| thread.join().unwrap().unwrap());
        poster.post((server, b"from a thread".to_vec())).unwrap();
        let before = world.now();
        world.run_until(|world| world.client.handler.messages.len() == 1);
        assert_eq!((world.now(), world.client.handler.messages[0].0), (before, client));
        let posted = &world.server.handler.posted;
        assert_eq!(posted.len(), 200);
        assert!((0..100).all(|number| posted.iter().filter(|it| **it == number).count() == 2));
    });
}

#[test]
fn too_many_events_come_back_and_so_do_those_for_an_endpoint_that_has_ended() {
    let (mut world, _, _) = World::connected(1, config());
    let poster = Poster::new(&world.server.inbox);
    (0..65_536_u32).for_each(|number| poster.post(number).unwrap());
    assert_eq!(poster.post(7_u32), Err(7));
    world.server.turn(Some(Duration::ZERO)).unwrap();
    assert_eq!(world.server.handler.posted.len(), 65_536);
    poster.post(8_u32).unwrap();
    drop(world);
    assert_eq!(poster.post(9_u32), Err(9));
}
