//! What the fake port promises to those who test with it, over many seeds.

mod ends;

use super::*;
use std::collections::BTreeMap;
use std::num::NonZeroU64;

/// Steps after which a test that gets nowhere fails.
const PATIENCE: usize = 100_000;

/// Bytes of which the front has been sent.
#[derive(Debug)]
struct Batch {
    bytes: Vec<u8>,
    sent: usize,
}

impl Batch {
    fn new(bytes: Vec<u8>) -> Self {
        Self { bytes, sent: 0 }
    }
}

#[expect(unsafe_code, reason = "a promise about addresses")]
// SAFETY: the bytes are on the heap or static, and never change.
unsafe impl GatherBuffer for Batch {
    fn slices(&self) -> impl Iterator<Item = &[u8]> {
        self.bytes[self.sent..].chunks(100)
    }
}

fn token(slot: u32) -> Token {
    Token { slot, cookie: NonZeroU64::new(1000 + u64::from(slot)).unwrap() }
}

type Finished = Completion<FakeSocket, Batch>;

fn token_of(completion: &Finished) -> Token {
    match completion {
        Completion::Accepted { token, .. }
        | Completion::Connected { token, .. }
        | Completion::Received { token, .. }
        | Completion::Readable { token, .. }
        | Completion::Sent { token, .. } => *token,
        Completion::Woken => panic!("nobody woke the port"),
    }
}

/// Waits until everything that is pending came back.
fn drain(port: &mut FakePort<Batch>) -> Vec<Finished> {
    let mut completions = Vec::new();
    for _ in 0..PATIENCE {
        if port.outstanding() == 0 {
            return completions;
        }
        port.wait(Some(Duration::ZERO), &mut completions).unwrap();
    }
    panic!("{} operations never came back", port.outstanding());
}

const ANYWHERE: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);

/// The two ends of a connection: the one that connected, the one that was accepted.
fn pair(port: &mut FakePort<Batch>) -> (FakeSocket, FakeSocket) {
    let (listener, address) = port.listen(ANYWHERE, ListenOptions::default()).unwrap();
    port.accept(&listener, token(0));
    let client = port.connect(address, token(1)).unwrap();
    let mut ends = BTreeMap::new();
    let mut server = None;
    for completion in drain(port) {
        match completion {
            Completion::Accepted { token: got, outcome } => {
                assert_eq!(got, token(0));
                let (socket, addresses) = outcome.unwrap();
                server = Some(socket);
                ends.insert("accepted", addresses);
            }
            Completion::Connected { token: got, outcome } => {
                assert_eq!(got, token(1));
                ends.insert("connected", outcome.unwrap());
            }
            other => panic!("unexpected: {:?}", token_of(&other)),
        }
    }
    assert_eq!(ends["accepted"].local, ends["connected"].remote);
    assert_eq!(ends["accepted"].remote, ends["connected"].local);
    let server = server.unwrap();
    port.adopt(&server).unwrap();
    (client, server)
}

fn on_each_network(check: impl Fn(&FakeNetwork, &mut FakePort<Batch>)) {
    for_each_seed(|seed| {
        let network = FakeNetwork::new(seed);
        check(&network, &mut network.port());
    });
}

/// Like the real port: it takes nothing, tells of an end as of bytes, and fails with what ended the connection.
#[test]
fn what_can_be_received_is_told_without_a_buffer() {
    on_each_network(|network, port| {
        let (client, server) = pair(port);
        port.await_readable(&server, token(2));
        let mut completions = Vec::new();
        port.wait(Some(Duration::from_secs(1)), &mut completions).unwrap();
        assert!(completions.is_empty(), "there is nothing yet");
        port.send(&client, Batch::new(b"all of it".to_vec()), token(3));
        let told = drain(port);
        assert!(told.iter().any(|it| matches!(it, Completion::Readable { outcome: Ok(()), .. })));
        for _ in 0..2 {
            port.await_readable(&server, token(4));
            assert!(matches!(drain(port)[..], [Completion::Readable { outcome: Ok(()), .. }]), "nothing was taken");
        }
        network.reset(&server);
        port.await_readable(&server, token(5));
        assert!(matches!(drain(port)[..], [Completion::Readable { outcome: Err(SystemError::NETNAME_DELETED), .. }]));

        let (client, server) = pair(port);
        port.shut_down_send(&client).unwrap();
        port.await_readable(&server, token(6));
        assert!(matches!(drain(port)[..], [Completion::Readable { outcome: Ok(()), .. }]));
    });
}

#[test]
fn bytes_arrive_whole_and_in_order_while_sends_and_receives_are_cut_short() {
    on_each_network(|_, port| {
        let (client, server) = pair(port);
        let sent: Vec<u8> = (0..20_000_u32).map(|index| (index % 251) as u8).collect();
        let mut received = BytesMut::with_capacity(sent.len());
        port.send(&client, Batch::new(sent.clone()), token(2));
        port.receive(&server, std::mem::take(&mut received), 700, token(3));
        let (mut partial, mut completions) = (0, Vec::new());
        for _ in 0..PATIENCE {
            port.wait(Some(Duration::ZERO), &mut completions).unwrap();
            for completion in completions.drain(..) {
                match completion {
                    Completion::Sent { token: got, mut batch, outcome } => {
                        assert_eq!(got, token(2));
                        batch.sent += outcome.unwrap();
                        if batch.sent < sent.len() {
                            partial += 1;
                            port.send(&client, batch, token(2));
                        }
                    }
                    Completion::Received { token: got, buffer, outcome } => {
                        assert_eq!(got, token(3));
                        assert!((1..=700).contains(&outcome.unwrap()));
                        received = buffer;
                        if received.len() < sent.len() {
                            port.receive(&server, std::mem::take(&mut received), 700, token(3));
                        }
                    }
                    other => panic!("unexpected: {:?}", token_of(&other)),
                }
            }
            if port.outstanding() == 0 {
                break;
            }
        }
        assert_eq!(received, sent);
        assert!(partial > 0);
    });
}

#[test]
fn every_operation_comes_back_exactly_once_with_its_token() {
    on_each_network(|_, port| {
        let pairs: Vec<_> = (0..5).map(|_| pair(port)).collect();
        let mut expected = BTreeMap::new();
        let mut slot = 10;
        for (client, server) in &pairs {
            for socket in [client, server] {
                port.receive(socket, BytesMut::with_capacity(64), 64, token(slot));
                port.send(socket, Batch::new(vec![7; 10]), token(slot + 1));
                expected.insert(slot, 0);
                expected.insert(slot + 1, 0);
                slot += 2;
            }
        }
        for completion in drain(port) {
            *expected.get_mut(&token_of(&completion).slot).unwrap() += 1;
        }
        assert!(expected.values().all(|&times| times == 1), "{expected:?}");
    });
}

#[test]
fn the_order_of_completions_depends_on_the_seed_and_on_nothing_else() {
    // As many as it takes for all orders to occur.
    const SEEDS: u64 = 200;
    let order = |seed| {
        let mut port = FakeNetwork::new(seed).port();
        let pairs: Vec<_> = (0..4).map(|_| pair(&mut port)).collect();
        for (slot, (client, _)) in (0..).zip(&pairs) {
            port.send(client, Batch::new(vec![0; 1000]), token(slot));
        }
        drain(&mut port).iter().map(|completion| token_of(completion).slot).collect::<Vec<_>>()
    };
    let orders: std::collections::BTreeSet<_> = (0..SEEDS).map(order).collect();
    assert_eq!(orders.len(), 24, "all orders of four completions occur");
    assert!((0..SEEDS).all(|seed| order(seed) == order(seed)));
}

/// Sends until nothing more fits, and leaves the last send pending.
fn fill(port: &mut FakePort<Batch>, socket: &FakeSocket, token: Token) {
    port.send(socket, Batch::new(vec![1; 50_000]), token);
    let mut completions = Vec::new();
    for _ in 0..PATIENCE {
        port.wait(Some(Duration::ZERO), &mut completions).unwrap();
        match completions.pop() {
            Some(Completion::Sent { mut batch, outcome, .. }) => {
                batch.sent += outcome.unwrap();
                port.send(socket, batch, token);
            }
            Some(other) => panic!("unexpected: {:?}", token_of(&other)),
            None => return,
        }
    }
    panic!("it never filled up");
}

/// How one receive on `socket` ends.
fn receive(port: &mut FakePort<Batch>, socket: &FakeSocket) -> Result<Vec<u8>, SystemError> {
    port.receive(socket, BytesMut::with_capacity(64), 64, token(9));
    match drain(port).pop() {
        Some(Completion::Received { buffer, outcome, .. }) => outcome.map(|_| buffer.to_vec()),
        _ => panic!("the receive did not come back"),
    }
}

fn send(port: &mut FakePort<Batch>, socket: &FakeSocket, bytes: &[u8]) -> Result<usize, SystemError> {
    port.send(socket, Batch::new(bytes.to_vec()), token(8));
    match drain(port).pop() {
        Some(Completion::Sent { outcome, .. }) => outcome,
        _ => panic!("the send did not come back"),
    }
}

#[test]
fn a_wake_ends_the_wait_and_time_stands_still() {
    let mut port = FakeNetwork::new(1).port::<Batch>();
    let waker = port.waker();
    waker.wake_by_ref();
    waker.wake();
    let mut completions = Vec::new();
    port.wait(Some(Duration::from_secs(5)), &mut completions).unwrap();
    assert!(matches!(completions[..], [Completion::Woken]), "two wakes are joined");
    assert_eq!(port.now(), Duration::ZERO);
    port.wait(Some(Duration::from_secs(5)), &mut completions).unwrap();
    assert_eq!((completions.len(), port.now()), (1, Duration::from_secs(5)));
}

#[test]
fn options_need_a_connection() {
    let network = FakeNetwork::new(1);
    let mut port = network.port();
    let (client, _server) = pair(&mut port);
    let keepalive = Keepalive::new(Duration::from_secs(5), Duration::from_secs(1), 3).unwrap();
    port.set_no_delay(&client, true).unwrap();
    port.set_keepalive(&client, keepalive).unwrap();
    let early = port.connect(ANYWHERE, token(1)).unwrap();
    assert!(port.set_keepalive(&early, keepalive).is_err());
}

#[test]
fn sockets_of_different_ports_reach_each_other() {
    let network = FakeNetwork::new(1);
    let (mut serving, mut connecting) = (network.port::<Batch>(), network.port::<Batch>());
    let (listener, address) = serving.listen(ANYWHERE, ListenOptions::default()).unwrap();
    serving.accept(&listener, token(0));
    let client = connecting.connect(address, token(1)).unwrap();
    drain(&mut connecting);
    let Some(Completion::Accepted { outcome: Ok((server, _)), .. }) = drain(&mut serving).pop() else {
        panic!("not accepted")
    };
    serving.adopt(&server).unwrap();
    assert_eq!(send(&mut connecting, &client, b"x"), Ok(1));
    assert_eq!(receive(&mut serving, &server), Ok(b"x".to_vec()));
}
