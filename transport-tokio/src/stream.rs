//! The byte stream below a connection.

use std::sync::Arc;

use pulsewire_protocol::{Connection, Instant};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use crate::server::Ticket;

/// The byte stream below: a TCP socket, or whatever reads and writes like one.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// What one connection reads and writes.
pub(crate) struct Below {
    kind: Kind,
    /// What a server counts for it, until the stream is closed.
    ticket: Option<Arc<Ticket>>,
}

enum Kind {
    /// A socket that this transport opened or accepted. Nobody else writes to it, so the system's counts of it are the
    /// connection's own.
    Socket(TcpStream),
    /// A stream of the application's. What lies below it is not known.
    Given(Box<dyn Stream>),
}

impl Below {
    pub(crate) fn socket(socket: TcpStream) -> Self {
        Self { kind: Kind::Socket(socket), ticket: None }
    }

    pub(crate) fn given(stream: impl Stream + 'static) -> Self {
        Self { kind: Kind::Given(Box::new(stream)), ticket: None }
    }

    pub(crate) fn with_ticket(self, ticket: Arc<Ticket>) -> Self {
        Self { ticket: Some(ticket), ..self }
    }

    pub(crate) fn ticket(&self) -> Option<&Ticket> {
        self.ticket.as_deref()
    }

    pub(crate) fn stream(&mut self) -> &mut dyn Stream {
        match &mut self.kind {
            Kind::Socket(socket) => socket,
            Kind::Given(stream) => &mut **stream,
        }
    }

    /// Tells a machine that begins whether it will be told what the peer's host acknowledges.
    pub(crate) fn introduce(&self, connection: &mut Connection, now: Instant) {
        if self.unacknowledged().is_some() {
            connection.acknowledged(now, 0);
        }
    }

    /// Lets time come to `now`. What the peer's host has acknowledged by then is no fault of the peer's.
    pub(crate) fn pass_time(&self, connection: &mut Connection, now: Instant) {
        self.tell_acknowledged(connection, now);
        connection.handle_timeout(now);
    }

    /// Tells the machine what the peer's host has acknowledged, where the system knows.
    pub(crate) fn tell_acknowledged(&self, connection: &mut Connection, now: Instant) {
        if let Some(waiting) = self.unacknowledged() {
            connection.acknowledged(now, connection.statistics().bytes_taken.saturating_sub(waiting));
        }
    }

    /// Bytes that were written and not acknowledged, where the system tells.
    fn unacknowledged(&self) -> Option<u64> {
        match &self.kind {
            Kind::Socket(socket) => pulsewire_socket::unacknowledged(socket),
            Kind::Given(_) => None,
        }
    }
}
