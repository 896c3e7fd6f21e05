//! Closing in order, on both sides.

use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Waker};

use crate::support::{Server, bounded, message, ms, until_closed, valid};
use pulsewire_transport_tokio::protocol::{CloseReason, Config, Origin, Role};
use pulsewire_transport_tokio::{Connection, Endpoint, ShutdownReport};
use tracing::span::{Attributes, Id, Record};
use tracing::{Metadata, Subscriber};

#[tokio::test]
async fn a_shutdown_loses_nothing_that_was_sent_before() {
    bounded(async {
        let server = Server::start(Config::default()).await;
        let endpoint = Endpoint::new(valid(Config::default()));
        let mut clients = Vec::new();
        for client in 0..20 {
            let connection = endpoint.connect(server.address).await.unwrap();
            for number in 0..20 {
                connection.sender().send(message(client * 100 + number, 3_000)).await.unwrap();
            }
            clients.push(connection);
        }
        let closing = clients.into_iter().map(|mut connection| {
            tokio::spawn(async move {
                connection.close(CloseReason::NORMAL);
                until_closed(&mut connection).await
            })
        });
        for (client, closing) in closing.collect::<Vec<_>>().into_iter().enumerate() {
            let (messages, closed) = closing.await.unwrap();
            assert!(closed.orderly, "{closed:?}");
            assert_eq!(closed.acknowledged, Some(20));
            let expected: Vec<_> = (0..20).map(|number| message(client as u64 * 100 + number, 3_000)).collect();
            assert_eq!(messages, expected);
        }
        server.stop_accepting();
        assert!(server.endpoint.shutdown(ms(5_000)).await.is_clean());
        assert!(endpoint.shutdown(ms(5_000)).await.is_clean());
    })
    .await;
}

#[tokio::test]
async fn a_server_that_shuts_down_says_so() {
    bounded(async {
        let mut server = Server::start(Config::default()).await;
        let endpoint = Endpoint::new(valid(Config::default()));
        let mut connection = endpoint.connect(server.address).await.unwrap();
        server.stop_accepting();
        let (report, (_, closed)) = tokio::join!(server.endpoint.shutdown(ms(5_000)), until_closed(&mut connection));
        assert!(report.is_clean() && report.orderly == 1, "{report}");
        assert_eq!((closed.reason, closed.origin, closed.orderly), (CloseReason::GOING_AWAY, Origin::Peer, true));
        assert!(server.endings.recv().await.unwrap().orderly);
    })
    .await;
}

#[tokio::test]
async fn a_peer_that_does_not_answer_close_is_cut_after_the_patience() {
    bounded(async {
        let server = Server::start(Config::default()).await;
        let endpoint = Endpoint::new(valid(Config::default()));
        // Nobody receives from this one, so nothing answers.
        let _connection = endpoint.connect(server.address).await.unwrap();
        assert!(!server.endpoint.shutdown(ms(100)).await.is_clean());
    })
    .await;
}

/// An endpoint with one established connection that a task receives from, and the peer.
async fn one(config: Config, stream_holds: usize) -> (Endpoint, pulsewire_transport_tokio::Sender, Connection) {
    let (near, far) = tokio::io::duplex(stream_holds);
    let endpoint = Endpoint::new(valid(config));
    let mut server = endpoint.connection(near, Role::Server).unwrap();
    let mut client = Endpoint::new(valid(Config::default())).connection(far, Role::Client).unwrap();
    tokio::join!(client.recv(), server.recv());
    let sender = server.sender();
    tokio::spawn(async move { while server.recv().await.is_some() {} });
    (endpoint, sender, client)
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_does_not_answer_close_in_time_is_reported_as_such() {
    bounded(async {
        let mut config = Config::default();
        (config.timeouts.close, config.timeouts.linger) = (ms(1_000), ms(100));
        // What the stream takes while nobody reads the other end.
        let (endpoint, sender, client) = one(config, 64 << 10).await;
        let held = client.sender();
        std::mem::forget(client);
        sender.send(message(1, 100)).await.unwrap();
        let report = endpoint.shutdown(ms(60_000)).await;
        assert_eq!((report.timed_out, report.connections()), (1, 1), "{report}");
        assert!(!report.is_clean(), "{report}");
        drop(held);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn what_was_not_sent_is_reported_where_the_patience_ends() {
    bounded(async {
        let (endpoint, sender, client) = one(Config::default(), 1 << 10).await;
        std::mem::forget(client);
        for number in 0..4 {
            sender.send(message(number, 200_000)).await.unwrap();
        }
        let report = endpoint.shutdown(ms(100)).await;
        assert_eq!((report.cut, report.connections()), (1, 1), "{report}");
        // Three at least were never handed out, and of the first most was not taken.
        assert!(report.unsent_messages >= 2 && report.unsent_bytes >= 400_000, "{report:?}");
        assert!(report.unacknowledged_bytes > 0, "{report:?}");
        assert_eq!(endpoint.shutdown(ms(100)).await, ShutdownReport::default(), "each is reported once");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_finds_a_fault_is_reported_as_such() {
    bounded(async {
        let (endpoint, _sender, mut client) = one(Config::default(), 1 << 10).await;
        client.close(CloseReason::BAD_PACKET);
        let report = endpoint.shutdown(ms(60_000)).await;
        assert_eq!((report.failed, report.connections(), report.is_clean()), (1, 1, false), "{report}");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_is_gone_and_one_that_never_spoke_are_told_apart() {
    bounded(async {
        let (endpoint, _sender, client) = one(Config::default(), 1 << 10).await;
        let (near, _silent) = tokio::io::duplex(1_000);
        let mut silent = endpoint.connection(near, Role::Server).unwrap();
        tokio::spawn(async move { while silent.recv().await.is_some() {} });
        client.sender().abort();
        let report = endpoint.shutdown(ms(60_000)).await;
        assert_eq!((report.reset, report.unestablished, report.connections()), (1, 1, 2), "{report}");
    })
    .await;
}

/// Notes, at the moment at which a connection says that it is closed, whether a shutdown would be complete.
struct Watch {
    endpoint: std::sync::Mutex<Option<Endpoint>>,
    complete: AtomicBool,
}

impl Subscriber for &'static Watch {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }
    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }
    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn event(&self, _: &tracing::Event<'_>) {
        if let Some(endpoint) = &*self.endpoint.lock().unwrap() {
            let shutdown = pin!(endpoint.shutdown(ms(1_000)));
            let now = shutdown.poll(&mut Context::from_waker(Waker::noop()));
            self.complete.fetch_or(now.is_ready(), Ordering::SeqCst);
        }
    }
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

/// The last words of a connection belong to it: until they are said, a shutdown is not complete.
#[tokio::test]
async fn a_shutdown_is_not_complete_between_the_end_of_a_connection_and_its_farewell() {
    static WATCH: Watch = Watch { endpoint: std::sync::Mutex::new(None), complete: AtomicBool::new(false) };
    let _watched = tracing::subscriber::set_default(&WATCH);
    bounded(async {
        let (near, far) = tokio::io::duplex(1_000);
        let endpoint = Endpoint::new(valid(Config::default()));
        let mut server = endpoint.connection(near, Role::Server).unwrap();
        let mut client = Endpoint::new(valid(Config::default())).connection(far, Role::Client).unwrap();
        tokio::join!(client.recv(), server.recv());
        *WATCH.endpoint.lock().unwrap() = Some(endpoint.clone());
        server.close(CloseReason::PING_FLOOD);
        until_closed(&mut server).await;
        assert!(!WATCH.complete.load(Ordering::SeqCst));
    })
    .await;
}
