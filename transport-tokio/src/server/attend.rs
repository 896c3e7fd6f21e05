//! One connection of a server, from its socket to the end of its handler.

use std::io;
use std::io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, InvalidData, NotConnected};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use pulsewire_policy::server::{Lifetime, Overload};
use pulsewire_protocol::{CloseFrame, CloseReason, Closed, Event, Retry, Role, ValidConfig};
use tokio::time::sleep;
use tracing::Instrument;

use super::admission::Check;
use super::door::{Door, Entrance, Ticket, random};
use super::listener::Accepted;
use super::race::{First, caught, race};
use crate::connection::Connection;
use crate::endpoint::Endpoint;
use crate::sender::Sender;
use crate::stream::Below;

/// Receives what the listeners accept, whatever the type of the handler.
pub(super) trait Attendant: Send + Sync {
    fn door(&self) -> &Arc<Door>;

    fn receive(self: Arc<Self>, accepted: Accepted);

    /// The same, when a proxy has said for whom it is.
    fn receive_proxied(self: Arc<Self>, accepted: Accepted, limit: Duration);
}

/// What attending takes.
pub(super) struct Attending<H> {
    pub(super) endpoint: Endpoint,
    pub(super) door: Arc<Door>,
    /// The endpoint's, with `Admission::Ask` where there is a check.
    pub(super) config: ValidConfig,
    /// The same for TLS, which lets no damage through.
    #[cfg(feature = "tls")]
    pub(super) encrypted: ValidConfig,
    pub(super) check: Option<Check>,
    pub(super) handler: H,
}

impl<H, F> Attendant for Attending<H>
where
    H: Fn(Connection) -> F + Send + Sync + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    fn door(&self) -> &Arc<Door> {
        &self.door
    }

    fn receive(self: Arc<Self>, mut accepted: Accepted) {
        if let Some(socket) = accepted.socket()
            && let Err(error) = self.endpoint.options().apply(socket)
        {
            return self.give_up(&error);
        }
        let (stream, peer, config) = match accepted {
            Accepted::Tcp(stream, peer) => (Below::socket(stream), Some(peer), &self.config),
            #[cfg(feature = "tls")]
            Accepted::Tls(stream, peer, tls) => (Below::given(tls.accept(stream)), Some(peer), &self.encrypted),
            #[cfg(unix)]
            Accepted::Unix(stream, peer) => (Below::given(stream), peer, &self.config),
            Accepted::Given(stream, peer) => (Below::given(stream), peer, &self.config),
        };
        let begin = |ticket: &Arc<Ticket>| {
            let below = stream.with_ticket(Arc::clone(ticket));
            let connection = self.endpoint.begin_with(config, below, Role::Server, peer)?;
            ticket.belongs_to(connection.id());
            Ok::<_, io::Error>(connection)
        };
        match self.door.admit(peer) {
            Entrance::Open(ticket) => match begin(&ticket) {
                Ok(connection) => drop(self.door.handlers.spawn(Arc::clone(&self).attend(connection, ticket))),
                Err(error) => self.give_up(&error),
            },
            Entrance::Refused(why, ticket) => {
                self.door.note_refused(why, true);
                match begin(&ticket) {
                    // It says so in the background, and waits until that was heard.
                    Ok(mut connection) => connection.close(self.door.overloaded(why)),
                    Err(error) => self.give_up(&error),
                }
            }
            Entrance::Shut(why) => self.door.note_refused(why, false),
        }
    }

    fn receive_proxied(self: Arc<Self>, mut accepted: Accepted, limit: Duration) {
        let Some(turn) = self.door.proxied() else { return self.door.note_refused(Overload::Handshakes, false) };
        let door = Arc::clone(&self.door);
        // Among the listeners: none comes in behind the end of accepting.
        door.listeners.spawn(async move {
            let reading = accepted.read_proxy_header(limit);
            let Some(header) = self.door.stop.run_until_cancelled(reading).await else { return };
            drop(turn);
            match header {
                Ok(Some(client)) => self.receive(accepted.on_behalf_of(client.source)),
                // The proxy itself, or a client that it has no address of.
                Ok(None) => self.receive(accepted),
                Err(error) => self.give_up(&error),
            }
        });
    }
}

impl<H, F> Attending<H>
where
    H: Fn(Connection) -> F + Send + Sync + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    /// The socket broke, or there are no random numbers. Who has left by now came to look whether somebody is there.
    fn give_up(&self, error: &io::Error) {
        if matches!(error.kind(), BrokenPipe | ConnectionAborted | ConnectionReset | NotConnected) {
            return self.door.count(|counts| counts.health_checks += 1);
        }
        self.door.count(|counts| counts.unusable += 1);
        self.door.warn(format_args!("given up before it began: {error}"));
    }

    async fn attend(self: Arc<Self>, mut connection: Connection, ticket: Arc<Ticket>) {
        let Some(first) = self.greet(&mut connection).await else { return };
        // Whom the handler is to judge is still in the handshake.
        if !matches!(first, Event::Admission(_)) {
            ticket.established();
        }
        drop(ticket);
        if self.door.draining.load(Ordering::SeqCst) {
            connection.drain();
        }
        connection.put_back(first);
        self.door.count(|counts| counts.handled += 1);
        let (id, sender) = (connection.id(), connection.sender());
        let span = connection.span();
        let handling = caught(async { (self.handler)(connection).await }.instrument(span));
        let handled = match self.door.config.lifetime {
            None => {
                drop(sender);
                handling.await
            }
            Some(lifetime) => self.age(handling, sender, lifetime).await,
        };
        if let Err(panic) = handled {
            self.door.count(|counts| counts.panics += 1);
            tracing::error!(connection = ?id, panic, "the handler panicked: its connection is cut");
        }
    }

    /// The first event that is the handler's: the client is established, or the handler is to judge it. `None`: there is none.
    async fn greet(&self, connection: &mut Connection) -> Option<Event<'static>> {
        loop {
            match connection.recv().await?.into_owned() {
                Event::Admission(request) => match &self.check {
                    Some(check) => check.judge(&self.door, *request, connection).await,
                    None => return Some(Event::Admission(request)),
                },
                Event::Closed(closed) => {
                    self.note_unestablished(&closed, connection.take_io_error());
                    return None;
                }
                event => return Some(event),
            }
        }
    }

    fn note_unestablished(&self, closed: &Closed, error: Option<io::Error>) {
        // Whom TLS did not understand said something.
        if let Some(error) = error.filter(|error| error.kind() == InvalidData) {
            self.door.count(|counts| counts.failed_handshakes += 1);
            return self.door.warn(format_args!("given up in the handshake: {error}"));
        }
        // A health check is nobody's fault, and nothing to tell.
        self.door.count(|counts| match closed.never_spoke() {
            true => counts.health_checks += 1,
            false => counts.failed_handshakes += 1,
        });
    }

    /// Runs the handler, and drains and closes its connection when that has come to its age.
    async fn age<O>(&self, handling: impl Future<Output = O>, sender: Sender, lifetime: Lifetime) -> O {
        let mut handling = pin!(handling);
        if let First::One(output) = race(handling.as_mut(), sleep(lifetime.drain_after(random()))).await {
            return output;
        }
        self.door.count(|counts| counts.aged += 1);
        sender.drain();
        if let First::One(output) = race(handling.as_mut(), sleep(lifetime.grace)).await {
            return output;
        }
        let close = CloseFrame::from(CloseReason::GOING_AWAY).with_retry(Retry::After(Duration::ZERO));
        sender.close(close.with_text("the connection has come to its longest age; connect again"));
        drop(sender);
        handling.await
    }
}
