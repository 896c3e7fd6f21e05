//! Several I/O threads on real sockets, with what is done at once skipping their ports.
#![cfg(windows)]

mod support;

use std::collections::{HashMap, HashSet};
use std::io::ErrorKind;
use std::num::NonZeroU32;

use pulsewire_transport_iocp::protocol::{Class, CloseReason, Event, Message, SendError};
use pulsewire_transport_iocp::{Context, Endpoint, Handler, ServerConfig, ServerLimits, SocketOptions};
use support::{LOOPBACK, client_with_options, config, in_order, message};

/// Answers with the number of its thread.
struct Numbered(u8);

impl Handler for Numbered {
    fn event(&mut self, connection: &mut Context<'_>, event: Event<'_>) {
        if let Event::Message(_) = event {
            connection.send(Message::new(Class::BUSINESS, &[self.0])).unwrap();
        }
    }

    fn unsent(&mut self, _: &mut Context<'_>, refused: SendError<'static>) {
        panic!("nobody sends from another thread here: {refused}");
    }
}

fn skipping() -> SocketOptions {
    SocketOptions { skip_on_success: NonZeroU32::new(4), ..SocketOptions::default() }
}

#[test]
fn connections_are_spread_over_the_threads_and_reached_from_anywhere() {
    let handlers = (0..3).map(Numbered).collect();
    let server = Endpoint::start_threads(
        config().validate().unwrap(),
        skipping(),
        ServerConfig::default().validate().unwrap(),
        handlers,
    );
    let server = server.unwrap();
    let address = server.listen(LOOPBACK).unwrap();
    let client = client_with_options(config(), skipping());
    let senders: HashMap<_, _> = (0..12).map(|_| client.establish(address)).map(|it| (it.id(), it)).collect();
    for sender in senders.values() {
        sender.try_send(message(*b"who are you?")).unwrap();
    }
    let mut shares = [0; 3];
    for _ in 0..12 {
        shares[usize::from(client.next_message().1.payload[0])] += 1;
    }
    assert_eq!(shares, [4, 4, 4]);

    // Who knows the id reaches any of them, and all of them at once.
    let theirs: HashSet<_> = server.connections().into_iter().collect();
    assert_eq!(theirs.len(), 12);
    for id in &theirs {
        assert_eq!(server.statistics(*id).unwrap().unwrap().messages_received, 1);
        server.try_send(*id, message(id.slot().to_be_bytes())).unwrap();
    }
    let reached: HashSet<_> = (0..12).map(|_| client.next_message().0).collect();
    assert_eq!((reached.len(), server.broadcast(message(*b"to all")).unwrap()), (12, 12));
    let reached: HashSet<_> = (0..12).map(|_| client.next_message().0).collect();
    assert_eq!(reached.len(), 12);

    let threads = server.thread_statistics().unwrap();
    assert_eq!(threads.iter().map(|thread| thread.connections).collect::<Vec<_>>(), [4, 4, 4]);
    let all = server.endpoint_statistics().unwrap();
    assert_eq!((all.connections, all.accepted, all.occupancy.connections), (12, 12, 12));
    assert_eq!((all.traffic.messages_received, all.traffic.messages_sent), (12, 36));
    assert_eq!(server.posters().len(), 3);

    let one = *theirs.iter().next().unwrap();
    assert!(server.close(one, CloseReason::NORMAL));
    client.next_closed();
    assert!(in_order(client.endpoint));
    assert!(in_order(server));
}

#[test]
fn an_endpoint_without_a_handler_or_with_too_little_memory_for_its_threads_is_refused() {
    let start = |server: ServerConfig, count: u8| {
        let handlers = (0..count).map(Numbered).collect();
        let server = server.validate().unwrap();
        Endpoint::start_threads(config().validate().unwrap(), skipping(), server, handlers).map(drop)
    };
    assert_eq!(start(ServerConfig::default(), 0).unwrap_err().kind(), ErrorKind::InvalidInput);
    // The least that a configuration may have is enough for one.
    let least = ServerLimits { buffered: 64 << 10, ..ServerLimits::default() };
    let least = ServerConfig { limits: least, ..ServerConfig::default() };
    start(least.clone(), 1).unwrap();
    assert_eq!(start(least, 2).unwrap_err().kind(), ErrorKind::InvalidInput);
}
