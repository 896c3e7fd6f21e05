//! The header (spec section 3) and whole packets.

use super::checksum::crc32c;
use super::registry::{flag, kind};

/// The fields of a header, without the check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) class: u8,
    /// Of the payload, in bytes.
    pub(crate) length: u32,
}

impl Header {
    /// Bytes of a header on the wire.
    pub(crate) const SIZE: usize = 12;
    /// Bytes of a trailer on the wire.
    pub(crate) const TRAILER_SIZE: usize = 4;
    pub(crate) const MAGIC: [u8; 2] = [0xF7, 0x9A];

    /// The header with its check under `key`.
    pub(crate) fn encode(&self, key: u32) -> [u8; Self::SIZE] {
        assert!(self.length < 1 << 24, "the length field has 24 bits");
        let [_, high, middle, low] = self.length.to_be_bytes();
        let mut bytes =
            [Self::MAGIC[0], Self::MAGIC[1], self.kind, self.flags, self.class, high, middle, low, 0, 0, 0, 0];
        let check = crc32c(&bytes[..8]) ^ key;
        bytes[8..].copy_from_slice(&check.to_be_bytes());
        bytes
    }

    /// Whether the first 12 bytes have the magic.
    pub(crate) fn has_magic(bytes: &[u8]) -> bool {
        bytes[..2] == Self::MAGIC
    }

    /// Whether the first 12 bytes have the right check under `key`.
    pub(crate) fn has_check(bytes: &[u8], key: u32) -> bool {
        bytes[8..12] == (crc32c(&bytes[..8]) ^ key).to_be_bytes()
    }

    /// The fields of the first 12 bytes, believed or not.
    pub(crate) fn decode(bytes: &[u8]) -> Self {
        let length = u32::from_be_bytes([0, bytes[5], bytes[6], bytes[7]]);
        Self { kind: bytes[2], flags: bytes[3], class: bytes[4], length }
    }

    /// Bytes of the whole packet on the wire: header, payload and trailer.
    pub(crate) fn packet_size(&self) -> usize {
        let trailer = if self.flags & flag::CHECKSUM == 0 { 0 } else { Self::TRAILER_SIZE };
        Self::SIZE + self.length as usize + trailer
    }
}

/// A packet without its check and trailer, which `encode` adds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    /// The kind (section 11.1).
    pub kind: u8,
    /// The flags (section 3), also those that are not defined.
    pub flags: u8,
    /// The class (section 11.2).
    pub class: u8,
    /// The payload, of less than 16 MiB.
    pub payload: Vec<u8>,
}

impl Packet {
    /// A control packet without flags.
    #[must_use]
    pub fn control(kind: u8, payload: impl Into<Vec<u8>>) -> Self {
        Self { kind, flags: 0, class: 0, payload: payload.into() }
    }

    /// A DATA packet with CHECKSUM besides `flags`.
    #[must_use]
    pub fn data(flags: u8, class: u8, payload: impl Into<Vec<u8>>) -> Self {
        Self { kind: kind::DATA, flags: flags | flag::CHECKSUM, class, payload: payload.into() }
    }

    pub(crate) fn ping(number: u64) -> Self {
        Self::control(kind::PING, number.to_be_bytes())
    }

    pub(crate) fn pong(number: u64) -> Self {
        Self::control(kind::PONG, number.to_be_bytes())
    }

    pub(crate) fn close_ack(received: u64) -> Self {
        Self::control(kind::CLOSE_ACK, received.to_be_bytes())
    }

    pub(crate) fn reject(class: u8, ordinal: u64, reason: u16) -> Self {
        let mut payload = ordinal.to_be_bytes().to_vec();
        payload.extend_from_slice(&reason.to_be_bytes());
        payload.push(class);
        Self::control(kind::REJECT, payload)
    }

    /// `pause` is in milliseconds.
    pub(crate) fn busy(pause: u32) -> Self {
        Self::control(kind::BUSY, pause.to_be_bytes())
    }

    pub(crate) fn drain(received: u64) -> Self {
        Self::control(kind::DRAIN, received.to_be_bytes())
    }

    /// The class, the ordinal and the reason of a REJECT.
    ///
    /// # Panics
    ///
    /// As [`number`](Self::number), if the payload has not 11 bytes.
    pub(crate) fn rejected(&self) -> (u8, u64, u16) {
        let (ordinal, rest) = self.payload.split_first_chunk().expect("11 bytes, by the length rule of REJECT");
        let (reason, rest) = rest.split_first_chunk().expect("11 bytes, by the length rule of REJECT");
        let [class] = rest.try_into().expect("11 bytes, by the length rule of REJECT");
        (class, u64::from_be_bytes(*ordinal), u16::from_be_bytes(*reason))
    }

    /// The pause of a BUSY, in milliseconds.
    ///
    /// # Panics
    ///
    /// As [`number`](Self::number), if the payload has not 4 bytes.
    pub(crate) fn pause(&self) -> u32 {
        u32::from_be_bytes(self.payload.as_slice().try_into().expect("4 bytes, by the length rule of BUSY"))
    }

    /// The number of a PING, PONG, DRAIN or CLOSE_ACK.
    ///
    /// # Panics
    ///
    /// If the payload has not 8 bytes; parser and framer let no such packet through.
    pub(crate) fn number(&self) -> u64 {
        u64::from_be_bytes(self.payload.as_slice().try_into().expect("8 bytes, by the length rule of the kind"))
    }

    pub(crate) fn has(&self, flags: u8) -> bool {
        self.flags & flags == flags
    }

    pub(crate) fn header(&self) -> Header {
        let length = u32::try_from(self.payload.len()).expect("a payload of less than 16 MiB");
        Header { kind: self.kind, flags: self.flags, class: self.class, length }
    }

    /// The packet on the wire under `key`, the sync key of its receiver (section 4); 0 for the first packet of a direction.
    ///
    /// # Panics
    ///
    /// If the payload has 16 MiB or more.
    #[must_use]
    pub fn encode(&self, key: u32) -> Vec<u8> {
        let mut bytes = self.header().encode(key).to_vec();
        bytes.extend_from_slice(&self.payload);
        if self.has(flag::CHECKSUM) {
            bytes.extend_from_slice(&crc32c(&self.payload).to_be_bytes());
        }
        bytes
    }

    /// The packet on the wire with one bit of its trailer wrong.
    pub(crate) fn encode_with_wrong_trailer(&self, key: u32) -> Vec<u8> {
        assert!(self.has(flag::CHECKSUM), "only a packet with CHECKSUM has a trailer");
        let mut bytes = self.encode(key);
        *bytes.last_mut().expect("a packet is not empty") ^= 1;
        bytes
    }
}
