//! How long a connection may last.

use std::time::Duration;

/// The longest age of a connection. Clients that came together would stay with one server for ever, while others that were added
/// later have nothing to do; with this they are asked to connect anew once in a while, each at a time of its own.
///
/// At its age a connection is drained (DRAIN), so that the peer finishes what it had begun and closes; after the grace it is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(default, deny_unknown_fields))]
pub struct Lifetime {
    /// From the handshake until DRAIN, at most. 1 s to 365 d, default 1 h.
    #[cfg_attr(
        feature = "serde",
        serde(rename = "longest_ms", with = "pulsewire_protocol::representation::milliseconds")
    )]
    pub longest: Duration,
    /// How much less it may be, in percent of `longest`: each connection has its own share. 0 to 100, default 10.
    pub jitter_percent: u8,
    /// From DRAIN until CLOSE. At most 24 h, default 30 s.
    #[cfg_attr(
        feature = "serde",
        serde(rename = "grace_ms", with = "pulsewire_protocol::representation::milliseconds")
    )]
    pub grace: Duration,
}

impl Default for Lifetime {
    fn default() -> Self {
        Self { longest: Duration::from_secs(3_600), jitter_percent: 10, grace: Duration::from_secs(30) }
    }
}

impl Lifetime {
    /// When a connection is to be drained, counted from its handshake. `random` is any number, each as likely as the others.
    ///
    /// ```
    /// use std::time::Duration;
    /// use pulsewire_policy::server::Lifetime;
    ///
    /// let lifetime = Lifetime { longest: Duration::from_secs(100), ..Lifetime::default() };
    /// assert_eq!(lifetime.drain_after(0), Duration::from_secs(100));
    /// assert!(lifetime.drain_after(u64::MAX) >= Duration::from_secs(90));
    /// ```
    #[must_use]
    pub fn drain_after(&self, random: u64) -> Duration {
        let share = f64::from(self.jitter_percent.min(100)) / 100.0 * (random as f64 / u64::MAX as f64);
        self.longest - self.longest.mul_f64(share).min(self.longest)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn an_age_lies_between_the_longest_and_that_less_the_jitter(
            millis in 1_000_u64..31_536_000_000, jitter_percent in 0_u8..=100, random: u64,
        ) {
            let longest = Duration::from_millis(millis);
            let age = Lifetime { longest, jitter_percent, ..Lifetime::default() }.drain_after(random);
            let shortest = longest.mul_f64(1.0 - f64::from(jitter_percent) / 100.0);
            prop_assert!(age <= longest && age + Duration::from_millis(1) >= shortest);
        }
    }
}
