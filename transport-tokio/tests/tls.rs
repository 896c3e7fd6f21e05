//! TLS below: both sides, client certificates, certificates that are replaced, and what goes wrong.

use std::net::SocketAddr;
use std::sync::Arc;

use crate::support::{bounded, brisk, message, ms, next_message, until_closed};
use pulsewire_transport_tokio::protocol::{CloseReason, Config, Event, Role};
use pulsewire_transport_tokio::{Client, ClientEvent, ClientOptions, Connection, Endpoint, Server, Unsent, tls};
use rcgen::{CertificateParams, Issuer, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::net::TcpStream;

const NAME: &str = "pulse.example";

/// Who signs certificates.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    root: CertificateDer<'static>,
}

type Identity = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

impl Authority {
    fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let root = params.self_signed(&key).unwrap().der().clone();
        Self { issuer: Issuer::new(params, key), root }
    }

    fn identity(&self, name: &str) -> Identity {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        (vec![certificate.der().clone()], PrivatePkcs8KeyDer::from(key.serialize_der()).into())
    }

    fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        roots.add(self.root.clone()).unwrap();
        roots
    }

    fn server(&self, name: &str) -> Arc<ServerConfig> {
        let (chain, key) = self.identity(name);
        Arc::new(ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key).unwrap())
    }

    /// A server that wants to know its clients.
    fn strict_server(&self) -> Arc<ServerConfig> {
        let (chain, key) = self.identity(NAME);
        let verifier = WebPkiClientVerifier::builder(Arc::new(self.roots())).build().unwrap();
        let config = ServerConfig::builder().with_client_cert_verifier(verifier).with_single_cert(chain, key);
        Arc::new(config.unwrap())
    }

    fn client(&self) -> Arc<ClientConfig> {
        Arc::new(ClientConfig::builder().with_root_certificates(self.roots()).with_no_client_auth())
    }

    fn known_client(&self) -> Arc<ClientConfig> {
        let (chain, key) = self.identity("device 7");
        let builder = ClientConfig::builder().with_root_certificates(self.roots());
        Arc::new(builder.with_client_auth_cert(chain, key).unwrap())
    }
}

fn endpoint() -> Endpoint {
    Endpoint::new(tls::config(Config::default()).unwrap())
}

/// The client's and the server's end, before their handshakes.
fn pair(client: Arc<ClientConfig>, server: &tls::Server) -> (Connection, Connection) {
    let (near, far) = tokio::io::duplex(64 << 10);
    let endpoint = endpoint();
    let client = tls::connect(client, NAME.try_into().unwrap(), near);
    let client = endpoint.connection(client, Role::Client).unwrap();
    (client, endpoint.connection(server.accept(far), Role::Server).unwrap())
}

/// Whether the handshakes of both succeed; how they ended where not.
async fn establish(client: &mut Connection, server: &mut Connection) -> bool {
    let (near, far) = tokio::join!(client.recv(), server.recv());
    let established = |event: Option<Event<'_>>| match event {
        Some(Event::Established(_)) => true,
        Some(Event::Closed(_)) => false,
        other => panic!("{other:?}"),
    };
    let both = established(near) & established(far);
    assert!(!both || client.peer_limits().is_some_and(|of| !of.resync) && server.peer_limits().is_some());
    both
}

#[tokio::test]
async fn messages_go_both_ways_and_the_end_is_orderly() {
    bounded(async {
        let authority = Authority::new();
        let (mut client, mut server) = pair(authority.client(), &tls::Server::new(authority.server(NAME)));
        assert!(establish(&mut client, &mut server).await);
        let sender = server.sender();
        let echoing = tokio::spawn(async move {
            loop {
                match server.recv().await {
                    Some(Event::Message(message)) => drop(sender.send(message).await),
                    Some(Event::Closed(closed)) => return *closed,
                    _ => {}
                }
            }
        });
        for (number, size) in [0, 1, 1_000, 100_000, 3_000_000].into_iter().enumerate() {
            client.sender().send(message(number as u64, size)).await.unwrap();
            assert_eq!(next_message(&mut client).await, message(number as u64, size));
        }
        client.close(CloseReason::NORMAL);
        assert!(until_closed(&mut client).await.1.orderly);
        assert!(echoing.await.unwrap().orderly);
        assert!(client.take_io_error().is_none());
    })
    .await;
}

#[tokio::test]
async fn only_clients_with_a_certificate_come_in() {
    bounded(async {
        let authority = Authority::new();
        let server = tls::Server::new(authority.strict_server());
        let (mut client, mut far) = pair(authority.known_client(), &server);
        assert!(establish(&mut client, &mut far).await);

        for stranger in [authority.client(), Authority::new().known_client()] {
            let (mut client, mut far) = pair(stranger, &server);
            assert!(!establish(&mut client, &mut far).await);
            let said = far.take_io_error().expect("what was wrong").to_string();
            assert!(said.contains("certificate") || said.contains("UnknownCA") || said.contains("alert"), "{said}");
            assert!(client.take_io_error().is_some());
        }
    })
    .await;
}

#[tokio::test]
async fn a_server_of_another_name_is_not_believed() {
    bounded(async {
        let authority = Authority::new();
        let (mut client, mut server) = pair(authority.client(), &tls::Server::new(authority.server("elsewhere")));
        assert!(!establish(&mut client, &mut server).await);
        let said = client.take_io_error().expect("what was wrong").to_string();
        assert!(said.contains("not valid for name"), "{said}");
    })
    .await;
}

/// A server that listens with TLS, and a client that stays connected to it.
#[tokio::test]
async fn servers_and_clients_speak_tls() {
    bounded(async {
        let authority = Authority::new();
        let mut server = Server::new(Endpoint::new(Config::default().validate().unwrap()));
        let handle = server.listen_tls("127.0.0.1:0", tls::Server::new(authority.server(NAME))).await.unwrap();
        let address = handle.address().unwrap();
        let steering = server.handle();
        tokio::spawn(server.serve(|mut connection| async move {
            assert!(connection.peer_limits().is_some_and(|of| !of.resync));
            let sender = connection.sender();
            while let Some(event) = connection.recv().await {
                if let Event::Message(message) = event {
                    drop(sender.send(message).await);
                }
            }
        }));
        let config = authority.client();
        let options = ClientOptions { unsent: Unsent::Keep { bytes: 1 << 20 }, ..ClientOptions::default() };
        let open = move || {
            let config = Arc::clone(&config);
            async move {
                let socket = TcpStream::connect(address).await?;
                Ok(tls::connect(config, NAME.try_into().expect("a name"), socket))
            }
        };
        let mut client = Client::with_streams(&endpoint(), open, options);
        client.sender().send(message(1, 100_000)).await.unwrap();
        loop {
            match client.recv().await.expect("not over") {
                ClientEvent::Event(Event::Message(echoed)) => break assert_eq!(echoed, message(1, 100_000)),
                ClientEvent::Failed(failed) => panic!("{}", failed.error),
                _ => {}
            }
        }
        client.close(CloseReason::NORMAL);
        while client.recv().await.is_some() {}
        assert!(steering.shutdown().await.is_clean());
    })
    .await;
}

/// New connections get the new certificate, and those that are there stay.
#[tokio::test]
async fn certificates_are_replaced_while_the_server_runs() {
    bounded(async {
        let (before, after) = (Authority::new(), Authority::new());
        let server = tls::Server::new(before.server(NAME));
        let (mut old, mut old_far) = pair(before.client(), &server);
        assert!(establish(&mut old, &mut old_far).await);
        server.replace(after.server(NAME));
        let (mut new, mut new_far) = pair(after.client(), &server);
        assert!(establish(&mut new, &mut new_far).await);
        let (mut late, mut late_far) = pair(before.client(), &server);
        assert!(!establish(&mut late, &mut late_far).await);
        old.sender().try_send(message(1, 10)).unwrap();
        assert_eq!(next_message(&mut old_far).await, message(1, 10));
    })
    .await;
}

/// Nobody holds a connection by saying nothing, or something else than TLS.
#[tokio::test(start_paused = true)]
async fn a_handshake_has_the_time_of_the_one_above() {
    async fn end(config: Config, said: &[u8]) -> CloseReason {
        let (far, mut near): (DuplexStream, _) = tokio::io::duplex(1_000);
        let server = tls::Server::new(Authority::new().server(NAME));
        let endpoint = Endpoint::new(tls::config(config).unwrap());
        let mut connection = endpoint.connection(server.accept(far), Role::Server).unwrap();
        near.write_all(said).await.unwrap();
        until_closed(&mut connection).await.1.reason
    }
    bounded(async {
        let config = || {
            let mut config = brisk();
            config.timeouts.handshake = ms(500);
            config
        };
        assert_eq!(end(config(), b"").await, CloseReason::HANDSHAKE_TIMEOUT);
        assert_eq!(end(config(), &[0x16, 3, 1]).await, CloseReason::HANDSHAKE_TIMEOUT);
        assert_eq!(end(config(), b"GET / HTTP/1.1\r\n\r\n").await, CloseReason::NETWORK_LOST);
    })
    .await;
}

/// A client that stays connected to this address over TLS.
fn staying(config: Arc<ClientConfig>, address: SocketAddr) -> Client {
    let open = move || {
        let config = Arc::clone(&config);
        async move { Ok(tls::connect(config, NAME.try_into().unwrap(), TcpStream::connect(address).await?)) }
    };
    Client::with_streams(&endpoint(), open, ClientOptions::default())
}

/// Both sides are told why, and it is no health check.
#[tokio::test]
async fn whom_tls_does_not_understand_is_told_apart() {
    bounded(async {
        let authority = Authority::new();
        let mut server = Server::new(endpoint());
        let listening = server.listen_tls("127.0.0.1:0", tls::Server::new(authority.server(NAME))).await.unwrap();
        let (address, handle) = (listening.address().unwrap(), server.handle());
        tokio::spawn(server.serve(|mut connection| async move { while connection.recv().await.is_some() {} }));
        // One that believes nobody here, and stays connected otherwise.
        let stranger = Authority::new().client();
        let mut client = staying(stranger, address);
        let failed = loop {
            match client.recv().await {
                Some(ClientEvent::Failed(failed)) => break failed,
                Some(_) => {}
                None => panic!("over"),
            }
        };
        let source = std::error::Error::source(&failed.error).expect("what was wrong").to_string();
        assert!(source.contains("certificate"), "{source}");
        client.close(CloseReason::NORMAL);
        // Those that don't speak TLS.
        for said in [&b"GET / HTTP/1.1\r\n\r\n"[..], b"\xf7\x9a\x01\0"] {
            let mut socket = TcpStream::connect(address).await.unwrap();
            socket.write_all(said).await.unwrap();
            // The server's alert, and its end.
            let _ = socket.read_to_end(&mut Vec::new()).await;
        }
        // One that only looks whether somebody is there.
        let mut socket = TcpStream::connect(address).await.unwrap();
        socket.shutdown().await.unwrap();
        let _ = socket.read_to_end(&mut Vec::new()).await;
        let counted = || (handle.statistics().failed_handshakes, handle.statistics().health_checks);
        while counted().0 + counted().1 < 4 {
            tokio::time::sleep(ms(1)).await;
        }
        assert_eq!(counted(), (3, 1));
    })
    .await;
}

/// TLS 1.3 completes a client's handshake before the server has looked at its certificate.
#[tokio::test]
async fn a_client_whose_certificate_is_refused_learns_why() {
    bounded(async {
        let authority = Authority::new();
        let mut server = Server::new(endpoint());
        let listening = server.listen_tls("127.0.0.1:0", tls::Server::new(authority.strict_server())).await.unwrap();
        let address = listening.address().unwrap();
        tokio::spawn(server.serve(|mut connection| async move { while connection.recv().await.is_some() {} }));
        let stranger = authority.client();
        let mut client = staying(stranger, address);
        let said = loop {
            match client.recv().await {
                Some(ClientEvent::Failed(failed)) => {
                    break std::error::Error::source(&failed.error).map(ToString::to_string);
                }
                Some(ClientEvent::Disconnected(ended)) => break ended.io_error.map(|error| error.to_string()),
                Some(_) => {}
                None => panic!("over"),
            }
        };
        assert!(said.as_ref().is_some_and(|said| said.contains("ertificate")), "{said:?}");
    })
    .await;
}
