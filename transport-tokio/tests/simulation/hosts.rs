//! What runs on the hosts: a server that accepts, and clients that connect again and again.

use std::cell::Cell;
use std::future::Future;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use fastrand::Rng;
use pulsewire_transport_tokio::protocol::{Class, ConnectionId, Message, Role, Seed, SendRefused};
use pulsewire_transport_tokio::{Endpoint, SocketOptions};
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};
use turmoil::net::{TcpListener, TcpStream};

use super::application::Application;
use super::ledger::Ledger;
use super::plan::{CHAOS, config};
use super::wire::{End, Wire};
use super::world::SERVER;

const PORT: u16 = 7700;

/// A seed for each start of a host.
pub(crate) struct Seeds(Cell<u64>);

impl Seeds {
    pub(crate) fn new(first: u64) -> Self {
        Self(Cell::new(first))
    }

    pub(crate) fn next(&self) -> u64 {
        let seed = self.0.get();
        self.0.set(seed.wrapping_add(1));
        seed
    }
}

/// A host, from one start to the next crash.
#[derive(Clone)]
pub(crate) struct Host {
    pub(crate) name: String,
    pub(crate) ledger: Ledger,
    pub(crate) endpoint: Endpoint,
    /// The ids of connections that are over.
    dead: Arc<Mutex<Vec<ConnectionId>>>,
    /// In the order in which they began.
    wires: Arc<Mutex<Vec<End>>>,
}

impl Host {
    fn new(name: String, ledger: Ledger, random: &mut Rng) -> Self {
        let mut seeds = random.fork();
        let seeds = move || {
            let mut bytes = [0; 12];
            seeds.fill(&mut bytes);
            Seed::from_bytes(bytes)
        };
        let endpoint = Endpoint::with_seeds(config(), SocketOptions::default(), seeds);
        ledger.add_endpoint(&name, &endpoint);
        Self { name, ledger, endpoint, dead: Arc::default(), wires: Arc::default() }
    }

    /// Runs a connection in a task of its own.
    fn spawn(
        &self,
        stream: TcpStream,
        role: Role,
        random: &mut Rng,
    ) -> std::io::Result<impl Future<Output = ()> + use<>> {
        let address = if role == Role::Client { stream.local_addr()? } else { stream.peer_addr()? };
        let wire = Wire::new(stream);
        self.wires.lock().expect("no panic while it is held").push(wire.end());
        let connection = self.endpoint.connection(wire, role)?;
        let key = self.ledger.begin(address, role, &self.name, connection.id());
        self.judge_the_dead();
        let application = Application::new(self.clone(), connection, key, random.fork());
        let task = tokio::task::spawn_local(application.run());
        Ok(async move { drop(task.await) })
    }

    /// When it is time, the system closes the sockets of a process that ends, which does nothing any more.
    async fn die(&self, death: &Notify) {
        death.notified().await;
        self.wires.lock().expect("no panic while it is held").drain(..).for_each(|wire| wire.cut());
    }

    pub(crate) fn bury(&self, id: ConnectionId) {
        self.dead.lock().expect("no panic while it is held").push(id);
        self.judge_the_dead();
    }

    /// Whoever has their slots now, nothing is sent through the ids of those that are over.
    fn judge_the_dead(&self) {
        for id in self.dead.lock().expect("no panic while it is held").iter() {
            let sent = self.endpoint.try_send(*id, Message::new(Class::BUSINESS, b"to a stranger"));
            if !matches!(&sent, Err(refused) if refused.reason == SendRefused::Stale) {
                self.ledger.violation(format!("{}: the dead id {id:?} was used, with {sent:?}", self.name));
            }
        }
    }
}

pub(crate) async fn run_server(ledger: Ledger, death: Arc<Notify>, seed: u64) -> turmoil::Result {
    let mut random = Rng::with_seed(seed);
    let host = Host::new(SERVER.to_owned(), ledger, &mut random);
    tokio::select! {
        biased;
        () = host.die(&death) => std::future::pending().await,
        result = accept(&host, &mut random) => result,
    }
}

async fn accept(host: &Host, random: &mut Rng) -> turmoil::Result {
    let listener = TcpListener::bind((IpAddr::from(Ipv4Addr::UNSPECIFIED), PORT)).await?;
    loop {
        let (stream, _) = listener.accept().await?;
        drop(host.spawn(stream, Role::Server, random)?);
    }
}

/// Two connections at a time.
pub(crate) async fn run_client(name: String, ledger: Ledger, death: Arc<Notify>, seed: u64) -> turmoil::Result {
    let mut random = Rng::with_seed(seed);
    let host = Host::new(name, ledger, &mut random);
    let (first, second) = (random.fork(), random.fork());
    let connecting =
        async { tokio::join!(connect_again_and_again(&host, first), connect_again_and_again(&host, second)) };
    tokio::select! {
        biased;
        () = host.die(&death) => {}
        _ = connecting => host.die(&death).await,
    }
    std::future::pending().await
}

async fn connect_again_and_again(host: &Host, mut random: Rng) {
    while host.ledger.now() < CHAOS {
        sleep(Duration::from_millis(random.u64(0..300))).await;
        let server = SocketAddr::new(turmoil::lookup(SERVER), PORT);
        // One that gives up while it connects leaves the server with a client that says nothing.
        let Ok(Ok(stream)) = timeout(Duration::from_millis(random.u64(20..400)), TcpStream::connect(server)).await
        else {
            host.ledger.saw("no connection");
            continue;
        };
        if host.ledger.now() >= CHAOS {
            return;
        }
        match random.u8(0..16) {
            0 => {
                host.ledger.saw("gone before HELLO");
                drop(stream);
            }
            1 => {
                host.ledger.saw("silent");
                sleep(Duration::from_millis(random.u64(100..1_000))).await;
                drop(stream);
            }
            _ => match host.spawn(stream, Role::Client, &mut random) {
                Ok(over) => over.await,
                Err(error) => host.ledger.violation(format!("{}: {error}", host.name)),
            },
        }
    }
}
