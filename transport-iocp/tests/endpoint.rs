//! Endpoints on the real completion port, over the loopback interface.
#![cfg(windows)]

mod support;

use std::collections::HashMap;
use std::io::ErrorKind;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::sync::{Arc, Weak, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use pulsewire_transport_iocp::protocol::{Class, CloseReason, ConnectionId, Event, Message, SendError, SendRefused};
use pulsewire_transport_iocp::socket::{ListenOptions, TrafficType};
use pulsewire_transport_iocp::{
    Context, Endpoint, Handler, Keepalive, Sender, ServerConfig, ServerLimits, SocketOptions,
};
use support::{
    Client, Echo, LOOPBACK, PATIENCE, Proxy, Treatment, client, client_with_options, config, echo_server, in_order,
    message,
};

#[test]
fn messages_of_all_sizes_are_echoed_in_order() {
    let (server, address) = echo_server(config());
    let mut roomy = config();
    roomy.limits.send_queue = 4 << 20;
    let client = client(roomy);
    let sender = client.establish(address);
    let sizes = [0, 1, 100, 4_000, 70_000, 1 << 20, 5];
    for size in sizes {
        let payload: Vec<u8> = (0..size).map(|index: usize| (index * 31 + index / 251) as u8).collect();
        sender.try_send(message(payload)).unwrap();
    }
    for size in sizes {
        let (id, message) = client.next_message();
        assert_eq!((id, message.payload.len()), (sender.id(), size));
        assert!(message.payload.iter().enumerate().all(|(at, &byte)| byte == (at * 31 + at / 251) as u8));
    }
    assert!(in_order(client.endpoint));
    assert!(in_order(server));
}

#[test]
fn a_sender_that_was_refused_for_lack_of_room_is_told_when_there_is_some() {
    let (_server, address) = echo_server(config());
    let mut narrow = config();
    narrow.limits.send_queue = 50_000;
    let client = client(narrow);
    let sender = client.establish(address);
    let refused = client.exchange(&sender, 2_000, |number| vec![number as u8; 1_000]);
    assert!(refused > 0);
}

/// Wine has no such service; and Windows marks nothing that stays on one machine, and goes on without.
#[test]
fn connections_are_marked_or_it_is_said_why_not() {
    let options = SocketOptions { traffic_type: Some(TrafficType::Voice), ..SocketOptions::default() };
    match Endpoint::start(config().validate().unwrap(), options, Echo::default()) {
        Ok(server) => {
            let address = server.listen(LOOPBACK).unwrap();
            let client = client_with_options(config(), options);
            let sender = client.establish(address);
            client.exchange(&sender, 10, |number| vec![number as u8]);
        }
        Err(error) => {
            let said = error.to_string();
            assert!(error.kind() == ErrorKind::Unsupported && said.to_uppercase().contains("QWAVE"), "{said}");
        }
    }
}

#[test]
fn a_panic_of_the_handler_costs_its_connection_only() {
    struct Panics(Echo);
    impl Handler for Panics {
        fn event(&mut self, connection: &mut Context<'_>, event: Event<'_>) {
            let on_purpose = matches!(&event, Event::Message(message) if &*message.payload == b"panic");
            assert!(!on_purpose, "on purpose");
            self.0.event(connection, event);
        }
        fn unsent(&mut self, _connection: &mut Context<'_>, _refused: SendError<'static>) {}
    }
    let handler = Panics(Echo::default());
    let server = Endpoint::start(config().validate().unwrap(), SocketOptions::default(), handler).unwrap();
    let address = server.listen(LOOPBACK).unwrap();
    let client = client(config());
    let (first, second) = (client.establish(address), client.establish(address));
    first.try_send(message(*b"panic")).unwrap();
    assert_eq!(client.next_closed().0, first.id());
    second.try_send(message(*b"x")).unwrap();
    assert_eq!(client.next_message().0, second.id());
    assert!(in_order(client.endpoint) && in_order(server));
}

#[test]
fn a_handler_that_is_stuck_delays_a_shutdown_by_a_second_at_most() {
    struct Stuck(mpsc::Receiver<()>);
    impl Handler for Stuck {
        fn event(&mut self, _connection: &mut Context<'_>, event: Event<'_>) {
            if let Event::Message(_) = event {
                let _until_the_end_of_the_test = self.0.recv();
            }
        }
        fn unsent(&mut self, _connection: &mut Context<'_>, _refused: SendError<'static>) {}
    }
    let (release, released) = mpsc::channel();
    let server = Endpoint::start(config().validate().unwrap(), SocketOptions::default(), Stuck(released)).unwrap();
    let address = server.listen(LOOPBACK).unwrap();
    let client = client(config());
    client.establish(address).try_send(message(*b"x")).unwrap();
    let before = Instant::now();
    assert_eq!(server.shutdown(Duration::from_millis(100)).unwrap_err().kind(), ErrorKind::TimedOut);
    // A busy machine is late, but not for ever.
    assert!(before.elapsed() < PATIENCE);
    drop(release);
    // The thread that was left alone cuts its connections when it goes on.
    client.next_closed();
}

#[test]
fn an_option_that_is_out_of_range_is_refused_before_there_is_a_socket() {
    let options = SocketOptions { send_buffer: Some(u32::MAX), ..SocketOptions::default() };
    let refused = Endpoint::start(config().validate().unwrap(), options, Echo::default());
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::InvalidInput);
}

#[test]
fn a_client_for_whom_there_is_no_room_is_told_overloaded() {
    let limits = ServerLimits { connections: 1, ..ServerLimits::default() };
    let limits = ServerConfig { limits, ..ServerConfig::default() }.validate().unwrap();
    let valid = config().validate().unwrap();
    let server = Endpoint::start_with(valid, SocketOptions::default(), limits, Echo::default()).unwrap();
    let address = server.listen(LOOPBACK).unwrap();
    let client = client(config());
    let first = client.establish(address);
    let refused = client.endpoint.connect(address).unwrap();
    let (id, closed) = client.next_closed();
    assert_eq!((id, closed.reason), (refused, CloseReason::OVERLOADED));
    first.try_send(message(*b"x")).unwrap();
    client.next_message();
}

#[test]
fn handles_may_go_to_any_thread() {
    fn any_thread<T: Send + Sync>() {}
    any_thread::<Endpoint>();
    any_thread::<Sender>();
}

#[test]
fn a_hundred_connections_are_told_apart() {
    let (server, address) = echo_server(config());
    let client = client(config());
    let ids: Vec<ConnectionId> = (0..100).map(|_| client.endpoint.connect(address).unwrap()).collect();
    let senders = client.wait_established(ids.len());
    for (id, sender) in &senders {
        sender.try_send(message(id.cookie().get().to_be_bytes())).unwrap();
    }
    for _ in &ids {
        let (id, message) = client.next_message();
        assert_eq!(*message.payload, id.cookie().get().to_be_bytes());
    }
    assert_eq!(client.endpoint.connections().len(), 100);
    assert_eq!(server.connections().len(), 100);
    assert!(in_order(server), "the side that accepted them can take leave of all, too");
    for _ in &ids {
        let closed = client.next_closed().1;
        assert_eq!((closed.reason, closed.orderly), (CloseReason::GOING_AWAY, true));
    }
    assert!(in_order(client.endpoint));
}

#[test]
fn messages_from_several_threads_keep_the_order_of_each() {
    const THREADS: u64 = 4;
    const EACH: u64 = 250;
    let (server, address) = echo_server(config());
    let client = client(config());
    let sender = client.establish(address);
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let sender = sender.clone();
            scope.spawn(move || {
                for number in 0..EACH {
                    sender.try_send(message([thread.to_be_bytes(), number.to_be_bytes()].concat())).unwrap();
                }
            });
        }
    });
    let mut next: HashMap<u64, u64> = HashMap::new();
    for _ in 0..THREADS * EACH {
        let payload = client.next_message().1.payload;
        let (thread, number) = payload.split_at(8);
        let expected = next.entry(u64::from_be_bytes(thread.try_into().unwrap())).or_default();
        assert_eq!(number, expected.to_be_bytes());
        *expected += 1;
    }
    assert!(in_order(client.endpoint));
    assert!(in_order(server));
}

#[test]
fn a_shutdown_loses_nothing() {
    let receiver = client(config());
    let address = receiver.endpoint.listen(LOOPBACK).unwrap();
    let client = client(config());
    let sender = client.establish(address);
    for number in 0..1_000_u32 {
        sender.try_send(message(number.to_be_bytes())).unwrap();
    }
    assert!(in_order(client.endpoint));
    for number in 0..1_000_u32 {
        assert_eq!(*receiver.next_message().1.payload, number.to_be_bytes());
    }
    let closed = receiver.next_closed().1;
    assert_eq!((closed.reason, closed.orderly, closed.received), (CloseReason::GOING_AWAY, true, 1_000));
    assert!(in_order(receiver.endpoint));
}

#[test]
fn a_stale_id_is_refused_when_its_slot_is_used_again() {
    let (server, address) = echo_server(config());
    let client = client(config());
    let old = client.establish(address);
    old.abort();
    assert_eq!(client.next_closed().0, old.id());
    // The slot is free when the cancelled operations are back, which is very soon.
    let deadline = Instant::now() + PATIENCE;
    let new = loop {
        assert!(Instant::now() < deadline, "the slot was never used again");
        let new = client.establish(address);
        if new.id().slot() == old.id().slot() {
            break new;
        }
        new.abort();
        client.next_closed();
    };
    assert_ne!(new.id().cookie(), old.id().cookie());
    for refused in
        [old.try_send(message(*b"to a stranger?")), client.endpoint.try_send(old.id(), message(*b"to a stranger?"))]
    {
        let refused = refused.unwrap_err();
        assert_eq!((refused.reason, &*refused.message.payload), (SendRefused::Stale, &b"to a stranger?"[..]));
    }
    assert!(client.endpoint.sender(old.id()).is_none());
    assert!(!client.endpoint.close(old.id(), CloseReason::NORMAL) && !client.endpoint.abort(old.id()));
    client.endpoint.try_send(new.id(), message(*b"to the right one")).unwrap();
    assert_eq!(&*client.next_message().1.payload, b"to the right one");
    assert!(in_order(client.endpoint));
    drop(server);
}

#[test]
fn a_reset_and_a_refusal_are_reported_with_the_code_of_the_system() {
    let (_server, address) = echo_server(config());
    let client = client(config());
    let proxy = Proxy::start(address);
    let sender = client.establish(proxy.address);
    proxy.treat(Treatment::Reset);
    let (id, closed) = client.next_closed();
    assert_eq!((id, closed.reason), (sender.id(), CloseReason::RESET));
    assert_eq!(closed.detail, "system error 64");

    let nobody = TcpListener::bind(LOOPBACK).unwrap().local_addr().unwrap();
    let id = client.endpoint.connect(nobody).unwrap();
    let (refused, closed) = client.next_closed();
    assert_eq!((refused, closed.reason), (id, CloseReason::RESET));
    assert_eq!(closed.detail, "system error 1225");
}

#[test]
fn connections_with_keepalive_work() {
    let keepalive = Keepalive::new(Duration::from_secs(5), Duration::from_secs(1), 3).unwrap();
    let options = |keepalive| SocketOptions { keepalive: Some(keepalive), ..SocketOptions::default() };
    let start = |options| Endpoint::start(config().validate().unwrap(), options, Echo::default());
    let server = start(options(keepalive)).unwrap();
    let address = server.listen(LOOPBACK).unwrap();
    let client = client_with_options(config(), options(keepalive));
    // Either side would have dropped a socket that refused the option.
    let sender = client.establish(address);
    sender.try_send(message(*b"x")).unwrap();
    client.next_message();
}

#[test]
fn the_handler_is_told_that_it_would_wait_for_itself() {
    struct Asks {
        endpoint: Weak<Endpoint>,
        answers: mpsc::Sender<[Option<ErrorKind>; 2]>,
    }
    impl Handler for Asks {
        fn event(&mut self, connection: &mut Context<'_>, event: Event<'_>) {
            let Event::Message(_) = event else { return };
            let endpoint = self.endpoint.upgrade().expect("the test holds it");
            let listening = endpoint.listen(LOOPBACK).err();
            let connecting = endpoint.connect(connection.peer_address()).err();
            drop(endpoint);
            self.answers.send([listening, connecting].map(|error| error.map(|error| error.kind()))).unwrap();
        }
        fn unsent(&mut self, _connection: &mut Context<'_>, _refused: SendError<'static>) {}
    }
    let (answers, answered) = mpsc::channel();
    let server = Arc::new_cyclic(|endpoint| {
        let handler = Asks { endpoint: Weak::clone(endpoint), answers };
        Endpoint::start(config().validate().unwrap(), SocketOptions::default(), handler).unwrap()
    });
    let client = client(config());
    let sender = client.establish(server.listen(LOOPBACK).unwrap());
    for _ in 0..2 {
        sender.try_send(message(*b"x")).unwrap();
        assert_eq!(answered.recv_timeout(PATIENCE).unwrap(), [Some(ErrorKind::Deadlock); 2]);
    }
    let server = Arc::into_inner(server).expect("the handler has let go of it");
    assert!(in_order(server), "nothing was left behind");
}

#[test]
fn an_endpoint_that_is_dropped_cuts_its_connections_and_ends_the_channel() {
    let (server, address) = echo_server(config());
    let client = client(config());
    let sender = client.establish(address);
    drop(server);
    let closed = client.next_closed().1;
    assert!(matches!(closed.reason, CloseReason::PEER_ENDED | CloseReason::RESET), "{closed}");
    let Client { endpoint, notices, .. } = client;
    drop(endpoint);
    assert!(notices.recv_timeout(PATIENCE).is_err_and(|error| error == mpsc::RecvTimeoutError::Disconnected));
    assert_eq!(sender.try_send(Message::new(Class::BUSINESS, vec![])).unwrap_err().reason, SendRefused::Stale);
}

#[test]
fn one_address_is_listened_on_once() {
    let (server, address) = echo_server(config());
    assert_eq!(server.listen(address).unwrap_err().kind(), ErrorKind::AddrInUse);
    assert_ne!(server.listen(LOOPBACK).unwrap(), address);
}

#[test]
fn a_handler_learns_the_peers_address_and_passes_events_in_order() {
    let (_server, address) = echo_server(config());
    let client = client(config());
    let id = client.endpoint.connect(address).unwrap();
    let first = client.next_notice();
    assert_eq!((first.sender.id(), first.peer_address), (id, address));
    assert!(matches!(first.event(), Some(Event::Established(_))));
    assert!(client.endpoint.close(id, CloseReason::NORMAL));
    let last = client.next_notice();
    let Some(Event::Closed(closed)) = last.event() else { panic!("not the end") };
    assert!(closed.orderly);
}

#[test]
fn a_listener_is_ended_and_its_address_is_free_again() {
    let (server, address) = echo_server(config());
    let client = client(config());
    let sender = client.establish(address);
    assert!(server.stop_listening(address).unwrap() && !server.stop_listening(address).unwrap());
    // The address is free when the accepts are back, which is very soon.
    let deadline = Instant::now() + PATIENCE;
    while TcpListener::bind(address).is_err() {
        assert!(Instant::now() < deadline, "the address was never free");
    }
    sender.try_send(message(*b"x")).unwrap();
    client.next_message();
}

#[test]
fn a_dual_stack_listener_takes_both_families() {
    let listen = ListenOptions { dual_stack: true, ..ListenOptions::default() };
    let options = SocketOptions { listen, ..SocketOptions::default() };
    let server = Endpoint::start(config().validate().unwrap(), options, Echo::default()).unwrap();
    let port = server.listen((Ipv6Addr::UNSPECIFIED, 0).into()).unwrap().port();
    let client = client(config());
    for address in [SocketAddr::from((Ipv4Addr::LOCALHOST, port)), (Ipv6Addr::LOCALHOST, port).into()] {
        client.establish(address).try_send(message(*b"x")).unwrap();
        client.next_message();
    }
}
