//! The core alone, driven over the streams of the suite: it runs in memory and virtual time.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use pulsewire_conformance::Profile;
use pulsewire_conformance::subject::{Command, Id, Reply, Running, Subject, SubjectError};
use pulsewire_conformance::world::{self, Joiner, Stream};
use pulsewire_protocol::{
    Class, Connection, ConnectionId, ConnectionRef, ConnectionTable, Disconnect, Event, Instant, Message, Seed,
    SendRefused, Shutdown, Transmit, ValidConfig,
};

use super::seen::Seen;
use super::{SEND_QUEUE, core_config, done_if, frame_from_suite, id_from_suite};

/// How long a connection waits for bytes before it looks whether the application wants something.
const TURN: Duration = Duration::from_millis(1);
const CONNECT_PATIENCE: Duration = Duration::from_secs(5);

/// `pulsewire-protocol` without a transport: one thread for each connection, and as little as possible around the core.
pub struct CoreSubject {
    /// Everything random follows from it: of the next server or client.
    seed: AtomicU64,
}

impl CoreSubject {
    /// With sync keys and jitter that are drawn from `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { seed: AtomicU64::new(seed) }
    }

    fn start(&self, profile: &Profile) -> Result<Arc<Side>, SubjectError> {
        let config = core_config(profile).validate().map_err(|error| SubjectError::failed(error.to_string()))?;
        let seed = mixed(self.seed.fetch_add(1, Ordering::Relaxed));
        let state = State { table: ConnectionTable::new(DOMAIN), seed, is_stopping: false };
        Ok(Arc::new(Side { config, epoch: world::now(), seen: Seen::default(), state: Mutex::new(state) }))
    }
}

/// Of every table: each case has a server or clients of its own, whose ids never meet those of another.
const DOMAIN: u32 = 1;

impl Subject for CoreSubject {
    fn name(&self) -> &str {
        "core"
    }

    fn serve(&self, profile: &Profile) -> Result<Box<dyn Running>, SubjectError> {
        let side = self.start(profile)?;
        let listener = world::listen()?;
        let address = listener.address()?;
        let shared = Arc::clone(&side);
        let thread = world::spawn("core server", move || {
            let mut connections = Vec::new();
            while !shared.lock().is_stopping {
                match listener.accept(Some(Duration::from_millis(20))) {
                    Ok(stream) => connections.extend(shared.connection(stream, Connection::server)),
                    Err(error) if error.kind() == io::ErrorKind::TimedOut => {}
                    Err(_) => break,
                }
            }
            // A thread that panicked has said so on standard error already.
            connections.into_iter().for_each(|connection| drop(connection.join()));
        })?;
        Ok(Box::new(RunningCore { address, side, thread: Some(thread) }))
    }

    fn connect(&self, profile: &Profile, address: SocketAddr) -> Result<Box<dyn Running>, SubjectError> {
        let side = self.start(profile)?;
        // The suite listens before it asks for a client. If nobody does, it says so itself.
        let thread = match world::dial(address, CONNECT_PATIENCE) {
            Ok(stream) => side.connection(stream, Connection::client),
            Err(_) => None,
        };
        Ok(Box::new(RunningCore { address, side, thread }))
    }

    fn seeded(&self, seed: u64) -> Option<Arc<dyn Subject>> {
        Some(Arc::new(Self::new(seed)))
    }

    fn in_memory(&self) -> bool {
        true
    }
}

/// One server or client: what its threads and the suite share.
struct Side {
    config: ValidConfig,
    /// Where the core's time begins.
    epoch: std::time::Instant,
    seen: Seen,
    state: Mutex<State>,
}

struct State {
    table: ConnectionTable<()>,
    /// Of the next connection.
    seed: u64,
    is_stopping: bool,
}

impl Side {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> Instant {
        let passed = world::now() - self.epoch;
        Instant::ZERO + passed
    }

    /// Drives a connection in a thread of its own.
    fn connection(
        self: &Arc<Self>,
        stream: Stream,
        make: fn(Instant, &ValidConfig, Seed) -> Connection,
    ) -> Option<Joiner> {
        let id = {
            let mut state = self.lock();
            let connection = make(self.now(), &self.config, state.next_seed());
            // No limits are set, so nothing is refused.
            state.table.insert(connection, ()).ok()?
        };
        let driver =
            Driver { side: Arc::clone(self), id, stream, buffer: vec![0; 64 << 10], held: 0, batch: Transmit::new() };
        world::spawn("core connection", move || driver.run()).ok()
    }

    /// Tells a live connection something.
    fn tell(&self, id: Id, tell: impl FnOnce(&mut ConnectionRef<'_, ()>, Instant)) -> Reply {
        let now = self.now();
        let mut state = self.lock();
        let connection = id_from_suite(id).and_then(|id| state.table.get_mut(id));
        done_if(connection.map(|mut connection| tell(&mut connection, now)).is_some())
    }
}

impl State {
    fn next_seed(&mut self) -> Seed {
        self.seed = mixed(self.seed);
        let mut bytes = [0; 12];
        bytes[..8].copy_from_slice(&self.seed.to_be_bytes());
        bytes[8..].copy_from_slice(&mixed(!self.seed).to_be_bytes()[..4]);
        Seed::from_bytes(bytes)
    }
}

/// A step of splitmix64: numbers that follow each other have nothing in common afterwards.
fn mixed(number: u64) -> u64 {
    let mut bits = number.wrapping_add(0x9E37_79B9_7F4A_7C15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    bits ^ (bits >> 31)
}

/// Moves the bytes and the time of one connection.
struct Driver {
    side: Arc<Side>,
    id: ConnectionId,
    stream: Stream,
    /// What was read; the first `held` bytes of it wait for more.
    buffer: Vec<u8>,
    held: usize,
    batch: Transmit,
}

/// What comes next for a connection.
enum Next {
    /// Bytes may be read until then.
    Read(Duration),
    /// The application does not read, or what it answers finds no room.
    Rest(Duration),
    /// It is over: only the last words are left.
    Part(Box<Connection>),
    /// The stream is closed at once.
    End,
}

impl Driver {
    fn run(mut self) {
        loop {
            let now = self.side.now();
            match self.turn(now) {
                Next::Read(patience) => self.read(patience),
                Next::Rest(duration) => world::sleep(duration),
                Next::Part(connection) => return self.part(*connection),
                Next::End => return,
            }
        }
    }

    /// Writes, delivers what was read, and lets time pass.
    fn turn(&mut self, now: Instant) -> Next {
        let side = Arc::clone(&self.side);
        let mut state = side.lock();
        if state.is_stopping {
            return Next::End;
        }
        let Some(mut connection) = state.table.get_mut(self.id) else { return Next::End };
        let was_full = self.deliver(&mut connection, now);
        // The peer may have made room (PW-TCP-001).
        self.write(&mut connection, now);
        connection.handle_timeout(now);
        self.write(&mut connection, now);
        while let Some(event) = connection.poll_event() {
            side.seen.event(self.id, &event);
        }
        if connection.is_over() {
            drop(connection);
            // The id dies before the stream is closed (PW-CK-005).
            return state.table.remove(self.id).map_or(Next::End, |(connection, ())| Next::Part(Box::new(connection)));
        }
        let until = connection.poll_timeout().map_or(TURN, |deadline| deadline - now).min(TURN);
        if connection.is_paused() || was_full { Next::Rest(until) } else { Next::Read(until) }
    }

    /// Hands the core what was read, and returns the messages. Returns whether one found no room: it is tried again.
    fn deliver(&mut self, connection: &mut ConnectionRef<'_, ()>, now: Instant) -> bool {
        let mut input = &self.buffer[..self.held];
        let mut was_full = false;
        while !connection.is_paused() {
            // A peer that does not read its answers is not read either.
            if connection.queued() > SEND_QUEUE / 2 {
                was_full = true;
                break;
            }
            match connection.receive(now, &mut input) {
                Ok(Some(event)) => {
                    self.side.seen.event(self.id, &event);
                    if let Event::Message(message) = event {
                        // What can't go back any more is dropped: the trait says so.
                        drop(connection.send(now, message));
                    }
                }
                // The end is reported in this turn, too.
                Err(_) | Ok(None) => break,
            }
        }
        let left = input.len();
        self.buffer.copy_within(self.held - left..self.held, 0);
        self.held = left;
        was_full
    }

    fn write(&mut self, connection: &mut Connection, now: Instant) {
        while !self.batch.is_empty() || connection.poll_transmit(now, 64 << 10, &mut self.batch) {
            let Some(slice) = self.batch.slices().next() else { break };
            match self.stream.write(slice) {
                Ok(0) => break,
                Ok(count) => _ = connection.transmitted(now, &mut self.batch, count),
                Err(_) => return self.lose(connection, now, Disconnect::Reset),
            }
        }
    }

    /// The stream is gone, and with it what was to be written.
    fn lose(&mut self, connection: &mut Connection, now: Instant, how: Disconnect) {
        connection.disconnected(now, how);
        self.batch = Transmit::new();
    }

    fn read(&mut self, patience: Duration) {
        let Some(how) = self.read_once(patience) else { return };
        let side = Arc::clone(&self.side);
        let mut state = side.lock();
        if let Some(mut connection) = state.table.get_mut(self.id) {
            self.lose(&mut connection, side.now(), how);
        }
    }

    /// Reads behind what waits. Says how the stream ended, if it did.
    fn read_once(&mut self, patience: Duration) -> Option<Disconnect> {
        match self.stream.read(&mut self.buffer[self.held..], patience) {
            Ok(None) => None,
            Ok(Some(0)) => Some(Disconnect::EndOfStream),
            Ok(Some(count)) => {
                self.held += count;
                None
            }
            Err(_) => Some(Disconnect::Reset),
        }
    }

    /// Does with the stream what the core says, until it is to be closed (PW-CLS-012).
    fn part(mut self, mut connection: Connection) {
        let (mut half_closed, mut peer_ended) = (false, false);
        while !self.side.lock().is_stopping {
            let now = self.side.now();
            connection.handle_timeout(now);
            self.write(&mut connection, now);
            match connection.shutdown() {
                Shutdown::Close => return,
                Shutdown::HalfClose if !half_closed => {
                    self.stream.half_close();
                    half_closed = true;
                }
                Shutdown::HalfClose | Shutdown::None => {}
            }
            // Nobody acts on what comes behind the end (PW-FRM-016).
            self.held = 0;
            if peer_ended {
                world::sleep(TURN);
            } else if let Some(how) = self.read_once(TURN) {
                peer_ended = true;
                connection.disconnected(now, how);
            }
        }
    }
}

struct RunningCore {
    address: SocketAddr,
    side: Arc<Side>,
    /// Accepts, or drives the one connection of a client.
    thread: Option<Joiner>,
}

impl Running for RunningCore {
    fn address(&self) -> SocketAddr {
        self.address
    }

    fn control(&mut self, command: Command) -> Result<Reply, SubjectError> {
        let side = &self.side;
        Ok(match command {
            Command::Connections => side.seen.connections(),
            Command::Events => side.seen.events(),
            Command::Send { to, class, payload } => {
                let Some(to) = id_from_suite(to) else { return Ok(super::refused(SendRefused::Stale, payload)) };
                let now = side.now();
                let sent = side.lock().table.send(now, to, Message::new(Class(class), &payload[..]));
                match sent {
                    Ok(_) => Reply::Done,
                    Err(refused) => super::refused(refused.reason, refused.message.payload.to_vec()),
                }
            }
            Command::Close { connection, frame } => {
                side.tell(connection, |connection, now| connection.close(now, frame_from_suite(&frame)))
            }
            Command::Drain(id) => side.tell(id, |connection, now| connection.drain(now)),
            // For a machine without I/O, an application that is elsewhere is one that pauses.
            Command::Pause(id) | Command::Hold(id) => side.tell(id, |connection, now| connection.pause(now)),
            Command::Resume(id) | Command::Release(id) => side.tell(id, |connection, now| connection.resume(now)),
            Command::Abort(id) => side.tell(id, |connection, now| connection.abort(now)),
            Command::Accept(id) => side.tell(id, |connection, now| connection.accept(now)),
            Command::Refuse { connection, frame } => {
                side.tell(connection, |connection, now| connection.refuse(now, frame_from_suite(&frame)))
            }
            Command::Unknown { .. } => return Err(SubjectError::unknown_command()),
        })
    }

    fn stop(mut self: Box<Self>) {
        self.side.lock().is_stopping = true;
        if let Some(thread) = self.thread.take() {
            // As above: a panic has been printed.
            drop(thread.join());
        }
    }
}
