//! The estimator of RFC 6298.

use std::time::Duration;

/// In seconds.
pub(super) struct RoundTrip {
    smoothed: f64,
    variation: f64,
}

impl RoundTrip {
    #[cfg(test)]
    pub(super) fn of(smoothed: f64, variation: f64) -> Self {
        Self { smoothed, variation }
    }

    /// Takes a measurement, which may be the first one.
    pub(super) fn measure(estimate: &mut Option<Self>, sample: Duration) {
        let sample = sample.as_secs_f64();
        match estimate {
            None => *estimate = Some(Self { smoothed: sample, variation: sample / 2.0 }),
            Some(Self { smoothed, variation }) => {
                *variation = 0.75 * *variation + 0.25 * (*smoothed - sample).abs();
                *smoothed = 0.875 * *smoothed + 0.125 * sample;
            }
        }
    }

    /// The wait for an answer, not clamped yet.
    pub(super) fn wait(&self) -> Duration {
        Duration::from_secs_f64(self.smoothed + 4.0 * self.variation)
    }
}
