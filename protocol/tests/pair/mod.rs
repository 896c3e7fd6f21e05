//! Connections in virtual time: one that is told what to receive ([`End`]), or two with a link between them ([`Pair`]).
#![allow(
    dead_code,
    unreachable_pub,
    unused_imports,
    reason = "a module of several test crates, each of which uses a part"
)]

mod end;
mod packets;

use std::collections::VecDeque;
use std::time::Duration;

pub use end::End;
pub use packets::*;
use pulsewire_protocol::{Class, Closed, Config, Connection, Damage, Instant, Message, Payload, Seed, ValidConfig};

pub fn ms(count: u64) -> Duration {
    Duration::from_millis(count)
}

pub fn at(count: u64) -> Instant {
    Instant::ZERO + ms(count)
}

/// Round numbers: idle 1 s, interval 100 ms, three probes. No extensions, no RESYNC: a test asks for them where it means them.
pub fn config() -> Config {
    let mut config = Config::default();
    config.heartbeat.idle = ms(1_000);
    config.heartbeat.interval = ms(100);
    config.heartbeat.ping_floor = ms(10);
    config.heartbeat.extension_max = Some(Duration::ZERO);
    config.damage = Damage::Close;
    config
}

pub fn valid(config: Config) -> ValidConfig {
    config.validate().expect("a valid configuration")
}

/// The key, and a jitter that is as different as the key.
pub fn seed(sync_key: u32) -> Seed {
    let [a, b, c, d] = sync_key.to_be_bytes();
    Seed::from_bytes([a, b, c, d, a, b, c, d, a, b, c, d])
}

pub fn payload(size: usize) -> Payload<'static> {
    Payload::from((0..size).map(|index| (index * 31 + index / 251) as u8).collect::<Vec<u8>>())
}

pub fn business(size: usize) -> Message<'static> {
    Message::new(Class::BUSINESS, payload(size))
}

pub const CLIENT: usize = 0;
pub const SERVER: usize = 1;
pub const CLIENT_KEY: u32 = 0x1111_1111;
pub const SERVER_KEY: u32 = 0x2222_2222;

/// A client and a server. Bytes take `latency` each way.
pub struct Pair {
    pub now: Instant,
    pub latency: Duration,
    /// Client, server.
    pub ends: [End; 2],
    /// On the way to the client, to the server.
    pub links: [VecDeque<(Instant, Vec<u8>)>; 2],
    /// What arrives is lost, without a word.
    pub cut: bool,
    /// Each end receives at most this many bytes per step.
    pub step: usize,
}

impl Pair {
    pub fn new(client: Config, server: Config) -> Self {
        let client = Connection::client(Instant::ZERO, &valid(client), seed(CLIENT_KEY));
        let server = Connection::server(Instant::ZERO, &valid(server), seed(SERVER_KEY));
        Self::of([client, server], [CLIENT_KEY, SERVER_KEY])
    }

    /// These two, with their keys.
    pub fn of([client, server]: [Connection; 2], [client_key, server_key]: [u32; 2]) -> Self {
        Self {
            now: Instant::ZERO,
            latency: ms(1),
            ends: [End::new(client, server_key), End::new(server, client_key)],
            links: Default::default(),
            cut: false,
            step: usize::MAX,
        }
    }

    /// A pair whose handshake is complete.
    pub fn established(client: Config, server: Config) -> Self {
        let mut pair = Self::new(client, server);
        pair.run_for(ms(10));
        assert!(pair.ends.iter().all(|end| end.connection.is_open()));
        pair
    }

    pub fn send(&mut self, end: usize, message: Message<'_>) {
        self.ends[end].connection.send(message).expect("accepted");
    }

    /// Moves bytes until nothing moves at this moment, then jumps to the next moment at which something happens.
    pub fn run_for(&mut self, duration: Duration) {
        let end = self.now + duration;
        loop {
            self.transmit();
            let next = self.next_moment();
            if next > end {
                return self.set_now(end);
            }
            self.set_now(self.now.max(next));
            self.deliver();
            self.ends.iter_mut().for_each(End::pass_time);
        }
    }

    fn set_now(&mut self, now: Instant) {
        self.now = now;
        self.ends.iter_mut().for_each(|end| end.now = now);
    }

    fn next_moment(&self) -> Instant {
        let deadlines = self.ends.iter().filter_map(|end| end.connection.poll_timeout());
        let reading = self.links.iter().zip(&self.ends).filter(|(_, end)| !end.connection.is_paused());
        let arrivals = reading.filter_map(|(link, _)| link.front().map(|(arrival, _)| *arrival));
        deadlines.chain(arrivals).min().unwrap_or(Instant::MAX)
    }

    fn transmit(&mut self) {
        for (index, end) in self.ends.iter_mut().enumerate() {
            let bytes = end.transmit();
            if !bytes.is_empty() {
                let link = &mut self.links[1 - index];
                // A stream keeps its order, whatever the latency does.
                let earliest = link.back().map_or(Instant::ZERO, |(arrival, _)| *arrival);
                link.push_back((earliest.max(self.now + self.latency), bytes));
            }
        }
    }

    fn deliver(&mut self) {
        for (link, end) in self.links.iter_mut().zip(&mut self.ends) {
            // A side that pauses does not read.
            while !end.connection.is_paused()
                && let Some((_, bytes)) = link.pop_front_if(|(arrival, _)| *arrival <= self.now)
            {
                if !self.cut {
                    for chunk in bytes.chunks(self.step) {
                        end.receive(chunk).expect("a clean link");
                    }
                }
            }
        }
    }

    pub fn closed(&self, end: usize) -> &Closed {
        self.ends[end].closed()
    }
}
