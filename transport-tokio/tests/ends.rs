//! PW-TCP-004: the ends that are not closes are told apart, over real sockets. A lost network is in `network_lost.rs`.

use std::time::Duration;

use crate::support::{bounded, message, until_closed, valid};
use pulsewire_transport_tokio::protocol::{CloseReason, Closed, Config, Event, Origin, Role};
use pulsewire_transport_tokio::{Connection, Endpoint};
use socket2::SockRef;
use tokio::net::{TcpListener, TcpStream};

/// Two ends over TCP with the handshake complete, and the peer's socket.
async fn connected() -> (Connection, Connection, std::net::TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (near, far) = tokio::join!(TcpStream::connect(listener.local_addr().unwrap()), listener.accept());
    let far = far.unwrap().0.into_std().unwrap();
    let socket = far.try_clone().unwrap();
    let endpoint = Endpoint::new(valid(Config::default()));
    let mut near = endpoint.connection(near.unwrap(), Role::Client).unwrap();
    let mut far = endpoint.connection(TcpStream::from_std(far).unwrap(), Role::Server).unwrap();
    let (first, second) = tokio::join!(near.recv(), far.recv());
    assert!(matches!((first, second), (Some(Event::Established(_)), Some(Event::Established(_)))));
    (near, far, socket)
}

fn assert_end(closed: &Closed, reason: CloseReason, origin: Origin) {
    assert_eq!((closed.reason, closed.origin, closed.orderly), (reason, origin, false), "{closed}");
}

#[tokio::test]
async fn a_stream_that_ends_without_a_close_is_the_peers_end() {
    bounded(async {
        let (mut near, far, socket) = connected().await;
        far.sender().try_send(message(1, 100)).unwrap();
        far.sender().abort();
        socket.shutdown(std::net::Shutdown::Write).unwrap();
        let (messages, closed) = until_closed(&mut near).await;
        assert_eq!(messages, [message(1, 100)], "what came before is delivered");
        assert_end(&closed, CloseReason::PEER_ENDED, Origin::Transport);
    })
    .await;
}

/// On Windows: `cargo test -p pulsewire-transport-tokio --test all -- ends:: --include-ignored`.
#[tokio::test]
#[cfg_attr(windows, ignore = "Wine tells of a reset only an operation that was pending when it came")]
async fn a_connection_that_the_peers_side_cut_is_reset() {
    bounded(async {
        let (mut near, far, socket) = connected().await;
        SockRef::from(&socket).set_linger(Some(Duration::ZERO)).unwrap();
        far.sender().abort();
        drop(socket);
        assert_end(&until_closed(&mut near).await.1, CloseReason::RESET, Origin::Transport);
    })
    .await;
}

#[tokio::test]
async fn a_connection_that_this_side_cut_is_aborted() {
    bounded(async {
        let (mut near, mut far, _socket) = connected().await;
        near.sender().abort();
        assert_end(&until_closed(&mut near).await.1, CloseReason::ABORTED, Origin::Local);
        near.sender().abort();
        assert_end(&until_closed(&mut far).await.1, CloseReason::PEER_ENDED, Origin::Transport);
    })
    .await;
}
