//! What the steps of a case hold, field by field: for reports that show bytes.

mod payload;

use std::collections::BTreeMap;
use std::ops::Range;

use crate::codec::registry::{flag, item, kind};
use crate::codec::{Header, crc32c, parse_items};
use crate::packet_text;
use crate::transcript::{Action, Sample, Step};

/// A field of a packet, or another run of bytes with one meaning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// The word of the specification for it.
    pub name: String,
    /// Its value for people. What a peer chose is escaped as in Rust, and nothing more.
    pub value: String,
    /// Where it lies in the bytes of the step.
    pub bytes: Range<usize>,
    /// What is wrong with it.
    pub fault: Option<String>,
    /// Whether its value depends on a key that was drawn at random.
    pub is_keyed: bool,
}

/// A packet, a part of one, or bytes that are none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Its kind, or what it is instead.
    pub title: String,
    /// Where it lies in the bytes of the step.
    pub bytes: Range<usize>,
    /// Its fields, in order.
    pub fields: Vec<Field>,
    /// Whether something is wrong with it.
    pub is_damaged: bool,
}

/// Takes the bytes of a case apart, step by step. It learns the keys from the handshakes that it sees.
#[derive(Default)]
pub struct Dissector {
    streams: BTreeMap<(u32, Direction), Stream>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Direction {
    FromSuite,
    FromSubject,
}

/// One direction of a connection.
#[derive(Default)]
struct Stream {
    /// The key that the receiver announced.
    key: Option<u32>,
    /// Bytes of earlier steps that are not yet a whole packet.
    pending: Vec<u8>,
    /// Bytes of a packet of which only the beginning was kept: they come with later steps.
    unseen: usize,
}

impl Dissector {
    /// One that has seen nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// What the kept bytes of the next step hold. A packet that earlier steps began is shown with the bytes that this one adds.
    pub fn take(&mut self, step: &Step) -> Vec<Part> {
        let (direction, opposite) = match step.action {
            Action::Sent => (Direction::FromSuite, Direction::FromSubject),
            Action::Received => (Direction::FromSubject, Direction::FromSuite),
            Action::Expected | Action::Ended | Action::Reset | Action::Noted => return Vec::new(),
        };
        let stream = self.streams.entry((step.connection, direction)).or_default();
        let (parts, announced) = stream.take(&step.bytes);
        if let Some(key) = announced {
            self.streams.entry((step.connection, opposite)).or_default().key = Some(key);
        }
        parts
    }
}

impl Stream {
    /// The parts, and the key that a HELLO among them announces.
    fn take(&mut self, sample: &Sample) -> (Vec<Part>, Option<u32>) {
        let (mut parts, mut announced) = (Vec::new(), None);
        let of_before = self.unseen.min(sample.start.len());
        self.unseen = self.unseen.saturating_sub(sample.length);
        if of_before > 0 {
            parts.push(plain("rest of the packet", 0..of_before, &sample.start[..of_before]));
        }
        let earlier = self.pending.len();
        let bytes = [&self.pending, &sample.start[of_before..]].concat();
        let mut position = 0;
        while position < bytes.len() {
            let Next { part, size } = next(&bytes[position..], self.key);
            announced = announced.or_else(|| announced_key(&bytes[position..(position + size).min(bytes.len())]));
            let is_whole = position + size <= bytes.len();
            // Ranges in the step: what lies in earlier steps is cut off.
            parts.extend(part.placed(position, earlier, of_before));
            if !is_whole {
                break;
            }
            position += size;
        }
        self.pending = bytes[position..].to_vec();
        if sample.length > sample.start.len() {
            // What follows the kept bytes is not known, but how long a packet that they begin is.
            let rest = next_size(&self.pending).saturating_sub(self.pending.len());
            self.unseen = rest.saturating_sub(sample.length - sample.start.len());
            self.pending.clear();
        }
        (parts, announced)
    }
}

/// The thing at the front of some bytes, and how many it takes, or will when all of it is there.
struct Next {
    part: Part,
    size: usize,
}

fn next(bytes: &[u8], key: Option<u32>) -> Next {
    let garbage = packet_text::garbage_before_magic(bytes);
    if garbage > 0 {
        let mut part = plain("no packet", 0..garbage, &bytes[..garbage]);
        part.is_damaged = true;
        part.fields[0].fault = Some("not the beginning of a packet".into());
        return Next { part, size: garbage };
    }
    let Some(head) = bytes.get(..Header::SIZE) else {
        return Next { part: plain("beginning of a header", 0..bytes.len(), bytes), size: Header::SIZE };
    };
    let header = Header::decode(head);
    let mut fields = header_fields(head, &header, key);
    let name = kind::name(header.kind);
    let is_right = fields.iter().all(|field| field.fault.is_none());
    if !is_right && !has_known_check(head, key) {
        // Nobody believes the length of such a header.
        let part = Part { title: format!("{name}?"), bytes: 0..Header::SIZE, fields, is_damaged: true };
        return Next { part, size: Header::SIZE };
    }
    let (size, payload_end) = (header.packet_size(), Header::SIZE + header.length as usize);
    let there = &bytes[Header::SIZE..payload_end.min(bytes.len())];
    let is_whole = bytes.len() >= size;
    fields.extend(payload::fields(header.kind, there, there.len() == header.length as usize));
    if header.flags & flag::CHECKSUM != 0 && bytes.len() > payload_end {
        fields.push(trailer(&bytes[payload_end..size.min(bytes.len())], payload_end, there));
    }
    let is_damaged = fields.iter().any(|field| field.fault.is_some());
    let title = if is_whole { name } else { format!("{name}, {} of {size} bytes", bytes.len()) };
    Next { part: Part { title, bytes: 0..size.min(bytes.len()), fields, is_damaged }, size }
}

/// The size of the packet at the front as its header says, if one is there.
fn next_size(bytes: &[u8]) -> usize {
    bytes.get(..Header::SIZE).map_or(0, |head| Header::decode(head).packet_size())
}

fn has_known_check(head: &[u8], key: Option<u32>) -> bool {
    Header::has_check(head, 0) || key.is_none_or(|key| Header::has_check(head, key))
}

fn header_fields(head: &[u8], header: &Header, key: Option<u32>) -> Vec<Field> {
    let Header { kind, flags, class, length } = *header;
    let check = packet_text::hex(&head[8..], 4);
    let (value, fault) = match key {
        _ if Header::has_check(head, 0) => (format!("{check}, right with key 0"), None),
        Some(key) if Header::has_check(head, key) => (format!("{check}, right with key {key:08x}"), None),
        Some(key) => {
            let due = crc32c(&head[..8]) ^ key;
            (check, Some(format!("wrong check: with key {key:08x} it would be {due:08x}")))
        }
        None => (format!("{check}, of a key that was not seen"), None),
    };
    let undefined = (flags & flag::UNDEFINED != 0).then(|| format!("undefined bits {:#04x}", flags & flag::UNDEFINED));
    let names = packet_text::flag_names(flags);
    let flags_value = if names.is_empty() { "none".into() } else { names.join(" ") };
    vec![
        field("magic", packet_text::hex(&head[..2], 2), 0..2),
        field("kind", format!("{kind:#04x} {}", kind::name(kind)), 2..3),
        Field { fault: undefined, ..field("flags", flags_value, 3..4) },
        field("class", class.to_string(), 4..5),
        field("length", format!("{length} bytes"), 5..8),
        Field { fault, is_keyed: true, ..field("check", value, 8..12) },
    ]
}

fn trailer(bytes: &[u8], at: usize, payload: &[u8]) -> Field {
    let value = packet_text::hex(bytes, Header::TRAILER_SIZE);
    let due = crc32c(payload);
    let is_wrong = bytes.len() == Header::TRAILER_SIZE && bytes != due.to_be_bytes();
    let fault = is_wrong.then(|| format!("wrong trailer: it would be {due:08x}"));
    Field { fault, ..field("trailer", value, at..at + bytes.len()) }
}

/// The SYNC_KEY of a whole HELLO or HELLO_ACK.
fn announced_key(packet: &[u8]) -> Option<u32> {
    let header = Header::decode(packet.get(..Header::SIZE).filter(|head| Header::has_magic(head))?);
    let payload = packet.get(Header::SIZE..Header::SIZE + header.length as usize)?;
    if !matches!(header.kind, kind::HELLO | kind::HELLO_ACK) {
        return None;
    }
    let (items, _) = parse_items(payload);
    let key = items.iter().find(|entry| entry.id == item::SYNC_KEY)?;
    key.value.as_slice().try_into().ok().map(u32::from_be_bytes)
}

fn field(name: impl Into<String>, value: impl Into<String>, bytes: Range<usize>) -> Field {
    Field { name: name.into(), value: value.into(), bytes, fault: None, is_keyed: false }
}

fn plain(title: &str, range: Range<usize>, bytes: &[u8]) -> Part {
    let value = format!("{} bytes: {}", bytes.len(), payload::preview(bytes));
    Part { title: title.into(), bytes: range.clone(), fields: vec![field("bytes", value, range)], is_damaged: false }
}

impl Part {
    /// The part with the places that it has in a step. It begins at `position` of what follows earlier steps, which are the first
    /// `earlier` bytes of that; the step has `before` bytes in front of it. `None` if no byte of it is in the step.
    fn placed(mut self, position: usize, earlier: usize, before: usize) -> Option<Self> {
        let place = |range: &Range<usize>| {
            let shift = |at: usize| (at + position).saturating_sub(earlier) + before;
            shift(range.start)..shift(range.end)
        };
        self.bytes = place(&self.bytes);
        for field in &mut self.fields {
            let (full, placed) = (field.bytes.len(), place(&field.bytes));
            if placed.len() < full {
                field.value += " (begun before)";
            }
            field.bytes = placed;
        }
        (!self.bytes.is_empty()).then_some(self)
    }
}

#[cfg(test)]
mod tests;
