//! Refusing messages of the peer (section 6.1 of the specification).

use alloc::collections::VecDeque;
use core::num::NonZeroU64;

use super::Connection;
use crate::error::ProtocolError;
use crate::event::{Event, Gap};
use crate::framer::Named;
use crate::refusal::TooLarge;
use crate::wire::{Class, Flags, Header, Kind};
use crate::wire::{RejectReason, Rejected};

/// How many REJECT may wait to be sent (PW-REJ-006).
const WAITING_MAX: usize = 16;

/// REJECTs that wait to be sent, in the order of the refusals.
#[derive(Debug, Default)]
pub(super) struct Rejects {
    waiting: VecDeque<Rejected>,
}

impl Rejects {
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    fn push(&mut self, rejected: Rejected) -> Result<(), ProtocolError> {
        if self.waiting.len() >= WAITING_MAX {
            return Err(ProtocolError::TooManyRefused { waiting: self.waiting.len() });
        }
        self.waiting.push_back(rejected);
        Ok(())
    }

    pub(super) fn pop(&mut self) -> Option<Rejected> {
        let rejected = self.waiting.pop_front();
        if self.waiting.is_empty() {
            self.clear();
        }
        rejected
    }

    /// Bytes of memory that they hold.
    pub(super) fn buffered(&self) -> usize {
        self.waiting.capacity() * size_of::<Rejected>()
    }

    pub(super) fn clear(&mut self) {
        self.waiting = VecDeque::new();
    }
}

impl Connection {
    /// The open message grew above the limit (PW-DAT-008, PW-REJ-003).
    #[cold]
    pub(super) fn refuse_open(&mut self, size: u64) -> Result<Option<Event<'static>>, ProtocolError> {
        let Some(named) = self.fragments.refuse() else { return Ok(None) };
        self.reject(named, RejectReason::TOO_LARGE)?;
        let Named { class, ordinal } = named;
        Ok(Some(Event::TooLarge(TooLarge { class, ordinal, limit: self.config.limits.message, size })))
    }

    /// Bytes were skipped: what was open is lost (PW-REJ-003), and nobody knows what began meanwhile.
    #[cold]
    pub(super) fn skipped(&mut self, skipped: u64) -> Result<Event<'static>, ProtocolError> {
        let named = self.fragments.skipped();
        let message_lost = self.lose(named)?;
        Ok(self.gap(skipped, message_lost))
    }

    /// A packet whose trailer is wrong was dropped. Only DATA takes messages with it (PW-FRM-009): first the open one, then the
    /// one that it began (PW-REJ-003).
    #[cold]
    pub(super) fn dropped(&mut self, header: &Header, size: u64) -> Result<Event<'static>, ProtocolError> {
        if header.kind != Kind::DATA {
            return Ok(self.gap(size, false));
        }
        let named = self.fragments.gap();
        let message_lost = self.lose(named)?;
        if header.flags.contains(Flags::FIRST) {
            let ordinal = self.begin_message(header.class);
            self.reject(Named { class: header.class, ordinal }, RejectReason::DAMAGED)?;
        }
        Ok(self.gap(size, message_lost))
    }

    /// A message of the peer begins, or is there whole. Gives its number among those of its class (PW-REJ-002).
    pub(super) fn begin_message(&mut self, class: Class) -> Option<NonZeroU64> {
        let number = self.received_by_class.add(class);
        self.fragments.known(number)
    }

    /// The open message was lost, if there was one. Returns whether there was.
    fn lose(&mut self, named: Option<Named>) -> Result<bool, ProtocolError> {
        let Some(named) = named else { return Ok(false) };
        self.reject(named, RejectReason::DAMAGED)?;
        Ok(true)
    }

    fn gap(&mut self, skipped: u64, message_lost: bool) -> Event<'static> {
        let rare = self.rare();
        rare.gaps += 1;
        rare.bytes_skipped += skipped;
        Event::Gap(Gap { skipped, message_lost })
    }

    /// Tells the peer that a message was refused. It was not counted, and is let go of (PW-REJ-001).
    fn reject(&mut self, named: Named, reason: RejectReason) -> Result<(), ProtocolError> {
        self.rare().messages_refused += 1;
        match self.outgoing.rejects() {
            Some(rejects) => rejects.push(Rejected { class: named.class, ordinal: named.ordinal, reason }),
            None => Ok(()),
        }
    }

    /// REJECT came (PW-REJ-007, PW-REJ-008).
    pub(super) fn rejected(&mut self, payload: &[u8]) -> Result<Option<Event<'static>>, ProtocolError> {
        let Some(rejected) = Rejected::decode(payload) else { return Ok(None) };
        self.outgoing.judge_reject(&rejected)?;
        self.rare().messages_rejected += 1;
        Ok(Some(Event::Rejected(rejected)))
    }
}
