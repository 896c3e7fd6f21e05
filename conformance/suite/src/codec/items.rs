//! The items of HELLO, HELLO_ACK and CLOSE (spec section 7).

use super::registry::{item, reason};

/// One item: an id and its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Item {
    pub(crate) id: u16,
    pub(crate) value: Vec<u8>,
}

impl Item {
    pub(crate) fn new(id: u16, value: impl Into<Vec<u8>>) -> Self {
        Self { id, value: value.into() }
    }

    pub(crate) fn versions(lowest: u8, highest: u8) -> Self {
        Self::new(item::VERSIONS, [lowest, highest])
    }

    pub(crate) fn sync_key(key: u32) -> Self {
        Self::new(item::SYNC_KEY, key.to_be_bytes())
    }

    pub(crate) fn limits(frame: u32, message: u32) -> Self {
        Self::new(item::LIMITS, [frame.to_be_bytes(), message.to_be_bytes()].concat())
    }

    pub(crate) fn ping_floor(milliseconds: u32) -> Self {
        Self::new(item::PING_FLOOR, milliseconds.to_be_bytes())
    }

    pub(crate) fn features(bits: u32) -> Self {
        Self::new(item::FEATURES, bits.to_be_bytes())
    }

    /// The LIMIT of a CLOSE: what was exceeded, and by what.
    pub(crate) fn limit(limit: u64, size: u64) -> Self {
        Self::new(item::LIMIT, [limit.to_be_bytes(), size.to_be_bytes()].concat())
    }
}

/// The items on the wire, in order.
pub(crate) fn encode_items(items: &[Item]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for entry in items {
        bytes.extend_from_slice(&entry.id.to_be_bytes());
        let length = u16::try_from(entry.value.len()).expect("an item of less than 64 KiB");
        bytes.extend_from_slice(&length.to_be_bytes());
        bytes.extend_from_slice(&entry.value);
    }
    bytes
}

/// The whole items at the front of `bytes`, and what is left over: nothing, unless an item is cut off.
pub(crate) fn parse_items(mut bytes: &[u8]) -> (Vec<Item>, &[u8]) {
    let mut items = Vec::new();
    while let Some(([id_high, id_low, length_high, length_low], rest)) = bytes.split_first_chunk() {
        let length = usize::from(u16::from_be_bytes([*length_high, *length_low]));
        if rest.len() < length {
            break;
        }
        let (value, rest) = rest.split_at(length);
        items.push(Item::new(u16::from_be_bytes([*id_high, *id_low]), value));
        bytes = rest;
    }
    (items, bytes)
}

/// What HELLO and HELLO_ACK say, with the values of the table for absent items (PW-HS-011).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Hello {
    pub(crate) lowest_version: u8,
    pub(crate) highest_version: u8,
    pub(crate) sync_key: u32,
    /// In bytes.
    pub(crate) frame_limit: u32,
    /// In bytes.
    pub(crate) message_limit: u32,
    /// In milliseconds.
    pub(crate) ping_floor: u32,
    pub(crate) resync: bool,
}

impl Hello {
    /// Reads the payload of a HELLO or HELLO_ACK.
    ///
    /// # Errors
    ///
    /// The close reason that the first broken rule of section 7 demands.
    pub(crate) fn parse(payload: &[u8]) -> Result<Self, u16> {
        let (items, rest) = parse_items(payload);
        let hello = Self::from_items(&items)?;
        if rest.is_empty() { Ok(hello) } else { Err(reason::BAD_HELLO) }
    }

    /// Reads whole items.
    ///
    /// # Errors
    ///
    /// The close reason that the first broken rule of section 7 demands.
    pub(crate) fn from_items(items: &[Item]) -> Result<Self, u16> {
        let mut versions = None;
        let mut sync_key = None;
        let mut limits = None;
        let mut ping_floor = None;
        let mut features = None;
        let mut token = None;
        for Item { id, value } in items {
            match *id {
                item::VERSIONS => {
                    let [lowest, highest] = read(value)?;
                    set_once(&mut versions, (lowest, highest), 0 < lowest && lowest <= highest)?;
                }
                item::SYNC_KEY => {
                    let key = u32::from_be_bytes(read(value)?);
                    set_once(&mut sync_key, key, key != 0)?;
                }
                item::LIMITS => {
                    let both = u64::from_be_bytes(read(value)?);
                    let frame = u32::try_from(both >> 32).expect("32 bits are left");
                    let message = u32::try_from(both & u64::from(u32::MAX)).expect("32 bits are left");
                    set_once(&mut limits, (frame, message), (512..1 << 24).contains(&frame) && frame <= message)?;
                }
                item::PING_FLOOR => {
                    let floor = u32::from_be_bytes(read(value)?);
                    set_once(&mut ping_floor, floor, (1..=60_000).contains(&floor))?;
                }
                item::FEATURES => set_once(&mut features, u32::from_be_bytes(read(value)?), true)?,
                item::TOKEN => set_once(&mut token, (), true)?,
                unknown if unknown & item::IGNORABLE != 0 => {}
                _ => return Err(reason::UNKNOWN_ITEM),
            }
        }
        let (Some((lowest_version, highest_version)), Some(sync_key)) = (versions, sync_key) else {
            return Err(reason::BAD_HELLO);
        };
        let (frame_limit, message_limit) = limits.unwrap_or((65_536, 16_777_216));
        let ping_floor = ping_floor.unwrap_or(1_000);
        let resync = features.unwrap_or(0) & item::FEATURE_RESYNC != 0;
        Ok(Self { lowest_version, highest_version, sync_key, frame_limit, message_limit, ping_floor, resync })
    }

    /// The items that say the same.
    pub(crate) fn to_items(&self) -> Vec<Item> {
        vec![
            Item::versions(self.lowest_version, self.highest_version),
            Item::sync_key(self.sync_key),
            Item::limits(self.frame_limit, self.message_limit),
            Item::ping_floor(self.ping_floor),
            Item::features(if self.resync { item::FEATURE_RESYNC } else { 0 }),
        ]
    }
}

fn read<const SIZE: usize>(value: &[u8]) -> Result<[u8; SIZE], u16> {
    value.try_into().map_err(|_| reason::BAD_HELLO)
}

/// Keeps the value of an item: the first of its id, and within its range.
fn set_once<T>(place: &mut Option<T>, value: T, in_range: bool) -> Result<(), u16> {
    let repeated = place.replace(value).is_some();
    if repeated || !in_range { Err(reason::BAD_HELLO) } else { Ok(()) }
}
