//! A server's connections, its driver, and the peers that answer it.

use std::hint::black_box;
use std::time::Duration;

use pulsewire_protocol::{
    Class, Config, Connection, ConnectionId, ConnectionTable, Event, Flags, HEADER_SIZE, Header, Instant, Kind, Seed,
    TableLimits, Transmit, ValidConfig,
};

use crate::clock::Laps;

/// How far time goes until the driver looks again.
pub(crate) const STEP: Duration = Duration::from_millis(1);

/// What a batch has at most.
const BATCH: usize = 64 << 10;

/// The sync key of every connection of the server. In truth each has its own, which makes no difference to the work.
const KEY: [u8; 4] = [2; 4];

/// Bytes of PING and of PONG.
const NUMBERED: usize = HEADER_SIZE + 8;

/// What a driver did in one step of time.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Step {
    /// All of it.
    pub(crate) took: Duration,
    /// The longest call of [`ConnectionTable::handle_timeout`].
    pub(crate) longest_call: Duration,
    /// The longest that one connection took, from its loan to its return: its PING is handed out, and PONG received.
    pub(crate) longest_turn: Duration,
    /// PINGs that went out.
    pub(crate) pings: u64,
}

/// A table of connections and the driver of it, in virtual time.
pub(crate) struct Server {
    table: ConnectionTable<()>,
    config: ValidConfig,
    /// Draws the jitter of each connection; the same each time.
    random: fastrand::Rng,
    now: Instant,
    batch: Transmit,
    /// The first packet of every client.
    hello: Vec<u8>,
    /// PONG, but for its number.
    pong: [u8; NUMBERED],
}

impl Server {
    /// Without connections, for this many.
    pub(crate) fn new(now: Instant, count: u32) -> Self {
        let config = Config::default().validate().expect("the defaults are valid");
        // All connect at once.
        let limits = TableLimits { connections: count, handshakes: count, ..TableLimits::default() };
        let header = Header { kind: Kind::PONG, flags: Flags::NONE, class: Class::UNCLASSIFIED, length: 8 };
        let mut pong = [0; NUMBERED];
        pong[..HEADER_SIZE].copy_from_slice(&header.encode(u32::from_be_bytes(KEY)));
        Self {
            table: ConnectionTable::with_limits(0, limits.validate().expect("valid limits")),
            hello: hello(now, &config),
            config,
            random: fastrand::Rng::with_seed(1),
            now,
            batch: Transmit::new(),
            pong,
        }
    }

    /// A client connects. Says how long the table took to admit it.
    pub(crate) fn insert(&mut self) -> (ConnectionId, Duration) {
        let [a, b, c, d] = KEY;
        let [e, f, g, h, i, j, k, l] = self.random.u64(..).to_be_bytes();
        let seed = Seed::from_bytes([a, b, c, d, e, f, g, h, i, j, k, l]);
        let connection = Connection::server(self.now, &self.config, seed);
        let mut laps = Laps::begin();
        let id = self.table.insert(connection, ()).expect("within the limits");
        (id, laps.lap())
    }

    /// A client's HELLO comes, and is answered.
    pub(crate) fn greet(&mut self, id: ConnectionId) {
        let Self { table, now, batch, hello, .. } = self;
        let mut connection = table.get_mut(id).expect("a connection that lives");
        let event = connection.receive(*now, &mut &hello[..]).expect("a good HELLO");
        assert!(matches!(event, Some(Event::Established(_))), "the handshake is not complete");
        assert!(connection.poll_transmit(*now, BATCH, batch), "no HELLO_ACK");
        let size = batch.len();
        connection.transmitted(*now, batch, size);
    }

    /// Time goes on by a step. The driver lets it come to the connections that are due, one by one, writes what each has to say,
    /// and asks when to wake again. The peers answer at once.
    pub(crate) fn step(&mut self) -> Step {
        self.now = self.now + STEP;
        let (mut laps, mut step) = (Laps::begin(), Step::default());
        while let Some(id) = self.table.handle_timeout(self.now) {
            step.longest_call = step.longest_call.max(laps.lap());
            self.turn(id);
            step.longest_turn = step.longest_turn.max(laps.lap());
            step.pings += 1;
        }
        step.longest_call = step.longest_call.max(laps.lap());
        black_box(self.table.poll_timeout());
        laps.lap();
        step.took = laps.total();
        step
    }

    /// A connection was named: it sends PING, and gets PONG.
    fn turn(&mut self, id: ConnectionId) {
        let Self { table, now, batch, pong, .. } = self;
        let mut connection = table.get_mut(id).expect("a connection that lives");
        let event = connection.poll_event();
        assert!(event.is_none(), "{event:?}");
        while connection.poll_transmit(*now, BATCH, batch) {
            let written = batch.slices().next().and_then(<[u8]>::first_chunk::<NUMBERED>).expect("a whole packet");
            assert!(written[2] == Kind::PING.0 && batch.len() == NUMBERED, "no PING");
            pong[HEADER_SIZE..].copy_from_slice(&written[HEADER_SIZE..]);
            connection.transmitted(*now, batch, NUMBERED);
        }
        let event = connection.receive(*now, &mut &pong[..]).expect("a good PONG");
        assert!(event.is_none(), "{event:?}");
    }
}

/// What a client with this configuration says first. It is the same for all: what a client tells of itself has no part in how
/// much work its connection is.
fn hello(now: Instant, config: &ValidConfig) -> Vec<u8> {
    let mut client = Connection::client(now, config, Seed::from_bytes([1; 12]));
    let mut batch = Transmit::new();
    assert!(client.poll_transmit(now, BATCH, &mut batch), "no HELLO");
    batch.slices().flatten().copied().collect()
}
