//! CRC32C, twice: a table for the eight bytes of a header, a well-kept crate for payloads.
//!
//! The crate's call costs more than the eight look-ups do, and the instruction that would be a little faster needs
//! `unsafe`. `header_checksum` is compared with the crate's in the tests below.

/// CRC32C of a payload.
#[inline]
pub(crate) fn payload_checksum(payload: &[u8]) -> u32 {
    // The crate answers in 64 bits for all its algorithms; this one has 32.
    crc_fast::checksum(crc_fast::CrcAlgorithm::Crc32Iscsi, payload) as u32
}

/// CRC32C of the first eight bytes of a header: "slicing by eight", one look-up per byte and no loop-carried dependency.
#[inline]
pub(crate) fn header_checksum(word: [u8; 8]) -> u32 {
    let [a, b, c, d, e, f, g, h] = word;
    let ones = 0xFF;
    !(TABLES[7][(a ^ ones) as usize]
        ^ TABLES[6][(b ^ ones) as usize]
        ^ TABLES[5][(c ^ ones) as usize]
        ^ TABLES[4][(d ^ ones) as usize]
        ^ TABLES[3][e as usize]
        ^ TABLES[2][f as usize]
        ^ TABLES[1][g as usize]
        ^ TABLES[0][h as usize])
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
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_published_check_value() {
        assert_eq!(payload_checksum(b"123456789"), 0xE306_9283);
        assert_eq!(payload_checksum(b""), 0);
    }

    proptest! {
        #[test]
        fn both_agree_on_headers(word: [u8; 8]) {
            prop_assert_eq!(header_checksum(word), payload_checksum(&word));
        }
    }
}
