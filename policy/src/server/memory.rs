//! What all connections of a server hold together.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::hash::Hash;
use std::time::Duration;

use pulsewire_protocol::Instant;

/// A message that has been open for so long goes first (PW-CLS-020).
const LONG: Duration = Duration::from_secs(10);

/// The bytes that connections hold for what is only partly received and for what waits to be sent, and who holds most: where a limit
/// is exceeded that one is closed with OVERLOADED, never the one that asks next (PW-CLS-020).
///
/// `K` names a connection, and must never name another one.
///
/// ```
/// use pulsewire_policy::server::Memory;
/// use pulsewire_protocol::Instant;
///
/// let mut memory = Memory::new(1_000);
/// memory.note("much", 900, None);
/// memory.note("little", 200, None);
/// assert_eq!(memory.first_to_close(Instant::ZERO), Some("much"));
/// memory.note("much", 0, None);
/// assert_eq!(memory.first_to_close(Instant::ZERO), None);
/// ```
#[derive(Debug)]
pub struct Memory<K> {
    limit: usize,
    held: usize,
    holders: HashMap<K, Holder>,
    /// How many have begun to hold something.
    begun: u64,
}

/// A connection that holds something.
#[derive(Debug, Clone, Copy)]
struct Holder {
    bytes: usize,
    /// When the message began that its peer has open.
    open_since: Option<Instant>,
    /// Where it stands in the order in which they began to hold something.
    order: u64,
}

impl<K: Copy + Eq + Hash> Memory<K> {
    /// Nobody holds anything. `limit` is in bytes.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self { limit, held: 0, holders: HashMap::new(), begun: 0 }
    }

    /// The connection holds so many bytes now; zero when it is over. `open_since`: when the message began that its peer has open.
    pub fn note(&mut self, key: K, bytes: usize, open_since: Option<Instant>) {
        let before = if bytes == 0 { self.holders.remove(&key) } else { self.holders.get(&key).copied() };
        self.held = self.held - before.map_or(0, |holder| holder.bytes) + bytes;
        if bytes > 0 {
            let order = before.map_or(self.begun, |holder| holder.order);
            self.begun += u64::from(before.is_none());
            self.holders.insert(key, Holder { bytes, open_since, order });
        }
    }

    /// Bytes that all hold together.
    #[must_use]
    pub fn held(&self) -> usize {
        self.held
    }

    /// The limit, in bytes.
    #[must_use]
    pub fn limit(&self) -> usize {
        self.limit
    }

    /// Whether somebody has to go.
    #[must_use]
    pub fn is_exceeded(&self) -> bool {
        self.held > self.limit
    }

    /// Who has to go, if the limit is exceeded: among those whose message has been open for ten seconds, or else among all, the one
    /// that holds most; of several such, the one that began first. [`note`](Self::note) that it holds nothing any more, and ask again.
    #[must_use]
    pub fn first_to_close(&self, now: Instant) -> Option<K> {
        if !self.is_exceeded() {
            return None;
        }
        let rank = |(_, holder): &(&K, &Holder)| {
            let long = holder.open_since.is_some_and(|since| now - since >= LONG);
            (long, holder.bytes, Reverse(holder.order))
        };
        self.holders.iter().max_by_key(rank).map(|(key, _)| *key)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// What is held is the sum of the latest notes; closing who is named always leads below the limit, and spares whoever
        /// holds less.
        #[test]
        fn closing_whoever_is_named_leads_below_the_limit(
            limit in 0_usize..20_000,
            notes in prop::collection::vec((0_u8..20, 0_usize..5_000), 0..200),
        ) {
            let (mut memory, mut model) = (Memory::new(limit), HashMap::new());
            for (key, bytes) in notes {
                memory.note(key, bytes, None);
                model.insert(key, bytes);
                prop_assert_eq!(memory.held(), model.values().sum::<usize>());
            }
            while let Some(key) = memory.first_to_close(Instant::ZERO) {
                prop_assert!(memory.held() > limit);
                prop_assert_eq!(model[&key], *model.values().max().unwrap());
                memory.note(key, 0, None);
                model.insert(key, 0);
            }
            prop_assert!(memory.held() <= limit);
        }
    }

    #[test]
    fn of_several_that_hold_as_much_the_latest_is_spared() {
        let mut memory = Memory::new(25);
        (0..3).for_each(|key| memory.note(key, 1, None));
        (0..3).rev().for_each(|key| memory.note(key, 10, None));
        assert_eq!(memory.first_to_close(Instant::ZERO), Some(0));
    }

    #[test]
    fn a_message_that_was_open_for_long_goes_first() {
        let mut memory = Memory::new(10);
        memory.note(1, 100, Some(Instant::ZERO + LONG));
        memory.note(2, 10, Some(Instant::ZERO));
        memory.note(3, 200, None);
        assert_eq!(memory.first_to_close(Instant::ZERO), Some(3));
        assert_eq!(memory.first_to_close(Instant::ZERO + LONG), Some(2));
    }
}
