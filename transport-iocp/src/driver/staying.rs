//! Clients that stay connected: when they try, and what they are told.

use std::io;
use std::net::SocketAddr;

use pulsewire_policy::Failure;
use pulsewire_protocol::{CloseFrame, CloseReason, Transmit};

use crate::client_sender::{ClientOptions, ClientSender};
use crate::clients::{ClientEvent, ClientId, OverReason};
use crate::handler::Handler;
use crate::port::CompletionPort;

use super::Driver;
use super::shutdown::Phase;

impl<Port: CompletionPort<Batch = Transmit>, H: Handler> Driver<Port, H> {
    /// # Errors
    ///
    /// The endpoint ends.
    pub(super) fn add_client(&mut self, remote: SocketAddr, options: ClientOptions) -> io::Result<ClientSender> {
        match self.phase {
            Phase::Running => {}
            Phase::Draining { .. } | Phase::Stopping { .. } | Phase::Cutting { .. } => {
                return Err(io::ErrorKind::NotConnected.into());
            }
        }
        let random = self.service.draw();
        Ok(self.service.clients.add(remote, options, self.now, random))
    }

    /// Closes a client and its connection. Returns whether there was such a client.
    pub(super) fn close_client(&mut self, id: ClientId, close: CloseFrame) -> bool {
        let reason = close.reason;
        match self.service.clients.close(id, reason) {
            None => false,
            Some(None) => {
                self.tell_client(id, ClientEvent::Over(OverReason::Closed { reason }));
                true
            }
            Some(Some(connection)) => {
                if let Some(mut entry) = self.table.get_mut(connection) {
                    entry.data().mailbox.close(close);
                }
                self.touch(connection);
                true
            }
        }
    }

    /// The endpoint ends, and no client tries again.
    pub(super) fn end_clients(&mut self) {
        for id in self.service.clients.ids() {
            // Those with a connection are over when that is, which is closed like any other.
            let reason = CloseReason::GOING_AWAY;
            if self.service.clients.close(id, reason) == Some(None) {
                self.tell_client(id, ClientEvent::Over(OverReason::Closed { reason }));
            }
        }
    }

    /// Begins the tries that are due, and gives back what was kept in vain.
    pub(super) fn pass_tries(&mut self) {
        let now = self.now;
        self.return_unsent();
        while let Some((id, remote, attempt)) = self.service.clients.due(now) {
            let mut token = None;
            self.call(|handler, turn| token = handler.token(turn, id));
            match self.begin(remote, token) {
                Ok(connection) => {
                    self.service.clients.begun(id, connection);
                    self.tell_client(id, ClientEvent::Connecting { attempt, connection });
                }
                Err(error) => {
                    tracing::debug!(client = ?id, %error, "this side could not begin to connect");
                    self.client_ended(id, Failure::Unreachable);
                }
            }
        }
    }

    /// A try of a client gave nothing, or its connection has ended.
    pub(super) fn client_ended(&mut self, id: ClientId, failure: Failure) {
        let random = self.service.draw();
        if let Some(event) = self.service.clients.ended(id, self.now, failure, random) {
            self.tell_client(id, event);
        }
    }

    /// Gives back what was kept for clients and is never sent.
    fn return_unsent(&mut self) {
        while let Some((id, unsent)) = self.service.clients.take_unsent() {
            self.call(|handler, turn| handler.client_unsent(turn, id, unsent));
        }
    }

    fn tell_client(&mut self, id: ClientId, event: ClientEvent) {
        // Before the client is over.
        self.return_unsent();
        self.call(|handler, turn| handler.client(turn, id, event));
    }
}
