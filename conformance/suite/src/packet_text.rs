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
        kind::REJECT if packet.payload.len() == 11 => {
            let (class, ordinal, code) = packet.rejected();
            format!("{name} message {ordinal} of class {class}, reason {code}")
        }
        kind::REJECT => format!("{name} cut off"),
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
pub(crate) fn number(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte))
}

fn flags(flags: u8) -> String {
    let names = flag_names(flags);
    if names.is_empty() { String::new() } else { format!(" [{}]", names.join(" ")) }
}

/// The names of the flags that are set.
pub(crate) fn flag_names(flags: u8) -> Vec<String> {
    let named =
        [(flag::FIRST, "FIRST"), (flag::MORE, "MORE"), (flag::CHECKSUM, "CHECKSUM"), (flag::ENCRYPTED, "ENCRYPTED")];
    let mut names: Vec<String> =
        named.iter().filter(|(bit, _)| flags & bit != 0).map(|(_, name)| (*name).into()).collect();
    if flags & flag::UNDEFINED != 0 {
        names.push(format!("undefined {:#04x}", flags & flag::UNDEFINED));
    }
    names
}

/// At most `most` bytes in hex, and how many there are if there are more.
pub(crate) fn hex(bytes: &[u8], most: usize) -> String {
    let shown: String = bytes.iter().take(most).map(|byte| format!("{byte:02x}")).collect();
    if bytes.len() <= most { shown } else { format!("{shown}… ({} bytes)", bytes.len()) }
}

/// Of what is sent in one piece, so many different packets are told.
const TOLD: usize = 6;
/// Trailers of larger payloads are not verified here: a case must not wait for its own record.
const VERIFIED: usize = 4_096;

/// Puts what the suite sends into words: also what is split, or no packet at all.
#[derive(Default)]
pub(crate) struct Narrator {
    /// Sent, and not yet told as a whole packet.
    pending: Vec<u8>,
}

/// The next thing in a row of bytes, and how long it is.
struct Told {
    text: String,
    size: usize,
}

impl Narrator {
    /// What these bytes complete. `key` is that of their receiver; a first packet has 0.
    pub(crate) fn tell(&mut self, bytes: &[u8], key: u32) -> String {
        self.pending.extend_from_slice(bytes);
        let (mut told, mut position) = (Vec::new(), 0);
        while let Some(Told { text, size }) = next(&self.pending[position..], key) {
            told.push(text);
            position += size;
        }
        if position < self.pending.len() {
            told.push(unfinished(&self.pending[position..]));
        }
        self.pending.drain(..position);
        join(&told)
    }
}

/// Equal texts in a row count as one; of many the first are kept.
fn join(told: &[String]) -> String {
    let runs: Vec<&[String]> = told.chunk_by(|one, next| one == next).collect();
    let text =
        |run: &&[String]| if run.len() == 1 { run[0].clone() } else { format!("{} times {}", run.len(), run[0]) };
    let mut texts: Vec<String> = runs.iter().take(TOLD).map(text).collect();
    if runs.len() > TOLD {
        texts.push(format!("{} more", runs[TOLD..].iter().map(|run| run.len()).sum::<usize>()));
    }
    texts.join("; ")
}

/// The packet at the front, or bytes that are none; `None` if more has to come first.
fn next(bytes: &[u8], key: u32) -> Option<Told> {
    let garbage = garbage_before_magic(bytes);
    if garbage > 0 {
        let text = format!("{garbage} bytes that are no packet: {}", hex(&bytes[..garbage], 16));
        return Some(Told { text, size: garbage });
    }
    let head = bytes.get(..Header::SIZE)?;
    let header = Header::decode(head);
    if !Header::has_check(head, key) && !Header::has_check(head, 0) {
        let text = format!("header of {} with a wrong check", kind::name(header.kind));
        return Some(Told { text, size: Header::SIZE });
    }
    let size = header.packet_size();
    let (payload, trailer) = bytes.get(Header::SIZE..size)?.split_at(header.length as usize);
    let Header { kind, flags, class, .. } = header;
    let text = describe(&Packet { kind, flags, class, payload: payload.to_vec() });
    let verified = flags & flag::CHECKSUM != 0 && payload.len() <= VERIFIED;
    let is_wrong = verified && trailer != crc32c(payload).to_be_bytes();
    Some(Told { text: if is_wrong { text + ", wrong trailer" } else { text }, size })
}

/// How many bytes come before the first at which a packet may begin.
pub(crate) fn garbage_before_magic(bytes: &[u8]) -> usize {
    let [first, second] = Header::MAGIC;
    let may_begin = |at: &usize| bytes[*at] == first && bytes.get(at + 1).is_none_or(|byte| *byte == second);
    (0..bytes.len()).find(may_begin).unwrap_or(bytes.len())
}

fn unfinished(bytes: &[u8]) -> String {
    let Some(head) = bytes.get(..Header::SIZE) else {
        return format!("{} bytes of a header", bytes.len());
    };
    let header = Header::decode(head);
    let (came, all) = (bytes.len() - Header::SIZE, header.packet_size() - Header::SIZE);
    format!("{} up to byte {came} of {all}", kind::name(header.kind))
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
    fn many_packets_are_summed_up() {
        let mut narrator = Narrator::default();
        let data: Vec<u8> = (0..3).flat_map(|_| Packet::data(flag::FIRST, 0, b"x".as_slice()).encode(1)).collect();
        assert_eq!(narrator.tell(&data, 1), "3 times DATA class 0, 1 bytes [FIRST CHECKSUM]");
        let pings: Vec<u8> = (1..=10).flat_map(|number| Packet::ping(number).encode(1)).collect();
        assert_eq!(narrator.tell(&pings, 1), "PING 1; PING 2; PING 3; PING 4; PING 5; PING 6; 4 more");
    }

    #[test]
    fn close_names_its_reason() {
        let close = Close::new(reason::BAD_HELLO, 3).to_packet();
        assert_eq!(describe(&close), "CLOSE BAD_HELLO, received 3");
    }
}
