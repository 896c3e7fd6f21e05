//! What every packet of a subject is held to, whatever the case is about.

use super::Peer;
use crate::codec::registry::{flag, kind, reason, reject};
use crate::codec::{Close, Packet};
use crate::verdict::{Outcome, require, violation};

/// What came since the last frame of an open message (PW-DAT-014).
#[derive(Default)]
pub(super) struct BetweenFrames {
    /// Bytes of that frame; `None` if no message is open.
    frame: Option<usize>,
    /// Bytes of other DATA packets since.
    others: usize,
}

impl BetweenFrames {
    fn take(&mut self, packet: &Packet) -> Outcome {
        let size = packet.header().packet_size();
        let (first, more) = (packet.has(flag::FIRST), packet.has(flag::MORE));
        match self.frame {
            Some(frame) if first && !more => {
                self.others += size;
                let others = self.others;
                require(
                    others <= frame,
                    format!("PW-DAT-014: {others} bytes of other messages behind a frame of {frame} bytes"),
                )
            }
            Some(_) | None => {
                *self = Self { frame: more.then_some(size), others: 0 };
                Ok(())
            }
        }
    }
}

impl Peer {
    /// Holds a packet to what this side announced and to the order of PINGs.
    pub(super) fn inspect(&mut self, packet: &Packet) -> Outcome {
        match packet.kind {
            kind::DATA => {
                let (size, limit) = (packet.payload.len(), self.hello.frame_limit as usize);
                require(size <= limit, format!("PW-DAT-009: a frame of {size} bytes, above the announced {limit}"))?;
                self.between_frames.take(packet)?;
                let checked = !self.hello.resync || packet.has(flag::CHECKSUM);
                require(checked, "PW-FRM-007: DATA without CHECKSUM to a peer that announced RESYNC")
            }
            kind::PING => {
                let number = packet.number();
                let larger = self.highest_ping_seen.is_none_or(|highest| number > highest);
                self.highest_ping_seen = Some(number);
                require(larger, format!("PW-HB-007: PING {number} is not larger than every PING before"))
            }
            kind::CLOSE => {
                // Cut items do not come back from parsing, so that the packet would differ.
                let close = Close::parse(&packet.payload).filter(|close| close.to_packet().payload == packet.payload);
                let Some(close) = close else {
                    return violation("section 9: a CLOSE that is cut off");
                };
                let on_wire = reason::is_for_the_wire(close.reason);
                require(on_wire, format!("section 11.3: {} never appears on the wire", close.reason))
            }
            kind::REJECT => {
                let (_, _, code) = packet.rejected();
                let defined = matches!(code, reject::TOO_LARGE | reject::DAMAGED | 32_768..);
                require(defined, format!("section 11.4: REJECT with the reason {code}, which is not defined"))
            }
            kind::DRAIN => {
                let first = !std::mem::replace(&mut self.drain_seen, true);
                require(first, "PW-CLS-016: DRAIN was sent for the second time")
            }
            _ => Ok(()),
        }
    }
}
