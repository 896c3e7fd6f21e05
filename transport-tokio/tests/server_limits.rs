//! Limits of a server: each one, told to whoever is refused.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::support::{bounded, ms, until_closed, valid};
use pulsewire_transport_tokio::protocol::{
    Admission, Class, CloseFrame, CloseReason, Closed, Config, Event, Instant, Message, Retry, Role, Seed, Transmit,
};
use pulsewire_transport_tokio::{
    AdmissionLimits, ConnectError, Connection, Endpoint, Server, ServerConfig, ServerHandle, ServerLimits,
    ServerStatistics, StreamQueue,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::sync::Notify;

fn client() -> Endpoint {
    Endpoint::new(valid(Config::default()))
}

async fn listen(mut connection: Connection) {
    while connection.recv().await.is_some() {}
}

fn serve(change: impl FnOnce(&mut ServerLimits)) -> (ServerHandle, StreamQueue) {
    let mut limits = ServerLimits::default();
    change(&mut limits);
    let config = ServerConfig { limits, ..ServerConfig::default() };
    let mut server = Server::with_config(client(), config.validate().unwrap());
    let (streams, handle) = (server.streams(1), server.handle());
    tokio::spawn(server.serve(listen));
    (handle, streams)
}

async fn push(streams: &StreamQueue, peer: Option<&str>) -> DuplexStream {
    let (near, far) = tokio::io::duplex(64 << 10);
    let peer = peer.map(|peer| SocketAddr::new(peer.parse().unwrap(), 7));
    streams.push(near, peer).await.unwrap();
    far
}

async fn connect(streams: &StreamQueue, peer: Option<&str>) -> Result<Connection, Closed> {
    let mut connection = client().connection(push(streams, peer).await, Role::Client).unwrap();
    match connection.recv().await.unwrap().into_owned() {
        Event::Established(_) => Ok(connection),
        Event::Closed(closed) => Err(*closed),
        other => panic!("{other:?}"),
    }
}

/// Refused, with the advice of the default.
fn assert_overloaded(connected: Result<Connection, Closed>, because: &str) {
    let closed = connected.expect_err("no room");
    assert_eq!(closed.reason, CloseReason::OVERLOADED);
    assert!(closed.detail.contains(because), "{closed}");
    let Retry::After(after) = closed.retry else { panic!("{closed}") };
    assert!(after >= Duration::from_secs(5) && after <= Duration::from_secs(10), "{after:?}");
}

async fn until(handle: &ServerHandle, holds: impl Fn(&ServerStatistics) -> bool) {
    while !holds(&handle.statistics()) {
        tokio::time::sleep(ms(1)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn connections_are_limited_and_count_until_they_are_closed() {
    bounded(async {
        let (handle, streams) = serve(|limits| limits.connections = 2);
        let mut first = connect(&streams, None).await.unwrap();
        let _second = connect(&streams, None).await.unwrap();
        assert_overloaded(connect(&streams, None).await, "as many connections");
        assert_eq!(handle.statistics().refused.connections, 1);
        first.close(CloseReason::NORMAL);
        assert!(until_closed(&mut first).await.1.orderly);
        until(&handle, |statistics| statistics.occupancy.connections == 1).await;
        let _third = connect(&streams, None).await.unwrap();
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn connections_from_one_address_are_limited_by_the_network_of_ipv6() {
    bounded(async {
        let (handle, streams) = serve(|limits| limits.per_address = 1);
        let _v4 = connect(&streams, Some("192.0.2.7")).await.unwrap();
        assert_overloaded(connect(&streams, Some("::ffff:192.0.2.7")).await, "this address");
        let _other = connect(&streams, Some("192.0.2.8")).await.unwrap();
        let _v6 = connect(&streams, Some("2001:db8::1")).await.unwrap();
        assert_overloaded(connect(&streams, Some("2001:db8::2:1")).await, "this address");
        let _other_network = connect(&streams, Some("2001:db8:0:1::1")).await.unwrap();
        assert_eq!(handle.statistics().refused.per_address, 2);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn handshakes_are_limited_until_they_are_complete_or_time_is_up() {
    bounded(async {
        let (handle, streams) = serve(|limits| limits.handshakes = 1);
        let _established = connect(&streams, None).await.unwrap();
        let _silent = push(&streams, None).await;
        assert_overloaded(connect(&streams, None).await, "handshakes");
        tokio::time::sleep(Config::default().timeouts.handshake + ms(3_000)).await;
        let _later = connect(&streams, None).await.unwrap();
        assert_eq!((handle.statistics().refused.handshakes, handle.statistics().failed_handshakes), (1, 1));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn the_rate_of_new_connections_is_limited() {
    bounded(async {
        let (handle, streams) = serve(|limits| (limits.accepts_per_second, limits.accepts_burst) = (1, 2));
        let _burst = [connect(&streams, None).await.unwrap(), connect(&streams, None).await.unwrap()];
        assert_overloaded(connect(&streams, None).await, "in a second");
        tokio::time::sleep(ms(1_000)).await;
        let _later = connect(&streams, None).await.unwrap();
        assert_eq!(handle.statistics().refused.rate, 1);
    })
    .await;
}

/// To be told so takes a place and time, which are bounded too.
#[tokio::test(start_paused = true)]
async fn refusals_are_bounded_in_number_and_time() {
    bounded(async {
        let (handle, streams) = serve(|limits| (limits.connections, limits.refusals) = (1, 2));
        let _only = connect(&streams, None).await.unwrap();
        // They are told so, and stay.
        let mut refused = [push(&streams, None).await, push(&streams, None).await];
        for stream in &mut refused {
            assert!(stream.read_u8().await.is_ok());
        }
        // This one is closed without a word.
        assert_eq!(push(&streams, None).await.read(&mut [0; 10]).await.unwrap(), 0);
        let statistics = handle.statistics();
        assert_eq!((statistics.refused.connections, statistics.dropped, statistics.occupancy.refusals), (3, 1, 2));
        // What they may say changes nothing: the time to hear it ends.
        let began = tokio::time::Instant::now();
        let [mut talks, _silent] = refused;
        while handle.statistics().occupancy.refusals > 0 {
            let _closed = talks.write_all(&[7; 10]).await;
            tokio::time::sleep(ms(50)).await;
        }
        assert!(began.elapsed() <= Config::default().timeouts.linger + ms(200), "{:?}", began.elapsed());
        assert_overloaded(connect(&streams, None).await, "as many connections");
    })
    .await;
}

/// Over real sockets, where a reset could overtake what is said: the client has sent HELLO meanwhile.
#[tokio::test]
async fn whoever_is_refused_over_tcp_hears_it_each_time() {
    bounded(async {
        let limits = ServerLimits { connections: 1, ..ServerLimits::default() };
        let config = ServerConfig { limits, ..ServerConfig::default() }.validate().unwrap();
        let mut server = Server::with_config(client(), config);
        let address = server.listen("127.0.0.1:0").await.unwrap().address().unwrap();
        tokio::spawn(server.serve(listen));
        let _only = client().connect(address).await.unwrap();
        for _ in 0..100 {
            match client().connect(address).await {
                Err(ConnectError::Handshake { closed, .. }) => assert_overloaded(Err(*closed), "as many connections"),
                other => panic!("{other:?}"),
            }
        }
    })
    .await;
}

/// A client without I/O that has sent all but the end of a message of `size` bytes.
async fn open_message(stream: &mut DuplexStream, size: usize) {
    use pulsewire_transport_tokio::protocol::Connection;

    let mut machine = Connection::client(Instant::ZERO, &valid(Config::default()), Seed::from_bytes([7; 12]));
    let mut batch = Transmit::new();
    let mut received = Vec::new();
    while !machine.is_open() {
        while machine.poll_transmit(Instant::ZERO, 1 << 16, &mut batch) {
            let bytes = batch.slices().collect::<Vec<_>>().concat();
            stream.write_all(&bytes).await.unwrap();
            machine.transmitted(Instant::ZERO, &mut batch, bytes.len());
        }
        received.push(stream.read_u8().await.unwrap());
        let mut input = &received[..];
        while machine.receive(Instant::ZERO, &mut input).unwrap().is_some() {}
        received = input.to_vec();
    }
    machine.send(Instant::ZERO, Message::new(Class::BUSINESS, vec![7; size])).unwrap();
    let mut sent = 0;
    while sent < size - (1 << 17) && machine.poll_transmit(Instant::ZERO, 1 << 16, &mut batch) {
        let bytes = batch.slices().collect::<Vec<_>>().concat();
        if stream.write_all(&bytes).await.is_err() {
            return;
        }
        machine.transmitted(Instant::ZERO, &mut batch, bytes.len());
        sent += bytes.len();
    }
}

/// PW-CLS-020: all together hold no more than the limit, and a bit that came in before somebody was closed. Those that hold most
/// go, never the one that comes next.
#[tokio::test(start_paused = true)]
async fn open_messages_of_many_peers_hold_no_more_than_the_limit() {
    const LIMIT: usize = 8 << 20;
    bounded(async {
        let (handle, streams) = serve(|limits| limits.buffered = LIMIT);
        let mut modest = push(&streams, None).await;
        open_message(&mut modest, 300_000).await;
        let mut greedy = Vec::new();
        for _ in 0..30 {
            let mut stream = push(&streams, None).await;
            open_message(&mut stream, 1 << 20).await;
            greedy.push(stream);
            let held = handle.statistics().buffered;
            assert!(held <= LIMIT + (1 << 20), "{held} bytes are held");
        }
        until(&handle, |statistics| statistics.buffered <= LIMIT).await;
        let statistics = handle.statistics();
        assert!(statistics.buffered > LIMIT / 2, "{statistics:?}");
        assert!((21..=27).contains(&statistics.overloaded), "{statistics:?}");
        // The last one is there, and so is the one that holds little.
        let (modest_says, last_says) = (ends(&mut modest).await, ends(greedy.last_mut().unwrap()).await);
        assert!(!modest_says && !last_says);
        drop(greedy);
        drop(modest);
        until(&handle, |statistics| statistics.buffered == 0 && statistics.occupancy.connections == 0).await;
    })
    .await;
}

/// Whether the server has ended the stream.
async fn ends(stream: &mut DuplexStream) -> bool {
    let mut rest = Vec::new();
    tokio::time::timeout(ms(100), stream.read_to_end(&mut rest)).await.is_ok()
}

/// What waits to be sent counts as well, and whoever is closed is told why.
#[tokio::test(start_paused = true)]
async fn a_peer_that_does_not_read_is_closed_for_what_waits_for_it() {
    bounded(async {
        let limits = ServerLimits { buffered: 1 << 20, ..ServerLimits::default() };
        let config = ServerConfig { limits, ..ServerConfig::default() }.validate().unwrap();
        let mut server = Server::with_config(client(), config);
        let (streams, handle) = (server.streams(1), server.handle());
        let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
        tokio::spawn(server.serve(move |mut connection: Connection| {
            let tell = tell.clone();
            async move {
                connection.recv().await;
                let large = Message::new(Class::BUSINESS, vec![7; 2 << 20]);
                connection.sender().send(large).await.unwrap();
                tell.send(until_closed(&mut connection).await.1).unwrap();
            }
        }));
        let mut connection = connect(&streams, None).await.unwrap();
        let closed = told.recv().await.unwrap();
        assert_eq!((closed.reason, handle.statistics().overloaded), (CloseReason::OVERLOADED, 1), "{closed}");
        let (_, closed) = until_closed(&mut connection).await;
        assert_eq!(closed.reason, CloseReason::OVERLOADED, "{closed}");
    })
    .await;
}

mod checks {
    use super::*;

    /// One whose check does what the token says.
    fn serve_checked(admission: AdmissionLimits) -> (ServerHandle, StreamQueue) {
        let config = ServerConfig { admission, ..ServerConfig::default() };
        let mut server = Server::with_config(client(), config.validate().unwrap()).admit(|request, _peer| async move {
            match request.token.as_deref() {
                Some(b"friend") => Ok(()),
                Some(b"slow") => std::future::pending().await,
                Some(b"panic") => panic!("the check panics"),
                _ => Err(CloseFrame::from(CloseReason::REFUSED).with_text("friends only")),
            }
        });
        let (streams, handle) = (server.streams(1), server.handle());
        tokio::spawn(server.serve(listen));
        (handle, streams)
    }

    async fn connect_as(streams: &StreamQueue, token: &'static [u8]) -> Result<Connection, Closed> {
        let config = Config { token: Some(bytes::Bytes::from_static(token)), ..Config::default() };
        let stream = push(streams, None).await;
        let mut connection = Endpoint::new(valid(config)).connection(stream, Role::Client).unwrap();
        match connection.recv().await.unwrap().into_owned() {
            Event::Established(_) => Ok(connection),
            Event::Closed(closed) => Err(*closed),
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_check_admits_and_refuses_by_the_token() {
        bounded(async {
            let (handle, streams) = serve_checked(AdmissionLimits::default());
            let _admitted = connect_as(&streams, b"friend").await.unwrap();
            let closed = connect_as(&streams, b"stranger").await.unwrap_err();
            assert_eq!((closed.reason, &*closed.detail), (CloseReason::REFUSED, "friends only"));
            assert_eq!((handle.statistics().handled, handle.statistics().refused_by_check), (1, 1));
        })
        .await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_check_is_bounded_in_time_and_number() {
        bounded(async {
            let (handle, streams) = serve_checked(AdmissionLimits { at_once: 1, timeout: ms(2_000) });
            let began = tokio::time::Instant::now();
            let slow = tokio::spawn({
                let streams = streams.clone();
                async move { connect_as(&streams, b"slow").await }
            });
            until(&handle, |statistics| statistics.occupancy.handshakes == 1).await;
            tokio::time::sleep(ms(10)).await;
            assert_overloaded(connect_as(&streams, b"friend").await, "checking");
            assert_overloaded(slow.await.unwrap(), "in time");
            assert!(began.elapsed() >= ms(2_000) && began.elapsed() < ms(2_100), "{:?}", began.elapsed());
            let _admitted = connect_as(&streams, b"friend").await.unwrap();
        })
        .await;
    }

    /// A check that may take longer than the handshake ends before that, so that the client is told OVERLOADED.
    #[tokio::test(start_paused = true)]
    async fn a_check_ends_before_the_handshake_does() {
        bounded(async {
            let (_handle, streams) = serve_checked(AdmissionLimits { timeout: ms(600_000), ..Default::default() });
            assert_overloaded(connect_as(&streams, b"slow").await, "in time");
        })
        .await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_check_that_panics_costs_its_client_only() {
        bounded(async {
            let (handle, streams) = serve_checked(AdmissionLimits::default());
            assert_overloaded(connect_as(&streams, b"panic").await, "could not check");
            let _admitted = connect_as(&streams, b"friend").await.unwrap();
            assert_eq!(handle.statistics().panics, 1);
        })
        .await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_leaves_is_not_asked_about_any_longer() {
        bounded(async {
            let (handle, streams) = serve_checked(AdmissionLimits { at_once: 1, ..Default::default() });
            let config = Config { token: Some(bytes::Bytes::from_static(b"slow")), ..Config::default() };
            let connection = Endpoint::new(valid(config)).connection(push(&streams, None).await, Role::Client).unwrap();
            let (sender, mut leaves) = (connection.sender(), connection);
            tokio::spawn(async move { while leaves.recv().await.is_some() {} });
            until(&handle, |statistics| statistics.occupancy.handshakes == 1).await;
            tokio::time::sleep(ms(10)).await;
            sender.abort();
            until(&handle, |statistics| statistics.occupancy.handshakes == 0).await;
            let _admitted = connect_as(&streams, b"friend").await.unwrap();
        })
        .await;
    }
}

/// Whom the handler has not judged yet is in the handshake.
#[tokio::test]
async fn handshakes_that_the_handler_judges_are_limited_until_it_has() {
    bounded(async {
        let limits = ServerLimits { handshakes: 2, ..ServerLimits::default() };
        let config = ServerConfig { limits, ..ServerConfig::default() };
        let asking = Config { admission: Admission::Ask, ..Config::default() };
        let mut server = Server::with_config(Endpoint::new(valid(asking)), config.validate().unwrap());
        let (streams, handle) = (server.streams(1), server.handle());
        let judge = Arc::new(Notify::new());
        tokio::spawn(server.serve({
            let judge = Arc::clone(&judge);
            move |mut connection: Connection| {
                let judge = Arc::clone(&judge);
                async move {
                    assert!(matches!(connection.recv().await, Some(Event::Admission(_))));
                    judge.notified().await;
                    connection.accept();
                    listen(connection).await;
                }
            }
        }));
        let begin = async || client().connection(push(&streams, None).await, Role::Client).unwrap();
        let mut first = [begin().await, begin().await];
        for connection in &mut first {
            // HELLO goes out.
            tokio::time::timeout(ms(1), connection.recv()).await.unwrap_err();
        }
        until(&handle, |statistics| statistics.handled == 2).await;
        assert_eq!(handle.statistics().occupancy.handshakes, 2);
        assert_overloaded(connect(&streams, None).await, "handshakes");
        judge.notify_waiters();
        for connection in &mut first {
            assert!(matches!(connection.recv().await, Some(Event::Established(_))));
        }
        assert_eq!(handle.statistics().occupancy.handshakes, 0);
        // There is room again.
        let mut later = begin().await;
        tokio::time::timeout(ms(1), later.recv()).await.unwrap_err();
        until(&handle, |statistics| statistics.handled == 3).await;
    })
    .await;
}
