//! Vectors of single headers.

use serde::Deserialize;

use super::{Expectation, VectorBytes};

/// A header and what a receiver makes of it by itself, whatever state the connection is in (section 3).
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HeaderVector {
    /// The name, unique among the header vectors.
    pub name: String,
    /// The ids of the requirements that decide the result.
    pub requirements: Vec<String>,
    /// The sync key that the header is checked with; 0 for the first packet in a direction (PW-KEY-001).
    pub key: u32,
    /// The frame limit that the receiver announced, in bytes (PW-FRM-012).
    pub frame_limit: u32,
    /// The 12 bytes.
    pub header: VectorBytes,
    /// The result. The receiver did not announce RESYNC, so a header that does not verify is BAD_HEADER (PW-FRM-002).
    pub expect: Expectation<HeaderFields>,
}

/// The fields of a header that was accepted (PW-HDR-001).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HeaderFields {
    /// The kind (section 11.1); one of 0x80 or above is to be passed over (PW-HDR-008).
    pub kind: u8,
    /// The flags.
    pub flags: u8,
    /// The class (section 11.2).
    pub class: u8,
    /// The length of the payload in bytes, trailer excluded.
    pub length: u32,
}
