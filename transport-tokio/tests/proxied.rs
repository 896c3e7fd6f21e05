//! A server behind a load balancer that speaks the PROXY protocol.

use std::net::SocketAddr;
use std::time::Duration;

use crate::support::{bounded, brisk, ms, until_closed, valid};
use pulsewire_transport_tokio::protocol::{CloseReason, Event, Role};
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

/// Version 2: the proxy itself.
const LOCAL: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x20\x00\x00\x00";

/// A proxy that does not know whom it speaks for, or whose clients have no address: that of the proxy counts.
#[tokio::test]
async fn clients_without_an_address_are_served_with_that_of_the_proxy() {
    bounded(async {
        let (_handle, server, mut peers) = serve().await;
        let mut unix = b"\r\n\r\n\0\r\nQUIT\n\x21\x31\x00\xd8".to_vec();
        unix.extend([0; 216]);
        let unspecified = b"\r\n\r\n\0\r\nQUIT\n\x21\x00\x00\x00";
        for header in [b"PROXY UNKNOWN\r\n".as_slice(), unspecified, &unix, LOCAL] {
            let mut socket = TcpStream::connect(server).await.unwrap();
            let proxy = socket.local_addr().unwrap();
            socket.write_all(header).await.unwrap();
            let mut client = Endpoint::new(valid(brisk())).connection(socket, Role::Client).unwrap();
            assert!(matches!(client.recv().await, Some(Event::Established(_))));
            assert_eq!(peers.recv().await.unwrap(), proxy);
            client.close(CloseReason::NORMAL);
            until_closed(&mut client).await;
        }
    })
    .await;
}

#[cfg(unix)]
#[tokio::test]
async fn a_proxy_may_come_over_a_unix_socket() {
    bounded(async {
        let path = std::env::temp_dir().join(format!("pulsewire-proxied-{}", std::process::id()));
        let mut server = Server::new(Endpoint::new(valid(brisk()))).behind_proxy(ms(5_000));
        server.listen_unix(&path).await.unwrap();
        let (tell, mut peers) = mpsc::unbounded_channel();
        tokio::spawn(server.serve(move |mut connection| {
            tell.send(connection.peer_address()).unwrap();
            async move { while connection.recv().await.is_some() {} }
        }));
        let address: SocketAddr = "198.51.100.1:4000".parse().unwrap();
        for (header, peer) in
            [("PROXY TCP4 198.51.100.1 192.0.2.1 4000 7700\r\n", Some(address)), ("PROXY UNKNOWN\r\n", None)]
        {
            let mut socket = tokio::net::UnixStream::connect(&path).await.unwrap();
            socket.write_all(header.as_bytes()).await.unwrap();
            let mut client = Endpoint::new(valid(brisk())).connection(socket, Role::Client).unwrap();
            assert!(matches!(client.recv().await, Some(Event::Established(_))));
            assert_eq!(peers.recv().await.unwrap(), peer);
        }
        std::fs::remove_file(&path).unwrap();
    })
    .await;
}

/// Health checks are no errors, and who does not come through the proxy gets nowhere.
#[tokio::test]
async fn what_else_comes_is_closed() {
    bounded(async {
        let (handle, server, _peers) = serve().await;
        for said in [&b"GET / HTTP/1.1\r\n"[..], b"PROXY TCP4 "] {
            let mut socket = TcpStream::connect(server).await.unwrap();
            socket.write_all(said).await.unwrap();
            // An end or a reset, without a word.
            assert!(matches!(socket.read(&mut [0; 100]).await, Ok(0) | Err(_)));
        }
        // It left without a byte, or behind the header of the proxy's own.
        for said in [&b""[..], b"PROXY UNKNOWN\r\n", LOCAL] {
            let mut socket = TcpStream::connect(server).await.unwrap();
            socket.write_all(said).await.unwrap();
            socket.shutdown().await.unwrap();
            // Until the server has noticed: one that is gone before it is accepted is no connection on some systems.
            while !matches!(socket.read(&mut [0; 100]).await, Ok(0) | Err(_)) {}
        }
        while handle.statistics().health_checks < 3 {
            tokio::time::sleep(ms(1)).await;
        }
        let statistics = handle.statistics();
        assert_eq!((statistics.health_checks, statistics.unusable, statistics.handled), (3, 2, 0));
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
