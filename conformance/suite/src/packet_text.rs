//! Packets in words, for timelines.

use crate::codec::registry::{flag, item, kind, reason};
use crate::codec::{Close, Header, Item, Packet, crc32c, parse_items};

/// What a packet says, in one line.
pub(crate) fn describe(packet: &Packet) -> String {
    let name = kind::name(packet.kind);
    let text = match packet.kind {
        kind::DATA => format!("{name} class {}, {} bytes", packet.class, packet.payload.len()),
        kind::PING | kind::PONG | kind::CLOSE_ACK | kind::DRAIN | kind::BUSY => {
            format!("{name} {}", number(&packet.payload))
        }
        kind::CLOSE => match Close::parse(&packet.payload) {
            Some(close) => format!("{name} {}, received {}", reason::name(close.reason), close.received),
            None => format!("{name} cut off"),
        },
        kind::HELLO | kind::HELLO_ACK => {
            let (items, rest) = parse_items(&packet.payload);
            let items: Vec<String> = items.iter().map(describe_item).collect();
            format!("{name} {}{}", items.join(", "), if rest.is_empty() { "" } else { ", and an item cut off" })
        }
        _ => format!("{name}, {} bytes", packet.payload.len()),
    };
    text + &flags(packet.flags)
}

/// The item with its numbers, or with its bytes where they are none.
fn describe_item(entry: &Item) -> String {
    let numbers = |size: usize| {
        let numbers: Vec<String> = entry.value.chunks(size).map(|bytes| number(bytes).to_string()).collect();
        numbers.join(" ")
    };
    let bytes = || hex(&entry.value, 16);
    match entry.id {
        item::VERSIONS => format!("VERSIONS {}", numbers(1)),
        item::SYNC_KEY => format!("SYNC_KEY {}", bytes()),
        item::LIMITS => format!("LIMITS {}", numbers(4)),
        item::PING_FLOOR => format!("PING_FLOOR {}", numbers(4)),
        item::FEATURES => format!("FEATURES {}", bytes()),
        item::TOKEN => format!("TOKEN {}", bytes()),
        id => format!("item {id:#06x} {}", bytes()),
    }
}

/// A number of at most 8 bytes; of more, the last 8 count.
fn number(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte))
}

fn flags(flags: u8) -> String {
    let named =
        [(flag::FIRST, "FIRST"), (flag::MORE, "MORE"), (flag::CHECKSUM, "CHECKSUM"), (flag::ENCRYPTED, "ENCRYPTED")];
    let mut names: Vec<String> =
        named.iter().filter(|(bit, _)| flags & bit != 0).map(|(_, name)| (*name).into()).collect();
    if flags & flag::UNDEFINED != 0 {
        names.push(format!("undefined {:#04x}", flags & flag::UNDEFINED));
    }
    if names.is_empty() { String::new() } else { format!(" [{}]", names.join(" ")) }
}

/// At most `most` bytes in hex, and how many there are if there are more.
pub(crate) fn hex(bytes: &[u8], most: usize) -> String {
    let shown: String = bytes.iter().take(most).map(|byte| format!("{byte:02x}")).collect();
    if bytes.len() <= most { shown } else { format!("{shown}… ({} bytes)", bytes.len()) }
}

/// Puts what the suite sends into words: also what is split, or no packet at all.
#[derive(Default)]
pub(crate) struct Narrator {
    /// Sent, and not yet told as a whole packet.
    pending: Vec<u8>,
}

impl Narrator {
    /// What these bytes complete. `key` is that of their receiver; a first packet has 0.
    pub(crate) fn tell(&mut self, bytes: &[u8], key: u32) -> String {
        self.pending.extend_from_slice(bytes);
        let mut told = Vec::new();
        while !self.pending.is_empty() {
            match self.tell_next(key) {
                Some(text) => told.push(text),
                None => {
                    told.push(self.unfinished());
                    break;
                }
            }
        }
        told.join("; ")
    }

    /// The next packet, or bytes that are none; `None` if more has to come first.
    fn tell_next(&mut self, key: u32) -> Option<String> {
        let garbage = self.pending.iter().position(|byte| *byte == Header::MAGIC[0]).unwrap_or(self.pending.len());
        let wrong_start = garbage == 0 && self.pending.get(1).is_some_and(|byte| *byte != Header::MAGIC[1]);
        let garbage = if wrong_start { self.next_start() } else { garbage };
        if garbage > 0 {
            let dropped: Vec<u8> = self.pending.drain(..garbage).collect();
            return Some(format!("{garbage} bytes that are no packet: {}", hex(&dropped, 16)));
        }
        let head = self.pending.get(..Header::SIZE)?;
        let header = Header::decode(head);
        if !Header::has_check(head, key) && !Header::has_check(head, 0) {
            self.pending.drain(..Header::SIZE);
            return Some(format!("header of {} with a wrong check", kind::name(header.kind)));
        }
        let size = header.packet_size();
        if self.pending.len() < size {
            return None;
        }
        let whole: Vec<u8> = self.pending.drain(..size).collect();
        let (payload, trailer) = whole[Header::SIZE..].split_at(header.length as usize);
        let wrong = header.flags & flag::CHECKSUM != 0 && trailer != crc32c(payload).to_be_bytes();
        let Header { kind, flags, class, .. } = header;
        let text = describe(&Packet { kind, flags, class, payload: payload.to_vec() });
        Some(if wrong { format!("{text}, wrong trailer") } else { text })
    }

    /// Where the magic may begin next.
    fn next_start(&self) -> usize {
        let rest = self.pending[1..].iter().position(|byte| *byte == Header::MAGIC[0]);
        rest.map_or(self.pending.len(), |position| position + 1)
    }

    fn unfinished(&self) -> String {
        let Some(head) = self.pending.get(..Header::SIZE) else {
            return format!("{} bytes of a header", self.pending.len());
        };
        let header = Header::decode(head);
        let came = self.pending.len() - Header::SIZE;
        format!("{} up to byte {came} of {}", kind::name(header.kind), header.packet_size() - Header::SIZE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_are_told_when_they_are_whole() {
        let mut narrator = Narrator::default();
        let bytes = Packet::ping(7).encode(5);
        assert_eq!(narrator.tell(&bytes[..3], 5), "3 bytes of a header");
        assert_eq!(narrator.tell(&bytes[3..14], 5), "PING up to byte 2 of 8");
        assert_eq!(narrator.tell(&bytes[14..], 5), "PING 7");
    }

    #[test]
    fn what_is_wrong_is_said() {
        let mut narrator = Narrator::default();
        assert_eq!(narrator.tell(&Packet::ping(7).encode(5)[..12], 6), "header of PING with a wrong check");
        let data = Packet::data(flag::FIRST, 2, b"x".as_slice()).encode_with_wrong_trailer(0);
        let told = narrator.tell(&[b"GET".as_slice(), &data].concat(), 0);
        assert_eq!(told, "3 bytes that are no packet: 474554; DATA class 2, 1 bytes [FIRST CHECKSUM], wrong trailer");
        assert_eq!(narrator.tell(&[0xF7, 0], 0), "2 bytes that are no packet: f700");
    }

    #[test]
    fn close_names_its_reason() {
        let close = Close::new(reason::BAD_HELLO, 3).to_packet();
        assert_eq!(describe(&close), "CLOSE BAD_HELLO, received 3");
    }
}
