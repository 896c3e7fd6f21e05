//! CRC32C with one table.

/// The remainders of all bytes; made by the compiler.
const REMAINDERS: [u32; 256] = {
    const REFLECTED_POLYNOMIAL: u32 = 0x82F6_3B78;
    let mut remainders = [0; 256];
    let mut index = 0;
    while index < 256 {
        // The index is below 256.
        let mut remainder = index as u32;
        let mut bit = 0;
        while bit < 8 {
            let carry = remainder & 1;
            remainder = (remainder >> 1) ^ (carry * REFLECTED_POLYNOMIAL);
            bit += 1;
        }
        remainders[index] = remainder;
        index += 1;
    }
    remainders
};

/// The CRC32C of `bytes` (spec section 2).
pub(crate) fn crc32c(bytes: &[u8]) -> u32 {
    // Plain steps, since the suite mostly runs without an optimiser.
    let mut remainder = u32::MAX;
    for byte in bytes {
        let index = (remainder ^ u32::from(*byte)) & 0xFF;
        remainder = (remainder >> 8) ^ REMAINDERS[index as usize];
    }
    !remainder
}

#[cfg(test)]
mod tests {
    use super::crc32c;

    #[test]
    fn gives_the_check_value_of_the_specification() {
        assert_eq!(crc32c(b"123456789"), 0xE306_9283);
        assert_eq!(crc32c(b""), 0);
    }
}
