//! Connections that are opened here, and what every connection begins with.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use pulsewire_protocol::{Connection, ConnectionId, Role, Transmit};

use crate::error::SystemError;
use crate::handler::Handler;
use crate::mailbox::Mailbox;
use crate::port::CompletionPort;

use super::Driver;
use super::peer::{Ending, Peer, Stage, token};
use super::shutdown::Phase;

impl<Port: CompletionPort<Batch = Transmit>, H: Handler> Driver<Port, H> {
    /// Begins to connect. The id lives from now on: the handshake's time limit covers connecting, too, and a failure is
    /// reported as the end of the connection.
    pub(super) fn connect(&mut self, remote: SocketAddr) -> io::Result<ConnectionId> {
        if self.phase != Phase::Running {
            return Err(io::ErrorKind::NotConnected.into());
        }
        let id = self.insert(Role::Client, remote)?;
        match self.io.port.connect(remote, token(id)) {
            Ok(socket) => {
                self.io.outstanding += 1;
                if let Some(mut connection) = self.table.get_mut(id) {
                    let peer = connection.data();
                    peer.stage = Stage::Connecting(socket);
                    peer.outstanding += 1;
                }
                Ok(id)
            }
            Err(error) => {
                self.directory.remove(id);
                self.table.remove(id);
                Err(error.into())
            }
        }
    }

    /// Gives a new connection its id, its mailbox and its place in the table.
    pub(super) fn insert(&mut self, role: Role, remote: SocketAddr) -> io::Result<ConnectionId> {
        let seed = (self.draw_seed)()?;
        let connection = match role {
            Role::Client => Connection::client(self.now, &self.config, seed),
            Role::Server => Connection::server(self.now, &self.config, seed),
        };
        let (inbox, directory) = (&self.inbox, &self.directory);
        let room = self.config.limits.send_queue;
        let admitted = self.table.insert_with(connection, |id| {
            let mailbox = Arc::new(Mailbox::new(id, Arc::clone(inbox), room));
            directory.insert(&mailbox);
            Peer::new(remote, mailbox)
        });
        admitted.map_err(|refused| io::Error::new(io::ErrorKind::QuotaExceeded, refused.reason.to_string()))
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
