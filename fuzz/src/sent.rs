//! What a connection hands out, as its peer would judge it.

use pulsewire_protocol::{Class, Flags, HEADER_SIZE, Header, Kind};

/// From this size on a batch holds no more than it may: the smallest frame limit, with header and trailer.
const ROOM_LEAST: usize = 512 + HEADER_SIZE + 4;

/// The packets handed out so far.
#[derive(Debug, Default)]
pub(crate) struct Sent {
    /// What the peer checks headers with; unknown where the fuzzer announces it.
    peer_key: Option<u32>,
    /// The largest frame that the peer takes, where that is known.
    frame_limit: Option<u32>,
    kinds: Vec<Kind>,
    /// The message of which some frames went out, and how many bytes of others may go before the next (PW-DAT-014).
    open: Option<(Class, usize)>,
    /// The payload of the latest PONG.
    pub(crate) pong: Option<Vec<u8>>,
}

/// What of a batch is DATA.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Batch {
    packets: usize,
    bytes: usize,
}

impl Batch {
    /// It holds no more than `max` bytes, but for control packets. A small one holds one packet, whatever its size.
    pub(crate) fn check_room(self, max: usize) {
        let exceeds = self.bytes > max;
        assert!(!exceeds || (max < ROOM_LEAST && self.packets == 1), "{self:?} in a batch of {max} bytes");
    }
}

impl Sent {
    /// The peer's key and frame limit are known from now on.
    pub(crate) fn know_peer(&mut self, key: u32, frame_limit: u32) {
        (self.peer_key, self.frame_limit) = (Some(key), Some(frame_limit));
    }

    /// Checks that a peer would accept these bytes: whole packets, none that must not follow those before.
    pub(crate) fn check(&mut self, mut bytes: &[u8]) -> Batch {
        let mut batch = Batch::default();
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
            if fields.kind == Kind::DATA {
                self.check_frame(&fields);
                batch.packets += 1;
                batch.bytes += HEADER_SIZE + body.len();
            }
            if fields.kind == Kind::PONG {
                self.pong = Some(body.to_vec());
            }
            self.kinds.push(fields.kind);
            bytes = tail;
        }
        assert!(bytes.is_empty(), "half a packet was handed out");
        batch
    }

    /// PW-DAT-003, PW-DAT-005, PW-DAT-006, PW-DAT-009 and PW-DAT-014.
    fn check_frame(&mut self, fields: &Header) {
        let has = |flag| fields.flags.contains(flag);
        let (size, first, more) = (HEADER_SIZE + fields.body_size(), has(Flags::FIRST), has(Flags::MORE));
        assert!(self.frame_limit.is_none_or(|limit| fields.length <= limit), "a frame of {} bytes", fields.length);
        self.open = match self.open {
            None => {
                assert!(first, "a frame of no message");
                more.then_some((fields.class, size))
            }
            Some((class, _)) if !first => {
                assert_eq!(fields.class, class, "a frame of another message");
                more.then_some((class, size))
            }
            Some((class, room)) => {
                assert!(!more && fields.class != class, "a message that begins within another");
                assert!(size <= room, "{size} bytes between two frames, and {room} may go");
                Some((class, room - size))
            }
        };
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
