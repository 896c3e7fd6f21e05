//! Round-trip time, estimated as RFC 6298 does.

use core::time::Duration;

/// The round-trip time, from PING to PONG (section 8.3 of the specification).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Rtt {
    /// Smoothed over the latest measurements.
    pub smoothed: Duration,
    /// How much it varies.
    pub variation: Duration,
    /// The latest measurement.
    pub latest: Duration,
}

/// Round-trip time, once there was a measurement.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct RttEstimator {
    rtt: Option<Rtt>,
}

impl RttEstimator {
    pub(crate) fn sample(&mut self, rtt: Duration) {
        self.rtt = Some(match self.rtt {
            None => Rtt { smoothed: rtt, variation: rtt / 2, latest: rtt },
            Some(Rtt { smoothed, variation, .. }) => Rtt {
                smoothed: (smoothed * 7 + rtt) / 8,
                variation: (variation * 3 + smoothed.abs_diff(rtt)) / 4,
                latest: rtt,
            },
        });
    }

    pub(crate) fn rtt(&self) -> Option<Rtt> {
        self.rtt
    }

    pub(crate) fn smoothed(&self) -> Option<Duration> {
        self.rtt.map(|rtt| rtt.smoothed)
    }

    /// How long an answer is waited for: `srtt + 4 * rttvar`, within `[interval, 4 * interval]` (section 8.3).
    pub(crate) fn wait(&self, interval: Duration) -> Duration {
        let estimate = self.rtt.map_or(Duration::ZERO, |rtt| rtt.smoothed + rtt.variation * 4);
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
