//! The structured input of the target `split`: a stream made of packets, whole and damaged, and where to cut it.

use crate::pieces::Pieces;
use arbitrary::{Arbitrary, Result, Unstructured};

/// A stream after the handshake, and its cuts.
#[derive(Debug, Clone)]
pub struct Case {
    /// The receiver announced RESYNC.
    pub resync: bool,
    /// The receiver's sync key.
    pub key: u32,
    /// Offsets in order, and whether the bytes up to there go into the lent buffer where there is one.
    pub cuts: Vec<(usize, bool)>,
    /// The bytes.
    pub stream: Vec<u8>,
}

/// More would make runs slow, and shows nothing new.
const STREAM_MAX: usize = 64 << 10;

/// `resync u8, key u32, number of cuts u8, cuts u16` (the lowest bit: into the lent buffer), then pieces until the input ends.
/// All little-endian; a piece is a tag and its fields, as [`Pieces`] reads them.
impl<'a> Arbitrary<'a> for Case {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        let resync = u.arbitrary()?;
        let key = u.arbitrary::<u32>()?.max(1);
        let count: u8 = u.arbitrary()?;
        let cuts: Vec<u16> = (0..count).map(|_| u.arbitrary()).collect::<Result<_>>()?;
        let mut pieces = Pieces::new(key, resync);
        let mut stream = Vec::new();
        while !u.is_empty() && stream.len() < STREAM_MAX {
            pieces.add_to(&mut stream, u)?;
        }
        let end = stream.len() + 1;
        let mut cuts: Vec<_> = cuts.iter().map(|cut| (usize::from(cut >> 1) % end, cut & 1 == 1)).collect();
        cuts.sort_unstable();
        Ok(Self { resync, key, cuts, stream })
    }
}
