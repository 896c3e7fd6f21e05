//! What an application may ask of a connection beside messages: a PING now, a word when a message is with the transport.

use alloc::vec::Vec;
use core::num::NonZeroU64;
use core::time::Duration;

use super::Connection;
use super::state::State;
use crate::event::Event;
use crate::heartbeat::Heartbeat;
use crate::time::Instant;
use crate::wire::Class;

/// A message that the application wants to know of when the transport took it.
#[derive(Debug, Clone, Copy)]
struct Watched {
    class: Class,
    ordinal: NonZeroU64,
    /// Where in the stream it ends at the latest, once it was handed out.
    ends: Option<u64>,
}

/// The messages that are watched, in no order.
#[derive(Debug, Default)]
pub(super) struct Watching {
    messages: Vec<Watched>,
}

impl Watching {
    /// So many messages of each class, and so many bytes in all, are handed out.
    fn handed_out(&mut self, completed: impl Fn(Class) -> u64, handed: u64) {
        for message in self.messages.iter_mut().filter(|message| message.ends.is_none()) {
            message.ends = (completed(message.class) >= message.ordinal.get()).then_some(handed);
        }
    }

    /// The transport took so many bytes. Gives the messages that are among them.
    fn taken(&mut self, taken: u64) -> impl Iterator<Item = Event<'static>> {
        let gone = self.messages.extract_if(.., move |message| message.ends.is_some_and(|end| end <= taken));
        gone.map(|Watched { class, ordinal, .. }| Event::Taken { class, ordinal })
    }
}

/// What the peer announced in the handshake, and what follows from it for what is sent to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct PeerLimits {
    /// The largest message that the peer receives, in bytes (PW-DAT-008).
    pub message: u32,
    /// The largest frame that the peer receives, in bytes (PW-DAT-009). Smaller ones go out where `limits.frame_sent` is.
    pub frame: u32,
    /// The shortest time between PINGs that the peer tolerates (PW-HB-005).
    pub ping_floor: Duration,
    /// The peer resynchronises: what is sent to it carries checksums (PW-FRM-007).
    pub resync: bool,
}

impl Connection {
    /// Asks the peer for an answer now, so that the round trip is measured where messages come all the time and no silence brings a
    /// PING. The measurement shows in [`rtt`](Self::rtt) when the answer has come.
    ///
    /// Returns whether a PING goes out. None does before the handshake is complete and from CLOSE_ACK on; while either side pauses;
    /// while a silence is being probed, or fourteen PINGs are unanswered (PW-HB-025); and none before the peer's
    /// [ping floor](PeerLimits::ping_floor) has passed since the one before (PW-HB-026).
    pub fn ping(&mut self, now: Instant) -> bool {
        let now = self.tick(now);
        let speaks = match &self.state {
            State::Open | State::Closing { .. } | State::PeerClosing { .. } | State::BothClosing { .. } => {
                !self.is_paused() && !self.outgoing.said_everything()
            }
            State::Handshake { .. } | State::Judging { .. } | State::Over => false,
        };
        let may = speaks && self.heartbeat.as_mut().is_some_and(|heartbeat| heartbeat.ask(now));
        if may {
            self.outgoing.ping();
        }
        may
    }

    /// Gives [`Event::Taken`] when the transport has taken all of this message: from then on it is not among
    /// [`Closed::unsent`](crate::Closed::unsent). `ordinal` is what [`send`](Self::send) gave.
    ///
    /// It is given no earlier than that, and no later than when the batch is taken with which the message was handed out; not after
    /// [`Event::Closed`]. A number that was not given to a message yet is watched until it is.
    pub fn notify_when_taken(&mut self, class: Class, ordinal: NonZeroU64) {
        if self.state.is_over() {
            return;
        }
        self.rare().watching.messages.push(Watched { class, ordinal, ends: None });
        self.note_handed_out();
        self.note_taken();
    }

    /// What the peer announced. `None` before the handshake is complete.
    #[must_use]
    pub fn peer_limits(&self) -> Option<PeerLimits> {
        let heartbeat = self.heartbeat.as_ref()?;
        let encoding = &self.outgoing.encoding;
        Some(PeerLimits {
            message: encoding.message_limit,
            frame: encoding.peer_frame_max,
            ping_floor: heartbeat.floor(),
            resync: encoding.checksums,
        })
    }

    /// Until when the peer pauses (PW-HB-020), if it said so: it does not read, and is not judged. It may go on earlier, and ask for
    /// more time.
    #[must_use]
    pub fn peer_pauses_until(&self) -> Option<Instant> {
        self.heartbeat.as_ref().and_then(Heartbeat::spared_until).filter(|until| *until > self.now)
    }

    /// Notes which of the watched messages are handed out by now.
    pub(super) fn note_handed_out(&mut self) {
        if let Some(rare) = &mut self.rare {
            rare.watching.handed_out(|class| self.outgoing.completed_of(class), self.outgoing.handed());
        }
    }

    /// Tells the application which of the watched messages are taken by now.
    pub(super) fn note_taken(&mut self) {
        let taken = self.outgoing.taken_bytes();
        let Some(rare) = self.rare.as_mut().filter(|_| !self.state.is_over()) else { return };
        let mut events = rare.watching.taken(taken).peekable();
        if events.peek().is_some() {
            self.waiting.get_or_insert_default().others.extend(events);
        }
    }

    /// Tells the application for which classes there is room again, as long as it may send.
    pub(super) fn note_room(&mut self) {
        if !matches!(self.state, State::Open) {
            return;
        }
        let low = self.config.limits.send_queue / 2;
        while let Some(class) = self.outgoing.drained(low) {
            self.waiting.get_or_insert_default().others.push_back(Event::Writable { class });
        }
    }
}
