//! Vectors of the payloads of HELLO and HELLO_ACK.

use serde::Deserialize;

use super::{Expectation, VectorBytes};

/// A payload of HELLO or HELLO_ACK, and what a receiver that knows version 1 alone makes of it (section 7).
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HelloVector {
    /// The name, unique among the hello vectors.
    pub name: String,
    /// The ids of the requirements that decide the result.
    pub requirements: Vec<String>,
    /// The packet that carries the payload, which tells the receiver's role.
    pub packet: HelloPacket,
    /// The payload.
    pub payload: VectorBytes,
    /// The result.
    pub expect: Expectation<HelloValues>,
}

/// The packet that carries the payload of a [`HelloVector`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum HelloPacket {
    /// HELLO; the receiver is a server.
    Hello,
    /// HELLO_ACK; the receiver is a client.
    HelloAck,
}

/// What a payload said, with the defaults for absent items filled in (PW-HS-011).
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HelloValues {
    /// The lowest and the highest version.
    pub versions: [u8; 2],
    /// The sync key of the sender of the payload.
    pub sync_key: u32,
    /// The largest frame that the sender of the payload receives, in bytes.
    pub frame_limit: u32,
    /// The largest message that the sender of the payload receives, in bytes.
    pub message_limit: u32,
    /// The least time between two PINGs that the sender of the payload tolerates, in milliseconds.
    pub ping_floor: u32,
    /// Whether FEATURES has the bit RESYNC; no other bit is known (PW-HS-014).
    pub resync: bool,
    /// The value of TOKEN; an empty one is not an absent one.
    pub token: Option<VectorBytes>,
}
