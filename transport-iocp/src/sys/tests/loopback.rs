//! The loopback interface of the system, with ordinary sockets at the other ends.

use super::*;
use crate::port::{Addresses, MAX_SLICES_PER_SEND};
use pulsewire_socket::{Cause, Keepalive};
use socket2::SockRef;
use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};

fn accepted(completion: Finished) -> (SystemSocket, Addresses) {
    match completion {
        Completion::Accepted { outcome, .. } => outcome.unwrap(),
        other => panic!("not an accept: {other:?}"),
    }
}

/// A connection whose other end is an ordinary blocking socket with a time limit.
fn pair_with_std(port: &mut Port) -> (SystemSocket, TcpStream) {
    let listener = TcpListener::bind(LOOPBACK).unwrap();
    let socket = port.connect(listener.local_addr().unwrap(), token(3)).unwrap();
    let (peer, _) = listener.accept().unwrap();
    peer.set_read_timeout(Some(PATIENCE)).unwrap();
    assert!(matches!(collect_one(port), Completion::Connected { outcome: Ok(_), .. }));
    (socket, peer)
}

#[test]
fn a_send_takes_a_bounded_number_of_slices() {
    let mut port = Port::new().unwrap();
    let (socket, _peer) = pair_with_std(&mut port);
    port.send(&socket, Batch { inline: *b"head", rest: vec![vec![1]; 200] }, token(4));
    let Completion::Sent { outcome, .. } = collect_one(&mut port) else { panic!("not a send") };
    assert_eq!(outcome, Ok(4 + MAX_SLICES_PER_SEND - 1));
}

#[test]
fn dropping_a_socket_cancels_and_closes_when_the_buffers_are_back() {
    let mut port = Port::new().unwrap();
    let (socket, mut peer) = pair_with_std(&mut port);
    port.send(&socket, Batch::large(PENDS), token(4));
    let buffer = BytesMut::with_capacity(4096);
    let address = buffer.as_ptr();
    port.receive(&socket, buffer, 4096, token(5));
    let open = Arc::downgrade(&socket.share());
    drop(socket);
    assert_eq!(open.strong_count(), 2, "the two operations keep it open");
    for completion in collect(&mut port, 2) {
        match completion {
            Completion::Sent { token: got, batch, outcome } => {
                assert_eq!((got, batch.rest[0].len()), (token(4), PENDS));
                assert_eq!(outcome.unwrap_err().cause(), Cause::ClosedHere);
            }
            Completion::Received { token: got, buffer, outcome } => {
                assert_eq!((got, buffer.as_ptr(), buffer.len()), (token(5), address, 0));
                assert_eq!(outcome.map_err(SystemError::code), Err(SystemError::OPERATION_ABORTED.code()));
            }
            other => panic!("unexpected: {other:?}"),
        }
    }
    assert_eq!(open.strong_count(), 0);
    let mut sink = vec![0; 1 << 16];
    let end = loop {
        match peer.read(&mut sink) {
            Ok(0) => break None,
            Ok(_) => {}
            Err(error) => break Some(error.kind()),
        }
    };
    assert!(matches!(end, None | Some(ErrorKind::ConnectionReset)), "the peer saw no end, but {end:?}");
}

/// A receive of no bytes waits, takes nothing, and tells of an end as of bytes.
#[test]
fn what_can_be_received_is_told_without_a_buffer() {
    let mut port = Port::new().unwrap();
    let (socket, mut peer) = pair_with_std(&mut port);
    port.await_readable(&socket, token(4));
    let mut completions = Vec::new();
    port.wait(Some(Duration::from_millis(50)), &mut completions).unwrap();
    assert!(completions.is_empty(), "there is nothing yet: {completions:?}");
    peer.write_all(b"all of it").unwrap();
    assert!(matches!(collect_one(&mut port), Completion::Readable { outcome: Ok(()), .. }));
    port.await_readable(&socket, token(5));
    assert!(matches!(collect_one(&mut port), Completion::Readable { outcome: Ok(()), .. }));
    port.receive(&socket, BytesMut::with_capacity(64), 64, token(6));
    let Completion::Received { buffer, outcome, .. } = collect_one(&mut port) else { panic!("not a receive") };
    assert_eq!((&buffer[..], outcome), (&b"all of it"[..], Ok(9)));
    peer.shutdown(std::net::Shutdown::Write).unwrap();
    port.await_readable(&socket, token(7));
    assert!(matches!(collect_one(&mut port), Completion::Readable { outcome: Ok(()), .. }));

    let (socket, peer) = pair_with_std(&mut port);
    port.await_readable(&socket, token(8));
    SockRef::from(&peer).set_linger(Some(Duration::ZERO)).unwrap();
    drop(peer);
    let Completion::Readable { outcome, .. } = collect_one(&mut port) else { panic!("not that") };
    assert_eq!(outcome.unwrap_err().cause(), Cause::Reset);
}

#[test]
fn a_reset_is_told_from_an_end() {
    let mut port = Port::new().unwrap();
    let (socket, peer) = pair_with_std(&mut port);
    port.receive(&socket, BytesMut::with_capacity(64), 64, token(4));
    SockRef::from(&peer).set_linger(Some(Duration::ZERO)).unwrap();
    drop(peer);
    let Completion::Received { outcome, .. } = collect_one(&mut port) else { panic!("not a receive") };
    assert_eq!(outcome.unwrap_err().cause(), Cause::Reset);

    let (socket, peer) = pair_with_std(&mut port);
    port.receive(&socket, BytesMut::with_capacity(64), 64, token(5));
    drop(peer);
    let Completion::Received { outcome, .. } = collect_one(&mut port) else { panic!("not a receive") };
    assert_eq!(outcome, Ok(0));
}

#[test]
fn connecting_to_nobody_is_refused() {
    let mut port = Port::new().unwrap();
    let address = TcpListener::bind(LOOPBACK).unwrap().local_addr().unwrap();
    let _socket = port.connect(address, token(1)).unwrap();
    let Completion::Connected { token: got, outcome } = collect_one(&mut port) else { panic!("not a connect") };
    let refused = SystemError::CONNECTION_REFUSED.code();
    assert_eq!((got, outcome.map_err(SystemError::code)), (token(1), Err(refused)));
}

#[test]
fn what_cannot_be_started_comes_back_too() {
    let mut port = Port::new().unwrap();
    let (socket, _peer) = pair_with_std(&mut port);
    port.shut_down_send(&socket).unwrap();
    port.send(&socket, Batch::new(*b"late"), token(4));
    let Completion::Sent { token: got, batch, outcome } = collect_one(&mut port) else { panic!("not a send") };
    assert_eq!((got, &batch.inline, outcome), (token(4), b"late", Err(SystemError::SHUT_DOWN)));
}

#[test]
fn options_can_be_set_on_both_ends() {
    let mut port = Port::new().unwrap();
    let (_listener, client, server) = pair(&mut port, LOOPBACK);
    let keepalive = Keepalive::new(Duration::from_secs(5), Duration::from_millis(1500), 3).unwrap();
    for socket in [&client, &server] {
        port.set_keepalive(socket, keepalive).unwrap();
        assert!(socket.open().with(Socket::keepalive).unwrap());
        port.set_no_delay(socket, true).unwrap();
        assert!(socket.open().with(Socket::tcp_nodelay).unwrap());
    }
}

#[test]
fn a_hundred_connections_are_told_apart() {
    const CONNECTIONS: u32 = 100;
    let mut port = Port::new().unwrap();
    let (listener, address) = port.listen(LOOPBACK, ListenOptions::default()).unwrap();
    for slot in 0..CONNECTIONS {
        port.accept(&listener, token(slot));
    }
    let peers: Vec<_> = (0..CONNECTIONS).map(|_| TcpStream::connect(address).unwrap()).collect();
    let sockets: Vec<_> = collect(&mut port, peers.len()).into_iter().map(accepted).collect();
    for (slot, (socket, _)) in (0..).zip(&sockets) {
        port.adopt(socket).unwrap();
        port.receive(socket, BytesMut::with_capacity(16), 16, token(slot));
    }
    for mut peer in &peers {
        peer.write_all(&peer.local_addr().unwrap().port().to_be_bytes()).unwrap();
    }
    let mut seen = [false; CONNECTIONS as usize];
    for completion in collect(&mut port, peers.len()) {
        let Completion::Received { token: got, buffer, outcome } = completion else { panic!("not a receive") };
        assert_eq!(outcome, Ok(2));
        let slot = got.slot as usize;
        assert_eq!(got, token(got.slot));
        assert_eq!(buffer[..], sockets[slot].1.remote.port().to_be_bytes());
        assert!(!std::mem::replace(&mut seen[slot], true));
    }
    assert!(seen.iter().all(|&seen| seen));
}

#[test]
#[should_panic(expected = "the socket belongs to another port")]
fn a_socket_of_another_port_is_refused() {
    let (mut port, mut other) = (Port::new().unwrap(), Port::new().unwrap());
    let (socket, _peer) = pair_with_std(&mut other);
    port.receive(&socket, BytesMut::with_capacity(8), 8, token(1));
}

/// What a socket is closed under comes back, and the peer learns of the end at once.
#[test]
fn a_socket_is_closed_under_what_is_pending() {
    let mut port = Port::new().unwrap();
    let (socket, mut peer) = pair_with_std(&mut port);
    port.receive(&socket, BytesMut::with_capacity(64), 64, token(4));
    port.close(socket);
    assert!(matches!(collect_one(&mut port), Completion::Received { outcome: Err(_), .. }));
    assert!(matches!(peer.read(&mut [0; 8]), Ok(0) | Err(_)));
    let (listener, address) = port.listen(LOOPBACK, ListenOptions::default()).unwrap();
    port.accept(&listener, token(5));
    port.close_listener(listener);
    assert!(matches!(collect_one(&mut port), Completion::Accepted { outcome: Err(_), .. }));
    assert!(TcpStream::connect(address).is_err());
}
