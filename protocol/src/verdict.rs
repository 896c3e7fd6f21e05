//! Why a peer was given up, in numbers.

use core::fmt;
use core::time::Duration;

use crate::time::millis;

/// What was seen of a peer that was given up with `PEER_TIMEOUT` (PW-HB-013). `Display` makes a sentence of it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Verdict {
    /// The time since the last evidence of the peer's life.
    #[cfg_attr(feature = "serde", serde(rename = "silent_for_ms", with = "crate::representation::milliseconds"))]
    pub silent_for: Duration,
    /// The time since the last byte came from the peer, whatever it was; at most `silent_for`.
    #[cfg_attr(feature = "serde", serde(rename = "last_byte_in_ms", with = "crate::representation::milliseconds"))]
    pub last_byte_in: Duration,
    /// The time since the transport took a byte; `None` if it never took any.
    #[cfg_attr(
        feature = "serde",
        serde(rename = "last_byte_out_ms", with = "crate::representation::optional_milliseconds")
    )]
    pub last_byte_out: Option<Duration>,
    /// PINGs without an answer.
    pub unanswered: u32,
    /// `idle + interval * probes`, effective: what was allowed without extensions.
    #[cfg_attr(feature = "serde", serde(rename = "bound_ms", with = "crate::representation::milliseconds"))]
    pub bound: Duration,
    /// Allowed on top for round trips longer than `interval`.
    #[cfg_attr(feature = "serde", serde(rename = "for_round_trips_ms", with = "crate::representation::milliseconds"))]
    pub for_round_trips: Duration,
    /// Allowed on top because the transport took bytes slowly (PW-HB-011).
    #[cfg_attr(feature = "serde", serde(rename = "for_slow_writes_ms", with = "crate::representation::milliseconds"))]
    pub for_slow_writes: Duration,
    /// Allowed on top, and lost, because this side was late itself (PW-HB-016).
    #[cfg_attr(feature = "serde", serde(rename = "for_own_stalls_ms", with = "crate::representation::milliseconds"))]
    pub for_own_stalls: Duration,
    /// Bytes that waited for the transport: accepted for sending, or handed to the driver and not taken.
    pub unsent: u64,
    /// The smoothed round-trip time; `None` if no PING was ever answered.
    #[cfg_attr(feature = "serde", serde(rename = "rtt_ms", with = "crate::representation::optional_milliseconds"))]
    pub rtt: Option<Duration>,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { silent_for, unanswered, bound, unsent, .. } = self;
        let (silent_for, bound) = (millis(*silent_for), millis(*bound));
        write!(f, "silent for {silent_for} ms; {unanswered} probes unanswered; allowed {bound} ms")?;
        for (extension, cause) in [
            (self.for_slow_writes, "slow writes"),
            (self.for_round_trips, "round trips"),
            (self.for_own_stalls, "stalls of this side"),
        ] {
            if !extension.is_zero() {
                write!(f, " + {} ms for {cause}", millis(extension))?;
            }
        }
        write!(f, "; last byte in {} ms ago", millis(self.last_byte_in))?;
        match self.last_byte_out {
            Some(ago) => write!(f, ", out {} ms ago", millis(ago))?,
            None => f.write_str(", none taken out")?,
        }
        write!(f, "; {unsent} bytes wait")?;
        match self.rtt {
            Some(rtt) => write!(f, "; round trip {rtt:?}"),
            None => f.write_str("; round trip unknown"),
        }
    }
}
