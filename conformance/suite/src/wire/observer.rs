//! What passes between a client and a server, packet by packet.

use crate::codec::registry::{flag, kind};
use crate::codec::{Header, Hello, Packet, crc32c};
use crate::packet_text;

/// Bytes of what is no packet that are shown.
const SHOWN: usize = 16;

/// One end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The end that connected.
    Client,
    /// The end that accepted.
    Server,
}

impl Side {
    /// The word for people and programs.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Server => "server",
        }
    }

    /// The end that gets what this one sends.
    #[must_use]
    pub fn other(self) -> Self {
        match self {
            Self::Client => Self::Server,
            Self::Server => Self::Client,
        }
    }
}

/// A packet that passed, or bytes that are none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// What it is, in words. What a peer chose is shown in hex, or as in Rust.
    pub text: String,
    /// All its bytes.
    pub bytes: Vec<u8>,
    /// The packet; `None` for bytes that are none, and for a header with a wrong check.
    pub packet: Option<Packet>,
    /// Whether its receiver will not believe it: no packet, or a wrong trailer.
    pub is_damaged: bool,
}

/// Puts both directions of one connection into packets and words. It learns the keys from the handshake.
#[derive(Debug, Default)]
pub struct Observer {
    from_client: Direction,
    from_server: Direction,
}

#[derive(Debug, Default)]
struct Direction {
    /// Bytes that are no whole packet yet.
    pending: Vec<u8>,
    /// The key of the receiver, once that announced it.
    key: Option<u32>,
}

impl Observer {
    /// One that has seen nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// What these bytes complete, in order.
    pub fn take(&mut self, from: Side, bytes: &[u8]) -> Vec<Seen> {
        let (this, other) = match from {
            Side::Client => (&mut self.from_client, &mut self.from_server),
            Side::Server => (&mut self.from_server, &mut self.from_client),
        };
        this.pending.extend_from_slice(bytes);
        let (mut seen, mut position) = (Vec::new(), 0);
        while let Some(next) = next(&this.pending[position..], this.key) {
            position += next.bytes.len();
            let greeting = next.packet.as_ref().filter(|packet| matches!(packet.kind, kind::HELLO | kind::HELLO_ACK));
            if let Some(hello) = greeting.and_then(|packet| Hello::parse(&packet.payload).ok()) {
                other.key = other.key.or(Some(hello.sync_key));
            }
            seen.push(next);
        }
        this.pending.drain(..position);
        seen
    }

    /// The bytes from this side that are no whole packet yet.
    #[must_use]
    pub fn pending(&self, from: Side) -> &[u8] {
        match from {
            Side::Client => &self.from_client.pending,
            Side::Server => &self.from_server.pending,
        }
    }
}

/// What is at the front; `None` if more has to come first. Before the handshake is seen, headers are believed.
fn next(bytes: &[u8], key: Option<u32>) -> Option<Seen> {
    let garbage = packet_text::garbage_before_magic(bytes);
    if garbage > 0 {
        return Some(no_packet(&bytes[..garbage]));
    }
    let head = bytes.get(..Header::SIZE)?;
    let Header { kind, flags, class, length } = Header::decode(head);
    if !Header::has_check(head, 0) && key.is_some_and(|key| !Header::has_check(head, key)) {
        let text = format!("header of {} with a wrong check", kind::name(kind));
        return Some(Seen { text, bytes: head.to_vec(), packet: None, is_damaged: true });
    }
    let size = Header::decode(head).packet_size();
    let (payload, trailer) = bytes.get(Header::SIZE..size)?.split_at(length as usize);
    let packet = Packet { kind, flags, class, payload: payload.to_vec() };
    let is_damaged = flags & flag::CHECKSUM != 0 && trailer != crc32c(payload).to_be_bytes();
    let text = packet_text::describe(&packet) + if is_damaged { ", wrong trailer" } else { "" };
    Some(Seen { text, bytes: bytes[..size].to_vec(), packet: Some(packet), is_damaged })
}

fn no_packet(bytes: &[u8]) -> Seen {
    let start = &bytes[..bytes.len().min(SHOWN)];
    let is_text = start.iter().all(|byte| byte.is_ascii_graphic() || byte.is_ascii_whitespace());
    let shown = if is_text { format!("{:?}", String::from_utf8_lossy(start)) } else { packet_text::hex(start, SHOWN) };
    let more = if bytes.len() > SHOWN { "…" } else { "" };
    let text = format!("{} bytes that are no packet: {shown}{more}", bytes.len());
    Seen { text, bytes: bytes.to_vec(), packet: None, is_damaged: true }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire;

    fn texts(seen: &[Seen]) -> Vec<&str> {
        seen.iter().map(|seen| seen.text.as_str()).collect()
    }

    #[test]
    fn keys_are_learned_and_packets_put_together() {
        let mut observer = Observer::new();
        let hello = wire::hello(7, false).encode(0);
        assert!(observer.take(Side::Client, &hello[..20]).is_empty());
        assert_eq!(observer.pending(Side::Client).len(), 20);
        assert_eq!(observer.take(Side::Client, &hello[20..])[0].packet, Some(wire::hello(7, false)));
        let ack = Packet { kind: kind::HELLO_ACK, ..wire::hello(9, false) };
        let both = [ack.encode(0), Packet::ping(3).encode(7)].concat();
        assert_eq!(texts(&observer.take(Side::Server, &both))[1], "PING 3");
        let right = Packet::data(flag::FIRST, 0, *b"x").encode(9);
        let mut wrong = right.clone();
        wrong[12] ^= 1;
        let seen = observer.take(Side::Client, &[&right[..], &wrong].concat());
        assert_eq!([seen[0].is_damaged, seen[1].is_damaged], [false, true]);
        assert!(seen[1].text.ends_with("wrong trailer"), "{seen:?}");
        assert_eq!(
            texts(&observer.take(Side::Client, &Packet::ping(1).encode(8)))[0],
            "header of PING with a wrong check"
        );
    }

    #[test]
    fn other_protocols_are_shown_as_text() {
        let seen = Observer::new().take(Side::Server, b"SSH-2.0-x\r\n");
        assert_eq!(texts(&seen), ["11 bytes that are no packet: \"SSH-2.0-x\\r\\n\""]);
    }
}
