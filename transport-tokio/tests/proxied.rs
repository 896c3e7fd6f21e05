//! A server behind a load balancer that speaks the PROXY protocol.

use std::net::SocketAddr;
use std::time::Duration;

use crate::support::{bounded, brisk, ms, until_closed, valid};
use pulsewire_transport_tokio::protocol::{CloseReason, Role};
use pulsewire_transport_tokio::{Connection, Endpoint, Server, ServerConfig, ServerHandle};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;

/// Takes one connection for each client, and tells the address of each.
async fn serve() -> (ServerHandle, SocketAddr, mpsc::UnboundedReceiver<SocketAddr>) {
    serve_with(ms(300)).await
}

/// A proxy has so long to say for whom it is.
async fn serve_with(limit: Duration) -> (ServerHandle, SocketAddr, mpsc::UnboundedReceiver<SocketAddr>) {
    let mut config = ServerConfig::default();
    config.limits.per_address = 1;
    let server = Server::with_config(Endpoint::new(valid(brisk())), config.validate().unwrap());
    let mut server = server.behind_proxy(limit);
    let address = server.listen("127.0.0.1:0").await.unwrap().address().unwrap();
    let (handle, (tell, peers)) = (server.handle(), mpsc::unbounded_channel());
    tokio::spawn(server.serve(move |mut connection| {
        let tell = tell.clone();
        async move {
            tell.send(connection.peer_address().unwrap()).unwrap();
            while connection.recv().await.is_some() {}
        }
    }));
    (handle, address, peers)
}

/// What a proxy does for a client of this address.
async fn through_proxy(server: SocketAddr, client: &str) -> Connection {
    let mut socket = TcpStream::connect(server).await.unwrap();
    let (ip, port) = client.rsplit_once(':').unwrap();
    socket.write_all(format!("PROXY TCP4 {ip} 192.0.2.1 {port} 7700\r\n").as_bytes()).await.unwrap();
    let endpoint = Endpoint::new(valid(brisk()));
    endpoint.connection(socket, Role::Client).unwrap()
}

#[tokio::test]
async fn clients_count_for_their_own_addresses() {
    bounded(async {
        let (handle, server, mut peers) = serve().await;
        let mut connections = Vec::new();
        for client in ["198.51.100.1:4000", "198.51.100.2:4000"] {
            let mut connection = through_proxy(server, client).await;
            connection.recv().await;
            connections.push(connection);
            assert_eq!(peers.recv().await.unwrap(), client.parse().unwrap());
        }
        let mut second = through_proxy(server, "198.51.100.1:4001").await;
        assert_eq!(until_closed(&mut second).await.1.reason, CloseReason::OVERLOADED);
        let statistics = handle.statistics();
        assert_eq!((statistics.handled, statistics.refused.per_address), (2, 1));
    })
    .await;
}

/// Health checks are no errors, and who does not come through the proxy gets nowhere.
#[tokio::test]
async fn what_else_comes_is_closed() {
    bounded(async {
        let (handle, server, _peers) = serve().await;
        for said in [&b"PROXY UNKNOWN\r\n"[..], b"GET / HTTP/1.1\r\n", b"PROXY TCP4 "] {
            let mut socket = TcpStream::connect(server).await.unwrap();
            socket.write_all(said).await.unwrap();
            // An end or a reset, without a word.
            assert!(matches!(socket.read(&mut [0; 100]).await, Ok(0) | Err(_)));
        }
        let statistics = handle.statistics();
        assert_eq!((statistics.health_checks, statistics.unusable, statistics.handled), (1, 2, 0));
    })
    .await;
}

/// Who has not said yet for whom it is does not hold up the end, and does not come in behind it.
#[tokio::test]
async fn a_server_that_ends_waits_for_no_proxy() {
    bounded(async {
        let (handle, server, _peers) = serve_with(Duration::from_secs(600)).await;
        let mut socket = TcpStream::connect(server).await.unwrap();
        socket.write_all(b"PROXY ").await.unwrap();
        // All before it were accepted.
        through_proxy(server, "198.51.100.1:4000").await.recv().await;
        assert!(handle.shutdown().await.is_clean());
        assert!(matches!(socket.read(&mut [0; 100]).await, Ok(0) | Err(_)));
        assert_eq!(handle.statistics().handled, 1);
    })
    .await;
}
