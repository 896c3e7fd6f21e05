//! One peer: the machine that turns received bytes into events, and messages into bytes to write.

mod admission;
mod announcements;
mod batch;
mod class_counts;
mod close;
mod demands;
mod drain;
mod ending;
mod events;
mod outgoing;
mod pause;
mod prepared;
mod rare;
mod receive;
mod reconfigure;
mod rejects;
mod sending;
mod state;
#[cfg(test)]
mod state_table;
mod timers;
mod transmit;
mod write_clock;
mod writing;

use alloc::boxed::Box;
use core::time::Duration;

use class_counts::ClassCounts;
pub use demands::PeerLimits;
use ending::Ending;
pub use ending::Shutdown;
use events::Waiting;
use outgoing::Outgoing;
pub use prepared::PreparedMessage;
use rare::Rare;
pub use state::Role;
use state::State;
pub use transmit::Transmit;
use write_clock::WriteClock;

use crate::close::Ended;
use crate::config::{Seed, ValidConfig};
use crate::framer::{Fragments, Framer};
use crate::heartbeat::Heartbeat;
use crate::statistics::Statistics;
use crate::time::{Instant, MaybeInstant};
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
    /// How often it was asked, in the limit that runs, what was acknowledged.
    looks: u8,
    /// The limits that began anew once, because this side was late (PW-TIM-001).
    graced: Graced,
    /// The latest moment that was seen: time that goes back stands still (PW-TIM-002).
    now: Instant,
    rare: Option<Box<Rare>>,
    /// Bytes that were left in the driver's buffer.
    held: u16,
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
            looks: 0,
            graced: Graced::default(),
            now,
            rare: None,
            held: 0,
            last_byte_in: MaybeInstant::NONE,
            waiting: None,
            reason: None,
        }
    }

    fn rare(&mut self) -> &mut Rare {
        self.rare.get_or_insert_default()
    }

    /// The latest moment that was seen.
    #[inline]
    fn tick(&mut self, now: Instant) -> Instant {
        self.now = self.now.max(now);
        self.now
    }

    /// The latest moment that it was given. Earlier ones that come later are taken for this (PW-TIM-002), so it serves where looking
    /// at the clock is too dear.
    #[must_use]
    pub fn latest(&self) -> Instant {
        self.now
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

    /// How the connection ended, in short; `None` while it is not [over](Self::is_over). Also when [`Event::Closed`](crate::Event::Closed)
    /// was given.
    #[must_use]
    pub fn ended(&self) -> Option<Ended> {
        self.rare.as_ref()?.ended
    }

    /// Bytes accepted and not yet handed out.
    #[must_use]
    pub fn queued(&self) -> usize {
        self.outgoing.queued()
    }

    /// The same for the messages of one class, which `limits.send_queue` limits.
    #[must_use]
    pub fn queued_of(&self, class: Class) -> usize {
        self.outgoing.queued_of(class)
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

    /// When the message began that the peer has open: one of several frames, of which not all have come.
    #[must_use]
    pub fn open_since(&self) -> Option<Instant> {
        self.fragments.open_since().map(|(since, _)| since)
    }

    /// Whether the handshake is not complete.
    pub(crate) fn is_handshaking(&self) -> bool {
        self.state.is_handshaking()
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

/// A limit that begins anew once where this side was late.
#[derive(Clone, Copy)]
enum Limit {
    Handshake = 1,
    Close = 2,
    Linger = 4,
}

/// The limits that did, a bit for each.
#[derive(Default)]
struct Graced(u8);

impl Graced {
    /// Whether this one has done so already. From now on it has.
    fn note(&mut self, limit: Limit) -> bool {
        let noted = self.0 & limit as u8 != 0;
        self.0 |= limit as u8;
        noted
    }

    /// It may do so again.
    fn forget(&mut self, limit: Limit) {
        self.0 &= !(limit as u8);
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
