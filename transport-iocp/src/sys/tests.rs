//! The real port, on the loopback interface.

use super::SystemPort;
use super::socket::{SystemListener, SystemSocket};
use crate::error::{ConnectionEnd, SystemError};
use crate::keepalive::Keepalive;
use crate::port::{Addresses, Completion, CompletionPort, GatherBuffer, MAX_SLICES_PER_SEND, Token};
use bytes::BytesMut;
use socket2::SockRef;
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::num::NonZeroU64;
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::{Duration, Instant};

/// What a test waits for at most, however busy the machine is.
const PATIENCE: Duration = Duration::from_secs(20);

const LOOPBACK: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// More bytes than the system takes while nobody reads them.
const PENDS: usize = 16 << 20;

/// A batch of which the first slice lies inside the value itself, as the hardest case for stable addresses.
#[derive(Debug)]
struct Batch {
    inline: [u8; 4],
    rest: Vec<Vec<u8>>,
}

impl Batch {
    fn new(inline: [u8; 4]) -> Self {
        Self { inline, rest: Vec::new() }
    }

    fn large(bytes: usize) -> Self {
        Self { inline: *b"long", rest: vec![vec![7; bytes]] }
    }
}

impl GatherBuffer for Batch {
    fn slices(&self) -> impl Iterator<Item = &[u8]> {
        std::iter::once(&self.inline[..]).chain(self.rest.iter().map(Vec::as_slice))
    }
}

type Port = SystemPort<Batch>;
type Finished = Completion<SystemSocket, Batch>;

fn token(slot: u32) -> Token {
    Token { slot, cookie: NonZeroU64::new(u64::MAX - u64::from(slot)).unwrap() }
}

/// Waits for `count` completions, and fails the test if they don't come.
fn collect(port: &mut Port, count: usize) -> Vec<Finished> {
    let deadline = Instant::now() + PATIENCE;
    let mut completions = Vec::new();
    while completions.len() < count {
        let left = deadline.saturating_duration_since(Instant::now());
        assert!(!left.is_zero(), "{} of {count} came: {completions:?}", completions.len());
        port.wait(Some(left), &mut completions).unwrap();
    }
    completions
}

fn collect_one(port: &mut Port) -> Finished {
    let mut completions = collect(port, 1);
    assert_eq!(completions.len(), 1, "{completions:?}");
    completions.remove(0)
}

fn accepted(completion: Finished) -> (SystemSocket, Addresses) {
    match completion {
        Completion::Accepted { outcome, .. } => outcome.unwrap(),
        other => panic!("not an accept: {other:?}"),
    }
}

/// A connection within one port: listener, connected end, accepted end.
fn pair(port: &mut Port, address: SocketAddr) -> (SystemListener, SystemSocket, SystemSocket) {
    let (listener, address) = port.listen(address).unwrap();
    port.accept(&listener, token(1));
    let client = port.connect(address, token(2)).unwrap();
    let (mut server, mut ends) = (None, [None; 2]);
    for completion in collect(port, 2) {
        match completion {
            Completion::Accepted { token: got, outcome } => {
                assert_eq!(got, token(1));
                let (socket, addresses) = outcome.unwrap();
                (server, ends[0]) = (Some(socket), Some(addresses));
            }
            Completion::Connected { token: got, outcome } => {
                assert_eq!(got, token(2));
                ends[1] = Some(outcome.unwrap());
            }
            other => panic!("unexpected: {other:?}"),
        }
    }
    let [Some(accepted), Some(connected)] = ends else { panic!("one end is missing") };
    assert_eq!((accepted.local, accepted.remote), (address, connected.local));
    assert_eq!(connected.remote, address);
    (listener, client, server.unwrap())
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

fn echo(address: SocketAddr) {
    let mut port = Port::new().unwrap();
    let (_listener, client, server) = pair(&mut port, address);
    let batch = Batch { inline: *b"one ", rest: vec![b"two ".to_vec(), b"three".to_vec()] };
    port.send(&client, batch, token(4));
    let mut buffer = BytesMut::with_capacity(64);
    buffer.extend_from_slice(b"kept: ");
    port.receive(&server, buffer, 8, token(5));
    for completion in collect(&mut port, 2) {
        match completion {
            Completion::Sent { token: got, batch, outcome } => {
                assert_eq!((got, &batch.inline, outcome), (token(4), b"one ", Ok(13)));
            }
            Completion::Received { token: got, buffer, outcome } => {
                assert_eq!((got, &buffer[..], outcome), (token(5), &b"kept: one two "[..], Ok(8)));
            }
            other => panic!("unexpected: {other:?}"),
        }
    }
    port.shut_down_send(&client).unwrap();
    let mut buffer = BytesMut::with_capacity(64);
    loop {
        port.receive(&server, buffer, 64, token(6));
        let Completion::Received { buffer: got, outcome, .. } = collect_one(&mut port) else { panic!("not a receive") };
        buffer = got;
        if outcome.unwrap() == 0 {
            break;
        }
    }
    assert_eq!(buffer, b"three"[..]);
    port.send(&server, Batch::new(*b"back"), token(7));
    collect_one(&mut port);
    port.receive(&client, BytesMut::with_capacity(64), 64, token(8));
    let Completion::Received { buffer, .. } = collect_one(&mut port) else { panic!("not a receive") };
    assert_eq!(buffer, b"back"[..], "half-closed, not closed");
    // Only a socket whose context was updated knows its peer and can be shut down.
    for socket in [&client, &server] {
        socket.open().socket.peer_addr().unwrap();
    }
    port.shut_down_send(&server).unwrap();
}

#[test]
fn bytes_go_both_ways_over_ipv4() {
    echo(LOOPBACK);
}

#[test]
fn bytes_go_both_ways_over_ipv6() {
    echo((Ipv6Addr::LOCALHOST, 0).into());
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
                assert_eq!(outcome.unwrap_err().end(), ConnectionEnd::ClosedHere);
            }
            Completion::Received { token: got, buffer, outcome } => {
                assert_eq!((got, buffer.as_ptr(), buffer.len()), (token(5), address, 0));
                assert_eq!(outcome, Err(SystemError::OPERATION_ABORTED));
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

#[test]
fn a_reset_is_told_from_an_end() {
    let mut port = Port::new().unwrap();
    let (socket, peer) = pair_with_std(&mut port);
    port.receive(&socket, BytesMut::with_capacity(64), 64, token(4));
    SockRef::from(&peer).set_linger(Some(Duration::ZERO)).unwrap();
    drop(peer);
    let Completion::Received { outcome, .. } = collect_one(&mut port) else { panic!("not a receive") };
    assert_eq!(outcome.unwrap_err().end(), ConnectionEnd::Reset);

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
    assert_eq!((got, outcome), (token(1), Err(SystemError::CONNECTION_REFUSED)));
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
fn an_address_is_listened_on_once_and_free_again_afterwards() {
    let mut port = Port::new().unwrap();
    let (listener, address) = port.listen(LOOPBACK).unwrap();
    assert!(port.listen(address).is_err());
    port.accept(&listener, token(1));
    port.accept(&listener, token(2));
    drop(listener);
    for completion in collect(&mut port, 2) {
        let Completion::Accepted { outcome, .. } = completion else { panic!("not an accept") };
        assert_eq!(outcome.unwrap_err(), SystemError::OPERATION_ABORTED);
    }
    port.listen(address).unwrap();
}

#[test]
fn options_can_be_set_on_both_ends() {
    let mut port = Port::new().unwrap();
    let (_listener, client, server) = pair(&mut port, LOOPBACK);
    let keepalive = Keepalive { idle: Duration::from_secs(5), interval: Duration::from_millis(1500), probes: Some(3) };
    for socket in [&client, &server] {
        port.set_keepalive(socket, keepalive).unwrap();
        assert!(socket.open().socket.keepalive().unwrap());
        port.set_no_delay(socket, true).unwrap();
        assert!(socket.open().socket.tcp_nodelay().unwrap());
    }
}

#[test]
fn a_wake_from_another_thread_ends_the_wait() {
    let mut port = Port::new().unwrap();
    let waker = port.waker();
    let barrier = Arc::new(Barrier::new(2));
    let other = thread::spawn({
        let (waker, barrier) = (waker.clone(), Arc::clone(&barrier));
        move || {
            barrier.wait();
            waker.wake_by_ref();
        }
    });
    barrier.wait();
    assert!(matches!(collect_one(&mut port), Completion::Woken));
    other.join().unwrap();

    for _ in 0..1000 {
        waker.wake_by_ref();
    }
    assert!(matches!(collect_one(&mut port), Completion::Woken));
    let mut completions = Vec::new();
    port.wait(Some(Duration::ZERO), &mut completions).unwrap();
    assert!(completions.is_empty(), "the wakes were joined into one");

    drop(port);
    waker.wake();
}

#[test]
fn a_wait_without_time_returns_at_once() {
    let mut port = Port::new().unwrap();
    let (listener, _) = port.listen(LOOPBACK).unwrap();
    port.accept(&listener, token(1));
    let (mut completions, before) = (Vec::new(), port.now());
    for _ in 0..100 {
        port.wait(Some(Duration::ZERO), &mut completions).unwrap();
    }
    assert!(completions.is_empty());
    assert!(port.now() - before < PATIENCE);
}

#[test]
fn a_hundred_connections_are_told_apart() {
    const CONNECTIONS: u32 = 100;
    let mut port = Port::new().unwrap();
    let (listener, address) = port.listen(LOOPBACK).unwrap();
    for slot in 0..CONNECTIONS {
        port.accept(&listener, token(slot));
    }
    let peers: Vec<_> = (0..CONNECTIONS).map(|_| TcpStream::connect(address).unwrap()).collect();
    let sockets: Vec<_> = collect(&mut port, peers.len()).into_iter().map(accepted).collect();
    for (slot, (socket, _)) in (0..).zip(&sockets) {
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
fn a_port_takes_back_what_is_pending_before_it_goes() {
    let mut port = Port::new().unwrap();
    let (listener, client, server) = pair(&mut port, LOOPBACK);
    port.accept(&listener, token(4));
    port.receive(&client, BytesMut::with_capacity(64), 64, token(5));
    port.send(&server, Batch::large(PENDS), token(6));
    let shares = [listener.share(), client.share(), server.share()];
    drop((listener, client, server));
    drop(port);
    for share in shares {
        assert_eq!(Arc::strong_count(&share), 1, "no operation is left that would hold a share");
    }
}

#[test]
#[should_panic(expected = "the socket belongs to another port")]
fn a_socket_of_another_port_is_refused() {
    let (mut port, mut other) = (Port::new().unwrap(), Port::new().unwrap());
    let (socket, _peer) = pair_with_std(&mut other);
    port.receive(&socket, BytesMut::with_capacity(8), 8, token(1));
}

#[test]
fn a_port_can_be_made_here_and_used_by_another_thread() {
    let mut port = Port::new().unwrap();
    let thread = thread::spawn(move || pair(&mut port, LOOPBACK).1);
    drop(thread.join().unwrap());
}
