//! Packets as the peer of a test would write and read them.

use pulsewire_protocol::{CloseReason, Flags, HEADER_SIZE, Header, Hello, Kind};

use super::ms;

/// The key that a scripted peer announces.
pub const PEER_KEY: u32 = 0x0BAD_CAFE;

/// A scripted peer's HELLO: no RESYNC, no limits beyond the defaults.
pub fn hello(sync_key: u32) -> Hello {
    Hello {
        version_lowest: 1,
        version_highest: 1,
        sync_key: sync_key.try_into().expect("not zero"),
        frame_limit: 65_536,
        message_limit: 16 << 20,
        ping_floor: ms(10),
        resync: false,
        token: None,
    }
}

/// CRC32C, a bit at a time.
pub fn crc32c(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc: u32, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0x82F6_3B78 & (crc & 1).wrapping_neg()))
    })
}

/// A header, the payload, and a trailer where the header says so.
pub fn packet(header: Header, payload: &[u8], key: u32) -> Vec<u8> {
    let trailer = crc32c(payload).to_be_bytes();
    let trailer = if header.flags.contains(Flags::CHECKSUM) { &trailer[..] } else { &[] };
    [&header.encode(key), payload, trailer].concat()
}

pub fn control(kind: Kind, payload: &[u8], key: u32) -> Vec<u8> {
    let length = payload.len() as u32;
    packet(Header { kind, flags: Flags::NONE, class: Default::default(), length }, payload, key)
}

pub fn data(flags: Flags, class: u8, payload: &[u8], key: u32) -> Vec<u8> {
    let length = payload.len() as u32;
    packet(Header { kind: Kind::DATA, flags, class: pulsewire_protocol::Class(class), length }, payload, key)
}

/// Of a message of class 4.
pub fn reject(ordinal: u64, reason: u16, key: u32) -> Vec<u8> {
    reject_of(4, ordinal, reason, key)
}

pub fn reject_of(class: u8, ordinal: u64, reason: u16, key: u32) -> Vec<u8> {
    control(Kind::REJECT, &[&ordinal.to_be_bytes()[..], &reason.to_be_bytes(), &[class]].concat(), key)
}

pub fn busy(pause: u32, key: u32) -> Vec<u8> {
    control(Kind::BUSY, &pause.to_be_bytes(), key)
}

/// PING, PONG, DRAIN or CLOSE_ACK.
pub fn numbered(kind: Kind, number: u64, key: u32) -> Vec<u8> {
    control(kind, &number.to_be_bytes(), key)
}

pub fn close(reason: CloseReason, received: u64, retry: u32, items: &[u8], key: u32) -> Vec<u8> {
    let fixed = [&reason.0.to_be_bytes()[..], &received.to_be_bytes(), &retry.to_be_bytes(), items].concat();
    control(Kind::CLOSE, &fixed, key)
}

/// An item of HELLO or CLOSE.
pub fn item(id: u16, value: &[u8]) -> Vec<u8> {
    [&id.to_be_bytes()[..], &(value.len() as u16).to_be_bytes(), value].concat()
}

pub fn hello_packet(kind: Kind, hello: &Hello) -> Vec<u8> {
    let mut payload = Vec::new();
    hello.encode(&mut payload);
    control(kind, &payload, 0)
}

/// What `bytes` hold: the first packet of the stream with key 0 if `begins`, all others with `key` (PW-KEY-001).
pub fn parse(mut bytes: &[u8], key: u32, mut begins: bool) -> Vec<(Header, Vec<u8>)> {
    let mut packets = Vec::new();
    while let Some((header, rest)) = bytes.split_first_chunk::<HEADER_SIZE>() {
        let key = if std::mem::take(&mut begins) { 0 } else { key };
        let header = Header::verify(header, key).expect("a header that verifies");
        let (body, tail) = rest.split_at(header.body_size());
        let (payload, trailer) = body.split_at(header.length as usize);
        assert!(trailer.is_empty() || trailer == crc32c(payload).to_be_bytes(), "a wrong trailer");
        packets.push((header, payload.to_vec()));
        bytes = tail;
    }
    assert!(bytes.is_empty(), "half a header");
    packets
}

/// The ids in a row of items.
pub fn item_ids(mut row: &[u8]) -> Vec<u16> {
    let mut ids = Vec::new();
    while let [i0, i1, l0, l1, rest @ ..] = row {
        ids.push(u16::from_be_bytes([*i0, *i1]));
        row = &rest[usize::from(u16::from_be_bytes([*l0, *l1]))..];
    }
    assert!(row.is_empty(), "half an item");
    ids
}

/// The number of PING, PONG, DRAIN or CLOSE_ACK.
pub fn number(payload: &[u8]) -> u64 {
    u64::from_be_bytes(payload.try_into().expect("8 bytes"))
}

/// Class, ordinal and reason of REJECT.
pub fn reject_fields(payload: &[u8]) -> (u8, u64, u16) {
    (payload[10], number(&payload[..8]), u16::from_be_bytes(payload[8..10].try_into().expect("2 bytes")))
}

/// The pause of BUSY, in ms.
pub fn busy_field(payload: &[u8]) -> u32 {
    u32::from_be_bytes(payload.try_into().expect("4 bytes"))
}

/// The reason of CLOSE, and the count in it.
pub fn close_fields(payload: &[u8]) -> (CloseReason, u64) {
    let reason = u16::from_be_bytes(payload[..2].try_into().expect("2 bytes"));
    (CloseReason(reason), number(&payload[2..10]))
}
