//! The row of items that HELLO, HELLO_ACK and CLOSE carry (section 7): `id u16, length u16, value`.

use alloc::vec::Vec;

use nom::IResult;
use nom::bytes::complete::take;
use nom::multi::length_data;
use nom::number::complete::be_u16;
use nom::{Parser, combinator::all_consuming};

/// An item's id. With the top bit set, a receiver that doesn't know it passes over it.
pub(crate) type ItemId = u16;

pub(crate) const VERSIONS: ItemId = 0x0001;
pub(crate) const SYNC_KEY: ItemId = 0x0002;
pub(crate) const LIMITS: ItemId = 0x0003;
pub(crate) const PING_FLOOR: ItemId = 0x0004;
pub(crate) const FEATURES: ItemId = 0x0005;
pub(crate) const TOKEN: ItemId = 0x8006;
pub(crate) const TEXT: ItemId = 0x8010;
pub(crate) const LIMIT: ItemId = 0x8011;

pub(crate) const fn is_ignorable(id: ItemId) -> bool {
    id & 0x8000 != 0
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Item<'b> {
    pub(crate) id: ItemId,
    pub(crate) value: &'b [u8],
}

/// The first item of a row, and the rest of the row. Fails where the row is cut off.
pub(crate) fn first(row: &[u8]) -> IResult<&[u8], Item<'_>> {
    (be_u16, length_data(be_u16)).map(|(id, value)| Item { id, value }).parse(row)
}

/// A value of exactly `N` bytes.
pub(crate) fn exactly<const N: usize>(value: &[u8]) -> Option<[u8; N]> {
    let parsed: IResult<&[u8], &[u8]> = all_consuming(take(N)).parse(value);
    parsed.ok().and_then(|(_, bytes)| bytes.try_into().ok())
}

pub(crate) fn push(row: &mut Vec<u8>, id: ItemId, value: &[u8]) {
    debug_assert!(value.len() <= usize::from(u16::MAX));
    row.extend_from_slice(&id.to_be_bytes());
    row.extend_from_slice(&(value.len() as u16).to_be_bytes());
    row.extend_from_slice(value);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_row_is_read_as_it_was_written(written: Vec<(u16, Vec<u8>)>) {
            let mut bytes = Vec::new();
            written.iter().for_each(|(id, value)| push(&mut bytes, *id, value));
            let mut row = &bytes[..];
            for (id, value) in &written {
                let (rest, item) = first(row).unwrap();
                prop_assert_eq!((item.id, item.value), (*id, &value[..]));
                row = rest;
            }
            prop_assert!(row.is_empty());
        }
    }
}
