//! Connections that are opened here, and what every connection begins with.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use pulsewire_policy::server::{Pass, ServerLimits};
use pulsewire_policy::telemetry;
use pulsewire_protocol::{Config, Connection, ConnectionId, InsertRefused, Role, Transmit};

use crate::error::SystemError;
use crate::handler::Handler;
use crate::mailbox::Mailbox;
use crate::port::CompletionPort;

use super::Driver;
use super::peer::{Ending, Newcomer, Peer, Stage, token};
use super::service::{Entrance, Shut};
use super::shutdown::Phase;

impl<Port: CompletionPort<Batch = Transmit>, H: Handler> Driver<Port, H> {
    /// Begins to connect. The id lives from now on: the handshake's time limit covers connecting, too, and a failure is
    /// reported as the end of the connection.
    pub(super) fn connect(&mut self, remote: SocketAddr) -> io::Result<ConnectionId> {
        self.begin(remote, None)
    }

    /// The same with this token in place of that of the configuration.
    pub(super) fn begin(&mut self, remote: SocketAddr, own_token: Option<Bytes>) -> io::Result<ConnectionId> {
        if self.phase != Phase::Running {
            return Err(io::ErrorKind::NotConnected.into());
        }
        if let Some(reason) = self.refusal() {
            return Err(io::Error::new(io::ErrorKind::QuotaExceeded, reason.to_string()));
        }
        let config = match own_token {
            None => self.config.clone(),
            Some(_) => {
                let config = Config { token: own_token, ..(*self.config).clone() };
                config.validate().map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?
            }
        };
        let connection = Connection::client(self.now, &config, (self.draw_seed)()?);
        let id = self.insert(connection, remote, true, None)?;
        match self.io.port.connect(remote, token(id)) {
            Ok(socket) => {
                self.io.outstanding += 1;
                if let Some(mut connection) = self.table.get_mut(id) {
                    let peer = connection.data();
                    peer.stage = Stage::Connecting(socket);
                    peer.outstanding += 1;
                }
                telemetry::opened(Role::Client);
                Ok(id)
            }
            Err(error) => {
                self.directory.remove(id);
                self.table.remove(id);
                Err(error.into())
            }
        }
    }

    /// Takes in a connection that was accepted, and whose handshake is still to come. One that there is no room for gets a place too,
    /// where it is told so; the application does not hear of it.
    pub(super) fn take_in(&mut self, socket: Port::Socket, remote: SocketAddr) -> io::Result<()> {
        self.options.apply(&mut self.io.port, &socket)?;
        let seed = (self.draw_seed)()?;
        let mut connection = Connection::server(self.now, &self.config, seed);
        let shut = if self.table.buffered() >= self.service.config.limits.buffered {
            Some(Shut::Memory)
        } else if !self.has_room() {
            Some(Shut::Handler)
        } else {
            None
        };
        let (admitted, pass) = match self.service.enter(self.now, remote, shut) {
            Entrance::Open(pass) => (true, pass),
            Entrance::Refused(close, pass) => {
                self.warn_refused(remote, &close.text);
                connection.close(self.now, close);
                (false, pass)
            }
            Entrance::Shut => {
                self.warn_refused(remote, "and not told so");
                return Ok(());
            }
        };
        let id = self.insert(connection, remote, admitted, Some(pass))?;
        if let Some(mut connection) = self.table.get_mut(id) {
            connection.data().stage = Stage::Open(socket);
        }
        telemetry::opened(Role::Server);
        self.touch(id);
        Ok(())
    }

    fn warn_refused(&mut self, peer: SocketAddr, reason: &str) {
        if let Some(count) = self.warnings.note(self.now) {
            tracing::warn!(%peer, reason, count, "a connection was refused");
        }
    }

    /// Gives a new connection its id, its mailbox and its place in the table.
    fn insert(
        &mut self,
        connection: Connection,
        remote: SocketAddr,
        admitted: bool,
        pass: Option<Pass>,
    ) -> io::Result<ConnectionId> {
        let (inbox, directory) = (&self.inbox, &self.directory);
        let newcomer = Newcomer { address: remote, role: connection.role(), began: self.now };
        let room = self.config.limits.send_queue;
        let mut held = pass;
        let inserted = self.table.insert_with(connection, |id| {
            let mailbox = Arc::new(Mailbox::new(id, Arc::clone(inbox), room));
            if admitted {
                directory.insert(&mailbox);
            }
            Peer::new(newcomer, mailbox, admitted, held.take())
        });
        inserted.map_err(|full| io::Error::new(io::ErrorKind::QuotaExceeded, full.reason.to_string())).inspect_err(
            |_| {
                if let Some(pass) = held {
                    self.service.gate.leave(pass);
                }
            },
        )
    }

    /// Why none is begun here.
    fn refusal(&self) -> Option<InsertRefused> {
        let ServerLimits { connections, handshakes, buffered, .. } = self.service.config.limits;
        if self.table.len() >= connections as usize {
            Some(InsertRefused::Connections { limit: connections })
        } else if self.table.handshakes() >= handshakes as usize {
            Some(InsertRefused::Handshakes { limit: handshakes })
        } else if self.table.buffered() >= buffered {
            Some(InsertRefused::Buffered { limit: buffered })
        } else {
            None
        }
    }

    pub(super) fn connected(&mut self, id: ConnectionId, outcome: Result<(), SystemError>) {
        if let Some(peer) = self.table.retired_mut(id) {
            peer.outstanding -= 1;
            return self.touch(id);
        }
        let Some(mut connection) = self.table.get_mut(id) else { return };
        let peer = connection.data();
        peer.outstanding -= 1;
        let Stage::Connecting(socket) = std::mem::replace(&mut peer.stage, Stage::Closed) else { return };
        match outcome.and_then(|()| self.options.apply(&mut self.io.port, &socket)) {
            Ok(()) => peer.stage = Stage::Open(socket),
            Err(error) => peer.ending = Some(Ending::Failure(error)),
        }
        drop(connection);
        self.touch(id);
    }
}
