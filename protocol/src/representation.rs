//! How values are written by means of serde: what the documentation of the crate promises. [`milliseconds`] is for the fields of
//! configurations elsewhere that stand beside this crate's.

#[cfg(test)]
mod tests;

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;

use bytes::Bytes;
use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::config::{Config, Seed, ValidConfig};
use crate::message::Payload;
use crate::time::nanos;
use crate::wire::{CloseReason, RejectReason, Retry};

const NANOS_PER_MILLI: u64 = 1_000_000;

/// A duration as milliseconds.
struct Milliseconds(Duration);

impl Serialize for Milliseconds {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let nanos = nanos(self.0);
        if !serializer.is_human_readable() || nanos.is_multiple_of(NANOS_PER_MILLI) {
            let divisor = if serializer.is_human_readable() { NANOS_PER_MILLI } else { 1 };
            return serializer.serialize_u64(nanos / divisor);
        }
        serializer.serialize_f64(nanos as f64 / NANOS_PER_MILLI as f64)
    }
}

impl<'de> Deserialize<'de> for Milliseconds {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            deserializer.deserialize_any(MillisecondsVisitor)
        } else {
            u64::deserialize(deserializer).map(|nanos| Self(Duration::from_nanos(nanos)))
        }
    }
}

struct MillisecondsVisitor;

impl Visitor<'_> for MillisecondsVisitor {
    type Value = Milliseconds;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number of milliseconds, not negative")
    }

    fn visit_u64<E: Error>(self, millis: u64) -> Result<Milliseconds, E> {
        Ok(Milliseconds(Duration::from_millis(millis)))
    }

    fn visit_i64<E: Error>(self, millis: i64) -> Result<Milliseconds, E> {
        u64::try_from(millis)
            .map_err(|_| E::custom("a duration is not negative"))
            .and_then(|millis| self.visit_u64(millis))
    }

    fn visit_f64<E: Error>(self, millis: f64) -> Result<Milliseconds, E> {
        let nanos = millis * NANOS_PER_MILLI as f64;
        if !(0.0..u64::MAX as f64).contains(&nanos) {
            return Err(E::custom("a duration is a number of milliseconds, at most 584 years of them"));
        }
        // Rounds: a decimal fraction of milliseconds is seldom a whole number of nanoseconds in binary.
        Ok(Milliseconds(Duration::from_nanos((nanos + 0.5) as u64)))
    }
}

/// For a field of time, as `#[serde(rename = "…_ms", with = "pulsewire_protocol::representation::milliseconds")]`.
pub mod milliseconds {
    use super::{Deserialize, Deserializer, Duration, Milliseconds, Serialize, Serializer};

    /// Writes milliseconds for people, nanoseconds for machines.
    ///
    /// # Errors
    /// What the serializer says.
    pub fn serialize<S: Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        Milliseconds(*time).serialize(serializer)
    }

    /// Reads what [`serialize`] wrote.
    ///
    /// # Errors
    /// Where it is no time: negative, or more than 584 years.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        Milliseconds::deserialize(deserializer).map(|Milliseconds(time)| time)
    }
}

/// As [`milliseconds`], for a time that may be absent.
pub mod optional_milliseconds {
    use super::{Deserialize, Deserializer, Duration, Milliseconds, Serialize, Serializer};

    /// Writes what [`milliseconds`](super::milliseconds) does, or none.
    ///
    /// # Errors
    /// What the serializer says.
    pub fn serialize<S: Serializer>(time: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
        time.map(Milliseconds).serialize(serializer)
    }

    /// Reads what [`serialize`] wrote.
    ///
    /// # Errors
    /// Where it is no time: negative, or more than 584 years.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
        Ok(Option::<Milliseconds>::deserialize(deserializer)?.map(|Milliseconds(time)| time))
    }
}

/// For advice on connecting again.
pub(crate) mod retry {
    use super::{Deserializer, Retry, Serializer, optional_milliseconds};

    pub(crate) fn serialize<S: Serializer>(retry: &Retry, serializer: S) -> Result<S::Ok, S::Error> {
        let time = match retry {
            Retry::After(time) => Some(*time),
            Retry::Never => None,
        };
        optional_milliseconds::serialize(&time, serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Retry, D::Error> {
        optional_milliseconds::deserialize(deserializer).map(|time| time.map_or(Retry::Never, Retry::After))
    }
}

/// Bytes as hexadecimal digits.
struct Hex<B>(B);

impl<B: AsRef<[u8]>> Serialize for Hex<B> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let bytes = self.0.as_ref();
        if serializer.is_human_readable() {
            serializer.serialize_str(&const_hex::encode(bytes))
        } else {
            serializer.serialize_bytes(bytes)
        }
    }
}

impl<'de> Deserialize<'de> for Hex<Bytes> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let bytes = if deserializer.is_human_readable() {
            let digits = String::deserialize(deserializer)?;
            const_hex::decode(digits).map_err(D::Error::custom)?
        } else {
            deserializer.deserialize_byte_buf(BytesVisitor)?
        };
        Ok(Self(bytes.into()))
    }
}

struct BytesVisitor;

impl Visitor<'_> for BytesVisitor {
    type Value = Vec<u8>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("bytes")
    }

    fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Vec<u8>, E> {
        Ok(bytes.to_vec())
    }

    fn visit_byte_buf<E: Error>(self, bytes: Vec<u8>) -> Result<Vec<u8>, E> {
        Ok(bytes)
    }
}

/// For bytes.
pub(crate) mod hex {
    use super::{Bytes, Deserialize, Deserializer, Hex, Serialize, Serializer};

    pub(crate) fn serialize<S: Serializer>(bytes: &Bytes, serializer: S) -> Result<S::Ok, S::Error> {
        Hex(bytes).serialize(serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Bytes, D::Error> {
        Hex::deserialize(deserializer).map(|Hex(bytes)| bytes)
    }
}

/// For bytes that may be absent.
pub(crate) mod optional_hex {
    use super::{Bytes, Deserialize, Deserializer, Hex, Serialize, Serializer};

    pub(crate) fn serialize<S: Serializer>(bytes: &Option<Bytes>, serializer: S) -> Result<S::Ok, S::Error> {
        bytes.as_ref().map(Hex).serialize(serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Bytes>, D::Error> {
        Ok(Option::<Hex<Bytes>>::deserialize(deserializer)?.map(|Hex(bytes)| bytes))
    }
}

impl Serialize for Payload<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Hex::<&[u8]>(self).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Payload<'_> {
    /// Always owned.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        hex::deserialize(deserializer).map(Payload::Owned)
    }
}

impl Serialize for Seed {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Hex(self.to_bytes()).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Seed {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let bytes = hex::deserialize(deserializer)?;
        let bytes = bytes[..].try_into().map_err(|_| D::Error::invalid_length(bytes.len(), &"12 bytes"))?;
        Ok(Self::from_bytes(bytes))
    }
}

impl Serialize for ValidConfig {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Config::serialize(self, serializer)
    }
}

impl<'de> Deserialize<'de> for ValidConfig {
    /// As [`Config`], and validated: an invalid one is an error with the sentence of [`ConfigError`](crate::ConfigError).
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Config::deserialize(deserializer)?.validate().map_err(D::Error::custom)
    }
}

/// A number of a registry: its name where it has one.
fn serialize_number<S: Serializer>(number: u16, name: Option<&str>, serializer: S) -> Result<S::Ok, S::Error> {
    match name {
        Some(name) if serializer.is_human_readable() => serializer.serialize_str(name),
        Some(_) | None => serializer.serialize_u16(number),
    }
}

fn deserialize_number<'de, D: Deserializer<'de>>(
    deserializer: D,
    of_name: fn(&str) -> Option<u16>,
) -> Result<u16, D::Error> {
    if deserializer.is_human_readable() {
        deserializer.deserialize_any(NumberVisitor { of_name })
    } else {
        u16::deserialize(deserializer)
    }
}

struct NumberVisitor {
    of_name: fn(&str) -> Option<u16>,
}

impl Visitor<'_> for NumberVisitor {
    type Value = u16;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name of the registry, or a number of at most 65,535")
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<u16, E> {
        u16::try_from(number).map_err(|_| E::custom("the number of a reason is at most 65,535"))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<u16, E> {
        u16::try_from(number).map_err(|_| E::custom("the number of a reason is at least 0 and at most 65,535"))
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<u16, E> {
        (self.of_name)(name).ok_or_else(|| E::custom(format_args!("the registry lists no reason {name}")))
    }
}

impl Serialize for CloseReason {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serialize_number(self.0, self.name(), serializer)
    }
}

impl<'de> Deserialize<'de> for CloseReason {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserialize_number(deserializer, |name| Self::from_name(name).map(|reason| reason.0)).map(Self)
    }
}

impl Serialize for RejectReason {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serialize_number(self.0, self.name(), serializer)
    }
}

impl<'de> Deserialize<'de> for RejectReason {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserialize_number(deserializer, |name| Self::from_name(name).map(|reason| reason.0)).map(Self)
    }
}
