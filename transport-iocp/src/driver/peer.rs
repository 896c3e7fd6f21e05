//! What the driver keeps of one connection beside the protocol's state.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use pulsewire_protocol::{Closed, Connection, ConnectionId, Disconnect, Instant, Role};

use pulsewire_policy::server::Pass;
use pulsewire_socket::Cause;
use tracing::Span;

use crate::error::SystemError;
use crate::mailbox::Mailbox;
use crate::orders::Pauser;

use super::alarms::Alarms;
use super::buffers::{Buffers, SMALL};
use super::send::Sending;
use super::service::Aging;
use super::shortage::Shortage;
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
    /// Nothing is wanted of it any more. What is pending was cancelled and has until then to come back.
    Cancelled { socket: Socket, until: Instant },
}

impl<Socket> Stage<Socket> {
    /// The socket, if bytes can be moved on it.
    pub(super) fn socket(&self) -> Option<&Socket> {
        match self {
            Self::Open(socket) | Self::Farewell { socket, .. } => Some(socket),
            Self::Closed | Self::Connecting(_) | Self::Cancelled { .. } => None,
        }
    }
}

/// Bytes that were waited for longer did not come soon.
const QUIET_AFTER: Duration = Duration::from_millis(500);

/// A connection on which bytes came soon so often is lively. More often than a heartbeat or a message comes in pieces.
const LIVELY: u32 = 4;

/// How many receives get a large buffer behind one that needed it. What comes in batches that are slightly larger than a small buffer
/// would else need two receives, and mostly two sends, for each.
const LARGE_RECEIVES: u32 = 16;

/// How long cancelled operations have to come back before their socket is closed under them.
pub(super) const CANCEL_PATIENCE: Duration = Duration::from_secs(2);

/// Cancels what is pending on a socket of which nothing more is wanted.
pub(super) fn cancelled<Port: CompletionPort>(
    socket: Port::Socket,
    io: &mut Io<Port>,
    id: ConnectionId,
    now: Instant,
) -> Stage<Port::Socket> {
    io.port.cancel(&socket);
    let until = now + CANCEL_PATIENCE;
    io.alarms.set(until, id);
    Stage::Cancelled { socket, until }
}

/// The receiving direction.
#[derive(Debug)]
pub(super) enum Receiving {
    /// Nothing is pending. The buffer holds the beginning of a packet, if anything.
    Idle(BytesMut),
    /// This waits for something to receive, and holds no buffer meanwhile.
    Awaited,
    /// There is something to receive.
    Readable,
    /// A receive is pending.
    Pending,
    /// A receive into the buffer of a large packet is pending.
    PendingDirect,
    /// This side pauses. What had come by then waits to be delivered.
    Held(Held),
    /// The peer's stream has ended, or failed.
    Ended,
}

impl Receiving {
    /// Nothing is pending, and no buffer at hand.
    pub(super) fn unread() -> Self {
        Self::Idle(BytesMut::new())
    }
}

/// Received bytes that were not handled yet.
#[derive(Debug)]
pub(super) enum Held {
    /// At least the beginning of a packet.
    Bytes(BytesMut),
    /// In memory of a large packet.
    Direct(BytesMut),
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
    /// What it is to the protocol (section 9.2 of the specification, PW-TCP-004). As long as a connection lives this side did
    /// not close its socket: where the system says that somebody here did, it was the system itself, which gave up.
    pub(super) fn disconnect(self) -> Disconnect {
        match self {
            Self::Stream => Disconnect::EndOfStream,
            Self::Failure(error) => match error.cause() {
                Cause::PeerEnded => Disconnect::EndOfStream,
                Cause::Reset => Disconnect::Reset,
                Cause::ClosedHere | Cause::NetworkLost => Disconnect::NetworkLost,
                // Nobody but this host is to blame.
                Cause::Shortage => Disconnect::Aborted,
            },
        }
    }
}

/// One connection's transport.
#[derive(Debug)]
pub(super) struct Peer<Socket> {
    pub(super) address: SocketAddr,
    /// For what is logged while the handler is called.
    pub(super) span: Span,
    pub(super) began: Instant,
    /// Its last words were cut short.
    pub(super) was_cut: bool,
    pub(super) mailbox: Arc<Mailbox>,
    /// The application hears of it. It does not of one that there is no room for.
    pub(super) admitted: bool,
    pub(super) stage: Stage<Socket>,
    pub(super) receiving: Receiving,
    pub(super) sending: Sending,
    /// How many more receives get a large buffer.
    pub(super) large_receives: u32,
    /// How often in a row bytes came soon after others. While that is not often, the next ones are waited for without a buffer, also
    /// on a new connection: one that never says anything takes no memory.
    pub(super) heard_soon: u32,
    /// Since when the next bytes are waited for.
    pub(super) awaited_since: Instant,
    /// Operations that have not come back. The slot is kept for them (PW-CK-005).
    pub(super) outstanding: u32,
    /// Noted when it happens, and told when all that came with it has been handled.
    pub(super) ending: Option<Ending>,
    /// The connection is over, which is reported at the end of the turn.
    pub(super) closed: Option<Box<Closed>>,
    /// It waits for its turn to be flushed.
    pub(super) touched: bool,
    /// This host lacks what a receive takes, or a send.
    pub(super) receive_shortage: Option<Shortage>,
    pub(super) send_shortage: Option<Shortage>,
    /// All connections together hold too much for what waits here. It is looked at again then.
    pub(super) short_until: Option<Instant>,
    /// A send failed. Nothing is sent any more; what the peer said last is to be read (PW-CLS-011).
    pub(super) broken: Option<Broken>,
    /// Nothing is sent before: what other threads have queued is to be joined with what they queue next.
    pub(super) joins_until: Option<Instant>,
    /// What counts for one that came in, until its socket is closed.
    pub(super) pass: Option<Pass>,
    /// The handshake was completed in this turn.
    pub(super) is_new: bool,
    /// The client has to be judged by then.
    pub(super) judge_until: Option<Instant>,
    /// What its age brings next.
    pub(super) aging: Option<Aging>,
}

/// A connection that begins.
#[derive(Clone, Copy, Debug)]
pub(super) struct Newcomer {
    pub(super) address: SocketAddr,
    pub(super) role: Role,
    pub(super) began: Instant,
}

/// A send failed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Broken {
    pub(super) error: SystemError,
    /// A receive that is not back by then has nothing to tell.
    pub(super) until: Instant,
}

impl<Socket> Peer<Socket> {
    pub(super) fn new(newcomer: Newcomer, mailbox: Arc<Mailbox>, admitted: bool, pass: Option<Pass>) -> Self {
        let Newcomer { address, role, began } = newcomer;
        Self {
            address,
            span: tracing::info_span!("connection", id = ?mailbox.id(), ?role, peer = %address),
            began,
            was_cut: false,
            mailbox,
            admitted,
            stage: Stage::Closed,
            receiving: Receiving::unread(),
            sending: Sending::default(),
            large_receives: 0,
            heard_soon: 0,
            awaited_since: Instant::ZERO,
            outstanding: 0,
            ending: None,
            closed: None,
            touched: false,
            receive_shortage: None,
            send_shortage: None,
            short_until: None,
            broken: None,
            joins_until: None,
            pass,
            is_new: false,
            judge_until: None,
            aging: None,
        }
    }

    /// Whether an operation is pending that was started though this host had lacked something for it. It lacks it no more, also
    /// where the operation has nothing to do for hours.
    pub(super) fn has_recovered(&mut self, waits: u64) -> bool {
        let (receive, send) = (&mut self.receive_shortage, &mut self.send_shortage);
        let ended = [receive, send].map(|shortage| shortage.take_if(|it| it.is_over(waits)).is_some());
        ended.contains(&true)
    }

    /// Notes that what could not be started has been tried again, if it has, so that it is looked at when that is decided.
    pub(super) fn note_tried<Port>(&mut self, io: &mut Io<Port>, id: ConnectionId, now: Instant) {
        let receives = match self.receiving {
            Receiving::Awaited | Receiving::Pending | Receiving::PendingDirect => true,
            Receiving::Idle(_) | Receiving::Readable | Receiving::Held(_) | Receiving::Ended => false,
        };
        let receive_tried = receives && Shortage::tried(&mut self.receive_shortage, io.waits);
        let send_tried = self.sending.is_all_pending() && Shortage::tried(&mut self.send_shortage, io.waits);
        if receive_tried || send_tried {
            io.alarms.set(now, id);
        }
    }

    /// An operation got through that this host had lacked something for.
    pub(super) fn shortage_is_over(&self, connection: &mut Connection, now: Instant) {
        if self.receive_shortage.is_none() && self.send_shortage.is_none() {
            self.mailbox.resume_for(Pauser::Driver, connection, now);
        }
    }

    /// Posts a receive into the buffer at hand, unless one is pending; for a quiet connection one without a buffer.
    pub(super) fn post_receive<Port>(&mut self, io: &mut Io<Port>, id: ConnectionId, now: Instant)
    where
        Port: CompletionPort<Socket = Socket>,
    {
        let Some(socket) = self.stage.socket() else { return };
        let held = match std::mem::replace(&mut self.receiving, Receiving::Pending) {
            Receiving::Idle(held) if self.heard_soon < LIVELY && held.is_empty() => {
                io.buffers.give(held);
                self.awaited_since = now;
                self.receiving = Receiving::Awaited;
                io.port.await_readable(socket, token(id));
                io.outstanding += 1;
                self.outstanding += 1;
                return;
            }
            Receiving::Idle(held) => {
                self.awaited_since = now;
                held
            }
            Receiving::Readable => BytesMut::new(),
            other @ (Receiving::Awaited
            | Receiving::Pending
            | Receiving::PendingDirect
            | Receiving::Held(_)
            | Receiving::Ended) => {
                self.receiving = other;
                return;
            }
        };
        let buffer = io.buffers.fit(held, self.large_receives > 0);
        let room = buffer.capacity() - buffer.len();
        io.port.receive(socket, buffer, room, token(id));
        io.outstanding += 1;
        self.outstanding += 1;
    }

    /// A receive brought so many bytes, and filled its buffer or not.
    pub(super) fn note_size(&mut self, count: usize, filled: bool) {
        self.large_receives =
            if filled || count >= SMALL { LARGE_RECEIVES } else { self.large_receives.saturating_sub(1) };
    }

    /// Bytes came. A connection that falls quiet holds a buffer until it is heard the next time, which is no later than the next
    /// heartbeat; and a lively one asks once for what comes, not twice.
    pub(super) fn note_heard(&mut self, now: Instant) {
        let soon = now - self.awaited_since < QUIET_AFTER;
        self.heard_soon = if soon { self.heard_soon.saturating_add(1) } else { 0 };
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

    /// Cancels what is pending. The socket is closed when that is back.
    pub(super) fn cancel<Port>(&mut self, io: &mut Io<Port>, id: ConnectionId, now: Instant)
    where
        Port: CompletionPort<Socket = Socket>,
    {
        self.stage = match std::mem::replace(&mut self.stage, Stage::Closed) {
            Stage::Connecting(socket) | Stage::Open(socket) | Stage::Farewell { socket, .. } => {
                cancelled(socket, io, id, now)
            }
            other @ (Stage::Closed | Stage::Cancelled { .. }) => other,
        };
    }

    /// Closes the socket, whatever is pending.
    pub(super) fn close<Port: CompletionPort<Socket = Socket>>(&mut self, port: &mut Port) {
        match std::mem::replace(&mut self.stage, Stage::Closed) {
            Stage::Connecting(socket)
            | Stage::Open(socket)
            | Stage::Farewell { socket, .. }
            | Stage::Cancelled { socket, .. } => port.close(socket),
            Stage::Closed => {}
        }
    }
}

/// The port, what its operations are fed from, and how many of them are out.
#[derive(Debug)]
pub(super) struct Io<Port> {
    pub(super) buffers: Buffers,
    /// Operations of any kind that have not come back.
    pub(super) outstanding: usize,
    /// Waits that succeeded.
    pub(super) waits: u64,
    pub(super) alarms: Alarms,
    /// How much is sent at once, in bytes.
    pub(super) largest_send: usize,
    /// Another send is started while those that are pending hold less, in bytes.
    pub(super) send_ahead: usize,
    pub(super) port: Port,
}

/// The part of an id that an operation carries.
pub(super) fn token(id: ConnectionId) -> Token {
    Token { slot: id.slot(), cookie: id.cookie() }
}
