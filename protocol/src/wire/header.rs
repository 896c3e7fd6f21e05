//! The 12-byte header (section 3 of the specification).

use core::fmt;
use core::ops::BitOr;

use super::checksum::{header_checksum, header_difference};
use super::error::WireError;

/// Bytes of a header.
pub const HEADER_SIZE: usize = 12;

/// Bytes of a trailer.
pub(crate) const TRAILER_SIZE: usize = 4;

/// The largest length that a header can hold.
const LENGTH_MAX: u32 = 0xFF_FFFF;

/// The first two bytes of every packet. Never valid UTF-8, and no suffix of it is a prefix of it.
pub const MAGIC: [u8; 2] = [0xF7, 0x9A];

/// What a packet is (section 11.1). Unknown values are kept as they came.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Kind(pub u8);

impl Kind {
    /// The client's first packet.
    pub const HELLO: Self = Self(0x01);
    /// The server's first packet.
    pub const HELLO_ACK: Self = Self(0x02);
    /// Says that one message was refused (section 6.1).
    pub const REJECT: Self = Self(0x03);
    /// A message, or a part of one.
    pub const DATA: Self = Self(0x04);
    /// A probe.
    pub const PING: Self = Self(0x05);
    /// Its answer.
    pub const PONG: Self = Self(0x06);
    /// Says that its sender does not read for a while (section 8.4).
    pub const BUSY: Self = Self(0x07);
    /// Says that its sender is going to close (section 9.1).
    pub const DRAIN: Self = Self(0x08);
    /// Asks to close, or says why it closed.
    pub const CLOSE: Self = Self(0x09);
    /// The answer to CLOSE.
    pub const CLOSE_ACK: Self = Self(0x0A);

    /// Whether a receiver that doesn't know this kind passes over it (PW-HDR-008).
    #[must_use]
    pub const fn is_ignorable(self) -> bool {
        self.0 & 0x80 != 0
    }

    /// The payload sizes that a control packet of this kind may have; `None` for DATA and unknown kinds.
    const fn control_sizes(self) -> Option<(u32, u32)> {
        match self {
            Self::HELLO | Self::HELLO_ACK => Some((14, 4_096)),
            Self::REJECT => Some((11, 11)),
            Self::PING | Self::PONG | Self::DRAIN | Self::CLOSE_ACK => Some((8, 8)),
            Self::BUSY => Some((4, 4)),
            Self::CLOSE => Some((14, 512)),
            _ => None,
        }
    }
}

impl fmt::Debug for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match *self {
            Self::HELLO => "HELLO",
            Self::HELLO_ACK => "HELLO_ACK",
            Self::REJECT => "REJECT",
            Self::DATA => "DATA",
            Self::PING => "PING",
            Self::PONG => "PONG",
            Self::BUSY => "BUSY",
            Self::DRAIN => "DRAIN",
            Self::CLOSE => "CLOSE",
            Self::CLOSE_ACK => "CLOSE_ACK",
            Self(other) => return write!(f, "Kind({other:#04x})"),
        })
    }
}

/// The flags of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Flags(pub u8);

impl Flags {
    /// None.
    pub const NONE: Self = Self(0);
    /// Begins a message.
    pub const FIRST: Self = Self(0x01);
    /// The message goes on in another frame.
    pub const MORE: Self = Self(0x02);
    /// A trailer follows the payload.
    pub const CHECKSUM: Self = Self(0x04);
    /// The application sealed the payload.
    pub const ENCRYPTED: Self = Self(0x08);
    /// Every flag that this version defines.
    const KNOWN: u8 = 0x0F;

    /// Whether all of `other` are set.
    #[must_use]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// All but `other`.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }
}

impl BitOr for Flags {
    type Output = Self;

    #[inline]
    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// What a message is about (section 11.2). Order is kept within a class.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(transparent))]
pub struct Class(pub u8);

impl Class {
    /// Not classified.
    pub const UNCLASSIFIED: Self = Self(0);
    /// The system's own.
    pub const SYSTEM: Self = Self(1);
    /// Between users.
    pub const COMMUNICATION: Self = Self(2);
    /// To a room or group.
    pub const ROOM: Self = Self(3);
    /// The application's business.
    pub const BUSINESS: Self = Self(4);

    /// Whether no message may have this class (PW-HDR-011).
    #[must_use]
    pub const fn is_reserved(self) -> bool {
        matches!(self.0, 5..=127)
    }
}

/// A header whose check has been verified, or that is to be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// What the packet is.
    pub kind: Kind,
    /// Its flags.
    pub flags: Flags,
    /// Of DATA; else 0.
    pub class: Class,
    /// Payload bytes, trailer excluded: at most 16,777,215.
    pub length: u32,
}

impl Header {
    /// Reads a header, if magic and check are right for this sync key (PW-HDR-002, PW-HDR-003, PW-HDR-004).
    #[inline]
    #[must_use]
    pub fn verify(bytes: &[u8; HEADER_SIZE], sync_key: u32) -> Option<Self> {
        let [m0, m1, kind, flags, class, l0, l1, l2, c0, c1, c2, c3] = *bytes;
        let check = u32::from_be_bytes([c0, c1, c2, c3]);
        let tail = u32::from_be_bytes([class, l0, l1, l2]);
        if [m0, m1] != MAGIC || header_checksum::<{ MAGIC[0] }, { MAGIC[1] }>(kind, flags, tail) ^ sync_key != check {
            return None;
        }
        Some(Self { kind: Kind(kind), flags: Flags(flags), class: Class(class), length: tail & LENGTH_MAX })
    }

    /// Reads a header that was verified before.
    #[inline]
    pub(crate) fn read(&[_, _, kind, flags, class, l0, l1, l2, ..]: &[u8; HEADER_SIZE]) -> Self {
        let length = u32::from_be_bytes([0, l0, l1, l2]);
        Self { kind: Kind(kind), flags: Flags(flags), class: Class(class), length }
    }

    /// Writes a header for the receiver whose sync key this is (PW-HDR-001, PW-HDR-003).
    ///
    /// The upper eight bits of `length` are not written; the core never makes such a frame.
    #[inline]
    #[must_use]
    pub fn encode(&self, sync_key: u32) -> [u8; HEADER_SIZE] {
        let (kind, flags, class) = (self.kind.0, self.flags.0, self.class.0);
        let tail = u32::from(class) << 24 | (self.length & LENGTH_MAX);
        let check = header_checksum::<{ MAGIC[0] }, { MAGIC[1] }>(kind, flags, tail) ^ sync_key;
        let [class, l0, l1, l2] = tail.to_be_bytes();
        let [c0, c1, c2, c3] = check.to_be_bytes();
        [MAGIC[0], MAGIC[1], kind, flags, class, l0, l1, l2, c0, c1, c2, c3]
    }

    /// Bytes of payload and trailer, which follow the header directly (PW-HDR-001). The length counts the payload alone
    /// (PW-HDR-012).
    #[inline]
    #[must_use]
    pub const fn body_size(&self) -> usize {
        self.length as usize + if self.flags.contains(Flags::CHECKSUM) { TRAILER_SIZE } else { 0 }
    }

    /// Judges the fields, in the order of PW-HDR-017. `frame_limit` is the receiver's own, for DATA (PW-FRM-012) and ignorable
    /// kinds (PW-HDR-015).
    ///
    /// # Errors
    /// The first rule that is broken.
    pub fn judge(&self, frame_limit: u32) -> Result<(), WireError> {
        let Self { kind, flags: Flags(flags), class, length } = *self;
        let sizes = kind.control_sizes();
        let is_data = kind == Kind::DATA;
        if flags & !Flags::KNOWN != 0 {
            return Err(WireError::UnknownFlag { flags });
        }
        if !is_data && sizes.is_none() && !kind.is_ignorable() {
            return Err(WireError::UnknownKind { kind });
        }
        if !is_data && flags & !Flags::CHECKSUM.0 != 0 {
            return Err(WireError::FlagsNotAllowed { kind, flags });
        }
        if (is_data && class.is_reserved()) || (!is_data && class != Class::UNCLASSIFIED) {
            return Err(WireError::ClassNotAllowed { kind, class });
        }
        match sizes {
            Some((low, high)) if length < low || length > high => Err(WireError::BadLength { kind, length }),
            None if length > frame_limit => Err(WireError::FrameTooLarge { limit: frame_limit, size: length }),
            Some(_) | None => Ok(()),
        }
    }
}

/// Writes and reads the headers of messages in one frame. What they have in common is worked out once: that saves a third of
/// their checks, and all that is to be judged about kind and flags.
pub(crate) struct MessageHeaders {
    /// The first four bytes of the header of a message that is not encrypted, as one number.
    front: u32,
    /// The check of an empty one of class 0.
    check: u32,
}

impl MessageHeaders {
    /// For the receiver whose sync key this is, which asked for checksums or did not.
    pub(crate) fn new(sync_key: u32, checksums: bool) -> Self {
        let flags = if checksums { Flags::FIRST | Flags::CHECKSUM } else { Flags::FIRST };
        Self {
            front: u32::from_be_bytes([MAGIC[0], MAGIC[1], Kind::DATA.0, flags.0]),
            check: header_checksum::<{ MAGIC[0] }, { MAGIC[1] }>(Kind::DATA.0, flags.0, 0) ^ sync_key,
        }
    }

    /// The header of a small message.
    #[inline]
    pub(crate) fn encode(&self, class: Class, encrypted: bool, length: u16) -> [u8; HEADER_SIZE] {
        let sealed = if encrypted { Flags::ENCRYPTED } else { Flags::NONE };
        let tail = u32::from(class.0) << 24 | u32::from(length);
        let word = u64::from(self.front | u32::from(sealed.0)) << 32 | u64::from(tail);
        let check = self.check ^ header_difference(sealed.0, tail);
        let mut header = [0; HEADER_SIZE];
        // Two stores; the bytes one by one take as long as all the rest.
        header[..8].copy_from_slice(&word.to_be_bytes());
        header[8..].copy_from_slice(&check.to_be_bytes());
        header
    }

    /// Reads a header, if magic, kind and check are right and the flags are these.
    #[inline]
    pub(crate) fn verify(&self, bytes: &[u8; HEADER_SIZE]) -> Option<Header> {
        let [m0, m1, kind, flags, class, l0, l1, l2, c0, c1, c2, c3] = *bytes;
        let front = u32::from_be_bytes([m0, m1, kind, flags]);
        let tail = u32::from_be_bytes([class, l0, l1, l2]);
        let check = u32::from_be_bytes([c0, c1, c2, c3]);
        // What is left of the front is ENCRYPTED or nothing.
        let sealed = front ^ self.front;
        if sealed & !u32::from(Flags::ENCRYPTED.0) != 0 || self.check ^ header_difference(sealed as u8, tail) != check {
            return None;
        }
        let [.., flags] = front.to_be_bytes();
        let [class, ..] = tail.to_be_bytes();
        Some(Header { kind: Kind::DATA, flags: Flags(flags), class: Class(class), length: tail & LENGTH_MAX })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_flag_and_itself_is_the_flag() {
        assert_eq!(Flags::FIRST | Flags::FIRST, Flags::FIRST);
        assert_eq!((Flags::FIRST | Flags::MORE).0, Flags::FIRST.0 + Flags::MORE.0);
    }

    #[test]
    fn kinds_have_names() {
        assert_eq!(std::format!("{:?}", Kind::PING), "PING");
    }

    proptest! {
        #[test]
        fn encoding_and_verifying_a_header_changes_nothing(
            kind: u8, flags: u8, class: u8, length in 0u32..1 << 24, key: u32, other_key: u32,
        ) {
            let header = Header { kind: Kind(kind), flags: Flags(flags), class: Class(class), length };
            let bytes = header.encode(key);
            prop_assert_eq!(Header::verify(&bytes, key), Some(header));
            prop_assert_eq!(Header::verify(&bytes, other_key).is_some(), key == other_key);
        }

        /// PW-HDR-003: the short way gives the same header.
        #[test]
        fn the_headers_of_messages_are_headers(key: u32, checksums: bool, class: u8, encrypted: bool, length: u16) {
            let bytes = MessageHeaders::new(key, checksums).encode(Class(class), encrypted, length);
            let sealed = if encrypted { Flags::ENCRYPTED } else { Flags::NONE };
            let checked = if checksums { Flags::CHECKSUM } else { Flags::NONE };
            let flags = Flags::FIRST | sealed | checked;
            let header = Header { kind: Kind::DATA, flags, class: Class(class), length: length.into() };
            prop_assert_eq!(bytes, header.encode(key));
            prop_assert_eq!(Header::verify(&bytes, key), Some(header));
        }

        /// PW-HDR-002 to PW-HDR-004: the short way verifies what the long one does, and no other kinds or flags.
        #[test]
        fn a_message_is_verified_as_any_packet(
            key: u32, checksums: bool, kind in 0u8..8, flags in 0u8..32, class: u8, length in 0u32..1 << 24, damage: Option<(u8, u8)>,
        ) {
            let header = Header { kind: Kind(kind), flags: Flags(flags), class: Class(class), length };
            let mut bytes = header.encode(key);
            if let Some((place, bits)) = damage {
                bytes[usize::from(place) % HEADER_SIZE] ^= bits;
            }
            let checked = if checksums { Flags::CHECKSUM } else { Flags::NONE };
            let usual = |header: &Header| {
                header.kind == Kind::DATA && header.flags.without(Flags::ENCRYPTED) == Flags::FIRST | checked
            };
            let verified = MessageHeaders::new(key, checksums).verify(&bytes);
            prop_assert_eq!(verified, Header::verify(&bytes, key).filter(usual));
        }
    }
}
