//! What an endpoint tells of itself: statistics, metrics, and spans.

use std::io::Write;
use std::sync::{Arc, Mutex};

use crate::support::{bounded, brisk, message, next_message, until_closed, valid};
use pulsewire_transport_tokio::protocol::{CloseReason, Event, Role};
use pulsewire_transport_tokio::{Endpoint, Server};

#[tokio::test]
async fn an_endpoint_counts_what_went_over_its_connections() {
    bounded(async {
        let endpoint = Endpoint::new(valid(brisk()));
        let (near, far) = tokio::io::duplex(1 << 20);
        let mut client = endpoint.connection(near, Role::Client).unwrap();
        let mut server = endpoint.connection(far, Role::Server).unwrap();
        tokio::join!(client.recv(), server.recv());
        for number in 0..3 {
            client.sender().send(message(number, 100)).await.unwrap();
            next_message(&mut server).await;
        }
        let now = endpoint.statistics();
        assert_eq!((now.connections, now.parting, now.ended.connections()), (2, 0, 0));
        assert_eq!((now.traffic.messages_sent, now.traffic.messages_received), (3, 3));
        assert!(now.traffic.bytes_taken >= now.traffic.bytes_received && now.traffic.bytes_received > 300);

        client.close(CloseReason::NORMAL);
        tokio::join!(until_closed(&mut client), until_closed(&mut server));
        drop((client, server));
        while endpoint.statistics().parting > 0 {
            tokio::task::yield_now().await;
        }
        let end = endpoint.statistics();
        assert_eq!((end.connections, end.ended.orderly, end.traffic.messages_received), (0, 2, 3));
        assert!(end.traffic.bytes_taken > now.traffic.bytes_taken);
    })
    .await;
}

/// What a handler logs says which connection it is about, and no payload is in it.
#[test]
fn handlers_run_in_the_span_of_their_connection() {
    let log = Log::default();
    let written = Arc::clone(&log.0);
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_ansi(false)
        .with_writer(move || Log(Arc::clone(&log.0)))
        .finish();
    tracing::subscriber::with_default(subscriber, || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(bounded(async {
            let endpoint = Endpoint::new(valid(brisk()));
            let mut server = Server::new(endpoint.clone());
            let address = server.listen("127.0.0.1:0").await.unwrap().address().unwrap();
            tokio::spawn(server.serve(|mut connection| async move {
                while let Some(event) = connection.recv().await {
                    if let Event::Message(_) = event {
                        tracing::info!("something came");
                    }
                }
            }));
            let mut client = endpoint.connect(address).await.unwrap();
            let secret = pulsewire_transport_tokio::protocol::Class::BUSINESS;
            let secret = pulsewire_transport_tokio::protocol::Message::new(secret, b"the secret word");
            client.sender().send(secret).await.unwrap();
            client.close(CloseReason::NORMAL);
            until_closed(&mut client).await;
        }));
    });
    let log = String::from_utf8(written.lock().unwrap().clone()).unwrap();
    let line = log.lines().find(|line| line.contains("something came")).expect("the handler's line");
    assert!(line.contains("connection{id=") && line.contains("peer=127.0.0.1:"), "{line}");
    assert!(!log.contains("secret word"), "{log}");
}

/// What is logged.
#[derive(Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[cfg(feature = "metrics")]
#[test]
fn metrics_follow_connections() {
    use metrics_util::debugging::{DebugValue, DebuggingRecorder};

    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    metrics::with_local_recorder(&recorder, || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(bounded(async {
            let endpoint = Endpoint::new(valid(brisk()));
            let (near, far) = tokio::io::duplex(1 << 20);
            let mut client = endpoint.connection(near, Role::Client).unwrap();
            let mut server = endpoint.connection(far, Role::Server).unwrap();
            tokio::join!(client.recv(), server.recv());
            client.sender().send(message(1, 100)).await.unwrap();
            next_message(&mut server).await;
            client.sender().abort();
            until_closed(&mut server).await;
            drop((client, server));
            while endpoint.statistics().parting > 0 {
                tokio::task::yield_now().await;
            }
        }));
    });
    let found = snapshotter.snapshot().into_vec();
    let value = |name: &str, labels: &[(&str, &str)]| {
        let same = |key: &metrics::Key| {
            let has = |(label, value): &(&str, &str)| key.labels().any(|of| of.key() == *label && of.value() == *value);
            key.name() == name && labels.iter().all(has)
        };
        found.iter().find(|(key, ..)| same(key.key())).map(|(.., value)| value)
    };
    let counter = |name, labels: &[_]| match value(name, labels) {
        Some(DebugValue::Counter(count)) => *count,
        other => panic!("{name}: {other:?}"),
    };
    for role in ["client", "server"] {
        assert_eq!(counter("pulsewire_connections_opened_total", &[("role", role)]), 1);
        let Some(DebugValue::Gauge(now)) = value("pulsewire_connections", &[("role", role)]) else { panic!("a gauge") };
        assert_eq!(now.0, 0.0);
        assert!(value("pulsewire_connection_seconds", &[("role", role)]).is_some());
    }
    assert_eq!(counter("pulsewire_connections_ended_total", &[("role", "client"), ("end", "cut")]), 1);
    assert_eq!(counter("pulsewire_connections_ended_total", &[("role", "server"), ("end", "reset")]), 1);
    assert_eq!(counter("pulsewire_messages_total", &[("role", "client"), ("direction", "sent")]), 1);
    assert!(counter("pulsewire_bytes_total", &[("role", "server"), ("direction", "received")]) > 100);
}
