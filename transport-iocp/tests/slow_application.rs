//! Applications that take their time, on the real completion port: they pause, and they judge clients in another thread.
#![cfg(windows)]

mod support;

use std::time::Duration;

use pulsewire_transport_iocp::protocol::{Admission, CloseFrame, CloseReason, Config, Event, Retry};
use support::{Client, LOOPBACK, client, config, in_order, message};

/// A heartbeat that finds a dead peer within 300 ms.
fn brisk() -> Config {
    let mut config = config();
    config.heartbeat.idle = Duration::from_millis(120);
    config.heartbeat.interval = Duration::from_millis(60);
    config.heartbeat.ping_floor = Duration::from_millis(10);
    config
}

/// PW-HB-019, PW-HB-020, PW-HB-023.
#[test]
fn a_paused_receiver_outlives_ten_bounds_and_then_gets_every_message() {
    let (server, client) = (client(brisk()), client(brisk()));
    let sender = client.establish(server.endpoint.listen(LOOPBACK).unwrap());
    let receiver = server.wait_established(1).into_values().next().expect("one");
    receiver.pause();
    while server.endpoint.statistics(receiver.id()).unwrap().expect("it lives").pauses == 0 {}
    let sizes = [10, 3_000, 50_000, 0, 70_000];
    for size in sizes {
        sender.try_send(message(vec![7; size])).unwrap();
    }
    let long = brisk().heartbeat.bound() * 10;
    assert!(server.notices.recv_timeout(long).is_err() && client.notices.try_recv().is_err(), "it pauses");
    receiver.resume();
    for size in sizes {
        assert_eq!(server.next_message().1.payload.len(), size);
    }
    let told = client.endpoint.statistics(sender.id()).unwrap().expect("it lives");
    // Once because it was asked to, and again where this thread is too slow to take what comes then.
    assert!(told.messages_sent == 5 && told.peer_pauses >= 1, "{told:?}");
    assert!(in_order(client.endpoint) && in_order(server.endpoint));
}

/// PW-HS-020, PW-HS-022.
#[test]
fn a_thread_judges_who_connects() {
    let server = client(Config { admission: Admission::Ask, ..config() });
    let address = server.endpoint.listen(LOOPBACK).unwrap();
    let said = CloseFrame::from(CloseReason::OVERLOADED)
        .with_retry(Retry::After(Duration::from_secs(30)))
        .with_text("come later");
    let stranger = judged(&server, address, b"stranger", &said);
    let closed = stranger.next_closed().1;
    assert_eq!((closed.reason, closed.retry, closed.detail), (said.reason, said.retry, said.text.clone()));
    assert_eq!(server.next_closed().1.reason, CloseReason::OVERLOADED);

    let friend = judged(&server, address, b"friend", &said);
    let sender = friend.wait_established(1).into_values().next().expect("one");
    sender.try_send(message(*b"hello")).unwrap();
    assert_eq!(&*server.next_message().1.payload, b"hello");
    sender.drain();
    let notice = server.next_notice();
    assert!(matches!(notice.event(), Some(Event::Draining { received: 0 })), "{notice:?}");
    notice.sender.close(CloseFrame::from(CloseReason::NORMAL).with_text("done"));
    assert!(friend.next_closed().1.orderly);
    assert!(in_order(friend.endpoint) && in_order(server.endpoint));
}

/// A client with a token that the server admits if it is a friend.
fn judged(server: &Client, address: std::net::SocketAddr, token: &'static [u8], said: &CloseFrame) -> Client {
    let client = client(Config { token: Some(token.into()), ..config() });
    client.endpoint.connect(address).unwrap();
    let notice = server.next_notice();
    match notice.event() {
        Some(Event::Admission(request)) if request.token.as_deref() == Some(b"friend") => notice.sender.accept(),
        Some(Event::Admission(_)) => notice.sender.refuse(said.clone()),
        other => panic!("{other:?}"),
    }
    client
}
