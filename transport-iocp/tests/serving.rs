//! What a server and its clients do by the policies, on real sockets.
#![cfg(windows)]

mod support;

use std::any::Any;
use std::sync::mpsc::{Receiver, Sender as Teller, channel};
use std::thread;
use std::time::{Duration, Instant};

use pulsewire_transport_iocp::protocol::{Class, Event, Message, SendError};
use pulsewire_transport_iocp::{
    ClientEvent, ClientId, Context, Endpoint, GroupConfig, GroupId, Handler, OverReason, ReconnectConfig, ServerConfig,
    ShutdownTimes, SocketOptions, Turn,
};
use support::{LOOPBACK, PATIENCE, client, config};

/// For what nothing tells.
fn wait_until(done: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !done() {
        assert!(Instant::now() < deadline, "it never came");
        thread::sleep(Duration::from_millis(10));
    }
}

/// Takes everybody into one room. What is posted goes to all.
#[derive(Default)]
struct Room {
    group: Option<GroupId>,
}

impl Handler for Room {
    fn event(&mut self, connection: &mut Context<'_>, event: Event<'_>) {
        let id = connection.id();
        let groups = connection.groups();
        let group = *self.group.get_or_insert_with(|| groups.create(GroupConfig::default()));
        match event {
            Event::Established(_) => assert_eq!(groups.join(group, id), Ok(true)),
            Event::Message(message) => groups.send(group, message).unwrap(),
            _ => {}
        }
    }

    fn unsent(&mut self, _: &mut Context<'_>, refused: SendError<'static>) {
        panic!("nobody sends from another thread here: {refused}");
    }

    fn posted(&mut self, turn: &mut Turn<'_>, event: Box<dyn Any + Send>) {
        let _timer = turn.set_timer(Duration::from_millis(20), *event.downcast().unwrap());
    }

    fn timer(&mut self, turn: &mut Turn<'_>, key: u64) {
        let news = Message::new(Class::ROOM, key.to_be_bytes().to_vec());
        turn.groups().send(self.group.unwrap(), news).unwrap();
    }
}

#[test]
fn a_room_hears_its_members_and_what_a_thread_posts() {
    let server = Endpoint::start(config().validate().unwrap(), SocketOptions::default(), Room::default()).unwrap();
    let address = server.listen(LOOPBACK).unwrap();
    let clients: Vec<_> = (0..3).map(|_| client(config())).collect();
    let senders: Vec<_> = clients.iter().map(|client| client.establish(address)).collect();
    senders[0].try_send(Message::new(Class::ROOM, b"hello".to_vec())).unwrap();
    for client in &clients {
        assert_eq!(client.next_message().1.payload[..], b"hello"[..]);
    }
    server.poster().post(7_u64).unwrap();
    for client in &clients {
        assert_eq!(client.next_message().1.payload[..], 7_u64.to_be_bytes()[..]);
    }
    let statistics = server.endpoint_statistics().unwrap();
    assert_eq!((statistics.accepted, statistics.occupancy.connections, statistics.established), (3, 3, 3));
    let report = server.shutdown(PATIENCE).unwrap();
    assert_eq!((report.orderly, report.is_clean()), (3, true), "{report}");
}

#[test]
fn a_quiet_connection_holds_no_receive_buffer() {
    let (server, address) = support::echo_server(config());
    let client = client(config());
    let sender = client.establish(address);
    client.exchange(&sender, 1, |_| b"x".to_vec());
    wait_until(|| server.endpoint_statistics().unwrap().receive_buffers == 0);
    client.exchange(&sender, 100, |number| vec![number as u8; 100]);
}

/// Tells what becomes of its client.
struct Told(Teller<ClientEvent>);

impl Handler for Told {
    fn event(&mut self, _: &mut Context<'_>, _: Event<'_>) {}

    fn unsent(&mut self, _: &mut Context<'_>, refused: SendError<'static>) {
        panic!("nobody sends here: {refused}");
    }

    fn client(&mut self, _: &mut Turn<'_>, _: ClientId, event: ClientEvent) {
        let _nobody_listens = self.0.send(event);
    }
}

fn next(events: &Receiver<ClientEvent>) -> ClientEvent {
    events.recv_timeout(PATIENCE).expect("something becomes of it")
}

#[test]
fn a_client_that_stays_connected_finds_the_server_that_came_back() {
    let (teller, events) = channel();
    let staying = Endpoint::start(config().validate().unwrap(), SocketOptions::default(), Told(teller)).unwrap();
    let shutdown = ShutdownTimes { drain: Duration::from_millis(200), close: PATIENCE };
    let serve = |address| {
        let settings = ServerConfig { shutdown, ..ServerConfig::default() }.validate().unwrap();
        let server =
            Endpoint::start_with(config().validate().unwrap(), SocketOptions::default(), settings, Room::default());
        let server = server.unwrap();
        let address = server.listen(address).unwrap();
        (server, address)
    };
    let (server, address) = serve(LOOPBACK);
    let reconnect = ReconnectConfig { first_delay: Duration::from_millis(100), ..ReconnectConfig::default() };
    let id = staying.stay_connected(address, reconnect.validate().unwrap()).unwrap();
    assert!(matches!(next(&events), ClientEvent::Connecting { attempt: 1, .. }));
    wait_until(|| server.endpoint_statistics().unwrap().established == 1);
    let report = server.wind_down().unwrap();
    assert_eq!((report.orderly, report.cut), (1, 0), "{report}");
    let (server, _) = serve(address);
    wait_until(|| server.endpoint_statistics().unwrap().established == 1);
    assert!(staying.close_client(id, pulsewire_transport_iocp::protocol::CloseReason::NORMAL).unwrap());
    loop {
        if let ClientEvent::Over(reason) = next(&events) {
            break assert!(matches!(reason, OverReason::Closed { .. }), "{reason:?}");
        }
    }
}
