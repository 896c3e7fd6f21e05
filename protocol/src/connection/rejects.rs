//! Refusing messages of the peer (section 6.1 of the specification).

use alloc::collections::VecDeque;
use core::num::NonZeroU64;

use super::Connection;
use super::class_counts::ClassCounts;
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

/// Numbers the messages of the peer by class (PW-REJ-002).
#[derive(Debug, Default)]
pub(super) struct Ordinals {
    counts: ClassCounts,
    /// Skipped bytes may have held messages.
    uncertain: bool,
}

impl Ordinals {
    /// A message begins, or is there whole. Gives its number.
    #[inline]
    pub(super) fn begin(&mut self, class: Class) -> Option<NonZeroU64> {
        let number = self.counts.add(class);
        NonZeroU64::new(number).filter(|_| !self.uncertain)
    }

    /// Bytes of memory that they hold.
    pub(super) fn buffered(&self) -> usize {
        self.counts.buffered()
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
        self.ordinals.uncertain = true;
        let message_lost = self.lose_open()?;
        Ok(self.gap(skipped, message_lost))
    }

    /// A packet whose trailer is wrong was dropped. Only DATA takes messages with it (PW-FRM-009): first the open one, then the
    /// one that it began (PW-REJ-003).
    #[cold]
    pub(super) fn dropped(&mut self, header: &Header, size: u64) -> Result<Event<'static>, ProtocolError> {
        if header.kind != Kind::DATA {
            return Ok(self.gap(size, false));
        }
        let message_lost = self.lose_open()?;
        if header.flags.contains(Flags::FIRST) {
            let ordinal = self.ordinals.begin(header.class);
            self.reject(Named { class: header.class, ordinal }, RejectReason::DAMAGED)?;
        }
        Ok(self.gap(size, message_lost))
    }

    /// The open message is lost, if there is one. Says so if that is news.
    fn lose_open(&mut self) -> Result<bool, ProtocolError> {
        let Some(named) = self.fragments.gap() else { return Ok(false) };
        self.reject(named, RejectReason::DAMAGED)?;
        Ok(true)
    }

    fn gap(&mut self, skipped: u64, message_lost: bool) -> Event<'static> {
        self.counters.gaps += 1;
        self.counters.bytes_skipped += skipped;
        Event::Gap(Gap { skipped, message_lost })
    }

    /// Tells the peer that a message was refused. It was not counted, and is let go of (PW-REJ-001).
    fn reject(&mut self, named: Named, reason: RejectReason) -> Result<(), ProtocolError> {
        self.counters.messages_refused += 1;
        match self.outgoing.rejects() {
            Some(rejects) => rejects.push(Rejected { class: named.class, ordinal: named.ordinal, reason }),
            None => Ok(()),
        }
    }

    /// REJECT came (PW-REJ-007, PW-REJ-008).
    pub(super) fn rejected(&mut self, payload: &[u8]) -> Result<Option<Event<'static>>, ProtocolError> {
        let Some(rejected) = Rejected::decode(payload) else { return Ok(None) };
        self.outgoing.judge_reject(&rejected)?;
        self.counters.messages_rejected += 1;
        Ok(Some(Event::Rejected(rejected)))
    }
}
