//! How what the suite sends is cut on its way: the third axis beside case and role.

use crate::random::Random;

/// How the suite cuts what it sends. A receiver must not notice (PW-FRM-001), whatever the case is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Chunking {
    /// Each write in one piece, as the case makes it.
    Whole,
    /// Every byte by itself; of a long write only those at its beginning and at its end.
    Bytes,
    /// Pieces of random sizes, small ones as often as large ones.
    Pieces,
}

impl Chunking {
    /// Every chunking.
    pub const ALL: &[Self] = &[Self::Whole, Self::Bytes, Self::Pieces];

    /// The word for reports and test names.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Whole => "whole",
            Self::Bytes => "bytes",
            Self::Pieces => "pieces",
        }
    }
}

/// Bytes at the beginning of a long write that go by themselves: more than a header, HELLO or a small packet has.
const FRONT: usize = 256;
/// The same at its end: a trailer, and more than a header before it.
const BACK: usize = 20;
/// Pieces after which the sizes of a long write begin to grow, so that it stays quick.
const SMALL_PIECES: usize = 64;

/// Cuts the writes of one connection.
pub(crate) struct Cutter {
    chunking: Chunking,
    random: Random,
}

impl Cutter {
    /// The same sizes for the same `seed`.
    pub(crate) fn new(chunking: Chunking, seed: u64) -> Self {
        Self { chunking, random: Random::from_seed(seed) }
    }

    /// Lengths that add up to `length`.
    pub(crate) fn cut(&mut self, length: usize) -> Vec<usize> {
        match self.chunking {
            Chunking::Whole => vec![length],
            Chunking::Bytes if length <= FRONT + BACK => vec![1; length],
            Chunking::Bytes => [&[1; FRONT][..], &[length - FRONT - BACK], &[1; BACK]].concat(),
            Chunking::Pieces => self.pieces(length),
        }
    }

    fn pieces(&mut self, length: usize) -> Vec<usize> {
        let (mut pieces, mut left) = (Vec::new(), length);
        while left > 0 {
            let growth = 1 + pieces.len() / SMALL_PIECES;
            let piece = (self.size() * growth).min(left);
            pieces.push(piece);
            left -= piece;
        }
        pieces
    }

    /// From 1 to 1,536, each order of magnitude as often as another.
    fn size(&mut self) -> usize {
        let magnitude = self.random.next_u32() % 11;
        let most = (3_usize << magnitude) / 2;
        1 + self.random.next_u32() as usize % most
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_lost_or_empty_however_it_is_cut() {
        for chunking in Chunking::ALL {
            for length in [1, 2, 12, 275, 276, 277, 5_000, 1 << 20] {
                let pieces = Cutter::new(*chunking, 7).cut(length);
                assert_eq!(pieces.iter().sum::<usize>(), length, "{chunking:?}");
                assert!(pieces.iter().all(|piece| *piece > 0), "{chunking:?}");
            }
        }
    }

    #[test]
    fn only_the_ends_of_a_long_write_go_byte_by_byte() {
        assert_eq!(Cutter::new(Chunking::Bytes, 0).cut(60), vec![1; 60]);
        let pieces = Cutter::new(Chunking::Bytes, 0).cut(100_000);
        assert_eq!(pieces.iter().filter(|piece| **piece > 1).count(), 1);
        assert_eq!(pieces.len(), FRONT + 1 + BACK);
    }

    #[test]
    fn random_pieces_repeat_with_their_seed_and_stay_few() {
        let cut = |seed| Cutter::new(Chunking::Pieces, seed).cut(10_000);
        assert_eq!(cut(1), cut(1));
        assert_ne!(cut(1), cut(2));
        let pieces = cut(3);
        assert!(pieces.contains(&1) && pieces.iter().any(|piece| *piece > 500), "{pieces:?}");
        assert!(Cutter::new(Chunking::Pieces, 3).cut(16 << 20).len() < 4_000);
    }
}
