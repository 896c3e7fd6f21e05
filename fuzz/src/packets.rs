//! Packets, valid ones.

use pulsewire_protocol::{Class, Flags, HEADER_SIZE, Header, Hello, Kind, MAGIC};

/// CRC32C, a byte at a time.
fn crc32c(bytes: &[u8]) -> u32 {
    const TABLE: [u32; 256] = {
        let mut table = [0; 256];
        // Eight steps for each byte.
        let mut step = 0;
        while step < 8 * 256 {
            let byte = step / 8;
            let state = if step % 8 == 0 { byte as u32 } else { table[byte] };
            table[byte] = (state >> 1) ^ (0x82F6_3B78 & (state & 1).wrapping_neg());
            step += 1;
        }
        table
    };
    !bytes.iter().fold(!0, |state: u32, byte| (state >> 8) ^ TABLE[usize::from(state as u8 ^ byte)])
}

/// A header, the payload, and a trailer where the flags ask for one.
pub(crate) fn packet(kind: Kind, flags: Flags, class: u8, payload: &[u8], key: u32) -> Vec<u8> {
    let header = Header { kind, flags, class: Class(class), length: payload.len() as u32 };
    let mut bytes = [&header.encode(key), payload].concat();
    if flags.contains(Flags::CHECKSUM) {
        bytes.extend_from_slice(&crc32c(payload).to_be_bytes());
    }
    bytes
}

/// HELLO or HELLO_ACK.
pub(crate) fn hello_packet(kind: Kind, hello: &Hello) -> Vec<u8> {
    let mut payload = Vec::new();
    hello.encode(&mut payload);
    packet(kind, Flags::NONE, 0, &payload, 0)
}

/// Makes a row of packets of any bytes: magic, checks and trailers are set right, the first one's with key 0 if `begins`. So
/// the fuzzer gets behind the checks without guessing them.
pub fn repair(stream: &mut [u8], key: u32, begins: bool) {
    let (mut offset, mut key_now) = (0, if begins { 0 } else { key });
    while let Some(bytes) = stream.get_mut(offset..offset + HEADER_SIZE) {
        let header = Header {
            kind: Kind(bytes[2]),
            flags: Flags(bytes[3]),
            class: Class(bytes[4]),
            length: u32::from_be_bytes([0, bytes[5], bytes[6], bytes[7]]),
        };
        bytes.copy_from_slice(&header.encode(key_now));
        debug_assert_eq!(bytes[..2], MAGIC);
        let start = offset + HEADER_SIZE;
        offset = start + header.body_size();
        let Some(body) = stream.get_mut(start..offset) else { break };
        let (payload, trailer) = body.split_at_mut(header.length as usize);
        if !trailer.is_empty() {
            trailer.copy_from_slice(&crc32c(payload).to_be_bytes());
        }
        key_now = key;
    }
}
