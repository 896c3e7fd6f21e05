//! CRC32C: a table for the eight bytes of a header, the processor's instruction for small payloads, a well-kept crate for larger
//! ones.
//!
//! For a header, asking whether there is the instruction costs more than the eight look-ups do. For small payloads the crate
//! does several times the work: it goes to the next aligned address byte by byte, and asks three times what the processor is.
//! Without the standard library nothing can be asked, and the table serves payloads too, which is slower.

/// CRC32C of a payload.
#[cfg(feature = "std")]
#[inline(never)]
pub(crate) fn payload_checksum(payload: &[u8]) -> u32 {
    #[cfg(target_arch = "x86_64")]
    if payload.len() <= SMALL
        && let Some(instruction) = fearless_simd::Level::new().as_sse4_2()
    {
        return small_checksum(instruction, payload);
    }
    crc_fast::crc32_iscsi(payload)
}

/// Up to this size one instruction after the other is as fast as what the crate does side by side.
#[cfg(all(feature = "std", target_arch = "x86_64"))]
const SMALL: usize = 256;

#[cfg(all(feature = "std", target_arch = "x86_64"))]
fearless_simd::kernel!(
    fn small_checksum(instruction: Sse4_2, payload: &[u8]) -> u32 {
        use core::arch::x86_64::{_mm_crc32_u8, _mm_crc32_u32, _mm_crc32_u64};

        let (words, rest) = payload.as_chunks();
        let crc = words.iter().fold(u64::from(u32::MAX), |crc, word| _mm_crc32_u64(crc, u64::from_le_bytes(*word)));
        let (words, rest) = rest.as_chunks();
        let crc = words.iter().fold(crc as u32, |crc, word| _mm_crc32_u32(crc, u32::from_le_bytes(*word)));
        !rest.iter().fold(crc, |crc, byte| _mm_crc32_u8(crc, *byte))
    }
);

/// CRC32C of a payload.
#[cfg(not(feature = "std"))]
pub(crate) fn payload_checksum(payload: &[u8]) -> u32 {
    table_checksum(payload)
}

#[cfg(any(test, not(feature = "std")))]
fn table_checksum(payload: &[u8]) -> u32 {
    let mut checksum = Checksum::new();
    checksum.update(payload);
    checksum.value()
}

/// CRC32C of a payload that comes in pieces and is not kept. By table: this is rare.
pub(crate) struct Checksum(u32);

impl Checksum {
    /// Of no bytes.
    pub(crate) const fn new() -> Self {
        Self(u32::MAX)
    }

    pub(crate) fn update(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks();
        let crc = words.iter().fold(self.0, |crc, word| step(crc, *word));
        self.0 = rest.iter().fold(crc, |crc, byte| (crc >> 8) ^ TABLES[0][usize::from(crc as u8 ^ byte)]);
    }

    pub(crate) const fn value(&self) -> u32 {
        !self.0
    }
}

/// CRC32C of the first eight bytes of a header: the magic, kind, flags, and class and length as one big-endian word.
///
/// As `step`, but the magic's part is known at compile time, and one word serves the look-ups and the length: the
/// beginning of the next packet hangs on that, so it bounds how fast small packets are cut.
#[inline]
pub(crate) fn header_checksum<const M0: u8, const M1: u8>(kind: u8, flags: u8, tail: u32) -> u32 {
    let magics_part = const { !(TABLES[7][!M0 as usize] ^ TABLES[6][!M1 as usize]) };
    magics_part
        ^ TABLES[5][usize::from(!kind)]
        ^ TABLES[4][usize::from(!flags)]
        ^ TABLES[3][(tail >> 24) as usize]
        ^ TABLES[2][(tail >> 16 & 0xFF) as usize]
        ^ TABLES[1][(tail >> 8 & 0xFF) as usize]
        ^ TABLES[0][(tail & 0xFF) as usize]
}

/// What [`header_checksum`] differs by where flags and tail differ by these bits: the checksum is linear.
#[inline]
pub(crate) fn header_difference(flags: u8, tail: u32) -> u32 {
    TABLES[4][usize::from(flags)]
        ^ TABLES[3][(tail >> 24) as usize]
        ^ TABLES[2][(tail >> 16 & 0xFF) as usize]
        ^ TABLES[1][(tail >> 8 & 0xFF) as usize]
        ^ TABLES[0][(tail & 0xFF) as usize]
}

/// Eight bytes further, "slicing by eight": one look-up per byte, and none waits for another.
#[inline]
fn step(crc: u32, [a, b, c, d, e, f, g, h]: [u8; 8]) -> u32 {
    let [w, x, y, z] = crc.to_le_bytes();
    TABLES[7][usize::from(a ^ w)]
        ^ TABLES[6][usize::from(b ^ x)]
        ^ TABLES[5][usize::from(c ^ y)]
        ^ TABLES[4][usize::from(d ^ z)]
        ^ TABLES[3][usize::from(e)]
        ^ TABLES[2][usize::from(f)]
        ^ TABLES[1][usize::from(g)]
        ^ TABLES[0][usize::from(h)]
}

/// `TABLES[n][byte]`: the CRC of `byte` followed by `n` zero bytes.
static TABLES: [[u32; 256]; 8] = tables();

const fn tables() -> [[u32; 256]; 8] {
    /// The polynomial 0x1EDC6F41, bits reversed.
    const POLYNOMIAL: u32 = 0x82F6_3B78;
    let mut tables = [[0; 256]; 8];
    let mut byte = 0;
    while byte < 256 {
        let mut crc = byte as u32;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ POLYNOMIAL } else { crc >> 1 };
            bit += 1;
        }
        tables[0][byte] = crc;
        byte += 1;
    }
    let mut zeros = 1;
    while zeros < 8 {
        let mut byte = 0;
        while byte < 256 {
            let crc = tables[zeros - 1][byte];
            tables[zeros][byte] = (crc >> 8) ^ tables[0][(crc & 0xFF) as usize];
            byte += 1;
        }
        zeros += 1;
    }
    tables
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_published_check_value() {
        for checksum in [payload_checksum, table_checksum] {
            assert_eq!(checksum(b"123456789"), 0xE306_9283);
            assert_eq!(checksum(b""), 0);
        }
    }

    proptest! {
        #[test]
        fn table_and_crate_agree(payload: Vec<u8>, kind: u8, flags: u8, tail: u32) {
            prop_assert_eq!(table_checksum(&payload), payload_checksum(&payload));
            let large: Vec<u8> = payload.iter().copied().cycle().take(payload.len() * 7).collect();
            prop_assert_eq!(table_checksum(&large), payload_checksum(&large));
            let [class, l0, l1, l2] = tail.to_be_bytes();
            let header = [7, 9, kind, flags, class, l0, l1, l2];
            prop_assert_eq!(header_checksum::<7, 9>(kind, flags, tail), payload_checksum(&header));
        }
    }
}
