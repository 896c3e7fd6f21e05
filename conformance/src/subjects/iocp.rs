//! The completion port transport as a subject.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use pulsewire_conformance::Profile;
use pulsewire_conformance::subject::{Command, Id, Reply, Running, Subject, SubjectError};
use pulsewire_protocol::{Class, Event, Message, SendError, SendRefused};
use pulsewire_transport_iocp::{Context, Endpoint, Handler, Sender, SocketOptions};

use super::seen::Seen;
use super::{core_config, done_if, frame_from_suite};

/// `pulsewire-transport-iocp`, with an endpoint and so a thread of its own for each server and client.
pub struct IocpSubject;

impl IocpSubject {
    fn start(profile: &Profile) -> Result<(Endpoint, Arc<Seen>), SubjectError> {
        let config = core_config(profile).validate().map_err(|error| SubjectError::failed(error.to_string()))?;
        let seen = Arc::new(Seen::default());
        let endpoint = Endpoint::start(config, SocketOptions::default(), Echo { seen: Arc::clone(&seen) })?;
        Ok((endpoint, seen))
    }
}

impl Subject for IocpSubject {
    fn name(&self) -> &str {
        "iocp"
    }

    fn serve(&self, profile: &Profile) -> Result<Box<dyn Running>, SubjectError> {
        let (endpoint, seen) = Self::start(profile)?;
        let address = endpoint.listen(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
        Ok(Box::new(IocpRunning { endpoint, address, seen }))
    }

    fn connect(&self, profile: &Profile, address: SocketAddr) -> Result<Box<dyn Running>, SubjectError> {
        let (endpoint, seen) = Self::start(profile)?;
        endpoint.connect(address)?;
        Ok(Box::new(IocpRunning { endpoint, address, seen }))
    }
}

/// Returns every message.
struct Echo {
    seen: Arc<Seen>,
}

impl Handler for Echo {
    fn event(&mut self, connection: &mut Context<'_>, event: Event<'_>) {
        self.seen.event(connection.id(), &event);
        if let Event::Message(message) = event {
            // What can't go back any more is dropped: the trait says so.
            drop(connection.send(message));
        }
    }

    fn unsent(&mut self, _connection: &mut Context<'_>, _refused: SendError<'static>) {}
}

struct IocpRunning {
    endpoint: Endpoint,
    address: SocketAddr,
    seen: Arc<Seen>,
}

impl IocpRunning {
    /// Tells a live connection something.
    fn tell(&self, id: Id, tell: impl FnOnce(&Sender)) -> Reply {
        let sender = super::id_from_suite(id).and_then(|id| self.endpoint.sender(id));
        done_if(sender.map(|sender| tell(&sender)).is_some())
    }
}

impl Running for IocpRunning {
    fn address(&self) -> SocketAddr {
        self.address
    }

    fn control(&mut self, command: Command) -> Result<Reply, SubjectError> {
        Ok(match command {
            Command::Connections => self.seen.connections(),
            Command::Events => self.seen.events(),
            Command::Send { to, class, payload } => {
                let Some(to) = super::id_from_suite(to) else { return Ok(super::refused(SendRefused::Stale, payload)) };
                match self.endpoint.try_send(to, Message::new(Class(class), payload)) {
                    Ok(()) => Reply::Done,
                    Err(refused) => super::refused(refused.reason, refused.message.payload.to_vec()),
                }
            }
            Command::Close { connection, frame } => {
                self.tell(connection, |sender| sender.close(frame_from_suite(&frame)))
            }
            Command::Drain(id) => self.tell(id, Sender::drain),
            // Events are handled in the thread of the endpoint, so an application that is elsewhere for long has to pause.
            Command::Pause(id) | Command::Hold(id) => self.tell(id, Sender::pause),
            Command::Resume(id) | Command::Release(id) => self.tell(id, Sender::resume),
            Command::Abort(id) => self.tell(id, |sender| {
                sender.abort();
            }),
            Command::Accept(id) => self.tell(id, Sender::accept),
            Command::Refuse { connection, frame } => {
                self.tell(connection, |sender| sender.refuse(frame_from_suite(&frame)))
            }
            Command::Unknown { .. } => return Err(SubjectError::unknown_command()),
        })
    }

    fn stop(self: Box<Self>) {
        // Peers of the suite that never answer are cut.
        let _in_order = self.endpoint.shutdown(Duration::from_millis(100));
    }
}
