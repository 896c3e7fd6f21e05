//! Two connections, a link between them, and virtual time.
#![allow(dead_code, unreachable_pub, reason = "a module of several test crates, each of which uses a part of it")]

use std::collections::VecDeque;
use std::time::Duration;

use pulsewire_protocol::{
    Closed, Config, Connection, Disconnect, Event, HEADER_SIZE, Header, Hello, Instant, Kind, Message, Payload, Seed,
    Transmit,
};

pub fn ms(count: u64) -> Duration {
    Duration::from_millis(count)
}

/// Round numbers: idle 1 s, interval 100 ms, three probes.
pub fn config() -> Config {
    let mut config = Config::default();
    config.heartbeat.idle = ms(1_000);
    config.heartbeat.interval = ms(100);
    config.heartbeat.ping_floor = ms(10);
    config
}

pub fn seed(sync_key: u32) -> Seed {
    let mut bytes = [7; 12];
    bytes[..4].copy_from_slice(&sync_key.to_be_bytes());
    Seed::from_bytes(bytes)
}

/// The peer's HELLO in these tests: no RESYNC, no limits beyond the defaults.
pub fn hello(sync_key: u32) -> Hello {
    Hello {
        version_lowest: 1,
        version_highest: 1,
        sync_key: sync_key.try_into().expect("not zero"),
        frame_limit: 65_536,
        message_limit: 16 << 20,
        ping_floor: ms(10),
        resync: false,
        token: None,
    }
}

pub fn packet(header: Header, payload: &[u8], key: u32) -> Vec<u8> {
    [&header.encode(key), payload].concat()
}

pub fn control(kind: Kind, payload: &[u8], key: u32) -> Vec<u8> {
    let length = payload.len() as u32;
    packet(Header { kind, flags: Default::default(), class: Default::default(), length }, payload, key)
}

pub fn hello_packet(kind: Kind, hello: &Hello) -> Vec<u8> {
    let mut payload = Vec::new();
    hello.encode(&mut payload);
    control(kind, &payload, 0)
}

/// The key that the peer of `handshaken_server` announced.
pub const PEER_KEY: u32 = 0x0BAD_CAFE;

/// A server that has answered HELLO, and whose answer was taken.
pub fn handshaken_server(config: Config, key: u32) -> Connection {
    let config = config.validate().expect("a valid configuration");
    let mut connection = Connection::server(Instant::ZERO, &config, seed(key));
    let bytes = hello_packet(Kind::HELLO, &hello(PEER_KEY));
    let mut input = &bytes[..];
    assert!(matches!(connection.receive(Instant::ZERO, &mut input), Ok(Some(Event::Established(_)))));
    transmit_all(&mut connection, Instant::ZERO);
    connection
}

/// All bytes that wait, taken by the transport at once.
pub fn transmit_all(connection: &mut Connection, now: Instant) -> Vec<u8> {
    let (mut bytes, mut batch) = (Vec::new(), Transmit::new());
    while connection.poll_transmit(now, 64 << 10, &mut batch) {
        let before = bytes.len();
        batch.slices().for_each(|slice| bytes.extend_from_slice(slice));
        connection.transmitted(now, bytes.len() - before);
    }
    bytes
}

/// What waits, as packets, from a connection whose peer's key is `PEER_KEY`.
pub fn transmitted(connection: &mut Connection) -> Vec<(Header, Vec<u8>)> {
    packets(&transmit_all(connection, Instant::ZERO), PEER_KEY)
}

pub fn packets(mut bytes: &[u8], key: u32) -> Vec<(Header, Vec<u8>)> {
    let mut packets = Vec::new();
    while let Some((header, rest)) = bytes.split_first_chunk::<HEADER_SIZE>() {
        let header = Header::verify(header, key).or_else(|| Header::verify(header, 0)).expect("a header that verifies");
        let (body, tail) = rest.split_at(header.body_size());
        packets.push((header, body[..header.length as usize].to_vec()));
        bytes = tail;
    }
    assert!(bytes.is_empty(), "half a header");
    packets
}

/// One end, what it holds, and what it told.
pub struct End {
    pub connection: Connection,
    pub held: Vec<u8>,
    pub messages: Vec<Message<'static>>,
    pub closing: Vec<pulsewire_protocol::CloseReason>,
    pub closed: Option<(Instant, Closed)>,
    pub established: bool,
    /// When this end sent a packet of a kind.
    pub sent: Vec<(Instant, Kind)>,
}

impl End {
    fn new(connection: Connection) -> Self {
        let (held, messages, sent) = (Vec::new(), Vec::new(), Vec::new());
        Self { connection, held, messages, closing: Vec::new(), closed: None, established: false, sent }
    }

    fn note(&mut self, now: Instant, event: Event<'_>) {
        assert!(self.closed.is_none(), "{event:?} after Closed");
        match event {
            Event::Message(message) => self.messages.push(message.into_owned()),
            Event::Established(_) => self.established = true,
            Event::Closing(reason) => self.closing.push(reason),
            Event::Closed(closed) => self.closed = Some((now, closed)),
            Event::Gap(gap) => panic!("{gap:?} on a clean link"),
        }
    }

    fn receive(&mut self, now: Instant, bytes: &[u8]) {
        let mut held = std::mem::take(&mut self.held);
        held.extend_from_slice(bytes);
        let mut input = &held[..];
        loop {
            match self.connection.receive(now, &mut input) {
                Ok(Some(event)) => self.note(now, event),
                Ok(None) => break,
                Err(error) => panic!("{error}"),
            }
        }
        self.held = input.to_vec();
    }

    fn poll_events(&mut self, now: Instant) {
        while let Some(event) = self.connection.poll_event() {
            self.note(now, event);
        }
    }
}

/// A client and a server. Bytes take `latency` each way.
pub struct Pair {
    pub now: Instant,
    pub latency: Duration,
    /// Client, server.
    pub ends: [End; 2],
    /// On the way to the client, to the server.
    links: [VecDeque<(Instant, Vec<u8>)>; 2],
    /// What arrives is lost, without a word.
    pub cut: bool,
    /// Each end takes at most this many bytes per step; `None`: all.
    pub step: Option<usize>,
}

pub const CLIENT: usize = 0;
pub const SERVER: usize = 1;

impl Pair {
    pub fn new(client: Config, server: Config) -> Self {
        let (client, server) = (client.validate().expect("valid"), server.validate().expect("valid"));
        let now = Instant::ZERO;
        Self {
            now,
            latency: ms(1),
            ends: [
                End::new(Connection::client(now, &client, seed(0x1111_1111))),
                End::new(Connection::server(now, &server, seed(0x2222_2222))),
            ],
            links: Default::default(),
            cut: false,
            step: None,
        }
    }

    /// A pair whose handshake is complete.
    pub fn established(client: Config, server: Config) -> Self {
        let mut pair = Self::new(client, server);
        pair.run_for(ms(10));
        assert!(pair.ends.iter().all(|end| end.established));
        pair
    }

    pub fn send(&mut self, end: usize, message: Message<'_>) {
        self.ends[end].connection.send(self.now, message).expect("accepted");
    }

    /// Moves bytes until nothing moves at this moment, then jumps to the next moment at which something happens.
    pub fn run_for(&mut self, duration: Duration) {
        let end = self.now + duration;
        loop {
            self.transmit();
            let next = self.next_moment();
            if next > end {
                self.now = end;
                return;
            }
            self.now = self.now.max(next);
            self.deliver();
            for end in &mut self.ends {
                if end.connection.poll_timeout().is_some_and(|deadline| deadline <= self.now) {
                    end.connection.handle_timeout(self.now);
                    assert!(
                        end.connection.poll_timeout().is_none_or(|deadline| deadline > self.now),
                        "a deadline in the past after handle_timeout"
                    );
                }
                end.poll_events(self.now);
            }
        }
    }

    fn next_moment(&self) -> Instant {
        let deadlines = self.ends.iter().filter_map(|end| end.connection.poll_timeout());
        let arrivals = self.links.iter().filter_map(|link| link.front().map(|(arrival, _)| *arrival));
        deadlines.chain(arrivals).min().unwrap_or(Instant::MAX)
    }

    fn transmit(&mut self) {
        for (index, end) in self.ends.iter_mut().enumerate() {
            let bytes = transmit_all(&mut end.connection, self.now);
            end.poll_events(self.now);
            if bytes.is_empty() {
                continue;
            }
            let key = if index == CLIENT { 0x2222_2222 } else { 0x1111_1111 };
            end.sent.extend(packets(&bytes, key).iter().map(|(header, _)| (self.now, header.kind)));
            self.links[1 - index].push_back((self.now + self.latency, bytes));
        }
    }

    fn deliver(&mut self) {
        for (link, end) in self.links.iter_mut().zip(&mut self.ends) {
            while let Some((_, bytes)) = link.pop_front_if(|(arrival, _)| *arrival <= self.now) {
                if !self.cut {
                    bytes.chunks(self.step.unwrap_or(usize::MAX)).for_each(|chunk| end.receive(self.now, chunk));
                }
            }
            end.poll_events(self.now);
        }
    }

    pub fn closed(&self, end: usize) -> &Closed {
        &self.ends[end].closed.as_ref().expect("closed").1
    }
}

pub fn disconnect(end: &mut End, how: Disconnect, now: Instant) {
    end.connection.disconnected(how);
    end.poll_events(now);
}

pub fn payload(size: usize) -> Payload<'static> {
    Payload::from((0..size).map(|index| (index * 31 + index / 251) as u8).collect::<Vec<u8>>())
}
