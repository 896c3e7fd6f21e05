//! Serving: handlers, addresses, an end in order.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use crate::support::{bounded, message, ms, next_message, until_closed, valid};
use pulsewire_transport_tokio::protocol::{Admission, CloseReason, Config, Event, Origin, Retry, Role};
use pulsewire_transport_tokio::{
    Connection, Endpoint, Lifetime, ListenerHandle, Server, ServerConfig, ServerHandle, ShutdownTimes, SocketOptions,
    StreamQueue, socket,
};
use tokio::task::JoinHandle;
use tracing::span::{Attributes, Id, Record};
use tracing::{Level, Metadata, Subscriber};

/// Notes the warnings and errors of this thread's log.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<Level>>>);

impl Subscriber for Log {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= Level::WARN
    }
    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }
    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn event(&self, event: &tracing::Event<'_>) {
        self.0.lock().unwrap().push(*event.metadata().level());
    }
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

async fn echo(mut connection: Connection) {
    let sender = connection.sender();
    while let Some(event) = connection.recv().await {
        if let Event::Message(message) = event {
            let _closing = sender.send(message).await;
        }
    }
}

fn client() -> Endpoint {
    Endpoint::new(valid(Config::default()))
}

/// One that listens on a port, and serves.
async fn serve(config: ServerConfig) -> (ServerHandle, ListenerHandle, JoinHandle<()>) {
    let mut server = Server::with_config(client(), config.validate().unwrap());
    let listener = server.listen("127.0.0.1:0").await.unwrap();
    let handle = server.handle();
    (handle, listener, tokio::spawn(server.serve(echo)))
}

/// One whose streams are in memory, for virtual time.
fn serve_streams(config: ServerConfig) -> (ServerHandle, StreamQueue, JoinHandle<()>) {
    let mut server = Server::with_config(client(), config.validate().unwrap());
    let streams = server.streams(1);
    let handle = server.handle();
    (handle, streams, tokio::spawn(server.serve(echo)))
}

async fn connect(streams: &StreamQueue) -> Connection {
    let (near, far) = tokio::io::duplex(64 << 10);
    streams.push(near, None).await.unwrap();
    let mut connection = client().connection(far, Role::Client).unwrap();
    assert!(matches!(connection.recv().await, Some(Event::Established(_))));
    connection
}

async fn is_served(connection: &mut Connection, number: u64) {
    connection.sender().send(message(number, 3_000)).await.unwrap();
    assert_eq!(next_message(connection).await, message(number, 3_000));
}

#[tokio::test]
async fn several_addresses_are_served_by_one_handler_and_each_can_be_ended_alone() {
    bounded(async {
        let mut server = Server::new(client());
        let v4 = server.listen("127.0.0.1:0").await.unwrap();
        let v6 = server.listen("[::1]:0").await.unwrap();
        let existing = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let given = server.listen_with(existing).unwrap();
        let handle = server.handle();
        let serving = tokio::spawn(server.serve(echo));
        let mut connections = Vec::new();
        for listener in [&v4, &v6, &given] {
            let mut connection = client().connect(listener.address().unwrap()).await.unwrap();
            is_served(&mut connection, 1).await;
            connections.push(connection);
        }
        v6.stop();
        while client().connect(v6.address().unwrap()).await.is_ok() {
            tokio::task::yield_now().await;
        }
        connections.push(client().connect(v4.address().unwrap()).await.unwrap());
        for connection in &mut connections {
            is_served(connection, 2).await;
        }
        handle.stop_accepting();
        while client().connect(v4.address().unwrap()).await.is_ok() {
            tokio::task::yield_now().await;
        }
        for connection in &mut connections {
            is_served(connection, 3).await;
            connection.close(CloseReason::NORMAL);
            assert!(until_closed(connection).await.1.orderly);
        }
        // Nothing is accepted, and the last handler has ended.
        serving.await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_dual_stack_listener_serves_both_families() {
    bounded(async {
        let listen = socket::ListenOptions { dual_stack: true, ..Default::default() };
        let options = SocketOptions { listen, ..SocketOptions::default() };
        let mut server = Server::new(Endpoint::with_options(valid(Config::default()), options));
        let port = server.listen("[::]:0").await.unwrap().address().unwrap().port();
        let _serving = tokio::spawn(server.serve(echo));
        for address in [format!("127.0.0.1:{port}"), format!("[::1]:{port}")] {
            is_served(&mut client().connect(address).await.unwrap(), 1).await;
        }
    })
    .await;
}

#[cfg(unix)]
#[tokio::test]
async fn a_unix_socket_is_served_and_one_that_nobody_listens_on_is_replaced() {
    bounded(async {
        let directory = std::env::temp_dir().join(format!("pulsewire-server-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let path = directory.join("socket");
        for number in 0..2 {
            let mut server = Server::new(client());
            // The second time the file of the first one is there.
            let listener = server.listen_unix(&path).await.unwrap();
            assert_eq!(listener.address(), None);
            assert!(Server::new(client()).listen_unix(&path).await.is_err(), "somebody listens there");
            let handle = server.handle();
            let serving = tokio::spawn(server.serve(echo));
            let stream = tokio::net::UnixStream::connect(&path).await.unwrap();
            let mut connection = client().connection(stream, Role::Client).unwrap();
            assert!(matches!(connection.recv().await, Some(Event::Established(_))));
            is_served(&mut connection, number).await;
            connection.close(CloseReason::NORMAL);
            until_closed(&mut connection).await;
            assert!(handle.shutdown().await.is_clean());
            serving.await.unwrap();
        }
        std::fs::remove_dir_all(directory).unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_handler_that_panics_costs_its_connection_only() {
    let log = Log::default();
    let _logging = tracing::subscriber::set_default(log.clone());
    bounded(async {
        let mut server = Server::new(client());
        let address = server.listen("127.0.0.1:0").await.unwrap().address().unwrap();
        let handle = server.handle();
        let calls = Arc::new(AtomicUsize::new(0));
        let _serving = tokio::spawn(server.serve(move |mut connection| {
            let call = calls.fetch_add(1, Ordering::SeqCst);
            assert!(call != 0, "before there is a future");
            async move {
                connection.recv().await;
                assert!(call != 1, "in the future");
                echo(connection).await;
            }
        }));
        for _ in 0..2 {
            // It may be cut before HELLO_ACK has left.
            if let Ok(mut connection) = client().connect(address).await {
                let (_, closed) = until_closed(&mut connection).await;
                assert!(!closed.orderly, "{closed}");
            }
        }
        is_served(&mut client().connect(address).await.unwrap(), 1).await;
        assert_eq!(handle.statistics().panics, 2);
        assert_eq!(*log.0.lock().unwrap(), [Level::ERROR; 2]);
    })
    .await;
}

/// Like those of load balancers: they connect and leave, by FIN and by RST.
#[tokio::test]
async fn health_checks_reach_no_handler_and_no_log_and_are_counted_apart() {
    let log = Log::default();
    let _logging = tracing::subscriber::set_default(log.clone());
    bounded(async {
        let (handle, listener, _serving) = serve(ServerConfig::default()).await;
        for reset in [false, true] {
            for _ in 0..3 {
                let stream = std::net::TcpStream::connect(listener.address().unwrap()).unwrap();
                if reset {
                    socket2::SockRef::from(&stream).set_linger(Some(ms(0))).unwrap();
                }
            }
        }
        is_served(&mut client().connect(listener.address().unwrap()).await.unwrap(), 1).await;
        // Windows refuses to accept what was reset before.
        let seen =
            || handle.statistics().health_checks + handle.statistics().accept_failures * u64::from(cfg!(windows));
        while seen() < 6 {
            tokio::time::sleep(ms(1)).await;
        }
        let statistics = handle.statistics();
        assert_eq!((statistics.handled, statistics.failed_handshakes, statistics.unusable), (1, 0, 0));
        assert!(log.0.lock().unwrap().is_empty());
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn the_handler_judges_clients_where_the_endpoint_asks() {
    bounded(async {
        let asking = Config { admission: Admission::Ask, ..Config::default() };
        let mut server = Server::new(Endpoint::new(valid(asking)));
        let streams = server.streams(1);
        let _serving = tokio::spawn(server.serve(|mut connection: Connection| async move {
            assert!(matches!(connection.recv().await, Some(Event::Admission(_))));
            connection.accept();
            assert!(matches!(connection.recv().await, Some(Event::Established(_))));
            echo(connection).await;
        }));
        is_served(&mut connect(&streams).await, 1).await;
    })
    .await;
}

/// Handlers see Established first, as those of an accept loop do.
#[tokio::test(start_paused = true)]
async fn the_first_event_of_a_handler_is_established() {
    bounded(async {
        let mut server = Server::new(client());
        let streams = server.streams(1);
        let (tell, mut told) = tokio::sync::mpsc::channel(1);
        let _serving = tokio::spawn(server.serve(move |mut connection: Connection| {
            let tell = tell.clone();
            async move {
                let first = connection.recv().await.unwrap().into_owned();
                tell.send(matches!(first, Event::Established(_))).await.unwrap();
                echo(connection).await;
            }
        }));
        let mut connection = connect(&streams).await;
        assert!(told.recv().await.unwrap());
        is_served(&mut connection, 1).await;
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_connection_is_drained_at_its_age_and_closed_after_the_grace() {
    bounded(async {
        let lifetime = Lifetime { longest: ms(40_000), jitter_percent: 10, grace: ms(7_000) };
        let config = ServerConfig { lifetime: Some(lifetime), ..ServerConfig::default() };
        let (handle, streams, _serving) = serve_streams(config);
        let began = tokio::time::Instant::now();
        // This one does what DRAIN asks for; the other one waits.
        let (mut heeds, mut waits) = (connect(&streams).await, connect(&streams).await);
        let heeding = tokio::spawn(async move {
            while !matches!(heeds.recv().await.unwrap(), Event::Draining { .. }) {}
            heeds.close(CloseReason::NORMAL);
            until_closed(&mut heeds).await.1
        });
        while !matches!(waits.recv().await.unwrap(), Event::Draining { .. }) {}
        let drained = began.elapsed();
        assert!(drained >= ms(36_000) && drained < ms(40_200), "{drained:?}");
        let (_, closed) = until_closed(&mut waits).await;
        assert_eq!((closed.reason, closed.origin), (CloseReason::GOING_AWAY, Origin::Peer));
        assert_eq!(closed.retry, Retry::After(ms(0)));
        assert!(closed.orderly && closed.detail.contains("longest age"), "{closed}");
        let grace = began.elapsed() - drained;
        assert!(grace >= ms(6_900) && grace < ms(7_200), "{grace:?}");
        assert!(heeding.await.unwrap().orderly);
        assert_eq!(handle.statistics().aged, 2);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_drains_closes_and_cuts_and_tells_what_became_of_each() {
    bounded(async {
        let shutdown = ShutdownTimes { drain: ms(4_000), close: ms(3_000) };
        let (handle, streams, serving) = serve_streams(ServerConfig { shutdown, ..ServerConfig::default() });
        let began = tokio::time::Instant::now();
        let (mut heeds, mut waits, hangs) = (connect(&streams).await, connect(&streams).await, connect(&streams).await);
        let heeding = tokio::spawn(async move {
            while !matches!(heeds.recv().await.unwrap(), Event::Draining { .. }) {}
            is_served(&mut heeds, 1).await;
            heeds.close(CloseReason::NORMAL);
            until_closed(&mut heeds).await.1
        });
        let waiting = tokio::spawn(async move { until_closed(&mut waits).await.1 });
        // It neither reads nor answers any more.
        std::mem::forget(hangs);
        let report = handle.shutdown().await;
        assert_eq!((report.orderly, report.cut, report.connections()), (2, 1, 3), "{report}");
        assert!(!report.is_clean());
        assert!(began.elapsed() >= ms(7_000) && began.elapsed() < ms(7_500), "{:?}", began.elapsed());
        assert!(heeding.await.unwrap().orderly);
        assert_eq!(waiting.await.unwrap().reason, CloseReason::GOING_AWAY);
        serving.await.unwrap();
        assert!(streams.push(tokio::io::duplex(1).0, None).await.is_err());
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_takes_no_longer_than_the_peers_do() {
    bounded(async {
        let (handle, streams, serving) = serve_streams(ServerConfig::default());
        let began = tokio::time::Instant::now();
        let mut connection = connect(&streams).await;
        let peer = tokio::spawn(async move {
            while !matches!(connection.recv().await.unwrap(), Event::Draining { .. }) {}
            connection.close(CloseReason::NORMAL);
            until_closed(&mut connection).await
        });
        let report = handle.shutdown().await;
        assert!(report.is_clean() && report.orderly == 1, "{report}");
        assert!(began.elapsed() < ms(1_000), "{:?}", began.elapsed());
        peer.await.unwrap();
        serving.await.unwrap();
    })
    .await;
}

#[cfg(unix)]
#[tokio::test]
async fn a_file_that_is_no_socket_is_left_alone() {
    let path = std::env::temp_dir().join(format!("pulsewire-no-socket-{}", std::process::id()));
    std::fs::write(&path, b"precious").unwrap();
    let refused = Server::new(client()).listen_unix(&path).await.unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::AddrInUse);
    assert_eq!(std::fs::read(&path).unwrap(), b"precious");
    std::fs::remove_file(&path).unwrap();
}
