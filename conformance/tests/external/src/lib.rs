//! Pulsewire over blocking sockets of the standard library, a thread for each connection: about the least that a transport needs.
#![forbid(unsafe_code)]

use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use pulsewire_protocol::{
    Clock, Connection, ConnectionId, Disconnect, Event, Instant, Seed, Shutdown, Slots, Transmit, ValidConfig,
};

/// How long a thread waits for its socket before it looks at what the application wants.
const TURN: Duration = Duration::from_millis(5);
/// How much is written before reading has its turn: a PING must be answered although the socket takes everything (PW-HB-015).
const WRITTEN_MAX: usize = 256 << 10;

/// Is told of everything that happens to a connection, and may use it: to answer, for example.
pub type Handler = dyn Fn(ConnectionId, &mut Connection, Instant, Event<'_>) + Send + Sync;

/// Many connections with one configuration and one handler.
#[derive(Clone)]
pub struct Endpoint(Arc<Inner>);

struct Inner {
    config: ValidConfig,
    handler: Box<Handler>,
    clock: Clock,
    seeds: Box<dyn Fn() -> Seed + Send + Sync>,
    connections: Mutex<Slots<Arc<Mutex<Connection>>>>,
    stopped: AtomicBool,
}

impl Endpoint {
    /// An endpoint; `seeds` gives random numbers that nobody can predict.
    pub fn new(
        config: ValidConfig,
        seeds: impl Fn() -> Seed + Send + Sync + 'static,
        handler: impl Fn(ConnectionId, &mut Connection, Instant, Event<'_>) + Send + Sync + 'static,
    ) -> Self {
        let connections = Mutex::new(Slots::new(0));
        let (handler, seeds, stopped) = (Box::new(handler), Box::new(seeds), AtomicBool::new(false));
        Self(Arc::new(Inner { config, handler, clock: Clock::new(), seeds, connections, stopped }))
    }

    /// Accepts what connects, until the listener fails, or the next one after [`stop`](Self::stop).
    pub fn serve(&self, listener: &TcpListener) -> io::Result<()> {
        for socket in listener.incoming() {
            let socket = socket?;
            if self.0.stopped.load(Ordering::SeqCst) {
                break;
            }
            let endpoint = self.clone();
            let connection = Connection::server(self.0.clock.now(), &self.0.config, (self.0.seeds)());
            thread::Builder::new().spawn(move || endpoint.drive(socket, connection))?;
        }
        Ok(())
    }

    /// Connects, and drives the connection to its end.
    pub fn connect(&self, address: SocketAddr) -> io::Result<()> {
        let socket = TcpStream::connect(address)?;
        self.drive(socket, Connection::client(self.0.clock.now(), &self.0.config, (self.0.seeds)()));
        Ok(())
    }

    /// Uses a connection that lives; `None` for one that does not (PW-CK-002).
    pub fn with<T>(&self, id: ConnectionId, act: impl FnOnce(&mut Connection, &Clock) -> T) -> Option<T> {
        let connection = Arc::clone(lock(&self.0.connections).get(id)?);
        let mut connection = lock(&connection);
        // It may have ended while this thread waited for it.
        lock(&self.0.connections).get(id)?;
        Some(act(&mut connection, &self.0.clock))
    }

    /// Accepts nothing more, and cuts every connection.
    pub fn stop(&self) {
        self.0.stopped.store(true, Ordering::SeqCst);
        let ids: Vec<ConnectionId> = lock(&self.0.connections).ids().collect();
        for id in ids {
            self.with(id, |connection, clock| connection.abort(clock.now()));
        }
    }

    fn drive(&self, socket: TcpStream, connection: Connection) {
        let connection = Arc::new(Mutex::new(connection));
        let id = lock(&self.0.connections).insert(Arc::clone(&connection));
        let driver = Driver {
            endpoint: &self.0,
            id,
            socket,
            buffer: vec![0; 64 << 10],
            held: 0,
            batch: Transmit::new(),
            broken: false,
            half_closed: false,
            peer_ended: false,
        };
        // The socket is broken: the connection has been told, and so has the application.
        let _ = driver.run(&connection);
    }
}

/// Moves the bytes and the time of one connection.
struct Driver<'e> {
    endpoint: &'e Inner,
    id: ConnectionId,
    socket: TcpStream,
    /// What was read; the first `held` bytes of it wait for more.
    buffer: Vec<u8>,
    held: usize,
    /// What the socket did not take yet.
    batch: Transmit,
    /// Writing failed. What the peer said last may still be there to be read.
    broken: bool,
    /// The sending direction has ended, and the receiving one.
    half_closed: bool,
    peer_ended: bool,
}

impl Driver<'_> {
    fn run(mut self, shared: &Mutex<Connection>) -> io::Result<()> {
        self.socket.set_nodelay(true)?;
        self.socket.set_write_timeout(Some(TURN))?;
        self.socket.set_read_timeout(Some(TURN))?;
        loop {
            let mut connection = lock(shared);
            self.write(&mut connection);
            while let Some(event) = connection.poll_event() {
                self.handle(&mut connection, event);
            }
            // When all is said it reads on before it closes, or a reset destroys what is on its way (PW-CLS-012).
            match connection.shutdown() {
                Shutdown::Close => return Ok(()),
                Shutdown::HalfClose if !self.half_closed => {
                    self.half_closed = true;
                    // If the connection is gone, reading says so too.
                    let _gone = self.socket.shutdown(std::net::Shutdown::Write);
                }
                Shutdown::HalfClose | Shutdown::None => {}
            }
            let reads = !connection.is_paused() && !self.peer_ended;
            drop(connection);
            let read = self.read(reads);
            self.deliver(&mut lock(shared), read);
        }
    }

    fn handle(&mut self, connection: &mut Connection, event: Event<'_>) {
        if let Event::Closed(_) = &event {
            // The id is dead before the application hears of the end, and before the socket is closed (PW-CK-005).
            lock(&self.endpoint.connections).remove(self.id);
        }
        (self.endpoint.handler)(self.id, connection, self.endpoint.clock.now(), event);
    }

    /// Hands to the system what it takes within a turn.
    fn write(&mut self, connection: &mut Connection) {
        let clock = &self.endpoint.clock;
        let mut written = 0;
        while !self.broken
            && written < WRITTEN_MAX
            && (!self.batch.is_empty() || connection.poll_transmit(clock.now(), 64 << 10, &mut self.batch))
        {
            let mut slices = [IoSlice::new(&[]); 16];
            let count = self.batch.fill(&mut slices);
            match self.socket.write_vectored(&slices[..count]) {
                Ok(count) => {
                    written += count;
                    connection.transmitted(clock.now(), &mut self.batch, count);
                }
                Err(error) if is_timeout(&error) => return,
                Err(_) => self.broken = true,
            }
        }
    }

    /// Waits a turn for bytes, or just waits; `Err` is the end of the stream.
    fn read(&mut self, reads: bool) -> Result<(), Disconnect> {
        if !reads {
            thread::sleep(TURN);
            return Ok(());
        }
        match self.socket.read(&mut self.buffer[self.held..]) {
            Ok(0) => {
                self.peer_ended = true;
                Err(Disconnect::EndOfStream)
            }
            Ok(count) => {
                self.held += count;
                Ok(())
            }
            Err(error) if is_timeout(&error) && self.broken => Err(Disconnect::Reset),
            Err(error) if is_timeout(&error) => Ok(()),
            Err(_) => Err(Disconnect::Reset),
        }
    }

    /// Handles everything that came, then lets time pass.
    fn deliver(&mut self, connection: &mut Connection, read: Result<(), Disconnect>) {
        let now = self.endpoint.clock.now();
        let buffer = std::mem::take(&mut self.buffer);
        let mut input = &buffer[..self.held];
        // An error is fatal; the peer is told, and `Closed` follows.
        while let Ok(Some(event)) = connection.receive(now, &mut input) {
            self.handle(connection, event);
        }
        let left = input.len();
        self.buffer = buffer;
        self.buffer.copy_within(self.held - left..self.held, 0);
        self.held = left;
        if let Err(how) = read {
            connection.disconnected(now, how);
        }
        connection.handle_timeout(now);
    }
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
