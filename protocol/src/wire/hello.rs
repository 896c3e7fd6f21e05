//! HELLO and HELLO_ACK (section 7 of the specification).

use alloc::vec::Vec;
use core::fmt;
use core::num::NonZeroU32;
use core::time::Duration;

use bytes::Bytes;

use super::error::WireError;
use super::header::Kind;
use super::items::{self, Item};
use super::printing::{Length, Secret};
use crate::time::millis;

/// The payload of HELLO or HELLO_ACK.
#[derive(Clone, PartialEq, Eq)]
pub struct Hello {
    /// The lowest version offered; in HELLO_ACK the version chosen.
    pub version_lowest: u8,
    /// The highest version offered; in HELLO_ACK the version chosen.
    pub version_highest: u8,
    /// What the peer mixes into every header that it sends to this side.
    pub sync_key: NonZeroU32,
    /// The largest frame that this side receives, in bytes.
    pub frame_limit: u32,
    /// The largest message that this side receives, in bytes.
    pub message_limit: u32,
    /// The shortest time between PINGs that this side tolerates. Whole milliseconds.
    pub ping_floor: Duration,
    /// This side resynchronises: every DATA packet to it carries a checksum.
    pub resync: bool,
    /// For the server's application.
    pub token: Option<Bytes>,
}

impl fmt::Debug for Hello {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hello")
            .field("version_lowest", &self.version_lowest)
            .field("version_highest", &self.version_highest)
            .field("sync_key", &Secret)
            .field("frame_limit", &self.frame_limit)
            .field("message_limit", &self.message_limit)
            .field("ping_floor", &self.ping_floor)
            .field("resync", &self.resync)
            .field("token", &self.token.as_ref().map(|token| Length(token.len())))
            .finish()
    }
}

const RESYNC: u32 = 1;

impl Hello {
    /// Appends the payload.
    pub fn encode(&self, payload: &mut Vec<u8>) {
        items::push(payload, items::VERSIONS, &[self.version_lowest, self.version_highest]);
        items::push(payload, items::SYNC_KEY, &self.sync_key.get().to_be_bytes());
        items::push(
            payload,
            items::LIMITS,
            &[self.frame_limit.to_be_bytes(), self.message_limit.to_be_bytes()].concat(),
        );
        // The floor is at most 60 s, so its milliseconds fit.
        items::push(payload, items::PING_FLOOR, &(millis(self.ping_floor) as u32).to_be_bytes());
        items::push(payload, items::FEATURES, &(if self.resync { RESYNC } else { 0 }).to_be_bytes());
        if let Some(token) = &self.token {
            items::push(payload, items::TOKEN, token);
        }
    }

    /// Reads the payload of HELLO or HELLO_ACK (PW-HS-007: to the last byte).
    ///
    /// # Errors
    /// [`WireError::BadHello`] or [`WireError::UnknownItem`], for the first rule of section 7 that is broken.
    pub fn decode(kind: Kind, payload: &[u8]) -> Result<Self, WireError> {
        let mut fields = Fields::new(kind);
        let mut row = payload;
        while !row.is_empty() {
            let (rest, item) = items::first(row).map_err(|_| fields.bad("an item is cut off"))?;
            row = rest;
            fields.take(item)?;
        }
        fields.finish()
    }
}

/// What has been read so far; `None` is absent.
struct Fields {
    kind: Kind,
    versions: Option<[u8; 2]>,
    sync_key: Option<NonZeroU32>,
    limits: Option<(u32, u32)>,
    ping_floor: Option<u32>,
    features: Option<u32>,
    token: Option<Bytes>,
}

impl Fields {
    const fn new(kind: Kind) -> Self {
        Self { kind, versions: None, sync_key: None, limits: None, ping_floor: None, features: None, token: None }
    }

    const fn bad(&self, what: &'static str) -> WireError {
        WireError::BadHello { kind: self.kind, what }
    }

    /// Judges an item: an unknown one is passed over where its id allows that (PW-HS-005, PW-HS-006).
    fn take(&mut self, item: Item<'_>) -> Result<(), WireError> {
        let kind = self.kind;
        match item.id {
            items::VERSIONS => once(kind, &mut self.versions, versions(kind, item.value)?),
            items::SYNC_KEY => once(kind, &mut self.sync_key, sync_key(kind, item.value)?),
            items::LIMITS => once(kind, &mut self.limits, limits(kind, item.value)?),
            items::PING_FLOOR => once(kind, &mut self.ping_floor, ping_floor(kind, item.value)?),
            items::FEATURES => once(kind, &mut self.features, u32::from_be_bytes(exact(kind, item.value)?)),
            items::TOKEN => once(kind, &mut self.token, Bytes::copy_from_slice(item.value)),
            id if items::is_ignorable(id) => Ok(()),
            id => Err(WireError::UnknownItem { id }),
        }
    }

    /// What was read, if nothing is missing (PW-HS-002), with the defaults for what may be absent (PW-HS-011).
    fn finish(self) -> Result<Hello, WireError> {
        let Some([version_lowest, version_highest]) = self.versions else {
            return Err(self.bad("VERSIONS is missing"));
        };
        let Some(sync_key) = self.sync_key else { return Err(self.bad("SYNC_KEY is missing")) };
        let (frame_limit, message_limit) = self.limits.unwrap_or((65_536, 16 << 20));
        Ok(Hello {
            version_lowest,
            version_highest,
            sync_key,
            frame_limit,
            message_limit,
            ping_floor: Duration::from_millis(self.ping_floor.unwrap_or(1_000).into()),
            // Bits that this version doesn't know are ignored (PW-HS-014).
            resync: self.features.unwrap_or(0) & RESYNC != 0,
            // In HELLO_ACK it means nothing.
            token: self.token.filter(|_| self.kind == Kind::HELLO),
        })
    }
}

/// No known item may stand twice (PW-HS-008).
fn once<T>(kind: Kind, field: &mut Option<T>, value: T) -> Result<(), WireError> {
    match field.replace(value) {
        None => Ok(()),
        Some(_) => Err(WireError::BadHello { kind, what: "an item stands twice" }),
    }
}

/// A value of exactly `N` bytes (PW-HS-007).
fn exact<const N: usize>(kind: Kind, value: &[u8]) -> Result<[u8; N], WireError> {
    items::exactly(value).ok_or(WireError::BadHello { kind, what: "an item has the wrong length" })
}

/// A range that does not begin with 0 (PW-HS-017).
fn versions(kind: Kind, value: &[u8]) -> Result<[u8; 2], WireError> {
    let [lowest, highest] = exact(kind, value)?;
    if lowest == 0 || lowest > highest {
        return Err(WireError::BadHello { kind, what: "VERSIONS is no range" });
    }
    Ok([lowest, highest])
}

/// Any number but 0 (PW-KEY-002).
fn sync_key(kind: Kind, value: &[u8]) -> Result<NonZeroU32, WireError> {
    NonZeroU32::new(u32::from_be_bytes(exact(kind, value)?)).ok_or(WireError::BadHello { kind, what: "SYNC_KEY is 0" })
}

/// The limits of frames and messages (PW-HS-010).
fn limits(kind: Kind, value: &[u8]) -> Result<(u32, u32), WireError> {
    let [f0, f1, f2, f3, m0, m1, m2, m3] = exact(kind, value)?;
    let (frame, message) = (u32::from_be_bytes([f0, f1, f2, f3]), u32::from_be_bytes([m0, m1, m2, m3]));
    if !(512..=0xFF_FFFF).contains(&frame) || message < frame {
        return Err(WireError::BadHello { kind, what: "LIMITS is out of range" });
    }
    Ok((frame, message))
}

/// 1 ms to 60 s (PW-HS-009).
fn ping_floor(kind: Kind, value: &[u8]) -> Result<u32, WireError> {
    let floor = u32::from_be_bytes(exact(kind, value)?);
    if !(1..=60_000).contains(&floor) {
        return Err(WireError::BadHello { kind, what: "PING_FLOOR is out of range" });
    }
    Ok(floor)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn encoding_and_decoding_a_hello_changes_nothing(
            versions in (1u8..=255).prop_flat_map(|lowest| (Just(lowest), lowest..=255)),
            sync_key: NonZeroU32, frame in 512u32..1 << 24, above in 0u32..1 << 31, floor in 1u64..=60_000, resync: bool,
            token in prop::option::of(prop::collection::vec(any::<u8>(), 0..=2_048)),
        ) {
            let hello = Hello {
                version_lowest: versions.0,
                version_highest: versions.1,
                sync_key,
                frame_limit: frame,
                message_limit: frame + above,
                ping_floor: Duration::from_millis(floor),
                resync,
                token: token.map(Bytes::from),
            };
            let mut payload = Vec::new();
            hello.encode(&mut payload);
            prop_assert_eq!(Hello::decode(Kind::HELLO, &payload), Ok(hello.clone()));
            prop_assert_eq!(Hello::decode(Kind::HELLO_ACK, &payload), Ok(Hello { token: None, ..hello }));
        }
    }
}
