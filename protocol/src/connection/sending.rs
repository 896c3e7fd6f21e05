//! In: messages to be sent.

use core::num::NonZeroU64;

use super::state::State;
use super::{Connection, PreparedMessage};
use crate::error::{SendError, SendRefused};
use crate::message::Message;
use crate::time::Instant;
use crate::wire::{Class, CloseReason};

impl Connection {
    /// Accepts a message for sending (section 6 of the specification).
    ///
    /// A small payload is copied; a large one is copied only where it is borrowed. `Ok` means accepted, not delivered: what
    /// was never handed out comes back in [`Closed::unsent`](crate::Closed::unsent). It gives the number of the message among
    /// those of its class, from 1, by which the peer names it should it refuse it ([`Rejected`](crate::Rejected)).
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

    /// Whether [`send`](Self::send) would accept a message of this class with `size` bytes of payload now, for a driver that gives
    /// room away before the message is there.
    ///
    /// # Errors
    /// Why not.
    pub fn can_send(&self, class: Class, size: usize) -> Result<(), SendRefused> {
        self.refusal(class, size).map_or(Ok(()), Err)
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

    /// Accepts at most this many bytes more than what waits now.
    pub(crate) fn limit_queue(&mut self, room: usize) {
        self.queue_ceiling = u32::try_from(self.outgoing.queued().saturating_add(room)).unwrap_or(u32::MAX);
        self.outgoing.limit_room(room);
    }
}

/// Every accepted message has a number.
fn numbered(ordinal: Option<NonZeroU64>) -> NonZeroU64 {
    ordinal.unwrap_or(NonZeroU64::MIN)
}
