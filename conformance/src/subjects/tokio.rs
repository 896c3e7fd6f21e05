//! The tokio transport as a subject.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use pulsewire_conformance::Profile;
use pulsewire_conformance::async_subject::{AsyncRunning, AsyncSubject, OnRuntime};
use pulsewire_conformance::subject::{Command, Id, Reply, Subject, SubjectError, Unsupported};
use pulsewire_transport_tokio::protocol::{Class, Event, Message, SendRefused};
use pulsewire_transport_tokio::{ConnectError, Connection, Endpoint, Sender};
use tokio::task::JoinHandle;

use super::seen::Seen;
use super::{core_config, done_if, frame_from_suite, happening};

struct TokioSubject;

/// `pulsewire-transport-tokio`, all its connections on one runtime.
///
/// # Errors
/// What the operating system says when the runtime starts.
pub fn tokio_subject() -> std::io::Result<impl Subject> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    Ok(OnRuntime::new(TokioSubject, move |work| runtime.block_on(work)))
}

fn endpoint(profile: &Profile) -> Result<Endpoint, SubjectError> {
    let config = core_config(profile).validate().map_err(|error| SubjectError::failed(error.to_string()))?;
    Ok(Endpoint::new(config))
}

impl AsyncSubject for TokioSubject {
    type Running = TokioRunning;

    fn name(&self) -> &str {
        "tokio"
    }

    async fn serve(&self, profile: &Profile) -> Result<TokioRunning, SubjectError> {
        let endpoint = endpoint(profile)?;
        let listener = endpoint.listen("127.0.0.1:0").await?;
        let address = listener.address()?;
        let seen = Arc::new(Seen::default());
        let task = tokio::spawn({
            let seen = Arc::clone(&seen);
            async move {
                while let Ok(connection) = listener.accept().await {
                    tokio::spawn(echo(connection, Arc::clone(&seen)));
                }
            }
        });
        Ok(TokioRunning { endpoint, address, seen, task })
    }

    async fn connect(&self, profile: &Profile, address: SocketAddr) -> Result<TokioRunning, SubjectError> {
        let endpoint = endpoint(profile)?;
        let seen = Arc::new(Seen::default());
        let task = tokio::spawn({
            let (endpoint, seen) = (endpoint.clone(), Arc::clone(&seen));
            async move {
                match endpoint.connect(address).await {
                    Ok(connection) => {
                        seen.established(connection.id());
                        echo(connection, seen).await;
                    }
                    Err(ConnectError::Handshake { closed, .. }) => {
                        happening(&Event::Closed(closed)).into_iter().for_each(|what| seen.failed(what));
                    }
                    // The suite listens before it asks for a client. If there is none, it says so itself.
                    Err(ConnectError::Address { .. } | ConnectError::Tcp { .. }) => {}
                }
            }
        });
        Ok(TokioRunning { endpoint, address, seen, task })
    }
}

async fn echo(mut connection: Connection, seen: Arc<Seen>) {
    let (sender, id) = (connection.sender(), connection.id());
    while let Some(event) = connection.recv().await {
        seen.event(id, &event);
        if let Event::Message(message) = event {
            // What can't go back any more is dropped: the trait says so.
            drop(sender.send(message).await);
        }
    }
}

struct TokioRunning {
    endpoint: Endpoint,
    address: SocketAddr,
    seen: Arc<Seen>,
    /// Accepts, or is the one client.
    task: JoinHandle<()>,
}

impl TokioRunning {
    /// Tells a live connection something.
    fn tell(&self, id: Id, tell: impl FnOnce(&Sender)) -> Reply {
        let sender = super::id_from_suite(id).and_then(|id| self.endpoint.sender(id));
        done_if(sender.map(|sender| tell(&sender)).is_some())
    }
}

impl AsyncRunning for TokioRunning {
    fn address(&self) -> SocketAddr {
        self.address
    }

    async fn control(&mut self, command: Command) -> Result<Reply, Unsupported> {
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
            Command::Accept(id) => self.tell(id, Sender::accept),
            Command::Refuse { connection, frame } => {
                self.tell(connection, |sender| sender.refuse(frame_from_suite(&frame)))
            }
            Command::Unknown { .. } => return Err(Unsupported::UNKNOWN),
        })
    }

    async fn stop(self) {
        if self.address.port() != 0 {
            self.task.abort();
        }
        self.endpoint.shutdown(Duration::from_millis(100)).await;
    }
}
