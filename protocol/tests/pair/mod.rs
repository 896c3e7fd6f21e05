//! Connections in virtual time: one that is told what to receive ([`End`]), or two with a link between them ([`Pair`]).
#![allow(
    dead_code,
    unreachable_pub,
    unused_imports,
    reason = "a module of several test crates, each of which uses a part"
)]

mod end;
mod link;
mod packets;
mod reference;
mod watched;

use std::collections::VecDeque;
use std::time::Duration;

pub use end::End;
pub use link::{Link, Spot};
pub use packets::*;
use pulsewire_protocol::{
    Class, Closed, Config, Connection, Damage, Disconnect, Instant, Message, Payload, ProtocolError, Seed, Transmit,
    ValidConfig,
};
pub use reference::{Reference, Setup, Transition};
pub use watched::WatchedPair;

pub const fn ms(count: u64) -> Duration {
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

/// The transport takes this many bytes from the front of what was handed out.
pub fn take(connection: &mut Connection, now: Instant, handed: &mut VecDeque<Transmit>, mut count: usize) {
    while count > 0 {
        let batch = handed.front_mut().expect("so much was handed out");
        let taken = count.min(batch.len());
        count -= taken;
        if connection.transmitted(now, batch, taken) {
            handed.pop_front();
        }
    }
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
    pub links: [Link; 2],
    /// What arrives is lost, without a word.
    pub cut: bool,
    /// Each end receives at most this many bytes per step.
    pub step: usize,
    /// What an end received that was no packet of the protocol.
    pub faults: [Option<ProtocolError>; 2],
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
            faults: [None, None],
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
        self.ends[end].connection.send(self.now, message).expect("accepted");
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
        let reading = self.ends.iter().zip(&self.links).filter(|(end, _)| !end.connection.is_paused());
        let arrivals = reading.filter_map(|(_, link)| link.next_arrival());
        deadlines.chain(arrivals).min().unwrap_or(Instant::MAX)
    }

    /// Writes what waits, as far as the transports take it.
    pub fn transmit(&mut self) {
        for (index, end) in self.ends.iter_mut().enumerate() {
            let bytes = end.transmit();
            let (link, arrival) = (&mut self.links[1 - index], self.now + self.latency);
            if !bytes.is_empty() {
                link.push(arrival, bytes);
            }
            if end.connection.is_over() && end.handed.is_empty() {
                link.finish(arrival);
            }
        }
    }

    /// The transport of a stalled end takes some bytes after all.
    pub fn take(&mut self, end: usize, count: usize) {
        self.ends[end].hand_out();
        let count = count.min(self.ends[end].handed.len());
        if count > 0 {
            let bytes = self.ends[end].take(count);
            self.links[1 - end].push(self.now + self.latency, bytes);
        }
    }

    fn deliver(&mut self) {
        for ((link, end), fault) in self.links.iter_mut().zip(&mut self.ends).zip(&mut self.faults) {
            if end.connection.is_paused() {
                continue;
            }
            let (bytes, ends) = (link.take(self.now), link.take_end(self.now));
            if self.cut {
                continue;
            }
            for chunk in bytes.chunks(self.step) {
                if let Err(error) = end.receive(chunk) {
                    fault.get_or_insert(error);
                }
            }
            if ends {
                end.disconnect(Disconnect::EndOfStream);
            }
        }
    }

    pub fn closed(&self, end: usize) -> &Closed {
        self.ends[end].closed()
    }
}
