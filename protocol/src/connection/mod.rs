//! One peer: the machine that turns received bytes into events, and messages into bytes to write.

mod admission;
mod announcements;
mod batch;
mod close;
mod drain;
mod outgoing;
mod pause;
mod prepared;
mod receive;
mod rejects;
mod state;
#[cfg(test)]
mod state_table;
mod timers;
mod transmit;
mod write_deadline;

use alloc::boxed::Box;
use core::time::Duration;

use outgoing::Outgoing;
use pause::Pause;
pub use prepared::PreparedMessage;
use rejects::Ordinals;
pub use state::Role;
use state::State;
pub use transmit::Transmit;
use write_deadline::WriteDeadlines;

use crate::close::{CloseReason, Closed};
use crate::config::{Seed, ValidConfig};
use crate::error::{SendError, SendRefused};
use crate::event::{Established, Event};
use crate::framer::{Fragments, Framer};
use crate::heartbeat::{Heartbeat, Notice};
use crate::message::Message;
use crate::statistics::{Counters, Statistics};
use crate::time::Instant;
use crate::wire::{Class, Kind};

/// The version that this crate speaks.
const VERSION: u8 = 1;

/// One end of one connection, without any I/O.
///
/// The driver (a transport, or your own loop) moves bytes and time; see the run loop in the [crate's documentation](crate).
///
/// **In**: [`receive`](Self::receive), [`direct_buffer`](Self::direct_buffer) and
/// [`received_direct`](Self::received_direct), [`transmitted`](Self::transmitted),
/// [`handle_timeout`](Self::handle_timeout), [`disconnected`](Self::disconnected).
/// **Commands**: [`send`](Self::send), [`accept`](Self::accept) and [`refuse`](Self::refuse), [`pause`](Self::pause) and
/// [`resume`](Self::resume), [`drain`](Self::drain), [`close`](Self::close), [`abort`](Self::abort).
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
    /// Messages received whole.
    received: u64,
    /// Bytes that may wait to be sent, by what all connections of a table hold together.
    queue_ceiling: usize,
    ordinals: Ordinals,
    /// DRAIN came.
    peer_drained: bool,
    pause: Option<Pause>,
    write_deadlines: WriteDeadlines,
    counters: Counters,
    /// When bytes last came that were not a message at once.
    last_byte_in: Instant,
    established: Option<Box<Established>>,
    closed: Option<Box<Closed>>,
    reason: Option<CloseReason>,
}

impl Connection {
    /// The side that opened the connection below. HELLO waits to be transmitted (PW-HS-001).
    #[must_use]
    pub fn client(now: Instant, config: &ValidConfig, seed: Seed) -> Self {
        let mut connection = Self::new(now, config, seed, Role::Client);
        let hello = connection.hello(seed, VERSION, VERSION, config.token.clone());
        connection.outgoing.greet(Kind::HELLO, hello);
        connection
    }

    /// The side that accepted the connection below. It waits for HELLO, and says nothing before, unless it gives up
    /// (PW-HS-001).
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
            queue_ceiling: usize::MAX,
            ordinals: Ordinals::default(),
            peer_drained: false,
            pause: None,
            write_deadlines: WriteDeadlines::default(),
            counters: Counters::default(),
            last_byte_in: now,
            established: None,
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
        if self.send_small(message.class, message.encrypted, &message.payload) {
            return Ok(());
        }
        self.send_any(message)
    }

    /// The way of nearly every message: small, and copied into a batch that has room. Says whether it went; whatever is
    /// unusual is left to [`send_any`](Self::send_any), which judges everything.
    ///
    /// Its arguments fit in registers, which the message itself does not: that halves the time.
    fn send_small(&mut self, class: Class, encrypted: bool, payload: &[u8]) -> bool {
        if !matches!(self.state, State::Open) || class.is_reserved() {
            return false;
        }
        // The peer's message limit is never below its frame limit (PW-HS-010), which is kept there. A batch never has more room
        // than may wait.
        self.outgoing.append(class, encrypted, payload)
    }

    #[inline(never)]
    fn send_any<'p>(&mut self, message: Message<'p>) -> Result<(), SendError<'p>> {
        match self.refusal(message.class, message.payload.len()) {
            None => {
                self.outgoing.message(message, self.ceiling());
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
                self.outgoing.prepared(prepared, self.ceiling());
                Ok(())
            }
            Some(reason) => Err(reason),
        }
    }

    /// Bytes that may wait to be sent.
    fn ceiling(&self) -> usize {
        self.config.limits.send_queue.min(self.queue_ceiling)
    }

    /// Why a message may not be sent: this side closes (PW-CLS-002), the peer would refuse it (PW-DAT-009, PW-HDR-011), or
    /// there is no room.
    fn refusal(&self, class: Class, size: usize) -> Option<SendRefused> {
        match &self.state {
            State::Open => {}
            State::Handshake { .. } | State::Judging { .. } => return Some(SendRefused::NotEstablished),
            State::Closing { .. } | State::PeerClosing { .. } | State::BothClosing { .. } | State::Over => {
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
        if self.is_paused() && matches!(self.state, State::Closing { .. } | State::BothClosing { .. }) {
            self.resume(now);
        }
        let handed = self.outgoing.poll(now, max, self.received, out);
        if handed.any {
            let (end, waiting) = (self.outgoing.handed(), self.outgoing.untaken());
            self.write_deadlines.given(now, end, waiting, &self.config.timeouts);
        }
        // The time for the answer begins (PW-CLS-007).
        if handed.close
            && let State::Closing { deadline, .. } | State::BothClosing { deadline, .. } = &mut self.state
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
        self.write_deadlines.taken(self.outgoing.taken_bytes());
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
        if let Some(established) = self.established.take() {
            return Some(Event::Established(established));
        }
        match self.heartbeat.as_mut().and_then(Heartbeat::take_notice) {
            Some(Notice::Suspect(suspect)) => Some(Event::Suspect(suspect)),
            Some(Notice::Recovered(recovered)) => Some(Event::Recovered(recovered)),
            None => self.closed.take().map(Event::Closed),
        }
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
    /// made ahead of them included; for a HELLO that is being judged; for refusals that wait to be told; and for what was
    /// accepted and not yet handed out.
    #[must_use]
    pub fn buffered(&self) -> usize {
        self.receiving() + self.outgoing.queued()
    }

    /// The part of [`buffered`](Self::buffered) that the peer caused.
    pub(crate) fn receiving(&self) -> usize {
        self.framer.buffered() + self.fragments.buffered() + self.state.buffered() + self.outgoing.rejects_buffered()
    }

    /// Whether the handshake is not complete.
    pub(crate) fn is_handshaking(&self) -> bool {
        self.state.handshake().is_some()
    }

    /// Accepts at most this many bytes more than what waits now.
    pub(crate) fn limit_queue(&mut self, room: usize) {
        self.queue_ceiling = self.outgoing.queued().saturating_add(room);
        self.outgoing.limit_room(room);
    }

    /// Messages received whole.
    #[must_use]
    pub fn messages_received(&self) -> u64 {
        self.received
    }

    /// Messages accepted for sending.
    #[must_use]
    pub fn messages_sent(&self) -> u64 {
        self.outgoing.accepted()
    }

    /// The smoothed round-trip time, once a PING was answered.
    #[must_use]
    pub fn rtt(&self) -> Option<Duration> {
        Some(self.heartbeat.as_ref()?.rtt()?.smoothed)
    }

    /// What the connection has done so far, in numbers. Also when it is over.
    #[must_use]
    pub fn statistics(&self) -> Statistics {
        let heartbeat = self.heartbeat.as_ref();
        let Counters { bytes_received, gaps, bytes_skipped, pongs_received, pings_received, pauses, .. } =
            self.counters;
        Statistics {
            messages_received: self.received,
            messages_sent: self.outgoing.accepted(),
            messages_handed_out: self.outgoing.messages().completed,
            messages_refused: self.counters.messages_refused,
            messages_rejected: self.counters.messages_rejected,
            bytes_received,
            bytes_handed_out: self.outgoing.handed(),
            bytes_sent: self.outgoing.taken_bytes(),
            gaps,
            bytes_skipped,
            pings_sent: self.outgoing.pings(),
            pongs_received,
            pings_received,
            pauses,
            peer_pauses: heartbeat.map_or(0, Heartbeat::pauses),
            rtt: heartbeat.and_then(Heartbeat::rtt),
            queued: self.outgoing.queued(),
            untaken: self.outgoing.untaken(),
        }
    }
}

impl core::fmt::Debug for Connection {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Connection")
            .field("role", &self.role)
            .field("state", &self.state)
            .field("received", &self.received)
            .field("sent", &self.outgoing.accepted())
            .finish_non_exhaustive()
    }
}
