//! Messages over real loopback sockets.

use crate::support::{Server, bounded, brisk, message, next_message, until_closed, valid};
use pulsewire_transport_tokio::protocol::{Class, CloseReason, Config, Damage, Event, Message, SendRefused};
use pulsewire_transport_tokio::{ConnectError, Endpoint};

const SIZES: [usize; 12] = [0, 1, 2, 63, 64, 2_047, 2_048, 4_096, 65_535, 65_536, 65_537, 1 << 20];

#[tokio::test]
async fn messages_of_all_sizes_come_back_whole() {
    bounded(async {
        for damage in [Damage::Resynchronise, Damage::Close] {
            let server = Server::start(Config { damage, ..Config::default() }).await;
            let endpoint = Endpoint::new(valid(Config { damage, ..Config::default() }));
            let mut connection = endpoint.connect(server.address).await.unwrap();
            for (number, size) in SIZES.into_iter().enumerate() {
                let sent = message(number as u64, size);
                connection.sender().send(sent.clone()).await.unwrap();
                assert_eq!(next_message(&mut connection).await, sent, "{size} bytes");
            }
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_connections_at_once_lose_nothing() {
    bounded(async {
        let server = Server::start(Config::default()).await;
        let endpoint = Endpoint::new(valid(Config::default()));
        let mut tasks = tokio::task::JoinSet::new();
        for client in 0..100 {
            let (endpoint, address) = (endpoint.clone(), server.address);
            tasks.spawn(async move {
                let mut connection = endpoint.connect(address).await.unwrap();
                let sender = connection.sender();
                let sending = tokio::spawn(async move {
                    for number in 0..50 {
                        let size = (number as usize * 977) % 5_000;
                        sender.send(message(client * 1_000 + number, size)).await.unwrap();
                    }
                });
                for number in 0..50 {
                    let size = (number as usize * 977) % 5_000;
                    assert_eq!(next_message(&mut connection).await, message(client * 1_000 + number, size));
                }
                sending.await.unwrap();
                connection.close(CloseReason::NORMAL);
                let (_, closed) = until_closed(&mut connection).await;
                assert!(closed.orderly, "{closed:?}");
                assert_eq!(closed.acknowledged, Some(50));
            });
        }
        tasks.join_all().await;
    })
    .await;
}

/// A server that only sends when it was sent to can't block itself: `send` writes while it waits.
#[tokio::test]
async fn a_full_queue_waits_and_goes_on() {
    bounded(async {
        let mut config = Config::default();
        config.limits.send_queue = 10_000;
        let server = Server::start(config.clone()).await;
        let endpoint = Endpoint::new(valid(config));
        let mut connection = endpoint.connect(server.address).await.unwrap();
        let sender = connection.sender();
        let sending = tokio::spawn(async move {
            for number in 0..2_000 {
                sender.send(message(number, 4_000)).await.unwrap();
            }
        });
        for number in 0..2_000 {
            assert_eq!(next_message(&mut connection).await, message(number, 4_000));
        }
        sending.await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_full_queue_refuses_at_once_where_nobody_waits() {
    bounded(async {
        let mut config = Config::default();
        config.limits.send_queue = 10_000;
        let server = Server::start(config.clone()).await;
        let endpoint = Endpoint::new(valid(config));
        let connection = endpoint.connect(server.address).await.unwrap();
        // The echoes aren't read, so sooner or later nobody takes anything.
        let refused = loop {
            if let Err(refused) = connection.sender().try_send(message(7, 9_000)) {
                break refused;
            }
        };
        assert_eq!(refused.reason, SendRefused::Full);
        assert_eq!(refused.message, message(7, 9_000));
    })
    .await;
}

#[tokio::test]
async fn what_is_not_pulsewire_is_refused_by_name() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    bounded(async {
        let mut server = Server::start(Config::default()).await;
        let mut stream = tokio::net::TcpStream::connect(server.address).await.unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
        let closed = server.endings.recv().await.unwrap();
        assert_eq!(closed.reason, CloseReason::NOT_PULSEWIRE);
        assert!(closed.detail.contains("HTTP"), "{closed}");
        // The refusal arrives, and then the end of the stream; a reset would be an error here.
        stream.read_to_end(&mut Vec::new()).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_server_that_says_nothing_fails_the_handshake() {
    bounded(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut config = brisk();
        config.timeouts.handshake = crate::support::ms(50);
        let error = Endpoint::new(valid(config)).connect(listener.local_addr().unwrap()).await.err().unwrap();
        let ConnectError::Handshake { closed, .. } = error else { panic!("{error}") };
        assert_eq!(closed.reason, CloseReason::HANDSHAKE_TIMEOUT);
    })
    .await;
}

#[tokio::test]
async fn a_token_reaches_the_server() {
    bounded(async {
        let server = Endpoint::new(valid(Config::default()));
        let listener = server.listen("127.0.0.1:0").await.unwrap();
        let config = Config { token: Some("let me in".into()), ..Config::default() };
        let client = Endpoint::new(valid(config));
        let address = listener.address().unwrap();
        let (accepted, connected) = tokio::join!(
            async {
                let mut connection = listener.accept().await.unwrap();
                match connection.recv().await {
                    Some(Event::Established(established)) => (established.token, connection),
                    other => panic!("{other:?}"),
                }
            },
            client.connect(address)
        );
        connected.unwrap();
        assert_eq!(accepted.0.as_deref(), Some(&b"let me in"[..]));
    })
    .await;
}

/// Dropping `recv` at any moment loses nothing.
#[tokio::test]
async fn receiving_can_be_cancelled() {
    bounded(async {
        let server = Server::start(Config::default()).await;
        let endpoint = Endpoint::new(valid(Config::default()));
        let mut connection = endpoint.connect(server.address).await.unwrap();
        let sender = connection.sender();
        for number in 0..200 {
            sender.send(message(number, 100_000)).await.unwrap();
            let mut got = None;
            while got.is_none() {
                tokio::select! {
                    biased;
                    received = next_message(&mut connection) => got = Some(received),
                    () = tokio::task::yield_now() => {}
                }
            }
            assert_eq!(got, Some(message(number, 100_000)));
        }
    })
    .await;
}

#[tokio::test]
async fn the_encrypted_mark_and_the_class_are_carried() {
    bounded(async {
        let server = Server::start(Config::default()).await;
        let endpoint = Endpoint::new(valid(Config::default()));
        let mut connection = endpoint.connect(server.address).await.unwrap();
        let sent = Message { encrypted: true, ..Message::new(Class(200), b"sealed") };
        connection.sender().send(sent.clone()).await.unwrap();
        assert_eq!(next_message(&mut connection).await, sent);
    })
    .await;
}
