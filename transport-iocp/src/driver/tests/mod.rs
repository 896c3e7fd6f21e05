//! Two drivers on one fake network, in virtual time, over many seeds.

mod admission;
mod disorder;
mod echo;
mod endings;
mod handing_over;
mod listening;
mod pausing;
mod stopping;
#[cfg(windows)]
mod system_port;

use super::peer::Stage;
use super::*;
use crate::fake_port::{FakeNetwork, FakePort, FakeSocket, for_each_seed};
use crate::handler::Context;
use crate::mailbox::Mailbox;
use pulsewire_protocol::{
    Class, CloseFrame, CloseReason, Closed, Config, Disconnect, Event, Message, Request, SendError, SendRefused,
};
use std::net::SocketAddr;
use std::sync::mpsc::sync_channel;

/// Turns after which a test that gets nowhere fails.
const PATIENCE: usize = 1_000_000;

const ANYWHERE: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);

#[derive(Clone)]
enum Answer {
    Accept,
    Refuse(CloseFrame),
}

/// A handler that keeps everything, and echoes where it is told to.
#[derive(Default)]
struct Recorder {
    echoes: bool,
    /// Pauses at every message.
    pauses: bool,
    /// What it answers at once to whoever asks to be admitted.
    answers: Option<Answer>,
    asked: Vec<(ConnectionId, Request)>,
    /// How often each connection was suspect, and recovered.
    suspect: Vec<ConnectionId>,
    recovered: Vec<ConnectionId>,
    /// The counts of DRAIN.
    draining: Vec<u64>,
    established: Vec<ConnectionId>,
    messages: Vec<(ConnectionId, Message<'static>)>,
    closing: Vec<CloseFrame>,
    closed: Vec<(ConnectionId, Closed)>,
    unsent: Vec<SendError<'static>>,
    writable: usize,
    /// Messages that could not be echoed for lack of room.
    full: usize,
}

impl Handler for Recorder {
    fn event(&mut self, connection: &mut Context<'_>, event: Event<'_>) {
        let id = connection.id();
        assert!(self.closed.iter().all(|(closed, _)| *closed != id), "{event:?} after Closed");
        match event {
            Event::Established(_) => self.established.push(id),
            Event::Message(message) if self.echoes => match connection.send(message) {
                Ok(_) => {}
                Err(SendError { reason: SendRefused::Full, .. }) => self.full += 1,
                Err(refused) => assert!(!connection.is_open(), "{refused}"),
            },
            Event::Message(message) => {
                self.messages.push((id, message.into_owned()));
                if self.pauses {
                    connection.pause();
                }
            }
            Event::Admission(request) => {
                self.asked.push((id, *request));
                match self.answers.clone() {
                    Some(Answer::Accept) => connection.accept(),
                    Some(Answer::Refuse(close)) => connection.refuse(close),
                    None => {}
                }
            }
            Event::Suspect(_) => self.suspect.push(id),
            Event::Recovered(_) => self.recovered.push(id),
            Event::Draining { received } => self.draining.push(received),
            Event::Closing(said) => self.closing.push(*said),
            Event::Closed(closed) => self.closed.push((id, *closed)),
            Event::Gap(gap) => panic!("{gap:?} on a clean link"),
            other => panic!("{other:?} between two that keep to the protocol"),
        }
    }

    fn unsent(&mut self, _connection: &mut Context<'_>, refused: SendError<'static>) {
        self.unsent.push(refused);
    }

    fn writable(&mut self, _connection: &mut Context<'_>) {
        self.writable += 1;
    }
}

type Side = Driver<FakePort<Transmit>, Recorder>;

impl Side {
    fn mailbox(&self, id: ConnectionId) -> Arc<Mailbox> {
        self.directory.find(id).expect("it lives")
    }

    fn send(&self, id: ConnectionId, payload: impl Into<Vec<u8>>) -> Result<(), SendError<'static>> {
        self.mailbox(id).send(message(payload))
    }

    /// Its only connection.
    fn only(&self) -> ConnectionId {
        let ids = self.directory.ids();
        assert_eq!(ids.len(), 1);
        ids[0]
    }

    /// Acts on a live connection as its handler may.
    fn with_context(&mut self, id: ConnectionId, act: impl FnOnce(&mut Context<'_>)) {
        let now = self.now;
        let mut entry = self.table.get_mut(id).expect("it lives");
        let (connection, peer) = entry.parts();
        act(&mut calls::context(connection, peer, id, now));
    }

    /// The socket of a live connection, if it has one by now.
    fn with_socket(&mut self, id: ConnectionId, act: impl FnOnce(&FakeSocket)) {
        match &self.table.get_mut(id).expect("it lives").data().stage {
            Stage::Open(socket) | Stage::Connecting(socket) => act(socket),
            Stage::Farewell { .. } | Stage::Closed => {}
        }
    }

    fn closed(&self, id: ConnectionId) -> &Closed {
        &self.handler.closed.iter().find(|(closed, _)| *closed == id).expect("closed").1
    }

    /// What nothing may be left of when all connections are gone.
    fn assert_empty(&self) {
        let accepts: usize = if self.phase == Phase::Running { 8 * self.acceptors.len() } else { 0 };
        assert_eq!((self.io.outstanding, self.io.port.outstanding()), (accepts, accepts));
        assert!(self.table.is_empty() && self.directory.ids().is_empty());
    }
}

fn message(payload: impl Into<Vec<u8>>) -> Message<'static> {
    Message::new(Class::BUSINESS, payload.into())
}

/// Bytes that differ from place to place.
fn pattern(size: usize) -> Vec<u8> {
    (0..size).map(|index| (index * 31 + index / 251) as u8).collect()
}

/// Round numbers: idle 1 s, interval 100 ms, three probes.
fn config() -> Config {
    let mut config = Config::default();
    config.heartbeat.idle = Duration::from_secs(1);
    config.heartbeat.interval = Duration::from_millis(100);
    config.heartbeat.ping_floor = Duration::from_millis(10);
    config
}

fn side(network: &FakeNetwork, domain: u32, config: Config, options: SocketOptions) -> Side {
    driver(network.port(), domain, config, options)
}

fn driver<Port>(port: Port, domain: u32, config: Config, options: SocketOptions) -> Driver<Port, Recorder>
where
    Port: CompletionPort<Batch = Transmit>,
{
    let inbox = Arc::new(Inbox::new(port.waker()));
    let mut drawn = 0_u8;
    let draw_seed = Box::new(move || {
        drawn = drawn.wrapping_add(1);
        Ok(Seed::from_bytes([drawn; 12]))
    });
    let config = config.validate().expect("a valid configuration");
    let parts = Parts { config, options, inbox, directory: Arc::default(), domain, draw_seed };
    Driver::new(port, Recorder::default(), parts)
}

/// A client's side and a server's.
struct World {
    network: FakeNetwork,
    client: Side,
    server: Side,
    address: SocketAddr,
}

impl World {
    fn new(seed: u64, config: Config) -> Self {
        Self::with_configs(seed, config.clone(), config)
    }

    fn with_configs(seed: u64, client: Config, server: Config) -> Self {
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
    fn connected(seed: u64, config: Config) -> (Self, ConnectionId, ConnectionId) {
        let mut world = Self::new(seed, config);
        let client = world.connect();
        let server = world.server.only();
        (world, client, server)
    }

    fn begin_to_connect(&mut self, remote: SocketAddr) -> ConnectionId {
        let (answer, answered) = sync_channel(1);
        self.client.inbox.push(Command::Connect { remote, answer });
        self.client.turn(Some(Duration::ZERO)).unwrap();
        answered.try_recv().expect("answered").expect("begun")
    }

    /// One connection more, established at both sides.
    fn connect(&mut self) -> ConnectionId {
        let id = self.begin_to_connect(self.address);
        let before = self.server.handler.established.len();
        self.run_until(|world| {
            world.client.handler.established.contains(&id) && world.server.handler.established.len() > before
        });
        id
    }

    fn sides(&mut self) -> [&mut Side; 2] {
        [&mut self.client, &mut self.server]
    }

    fn now(&self) -> Duration {
        self.client.io.port.now()
    }

    /// Runs both sides. Time moves on only when nothing else can happen.
    fn run_until(&mut self, done: impl Fn(&Self) -> bool) {
        self.run(Duration::MAX, done);
    }

    fn run_for(&mut self, duration: Duration) {
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
            let before = self.delivered();
            for side in self.sides() {
                side.turn(Some(Duration::ZERO)).unwrap();
            }
            // What the last side to turn posted may let the other one go on.
            idle_rounds = if self.delivered() == before { idle_rounds + 1 } else { 0 };
            if idle_rounds == 2 {
                idle_rounds = 0;
                let waits = self.sides().map(|side| side.timeout());
                let wait = waits.into_iter().flatten().min().expect("something that is still to come");
                self.client.turn(Some(wait.min(end - self.now()))).unwrap();
            }
        }
        panic!("it never came");
    }

    fn delivered(&self) -> usize {
        self.client.io.port.delivered() + self.server.io.port.delivered()
    }

    /// Until both sides have reported every end, and every operation but the accepts is back.
    fn run_until_all_closed(&mut self) {
        self.run_until(|world| {
            [&world.client, &world.server].into_iter().all(|side| {
                let accepts: usize = side.acceptors.iter().map(Acceptor::pending).sum();
                side.table.is_empty() && side.io.outstanding == accepts
            })
        });
        self.client.assert_empty();
        self.server.assert_empty();
    }
}
