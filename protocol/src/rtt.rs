//! Round-trip time, estimated as RFC 6298 does.

use core::time::Duration;

/// Smoothed round-trip time and its variation.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct RttEstimator {
    smoothed: Option<Duration>,
    variation: Duration,
}

impl RttEstimator {
    pub(crate) fn sample(&mut self, rtt: Duration) {
        match self.smoothed {
            None => {
                self.smoothed = Some(rtt);
                self.variation = rtt / 2;
            }
            Some(smoothed) => {
                self.variation = (self.variation * 3 + smoothed.abs_diff(rtt)) / 4;
                self.smoothed = Some((smoothed * 7 + rtt) / 8);
            }
        }
    }

    pub(crate) fn smoothed(&self) -> Option<Duration> {
        self.smoothed
    }

    /// How long an answer is waited for: `srtt + 4 * rttvar`, within `[interval, 4 * interval]` (section 8.3).
    pub(crate) fn wait(&self, interval: Duration) -> Duration {
        let estimate = self.smoothed.map_or(Duration::ZERO, |smoothed| smoothed + self.variation * 4);
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
