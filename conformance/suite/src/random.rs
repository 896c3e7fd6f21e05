//! Numbers that look random and can be repeated.

use std::hash::{BuildHasher, RandomState};

use crate::role::Role;

/// A SplitMix64 generator.
pub(crate) struct Random {
    state: u64,
    /// Keys are small, and payloads of one letter.
    plain: bool,
}

impl Random {
    /// Always the same sequence for the same `seed`.
    pub(crate) fn from_seed(seed: u64) -> Self {
        Self { state: seed, plain: false }
    }

    /// A sequence of its own in every process and for every call.
    pub(crate) fn from_entropy() -> Self {
        Self::from_seed(RandomState::new().hash_one(std::process::id()))
    }

    pub(crate) fn next_u64(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.state ^ (self.state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    pub(crate) fn next_u32(&mut self) -> u32 {
        u32::try_from(self.next_u64() >> 32).expect("32 bits are left")
    }

    /// The same, with plain values where cases draw keys and payloads.
    pub(crate) fn made_plain(self, plain: bool) -> Self {
        Self { plain, ..self }
    }

    /// A sync key, which is not 0.
    pub(crate) fn sync_key(&mut self) -> u32 {
        if self.plain {
            self.state = self.state.wrapping_add(2);
            return (self.state & 0xFF) as u32 | 1;
        }
        self.next_u32() | 1
    }

    /// A number below `end`, which is not 0.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        self.next_u32() as usize % end
    }

    /// A fraction from 0 to 1.
    pub(crate) fn fraction(&mut self) -> f64 {
        f64::from(self.next_u32()) / f64::from(u32::MAX)
    }

    pub(crate) fn bytes(&mut self, count: usize) -> Vec<u8> {
        if self.plain {
            return vec![b'a'; count];
        }
        (0..count).map(|_| self.next_u64().to_be_bytes()[0]).collect()
    }
}

/// The seed for one case in one role, so that its transcript is the same whatever ran beside it, and its keys and payloads
/// are, however it is cut.
pub(crate) fn seed_of_case(seed: u64, id: &str, role: Role) -> u64 {
    let start = Random::from_seed(seed).next_u64() ^ u64::from(role == Role::Client);
    id.bytes().fold(start, |sum, byte| sum.rotate_left(7).wrapping_mul(31) ^ u64::from(byte))
}
