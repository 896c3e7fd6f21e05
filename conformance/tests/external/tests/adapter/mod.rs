//! Makes the transport a subject of the suite.

mod translate;

use std::hash::{BuildHasher, RandomState};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use external_transport::Endpoint;
use pulsewire_conformance::subject::{self, Command, Id, Refusal, Reply, Running, Subject, SubjectError};
use pulsewire_conformance::{Profile, Role};
use pulsewire_protocol::{Class, Clock, Connection, ConnectionId, Event, Message, Seed};

/// The transport.
pub struct External;

impl Subject for External {
    fn name(&self) -> &str {
        "external"
    }

    fn serve(&self, profile: &Profile) -> Result<Box<dyn Running>, SubjectError> {
        let (endpoint, seen) = start(profile)?;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let serving = endpoint.clone();
        // Why it ends, the suite sees by itself.
        thread::spawn(move || serving.serve(&listener));
        Ok(Box::new(RunningExternal { endpoint, address, role: Role::Server, seen }))
    }

    fn connect(&self, profile: &Profile, address: SocketAddr) -> Result<Box<dyn Running>, SubjectError> {
        let (endpoint, seen) = start(profile)?;
        let connecting = endpoint.clone();
        // The suite listens before it asks for a client. If there is none, it says so itself.
        thread::spawn(move || connecting.connect(address));
        Ok(Box::new(RunningExternal { endpoint, address, role: Role::Client, seen }))
    }

    /// Nothing of the suite may fall out unnoticed.
    fn is_complete(&self) -> bool {
        true
    }
}

/// An endpoint that echoes, and what its connections did.
fn start(profile: &Profile) -> Result<(Endpoint, Arc<Mutex<Seen>>), SubjectError> {
    let config = translate::config(profile).validate().map_err(|error| SubjectError::failed(error.to_string()))?;
    let seen = Arc::new(Mutex::new(Seen::default()));
    let for_handler = Arc::clone(&seen);
    let endpoint = Endpoint::new(config, seed, move |id, connection, now, event| {
        lock(&for_handler).note(id, &event);
        if let Event::Message(message) = event {
            // What can't go back any more is dropped: the trait says so.
            drop(connection.send(now, message));
        }
    });
    Ok((endpoint, seen))
}

/// Numbers that differ in every process and at every call. A real transport asks the system for random ones.
fn seed() -> Seed {
    let [first, second] = [0, 1].map(|part: u8| RandomState::new().hash_one(part).to_be_bytes());
    let mut bytes = [0; 12];
    bytes[..8].copy_from_slice(&first);
    bytes[8..].copy_from_slice(&second[..4]);
    Seed::from_bytes(bytes)
}

/// What the suite asks for.
#[derive(Default)]
struct Seen {
    /// Established and not over, oldest first.
    live: Vec<ConnectionId>,
    events: Vec<subject::Event>,
}

impl Seen {
    fn note(&mut self, id: ConnectionId, event: &Event<'_>) {
        match event {
            Event::Established(_) => self.live.push(id),
            Event::Closed(_) => self.live.retain(|live| *live != id),
            _ => {}
        }
        let connection = Some(translate::id_to_suite(id));
        self.events.extend(translate::happening(event).map(|what| subject::Event { connection, what }));
    }
}

struct RunningExternal {
    endpoint: Endpoint,
    address: SocketAddr,
    role: Role,
    seen: Arc<Mutex<Seen>>,
}

impl RunningExternal {
    fn tell(&self, id: Id, tell: impl FnOnce(&mut Connection, &Clock)) -> Reply {
        match translate::id_from_suite(id).and_then(|id| self.endpoint.with(id, tell)) {
            Some(()) => Reply::Done,
            None => Reply::Refused { reason: Refusal::Stale, payload: Vec::new() },
        }
    }

    fn send(&self, to: Id, class: u8, payload: Vec<u8>) -> Reply {
        let message = Message::new(Class(class), &payload[..]);
        let to = translate::id_from_suite(to);
        match to.and_then(|to| self.endpoint.with(to, |connection, clock| connection.send(clock.now(), message))) {
            Some(Ok(_)) => Reply::Done,
            Some(Err(refused)) => {
                let reason = translate::refusal(refused.reason);
                Reply::Refused { reason, payload: refused.message.payload.to_vec() }
            }
            None => Reply::Refused { reason: Refusal::Stale, payload },
        }
    }
}

impl Running for RunningExternal {
    fn address(&self) -> SocketAddr {
        self.address
    }

    fn control(&mut self, command: Command) -> Result<Reply, SubjectError> {
        Ok(match command {
            Command::Connections => {
                Reply::Connections(lock(&self.seen).live.iter().copied().map(translate::id_to_suite).collect())
            }
            Command::Events => Reply::Events(lock(&self.seen).events.clone()),
            Command::Send { to, class, payload } => self.send(to, class, payload),
            Command::Close { connection, frame } => self.tell(connection, |connection, clock| {
                connection.close(clock.now(), translate::frame_from_suite(&frame));
                // Behind its CLOSE this side has to read (PW-HB-024).
                connection.resume(clock.now());
            }),
            Command::Drain(id) => self.tell(id, |connection, clock| connection.drain(clock.now())),
            // An application that is elsewhere pauses.
            Command::Pause(id) | Command::Hold(id) => self.tell(id, |connection, clock| connection.pause(clock.now())),
            Command::Resume(id) | Command::Release(id) => {
                self.tell(id, |connection, clock| connection.resume(clock.now()))
            }
            Command::Abort(id) => self.tell(id, |connection, clock| connection.abort(clock.now())),
            Command::Accept(id) => self.tell(id, |connection, clock| connection.accept(clock.now())),
            Command::Refuse { connection, frame } => self.tell(connection, |connection, clock| {
                connection.refuse(clock.now(), translate::frame_from_suite(&frame))
            }),
            Command::Unknown { .. } => return Err(SubjectError::unknown_command()),
        })
    }

    fn stop(self: Box<Self>) {
        self.endpoint.stop();
        if self.role == Role::Server {
            // Wakes the thread that accepts; it fails only where that thread is gone.
            let _ = TcpStream::connect(self.address);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
