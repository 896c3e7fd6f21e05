//! A client and a server, and the time in which they run.

use super::*;

/// A client's side and a server's.
pub(super) struct World {
    pub(super) network: FakeNetwork,
    pub(super) client: Side,
    pub(super) server: Side,
    pub(super) address: SocketAddr,
}

impl World {
    pub(super) fn new(seed: u64, config: Config) -> Self {
        Self::with_configs(seed, config.clone(), config)
    }

    pub(super) fn with_configs(seed: u64, client: Config, server: Config) -> Self {
        let network = FakeNetwork::new(seed);
        let client = side(&network, 1, client, SocketOptions::default());
        let mut server = side(&network, 2, server, SocketOptions::default());
        let (answer, answered) = sync_channel(1);
        server.inbox.push(Command::Listen { address: ANYWHERE, answer });
        server.turn(Some(Duration::ZERO)).unwrap();
        let address = answered.try_recv().expect("answered").expect("listening");
        Self { network, client, server, address }
    }

    /// A world with one connection whose handshake is complete: its ids at the client's side and at the server's.
    pub(super) fn connected(seed: u64, config: Config) -> (Self, ConnectionId, ConnectionId) {
        let mut world = Self::new(seed, config);
        let client = world.connect();
        let server = world.server.only();
        (world, client, server)
    }

    pub(super) fn begin_to_connect(&mut self, remote: SocketAddr) -> ConnectionId {
        let (answer, answered) = sync_channel(1);
        self.client.inbox.push(Command::Connect { remote, answer });
        self.client.turn(Some(Duration::ZERO)).unwrap();
        answered.try_recv().expect("answered").expect("begun")
    }

    /// Begins to connect, if the client can. Nobody waits for the answer.
    pub(super) fn try_to_connect(&self) {
        let (answer, _) = sync_channel(1);
        self.client.inbox.push(Command::Connect { remote: self.address, answer });
    }

    /// One connection more, established at both sides.
    pub(super) fn connect(&mut self) -> ConnectionId {
        let id = self.begin_to_connect(self.address);
        let before = self.server.handler.established.len();
        self.run_until(|world| {
            world.client.handler.established.contains(&id) && world.server.handler.established.len() > before
        });
        id
    }

    pub(super) fn sides(&mut self) -> [&mut Side; 2] {
        [&mut self.client, &mut self.server]
    }

    pub(super) fn now(&self) -> Duration {
        self.client.io.port.now()
    }

    /// Runs both sides. Time moves on only when nothing else can happen.
    pub(super) fn run_until(&mut self, done: impl Fn(&Self) -> bool) {
        self.run(Duration::MAX, done);
    }

    pub(super) fn run_for(&mut self, duration: Duration) {
        let end = self.now() + duration;
        self.run(end, |world| world.now() >= end);
    }

    /// Runs both sides, but never beyond `end`.
    fn run(&mut self, end: Duration, done: impl Fn(&Self) -> bool) {
        let mut idle_rounds = 0;
        for _ in 0..PATIENCE {
            if done(self) {
                return;
            }
            let before = (self.delivered(), self.network.interruptions());
            for side in self.sides() {
                side.turn(Some(Duration::ZERO)).unwrap();
            }
            // What the last side to turn posted may let the other one go on, and one whose wait failed or was ended by a wake may not have looked.
            let after = (self.delivered(), self.network.interruptions());
            idle_rounds = if after == before { idle_rounds + 1 } else { 0 };
            if idle_rounds == 2 {
                idle_rounds = 0;
                let waits = self.sides().map(|side| side.timeout());
                let wait = waits[0].min(waits[1]);
                self.client.turn(Some(wait.min(end.saturating_sub(self.now())))).unwrap();
            }
        }
        panic!("it never came");
    }

    pub(super) fn delivered(&self) -> usize {
        self.client.io.port.delivered() + self.server.io.port.delivered()
    }

    /// Until both sides have reported every end, and every operation but the accepts is back.
    pub(super) fn run_until_all_closed(&mut self) {
        self.run_until(|world| {
            [&world.client, &world.server].into_iter().all(|side| {
                let accepts: usize = side.acceptors.iter().map(Acceptor::pending).sum();
                side.table.is_empty() && side.farewells.is_empty() && side.io.outstanding == accepts
            })
        });
        self.client.assert_empty();
        self.server.assert_empty();
    }
}
