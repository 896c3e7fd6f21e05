//! Round-trip time, estimated as RFC 6298 does.

use core::time::Duration;

use crate::time::nanos;

/// The round-trip time, from PING to PONG (section 8.3 of the specification).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Rtt {
    /// Smoothed over the latest measurements.
    #[cfg_attr(feature = "serde", serde(rename = "smoothed_ms", with = "crate::representation::milliseconds"))]
    pub smoothed: Duration,
    /// How much it varies.
    #[cfg_attr(feature = "serde", serde(rename = "variation_ms", with = "crate::representation::milliseconds"))]
    pub variation: Duration,
    /// The latest measurement.
    #[cfg_attr(feature = "serde", serde(rename = "latest_ms", with = "crate::representation::milliseconds"))]
    pub latest: Duration,
}

/// Round-trip time, once there was a measurement.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RttEstimator {
    /// In nanoseconds; `latest` is `NONE` before the first measurement.
    smoothed: u64,
    variation: u64,
    latest: u64,
}

const NONE: u64 = u64::MAX;

/// Longer than any that is waited for, and short enough to reckon with.
const LONGEST: u64 = u64::MAX / 16;

impl Default for RttEstimator {
    fn default() -> Self {
        Self { smoothed: 0, variation: 0, latest: NONE }
    }
}

impl RttEstimator {
    pub(crate) fn sample(&mut self, rtt: Duration) {
        let rtt = nanos(rtt).min(LONGEST);
        (self.smoothed, self.variation) = match self.latest {
            NONE => (rtt, rtt / 2),
            _ => ((self.smoothed * 7 + rtt) / 8, (self.variation * 3 + self.smoothed.abs_diff(rtt)) / 4),
        };
        self.latest = rtt;
    }

    pub(crate) fn rtt(&self) -> Option<Rtt> {
        let [smoothed, variation, latest] = [self.smoothed, self.variation, self.latest].map(Duration::from_nanos);
        (self.latest != NONE).then_some(Rtt { smoothed, variation, latest })
    }

    pub(crate) fn smoothed(&self) -> Option<Duration> {
        self.rtt().map(|rtt| rtt.smoothed)
    }

    /// How long an answer is waited for: `srtt + 4 * rttvar`, within `[interval, 4 * interval]` (section 8.3).
    pub(crate) fn wait(&self, interval: Duration) -> Duration {
        let estimate = self.rtt().map_or(Duration::ZERO, |rtt| rtt.smoothed + rtt.variation * 4);
        estimate.clamp(interval, interval * 4)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_follows_the_round_trip_and_is_clamped() {
        let ms = Duration::from_millis;
        let mut rtt = RttEstimator::default();
        assert_eq!(rtt.wait(ms(100)), ms(100));
        rtt.sample(ms(80));
        assert_eq!((rtt.smoothed(), rtt.wait(ms(100))), (Some(ms(80)), ms(240)));
        rtt.sample(ms(80));
        assert_eq!(rtt.wait(ms(100)), ms(200));
        rtt.sample(ms(5_000));
        assert_eq!(rtt.wait(ms(100)), ms(400));
    }
}
