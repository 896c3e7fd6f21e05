//! Servers whose application judges each client (PW-HS-020).

use super::*;
use bytes::Bytes;
use pulsewire_protocol::{Admission, Retry};

const TOKEN: &[u8] = b"who I am";

fn asking() -> Config {
    Config { admission: Admission::Ask, ..config() }
}

/// A server that asks, and a client that begins to connect.
fn world(seed: u64, answers: Option<Answer>) -> (World, ConnectionId) {
    let client = Config { token: Some(Bytes::from_static(TOKEN)), ..config() };
    let mut world = World::with_configs(seed, client, asking());
    world.server.handler.answers = answers;
    let id = world.begin_to_connect(world.address);
    world.run_until(|world| !world.server.handler.asked.is_empty());
    assert_eq!(world.server.handler.asked[0].1.token.as_deref(), Some(TOKEN));
    (world, id)
}

fn overloaded() -> CloseFrame {
    CloseFrame::from(CloseReason::OVERLOADED).with_retry(Retry::After(Duration::from_secs(30))).with_text("come later")
}

fn assert_refused(closed: &Closed) {
    let CloseFrame { reason, retry, text } = overloaded();
    assert_eq!((closed.reason, closed.retry, &closed.detail), (reason, retry, &text));
}

#[test]
fn a_handler_admits_a_client_at_once() {
    for_each_seed(|seed| {
        let (mut world, id) = world(seed, Some(Answer::Accept));
        world.run_until(|world| world.client.handler.established == [id]);
        let server = world.server.only();
        assert_eq!(world.server.handler.established, [server]);
        world.client.send(id, *b"hello").unwrap();
        world.server.send(server, *b"hello").unwrap();
        world.run_until(|world| world.server.handler.messages.len() + world.client.handler.messages.len() == 2);
    });
}

/// PW-HS-022.
#[test]
fn a_handler_refuses_a_client_with_reason_advice_and_sentence() {
    for_each_seed(|seed| {
        let (mut world, id) = world(seed, Some(Answer::Refuse(overloaded())));
        world.run_until_all_closed();
        assert_refused(world.client.closed(id));
        assert!(world.client.handler.established.is_empty() && world.server.handler.established.is_empty());
    });
}

#[test]
fn another_thread_admits_a_client_later() {
    for_each_seed(|seed| {
        let (mut world, id) = world(seed, None);
        world.run_for(Duration::from_secs(1));
        assert!(world.client.handler.established.is_empty() && world.server.handler.established.is_empty());
        let server = world.server.only();
        assert_eq!(world.server.send(server, *b"early").unwrap_err().reason, SendRefused::NotEstablished);
        let sender = Sender::new(world.server.mailbox(server));
        sender.accept();
        // Too late, and without effect.
        sender.refuse(overloaded());
        world.run_until(|world| world.client.handler.established == [id]);
        assert_eq!(world.server.handler.established, [server]);
        assert!(sender.is_open());
        sender.accept();
        world.run_for(Duration::from_secs(10));
        assert!(world.client.handler.closed.is_empty());
    });
}

#[test]
fn another_thread_refuses_a_client_later() {
    for_each_seed(|seed| {
        let (mut world, id) = world(seed, None);
        Sender::new(world.server.mailbox(world.server.only())).refuse(overloaded());
        world.run_until_all_closed();
        assert_refused(world.client.closed(id));
    });
}
