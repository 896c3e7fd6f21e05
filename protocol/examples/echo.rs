//! Pulsewire over plain blocking sockets of the standard library: an echo server and its client, a thread per connection.
//!
//! ```sh
//! cargo run -p pulsewire-protocol --example echo -- serve 127.0.0.1:7400
//! cargo run -p pulsewire-protocol --example echo -- call 127.0.0.1:7400 hello world
//! ```

use std::error::Error;
use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use pulsewire_protocol::{
    Class, Clock, CloseReason, Config, Connection, Disconnect, Event, Instant, Message, Seed, Shutdown, Transmit,
    ValidConfig,
};

/// How long writing waits before reading gets its turn, and the other way round.
const TURN: Duration = Duration::from_millis(10);

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let config = Config::default().validate()?;
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["serve", address] => serve(address, &config),
        ["call", address, ref words @ ..] => call(address, words, &config),
        _ => Err("usage: echo serve ADDRESS | echo call ADDRESS WORD...".into()),
    }
}

fn serve(address: &str, config: &ValidConfig) -> Result<(), Box<dyn Error>> {
    let listener = TcpListener::bind(address)?;
    println!("listening on {}", listener.local_addr()?);
    for socket in listener.incoming() {
        let (socket, config) = (socket?, config.clone());
        thread::spawn(move || {
            let clock = Clock::new();
            let connection = Connection::server(clock.now(), &config, seed());
            let ended = Driver::new(socket, connection, clock).run(|connection, event| match event {
                Event::Message(message) => answer(connection, clock.now(), message),
                Event::Closed(closed) => println!("closed: {closed}"),
                _ => {}
            });
            if let Err(error) = ended {
                eprintln!("a connection broke: {error}");
            }
        });
    }
    Ok(())
}

fn answer(connection: &mut Connection, now: Instant, message: Message<'_>) {
    // Full: a client that doesn't read its answers. Everybody else has nothing to wait for here.
    if connection.send(now, message).is_err() {
        connection.close(now, CloseReason::OVERLOADED);
    }
}

fn call(address: &str, words: &[&str], config: &ValidConfig) -> Result<(), Box<dyn Error>> {
    let clock = Clock::new();
    let connection = Connection::client(clock.now(), config, seed());
    let mut missing = words.len();
    Driver::new(TcpStream::connect(address)?, connection, clock).run(|connection, event| match event {
        Event::Established(_) => {
            for word in words {
                connection
                    .send(clock.now(), Message::new(Class::COMMUNICATION, word.as_bytes()))
                    .expect("the queue has room");
            }
        }
        Event::Message(message) => {
            println!("{}", String::from_utf8_lossy(&message.payload));
            missing -= 1;
            if missing == 0 {
                connection.close(clock.now(), CloseReason::NORMAL);
            }
        }
        Event::Closed(closed) => println!("closed: {closed}"),
        _ => {}
    })?;
    Ok(())
}

/// Fresh random numbers, which no third party can predict.
fn seed() -> Seed {
    let mut bytes = [0; 12];
    getrandom::fill(&mut bytes).expect("the system has random numbers");
    Seed::from_bytes(bytes)
}

/// Moves the bytes and the time of one connection.
struct Driver {
    socket: TcpStream,
    connection: Connection,
    clock: Clock,
    /// What was read; the first `held` bytes of it wait for more.
    buffer: Vec<u8>,
    held: usize,
    batch: Transmit,
    /// The sending direction has ended, and the receiving one.
    half_closed: bool,
    peer_ended: bool,
}

impl Driver {
    fn new(socket: TcpStream, connection: Connection, clock: Clock) -> Self {
        Self {
            socket,
            connection,
            clock,
            buffer: vec![0; 64 << 10],
            held: 0,
            batch: Transmit::new(),
            half_closed: false,
            peer_ended: false,
        }
    }

    /// Runs the connection to its end: write once, read once, handle everything.
    fn run(mut self, mut handle: impl FnMut(&mut Connection, Event<'_>)) -> io::Result<()> {
        self.socket.set_nodelay(true)?;
        loop {
            self.write()?;
            self.read()?;
            self.deliver(&mut handle);
            // What could be read was delivered, so time may pass.
            self.connection.handle_timeout(self.clock.now());
            self.deliver(&mut handle);
            // When all is said it reads on before it closes, or a reset destroys what is on its way to the peer (PW-CLS-012).
            match self.connection.shutdown() {
                Shutdown::Close => return Ok(()),
                Shutdown::HalfClose if !self.half_closed => {
                    self.half_closed = true;
                    // If the connection is gone, reading says so too.
                    let _gone = self.socket.shutdown(std::net::Shutdown::Write);
                }
                Shutdown::HalfClose | Shutdown::None => {}
            }
        }
    }

    /// Hands what is queued to the system, for as long as it takes some in a turn.
    fn write(&mut self) -> io::Result<()> {
        self.socket.set_write_timeout(Some(TURN))?;
        while !self.batch.is_empty() || self.connection.poll_transmit(self.clock.now(), 64 << 10, &mut self.batch) {
            let mut slices = [IoSlice::new(&[]); 16];
            let count = self.batch.fill(&mut slices);
            match self.socket.write_vectored(&slices[..count]) {
                Ok(written) => {
                    self.connection.transmitted(self.clock.now(), &mut self.batch, written);
                }
                Err(error) if is_timeout(&error) => break,
                Err(_) => self.lose(Disconnect::Reset),
            }
        }
        Ok(())
    }

    /// Waits for bytes, at most until the next deadline; not for long while there is more to write.
    fn read(&mut self) -> io::Result<()> {
        let until = self.connection.poll_timeout().map_or(TURN, |deadline| self.clock.until(deadline));
        let wait = if self.batch.is_empty() { until } else { TURN.min(until) };
        let wait = wait.max(Duration::from_millis(1));
        if self.peer_ended {
            thread::sleep(wait.min(TURN));
            return Ok(());
        }
        self.socket.set_read_timeout(Some(wait))?;
        match self.socket.read(&mut self.buffer[self.held..]) {
            Ok(0) => {
                self.peer_ended = true;
                self.connection.disconnected(self.clock.now(), Disconnect::EndOfStream);
            }
            Ok(count) => self.held += count,
            Err(error) if is_timeout(&error) => {}
            Err(_) => self.lose(Disconnect::Reset),
        }
        Ok(())
    }

    /// Handles everything that happened.
    fn deliver(&mut self, handle: &mut impl FnMut(&mut Connection, Event<'_>)) {
        let now = self.clock.now();
        let mut input = &self.buffer[..self.held];
        loop {
            match self.connection.receive(now, &mut input) {
                Ok(Some(event)) => handle(&mut self.connection, event),
                Ok(None) => break,
                Err(error) => eprintln!("the peer broke the protocol: {error}"),
            }
        }
        let left = input.len();
        self.buffer.copy_within(self.held - left..self.held, 0);
        self.held = left;
    }

    /// The socket is gone, and with it what was to be written.
    fn lose(&mut self, how: Disconnect) {
        self.connection.disconnected(self.clock.now(), how);
        self.batch = Transmit::new();
    }
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}
