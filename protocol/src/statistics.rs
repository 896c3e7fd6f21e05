//! What a connection has done so far, in numbers.

use crate::rtt::Rtt;

/// Counts of one connection since its beginning, and where it stands. Nothing is reset, also not when it is over.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Statistics {
    /// Messages received whole.
    pub messages_received: u64,
    /// Messages accepted for sending.
    pub messages_sent: u64,
    /// Messages of which the last frame was handed to the driver.
    pub messages_handed_out: u64,
    /// Messages of the peer that this side refused, because they were too large or damaged.
    pub messages_refused: u64,
    /// Messages of this side that the peer says it refused.
    pub messages_rejected: u64,
    /// Bytes received, headers and damage included.
    pub bytes_received: u64,
    /// Bytes handed to the driver, headers included.
    pub bytes_handed_out: u64,
    /// Bytes that the transport took of these.
    pub bytes_taken: u64,
    /// Bytes that the peer's host acknowledged of these, where the transport tells; else the same.
    pub bytes_acknowledged: u64,
    /// Holes in the received stream.
    pub gaps: u64,
    /// Bytes in these.
    pub bytes_skipped: u64,
    /// PINGs handed to the driver.
    pub pings_sent: u64,
    /// PONGs received.
    pub pongs_received: u64,
    /// PINGs received, each of which is answered or overtaken by a later one.
    pub pings_received: u64,
    /// How often this side began to pause.
    pub pauses: u64,
    /// How often the peer began to pause.
    pub peer_pauses: u64,
    /// The round-trip time, once a PING was answered.
    pub rtt: Option<Rtt>,
    /// Bytes accepted for sending and not yet handed out.
    pub queued: usize,
    /// Bytes handed out that the transport has not taken.
    pub untaken: u64,
}
