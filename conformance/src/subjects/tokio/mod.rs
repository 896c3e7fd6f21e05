//! The tokio transport as a subject.

mod medium;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use pulsewire_conformance::Profile;
use pulsewire_conformance::async_subject::{AsyncRunning, AsyncSubject, OnRuntime};
use pulsewire_conformance::subject::{Command, Id, Reply, Subject, SubjectError};
use pulsewire_transport_tokio::protocol::{Class, ConnectionId, Event, Message, Role, SendRefused};
use pulsewire_transport_tokio::{ConnectError, Connection, Endpoint, Sender};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

pub use self::medium::Medium;
use super::seen::Seen;
use super::{core_config, done_if, frame_from_suite, happening};

struct TokioSubject {
    medium: Medium,
}

/// `pulsewire-transport-tokio` over this medium, all its connections on one runtime.
///
/// # Errors
/// What the operating system says when the runtime starts.
pub fn tokio_subject(medium: Medium) -> std::io::Result<impl Subject> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    Ok(OnRuntime::new(TokioSubject { medium }, move |work| runtime.block_on(work)))
}

fn endpoint(profile: &Profile) -> Result<Endpoint, SubjectError> {
    let config = core_config(profile).validate().map_err(|error| SubjectError::failed(error.to_string()))?;
    Ok(Endpoint::new(config))
}

impl AsyncSubject for TokioSubject {
    type Running = TokioRunning;

    fn name(&self) -> &str {
        self.medium.subject()
    }

    async fn serve(&self, profile: &Profile) -> Result<TokioRunning, SubjectError> {
        let endpoint = endpoint(profile)?;
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let (seen, (held, holds)) = (Arc::new(Seen::default()), watch::channel(Vec::new()));
        let task = tokio::spawn({
            let (medium, endpoint, seen) = (self.medium, endpoint.clone(), Arc::clone(&seen));
            async move {
                while let Ok((socket, peer)) = listener.accept().await {
                    let connection = medium.connection(&endpoint, peer, socket, Role::Server);
                    tokio::spawn(echo(connection.expect("random numbers"), Arc::clone(&seen), holds.clone()));
                }
            }
        });
        Ok(TokioRunning { endpoint, address, seen, held, task })
    }

    async fn connect(&self, profile: &Profile, address: SocketAddr) -> Result<TokioRunning, SubjectError> {
        let endpoint = endpoint(profile)?;
        let (seen, (held, holds)) = (Arc::new(Seen::default()), watch::channel(Vec::new()));
        let task = tokio::spawn({
            let (medium, endpoint, seen) = (self.medium, endpoint.clone(), Arc::clone(&seen));
            async move {
                match connect(medium, &endpoint, address).await {
                    Ok(connection) => {
                        seen.established(connection.id());
                        echo(connection, seen, holds).await;
                    }
                    Err(ConnectError::Handshake { closed, .. }) => {
                        happening(&Event::Closed(closed)).into_iter().for_each(|what| seen.failed(what));
                    }
                    // The suite listens before it asks for a client. If there is none, it says so itself.
                    Err(ConnectError::Address { .. } | ConnectError::Tcp { .. } | ConnectError::Timeout { .. }) => {}
                }
            }
        });
        Ok(TokioRunning { endpoint, address, seen, held, task })
    }
}

/// As [`Endpoint::connect`] does it over TCP.
async fn connect(medium: Medium, endpoint: &Endpoint, address: SocketAddr) -> Result<Connection, ConnectError> {
    if medium == Medium::Tcp {
        return endpoint.connect(address).await;
    }
    let tcp = |source| ConnectError::Tcp { address, source };
    let socket = TcpStream::connect(address).await.map_err(tcp)?;
    let mut connection = medium.connection(endpoint, address, socket, Role::Client).map_err(tcp)?;
    match connection.recv().await {
        Some(Event::Closed(closed)) => {
            Err(ConnectError::Handshake { address, closed, source: connection.take_io_error() })
        }
        _ => Ok(connection),
    }
}

/// Returns every message, but takes nothing while the connection is among those that `holds` names.
async fn echo(mut connection: Connection, seen: Arc<Seen>, mut holds: Holds) {
    let (sender, id) = (connection.sender(), connection.id());
    loop {
        if !is_free(&mut holds, id).await {
            return;
        }
        let event = tokio::select! {
            event = connection.recv() => event,
            Ok(()) = holds.changed() => continue,
        };
        let Some(event) = event else { return };
        seen.event(id, &event);
        if let Event::Message(message) = event {
            // What can't go back any more is dropped: the trait says so.
            drop(sender.send(message).await);
        }
    }
}

/// Waits until a connection is not held; `false` if the suite is done with it.
async fn is_free(holds: &mut Holds, id: ConnectionId) -> bool {
    holds.wait_for(|held| !held.contains(&id)).await.is_ok()
}

/// The connections whose application takes nothing for now.
type Holds = watch::Receiver<Vec<ConnectionId>>;

struct TokioRunning {
    endpoint: Endpoint,
    address: SocketAddr,
    seen: Arc<Seen>,
    held: watch::Sender<Vec<ConnectionId>>,
    /// Accepts, or is the one client.
    task: JoinHandle<()>,
}

impl TokioRunning {
    /// Tells a live connection something.
    fn tell(&self, id: Id, tell: impl FnOnce(&Sender)) -> Reply {
        let sender = super::id_from_suite(id).and_then(|id| self.endpoint.sender(id));
        done_if(sender.map(|sender| tell(&sender)).is_some())
    }

    /// The application of a connection takes nothing from now on, or takes what came, be it only the end.
    fn hold(&self, id: Id, is_held: bool) -> Reply {
        let Some(id) = super::id_from_suite(id) else { return done_if(false) };
        self.held.send_modify(|held| {
            held.retain(|other| *other != id);
            held.extend(is_held.then_some(id));
        });
        done_if(self.endpoint.sender(id).is_some())
    }
}

impl AsyncRunning for TokioRunning {
    fn address(&self) -> SocketAddr {
        self.address
    }

    async fn control(&mut self, command: Command) -> Result<Reply, SubjectError> {
        Ok(match command {
            Command::Connections => self.seen.connections(),
            Command::Events => self.seen.events(),
            Command::Send { to, class, payload } => {
                let Some(to) = super::id_from_suite(to) else { return Ok(super::refused(SendRefused::Stale, payload)) };
                match self.endpoint.try_send(to, Message::new(Class(class), &payload[..])) {
                    Ok(_) => Reply::Done,
                    Err(refused) => super::refused(refused.reason, refused.message.payload.to_vec()),
                }
            }
            Command::Close { connection, frame } => {
                self.tell(connection, |sender| sender.close(frame_from_suite(&frame)))
            }
            Command::Drain(id) => self.tell(id, Sender::drain),
            Command::Pause(id) => self.tell(id, Sender::pause),
            Command::Resume(id) => self.tell(id, Sender::resume),
            Command::Abort(id) => self.tell(id, |sender| _ = sender.abort()),
            Command::Hold(id) => self.hold(id, true),
            Command::Release(id) => self.hold(id, false),
            Command::Accept(id) => self.tell(id, Sender::accept),
            Command::Refuse { connection, frame } => {
                self.tell(connection, |sender| sender.refuse(frame_from_suite(&frame)))
            }
            Command::Unknown { .. } => return Err(SubjectError::unknown_command()),
        })
    }

    async fn stop(self) {
        if self.address.port() != 0 {
            self.task.abort();
        }
        let _report = self.endpoint.shutdown(Duration::from_millis(100)).await;
    }
}
