//! Servers that run the code of the example, and are killed.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

use fastrand::Rng;
use pulsewire_transport_tokio::protocol::{Admission, Config, Seed, ValidConfig};
use pulsewire_transport_tokio::{Endpoint, Server, SocketOptions, StreamQueue};
use tokio::io::{DuplexStream, duplex};
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

use super::bus::Bus;
use super::ledger::Ledger;
use crate::hub;

const SERVERS: usize = 3;

struct Running {
    name: String,
    endpoint: Endpoint,
    streams: StreamQueue,
    tasks: Vec<AbortHandle>,
}

pub(crate) struct Servers {
    running: Mutex<Vec<Running>>,
    bus: Arc<Bus>,
    ledger: Arc<Mutex<Ledger>>,
}

/// Small queues: a user that reads slowly falls behind.
pub(crate) fn config() -> Config {
    let mut config = Config { admission: Admission::Ask, ..Config::default() };
    config.limits.send_queue = 4 << 10;
    config
}

pub(crate) fn endpoint(config: ValidConfig, random: &mut Rng) -> Endpoint {
    let mut seeds = random.fork();
    Endpoint::with_seeds(config, SocketOptions::default(), move || {
        let mut bytes = [0; 12];
        seeds.fill(&mut bytes);
        Seed::from_bytes(bytes)
    })
}

impl Servers {
    pub(crate) fn new(random: &mut Rng, ledger: Arc<Mutex<Ledger>>) -> Self {
        let bus = Arc::new(Bus::new(random, Arc::clone(&ledger)));
        let servers = Self { running: Mutex::default(), bus, ledger };
        (0..SERVERS).for_each(|number| servers.start(format!("s{number}"), random));
        servers
    }

    fn start(&self, name: String, random: &mut Rng) {
        let endpoint = endpoint(config().validate().unwrap(), random);
        let mut server = Server::new(endpoint.clone());
        let streams = server.streams(8);
        let (to_hub, inputs) = mpsc::channel(256);
        let (to_servers, notices) = mpsc::channel(1_024);
        self.bus.join(&name, to_hub.clone());
        // Their clocks don't agree.
        let started = 1_000_000 + random.i64(-2_000..2_000);
        let carrying = Arc::clone(&self.bus).carry(name.clone(), notices, random.fork());
        let of = name.clone();
        let tasks = vec![
            tokio::spawn(hub::run(endpoint.clone(), started, inputs, to_servers)).abort_handle(),
            tokio::spawn(carrying).abort_handle(),
            tokio::spawn(server.serve(move |connection| hub::attend(connection, of.clone(), to_hub.clone())))
                .abort_handle(),
        ];
        self.running.lock().unwrap().push(Running { name, endpoint, streams, tasks });
    }

    /// A stream to any of them.
    pub(crate) async fn connect(&self, random: &mut Rng) -> Option<DuplexStream> {
        let (near, far) = duplex(random.usize(256..8_192));
        let streams = random.choice(&*self.running.lock().unwrap()).map(|server| server.streams.clone());
        streams?.push(far, None).await.ok()?;
        Some(near)
    }

    /// Its tasks end wherever they are, and its connections break. It may be started anew.
    pub(crate) fn kill_one(&self, random: &mut Rng) {
        let mut running = self.running.lock().unwrap();
        let place = random.usize(..running.len());
        let Running { name, endpoint, tasks, .. } = running.swap_remove(place);
        drop(running);
        let mut ledger = self.ledger.lock().unwrap();
        ledger.note(format_args!("{name} is killed"));
        ledger.saw("server killed");
        drop(ledger);
        tasks.iter().for_each(AbortHandle::abort);
        for id in endpoint.connections() {
            endpoint.abort(id);
        }
        if random.bool() {
            self.start(format!("{name}b"), random);
        }
    }

    pub(crate) fn lose_no_letters(&self) {
        self.bus.loses.store(false, Ordering::Relaxed);
    }
}
