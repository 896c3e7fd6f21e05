//! An echo server, a client that waits with a time limit, and how their connections ended.
#![allow(dead_code, unused_imports, reason = "a module of several test programs, each of which uses a part of it")]

mod proxy;

use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use pulsewire_transport_iocp::protocol::{Class, Closed, Config, ConnectionId, Event, Message, SendError, SendRefused};
use pulsewire_transport_iocp::{
    ChannelHandler, Context, Endpoint, Handler, Notice, NoticeKind, Notices, Sender, SocketOptions,
};

pub(crate) use proxy::{Proxy, Treatment};

/// What a test waits for at most, however busy the machine is.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) const LOOPBACK: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

pub(crate) fn config() -> Config {
    Config::default()
}

/// Ends an endpoint. Returns whether nothing had to be cut.
pub(crate) fn in_order(endpoint: Endpoint) -> bool {
    endpoint.shutdown(PATIENCE).unwrap().cut == 0
}

pub(crate) fn message(payload: impl Into<Vec<u8>>) -> Message<'static> {
    Message::new(Class::BUSINESS, payload.into())
}

/// Echoes everything. What there is no room for waits until there is.
#[derive(Default)]
pub(crate) struct Echo {
    waiting: HashMap<ConnectionId, VecDeque<Message<'static>>>,
}

impl Handler for Echo {
    fn event(&mut self, connection: &mut Context<'_>, event: Event<'_>) {
        match event {
            Event::Message(message) => {
                let waiting = self.waiting.entry(connection.id()).or_default();
                if !waiting.is_empty() {
                    waiting.push_back(message.into_owned());
                } else if let Err(SendError { reason: SendRefused::Full, message }) = connection.send(message) {
                    waiting.push_back(message.into_owned());
                }
            }
            Event::Closed(_) => drop(self.waiting.remove(&connection.id())),
            _ => {}
        }
    }

    fn unsent(&mut self, _connection: &mut Context<'_>, refused: SendError<'static>) {
        panic!("nobody sends from another thread here: {refused}");
    }

    fn writable(&mut self, connection: &mut Context<'_>) {
        let Some(waiting) = self.waiting.get_mut(&connection.id()) else { return };
        while let Some(message) = waiting.pop_front() {
            if let Err(SendError { reason: SendRefused::Full, message }) = connection.send(message) {
                return waiting.push_front(message);
            }
        }
    }
}

/// How a connection ended, as the handler of one side was told.
#[derive(Debug)]
pub(crate) struct Ending {
    pub(crate) when: Instant,
    /// The smoothed round-trip time when the last message came: there is one where a PING was answered.
    pub(crate) rtt: Option<Duration>,
    pub(crate) closed: Closed,
}

/// A handler that also tells how each connection ended.
struct Watched<H> {
    handler: H,
    rtt: Option<Duration>,
    endings: mpsc::Sender<Ending>,
}

impl<H> Watched<H> {
    fn new(handler: H) -> (Self, Receiver<Ending>) {
        let (endings, receiver) = mpsc::channel();
        (Self { handler, rtt: None, endings }, receiver)
    }
}

impl<H: Handler> Handler for Watched<H> {
    fn event(&mut self, connection: &mut Context<'_>, event: Event<'_>) {
        match &event {
            Event::Message(_) => self.rtt = connection.rtt(),
            Event::Closed(closed) => {
                let ending = Ending { when: Instant::now(), rtt: self.rtt, closed: (**closed).clone() };
                let _not_of_interest = self.endings.send(ending);
            }
            _ => {}
        }
        self.handler.event(connection, event);
    }

    fn unsent(&mut self, connection: &mut Context<'_>, refused: SendError<'static>) {
        self.handler.unsent(connection, refused);
    }

    fn writable(&mut self, connection: &mut Context<'_>) {
        self.handler.writable(connection);
    }
}

pub(crate) fn echo_server(config: Config) -> (Endpoint, SocketAddr) {
    let (endpoint, address, _not_of_interest) = watched_echo_server(config);
    (endpoint, address)
}

/// An echo server that also tells how each of its connections ended.
pub(crate) fn watched_echo_server(config: Config) -> (Endpoint, SocketAddr, Receiver<Ending>) {
    let (handler, endings) = Watched::new(Echo::default());
    let endpoint = Endpoint::start(config.validate().unwrap(), SocketOptions::default(), handler).unwrap();
    let address = endpoint.listen(LOOPBACK).unwrap();
    (endpoint, address, endings)
}

/// An endpoint whose events come over a channel.
pub(crate) struct Client {
    pub(crate) endpoint: Endpoint,
    pub(crate) notices: Notices,
    pub(crate) endings: Receiver<Ending>,
}

pub(crate) fn client(config: Config) -> Client {
    client_with_options(config, SocketOptions::default())
}

pub(crate) fn client_with_options(config: Config, options: SocketOptions) -> Client {
    let (handler, notices) = ChannelHandler::new();
    let (handler, endings) = Watched::new(handler);
    let endpoint = Endpoint::start(config.validate().unwrap(), options, handler).unwrap();
    Client { endpoint, notices, endings }
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

    /// Waits for so many connections to be established. Earlier ones may be suspect meanwhile, on a busy machine.
    pub(crate) fn wait_established(&self, count: usize) -> HashMap<ConnectionId, Sender> {
        let mut established = HashMap::new();
        while established.len() < count {
            let notice = self.next_notice();
            match notice.event() {
                Some(Event::Established(_)) => drop(established.insert(notice.sender.id(), notice.sender)),
                Some(Event::Suspect(_) | Event::Recovered(_)) => {}
                _ => panic!("{notice:?}"),
            }
        }
        established
    }

    pub(crate) fn next_message(&self) -> (ConnectionId, Message<'static>) {
        loop {
            let notice = self.next_notice();
            match notice.kind {
                NoticeKind::Event(Event::Message(message)) => return (notice.sender.id(), message),
                NoticeKind::Event(Event::Established(_) | Event::Suspect(_) | Event::Recovered(_))
                | NoticeKind::Writable => {}
                other => panic!("no message: {other:?}"),
            }
        }
    }

    pub(crate) fn next_closed(&self) -> (ConnectionId, Closed) {
        loop {
            let notice = self.next_notice();
            match notice.kind {
                NoticeKind::Event(Event::Closed(closed)) => return (notice.sender.id(), *closed),
                NoticeKind::Event(
                    Event::Established(_) | Event::Suspect(_) | Event::Recovered(_) | Event::Closing(_),
                )
                | NoticeKind::Writable => {}
                other => panic!("no end: {other:?}"),
            }
        }
    }

    /// Sends `count` messages, each when there is room for it, to somebody who doesn't answer.
    pub(crate) fn send_all(&self, sender: &Sender, count: usize, payload: impl Fn(usize) -> Vec<u8>) {
        for number in 0..count {
            let mut next = message(payload(number));
            while let Err(SendError { reason, message }) = sender.try_send(next) {
                assert_eq!(reason, SendRefused::Full);
                next = message;
                let notice = self.next_notice().kind;
                assert!(matches!(notice, NoticeKind::Writable), "unexpected: {notice:?}");
            }
        }
    }

    /// Sends `count` messages, each when there is room for it, and takes them back from an echo server. Says how often
    /// there was no room.
    pub(crate) fn exchange(&self, sender: &Sender, count: usize, payload: impl Fn(usize) -> Vec<u8>) -> usize {
        let mut outgoing = (0..count).map(|number| message(payload(number)));
        let mut next = outgoing.next();
        let (mut echoed, mut refused, mut has_room) = (0, 0, true);
        while echoed < count {
            while has_room && let Some(message) = next.take() {
                match sender.try_send(message) {
                    Ok(()) => next = outgoing.next(),
                    Err(SendError { reason: SendRefused::Full, message }) => {
                        (next, has_room) = (Some(message), false);
                        refused += 1;
                    }
                    Err(other) => panic!("{other}"),
                }
            }
            match self.next_notice().kind {
                NoticeKind::Writable => has_room = true,
                NoticeKind::Event(Event::Message(message)) => {
                    assert!(*message.payload == payload(echoed)[..], "message {echoed}");
                    echoed += 1;
                }
                other => panic!("unexpected: {other:?}"),
            }
        }
        refused
    }
}
