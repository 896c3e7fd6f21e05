//! CRC32C, twice: a table for the eight bytes of a header, a well-kept crate for payloads.
//!
//! The crate's call costs more than the eight look-ups do, and the instruction that would be a little faster needs
//! `unsafe`. Without `std` the crate can't be had, and the table serves payloads too. The tests below compare the two.

/// CRC32C of a payload.
#[cfg(feature = "std")]
#[inline]
pub(crate) fn payload_checksum(payload: &[u8]) -> u32 {
    // The crate answers in 64 bits for all its algorithms; this one has 32.
    crc_fast::checksum(crc_fast::CrcAlgorithm::Crc32Iscsi, payload) as u32
}

/// CRC32C of a payload.
#[cfg(not(feature = "std"))]
pub(crate) fn payload_checksum(payload: &[u8]) -> u32 {
    table_checksum(payload)
}

/// CRC32C of the first eight bytes of a header.
#[inline]
pub(crate) fn header_checksum(word: [u8; 8]) -> u32 {
    !eight_bytes(!0, word)
}

#[cfg(any(test, not(feature = "std")))]
fn table_checksum(payload: &[u8]) -> u32 {
    let (words, rest) = payload.as_chunks();
    let state = words.iter().fold(!0, |state, word| eight_bytes(state, *word));
    !rest.iter().fold(state, |state: u32, byte| TABLES[0][usize::from(state as u8 ^ byte)] ^ (state >> 8))
}

/// "Slicing by eight": one look-up per byte, none of which waits for another.
#[inline]
fn eight_bytes(state: u32, word: [u8; 8]) -> u32 {
    let [s, t, u, v] = state.to_le_bytes();
    let [a, b, c, d, e, f, g, h] = word;
    TABLES[7][(a ^ s) as usize]
        ^ TABLES[6][(b ^ t) as usize]
        ^ TABLES[5][(c ^ u) as usize]
        ^ TABLES[4][(d ^ v) as usize]
        ^ TABLES[3][e as usize]
        ^ TABLES[2][f as usize]
        ^ TABLES[1][g as usize]
        ^ TABLES[0][h as usize]
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
        for checksum in [payload_checksum, table_checksum] {
            assert_eq!(checksum(b"123456789"), 0xE306_9283);
            assert_eq!(checksum(b""), 0);
        }
    }

    proptest! {
        #[test]
        fn both_agree(word: [u8; 8], payload: std::vec::Vec<u8>) {
            prop_assert_eq!(header_checksum(word), payload_checksum(&word));
            prop_assert_eq!(table_checksum(&payload), payload_checksum(&payload));
        }
    }
}
