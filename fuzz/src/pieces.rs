//! Packets out of the fuzzer's bytes: whole ones, damaged ones, and what is none.

use std::time::Duration;

use arbitrary::{Result, Unstructured};
use pulsewire_protocol::{CloseReason, Flags, Hello, Kind};

use crate::packets::{hello_packet, packet};

/// What packets to one receiver are made with.
#[derive(Debug)]
pub(crate) struct Pieces {
    key: u32,
    resync: bool,
    pings: u64,
}

/// From this number on a piece of bytes is made of none that the fuzzer has to give.
const NOISE: u16 = 60_000;

/// Bytes that differ from their neighbours.
pub(crate) fn pattern(size: usize) -> Vec<u8> {
    (0..size).map(|index| (index * 31 + index / 251) as u8).collect()
}

fn size(u: &mut Unstructured<'_>) -> Result<usize> {
    Ok(usize::from(u.arbitrary::<u16>()?) % 9_000)
}

impl Pieces {
    /// For a receiver with this key; it announced RESYNC or not.
    pub(crate) fn new(key: u32, resync: bool) -> Self {
        Self { key, resync, pings: 0 }
    }

    /// Adds a piece to a stream, or damages what is there: a tag, and its fields, all little-endian.
    pub(crate) fn add_to(&mut self, stream: &mut Vec<u8>, u: &mut Unstructured<'_>) -> Result<()> {
        let key = self.key;
        let checksum = if self.resync { Flags::CHECKSUM } else { Flags::NONE };
        match u.arbitrary::<u8>()? % 9 {
            // Bytes as they are, or many that are nothing, so that a budget is soon used up.
            0 => match u.arbitrary::<u16>()? {
                count @ NOISE.. => stream.resize(stream.len() + usize::from(count - NOISE) * 8, 0x55),
                count => {
                    let count = (usize::from(count) % 9_000).min(u.len());
                    stream.extend_from_slice(u.bytes(count)?);
                }
            },
            // A whole message.
            1 => {
                let class = u.arbitrary::<u8>()? % 5;
                stream.extend(packet(Kind::DATA, checksum | Flags::FIRST, class, &pattern(size(u)?), key));
            }
            // A frame that fits, or does not.
            2 => {
                let flags = Flags(u.arbitrary::<u8>()? % 16) | checksum;
                stream.extend(packet(Kind::DATA, flags, 4, &pattern(size(u)?), key));
            }
            3 => {
                self.pings += 1;
                stream.extend(packet(Kind::PING, Flags::NONE, 0, &self.pings.to_be_bytes(), key));
            }
            // A packet to be passed over.
            4 => {
                let payload = pattern(size(u)?);
                stream.extend(packet(Kind(u.arbitrary::<u8>()? | 0x80), checksum, 0, &payload, key));
            }
            5 => {
                let reason: u16 = u.arbitrary()?;
                stream.extend(close_packet(CloseReason(reason), 0, key));
            }
            // One bit of what is there is flipped.
            6 => {
                let (back, bit) = (u.arbitrary::<u16>()?, u.arbitrary::<u8>()? % 8);
                if let Some(index) = stream.len().checked_sub(usize::from(back) + 1) {
                    stream[index] ^= 1 << bit;
                }
            }
            // The end of what is there is lost.
            7 => {
                let left = stream.len().saturating_sub(u.arbitrary::<u8>()?.into());
                stream.truncate(left);
            }
            _ => {
                let kind = Kind(u.arbitrary::<u8>()? % 11);
                let (number, small) = (u64::from(u.arbitrary::<u16>()?), u.arbitrary()?);
                stream.extend(self.control(kind, number, small));
            }
        }
        Ok(())
    }

    /// A control packet of the right size, with this number in it.
    fn control(&self, kind: Kind, number: u64, small: bool) -> Vec<u8> {
        let payload = match kind {
            Kind::HELLO | Kind::HELLO_ACK => return hello_packet(kind, &hello(number as u32, small)),
            Kind::CLOSE => return close_packet(CloseReason::NORMAL, number, self.key),
            // The ordinal is small enough to be right now and then.
            Kind::REJECT => reject(number / 8 % 16, 1, (number % 8) as u8),
            Kind::BUSY => (number as u32).to_be_bytes().to_vec(),
            _ => number.to_be_bytes().to_vec(),
        };
        packet(kind, Flags::NONE, 0, &payload, self.key)
    }
}

/// CLOSE without items.
pub(crate) fn close_packet(reason: CloseReason, received: u64, key: u32) -> Vec<u8> {
    let payload = [&reason.0.to_be_bytes()[..], &received.to_be_bytes(), &[0; 4]].concat();
    packet(Kind::CLOSE, Flags::NONE, 0, &payload, key)
}

/// The payload of REJECT.
pub(crate) fn reject(ordinal: u64, reason: u16, class: u8) -> Vec<u8> {
    [&ordinal.to_be_bytes()[..], &reason.to_be_bytes(), &[class]].concat()
}

/// What a peer with this key says of itself.
pub(crate) fn hello(key: u32, resync: bool) -> Hello {
    Hello {
        version_lowest: 1,
        version_highest: 1,
        sync_key: key.max(1).try_into().expect("not zero"),
        frame_limit: 512,
        message_limit: 20_000,
        ping_floor: Duration::from_millis(100),
        resync,
        token: None,
    }
}
