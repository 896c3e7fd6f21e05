//! What an endpoint tells of itself: statistics, metrics, and spans.

use super::*;
use std::io::Write;
use std::sync::Mutex;

#[test]
fn an_endpoint_counts_what_went_over_its_connections() {
    for_each_seed(|seed| {
        let (mut world, client, server) = World::connected(seed, config());
        for number in 0..3 {
            world.client.send(client, pattern(100 + number)).unwrap();
        }
        world.run_until(|world| world.server.handler.messages.len() == 3);
        let (sent, received) = (world.client.statistics().traffic, world.server.statistics().traffic);
        assert_eq!((sent.messages_sent, received.messages_received), (3, 3));
        assert!(sent.bytes_taken >= received.bytes_received && received.bytes_received > 300);

        world.server.mailbox(server).close(CloseReason::NORMAL);
        world.run_until_all_closed();
        let end = world.client.statistics();
        assert_eq!((end.connections, end.ended.orderly, end.traffic.messages_sent), (0, 1, 3));
        assert!(end.traffic.bytes_taken > sent.bytes_taken);
    });
}

/// What a handler logs says which connection it is about, and no payload is in it.
#[test]
fn handlers_run_in_the_span_of_their_connection() {
    // Where a test beside this one comes to the same line for the first time just when the subscriber is made, that may miss it.
    let mut logs = std::iter::repeat_with(log_of_a_connection).take(10);
    let is_whole = |line: &str| line.contains("something came") && line.contains("connection{id=");
    let log = logs.find(|log| log.lines().any(is_whole)).expect("the handler's line");
    let line = log.lines().find(|line| is_whole(line)).expect("asked before");
    assert!(line.contains("role=Server") && line.contains("peer=127.0.0.1:"), "{line}");
    assert!(!log.contains("secret word"), "{log}");
}

fn log_of_a_connection() -> String {
    let log = Log::default();
    let written = Arc::clone(&log.0);
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_ansi(false)
        .with_writer(move || Log(Arc::clone(&log.0)))
        .finish();
    tracing::subscriber::with_default(subscriber, || {
        let (mut world, client, _) = World::connected(1, config());
        world.client.send(client, *b"the secret word").unwrap();
        world.run_until(|world| !world.server.handler.messages.is_empty());
        world.client.mailbox(client).close(CloseReason::NORMAL);
        world.run_until_all_closed();
    });
    String::from_utf8(written.lock().unwrap().clone()).unwrap()
}

/// What is logged.
#[derive(Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
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
        let (mut world, client, _) = World::connected(1, config());
        world.client.send(client, pattern(100)).unwrap();
        world.run_until(|world| !world.server.handler.messages.is_empty());
        world.run_for(Duration::from_secs(3));
        world.client.mailbox(client).abort();
        world.run_until_all_closed();
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
        let Some(DebugValue::Histogram(seconds)) = value("pulsewire_connection_seconds", &[("role", role)]) else {
            panic!("a histogram")
        };
        assert!(seconds.len() == 1 && seconds[0].0 >= 3.0);
    }
    assert_eq!(counter("pulsewire_connections_ended_total", &[("role", "client"), ("end", "cut")]), 1);
    assert_eq!(counter("pulsewire_connections_ended_total", &[("role", "server"), ("end", "reset")]), 1);
    assert_eq!(counter("pulsewire_messages_total", &[("role", "client"), ("direction", "sent")]), 1);
    assert!(counter("pulsewire_bytes_total", &[("role", "server"), ("direction", "received")]) > 100);
}
