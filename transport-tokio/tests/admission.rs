//! Servers whose application judges each client (PW-HS-020), over real sockets.

use std::future::Future;
use std::time::Duration;

use crate::support::{bounded, message, ms, next_message, until_closed, valid};
use bytes::Bytes;
use pulsewire_transport_tokio::protocol::{
    Admission, CloseFrame, CloseReason, Closed, Config, Event, Origin, Retry, Role,
};
use pulsewire_transport_tokio::{ConnectError, Connection, Endpoint};
use tokio::io::DuplexStream;

fn asking() -> Config {
    Config { admission: Admission::Ask, ..Config::default() }
}

fn overloaded() -> CloseFrame {
    CloseFrame::from(CloseReason::OVERLOADED).with_retry(Retry::After(Duration::from_secs(30))).with_text("come later")
}

/// Connects with a token to a server that serves one connection.
async fn connect<F: Future<Output = ()> + Send + 'static>(
    token: &'static [u8],
    serve: impl FnOnce(Connection) -> F + Send + 'static,
) -> Result<Connection, ConnectError> {
    let listener = Endpoint::new(valid(asking())).listen("127.0.0.1:0").await.unwrap();
    let address = listener.address().unwrap();
    tokio::spawn(async move { serve(listener.accept().await.unwrap()).await });
    let config = Config { token: Some(Bytes::from_static(token)), ..Config::default() };
    Endpoint::new(valid(config)).connect(address).await
}

/// Admits friends and refuses others, then echoes.
async fn judge(mut connection: Connection) {
    let sender = connection.sender();
    while let Some(event) = connection.recv().await {
        match event {
            Event::Admission(request) if request.token.as_deref() == Some(b"friend") => connection.accept(),
            Event::Admission(_) => connection.refuse(overloaded()),
            Event::Message(message) => drop(sender.send(message).await.unwrap()),
            _ => {}
        }
    }
}

fn refused(connected: Result<Connection, ConnectError>) -> Closed {
    match connected {
        Err(ConnectError::Handshake { closed, .. }) => *closed,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_client_that_is_admitted_sends_and_receives() {
    bounded(async {
        let mut connection = connect(b"friend", judge).await.unwrap();
        connection.sender().send(message(1, 5_000)).await.unwrap();
        assert_eq!(next_message(&mut connection).await, message(1, 5_000));
    })
    .await;
}

/// PW-HS-022.
#[tokio::test]
async fn a_client_that_is_refused_gets_reason_advice_and_sentence() {
    bounded(async {
        let closed = refused(connect(b"stranger", judge).await);
        let CloseFrame { reason, retry, text } = overloaded();
        assert_eq!((closed.reason, closed.retry, closed.detail), (reason, retry, text));
        assert_eq!(closed.origin, Origin::Peer);
    })
    .await;
}

/// Whoever knows the answer may be another task, while this one receives.
#[tokio::test]
async fn another_task_may_judge() {
    async fn ask(mut connection: Connection, judge: fn(&pulsewire_transport_tokio::Sender)) {
        assert!(matches!(connection.recv().await, Some(Event::Admission(_))));
        let sender = connection.sender();
        tokio::spawn(async move { judge(&sender) });
        if let Some(Event::Established(_)) = connection.recv().await {
            connection.close(CloseReason::NORMAL);
        }
        until_closed(&mut connection).await;
    }
    bounded(async {
        let mut admitted = connect(b"", |connection| ask(connection, |sender| sender.accept())).await.unwrap();
        assert!(until_closed(&mut admitted).await.1.orderly);
        let closed = refused(
            connect(b"", |connection| {
                ask(connection, |sender| {
                    sender.refuse(overloaded());
                    // Too late.
                    sender.accept();
                })
            })
            .await,
        );
        assert_eq!(closed.reason, CloseReason::OVERLOADED);
    })
    .await;
}

/// A patient client, and a server that asks.
fn ends() -> (Connection, Connection) {
    let (near, far) = tokio::io::duplex(1 << 20);
    let connection =
        |config, stream: DuplexStream, role| Endpoint::new(valid(config)).connection(stream, role).unwrap();
    let mut patient = Config::default();
    patient.timeouts.handshake *= 2;
    (connection(patient, near, Role::Client), connection(asking(), far, Role::Server))
}

/// PW-HS-012 goes on while the application judges.
#[tokio::test(start_paused = true)]
async fn a_client_that_nobody_judges_is_given_up() {
    bounded(async {
        let (mut client, mut server) = ends();
        let started = tokio::time::Instant::now();
        let ((_, client), (_, server)) = tokio::join!(until_closed(&mut client), until_closed(&mut server));
        assert_eq!([client.reason, server.reason], [CloseReason::HANDSHAKE_TIMEOUT; 2]);
        let waited = started.elapsed();
        assert!(waited >= Config::default().timeouts.handshake && waited < ms(10_100), "{waited:?}");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn to_judge_whom_nobody_asked_about_changes_nothing() {
    bounded(async {
        let (mut client, mut server) = ends();
        client.accept();
        client.refuse(CloseReason::REFUSED);
        server.accept();
        let (opened, ()) = tokio::join!(client.recv(), async {
            assert!(matches!(server.recv().await, Some(Event::Admission(_))));
            server.accept();
            server.refuse(CloseReason::REFUSED);
            server.accept();
            assert!(matches!(server.recv().await, Some(Event::Established(_))));
        });
        assert!(matches!(opened, Some(Event::Established(_))));
        assert!(client.sender().is_open() && server.sender().is_open());
    })
    .await;
}
