//! Closing in order, on both sides.

mod support;

use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Waker};

use pulsewire_transport_tokio::Endpoint;
use pulsewire_transport_tokio::protocol::{CloseReason, Config, Origin, Role};
use support::{Server, bounded, message, ms, until_closed, valid};
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
        assert!(server.endpoint.shutdown(ms(5_000)).await);
        assert!(endpoint.shutdown(ms(5_000)).await);
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
        let (in_order, (_, closed)) = tokio::join!(server.endpoint.shutdown(ms(5_000)), until_closed(&mut connection));
        assert!(in_order);
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
        assert!(!server.endpoint.shutdown(ms(100)).await);
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
