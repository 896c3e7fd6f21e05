//! Times at which a handler wants to be called.

use std::collections::BTreeMap;

use pulsewire_protocol::Instant;

/// Names a timer of a handler, for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TimerId {
    at: Instant,
    number: u64,
}

/// The timers, the earliest first. Those of one moment come in the order in which they were set.
#[derive(Debug, Default)]
pub(crate) struct Timers {
    keys: BTreeMap<TimerId, u64>,
    set: u64,
}

impl Timers {
    pub(crate) fn set(&mut self, at: Instant, key: u64) -> TimerId {
        self.set += 1;
        let id = TimerId { at, number: self.set };
        self.keys.insert(id, key);
        id
    }

    /// Returns whether it was still to come.
    pub(crate) fn cancel(&mut self, id: TimerId) -> bool {
        self.keys.remove(&id).is_some()
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.keys.first_key_value().map(|(id, _)| id.at)
    }

    /// The number of the timer that was set last. Those behind it wait for the next turn.
    pub(crate) fn latest(&self) -> u64 {
        self.set
    }

    /// The next one whose time has come, of those up to a number.
    pub(crate) fn expire(&mut self, now: Instant, latest: u64) -> Option<u64> {
        let id = *self
            .keys
            .range(..=TimerId { at: now, number: u64::MAX })
            .map(|(id, _)| id)
            .find(|id| id.number <= latest)?;
        self.keys.remove(&id)
    }
}
