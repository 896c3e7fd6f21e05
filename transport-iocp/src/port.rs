//! The seam between the portable driver and the system: a completion port.
//!
//! Submitting never fails on the spot. Every operation that was submitted comes back from [`CompletionPort::wait`]
//! exactly once, as a [`Completion`] that carries what it owned; one that could not be started comes back as a failed
//! one, from the next wait that succeeds. So the driver has a single path for every outcome and counts one in, one out.

use crate::error::SystemError;
use bytes::BytesMut;
use pulsewire_protocol::Transmit;
use pulsewire_socket::{Keepalive, ListenOptions};
use std::net::SocketAddr;
use std::num::NonZeroU64;
use std::task::Waker;
use std::time::Duration;

/// How many slices of a batch one send takes. What lies behind them is left for the next send.
pub(crate) const MAX_SLICES_PER_SEND: usize = 64;

/// Who an operation belongs to, chosen by the driver and given back unchanged.
///
/// The cookie is never used again (PW-CK-001), so a completion that arrives after its connection ended cannot be taken
/// for one of the connection that has the slot now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Token {
    /// Where the driver keeps the state that the operation belongs to.
    pub(crate) slot: u32,
    /// Which of all that ever lived in the slot it belongs to.
    pub(crate) cookie: NonZeroU64,
}

/// The two addresses of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Addresses {
    /// This side's.
    pub(crate) local: SocketAddr,
    /// The peer's.
    pub(crate) remote: SocketAddr,
}

/// Bytes to send, in pieces that stay where they are while nobody mutates or moves the batch.
///
/// # Safety
///
/// Each slice lies, until the batch is mutated, moved or dropped, at the same address, alive and unchanged: a system that was
/// told the addresses reads there later, when no reference exists any more.
#[expect(unsafe_code, reason = "what the system reads later is not what the compiler checks")]
pub(crate) unsafe trait GatherBuffer: 'static {
    /// The pieces, in the order in which they go out, without the empty ones.
    fn slices(&self) -> impl Iterator<Item = &[u8]>;
}

/// An operation that came back, with everything that it owned.
#[derive(Debug)]
pub(crate) enum Completion<Socket, Batch> {
    /// From [`CompletionPort::accept`]: a connection, or why there is none. The listener is as good as before.
    Accepted { token: Token, outcome: Result<(Socket, Addresses), SystemError> },
    /// From [`CompletionPort::connect`].
    Connected { token: Token, outcome: Result<Addresses, SystemError> },
    /// From [`CompletionPort::receive`]: how many bytes were appended to the buffer; 0 is the end of the peer's stream.
    Received { token: Token, buffer: BytesMut, outcome: Result<usize, SystemError> },
    /// From [`CompletionPort::await_readable`]: there are bytes to receive, or the end of the peer's stream.
    Readable { token: Token, outcome: Result<(), SystemError> },
    /// From [`CompletionPort::send`]: how many bytes of the batch the system took, from its front.
    Sent { token: Token, batch: Batch, outcome: Result<usize, SystemError> },
    /// A [`Waker`] was used since the last of these.
    Woken,
}

/// A queue of finished operations, and the verbs that start them.
///
/// One thread owns it. At most one receive may be pending on a socket. A send may follow others that are pending there, if it is known
/// that those were started and they have no more than [`MAX_SLICES_PER_SEND`] slices: it begins where they end.
pub(crate) trait CompletionPort {
    /// What a send owns while it is pending.
    type Batch: GatherBuffer;
    /// A listening socket. Dropping it stops listening, and its pending accepts come back cancelled.
    type Listener;
    /// A stream socket. Dropping it closes it: what is pending on it comes back, mostly cancelled, and the system's
    /// socket is closed once the last of that did. Drop all of them before the port.
    type Socket;

    /// The monotonic time since the port was made. The driver has no other clock, so that a port can make time virtual.
    fn now(&self) -> Duration;

    /// Listens on `address`, whose port may be 0, and tells the address that it became. Nobody else can then bind it.
    /// An IPv6 listener takes IPv6 connections only, unless the options say otherwise.
    ///
    /// # Errors
    ///
    /// What the system reports, for instance that the address is in use.
    fn listen(
        &mut self,
        address: SocketAddr,
        options: ListenOptions,
    ) -> Result<(Self::Listener, SocketAddr), SystemError>;

    /// Accepts one connection; comes back as [`Completion::Accepted`], with a socket that belongs to no port yet
    /// ([`adopt`](Self::adopt)). Several may be pending on a listener.
    fn accept(&mut self, listener: &Self::Listener, token: Token);

    /// Takes an accepted socket, for good: what is started on it is started here. To be done once, by whichever port shall have it, before
    /// anything else.
    ///
    /// # Errors
    ///
    /// What the system reports. Then nothing can be done with the socket but drop it.
    fn adopt(&mut self, socket: &Self::Socket) -> Result<(), SystemError>;

    /// Connects a new socket to `remote`; comes back as [`Completion::Connected`]. Until that succeeded the only thing
    /// to do with the socket is to drop it, which gives up.
    ///
    /// # Errors
    ///
    /// What the system reports when it has no socket to give. Then nothing was submitted and nothing comes back.
    fn connect(&mut self, remote: SocketAddr, token: Token) -> Result<Self::Socket, SystemError>;

    /// Receives at most `limit` bytes into the spare capacity of `buffer`, behind what it holds; comes back as
    /// [`Completion::Received`].
    ///
    /// # Panics
    ///
    /// If the buffer has no spare capacity or the limit is 0: the empty result would look like the end of the stream.
    fn receive(&mut self, socket: &Self::Socket, buffer: BytesMut, limit: usize, token: Token);

    /// Waits until there is something to receive, and takes nothing: a receive of no bytes, for which no memory is locked. Comes back
    /// as [`Completion::Readable`], and counts as the one receive that may be pending.
    fn await_readable(&mut self, socket: &Self::Socket, token: Token);

    /// Sends the first [`MAX_SLICES_PER_SEND`] slices of `batch`; comes back as [`Completion::Sent`], perhaps with
    /// fewer bytes than they hold, unless another send follows it.
    fn send(&mut self, socket: &Self::Socket, batch: Self::Batch, token: Token);

    /// Ends this side's stream behind what was sent. Receiving goes on.
    ///
    /// # Errors
    ///
    /// What the system reports, for instance that the connection is gone already.
    fn shut_down_send(&mut self, socket: &Self::Socket) -> Result<(), SystemError>;

    /// Asks for everything back that is pending on a socket: it comes, mostly cancelled. Nothing more may be started on it.
    fn cancel(&mut self, socket: &Self::Socket);

    /// Closes the system's socket at once, whatever is pending on it. That still comes back, if the system gives it back at
    /// all; until then it owns its memory.
    fn close(&mut self, socket: Self::Socket);

    /// [`cancel`](Self::cancel) for a listener.
    fn cancel_listener(&mut self, listener: &Self::Listener);

    /// [`close`](Self::close) for a listener.
    fn close_listener(&mut self, listener: Self::Listener);

    /// Does nothing for a while, because the system can't even [`wait`](Self::wait).
    fn rest(&mut self, duration: Duration);

    /// Whether small segments go out at once instead of waiting for acknowledgements (`TCP_NODELAY`).
    ///
    /// # Errors
    ///
    /// What the system reports.
    fn set_no_delay(&mut self, socket: &Self::Socket, no_delay: bool) -> Result<(), SystemError>;

    /// How many sent bytes the system may hold (`SO_SNDBUF`).
    ///
    /// # Errors
    ///
    /// What the system reports.
    fn set_send_buffer(&mut self, socket: &Self::Socket, bytes: u32) -> Result<(), SystemError>;

    /// Turns on the system's keepalive, on a connection that was accepted or is connected.
    ///
    /// # Errors
    ///
    /// As for the public function of the same name.
    fn set_keepalive(&mut self, socket: &Self::Socket, keepalive: Keepalive) -> Result<(), SystemError>;

    /// From now on what is done at once on this socket does not go through the queue of the port: it comes from
    /// [`take_done`](Self::take_done). To be asked on a connection on which nothing was started yet. Returns whether it is so: a
    /// provider that is layered above the system's may not offer it, and then nothing changes.
    fn skip_on_success(&mut self, socket: &Self::Socket) -> bool;

    /// Appends what has come back without the queue of the port: was done at once, or could not be started. What is not taken
    /// comes from the next wait.
    fn take_done(&mut self, completions: &mut Vec<Completion<Self::Socket, Self::Batch>>);

    /// Waits until operations have come back, a waker was used or `timeout` has passed (`None`: however long it takes),
    /// and appends what came back to `completions`. It may append nothing before the time is over.
    ///
    /// # Errors
    ///
    /// What the system reports; if it is no [shortage](SystemError::is_shortage), the port itself is unusable.
    fn wait(
        &mut self,
        timeout: Option<Duration>,
        completions: &mut Vec<Completion<Self::Socket, Self::Batch>>,
    ) -> Result<(), SystemError>;

    /// A handle with which any thread makes [`wait`](Self::wait) return [`Completion::Woken`]. Wakes that come before
    /// the first of them was seen are joined into one. It outlives the port, and then does nothing.
    fn waker(&self) -> Waker;
}

#[expect(unsafe_code, reason = "a promise about addresses; nothing is done with them here")]
// SAFETY: a batch lends pieces of buffers on the heap, which nothing changes while it is only borrowed, and of payloads, which
// are shared and never written.
unsafe impl GatherBuffer for Transmit {
    fn slices(&self) -> impl Iterator<Item = &[u8]> {
        Self::slices(self)
    }
}
