//! Connections whose task lets go of them, and connections that are cut.

use std::time::Duration;

use crate::support::{bounded, message, pair, until_closed, valid};
use pulsewire_transport_tokio::protocol::{CloseReason, Config, Origin, Role};
use pulsewire_transport_tokio::{Connection, Endpoint};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

const ANSWERS: u64 = 3;

/// What was accepted arrives, though the handler returns at once.
#[tokio::test]
async fn a_connection_that_is_dropped_sends_what_was_accepted() {
    bounded(async {
        let (near, mut far) = pair(Config::default(), 1_000).await;
        let sender = near.sender();
        for number in 0..ANSWERS {
            sender.try_send(message(number, 5_000)).unwrap();
        }
        drop(near);
        let (messages, closed) = until_closed(&mut far).await;
        assert_eq!(messages, (0..ANSWERS).map(|number| message(number, 5_000)).collect::<Vec<_>>());
        assert_eq!(
            (closed.reason, closed.origin, closed.orderly),
            (CloseReason::NORMAL, Origin::Peer, true),
            "{closed}"
        );
    })
    .await;
}

/// The peer's task is away, so that it pauses: closing in the background has an end all the same.
#[tokio::test(start_paused = true)]
async fn a_connection_that_is_dropped_is_gone_in_time() {
    let (near, far) = tokio::io::duplex(200);
    let endpoint = Endpoint::new(valid(Config::default()));
    let mut near = endpoint.connection(near, Role::Client).unwrap();
    let mut far = endpoint.connection(far, Role::Server).unwrap();
    tokio::join!(near.recv(), far.recv());
    near.sender().try_send(message(1, 5_000)).unwrap();
    let id = near.id();
    drop(near);
    assert!(endpoint.connections().contains(&id));
    // As long as a pause and a write may last.
    tokio::time::sleep(Duration::from_secs(100)).await;
    assert!(!endpoint.connections().contains(&id), "it was given up");
}

/// Who panics has not finished: the peer must not take what it got for all.
#[tokio::test]
async fn a_panic_is_no_orderly_end() {
    bounded(async {
        let (near, mut far) = pair(Config::default(), 1_000).await;
        let handler = tokio::spawn(async move {
            let _near = near;
            panic!("on purpose");
        });
        assert!(handler.await.is_err());
        let (_, closed) = until_closed(&mut far).await;
        assert_eq!((closed.reason, closed.orderly), (CloseReason::PEER_ENDED, false), "{closed}");
    })
    .await;
}

async fn connected(endpoint: &Endpoint) -> (Connection, TcpStream) {
    let listener = endpoint.listen("127.0.0.1:0").await.unwrap();
    let (near, far) = tokio::join!(listener.accept(), TcpStream::connect(listener.address().unwrap()));
    (near.unwrap(), far.unwrap())
}

/// Its task is somewhere else, and the socket is closed at once all the same, by id and from another thread.
#[tokio::test]
async fn a_connection_is_cut_though_its_task_is_parked() {
    bounded(async {
        let endpoint = Endpoint::new(valid(Config::default()));
        let (parked, mut far) = connected(&endpoint).await;
        let id = parked.id();
        let cutting = std::thread::spawn({
            let endpoint = endpoint.clone();
            move || (endpoint.abort(id), endpoint.abort(id))
        });
        assert_eq!(far.read(&mut [0; 100]).await.unwrap_or(0), 0, "the stream ends");
        assert_eq!(cutting.join().unwrap(), (true, false));
        assert!(endpoint.connections().is_empty());
        let mut parked = parked;
        let (_, closed) = until_closed(&mut parked).await;
        assert_eq!(closed.reason, CloseReason::ABORTED);
    })
    .await;
}
