//! What a client that stays connected brings along: a token for each try, and messages that were kept.

use super::*;
use crate::client_sender::{Accepted, ClientOptions, ClientSender, Unsent};
use bytes::Bytes;
use pulsewire_protocol::Admission;

fn add(world: &mut World, unsent: Unsent) -> ClientSender {
    let (answer, answered) = sync_channel(1);
    let options = ClientOptions { unsent, ..ClientOptions::default() };
    world.client.inbox.push(Command::AddClient { remote: world.address, options, answer });
    world.client.turn(Some(Duration::ZERO)).unwrap();
    answered.try_recv().unwrap().unwrap()
}

fn numbered(number: u8) -> Message<'static> {
    message(vec![number; 1_000])
}

/// The numbers of the messages that came to the server.
fn received(world: &World) -> Vec<u8> {
    world.server.handler.messages.iter().map(|(_, message)| message.payload[0]).collect()
}

#[test]
fn each_try_has_a_token_of_its_own() {
    for_each_seed(|seed| {
        let mut asking = config();
        asking.admission = Admission::Ask;
        let mut own = config();
        own.token = Some(Bytes::from_static(b"of the configuration"));
        let mut world = World::with_configs(seed, own, asking);
        world.server.handler.answers = Some(Answer::Accept);
        // The third is longer than HELLO has room for, which costs the try.
        let tokens: [&[u8]; 3] = [b"first", b"second", &[7; 5_000]];
        world.client.handler.tokens.extend(tokens.map(Bytes::copy_from_slice));
        let _client = add(&mut world, Unsent::Return);
        for round in 1..=3 {
            world.run_until(|world| world.client.handler.established.len() == round);
            let id = world.client.handler.established[round - 1];
            world.client.with_socket(id, |socket| world.network.reset(socket));
            world.run_until(|world| world.client.handler.closed.len() == round);
        }
        let shown: Vec<_> = world.server.handler.asked.iter().map(|(_, request)| request.token.clone()).collect();
        let expected: [&[u8]; 3] = [b"first", b"second", b"of the configuration"];
        assert_eq!(shown, expected.map(|token| Some(Bytes::copy_from_slice(token))));
    });
}

#[test]
fn what_was_not_sent_is_kept_for_the_next_connection_in_its_order() {
    for_each_seed(|seed| {
        let mut world = World::new(seed, config());
        // Only what was handed to the system may have arrived.
        world.client.io.largest_send = 2_000;
        let client = add(&mut world, Unsent::Keep { bytes: 100_000 });
        for number in 0..5 {
            assert_eq!(client.try_send(numbered(number)), Ok(Accepted::Kept), "there is no connection yet");
        }
        world.run_until(|world| received(world).len() == 5);
        assert!(client.connection().is_some_and(|connection| connection.is_open()));
        // The server goes on to read nothing, so that most of these can't be sent before the connection is lost.
        for number in 5..40 {
            assert_eq!(client.try_send(numbered(number)), Ok(Accepted::Sent));
        }
        for _ in 0..10 {
            world.client.turn(Some(Duration::ZERO)).unwrap();
        }
        let id = client.connection().unwrap().id();
        world.client.with_socket(id, |socket| world.network.reset(socket));
        world.run_until(|world| !world.client.handler.closed.is_empty());
        assert!(world.client.closed(id).unsent.is_empty(), "it is kept");
        assert_eq!(client.try_send(numbered(40)), Ok(Accepted::Kept));
        world.run_until(|world| received(world).last() == Some(&40));
        // What had left may be lost, and what arrived comes once and in order.
        let numbers = received(&world);
        assert!(numbers.is_sorted_by(|one, next| one < next), "{numbers:?}");
        let lost = (0..40).filter(|number| !numbers.contains(number)).count();
        assert!(lost < 20, "{lost} lost");
        assert!(world.client.handler.returned.is_empty());
    });
}

#[test]
fn what_there_is_no_room_for_is_refused_and_what_is_left_comes_back() {
    for_each_seed(|seed| {
        let mut world = World::new(seed, config());
        world.address.set_port(9);
        let returning = add(&mut world, Unsent::Return);
        assert_eq!(returning.try_send(numbered(1)).unwrap_err().reason, SendRefused::NotEstablished);

        let keeping = add(&mut world, Unsent::Keep { bytes: 2 * 1_064 });
        for number in 1..=2 {
            keeping.try_send(numbered(number)).unwrap();
        }
        assert_eq!(keeping.try_send(numbered(3)).unwrap_err().reason, SendRefused::Full);
        assert_eq!(keeping.try_send(message(vec![0; 3_000])).unwrap_err().reason, SendRefused::NotEstablished);
        world.run_for(Duration::from_secs(5));
        assert!(world.client.handler.returned.is_empty() && keeping.is_open());

        let (answer, answered) = sync_channel(1);
        let close = CloseReason::NORMAL.into();
        world.client.inbox.push(Command::CloseClient { client: keeping.id(), close, answer });
        world.client.turn(Some(Duration::ZERO)).unwrap();
        assert!(answered.try_recv().unwrap().unwrap());
        world.run_until(|world| world.client.handler.returned.len() == 2);
        assert_eq!(world.client.handler.returned, [numbered(1), numbered(2)]);
        let refused = keeping.try_send(numbered(4)).unwrap_err();
        assert_eq!(refused.reason, SendRefused::Closed(CloseReason::NORMAL));
        assert!(!keeping.is_open());
    });
}

/// The others go on.
#[test]
fn one_that_is_larger_than_the_server_takes_comes_back() {
    for_each_seed(|seed| {
        let mut narrow = config();
        (narrow.limits.frame, narrow.limits.message) = (2_000, 2_000);
        let mut world = World::with_configs(seed, config(), narrow);
        let client = add(&mut world, Unsent::Keep { bytes: 100_000 });
        client.try_send(numbered(1)).unwrap();
        client.try_send(message(vec![0; 2_001])).unwrap();
        client.try_send(numbered(2)).unwrap();
        world.run_until(|world| received(world) == [1, 2] && !world.client.handler.returned.is_empty());
        assert_eq!(world.client.handler.returned, [message(vec![0; 2_001])]);
    });
}

/// More is kept than a connection takes at once.
#[test]
fn what_is_kept_follows_as_the_connection_has_room() {
    for_each_seed(|seed| {
        let mut narrow = config();
        narrow.limits.send_queue = 3_000;
        let mut world = World::with_configs(seed, narrow, config());
        let client = add(&mut world, Unsent::Keep { bytes: 100_000 });
        for number in 0..50 {
            client.try_send(numbered(number)).unwrap();
        }
        world.run_until(|world| received(world).len() == 50);
        assert!(received(&world).into_iter().eq(0..50));
        assert_eq!(client.try_send(numbered(50)), Ok(Accepted::Sent), "nothing is kept any more");
    });
}
