//! One peer: the machine that turns received bytes into events, and messages into bytes to write.

mod close;
mod outgoing;
mod prepared;
mod receive;
mod state;
mod timers;
mod transmit;

use core::time::Duration;

use outgoing::Outgoing;
pub use prepared::PreparedMessage;
pub use state::Role;
use state::State;
pub use transmit::Transmit;

use crate::close::{CloseReason, Closed};
use crate::config::{Seed, ValidConfig};
use crate::error::{SendError, SendRefused};
use crate::event::Event;
use crate::framer::{Fragments, Framer};
use crate::heartbeat::Heartbeat;
use crate::message::Message;
use crate::time::Instant;
use crate::wire::{Class, Hello, Kind};

/// One end of one connection, without any I/O.
///
/// The driver (a transport, or your own loop) moves bytes and time; see the run loop in the [crate's documentation](crate).
///
/// **In**: [`receive`](Self::receive), [`direct_buffer`](Self::direct_buffer) and
/// [`received_direct`](Self::received_direct), [`transmitted`](Self::transmitted),
/// [`handle_timeout`](Self::handle_timeout), [`disconnected`](Self::disconnected).
/// **Commands**: [`send`](Self::send), [`close`](Self::close), [`abort`](Self::abort).
/// **Out**: the events that `receive` gives, [`poll_event`](Self::poll_event), [`poll_transmit`](Self::poll_transmit),
/// [`poll_timeout`](Self::poll_timeout).
///
/// After any call of the first two groups, poll all of the third. Calls in another order, or too many of them, do no harm.
pub struct Connection {
    config: ValidConfig,
    role: Role,
    state: State,
    framer: Framer,
    fragments: Fragments,
    outgoing: Outgoing,
    /// Made when the handshake told the peer's ping floor.
    heartbeat: Option<Heartbeat>,
    /// Messages received whole, and accepted for sending.
    received: u64,
    sent: u64,
    /// Bytes that may wait to be sent, by what all connections of a table hold together.
    queue_ceiling: usize,
    closed: Option<alloc::boxed::Box<Closed>>,
    reason: Option<CloseReason>,
}

impl Connection {
    /// The side that opened the connection below. HELLO waits to be transmitted.
    #[must_use]
    pub fn client(now: Instant, config: &ValidConfig, seed: Seed) -> Self {
        let mut connection = Self::new(now, config, seed, Role::Client);
        let hello = connection.hello(seed, 1, 1, config.token.clone());
        connection.outgoing.greet(Kind::HELLO, hello);
        connection
    }

    /// The side that accepted the connection below. It waits for HELLO.
    #[must_use]
    pub fn server(now: Instant, config: &ValidConfig, seed: Seed) -> Self {
        Self::new(now, config, seed, Role::Server)
    }

    fn new(now: Instant, config: &ValidConfig, seed: Seed, role: Role) -> Self {
        Self {
            config: config.clone(),
            role,
            state: State::Handshake { deadline: now + config.timeouts.handshake, seed },
            framer: Framer::new(),
            fragments: Fragments::default(),
            outgoing: Outgoing::new(),
            heartbeat: None,
            received: 0,
            sent: 0,
            queue_ceiling: usize::MAX,
            closed: None,
            reason: None,
        }
    }

    /// Accepts a message for sending (section 6 of the specification).
    ///
    /// A small payload is copied; a large one is copied only where it is borrowed. `Ok` means queued, not delivered: what
    /// never reached the driver comes back in [`Closed::unsent`].
    ///
    /// # Errors
    /// The reason and the message itself; nothing has changed.
    #[inline]
    pub fn send<'p>(&mut self, message: Message<'p>) -> Result<(), SendError<'p>> {
        match self.refusal(message.class, message.payload.len()) {
            None => {
                self.sent += 1;
                self.outgoing.message(message);
                Ok(())
            }
            Some(reason) => Err(SendError { reason, message }),
        }
    }

    /// As [`send`](Self::send), for a message that goes to many.
    ///
    /// # Errors
    /// The reason; nothing has changed.
    pub fn send_prepared(&mut self, prepared: &PreparedMessage) -> Result<(), SendRefused> {
        let Message { class, payload, .. } = prepared.message();
        match self.refusal(*class, payload.len()) {
            None => {
                self.sent += 1;
                self.outgoing.prepared(prepared);
                Ok(())
            }
            Some(reason) => Err(reason),
        }
    }

    fn refusal(&self, class: Class, size: usize) -> Option<SendRefused> {
        match &self.state {
            State::Open => {}
            State::Handshake { .. } => return Some(SendRefused::NotEstablished),
            State::Closing { .. } | State::PeerClosing(_) | State::Over => {
                return Some(SendRefused::Closed(self.reason.unwrap_or(CloseReason::NORMAL)));
            }
        }
        if class.is_reserved() {
            return Some(SendRefused::ReservedClass);
        }
        let limit = self.outgoing.message_limit;
        if size > limit as usize {
            return Some(SendRefused::TooLarge { limit });
        }
        let queued = self.outgoing.queued();
        let full = queued.saturating_add(size);
        if (queued > 0 && full > self.config.limits.send_queue) || full > self.queue_ceiling {
            return Some(SendRefused::Full);
        }
        None
    }

    /// Fills `out` with what is to be written now: whole packets, about `max` bytes of them (a batch of small packets or a
    /// frame may overshoot it). Says whether there is anything.
    ///
    /// Call it again only when `out` was written; what is still in it is lost. A small `max` keeps PING and PONG near the
    /// front: they overtake what is queued here, not what was handed out. 64 KiB to 256 KiB are good values.
    pub fn poll_transmit(&mut self, now: Instant, max: usize, out: &mut Transmit) -> bool {
        let handed = self.outgoing.poll(now, max, self.received, out);
        if handed.close
            && let State::Closing { deadline, .. } = &mut self.state
        {
            *deadline = Some(now + self.config.timeouts.close);
        }
        handed.any
    }

    /// Whether [`poll_transmit`](Self::poll_transmit) would give anything.
    #[must_use]
    pub fn has_transmit(&self) -> bool {
        self.outgoing.has_more()
    }

    /// The transport took this many bytes of what [`poll_transmit`](Self::poll_transmit) gave. Probes and stalls are timed
    /// from here (PW-HB-010), so report each write when it happens.
    pub fn transmitted(&mut self, now: Instant, bytes: usize) {
        let taken = self.outgoing.taken(now, bytes);
        if let Some(heartbeat) = &mut self.heartbeat {
            if taken.ping {
                heartbeat.flushed(now);
            } else if bytes > 0 {
                heartbeat.progress();
            }
        }
        if taken.close_ack {
            self.finish_peer_close();
        }
    }

    /// An event that came from time or a command, not from bytes. Poll until `None`.
    pub fn poll_event(&mut self) -> Option<Event<'static>> {
        self.closed.take().map(Event::Closed)
    }

    /// Which side this is.
    #[must_use]
    pub fn role(&self) -> Role {
        self.role
    }

    /// Whether messages can be sent.
    #[must_use]
    pub fn is_open(&self) -> bool {
        matches!(self.state, State::Open)
    }

    /// Whether the connection is over. What [`poll_transmit`](Self::poll_transmit) still gives is its last word; how long
    /// that may take to be written is for the driver to bound.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.state.is_over()
    }

    /// Bytes accepted and not yet handed out.
    #[must_use]
    pub fn queued(&self) -> usize {
        self.outgoing.queued()
    }

    /// Bytes of memory that this connection holds: for the packet and the message that are only partly received, room that was
    /// made ahead of them included, and for what was accepted and not yet handed out.
    #[must_use]
    pub fn buffered(&self) -> usize {
        self.receiving() + self.outgoing.queued()
    }

    /// The received part of [`buffered`](Self::buffered).
    pub(crate) fn receiving(&self) -> usize {
        self.framer.buffered() + self.fragments.buffered()
    }

    /// Whether the peer's first packet has not come.
    pub(crate) fn is_handshaking(&self) -> bool {
        matches!(self.state, State::Handshake { .. })
    }

    /// Accepts at most this many bytes more than what waits now.
    pub(crate) fn limit_queue(&mut self, room: usize) {
        self.queue_ceiling = self.outgoing.queued().saturating_add(room);
    }

    /// Messages received whole.
    #[must_use]
    pub fn messages_received(&self) -> u64 {
        self.received
    }

    /// Messages accepted for sending.
    #[must_use]
    pub fn messages_sent(&self) -> u64 {
        self.sent
    }

    /// The smoothed round-trip time, once a PING was answered.
    #[must_use]
    pub fn rtt(&self) -> Option<Duration> {
        self.heartbeat.as_ref()?.rtt()
    }

    fn hello(&self, seed: Seed, version_lowest: u8, version_highest: u8, token: Option<bytes::Bytes>) -> Hello {
        Hello {
            version_lowest,
            version_highest,
            sync_key: seed.sync_key,
            frame_limit: self.config.limits.frame,
            message_limit: self.config.limits.message,
            ping_floor: self.config.heartbeat.ping_floor,
            resync: self.config.damage == crate::config::Damage::Resynchronise,
            token,
        }
    }
}

impl core::fmt::Debug for Connection {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Connection")
            .field("role", &self.role)
            .field("state", &self.state)
            .field("received", &self.received)
            .field("sent", &self.sent)
            .finish_non_exhaustive()
    }
}
