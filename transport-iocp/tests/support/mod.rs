//! An echo server, a client that waits with a time limit, and a proxy that misbehaves.

use std::collections::HashMap;
use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::mpsc::Receiver;
use std::thread;
use std::time::Duration;

use pulsewire_transport_iocp::protocol::{Class, Closed, Config, ConnectionId, Event, Message, SendError};
use pulsewire_transport_iocp::{ChannelHandler, Context, Endpoint, Handler, Notice, NoticeKind, Sender, SocketOptions};
use socket2::SockRef;

/// What a test waits for at most, however busy the machine is.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) const LOOPBACK: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

pub(crate) fn config() -> Config {
    Config::default()
}

pub(crate) fn message(payload: impl Into<Vec<u8>>) -> Message<'static> {
    Message::new(Class::BUSINESS, payload.into())
}

/// Echoes; a refusal fails the test, since the client then misses the answer.
pub(crate) struct Echo;

impl Handler for Echo {
    fn event(&mut self, connection: &mut Context<'_>, event: Event<'_>) {
        if let Event::Message(message) = event {
            let _missing = connection.send(message);
        }
    }

    fn unsent(&mut self, _connection: &mut Context<'_>, refused: SendError<'static>) {
        panic!("nobody sends from another thread here: {refused}");
    }
}

pub(crate) fn echo_server(mut config: Config) -> (Endpoint, SocketAddr) {
    config.limits.send_queue = 64 << 20;
    let endpoint = Endpoint::start(config.validate().unwrap(), SocketOptions::default(), Echo).unwrap();
    let address = endpoint.listen(LOOPBACK).unwrap();
    (endpoint, address)
}

/// An endpoint whose events come over a channel.
pub(crate) struct Client {
    pub(crate) endpoint: Endpoint,
    pub(crate) notices: Receiver<Notice>,
}

pub(crate) fn client(config: Config) -> Client {
    let (handler, notices) = ChannelHandler::new();
    let endpoint = Endpoint::start(config.validate().unwrap(), SocketOptions::default(), handler).unwrap();
    Client { endpoint, notices }
}

impl Client {
    pub(crate) fn next_notice(&self) -> Notice {
        self.notices.recv_timeout(PATIENCE).expect("something happens in time")
    }

    /// Connects, and waits until the handshake is complete.
    pub(crate) fn establish(&self, address: SocketAddr) -> Sender {
        let id = self.endpoint.connect(address).unwrap();
        self.wait_established(1).remove(&id).expect("the only one under way")
    }

    pub(crate) fn wait_established(&self, count: usize) -> HashMap<ConnectionId, Sender> {
        let established = (0..count).map(|_| {
            let notice = self.next_notice();
            assert!(matches!(notice.event(), Some(Event::Established(_))), "{notice:?}");
            (notice.sender.id(), notice.sender)
        });
        established.collect()
    }

    pub(crate) fn next_message(&self) -> (ConnectionId, Message<'static>) {
        loop {
            let notice = self.next_notice();
            match notice.kind {
                NoticeKind::Event(Event::Message(message)) => return (notice.sender.id(), message),
                NoticeKind::Event(Event::Established(_)) | NoticeKind::Writable => {}
                other => panic!("no message: {other:?}"),
            }
        }
    }

    pub(crate) fn next_closed(&self) -> (ConnectionId, Closed) {
        loop {
            let notice = self.next_notice();
            match notice.kind {
                NoticeKind::Event(Event::Closed(closed)) => return (notice.sender.id(), *closed),
                NoticeKind::Event(Event::Established(_) | Event::Closing(_)) | NoticeKind::Writable => {}
                other => panic!("no end: {other:?}"),
            }
        }
    }
}

/// What a proxy does with the bytes of both directions.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Treatment {
    PassOn,
    Swallow,
    Reset,
}

/// Stands between one client and a server.
pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    treatment: Arc<AtomicU8>,
}

impl Proxy {
    pub(crate) fn start(server: SocketAddr) -> Self {
        let listener = TcpListener::bind(LOOPBACK).unwrap();
        let address = listener.local_addr().unwrap();
        let treatment = Arc::new(AtomicU8::new(Treatment::PassOn as u8));
        let shared = Arc::clone(&treatment);
        thread::spawn(move || {
            let client = Arc::new(listener.accept().unwrap().0);
            let server = Arc::new(TcpStream::connect(server).unwrap());
            for (from, to) in [(&client, &server), (&server, &client)] {
                let (from, to, treatment) = (Arc::clone(from), Arc::clone(to), Arc::clone(&shared));
                thread::spawn(move || copy(&from, &to, &treatment));
            }
        });
        Self { address, treatment }
    }

    pub(crate) fn treat(&self, treatment: Treatment) {
        self.treatment.store(treatment as u8, Ordering::SeqCst);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.treat(Treatment::Reset);
    }
}

/// Copies until the stream ends or is to be reset, which happens when both directions have let go of it.
fn copy(mut from: &TcpStream, mut to: &TcpStream, treatment: &AtomicU8) {
    from.set_read_timeout(Some(Duration::from_millis(10))).unwrap();
    let mut bytes = [0; 4096];
    loop {
        let result = from.read(&mut bytes);
        if treatment.load(Ordering::SeqCst) == Treatment::Reset as u8 {
            let _gone = SockRef::from(from).set_linger(Some(Duration::ZERO));
            return;
        }
        match result {
            Ok(0) => return,
            Ok(count) if treatment.load(Ordering::SeqCst) == Treatment::PassOn as u8 => {
                if to.write_all(&bytes[..count]).is_err() {
                    return;
                }
            }
            Ok(_) => {}
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(_) => return,
        }
    }
}
