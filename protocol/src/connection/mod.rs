//! One peer: the machine that turns received bytes into events, and messages into bytes to write.

mod admission;
mod announcements;
mod batch;
mod class_counts;
mod close;
mod demands;
mod drain;
mod ending;
mod outgoing;
mod pause;
mod prepared;
mod rare;
mod receive;
mod reconfigure;
mod rejects;
mod state;
#[cfg(test)]
mod state_table;
mod timers;
mod transmit;
mod write_clock;

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use core::num::NonZeroU64;
use core::time::Duration;

use class_counts::ClassCounts;
pub use demands::PeerLimits;
use ending::Ending;
pub use ending::Shutdown;
use outgoing::{Outgoing, Progress};
pub use prepared::PreparedMessage;
use rare::Rare;
pub use state::Role;
use state::State;
pub use transmit::Transmit;
use write_clock::WriteClock;

use crate::close::Closed;
use crate::config::{Seed, ValidConfig};
use crate::error::{SendError, SendRefused};
use crate::event::{Established, Event};
use crate::framer::{Fragments, Framer};
use crate::heartbeat::{Heartbeat, Notice};
use crate::message::Message;
use crate::statistics::Statistics;
use crate::time::{Instant, MaybeInstant, transfer};
use crate::wire::{Class, CloseReason, Kind};

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
/// **Out**: the events that `receive` gives, with or without input; [`poll_transmit`](Self::poll_transmit),
/// [`shutdown`](Self::shutdown), [`poll_timeout`](Self::poll_timeout). [`poll_event`](Self::poll_event) gives the events that wait
/// where there is no input.
///
/// Each call of the first two groups is told the time; a moment before the latest that was seen counts as that (PW-TIM-002).
///
/// After any call of the first two groups, ask for all of the third. Calls in another order, or too many of them, do no harm.
pub struct Connection {
    config: ValidConfig,
    role: Role,
    state: State,
    /// Since when the state waits: for the peer's first packet; for the answer to CLOSE, since that was handed out, or a byte up
    /// to its end last acknowledged (PW-CLS-007); over, for the end of the stream, since that, or since a byte was last acknowledged.
    since: MaybeInstant,
    framer: Framer,
    fragments: Fragments,
    outgoing: Outgoing,
    /// Made when the handshake told the peer's ping floor.
    heartbeat: Option<Heartbeat>,
    /// Messages received whole.
    received: u64,
    /// The same by class, refused ones with them (PW-REJ-002).
    received_by_class: ClassCounts,
    bytes_received: u64,
    pongs_received: u32,
    pings_received: u32,
    /// Bytes that may wait to be sent, by what all connections of a table hold together; the largest number where that is more.
    queue_ceiling: u32,
    /// DRAIN came.
    peer_drained: bool,
    write_clock: WriteClock,
    ending: Ending,
    /// The limits that began anew once, because this side was late (PW-TIM-001).
    graced: Graced,
    /// The latest moment that was seen: time that goes back stands still (PW-TIM-002).
    now: Instant,
    rare: Option<Box<Rare>>,
    /// When bytes last came that were not a message at once, if any did.
    last_byte_in: MaybeInstant,
    /// What the application is to be told of time and commands.
    waiting: Option<Box<Waiting>>,
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
            state: State::Handshake { seed: Box::new(seed) },
            since: MaybeInstant::some(now),
            framer: Framer::new(),
            fragments: Fragments::default(),
            outgoing: Outgoing::new(),
            heartbeat: None,
            received: 0,
            received_by_class: ClassCounts::default(),
            bytes_received: 0,
            pongs_received: 0,
            pings_received: 0,
            queue_ceiling: u32::MAX,
            peer_drained: false,
            write_clock: WriteClock::new(),
            ending: Ending::default(),
            graced: Graced::default(),
            now,
            rare: None,
            last_byte_in: MaybeInstant::NONE,
            waiting: None,
            reason: None,
        }
    }

    /// Accepts a message for sending (section 6 of the specification).
    ///
    /// A small payload is copied; a large one is copied only where it is borrowed. `Ok` means accepted, not delivered: what
    /// was never handed out comes back in [`Closed::unsent`]. It gives the number of the message among those of its class, from 1,
    /// by which the peer names it should it refuse it ([`Rejected`](crate::Rejected)).
    ///
    /// # Errors
    /// The reason and the message itself; nothing has changed.
    #[inline]
    pub fn send<'p>(&mut self, now: Instant, message: Message<'p>) -> Result<NonZeroU64, SendError<'p>> {
        self.tick(now);
        match self.send_small(message.class, message.encrypted, &message.payload) {
            Some(ordinal) => Ok(ordinal),
            None => self.send_any(message),
        }
    }

    /// The way of nearly every message: small, and copied into a batch that has room. Gives its number if it went; whatever is
    /// unusual is left to [`send_any`](Self::send_any), which judges everything.
    ///
    /// Its arguments fit in registers, which the message itself does not: that halves the time.
    fn send_small(&mut self, class: Class, encrypted: bool, payload: &[u8]) -> Option<NonZeroU64> {
        if !matches!(self.state, State::Open) || class.is_reserved() {
            return None;
        }
        // The peer's message limit is never below its frame limit (PW-HS-010), which is kept there. A batch never has more room
        // than may wait.
        self.outgoing.append(class, encrypted, payload)
    }

    #[inline(never)]
    fn send_any<'p>(&mut self, message: Message<'p>) -> Result<NonZeroU64, SendError<'p>> {
        match self.refusal(message.class, message.payload.len()) {
            None => Ok(numbered(self.outgoing.push(message, self.ceiling()))),
            Some(reason) => {
                self.note_refusal(message.class, reason);
                Err(SendError { reason, message })
            }
        }
    }

    /// As [`send`](Self::send), for a message that goes to many.
    ///
    /// # Errors
    /// The reason; nothing has changed.
    pub fn send_prepared(&mut self, now: Instant, prepared: &PreparedMessage) -> Result<NonZeroU64, SendRefused> {
        self.tick(now);
        let Message { class, payload, .. } = prepared.message();
        match self.refusal(*class, payload.len()) {
            None => Ok(numbered(self.outgoing.push_prepared(prepared, self.ceiling()))),
            Some(reason) => {
                self.note_refusal(*class, reason);
                Err(reason)
            }
        }
    }

    /// Where the class itself is full, the application is told when it is not any more.
    fn note_refusal(&mut self, class: Class, reason: SendRefused) {
        if reason == SendRefused::Full && self.outgoing.queued_of(class) > 0 {
            self.outgoing.note_full(class);
        }
    }

    /// Bytes of one class that may wait to be sent.
    fn ceiling(&self) -> usize {
        self.config.limits.send_queue.min(self.queue_ceiling())
    }

    fn queue_ceiling(&self) -> usize {
        if self.queue_ceiling == u32::MAX { usize::MAX } else { self.queue_ceiling as usize }
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
        let limit = self.outgoing.encoding.message_limit;
        if size > limit as usize {
            return Some(SendRefused::TooLarge { limit });
        }
        // A class that is full holds up no other (PW-DAT-015).
        let queued = self.outgoing.queued_of(class);
        let full = queued > 0 && queued.saturating_add(size) > self.config.limits.send_queue;
        if full || self.outgoing.queued().saturating_add(size) > self.queue_ceiling() {
            return Some(SendRefused::Full);
        }
        None
    }

    /// Fills `out` with what is to be written now: all control packets that wait, and whole packets of messages until no other
    /// fits in `max` bytes. Returns whether it did. A batch that still holds bytes is left as it is.
    ///
    /// At least one packet goes out, whatever `max`; one of less than 528 bytes hands out packets one by one, and a larger one is
    /// exceeded by control packets alone. A small `max` keeps PING and PONG near the front: they overtake what is queued here,
    /// not what was handed out. 64 KiB to 256 KiB are good values.
    pub fn poll_transmit(&mut self, now: Instant, max: usize, out: &mut Transmit) -> bool {
        if !out.is_empty() {
            return false;
        }
        let now = self.tick(now);
        if self.is_paused() && matches!(self.state, State::Closing { .. } | State::BothClosing { .. }) {
            self.resume(now);
        }
        let before = self.outgoing.handed();
        let handed = self.outgoing.poll(max, self.received, out);
        if handed.any {
            let (end, waiting) = (self.outgoing.handed(), self.outgoing.unacknowledged());
            let peer_pauses = self.heartbeat.as_ref().and_then(Heartbeat::spared_until);
            self.write_clock.handed_out(now, before, end, waiting, peer_pauses, &self.config);
            if handed.ping
                && let Some(heartbeat) = &mut self.heartbeat
            {
                let told = self.outgoing.is_told();
                heartbeat.handed_out(now, transfer(waiting, self.config.timeouts.assembly_rate), told);
            }
        }
        self.note_handed_out();
        self.note_room();
        // The wait for the answer begins (PW-CLS-007).
        if handed.close && self.state.said().is_some() {
            self.since = MaybeInstant::some(now);
        }
        handed.any
    }

    /// Whether [`poll_transmit`](Self::poll_transmit) would give anything.
    #[must_use]
    pub fn has_transmit(&self) -> bool {
        self.outgoing.has_more()
    }

    /// The transport took this many bytes of `batch`, which [`poll_transmit`](Self::poll_transmit) of this connection filled: they
    /// leave its front. Returns whether it took all of it, so that the batch can be filled again; then it holds on to no payload
    /// any more.
    ///
    /// Where the transport can't tell what the peer's host [acknowledged](Self::acknowledged), probes and stalls are timed from
    /// here (PW-HB-010): report each write when it happens.
    ///
    /// # Panics
    /// If the batch does not hold so many bytes.
    pub fn transmitted(&mut self, now: Instant, batch: &mut Transmit, bytes: usize) -> bool {
        let now = self.tick(now);
        let whole = batch.advance(bytes);
        let progress = self.outgoing.taken(now, bytes);
        self.note_taken();
        self.note_progress(now, progress);
        whole
    }

    /// The peer's host has acknowledged this many of the bytes that the transport took, counted from the beginning of the
    /// connection: what was [taken](crate::Statistics::bytes_taken) less what the system still holds, as SIOCOUTQ tells on
    /// Linux. So a link that is slow is told from one that is dead (PW-TCP-005).
    ///
    /// Report 0 before anything is written, and from then on what the system tells before each
    /// [`handle_timeout`](Self::handle_timeout); [`poll_timeout`](Self::poll_timeout) sees to it that this is often enough. A
    /// transport that can't tell never calls it.
    pub fn acknowledged(&mut self, now: Instant, bytes: u64) {
        let now = self.tick(now);
        let progress = self.outgoing.acknowledge(bytes);
        self.note_progress(now, progress);
    }

    fn rare(&mut self) -> &mut Rare {
        self.rare.get_or_insert_default()
    }

    fn note_progress(&mut self, now: Instant, progress: Progress) {
        if progress.any {
            let (acknowledged, waiting) = (self.outgoing.acknowledged_bytes(), self.outgoing.unacknowledged());
            self.write_clock.acknowledged(now, acknowledged, waiting, self.config.heartbeat.busy_max);
            if self.state.is_over() {
                self.since = MaybeInstant::some(now);
            }
            self.graced.linger = false;
        }
        if progress.close && self.state.said().is_some() && self.since.is_some() {
            self.since = MaybeInstant::some(now);
        }
        if let Some(heartbeat) = &mut self.heartbeat {
            if progress.ping_departed {
                heartbeat.departed(now);
            }
            if progress.ping_acknowledged {
                heartbeat.acknowledged(now, &self.config.heartbeat);
            } else if progress.any {
                heartbeat.progress();
            }
        }
        if progress.close_ack {
            self.finish_peer_close();
        }
    }

    /// The latest moment that was seen.
    #[inline]
    fn tick(&mut self, now: Instant) -> Instant {
        self.now = self.now.max(now);
        self.now
    }

    /// An event that waits: as [`receive`](Self::receive), which gives it too, but without input, so that it can't fail. For a
    /// driver that has only let time pass, or made a command, or that does not read while it pauses. Poll until `None`.
    pub fn poll_event(&mut self) -> Option<Event<'static>> {
        let event = self.next_waiting();
        // Nothing waits any more: the way of nearly every message is open again.
        self.waiting.take_if(|waiting| waiting.is_empty());
        event
    }

    fn next_waiting(&mut self) -> Option<Event<'static>> {
        if let Some(established) = self.waiting.as_mut().and_then(|waiting| waiting.established.take()) {
            return Some(Event::Established(established));
        }
        match self.heartbeat.as_mut().and_then(Heartbeat::take_notice) {
            Some(Notice::Suspect(suspect)) => return Some(Event::Suspect(suspect)),
            Some(Notice::Recovered(recovered)) => return Some(Event::Recovered(recovered)),
            None => {}
        }
        let waiting = self.waiting.as_mut()?;
        waiting.others.pop_front().or_else(|| waiting.closed.take().map(Event::Closed))
    }

    /// Whether [`poll_event`](Self::poll_event) would give anything.
    fn has_event(&self) -> bool {
        self.waiting.is_some() || self.heartbeat.as_ref().is_some_and(Heartbeat::has_notice)
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

    /// Whether the connection is over. What [`poll_transmit`](Self::poll_transmit) still gives is its last word; see
    /// [`shutdown`](Self::shutdown).
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
        self.receiving() + self.outgoing.buffered()
    }

    /// The part of [`buffered`](Self::buffered) that the peer caused.
    pub(crate) fn receiving(&self) -> usize {
        let refusals = self.outgoing.rejects_buffered() + self.received_by_class.buffered();
        self.framer.buffered() + self.fragments.buffered() + self.state.buffered() + refusals
    }

    /// When the message began that the peer has open.
    pub(crate) fn open_since(&self) -> Option<Instant> {
        self.fragments.open_since().map(|(since, _)| since)
    }

    /// Whether the handshake is not complete.
    pub(crate) fn is_handshaking(&self) -> bool {
        self.state.is_handshaking()
    }

    /// Accepts at most this many bytes more than what waits now.
    pub(crate) fn limit_queue(&mut self, room: usize) {
        self.queue_ceiling = u32::try_from(self.outgoing.queued().saturating_add(room)).unwrap_or(u32::MAX);
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
        let rare = |count: fn(&Rare) -> u64| self.rare.as_deref().map_or(0, count);
        Statistics {
            messages_received: self.received,
            messages_sent: self.outgoing.accepted(),
            messages_handed_out: self.outgoing.messages().completed,
            messages_refused: rare(|rare| rare.messages_refused),
            messages_rejected: rare(|rare| rare.messages_rejected),
            bytes_received: self.bytes_received,
            bytes_handed_out: self.outgoing.handed(),
            bytes_taken: self.outgoing.taken_bytes(),
            bytes_acknowledged: self.outgoing.acknowledged_bytes(),
            gaps: rare(|rare| rare.gaps),
            bytes_skipped: rare(|rare| rare.bytes_skipped),
            pings_sent: self.outgoing.pings(),
            pongs_received: self.pongs_received.into(),
            pings_received: self.pings_received.into(),
            pauses: rare(|rare| rare.pauses),
            peer_pauses: rare(|rare| rare.peer_pauses),
            rtt: heartbeat.and_then(Heartbeat::rtt),
            queued: self.outgoing.queued(),
            untaken: self.outgoing.untaken(),
        }
    }
}

/// Every accepted message has a number.
fn numbered(ordinal: Option<NonZeroU64>) -> NonZeroU64 {
    ordinal.unwrap_or(NonZeroU64::MIN)
}

/// Events that wait for the driver beside those of the heartbeat.
#[derive(Default)]
struct Waiting {
    established: Option<Box<Established>>,
    /// In their order.
    others: VecDeque<Event<'static>>,
    closed: Option<Box<Closed>>,
}

impl Waiting {
    fn is_empty(&self) -> bool {
        self.established.is_none() && self.others.is_empty() && self.closed.is_none()
    }
}

/// Which limits began anew once, because this side was late (PW-TIM-001).
#[derive(Debug, Clone, Copy, Default)]
struct Graced {
    handshake: bool,
    close: bool,
    linger: bool,
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
