//! Closing in order, on both sides.

mod support;

use pulsewire_transport_tokio::Endpoint;
use pulsewire_transport_tokio::protocol::{CloseReason, Config, Origin};
use support::{Server, bounded, message, ms, until_closed, valid};

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
