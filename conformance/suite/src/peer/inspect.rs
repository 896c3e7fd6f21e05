//! What every packet of a subject is held to, whatever the case is about.

use super::Peer;
use crate::codec::registry::{flag, item, kind};
use crate::codec::{Close, Item, Packet, encode_items, parse_items};
use crate::verdict::{Outcome, require, violation};

impl Peer {
    /// Holds a packet to what this side announced and to the order of PINGs.
    pub(super) fn inspect(&mut self, packet: &Packet) -> Outcome {
        match packet.kind {
            kind::DATA => {
                let (size, limit) = (packet.payload.len(), self.hello.frame_limit as usize);
                require(size <= limit, format!("PW-DAT-009: a frame of {size} bytes, above the announced {limit}"))?;
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
                let well_formed = Close::parse(&packet.payload).is_some_and(|close| close.reason & 0x8000 != 0 || close.reason < 256);
                require(well_formed, "section 9: a CLOSE that is cut off, or with a reason that never appears on the wire")
            }
            kind::REJECT | kind::BUSY | kind::DRAIN => {
                violation(format!("section 12: a reserved {} was sent", kind::name(packet.kind)))
            }
            _ => Ok(()),
        }
    }
}

/// The packet as text for a transcript, without the sync key, which differs from run to run.
pub(super) fn describe(packet: &Packet) -> String {
    let mut payload = packet.payload.clone();
    if matches!(packet.kind, kind::HELLO | kind::HELLO_ACK) {
        let (mut items, rest) = parse_items(&packet.payload);
        for entry in items.iter_mut().filter(|entry| entry.id == item::SYNC_KEY) {
            let is_zero = entry.value.iter().all(|byte| *byte == 0);
            *entry = Item::sync_key(if is_zero { 0 } else { u32::MAX });
        }
        payload = encode_items(&items);
        payload.extend_from_slice(rest);
    }
    let shown: String = payload.iter().take(48).map(|byte| format!("{byte:02x}")).collect();
    let Packet { flags, class, .. } = packet;
    let name = kind::name(packet.kind);
    format!("{name} flags {flags:#04x} class {class} length {} payload {shown}", payload.len())
}
