//! Clients that connect again whenever their connection is lost.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use pulsewire_policy::{Failure, GiveUp, Next, Reconnect};
use pulsewire_protocol::{CloseReason, ConnectionId, Instant, Message};

use crate::client_sender::{ClientOptions, ClientSender, Outbox};
use crate::mailbox::Mailbox;

/// Names a client of an endpoint, for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ClientId {
    /// Of its thread.
    pub(crate) domain: u32,
    number: u64,
}

/// What becomes of a client, in the order in which it happens. What happens on its connections is told as of any other one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ClientEvent {
    /// A try begins.
    Connecting {
        /// Its number, from 1; it begins anew with a connection that lasted.
        attempt: u32,
        /// The connection that it gives. Its first event is `Established`, or `Closed`.
        connection: ConnectionId,
    },
    /// There is no connection, or none could be begun.
    Waiting {
        /// Until the next try.
        delay: Duration,
    },
    /// The client is over. Always the last one.
    Over(OverReason),
}

/// Why a client is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum OverReason {
    /// It was closed here, or its endpoint ends.
    Closed {
        /// The reason that was given; `GOING_AWAY` where the endpoint ends.
        reason: CloseReason,
    },
    /// There is no further try.
    GivenUp(GiveUp),
}

/// A client's state, and where it connects to.
#[derive(Debug)]
struct Client {
    remote: SocketAddr,
    outbox: Arc<Outbox>,
    reconnect: Reconnect,
    /// `None` while it waits for the next try.
    connection: Option<ConnectionId>,
    /// The handshake of that is complete.
    is_established: bool,
    /// There is no other one behind it, for this reason.
    closing: Option<CloseReason>,
}

/// The clients of an endpoint.
#[derive(Debug)]
pub(crate) struct Clients {
    domain: u32,
    made: u64,
    clients: BTreeMap<ClientId, Client>,
    /// When tries begin.
    tries: BTreeSet<(Instant, ClientId)>,
    connections: HashMap<ConnectionId, ClientId>,
    /// What was kept and comes back, for the handler.
    unsent: VecDeque<(ClientId, Vec<Message<'static>>)>,
}

impl Clients {
    /// Those of a thread.
    pub(crate) fn new(domain: u32) -> Self {
        Self {
            domain,
            made: 0,
            clients: BTreeMap::new(),
            tries: BTreeSet::new(),
            connections: HashMap::new(),
            unsent: VecDeque::new(),
        }
    }

    pub(crate) fn add(
        &mut self,
        remote: SocketAddr,
        options: ClientOptions,
        now: Instant,
        random: u64,
    ) -> ClientSender {
        self.made += 1;
        let id = ClientId { domain: self.domain, number: self.made };
        let outbox = Arc::new(Outbox::new(options.unsent));
        let sender = ClientSender::new(id, Arc::clone(&outbox));
        let reconnect = Reconnect::new(options.reconnect, now);
        self.tries.insert((reconnect.first_try(random), id));
        let client = Client { remote, outbox, reconnect, connection: None, is_established: false, closing: None };
        self.clients.insert(id, client);
        sender
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        // What comes back is told at once.
        let waiting = self.unsent.front().map(|_| Instant::ZERO);
        waiting.or(self.tries.first().map(|(at, _)| *at))
    }

    /// A client whose next try is due, where it connects to, and the number of the try.
    pub(crate) fn due(&mut self, now: Instant) -> Option<(ClientId, SocketAddr, u32)> {
        let (_, id) = self.tries.first().copied().filter(|(at, _)| *at <= now)?;
        self.tries.pop_first();
        let client = self.clients.get(&id)?;
        Some((id, client.remote, client.reconnect.attempt()))
    }

    /// A try has begun.
    pub(crate) fn begun(&mut self, id: ClientId, connection: ConnectionId) {
        if let Some(client) = self.clients.get_mut(&id) {
            (client.connection, client.is_established) = (Some(connection), false);
            self.connections.insert(connection, id);
        }
    }

    /// The handshake of a connection is complete, of a client or not.
    pub(crate) fn established(&mut self, connection: ConnectionId, now: Instant) {
        let Some(id) = self.connections.get(&connection) else { return };
        if let Some(client) = self.clients.get_mut(id) {
            client.is_established = true;
            client.reconnect.established(now);
        }
    }

    /// A connection accepts messages, of a client or not: what the client has kept goes there first.
    pub(crate) fn join(&mut self, connection: ConnectionId, mailbox: &Arc<Mailbox>) {
        self.pump(connection, |outbox| outbox.join(mailbox));
    }

    /// A connection has room again.
    pub(crate) fn note_room(&mut self, connection: ConnectionId) {
        self.pump(connection, Outbox::pump);
    }

    fn pump(&mut self, connection: ConnectionId, pump: impl FnOnce(&Outbox) -> Vec<Message<'static>>) {
        let Some(id) = self.connections.get(&connection) else { return };
        let Some(client) = self.clients.get(id) else { return };
        let refused = pump(&client.outbox);
        if !refused.is_empty() {
            self.unsent.push_back((*id, refused));
        }
    }

    /// A connection is over, of a client or not. What it did not send is kept, as far as there is room.
    pub(crate) fn keep(&self, connection: ConnectionId, unsent: &mut Vec<Message<'static>>) {
        let client = self.connections.get(&connection).and_then(|id| self.clients.get(id));
        if let Some(client) = client {
            client.outbox.leave(connection, unsent);
        }
    }

    /// What was kept for a client and comes back.
    pub(crate) fn take_unsent(&mut self) -> Option<(ClientId, Vec<Message<'static>>)> {
        self.unsent.pop_front()
    }

    /// A client is over: what is kept for it comes back.
    fn remove(&mut self, id: ClientId, reason: CloseReason) {
        let Some(client) = self.clients.remove(&id) else { return };
        client.outbox.close(reason);
        let unsent = client.outbox.take();
        if !unsent.is_empty() {
            self.unsent.push_back((id, unsent));
        }
    }

    /// The client whose connection this is.
    pub(crate) fn of(&self, connection: ConnectionId) -> Option<ClientId> {
        self.connections.get(&connection).copied()
    }

    /// A try gave no connection, or that has ended. Says what is next.
    pub(crate) fn ended(&mut self, id: ClientId, now: Instant, failure: Failure, random: u64) -> Option<ClientEvent> {
        let client = self.clients.get_mut(&id)?;
        if let Some(connection) = client.connection.take() {
            self.connections.remove(&connection);
        }
        if let Some(reason) = client.closing {
            self.remove(id, reason);
            return Some(ClientEvent::Over(OverReason::Closed { reason }));
        }
        let next = match std::mem::take(&mut client.is_established) {
            true => client.reconnect.ended(now, failure, random),
            false => client.reconnect.failed(now, failure, random),
        };
        Some(match next {
            Next::TryAt(at) => {
                self.tries.insert((at, id));
                ClientEvent::Waiting { delay: at - now }
            }
            Next::GiveUp(why) => {
                self.remove(id, why.reason());
                ClientEvent::Over(OverReason::GivenUp(why))
            }
        })
    }

    /// The client tries no more. Gives its connection, which is to be closed; without one it is over. `None`: there is no such
    /// client.
    pub(crate) fn close(&mut self, id: ClientId, reason: CloseReason) -> Option<Option<ConnectionId>> {
        let client = self.clients.get_mut(&id)?;
        client.closing = Some(reason);
        client.outbox.close(reason);
        let connection = client.connection;
        if connection.is_none() {
            self.remove(id, reason);
            self.tries.retain(|(_, other)| *other != id);
        }
        Some(connection)
    }

    pub(crate) fn ids(&self) -> Vec<ClientId> {
        self.clients.keys().copied().collect()
    }
}
