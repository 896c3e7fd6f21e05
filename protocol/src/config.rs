//! What can be chosen, with the defaults and ranges of section 10 of the specification.

use alloc::sync::Arc;
use core::fmt;
use core::num::NonZeroU32;
use core::ops::Deref;
use core::time::Duration;

use bytes::Bytes;

use crate::error::ConfigError;
use crate::time::millis;
use crate::wire::printing::{Length, Secret};

/// Everything that one side of a connection can choose. The default suits most servers and clients.
///
/// ```
/// use std::time::Duration;
/// use pulsewire_protocol::Config;
///
/// let mut config = Config::default();
/// config.heartbeat.idle = Duration::from_secs(20);
/// let config = config.validate()?;
/// # Ok::<(), pulsewire_protocol::ConfigError>(())
/// ```
#[derive(Clone, PartialEq, Eq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(default, deny_unknown_fields))]
pub struct Config {
    /// How a vanished peer is noticed.
    pub heartbeat: HeartbeatConfig,
    /// Sizes.
    pub limits: Limits,
    /// The other clocks.
    pub timeouts: Timeouts,
    /// What to do when the stream is damaged.
    pub damage: Damage,
    /// What a client's application tells the server's in HELLO; at most 4,050 bytes. Replayable without TLS.
    #[cfg_attr(feature = "serde", serde(with = "crate::representation::optional_hex"))]
    pub token: Option<Bytes>,
    /// Whether a server's application judges HELLO. A client ignores it.
    pub admission: Admission,
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { heartbeat, limits, timeouts, damage, token, admission } = self;
        f.debug_struct("Config")
            .field("heartbeat", heartbeat)
            .field("limits", limits)
            .field("timeouts", timeouts)
            .field("damage", damage)
            .field("token", &token.as_ref().map(|token| Length(token.len())))
            .field("admission", admission)
            .finish()
    }
}

/// The heartbeat (section 8): silence for `idle`, then `probes` PINGs `interval` apart, then `PEER_TIMEOUT`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(default, deny_unknown_fields))]
pub struct HeartbeatConfig {
    /// Silence before the first PING. 10 ms to 24 h, default 5 s.
    #[cfg_attr(feature = "serde", serde(rename = "idle_ms", with = "crate::representation::milliseconds"))]
    pub idle: Duration,
    /// The shortest wait for an answer. 10 ms to 1 h, default 2 s.
    #[cfg_attr(feature = "serde", serde(rename = "interval_ms", with = "crate::representation::milliseconds"))]
    pub interval: Duration,
    /// Unanswered PINGs until the peer is given up. 1 to 10, default 3.
    pub probes: u32,
    /// How much slow writes and long round trips may add in all. At most 24 h; `None`: as much as `idle + interval * probes`.
    #[cfg_attr(
        feature = "serde",
        serde(rename = "extension_max_ms", with = "crate::representation::optional_milliseconds")
    )]
    pub extension_max: Option<Duration>,
    /// Refuse peers whose ping floor makes `idle + interval * probes` longer than this (PW-HS-016). 30 ms to 7 d; `None`: twice
    /// [`bound`](Self::bound), and a minute at least.
    #[cfg_attr(
        feature = "serde",
        serde(rename = "detect_within_ms", with = "crate::representation::optional_milliseconds")
    )]
    pub detect_within: Option<Duration>,
    /// The shortest time between PINGs that this side tolerates from its peer. 1 ms to 60 s, default 1 s.
    #[cfg_attr(feature = "serde", serde(rename = "ping_floor_ms", with = "crate::representation::milliseconds"))]
    pub ping_floor: Duration,
    /// How long the peer may pause without being judged, whatever it asks for. At most 10 min, default 60 s.
    #[cfg_attr(feature = "serde", serde(rename = "busy_max_ms", with = "crate::representation::milliseconds"))]
    pub busy_max: Duration,
}

impl Default for HeartbeatConfig {
    fn default() -> Self {
        Self {
            idle: Duration::from_secs(5),
            interval: Duration::from_secs(2),
            probes: 3,
            extension_max: None,
            detect_within: None,
            ping_floor: Duration::from_secs(1),
            busy_max: Duration::from_secs(60),
        }
    }
}

impl HeartbeatConfig {
    /// `idle + interval * probes`: how long a dead peer stays unnoticed at most, without extensions.
    #[must_use]
    pub fn bound(&self) -> Duration {
        self.idle.saturating_add(self.interval.saturating_mul(self.probes))
    }

    /// The longest [`bound`](Self::bound) that the ping floor of a peer may bring about: `detect_within`, or its default.
    #[must_use]
    pub fn detection_limit(&self) -> Duration {
        self.detect_within.unwrap_or_else(|| self.bound().saturating_mul(2).max(Duration::from_secs(60)))
    }
}

/// Sizes, in bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(default, deny_unknown_fields))]
pub struct Limits {
    /// The largest frame that this side receives. 512 to 16,777,215, default 65,536.
    pub frame: u32,
    /// The largest message that this side receives. At least `frame`, default 16 MiB.
    pub message: u32,
    /// The largest frame that this side sends, however large those are that the peer receives: PING and PONG wait behind no
    /// larger one (PW-DAT-009). 512 to 16,777,215, default 65,536.
    pub frame_sent: u32,
    /// How much of one class may wait to be sent. A single message of any size is accepted while none of its class waits.
    /// Default 1 MiB.
    pub send_queue: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { frame: 65_536, message: 16 << 20, frame_sent: 65_536, send_queue: 1 << 20 }
    }
}

/// The clocks beside the heartbeat.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(default, deny_unknown_fields))]
pub struct Timeouts {
    /// From the start until the handshake is complete. 10 ms to 10 min, default 10 s.
    #[cfg_attr(feature = "serde", serde(rename = "handshake_ms", with = "crate::representation::milliseconds"))]
    pub handshake: Duration,
    /// From CLOSE, and from the last byte that the peer's host acknowledged, until CLOSE_ACK (PW-CLS-007). 10 ms to 10 min,
    /// default 5 s.
    #[cfg_attr(feature = "serde", serde(rename = "close_ms", with = "crate::representation::milliseconds"))]
    pub close: Duration,
    /// How long nothing of what was handed out may be acknowledged, and what each byte of it has for that beside the time that
    /// `assembly_rate` gives all that wait with it (PW-CLS-015). 10 ms to 24 h, default 30 s.
    #[cfg_attr(feature = "serde", serde(rename = "write_stall_ms", with = "crate::representation::milliseconds"))]
    pub write_stall: Duration,
    /// How long this side reads on behind its last word, and behind the last byte that the peer's host acknowledged, before it
    /// closes (PW-CLS-012). 100 ms to 1 min, default 2 s.
    #[cfg_attr(feature = "serde", serde(rename = "linger_ms", with = "crate::representation::milliseconds"))]
    pub linger: Duration,
    /// What each packet, and each open message, has to become complete, whatever its length (PW-FRM-015, PW-DAT-013). 10 ms to
    /// 1 h, default 10 s.
    #[cfg_attr(feature = "serde", serde(rename = "assembly_base_ms", with = "crate::representation::milliseconds"))]
    pub assembly_base: Duration,
    /// And one second more per this many bytes. At least 1, default 1,024.
    pub assembly_rate: u32,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            handshake: Duration::from_secs(10),
            close: Duration::from_secs(5),
            write_stall: Duration::from_secs(30),
            linger: Duration::from_secs(2),
            assembly_base: Duration::from_secs(10),
            assembly_rate: 1_024,
        }
    }
}

/// What to do when received bytes don't verify (section 5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "snake_case"))]
pub enum Damage {
    /// Announce RESYNC: skip what is damaged, report a gap, go on. For plain TCP, devices and serial lines. The default.
    #[default]
    Resynchronise,
    /// Close at the first damaged byte. For TLS, which lets none through.
    Close,
}

/// Who answers a client's HELLO (PW-HS-020).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "snake_case"))]
pub enum Admission {
    /// The connection itself: every good HELLO is accepted. The default.
    #[default]
    Automatic,
    /// The application: it gets [`Event::Admission`](crate::Event::Admission), and accepts or refuses before
    /// `timeouts.handshake` has passed.
    Ask,
}

/// What HELLO has room for beside the items of this version: 4,096 bytes less 42, and the head of the token's own item.
const TOKEN_MAX: usize = 4_096 - 42 - 4;

impl Config {
    /// Checks every number against its range.
    ///
    /// # Errors
    /// [`ConfigError`] names the first field that is wrong, and what it may hold.
    pub fn validate(self) -> Result<ValidConfig, ConfigError> {
        let (heartbeat, timeouts) = (&self.heartbeat, &self.timeouts);
        let (ms, s, min, h) = (Duration::from_millis, Duration::from_secs, 60, 3_600);
        check_range("heartbeat.idle", heartbeat.idle, ms(10), s(24 * h), "10 ms to 24 h")?;
        check_range("heartbeat.interval", heartbeat.interval, ms(10), s(h), "10 ms to 1 h")?;
        check_range("heartbeat.probes", heartbeat.probes, 1, 10, "1 to 10")?;
        check_range("heartbeat.ping_floor", heartbeat.ping_floor, ms(1), s(60), "1 ms to 60 s")?;
        check_range("heartbeat.busy_max", heartbeat.busy_max, s(0), s(10 * min), "at most 10 min")?;
        if let Some(extension_max) = heartbeat.extension_max {
            check_range("heartbeat.extension_max", extension_max, s(0), s(24 * h), "at most 24 h")?;
        }
        if let Some(detect_within) = heartbeat.detect_within {
            check_range("heartbeat.detect_within", detect_within, ms(30), s(7 * 24 * h), "30 ms to 7 d")?;
            if heartbeat.bound() > detect_within {
                return Err(ConfigError::DetectWithin {
                    bound_ms: millis(heartbeat.bound()),
                    limit_ms: millis(detect_within),
                });
            }
        }
        check_range("limits.frame", self.limits.frame, 512, 0xFF_FFFF, "512 to 16,777,215")?;
        check_range("limits.message", self.limits.message, self.limits.frame, u32::MAX, "at least limits.frame")?;
        check_range("limits.frame_sent", self.limits.frame_sent, 512, 0xFF_FFFF, "512 to 16,777,215")?;
        check_range("limits.send_queue", self.limits.send_queue, 1, usize::MAX, "at least 1")?;
        check_range("timeouts.handshake", timeouts.handshake, ms(10), s(10 * min), "10 ms to 10 min")?;
        check_range("timeouts.close", timeouts.close, ms(10), s(10 * min), "10 ms to 10 min")?;
        check_range("timeouts.write_stall", timeouts.write_stall, ms(10), s(24 * h), "10 ms to 24 h")?;
        check_range("timeouts.linger", timeouts.linger, ms(100), s(min), "100 ms to 1 min")?;
        check_range("timeouts.assembly_base", timeouts.assembly_base, ms(10), s(h), "10 ms to 1 h")?;
        check_range("timeouts.assembly_rate", timeouts.assembly_rate, 1, u32::MAX, "at least 1")?;
        check_range("token.len()", self.token.as_ref().map_or(0, Bytes::len), 0, TOKEN_MAX, "at most 4,050 bytes")?;
        Ok(ValidConfig(Arc::new(self)))
    }
}

/// Checks a number of a configuration against its range, for who has configurations beside these.
///
/// # Errors
/// [`ConfigError::OutOfRange`], with the name, the value, and `range` as words.
pub fn check_range<T: PartialOrd + fmt::Debug>(
    name: &'static str,
    value: T,
    low: T,
    high: T,
    range: &'static str,
) -> Result<(), ConfigError> {
    if value < low || value > high {
        return Err(ConfigError::OutOfRange { name, value: alloc::format!("{value:?}"), range });
    }
    Ok(())
}

/// A [`Config`] whose numbers all lie in their ranges. Cloning it is cheap: connections share it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ValidConfig(Arc<Config>);

impl Deref for ValidConfig {
    type Target = Config;

    fn deref(&self) -> &Config {
        &self.0
    }
}

/// The random numbers of one connection. Same seed, same behaviour.
///
/// Draw the bytes afresh for each connection, from a source that third parties can't predict (PW-KEY-004):
/// `getrandom` or like.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Seed {
    pub(crate) sync_key: NonZeroU32,
    pub(crate) jitter: u64,
}

impl fmt::Debug for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Seed").field(&Secret).finish()
    }
}

impl Seed {
    /// Takes the sync key from the first four bytes, the jitter of the heartbeat from the rest.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 12]) -> Self {
        let [a, b, c, d, jitter @ ..] = bytes;
        // A zero key is not allowed (PW-KEY-002); one value of 2^32 stands for two.
        let sync_key = NonZeroU32::new(u32::from_be_bytes([a, b, c, d])).unwrap_or(NonZeroU32::MIN);
        Self { sync_key, jitter: u64::from_be_bytes(jitter) }
    }

    /// Bytes that make the same seed.
    #[cfg(feature = "serde")]
    pub(crate) fn to_bytes(self) -> [u8; 12] {
        let ([a, b, c, d], jitter) = (self.sync_key.get().to_be_bytes(), self.jitter.to_be_bytes());
        let [e, f, g, h, i, j, k, l] = jitter;
        [a, b, c, d, e, f, g, h, i, j, k, l]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_valid() {
        assert!(Config::default().validate().is_ok());
    }

    #[test]
    fn each_number_is_checked_at_both_ends() {
        let changes: [fn(&mut Config); 14] = [
            |c| c.heartbeat.idle = Duration::from_millis(9),
            |c| c.heartbeat.idle = Duration::from_secs(86_401),
            |c| c.heartbeat.interval = Duration::ZERO,
            |c| c.heartbeat.probes = 0,
            |c| c.heartbeat.probes = 11,
            |c| c.heartbeat.ping_floor = Duration::ZERO,
            |c| c.heartbeat.ping_floor = Duration::from_millis(60_001),
            |c| c.heartbeat.busy_max = Duration::from_millis(600_001),
            |c| c.limits.frame = 511,
            |c| c.limits.message = c.limits.frame - 1,
            |c| c.limits.frame_sent = 511,
            |c| c.timeouts.assembly_rate = 0,
            |c| c.token = Some(Bytes::from_static(&[0; 4_051])),
            |c| c.timeouts.close = Duration::MAX,
        ];
        for (index, change) in changes.iter().enumerate() {
            let mut config = Config::default();
            change(&mut config);
            assert!(matches!(config.validate(), Err(ConfigError::OutOfRange { .. })), "change {index}");
        }
    }

    #[test]
    fn timers_that_contradict_each_other_are_refused() {
        let mut config = Config::default();
        config.heartbeat.detect_within = Some(Duration::from_secs(10));
        let error = config.validate().unwrap_err();
        assert_eq!(error, ConfigError::DetectWithin { bound_ms: 11_000, limit_ms: 10_000 });
    }
}
