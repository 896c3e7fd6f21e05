//! The examples, run as their documentation says.

use std::net::TcpListener;
use std::time::Duration;

use crate::programs::{OF_ITS_OWN, Running};
use crate::support::{bounded, message, next_message, until_closed, valid};
use pulsewire_transport_tokio::protocol::{Admission, CloseFrame, CloseReason, Config, Event, SendRefused};
use pulsewire_transport_tokio::{Connection, Endpoint};
use tokio::task::JoinSet;

/// An echo server, and where it listens.
fn echo_server(listen: &str) -> (Running, String) {
    let server = Running::start("echo_server", &["--listen", listen]);
    let line = server.until("listening on ");
    let address = line.trim_start_matches("listening on ").split(';').next().expect("an address").to_owned();
    (server, address)
}

/// A relay to there, and where it listens.
fn relay(to: &str) -> (Running, String) {
    let relay = Running::start("relay", &["--listen", "127.0.0.1:0", "--to", to]);
    let line = relay.until("relaying ");
    let address = line.trim_start_matches("relaying ").split(' ').next().expect("an address").to_owned();
    (relay, address)
}

/// Its server is killed and comes back, and then goes away in order.
#[test]
fn stay_connected_stays_connected() {
    let (mut server, address) = echo_server(OF_ITS_OWN);
    let client = Running::start("stay_connected", &[&address, "--interval", "20", "--max-delay", "300"]);
    client.until("connecting, try 1");
    client.until(&format!("connected to {address}"));
    client.until("3 came back");
    server.kill();
    client.until("; next try in ");
    client.until("cannot connect to ");
    let (server, _) = echo_server(&address);
    client.until(&format!("connected to {address}"));
    client.until(" came back");
    server.stop();
    client.until("closed by the peer: the side that closed is going away");
    let (_server, _) = echo_server(&address);
    client.until(&format!("connected to {address}"));
    client.until(" came back");
    client.stop();
}

/// Messages of many sizes, and whole conversations of many clients.
#[tokio::test]
async fn relay_passes_everything_on() {
    const SIZES: [usize; 8] = [0, 1, 64, 2_048, 65_535, 65_537, 300_000, 1 << 20];
    bounded(async {
        let (_server, address) = echo_server("127.0.0.1:0");
        let (relay, address) = relay(&address);
        let endpoint = Endpoint::new(valid(Config::default()));
        let mut clients = JoinSet::new();
        for client in 0..10 {
            let (endpoint, address) = (endpoint.clone(), address.clone());
            clients.spawn(async move {
                let mut connection = endpoint.connect(address).await.unwrap();
                let messages = SIZES.map(|size| message(client, size));
                let sender = connection.sender();
                let sending = messages.clone();
                tokio::spawn(async move {
                    for message in sending {
                        sender.send(message).await.unwrap();
                    }
                });
                for sent in messages {
                    assert_eq!(next_message(&mut connection).await, sent);
                }
                connection.close(CloseReason::NORMAL);
                until_closed(&mut connection).await.1
            });
        }
        for closed in clients.join_all().await {
            assert_eq!((closed.orderly, closed.acknowledged), (true, Some(SIZES.len() as u64)), "{closed}");
        }
        relay.stop();
    })
    .await;
}

/// As its documentation says: the three programs together.
#[test]
fn relay_serves_a_client_that_stays_connected() {
    let (_server, address) = echo_server("127.0.0.1:0");
    let (relay, address) = relay(&address);
    let client = Running::start("stay_connected", &[&address, "--interval", "20"]);
    client.until("3 came back");
    relay.stop();
    client.until("going away");
    client.stop();
}

/// One side takes nothing for a while: the other one has to wait, and nobody is given up.
async fn one_side_makes_the_other_wait(fast: Connection, mut slow: Connection) {
    slow.pause();
    let sender = fast.sender();
    let driving = tokio::spawn(async move {
        let mut fast = fast;
        until_closed(&mut fast).await.1
    });
    let (mut sent, mut waits) = (0, 0);
    // Until there has been no room for a second.
    while waits < 50 {
        match sender.try_send(message(sent, 100_000)) {
            Ok(_) => (sent, waits) = (sent + 1, 0),
            Err(refused) => {
                assert_eq!(refused.reason, SendRefused::Full);
                waits += 1;
                let paused = tokio::time::timeout(Duration::from_millis(20), slow.recv()).await;
                assert!(paused.is_err(), "who pauses hears nothing");
            }
        }
        assert!(sent < 1_000, "nothing makes it wait");
    }
    sender.close(CloseReason::NORMAL);
    slow.resume();
    let (received, closed) = until_closed(&mut slow).await;
    assert!(closed.orderly, "{closed}");
    assert_eq!(received.len() as u64, sent);
    assert!(received.iter().zip(0..).all(|(came, number)| *came == message(number, 100_000)));
    let closed = driving.await.unwrap();
    assert_eq!((closed.orderly, closed.acknowledged), (true, Some(sent)));
}

#[tokio::test]
async fn relay_makes_the_fast_side_wait() {
    bounded(async {
        let endpoint = Endpoint::new(valid(Config::default()));
        let listener = endpoint.listen("127.0.0.1:0").await.unwrap();
        let (_relay, address) = relay(&listener.address().unwrap().to_string());
        for client_is_fast in [true, false] {
            let accepting = async {
                let mut server = listener.accept().await.unwrap();
                assert!(matches!(server.recv().await, Some(Event::Established(_))));
                server
            };
            let (client, server) = tokio::join!(endpoint.connect(&address), accepting);
            let client = client.unwrap();
            let (fast, slow) = if client_is_fast { (client, server) } else { (server, client) };
            one_side_makes_the_other_wait(fast, slow).await;
        }
    })
    .await;
}

/// A client is judged by the server behind, by its token, and hears what that says.
#[tokio::test]
async fn relay_passes_the_answer_to_a_token_on() {
    bounded(async {
        let asking = Endpoint::new(valid(Config { admission: Admission::Ask, ..Config::default() }));
        let listener = asking.listen("127.0.0.1:0").await.unwrap();
        let (_relay, address) = relay(&listener.address().unwrap().to_string());
        let client = Endpoint::new(valid(Config { token: Some((&b"stranger"[..]).into()), ..Config::default() }));
        let judging = tokio::spawn(async move {
            let mut server = listener.accept().await.unwrap();
            match server.recv().await {
                Some(Event::Admission(request)) => assert_eq!(request.token.as_deref(), Some(&b"stranger"[..])),
                other => panic!("{other:?}"),
            }
            server.refuse(CloseFrame::from(CloseReason::REFUSED).with_text("friends only"));
            while server.recv().await.is_some() {}
        });
        let refused = client.connect(address).await.unwrap_err().to_string();
        assert!(refused.ends_with("closed by the peer: friends only (REFUSED)"), "{refused}");
        judging.await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn relay_says_when_there_is_no_server() {
    bounded(async {
        let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let (_relay, address) = relay(&gone.to_string());
        let client = Endpoint::new(valid(Config::default()));
        let refused = client.connect(address).await.unwrap_err().to_string();
        assert!(refused.ends_with("the server behind cannot be reached (OVERLOADED)"), "{refused}");
    })
    .await;
}
