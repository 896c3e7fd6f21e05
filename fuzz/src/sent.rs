//! What a connection hands out, as its peer would judge it.

use pulsewire_protocol::{Class, Flags, HEADER_SIZE, Header, Kind};

/// The packets handed out so far.
#[derive(Debug, Default)]
pub(crate) struct Sent {
    /// What the peer checks headers with; unknown where the fuzzer announces it.
    peer_key: Option<u32>,
    kinds: Vec<Kind>,
    /// The payload of the latest PONG.
    pub(crate) pong: Option<Vec<u8>>,
}

impl Sent {
    /// The peer's key is known from now on.
    pub(crate) fn know_key(&mut self, key: u32) {
        self.peer_key = Some(key);
    }

    /// Checks that a peer would accept these bytes: whole packets, none that must not follow those before.
    pub(crate) fn check(&mut self, mut bytes: &[u8]) {
        while let Some((header, rest)) = bytes.split_first_chunk::<HEADER_SIZE>() {
            let fields = self.verify(header);
            fields.judge(0xFF_FFFF).expect("a header that a peer accepts");
            assert!(!self.kinds.contains(&Kind::CLOSE_ACK), "{:?} behind CLOSE_ACK", fields.kind);
            if self.kinds.contains(&Kind::CLOSE) {
                assert!(
                    matches!(fields.kind, Kind::PING | Kind::PONG | Kind::REJECT | Kind::CLOSE_ACK),
                    "{:?} behind CLOSE",
                    fields.kind
                );
            }
            assert!(fields.kind != Kind::DRAIN || !self.kinds.contains(&Kind::DRAIN), "a second DRAIN");
            let (body, tail) = rest.split_at(fields.body_size());
            if fields.kind == Kind::PONG {
                self.pong = Some(body.to_vec());
            }
            self.kinds.push(fields.kind);
            bytes = tail;
        }
        assert!(bytes.is_empty(), "half a packet was handed out");
    }

    fn verify(&mut self, bytes: &[u8; HEADER_SIZE]) -> Header {
        let key = if self.kinds.is_empty() { Some(0) } else { self.peer_key };
        let key = key.unwrap_or_else(|| {
            // The header is right for one key only: the one that the check was mixed with.
            let check = |bytes: &[u8]| u32::from_be_bytes(bytes[8..].try_into().expect("four bytes"));
            let fields = Header {
                kind: Kind(bytes[2]),
                flags: Flags(bytes[3]),
                class: Class(bytes[4]),
                length: u32::from_be_bytes([0, bytes[5], bytes[6], bytes[7]]),
            };
            *self.peer_key.insert(check(bytes) ^ check(&fields.encode(0)))
        });
        Header::verify(bytes, key).expect("a header that verifies")
    }
}
