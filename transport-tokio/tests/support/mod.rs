//! An echo server, a proxy that can be slow or fall silent, and payloads that can be recognised.
#![allow(dead_code, unreachable_pub, reason = "a module of several test crates, each of which uses a part of it")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use pulsewire_transport_tokio::protocol::{Class, Closed, Config, Event, Message, Role, ValidConfig};
use pulsewire_transport_tokio::{Connection, Endpoint};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

pub fn ms(count: u64) -> Duration {
    Duration::from_millis(count)
}

/// A heartbeat that finds a dead peer within 150 ms.
pub fn brisk() -> Config {
    let mut config = Config::default();
    config.heartbeat.idle = ms(60);
    config.heartbeat.interval = ms(30);
    config.heartbeat.probes = 3;
    config.heartbeat.ping_floor = ms(10);
    config
}

pub fn valid(config: Config) -> ValidConfig {
    config.validate().expect("a valid configuration")
}

/// A test that takes this long hangs.
pub async fn bounded<F: Future>(test: F) -> F::Output {
    tokio::time::timeout(Duration::from_secs(60), test).await.expect("the test hangs")
}

pub struct Server {
    pub endpoint: Endpoint,
    pub address: SocketAddr,
    /// How each connection ended.
    pub endings: mpsc::UnboundedReceiver<Closed>,
    accepting: JoinHandle<()>,
}

impl Server {
    /// Echoes on a free port.
    pub async fn start(config: Config) -> Self {
        let endpoint = Endpoint::new(valid(config));
        let listener = endpoint.listen("127.0.0.1:0").await.expect("a free port");
        let address = listener.address().expect("an address");
        let (tell, endings) = mpsc::unbounded_channel();
        let accepting = tokio::spawn(async move {
            loop {
                let connection = listener.accept().await.expect("accepts");
                tokio::spawn(echo(connection, tell.clone()));
            }
        });
        Self { endpoint, address, endings, accepting }
    }

    pub fn stop_accepting(&self) {
        self.accepting.abort();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn echo(mut connection: Connection, tell: mpsc::UnboundedSender<Closed>) {
    let sender = connection.sender();
    while let Some(event) = connection.recv().await {
        match event {
            // A message that comes while the connection closes can't go back.
            Event::Message(message) => drop(sender.send(message).await),
            Event::Closed(closed) => drop(tell.send(*closed)),
            _ => {}
        }
    }
}

/// Receives until a message comes.
pub async fn next_message(connection: &mut Connection) -> Message<'static> {
    loop {
        match connection.recv().await.expect("not over") {
            Event::Message(message) => return message.into_owned(),
            Event::Closed(closed) => panic!("{closed}"),
            _ => {}
        }
    }
}

/// Receives until the end, and gives the messages that came before it.
pub async fn until_closed(connection: &mut Connection) -> (Vec<Message<'static>>, Closed) {
    let mut messages = Vec::new();
    loop {
        match connection.recv().await.expect("Closed comes before the end") {
            Event::Message(message) => messages.push(message.into_owned()),
            Event::Closed(closed) => return (messages, *closed),
            _ => {}
        }
    }
}

pub fn payload(number: u64, size: usize) -> Vec<u8> {
    let mut state = number.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    (0..size)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state as u8
        })
        .collect()
}

pub fn message(number: u64, size: usize) -> Message<'static> {
    Message::new(Class::BUSINESS, payload(number, size))
}

/// Forwards bytes both ways.
pub struct Proxy {
    pub address: SocketAddr,
    silent: Arc<AtomicBool>,
    forwarding: JoinHandle<()>,
}

impl Proxy {
    /// `bytes_per_second` is what goes each way, if limited.
    pub async fn start(to: SocketAddr, bytes_per_second: Option<u64>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let silent = Arc::new(AtomicBool::new(false));
        let heard = Arc::clone(&silent);
        let forwarding = tokio::spawn(async move {
            loop {
                let (client, _) = listener.accept().await.expect("accepts");
                let server = TcpStream::connect(to).await.expect("connects");
                tokio::spawn(forward_both(client, server, Arc::clone(&heard), bytes_per_second));
            }
        });
        Self { address, silent, forwarding }
    }

    /// From now on nothing passes, and nobody is told: no FIN, no RST.
    pub fn fall_silent(&self) {
        self.silent.store(true, Ordering::SeqCst);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.forwarding.abort();
    }
}

async fn forward_both(client: TcpStream, server: TcpStream, silent: Arc<AtomicBool>, rate: Option<u64>) {
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let up = tokio::spawn({
        let silent = Arc::clone(&silent);
        async move { forward(&mut from_client, &mut to_server, &silent, rate).await }
    });
    forward(&mut from_server, &mut to_client, &silent, rate).await;
    let _ = up.await;
}

async fn forward(
    from: &mut tokio::net::tcp::OwnedReadHalf,
    to: &mut tokio::net::tcp::OwnedWriteHalf,
    silent: &AtomicBool,
    rate: Option<u64>,
) {
    let mut buffer = vec![0; 16 << 10];
    let start = tokio::time::Instant::now();
    let mut passed = 0;
    while let Ok(count) = from.read(&mut buffer).await {
        if silent.load(Ordering::SeqCst) {
            // Holds both sockets open, and reads no more.
            std::future::pending::<()>().await;
        }
        if count == 0 || to.write_all(&buffer[..count]).await.is_err() {
            break;
        }
        passed += count as u64;
        if let Some(rate) = rate {
            tokio::time::sleep_until(start + Duration::from_micros(passed * 1_000_000 / rate)).await;
        }
    }
    let _ = to.shutdown().await;
}

/// Two ends over a stream that holds this many bytes each way, with the handshake complete.
pub async fn pair(config: Config, stream_holds: usize) -> (Connection, Connection) {
    let (near, far) = tokio::io::duplex(stream_holds);
    let endpoint = Endpoint::new(valid(config));
    let mut client = endpoint.connection(near, Role::Client).expect("random numbers");
    let mut server = endpoint.connection(far, Role::Server).expect("random numbers");
    let (first, second) = tokio::join!(client.recv(), server.recv());
    assert!(matches!((first, second), (Some(Event::Established(_)), Some(Event::Established(_)))));
    (client, server)
}
