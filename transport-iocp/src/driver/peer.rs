//! What the driver keeps of one connection beside the protocol's state.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::BytesMut;
use pulsewire_protocol::{Closed, ConnectionId, Disconnect, Transmit};

use crate::error::{ConnectionEnd, SystemError};
use crate::mailbox::Mailbox;

use super::buffers::Buffers;
use super::{CompletionPort, Token};

/// The socket of a connection, and how far its life has come.
#[derive(Debug)]
pub(super) enum Stage<Socket> {
    /// There is none: not yet, or no more.
    Closed,
    /// It is being connected. Nothing else may be done with it.
    Connecting(Socket),
    /// Bytes go both ways.
    Open(Socket),
    /// The connection is over and its id dead (PW-CLS-012).
    Farewell {
        socket: Socket,
        /// All was sent and the end of it, too.
        half_closed: bool,
    },
}

impl<Socket> Stage<Socket> {
    /// The socket, if bytes can be moved on it.
    fn socket(&self) -> Option<&Socket> {
        match self {
            Self::Open(socket) | Self::Farewell { socket, .. } => Some(socket),
            Self::Closed | Self::Connecting(_) => None,
        }
    }
}

/// The receiving direction.
#[derive(Debug)]
pub(super) enum Receiving {
    /// Nothing is pending. The buffer holds the beginning of a packet, if anything.
    Idle(BytesMut),
    /// A receive is pending.
    Pending,
    /// A receive into the buffer of a large packet is pending.
    PendingDirect,
    /// This side pauses. What had come by then waits to be delivered.
    Held(Held),
    /// The peer's stream has ended, or failed.
    Ended,
}

/// Received bytes that were not handled yet.
#[derive(Debug)]
pub(super) enum Held {
    /// At least the beginning of a packet.
    Bytes(BytesMut),
    /// In memory of a large packet.
    Direct(BytesMut),
}

/// The sending direction.
#[derive(Debug)]
pub(super) enum Sending {
    /// Nothing is pending.
    Idle,
    /// The system took only a part of this batch.
    Rest(Transmit),
    /// A send is pending.
    Pending,
}

/// How the transport below ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// The peer ended its stream.
    Stream,
    /// An operation failed.
    Failure(SystemError),
}

impl Ending {
    /// What it is to the protocol (section 9.2 of the specification, PW-TCP-004). As long as a connection lives this side did not close its socket: where the system
    /// says that somebody here did, it was the system itself, which gave up.
    pub(super) fn disconnect(self) -> Disconnect {
        match self {
            Self::Stream => Disconnect::EndOfStream,
            Self::Failure(error) => match error.end() {
                ConnectionEnd::PeerEnded => Disconnect::EndOfStream,
                ConnectionEnd::Reset => Disconnect::Reset,
                ConnectionEnd::ClosedHere | ConnectionEnd::NetworkLost => Disconnect::NetworkLost,
            },
        }
    }
}

/// One connection's transport.
#[derive(Debug)]
pub(super) struct Peer<Socket> {
    pub(super) address: SocketAddr,
    pub(super) mailbox: Arc<Mailbox>,
    pub(super) stage: Stage<Socket>,
    pub(super) receiving: Receiving,
    pub(super) sending: Sending,
    /// The last receive filled its buffer, so the next one gets a large one.
    pub(super) busy: bool,
    /// Operations that have not come back. The slot is kept for them (PW-CK-005).
    pub(super) outstanding: u32,
    /// Noted when it happens, and told when all that came with it has been handled.
    pub(super) ending: Option<Ending>,
    /// The connection is over, which is reported at the end of the turn.
    pub(super) closed: Option<Box<Closed>>,
    /// It waits for its turn to be flushed.
    pub(super) touched: bool,
}

impl<Socket> Peer<Socket> {
    pub(super) fn new(address: SocketAddr, mailbox: Arc<Mailbox>) -> Self {
        Self {
            address,
            mailbox,
            stage: Stage::Closed,
            receiving: Receiving::Idle(BytesMut::new()),
            sending: Sending::Idle,
            busy: false,
            outstanding: 0,
            ending: None,
            closed: None,
            touched: false,
        }
    }

    /// Posts a receive into the buffer at hand, unless one is pending.
    pub(super) fn post_receive<Port>(&mut self, io: &mut Io<Port>, id: ConnectionId)
    where
        Port: CompletionPort<Socket = Socket>,
    {
        let Some(socket) = self.stage.socket() else { return };
        match std::mem::replace(&mut self.receiving, Receiving::Pending) {
            Receiving::Idle(held) => {
                let buffer = io.buffers.fit(held, self.busy);
                let room = buffer.capacity() - buffer.len();
                io.port.receive(socket, buffer, room, token(id));
                io.outstanding += 1;
                self.outstanding += 1;
            }
            other @ (Receiving::Pending | Receiving::PendingDirect | Receiving::Held(_) | Receiving::Ended) => {
                self.receiving = other;
            }
        }
    }

    /// Posts a receive of `need` bytes into the buffer of a large packet. No receive may be pending.
    pub(super) fn post_receive_direct<Port>(&mut self, io: &mut Io<Port>, id: ConnectionId, lent: (BytesMut, usize))
    where
        Port: CompletionPort<Socket = Socket>,
    {
        let Some(socket) = self.stage.socket() else { return };
        let (buffer, need) = lent;
        if let Receiving::Idle(empty) = std::mem::replace(&mut self.receiving, Receiving::PendingDirect) {
            io.buffers.give(empty);
        }
        io.port.receive(socket, buffer, need, token(id));
        io.outstanding += 1;
        self.outstanding += 1;
    }

    /// Posts a send. None may be pending.
    pub(super) fn post_send<Port>(&mut self, io: &mut Io<Port>, id: ConnectionId, batch: Transmit)
    where
        Port: CompletionPort<Socket = Socket, Batch = Transmit>,
    {
        let Some(socket) = self.stage.socket() else { return };
        io.port.send(socket, batch, token(id));
        io.outstanding += 1;
        self.outstanding += 1;
        self.sending = Sending::Pending;
    }

    /// A send came back, and the system took the whole batch or a part of it.
    pub(super) fn finish_send(&mut self, buffers: &mut Buffers, batch: Transmit, whole: bool) {
        self.sending = if whole {
            buffers.give_batch(batch);
            Sending::Idle
        } else {
            Sending::Rest(batch)
        };
    }
}

/// The port, what its operations are fed from, and how many of them are out.
#[derive(Debug)]
pub(super) struct Io<Port> {
    pub(super) buffers: Buffers,
    /// Operations of any kind that have not come back.
    pub(super) outstanding: usize,
    pub(super) port: Port,
}

/// The part of an id that an operation carries.
pub(super) fn token(id: ConnectionId) -> Token {
    Token { slot: id.slot(), cookie: id.cookie() }
}
