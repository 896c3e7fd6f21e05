//! Peers that vanish without a word, and healthy ones that must not be taken for such.

use std::time::{Duration, Instant};

use crate::support::{Proxy, Server, bounded, brisk, message, ms, next_message, until_closed, valid};
use pulsewire_transport_tokio::Endpoint;
use pulsewire_transport_tokio::protocol::{CloseReason, Config, Event, Origin, Role};

/// What an idle machine may add to the bound of the heartbeat.
const SLACK: Duration = Duration::from_millis(150);
/// A busy machine is late now and then. A transport that is late is so every time.
const TRIES: usize = 20;

/// PW-HB-013.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_behind_a_silent_proxy_is_found_within_the_bound() {
    bounded(async {
        let latest = brisk().heartbeat.bound() + SLACK;
        let mut took = Vec::new();
        while took.last().is_none_or(|took| *took > latest) {
            assert!(took.len() < TRIES, "never within {latest:?}: {took:?}");
            took.push(find_vanished().await);
        }
    })
    .await;
}

/// How long after the peer vanished both sides have found that; never too early.
async fn find_vanished() -> Duration {
    let config = brisk().heartbeat;
    let earliest = config.idle.mul_f64(0.8) + config.interval * config.probes;
    let mut server = Server::start(brisk()).await;
    let proxy = Proxy::start(server.address, None).await;
    let endpoint = Endpoint::new(valid(brisk()));
    let mut connection = endpoint.connect(proxy.address).await.unwrap();
    // The last evidence of both sides comes after this moment, and hardly after the cut.
    let exchange = Instant::now();
    connection.sender().send(message(1, 100)).await.unwrap();
    next_message(&mut connection).await;
    proxy.fall_silent();
    let cut = Instant::now();
    let (client, server) = tokio::join!(until_closed(&mut connection), server.endings.recv());
    let (since_exchange, since_cut) = (exchange.elapsed(), cut.elapsed());
    for closed in [client.1, server.unwrap()] {
        assert_eq!((closed.reason, closed.origin), (CloseReason::PEER_TIMEOUT, Origin::Local), "{closed}");
    }
    assert!(since_exchange + ms(10) >= earliest, "{since_exchange:?} is earlier than {earliest:?}");
    since_cut
}

/// PW-TCP-001: a task that is late reads the answer before it judges the time that it had.
#[tokio::test(start_paused = true)]
async fn an_answer_that_can_be_read_counts_though_the_time_for_it_is_over() {
    bounded(async {
        let (near, far) = tokio::io::duplex(1_000);
        let endpoint = Endpoint::new(valid(brisk()));
        let mut client = endpoint.connection(near, Role::Client).unwrap();
        let mut server = endpoint.connection(far, Role::Server).unwrap();
        // HELLO leaves, and is answered.
        assert!(tokio::time::timeout(ms(1), client.recv()).await.is_err());
        assert!(matches!(server.recv().await, Some(Event::Established(_))));
        tokio::time::advance(brisk().timeouts.handshake * 2).await;
        assert!(matches!(client.recv().await, Some(Event::Established(_))));
    })
    .await;
}

#[tokio::test]
async fn an_idle_healthy_peer_survives_ten_bounds() {
    bounded(async {
        let server = Server::start(brisk()).await;
        let endpoint = Endpoint::new(valid(brisk()));
        let mut connection = endpoint.connect(server.address).await.unwrap();
        // As long as it was not probed, the server was always first.
        let mut bounds = 0;
        while bounds < 10 || connection.rtt().is_none() {
            let quiet = tokio::time::timeout(brisk().heartbeat.bound(), connection.recv()).await;
            assert!(quiet.is_err(), "nothing to report: {quiet:?}");
            bounds += 1;
        }
        connection.sender().send(message(1, 100)).await.unwrap();
        assert_eq!(next_message(&mut connection).await, message(1, 100));
    })
    .await;
}

/// The default heartbeat. CLOSE may take long to get by what lies in the proxy, more than `close` where the machine is busy.
fn patient() -> Config {
    let mut config = Config::default();
    config.timeouts.close = Duration::from_secs(30);
    config
}

/// 64 MiB at 2 MiB/s take 32 s, three times the bound of the default heartbeat.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_upload_through_a_slow_link_survives_the_default_heartbeat() {
    bounded(async {
        let mut server = Server::start(patient()).await;
        let proxy = Proxy::start(server.address, Some(2 << 20)).await;
        let endpoint = Endpoint::new(valid(patient()));
        let mut connection = endpoint.connect(proxy.address).await.unwrap();
        let sender = connection.sender();
        let sending = tokio::spawn(async move {
            for number in 0..64 {
                sender.send(message(number, 1 << 20)).await.unwrap();
            }
            sender.close(CloseReason::NORMAL);
        });
        let (messages, closed) = until_closed(&mut connection).await;
        sending.await.unwrap();
        assert!(closed.orderly, "{closed}");
        assert_eq!((messages.len(), closed.acknowledged), (64, Some(64)));
        for (number, received) in messages.iter().enumerate() {
            assert!(*received == message(number as u64, 1 << 20), "message {number}");
        }
        assert!(server.endings.recv().await.unwrap().orderly);
    })
    .await;
}

/// 5 MiB at 256 KiB/s to a peer that says nothing on its own: the answer to each PING has to get by what the kernel holds.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_one_way_upload_through_a_very_slow_link_survives_the_default_heartbeat() {
    bounded(async {
        let server = Endpoint::new(valid(patient()));
        let listener = server.listen("127.0.0.1:0").await.unwrap();
        let proxy = Proxy::start(listener.address().unwrap(), Some(256 << 10)).await;
        let endpoint = Endpoint::new(valid(patient()));
        let receiving = tokio::spawn(async move { until_closed(&mut listener.accept().await.unwrap()).await });
        let mut connection = endpoint.connect(proxy.address).await.unwrap();
        let sender = connection.sender();
        let sending = tokio::spawn(async move {
            for number in 0..20 {
                sender.send(message(number, 256 << 10)).await.unwrap();
            }
            sender.close(CloseReason::NORMAL);
        });
        let (_, closed) = until_closed(&mut connection).await;
        sending.await.unwrap();
        assert!(closed.orderly, "{closed}");
        assert_eq!((closed.acknowledged, receiving.await.unwrap().0.len()), (Some(20), 20));
    })
    .await;
}
