//! The fields of payloads (spec sections 7 to 9 and 11).

use std::ops::Range;

use super::{Field, field};
use crate::codec::Header;
use crate::codec::registry::{item, kind, reason, reject};
use crate::packet_text;

/// Bytes of application data that are shown as text.
const SHOWN: usize = 32;

/// The fields of a payload, of which the last may be missing if it is not `whole`.
pub(super) fn fields(of: u8, payload: &[u8], whole: bool) -> Vec<Field> {
    let mut reader = Reader { payload, position: 0, fields: Vec::new() };
    match of {
        kind::PING | kind::PONG => reader.number("number", 8, |number| number.to_string()),
        kind::CLOSE_ACK | kind::DRAIN => reader.number("received", 8, messages),
        kind::BUSY => reader.number("pause", 4, |pause| format!("{pause} ms")),
        kind::REJECT => {
            reader.number("ordinal", 8, |ordinal| format!("message {ordinal}"));
            reader.number("reason", 2, |code| rejection(code).into());
            reader.number("class", 1, |class| class.to_string());
        }
        kind::CLOSE => {
            reader.number("reason", 2, |code| format!("{code} {}", reason_name(code)));
            reader.number("received", 8, messages);
            reader.number("retry_after", 4, retry);
            reader.items();
        }
        kind::HELLO | kind::HELLO_ACK => reader.items(),
        _ => {}
    }
    reader.rest(matches!(of, kind::DATA | kind::FIRST_IGNORABLE..), whole);
    reader.fields
}

fn messages(count: u64) -> String {
    format!("{count} messages")
}

fn reason_name(code: u64) -> String {
    u16::try_from(code).map(reason::name).unwrap_or_default()
}

fn rejection(code: u64) -> &'static str {
    match u16::try_from(code) {
        Ok(reject::TOO_LARGE) => "1 TOO_LARGE",
        Ok(reject::DAMAGED) => "2 DAMAGED",
        Ok(32_768..) => "of the application",
        _ => "not defined",
    }
}

fn retry(milliseconds: u64) -> String {
    if milliseconds == u64::from(u32::MAX) { "never".into() } else { format!("{milliseconds} ms") }
}

struct Reader<'p> {
    payload: &'p [u8],
    position: usize,
    fields: Vec<Field>,
}

impl<'p> Reader<'p> {
    /// The next bytes and where they lie in the packet; `None` if there are not so many.
    fn bytes(&mut self, length: usize) -> Option<(&'p [u8], Range<usize>)> {
        let bytes = self.payload.get(self.position..self.position + length)?;
        let begin = Header::SIZE + self.position;
        self.position += length;
        Some((bytes, begin..begin + length))
    }

    fn number(&mut self, name: &str, length: usize, value: impl Fn(u64) -> String) {
        if let Some((bytes, range)) = self.bytes(length) {
            self.fields.push(field(name, value(packet_text::number(bytes)), range));
        }
    }

    /// As many whole items as there are.
    fn items(&mut self) {
        while let Some([id_high, id_low, length_high, length_low]) =
            self.payload.get(self.position..).and_then(|rest| rest.first_chunk().copied())
        {
            let id = u16::from_be_bytes([id_high, id_low]);
            let length = usize::from(u16::from_be_bytes([length_high, length_low]));
            if self.payload.len() < self.position + 4 + length {
                return;
            }
            let name = item_name(id);
            self.number("item", 4, |_| format!("{name}, {length} bytes"));
            if let Some((value, range)) = self.bytes(length) {
                let is_keyed = id == item::SYNC_KEY;
                self.fields.push(Field { is_keyed, ..field(name, item_value(id, value), range) });
            }
        }
    }

    /// What is left over: application data, or bytes that do not belong there.
    fn rest(&mut self, is_data: bool, whole: bool) {
        let left = self.payload.len() - self.position;
        let Some((bytes, range)) = self.bytes(left).filter(|(bytes, _)| !bytes.is_empty()) else { return };
        let value = format!("{left} bytes: {}", preview(bytes));
        let fault = (!is_data && whole).then(|| "bytes that this kind has no place for".to_owned());
        self.fields.push(Field { fault, ..field(if is_data { "payload" } else { "rest" }, value, range) });
    }
}

fn item_name(id: u16) -> String {
    match id {
        item::VERSIONS => "VERSIONS".into(),
        item::SYNC_KEY => "SYNC_KEY".into(),
        item::LIMITS => "LIMITS".into(),
        item::PING_FLOOR => "PING_FLOOR".into(),
        item::FEATURES => "FEATURES".into(),
        item::TOKEN => "TOKEN".into(),
        item::TEXT => "TEXT".into(),
        item::LIMIT => "LIMIT".into(),
        unknown => format!("item {unknown:#06x}"),
    }
}

fn item_value(id: u16, value: &[u8]) -> String {
    match (id, value) {
        (item::VERSIONS, [lowest, highest]) => format!("{lowest} to {highest}"),
        (item::LIMITS, bytes) if bytes.len() == 8 => {
            let (frame, message) = (packet_text::number(&bytes[..4]), packet_text::number(&bytes[4..]));
            format!("frames of {frame}, messages of {message} bytes")
        }
        (item::PING_FLOOR, bytes) if bytes.len() == 4 => format!("{} ms", packet_text::number(bytes)),
        (item::FEATURES, bytes) if bytes.len() == 4 => {
            let bits = packet_text::number(bytes);
            let resync = if bits & u64::from(item::FEATURE_RESYNC) != 0 { " RESYNC" } else { "" };
            format!("{bits:#010x}{resync}")
        }
        (item::LIMIT, bytes) if bytes.len() == 16 => {
            format!("limit {}, size {}", packet_text::number(&bytes[..8]), packet_text::number(&bytes[8..]))
        }
        (item::TEXT, bytes) => preview(bytes),
        (_, bytes) => packet_text::hex(bytes, 16),
    }
}

/// The beginning of bytes as text where they are text, else in hex.
pub(super) fn preview(bytes: &[u8]) -> String {
    let start = &bytes[..bytes.len().min(SHOWN)];
    let more = if bytes.len() > SHOWN { "…" } else { "" };
    match str::from_utf8(start) {
        Ok(text) if !text.chars().any(|c| c.is_control()) => format!("\"{}\"{more}", text.escape_debug()),
        _ => packet_text::hex(start, SHOWN) + more,
    }
}
