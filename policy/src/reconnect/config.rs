//! What can be chosen about connecting again.

use std::ops::Deref;
use std::time::Duration;

use pulsewire_protocol::{ConfigError, check_range};

/// How a client connects again. The default suits most: it never gives up by itself, and waits half a minute at most.
///
/// ```
/// use std::time::Duration;
/// use pulsewire_policy::ReconnectConfig;
///
/// let config = ReconnectConfig { max_delay: Duration::from_secs(10), ..ReconnectConfig::default() }.validate()?;
/// assert_eq!(config.first_delay, Duration::from_secs(1));
/// # Ok::<(), pulsewire_protocol::ConfigError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(default, deny_unknown_fields))]
pub struct ReconnectConfig {
    /// How long the first wait may be: each wait is drawn evenly between nothing and its longest. 1 ms to 1 h, default 1 s.
    #[cfg_attr(
        feature = "serde",
        serde(rename = "first_delay_ms", with = "pulsewire_protocol::representation::milliseconds")
    )]
    pub first_delay: Duration,
    /// How long any wait may be, before the server's advice is added. `first_delay` to 24 h, default 30 s.
    #[cfg_attr(
        feature = "serde",
        serde(rename = "max_delay_ms", with = "pulsewire_protocol::representation::milliseconds")
    )]
    pub max_delay: Duration,
    /// The longest wait is this many times the one before, up to `max_delay`. 1 to 10, default 2.
    pub growth: u32,
    /// The very first try waits too, for a time between nothing and this: for many devices that are switched on together. At most 24 h,
    /// default 0.
    #[cfg_attr(
        feature = "serde",
        serde(rename = "start_jitter_ms", with = "pulsewire_protocol::representation::milliseconds")
    )]
    pub start_jitter: Duration,
    /// How long a connection must have lived for the waits to begin anew. One that ends sooner counts as a failed try, so that a server
    /// which accepts and then fails is left alone for longer and longer. At most 24 h, default 30 s.
    #[cfg_attr(
        feature = "serde",
        serde(rename = "settled_after_ms", with = "pulsewire_protocol::representation::milliseconds")
    )]
    pub settled_after: Duration,
    /// The longest advice of a server (`retry_after`) that is heeded; a longer one is taken for this. At most 7 d, default 1 h.
    #[cfg_attr(
        feature = "serde",
        serde(rename = "advice_max_ms", with = "pulsewire_protocol::representation::milliseconds")
    )]
    pub advice_max: Duration,
    /// Gives up after so many failed tries in a row. At least 1; default `None`: never.
    pub tries_max: Option<u32>,
    /// Gives up rather than try again when so much time has passed without a connection that settled. At least 1 ms; default `None`:
    /// never.
    #[cfg_attr(
        feature = "serde",
        serde(rename = "give_up_after_ms", with = "pulsewire_protocol::representation::optional_milliseconds")
    )]
    pub give_up_after: Option<Duration>,
}

impl Default for ReconnectConfig {
    fn default() -> Self {
        Self {
            first_delay: Duration::from_secs(1),
            max_delay: Duration::from_secs(30),
            growth: 2,
            start_jitter: Duration::ZERO,
            settled_after: Duration::from_secs(30),
            advice_max: Duration::from_secs(3_600),
            tries_max: None,
            give_up_after: None,
        }
    }
}

impl ReconnectConfig {
    /// Checks every number against its range.
    ///
    /// # Errors
    /// [`ConfigError`] names the first field that is wrong, and what it may hold.
    pub fn validate(self) -> Result<ValidReconnectConfig, ConfigError> {
        let (ms, hour, day) = (Duration::from_millis, Duration::from_secs(3_600), Duration::from_secs(86_400));
        check_range("first_delay", self.first_delay, ms(1), hour, "1 ms to 1 h")?;
        check_range("max_delay", self.max_delay, self.first_delay, day, "first_delay to 24 h")?;
        check_range("growth", self.growth, 1, 10, "1 to 10")?;
        check_range("start_jitter", self.start_jitter, Duration::ZERO, day, "at most 24 h")?;
        check_range("settled_after", self.settled_after, Duration::ZERO, day, "at most 24 h")?;
        check_range("advice_max", self.advice_max, Duration::ZERO, 7 * day, "at most 7 d")?;
        check_range("tries_max", self.tries_max.unwrap_or(1), 1, u32::MAX, "at least 1")?;
        check_range("give_up_after", self.give_up_after.unwrap_or(ms(1)), ms(1), Duration::MAX, "at least 1 ms")?;
        Ok(ValidReconnectConfig(self))
    }
}

/// A [`ReconnectConfig`] whose numbers all lie in their ranges.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(try_from = "ReconnectConfig"))]
pub struct ValidReconnectConfig(ReconnectConfig);

impl Deref for ValidReconnectConfig {
    type Target = ReconnectConfig;

    fn deref(&self) -> &ReconnectConfig {
        &self.0
    }
}

impl TryFrom<ReconnectConfig> for ValidReconnectConfig {
    type Error = ConfigError;

    fn try_from(config: ReconnectConfig) -> Result<Self, ConfigError> {
        config.validate()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_valid() {
        assert_eq!(ReconnectConfig::default().validate(), Ok(ValidReconnectConfig::default()));
    }

    #[test]
    fn each_number_is_checked_at_both_ends() {
        let changes: [fn(&mut ReconnectConfig); 11] = [
            |c| c.first_delay = Duration::ZERO,
            |c| c.first_delay = Duration::from_secs(3_601),
            |c| c.max_delay = c.first_delay - Duration::from_millis(1),
            |c| c.max_delay = Duration::MAX,
            |c| c.growth = 0,
            |c| c.growth = 11,
            |c| c.start_jitter = Duration::MAX,
            |c| c.settled_after = Duration::MAX,
            |c| c.advice_max = Duration::MAX,
            |c| c.tries_max = Some(0),
            |c| c.give_up_after = Some(Duration::ZERO),
        ];
        for (index, change) in changes.iter().enumerate() {
            let mut config = ReconnectConfig::default();
            change(&mut config);
            assert!(matches!(config.validate(), Err(ConfigError::OutOfRange { .. })), "change {index}");
        }
    }
}
