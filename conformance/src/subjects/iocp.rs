//! The completion port transport as a subject.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use pulsewire_conformance::Profile;
use pulsewire_conformance::subject::{Command, Reply, Running, Subject, SubjectError, Unsupported};
use pulsewire_protocol::{Class, CloseReason, Event, Message, SendError, SendRefused};
use pulsewire_transport_iocp::{Context, Endpoint, Handler, SocketOptions};

use super::core_config;
use super::seen::Seen;

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
        let id = connection.id();
        match event {
            Event::Established(_) => self.seen.established(id),
            // What can't go back any more is dropped: the trait says so.
            Event::Message(message) => drop(connection.send(message)),
            Event::Closed(closed) => self.seen.closed(id, &closed),
            Event::Gap(_) | Event::Closing(_) => {}
        }
    }

    fn unsent(&mut self, _connection: &mut Context<'_>, _refused: SendError<'static>) {}
}

struct IocpRunning {
    endpoint: Endpoint,
    address: SocketAddr,
    seen: Arc<Seen>,
}

impl Running for IocpRunning {
    fn address(&self) -> SocketAddr {
        self.address
    }

    fn control(&mut self, command: Command) -> Result<Reply, Unsupported> {
        Ok(match command {
            Command::Connections => self.seen.connections(),
            Command::Endings => self.seen.endings(),
            Command::Send { to, class, payload } => {
                match self.endpoint.send(super::id_from_suite(to), Message::new(Class(class), payload)) {
                    Ok(()) => Reply::Sent,
                    Err(refused) => super::refused(refused.reason, refused.message.payload.to_vec()),
                }
            }
            Command::Close { connection, reason } => {
                if self.endpoint.close(super::id_from_suite(connection), CloseReason(reason)) {
                    Reply::Closing
                } else {
                    super::refused(SendRefused::Stale, Vec::new())
                }
            }
            Command::Unknown { .. } => return Err(Unsupported),
        })
    }

    fn stop(self: Box<Self>) {
        // Peers of the suite that never answer are cut.
        let _in_order = self.endpoint.shutdown(Duration::from_millis(100));
    }
}
