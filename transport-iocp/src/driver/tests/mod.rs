//! Two drivers on one fake network, in virtual time, over many seeds.

mod admission;
mod clients;
mod commands;
mod counts;
mod disorder;
mod echo;
mod endings;
mod files;
mod groups;
mod handing_over;
mod isolation;
mod listening;
mod memory;
mod observing;
mod pausing;
mod policies;
mod send_ahead;
mod shortages;
mod skipping;
mod staying;
mod stopping;
mod storm;
#[cfg(windows)]
mod system_port;
mod threads;
mod timers;
mod world;

use super::peer::Stage;
use super::*;
use crate::clients::{ClientEvent, ClientId};
use crate::fake_port::{FakeNetwork, FakePort, FakeSocket, Random, for_each_seed};
use crate::groups::GroupId;
use crate::handler::{Context, Turn};
use crate::inbox::Command;
use crate::mailbox::Mailbox;
use crate::sender::Sender;
use crate::statistics::EndpointStatistics;
use pulsewire_policy::Delivery;
use pulsewire_policy::server::{Occupancy, ServerConfig, ServerLimits};
use pulsewire_protocol::{
    Class, CloseFrame, CloseReason, Closed, Config, Disconnect, Event, Message, Request, SendError, SendRefused,
};
use std::any::Any;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::mpsc::sync_channel;
use world::World;

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
    /// Passes messages on by the handle of another connection than the one that they came on.
    relays: Vec<(ConnectionId, Sender)>,
    /// Pauses at every message.
    pauses: bool,
    /// Panics at every message.
    panics: bool,
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
    /// Passes each message on to this group.
    group: Option<GroupId>,
    deliveries: Vec<(GroupId, Delivery)>,
    /// The keys of timers whose time has come, and when; one of them is set again by each.
    timers: Vec<(u64, Instant)>,
    sets: Option<Duration>,
    posted: Vec<u32>,
    clients: Vec<(ClientId, ClientEvent)>,
    /// Messages that were kept and came back, as they came.
    returned: Vec<Message<'static>>,
    /// The tokens for the next tries.
    tokens: VecDeque<bytes::Bytes>,
}

impl Handler for Recorder {
    fn event(&mut self, connection: &mut Context<'_>, event: Event<'_>) {
        let id = connection.id();
        assert!(self.closed.iter().all(|(closed, _)| *closed != id), "{event:?} after Closed");
        assert!(!(self.panics && matches!(event, Event::Message(_))), "on purpose");
        match event {
            Event::Established(_) => self.established.push(id),
            Event::Message(message) if !self.relays.is_empty() => {
                let (_, other) = self.relays.iter().find(|(other, _)| *other != id).expect("two");
                other.try_send(message.into_owned()).expect("it has room");
            }
            Event::Message(message) if self.group.is_some() => {
                let group = self.group.expect("asked before");
                connection.groups().send(group, message).expect("it is there");
            }
            Event::Message(message) if self.echoes => match connection.send(message) {
                Ok(_) => {}
                Err(SendError { reason: SendRefused::Full, .. }) => self.full += 1,
                Err(refused) => assert!(!connection.is_open(), "{refused}"),
            },
            Event::Message(message) => {
                tracing::info!("something came");
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

    fn delivered(&mut self, _turn: &mut Turn<'_>, group: GroupId, delivery: Delivery) {
        self.deliveries.push((group, delivery));
    }

    fn timer(&mut self, turn: &mut Turn<'_>, key: u64) {
        assert!(!self.panics, "on purpose");
        self.timers.push((key, turn.now));
        if let Some(after) = self.sets {
            turn.set_timer(after, key);
        }
    }

    fn client(&mut self, _turn: &mut Turn<'_>, client: ClientId, event: ClientEvent) {
        self.clients.push((client, event));
    }

    fn token(&mut self, _turn: &mut Turn<'_>, _client: ClientId) -> Option<bytes::Bytes> {
        self.tokens.pop_front()
    }

    fn client_unsent(&mut self, _turn: &mut Turn<'_>, _client: ClientId, unsent: Vec<Message<'static>>) {
        self.returned.extend(unsent);
    }

    fn posted(&mut self, turn: &mut Turn<'_>, event: Box<dyn Any + Send>) {
        match event.downcast::<(ConnectionId, Vec<u8>)>() {
            Ok(to) => turn.sender(to.0).expect("it lives").try_send(message(to.1)).expect("it has room"),
            Err(number) => self.posted.push(*number.downcast().expect("nothing else is posted")),
        }
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
        act(&mut calls::context(connection, peer, id, now, &mut self.service.desk));
    }

    /// The socket of a live connection, if it has one by now.
    fn with_socket(&mut self, id: ConnectionId, act: impl FnOnce(&FakeSocket)) {
        match &self.table.get_mut(id).expect("it lives").data().stage {
            Stage::Open(socket) | Stage::Connecting(socket) => act(socket),
            Stage::Farewell { .. } | Stage::Cancelled { .. } | Stage::Closed => {}
        }
    }

    fn closed(&self, id: ConnectionId) -> &Closed {
        &self.handler.closed.iter().find(|(closed, _)| *closed == id).expect("closed").1
    }

    /// Sets other limits, before anybody has come.
    fn limit(&mut self, limits: ServerLimits) {
        self.service.config = with_limits(limits).validate().expect("valid limits");
        self.service.gate = SharedGate::new(limits);
    }

    /// Whether it ended without cutting anything; `None`: it has not ended.
    fn in_order(&self) -> Option<bool> {
        self.outcome().map(|_| !matches!(self.phase, Phase::Cutting { .. }))
    }

    /// What nothing may be left of when all connections are gone.
    fn assert_empty(&self) {
        let accepts: usize = self.acceptors.iter().map(Acceptor::pending).sum();
        assert!(self.phase == Phase::Running || accepts == 0);
        assert_eq!((self.io.outstanding, self.io.port.outstanding()), (accepts, accepts));
        assert!(self.table.is_empty() && self.directory.ids().is_empty());
        assert_eq!((self.service.gate.occupancy(), self.io.buffers.lent()), (Occupancy::default(), 0));
    }
}

fn message(payload: impl Into<Vec<u8>>) -> Message<'static> {
    Message::new(Class::BUSINESS, payload.into())
}

fn with_limits(limits: ServerLimits) -> ServerConfig {
    ServerConfig { limits, ..ServerConfig::default() }
}

/// A world whose client may hold 64 KiB for all its connections together.
fn short_of_memory(config: Config) -> World {
    let mut world = World::new(1, config.clone());
    let limits = with_limits(ServerLimits { buffered: 64 << 10, refusals: 0, ..ServerLimits::default() });
    let port = world.network.port();
    world.client = limited(port, 1, config, SocketOptions::default(), limits, Recorder::default());
    world
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
    limited(port, domain, config, options, ServerConfig::default(), Recorder::default())
}

fn limited<Port, H>(
    port: Port,
    domain: u32,
    config: Config,
    options: SocketOptions,
    server: ServerConfig,
    handler: H,
) -> Driver<Port, H>
where
    Port: CompletionPort<Batch = Transmit>,
    H: Handler,
{
    let server = server.validate().expect("valid limits");
    let inbox = Arc::new(Inbox::new(port.waker(), server.limits.buffered));
    let mut drawn = 0_u8;
    let draw_seed = Box::new(move || {
        drawn = drawn.wrapping_add(1);
        Ok(Seed::from_bytes([drawn; 12]))
    });
    let config = config.validate().expect("a valid configuration");
    let mut random = Random::new(domain.into());
    let draw_random = Box::new(move || random.up_to(usize::MAX) as u64);
    let directory = Arc::new(Directory::default());
    let parts = Parts {
        config,
        options,
        gate: SharedGate::new(server.limits),
        server,
        crew: Crew::of([Arc::clone(&inbox)]).remove(0),
        inbox,
        directories: Arc::new(Directories(vec![Arc::clone(&directory)])),
        directory,
        domain,
        draw_seed,
        draw_random,
    };
    Driver::new(port, handler, parts)
}
