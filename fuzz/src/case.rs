//! The structured input of the target `split`: a stream made of packets, whole and damaged, and where to cut it.

use arbitrary::{Arbitrary, Result, Unstructured};
use pulsewire_protocol::{CloseReason, Flags, Kind};

use crate::packets::packet;

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
/// All little-endian; a piece is a tag and its fields, as `add_piece` reads them.
impl<'a> Arbitrary<'a> for Case {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        let resync = u.arbitrary()?;
        let key = u.arbitrary::<u32>()?.max(1);
        let count: u8 = u.arbitrary()?;
        let cuts: Vec<u16> = (0..count).map(|_| u.arbitrary()).collect::<Result<_>>()?;
        let mut case = Self { resync, key, cuts: Vec::new(), stream: Vec::new() };
        let mut pings = 0;
        while !u.is_empty() && case.stream.len() < STREAM_MAX {
            case.add_piece(u, &mut pings)?;
        }
        let end = case.stream.len() + 1;
        case.cuts = cuts.iter().map(|cut| (usize::from(cut >> 1) % end, cut & 1 == 1)).collect();
        case.cuts.sort_unstable();
        Ok(case)
    }
}

impl Case {
    fn add_piece(&mut self, u: &mut Unstructured<'_>, pings: &mut u64) -> Result<()> {
        let key = self.key;
        let checksum = if self.resync { Flags::CHECKSUM } else { Flags::NONE };
        let size = |u: &mut Unstructured<'_>| Ok(usize::from(u.arbitrary::<u16>()?) % 9_000);
        let payload = |size: usize| (0..size).map(|index| (index * 31 + index / 251) as u8).collect::<Vec<u8>>();
        match u.arbitrary::<u8>()? % 8 {
            // Bytes as they are.
            0 => {
                let count = size(u)?.min(u.len());
                self.stream.extend_from_slice(u.bytes(count)?);
            }
            // A whole message.
            1 => {
                let class = u.arbitrary::<u8>()? % 5;
                let bytes = payload(size(u)?);
                self.stream.extend(packet(Kind::DATA, checksum | Flags::FIRST, class, &bytes, key));
            }
            // A frame that fits, or does not.
            2 => {
                let flags = Flags(u.arbitrary::<u8>()? % 16) | checksum;
                let bytes = payload(size(u)?);
                self.stream.extend(packet(Kind::DATA, flags, 4, &bytes, key));
            }
            3 => {
                *pings += 1;
                self.stream.extend(packet(Kind::PING, Flags::NONE, 0, &pings.to_be_bytes(), key));
            }
            // A packet to be passed over.
            4 => {
                let bytes = payload(size(u)?);
                self.stream.extend(packet(Kind(u.arbitrary::<u8>()? | 0x80), checksum, 0, &bytes, key));
            }
            5 => {
                let reason: u16 = u.arbitrary()?;
                let bytes = [&CloseReason(reason).0.to_be_bytes()[..], &[0; 12]].concat();
                self.stream.extend(packet(Kind::CLOSE, Flags::NONE, 0, &bytes, key));
            }
            // One bit of what is there is flipped.
            6 => {
                let (back, bit) = (u.arbitrary::<u16>()?, u.arbitrary::<u8>()? % 8);
                if let Some(index) = self.stream.len().checked_sub(usize::from(back) + 1) {
                    self.stream[index] ^= 1 << bit;
                }
            }
            // The end of what is there is lost.
            _ => {
                let left = self.stream.len().saturating_sub(u.arbitrary::<u8>()?.into());
                self.stream.truncate(left);
            }
        }
        Ok(())
    }
}
