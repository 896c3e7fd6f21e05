//! Cuts what a subject sends into packets, and forgives nothing.

use super::checksum::crc32c;
use super::packet::{Header, Packet};
use super::registry::{flag, kind};

/// The strict receiver of the scripted peer: a subject has no excuse for a byte that is not part of a valid packet.
pub(crate) struct Parser {
    buffer: Vec<u8>,
    /// The key that the next header must have: 0 for the first packet, then the one that this side announced.
    key: u32,
    /// The bytes of the last packet taken.
    last: Vec<u8>,
}

impl Parser {
    /// A parser at the beginning of a stream.
    pub(crate) fn new() -> Self {
        Self { buffer: Vec::new(), key: 0, last: Vec::new() }
    }

    /// Sets the key that later headers must have.
    pub(crate) fn set_key(&mut self, key: u32) {
        self.key = key;
    }

    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// Forgets all bytes that are not yet a whole packet.
    pub(crate) fn forget(&mut self) {
        self.buffer.clear();
    }

    /// Bytes that are not yet a whole packet.
    pub(crate) fn rest(&self) -> &[u8] {
        &self.buffer
    }

    /// The bytes of the packet that was taken last.
    pub(crate) fn last(&self) -> &[u8] {
        &self.last
    }

    /// Whether the next packet is of this kind, as far as its header is there.
    pub(crate) fn next_is(&self, kind: u8) -> bool {
        self.buffer.get(..Header::SIZE).is_some_and(|head| Header::decode(head).kind == kind)
    }

    /// Takes the next whole packet.
    ///
    /// # Errors
    ///
    /// A sentence that says what is wrong with the bytes, and by which requirement.
    pub(crate) fn next_packet(&mut self) -> Result<Option<Packet>, String> {
        if self.buffer.len() < Header::SIZE {
            return Ok(None);
        }
        let head = &self.buffer[..Header::SIZE];
        if !Header::has_magic(head) {
            return Err(format!("PW-HDR-002: no magic at the beginning of a packet: {head:02x?}"));
        }
        if !Header::has_check(head, self.key) {
            return Err(format!("PW-KEY-001: a header that does not verify with the key in force: {head:02x?}"));
        }
        let header = Header::decode(head);
        judge(&header)?;
        let size = header.packet_size();
        if self.buffer.len() < size {
            return Ok(None);
        }
        // What follows may be megabytes that were read ahead: it is moved, and not copied to new memory for each packet.
        self.last = self.buffer[..size].to_vec();
        self.buffer.drain(..size);
        let (payload, trailer) = self.last[Header::SIZE..].split_at(header.length as usize);
        if header.flags & flag::CHECKSUM != 0 && trailer != crc32c(payload).to_be_bytes() {
            return Err(format!("PW-HDR-012: a wrong trailer on {}", kind::name(header.kind)));
        }
        let Header { kind, flags, class, .. } = header;
        Ok(Some(Packet { kind, flags, class, payload: payload.to_vec() }))
    }
}

/// What a sender may never put into a header, whatever was announced.
fn judge(header: &Header) -> Result<(), String> {
    let name = kind::name(header.kind);
    let Header { flags, class, length, .. } = *header;
    if flags & flag::UNDEFINED != 0 {
        return Err(format!("PW-HDR-005: {name} with undefined flags {flags:#04x}"));
    }
    if header.kind == kind::DATA {
        return match class {
            5..=127 => Err(format!("PW-HDR-011: DATA of the reserved class {class}")),
            _ => Ok(()),
        };
    }
    let Some(lengths) = kind::control_lengths(header.kind) else {
        return Err(format!("PW-HDR-007: a kind that this version does not define: {name}"));
    };
    if flags & !flag::CHECKSUM != 0 {
        return Err(format!("PW-HDR-006: {name} with flags {flags:#04x}"));
    }
    if class != 0 {
        return Err(format!("PW-HDR-010: {name} of class {class}"));
    }
    if !lengths.contains(&length) {
        return Err(format!("PW-HDR-014: {name} of {length} bytes"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{Packet, Parser, flag};

    #[test]
    fn cuts_glued_and_split_packets_alike() {
        let packets = [Packet::ping(7), Packet::data(flag::FIRST, 2, b"seven".as_slice())];
        let stream: Vec<u8> = packets.iter().flat_map(|packet| packet.encode(0)).collect();
        for cut in 0..=stream.len() {
            let mut parser = Parser::new();
            let mut cut_out = Vec::new();
            for piece in [&stream[..cut], &stream[cut..]] {
                parser.push(piece);
                while let Some(packet) = parser.next_packet().expect("a valid stream") {
                    cut_out.push(packet);
                }
            }
            assert_eq!(cut_out, packets, "cut at {cut}");
        }
    }

    #[test]
    fn refuses_the_wrong_key_and_a_wrong_trailer() {
        let mut parser = Parser::new();
        parser.push(&Packet::ping(1).encode(5));
        parser.next_packet().expect_err("key 0 is in force");
        let mut parser = Parser::new();
        parser.push(&Packet::data(flag::FIRST, 0, b"x".as_slice()).encode_with_wrong_trailer(0));
        parser.next_packet().expect_err("the trailer is wrong");
    }
}
