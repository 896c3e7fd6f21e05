//! Several threads of one endpoint: each a driver on a port of its own.

use super::*;
use std::collections::HashSet;

/// A client's side, and a server of several threads.
struct Threaded {
    client: Side,
    servers: Vec<Side>,
    address: SocketAddr,
    network: FakeNetwork,
}

impl Threaded {
    fn new(seed: u64, threads: u32, limits: ServerLimits) -> Self {
        let network = FakeNetwork::new(seed);
        let client = side(&network, 1, config(), SocketOptions::default());
        let numbers = 2..2 + threads;
        let mut servers: Vec<_> =
            numbers.map(|domain| side(&network, domain, config(), SocketOptions::default())).collect();
        let gate = SharedGate::new(limits);
        let crews = Crew::of(servers.iter().map(|server| Arc::clone(&server.inbox)));
        let directories = servers.iter().map(|server| Arc::clone(&server.directory)).collect();
        let directories = Arc::new(Directories(directories));
        for (server, crew) in servers.iter_mut().zip(crews) {
            server.limit(limits);
            server.service.gate = gate.clone();
            (server.crew, server.directories) = (crew, Arc::clone(&directories));
            server.handler.echoes = true;
        }
        let address = servers[0].listen(ANYWHERE).unwrap();
        Self { client, servers, address, network }
    }

    fn connect(&mut self, count: usize) -> Vec<ConnectionId> {
        (0..count).map(|_| self.client.connect(self.address).unwrap()).collect()
    }

    /// Runs all of them. Time moves on only when nothing else can happen.
    fn run_until(&mut self, done: impl Fn(&Self) -> bool) {
        let mut idle_rounds = 0;
        for _ in 0..PATIENCE {
            if done(self) {
                return;
            }
            let before = self.progress();
            for side in self.sides() {
                side.turn(Some(Duration::ZERO)).unwrap();
            }
            idle_rounds = if self.progress() == before { idle_rounds + 1 } else { 0 };
            if idle_rounds == 2 {
                idle_rounds = 0;
                let wait = self.sides().map(|side| side.timeout()).min().expect("there is one");
                self.client.turn(Some(wait)).unwrap();
            }
        }
        panic!("it never came");
    }

    fn sides(&mut self) -> impl Iterator<Item = &mut Side> {
        std::iter::once(&mut self.client).chain(&mut self.servers)
    }

    fn progress(&mut self) -> (usize, usize) {
        (self.sides().map(|side| side.io.port.delivered()).sum(), self.network.interruptions())
    }

    fn has_established(&self, ids: &[ConnectionId]) -> bool {
        let served = self.servers.iter().map(|server| server.handler.established.len()).sum::<usize>();
        served >= ids.len() && ids.iter().all(|id| self.client.handler.established.contains(id))
    }

    /// How many connections each thread has.
    fn shares(&self) -> Vec<usize> {
        self.servers.iter().map(|server| server.table.len()).collect()
    }

    fn shut_down(&mut self) {
        for side in self.sides() {
            side.shut_down(Duration::ZERO, Duration::from_secs(10));
        }
        self.run_until(|world| {
            world.client.outcome().is_some() && world.servers.iter().all(|it| it.outcome().is_some())
        });
        for side in self.sides() {
            side.assert_empty();
            assert_eq!(side.in_order(), Some(true));
        }
    }
}

#[test]
fn clients_are_spread_evenly_and_each_stays_with_its_thread() {
    for_each_seed(|seed| {
        let mut world = Threaded::new(seed, 3, ServerLimits::default());
        let clients = world.connect(30);
        world.run_until(|world| world.has_established(&clients));
        assert_eq!(world.shares(), [10, 10, 10]);
        let ids: HashSet<_> = world.servers.iter().flat_map(|server| server.directory.ids()).collect();
        assert_eq!(ids.len(), 30, "ids are unique");
        // Any thread finds all of them.
        assert!(ids.iter().all(|id| world.servers[1].directories.find(*id).is_some()));

        for &client in &clients {
            world.client.send(client, pattern(2_000)).unwrap();
        }
        world.run_until(|world| world.client.handler.messages.len() == clients.len());
        let answered: HashSet<_> = world.client.handler.messages.drain(..).map(|(id, _)| id).collect();
        assert_eq!(answered.len(), clients.len());

        // Those of one thread leave, and the next ones take their place.
        for id in world.servers[1].directory.ids() {
            world.servers[1].mailbox(id).close(CloseReason::NORMAL);
        }
        world.run_until(|world| world.client.table.len() == 20 && world.servers[1].table.is_empty());
        let more = world.connect(10);
        world.run_until(|world| world.has_established(&more));
        assert_eq!(world.shares(), [10, 10, 10]);
        world.shut_down();
    });
}

#[test]
fn a_broadcast_reaches_the_connections_of_every_thread() {
    for_each_seed(|seed| {
        let mut world = Threaded::new(seed, 3, ServerLimits::default());
        let clients = world.connect(8);
        world.run_until(|world| world.has_established(&clients));
        let prepared = pulsewire_protocol::PreparedMessage::new(message(*b"to all"));
        let answers: Vec<_> = world
            .servers
            .iter()
            .map(|server| {
                let (answer, answered) = sync_channel(1);
                server.inbox.push(Command::Broadcast { message: prepared.clone(), answer });
                answered
            })
            .collect();
        world.run_until(|world| world.client.handler.messages.len() == 8);
        let took: usize = answers.iter().map(|answered| answered.try_recv().unwrap().unwrap()).sum();
        let reached: HashSet<_> = world.client.handler.messages.iter().map(|(id, _)| *id).collect();
        assert_eq!((took, reached.len()), (8, 8));
        world.shut_down();
    });
}

#[test]
fn limits_hold_for_all_threads_together() {
    for_each_seed(|seed| {
        let limits = ServerLimits { connections: 7, ..ServerLimits::default() };
        let mut world = Threaded::new(seed, 3, limits);
        let clients = world.connect(12);
        world.run_until(|world| world.client.handler.closed.len() == 5 && world.client.handler.established.len() == 7);
        let refused = world.client.handler.closed.iter();
        assert!(refused.clone().all(|(_, closed)| closed.reason == CloseReason::OVERLOADED), "{refused:?}");
        let all: Vec<_> = world.servers.iter().map(|server| server.statistics()).collect();
        let all = all.iter().fold(EndpointStatistics::default(), EndpointStatistics::and);
        assert_eq!((all.accepted, all.established, all.refused.connections), (clients.len() as u64, 7, 5));
        assert_eq!(all.occupancy.connections, 7);
        world.shut_down();
    });
}

/// Two of them might wait for each other.
#[test]
fn a_thread_does_not_wait_for_a_connection_of_another() {
    let mut world = Threaded::new(1, 2, ServerLimits::default());
    let clients = world.connect(2);
    world.run_until(|world| world.has_established(&clients));
    let sender = Sender::new(world.servers[1].mailbox(world.servers[1].only()));
    let waited = std::thread::spawn(move || {
        sender.send_blocking(message(*b"from no handler")).expect("it has room");
        Inbox::own();
        drop(sender.send_blocking(message(*b"from that of another thread")));
    });
    let panic = waited.join().unwrap_err();
    assert!(panic.downcast_ref::<&str>().is_some_and(|said| said.contains("would wait")), "{panic:?}");
    world.run_until(|world| world.client.handler.messages.len() == 1);
    world.shut_down();
}

/// What is handed to a thread that ends meanwhile is closed, and the others go on.
#[test]
fn what_is_handed_to_a_thread_that_ends_is_closed() {
    for_each_seed(|seed| {
        let mut world = Threaded::new(seed, 2, ServerLimits::default());
        let gone = world.connect(2);
        while world.servers[0].service.statistics.accepted < 2 {
            world.client.turn(Some(Duration::ZERO)).unwrap();
            world.servers[0].turn(Some(Duration::ZERO)).unwrap();
        }
        assert_eq!(world.shares(), [1, 0], "the other one was handed over, and not looked at");
        drop(world.servers.pop());
        world.run_until(|world| world.client.handler.closed.len() == 1 && world.client.handler.established.len() == 1);
        let more = world.connect(3);
        world.run_until(|world| more.iter().all(|id| world.client.handler.established.contains(id)));
        assert_eq!((gone.len(), world.shares()), (2, vec![4]));
        world.shut_down();
    });
}

/// The other threads take as many more as it had.
#[test]
fn a_thread_that_ends_in_disorder_keeps_no_places() {
    let (mut world, _, _) = World::connected(1, config());
    let gate = world.server.service.gate.clone();
    assert_eq!(gate.occupancy().connections, 1);
    let other = side(&world.network, 9, config(), SocketOptions::default());
    drop(std::mem::replace(&mut world.server, other));
    assert_eq!(gate.occupancy().connections, 0);
}
