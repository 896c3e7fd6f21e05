//! What can be chosen for a server, with defaults and ranges.

use std::ops::Deref;
use std::time::Duration;

use pulsewire_protocol::{ConfigError, check_range};

use super::lifetime::Lifetime;

/// Everything that a server chooses beside the protocol's own [`Config`](pulsewire_protocol::Config). The default suits most.
///
/// ```
/// use pulsewire_policy::server::{Lifetime, ServerConfig};
///
/// let mut config = ServerConfig { lifetime: Some(Lifetime::default()), ..ServerConfig::default() };
/// config.limits.per_address = 10_000; // behind a load balancer all come from one address
/// let config = config.validate()?;
/// # Ok::<(), pulsewire_protocol::ConfigError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(default, deny_unknown_fields))]
pub struct ServerConfig {
    /// Whom the server takes, and how much all may hold.
    pub limits: ServerLimits,
    /// How long a connection may last. Default: for ever.
    pub lifetime: Option<Lifetime>,
    /// The check of each client, where the server has one.
    pub admission: AdmissionLimits,
    /// How the server ends.
    pub shutdown: ShutdownTimes,
}

/// What the connections of a server may take together. Whoever is refused is told OVERLOADED.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(default, deny_unknown_fields))]
pub struct ServerLimits {
    /// Connections in all. At least 1, default 65,536. Each needs a descriptor: see `ulimit -n`.
    pub connections: u32,
    /// Connections from one address; of IPv6, from one network of 64 bits. At least 1, default 1,024. A load balancer or a large
    /// NAT is one address.
    pub per_address: u32,
    /// Connections whose handshake is not complete. At least 1, default 4,096.
    pub handshakes: u32,
    /// New connections in a second, on average. At least 1, default 2,000.
    pub accepts_per_second: u32,
    /// New connections at once, before that average holds. At least 1, default 4,000.
    pub accepts_burst: u32,
    /// Connections that are being told, at the same time, that there is no room for them. Others are closed without a word.
    /// Default 256; 0: nobody is told.
    pub refusals: u32,
    /// When a client that was refused is to come again, at the earliest; each is told a time of its own between this and twice as
    /// much. At most 24 h, default 5 s.
    #[cfg_attr(
        feature = "serde",
        serde(rename = "retry_after_ms", with = "pulsewire_protocol::representation::milliseconds")
    )]
    pub retry_after: Duration,
    /// Bytes of memory that all connections hold for what is only partly received and for what waits to be sent. Above it, those
    /// that hold most are closed with OVERLOADED. At least 64 KiB, default 256 MiB.
    pub buffered: usize,
}

impl Default for ServerLimits {
    fn default() -> Self {
        Self {
            connections: 65_536,
            per_address: 1_024,
            handshakes: 4_096,
            accepts_per_second: 2_000,
            accepts_burst: 4_000,
            refusals: 256,
            retry_after: Duration::from_secs(5),
            buffered: 256 << 20,
        }
    }
}

/// Bounds the check of clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(default, deny_unknown_fields))]
pub struct AdmissionLimits {
    /// Checks at the same time. A client that comes while so many run is told OVERLOADED. At least 1, default 256.
    pub at_once: u32,
    /// How long a check may take; then the client is told OVERLOADED. 1 ms to 10 min, default 5 s. Where `timeouts.handshake` is
    /// shorter, a check of the tokio server has three quarters of that, so that there is time left for the answer; a handler that
    /// judges clients itself is bounded by the handshake's time.
    #[cfg_attr(
        feature = "serde",
        serde(rename = "timeout_ms", with = "pulsewire_protocol::representation::milliseconds")
    )]
    pub timeout: Duration,
}

impl Default for AdmissionLimits {
    fn default() -> Self {
        Self { at_once: 256, timeout: Duration::from_secs(5) }
    }
}

/// How long a server takes to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(default, deny_unknown_fields))]
pub struct ShutdownTimes {
    /// From DRAIN until CLOSE: for peers that finish what they had begun, and close themselves. At most 24 h, default 10 s; 0: CLOSE
    /// at once.
    #[cfg_attr(
        feature = "serde",
        serde(rename = "drain_ms", with = "pulsewire_protocol::representation::milliseconds")
    )]
    pub drain: Duration,
    /// From CLOSE until the rest is cut. At most 24 h, default 10 s: longer than `timeouts.close` and `timeouts.linger` together, or
    /// peers that only say good-bye are cut.
    #[cfg_attr(
        feature = "serde",
        serde(rename = "close_ms", with = "pulsewire_protocol::representation::milliseconds")
    )]
    pub close: Duration,
}

impl Default for ShutdownTimes {
    fn default() -> Self {
        Self { drain: Duration::from_secs(10), close: Duration::from_secs(10) }
    }
}

impl ServerConfig {
    /// Checks every number against its range.
    ///
    /// # Errors
    /// [`ConfigError`] names the first field that is wrong, and what it may hold.
    pub fn validate(self) -> Result<ValidServerConfig, ConfigError> {
        let (ms, s, h) = (Duration::from_millis, Duration::from_secs, 3_600);
        let Self { limits, lifetime, admission, shutdown } = &self;
        at_least_one("limits.connections", limits.connections)?;
        at_least_one("limits.per_address", limits.per_address)?;
        at_least_one("limits.handshakes", limits.handshakes)?;
        at_least_one("limits.accepts_per_second", limits.accepts_per_second)?;
        at_least_one("limits.accepts_burst", limits.accepts_burst)?;
        check_range("limits.retry_after", limits.retry_after, s(0), s(24 * h), "at most 24 h")?;
        check_range("limits.buffered", limits.buffered, 64 << 10, usize::MAX, "at least 64 KiB")?;
        if let Some(Lifetime { longest, jitter_percent, grace }) = *lifetime {
            check_range("lifetime.longest", longest, s(1), s(365 * 24 * h), "1 s to 365 d")?;
            check_range("lifetime.jitter_percent", jitter_percent, 0, 100, "0 to 100")?;
            check_range("lifetime.grace", grace, s(0), s(24 * h), "at most 24 h")?;
        }
        at_least_one("admission.at_once", admission.at_once)?;
        check_range("admission.timeout", admission.timeout, ms(1), s(600), "1 ms to 10 min")?;
        check_range("shutdown.drain", shutdown.drain, s(0), s(24 * h), "at most 24 h")?;
        check_range("shutdown.close", shutdown.close, s(0), s(24 * h), "at most 24 h")?;
        Ok(ValidServerConfig(self))
    }
}

fn at_least_one(name: &'static str, value: u32) -> Result<(), ConfigError> {
    check_range(name, value, 1, u32::MAX, "at least 1")
}

/// A [`ServerConfig`] whose numbers all lie in their ranges. The default is theirs.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(into = "ServerConfig", try_from = "ServerConfig"))]
pub struct ValidServerConfig(ServerConfig);

impl Deref for ValidServerConfig {
    type Target = ServerConfig;

    fn deref(&self) -> &ServerConfig {
        &self.0
    }
}

impl From<ValidServerConfig> for ServerConfig {
    fn from(config: ValidServerConfig) -> Self {
        config.0
    }
}

impl TryFrom<ServerConfig> for ValidServerConfig {
    type Error = ConfigError;

    fn try_from(config: ServerConfig) -> Result<Self, ConfigError> {
        config.validate()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_valid() {
        assert_eq!(ServerConfig::default().validate(), Ok(ValidServerConfig::default()));
        let config = ServerConfig { lifetime: Some(Lifetime::default()), ..ServerConfig::default() };
        assert!(config.validate().is_ok());
    }

    #[test]
    fn each_number_is_checked_at_both_ends() {
        let lifetime = |change: fn(&mut Lifetime)| {
            let mut lifetime = Lifetime::default();
            change(&mut lifetime);
            ServerConfig { lifetime: Some(lifetime), ..ServerConfig::default() }
        };
        let other = |change: fn(&mut ServerConfig)| {
            let mut config = ServerConfig::default();
            change(&mut config);
            config
        };
        let wrong = [
            ("limits.connections", other(|c| c.limits.connections = 0)),
            ("limits.per_address", other(|c| c.limits.per_address = 0)),
            ("limits.handshakes", other(|c| c.limits.handshakes = 0)),
            ("limits.accepts_per_second", other(|c| c.limits.accepts_per_second = 0)),
            ("limits.accepts_burst", other(|c| c.limits.accepts_burst = 0)),
            ("limits.retry_after", other(|c| c.limits.retry_after = Duration::MAX)),
            ("limits.buffered", other(|c| c.limits.buffered = 65_535)),
            ("lifetime.longest", lifetime(|l| l.longest = Duration::from_millis(999))),
            ("lifetime.longest", lifetime(|l| l.longest = Duration::MAX)),
            ("lifetime.jitter_percent", lifetime(|l| l.jitter_percent = 101)),
            ("lifetime.grace", lifetime(|l| l.grace = Duration::MAX)),
            ("admission.at_once", other(|c| c.admission.at_once = 0)),
            ("admission.timeout", other(|c| c.admission.timeout = Duration::ZERO)),
            ("admission.timeout", other(|c| c.admission.timeout = Duration::MAX)),
            ("shutdown.drain", other(|c| c.shutdown.drain = Duration::MAX)),
            ("shutdown.close", other(|c| c.shutdown.close = Duration::MAX)),
        ];
        for (field, config) in wrong {
            let error = config.validate().unwrap_err();
            let ConfigError::OutOfRange { name, value, range } = &error else { panic!("{error}") };
            assert_eq!(*name, field);
            assert!(error.to_string().contains(value) && error.to_string().contains(range), "{error}");
        }
    }

    #[cfg(feature = "serde")]
    #[test]
    fn a_configuration_is_checked_while_it_is_read() {
        use serde_json::{from_value, json, to_value};

        let read = from_value::<ValidServerConfig>(json!({
            "limits": { "per_address": 7, "retry_after_ms": 1500 },
            "lifetime": { "longest_ms": 60_000 },
        }))
        .unwrap();
        assert_eq!((read.limits.per_address, read.limits.retry_after), (7, Duration::from_millis(1_500)));
        assert_eq!(read.limits.connections, ServerLimits::default().connections);
        assert_eq!(read.lifetime.unwrap().longest, Duration::from_secs(60));
        assert_eq!(from_value::<ValidServerConfig>(to_value(&read).unwrap()).unwrap(), read);

        let refusal = |value| from_value::<ValidServerConfig>(value).unwrap_err().to_string();
        assert!(refusal(json!({ "shutdown": { "drain_ms": 1e12 } })).contains("shutdown.drain"));
        assert!(refusal(json!({ "limits": { "conections": 1 } })).contains("unknown field"));
    }
}
