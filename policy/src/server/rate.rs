//! A limit on how often something happens.

use std::time::Duration;

use pulsewire_protocol::Instant;

/// A token bucket: so many at once, and so many a second on average.
///
/// It is kept as the moment at which it would be full again, so that it needs no timer and no fractions.
#[derive(Debug, Clone)]
pub struct RateLimit {
    full_at: Instant,
    /// What one token takes to come back.
    interval: Duration,
    /// How far ahead `full_at` may lie: all tokens but one.
    ahead: Duration,
}

impl RateLimit {
    /// A full bucket of `burst` tokens, of which `per_second` come back in a second. Zeros count as 1.
    #[must_use]
    pub fn new(per_second: u32, burst: u32) -> Self {
        let interval = Duration::from_secs(1) / per_second.max(1);
        Self { full_at: Instant::ZERO, interval, ahead: interval * (burst.max(1) - 1) }
    }

    /// Takes a token, if there is one.
    pub fn take(&mut self, now: Instant) -> bool {
        let there = self.full_at - now <= self.ahead;
        if there {
            self.full_at = self.full_at.max(now) + self.interval;
        }
        there
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// In any span of time there are at most the burst and what comes back in that time; and whoever waits gets one.
        #[test]
        fn no_span_of_time_has_more_than_the_burst_and_the_rate(
            per_second in 1_u32..1_000,
            burst in 1_u32..50,
            steps in prop::collection::vec(0_u64..20_000_000, 1..300),
        ) {
            let mut limit = RateLimit::new(per_second, burst);
            let (mut now, mut taken) = (Instant::ZERO, Vec::new());
            for step in steps {
                now = now + Duration::from_nanos(step);
                if limit.take(now) {
                    taken.push(now);
                }
            }
            prop_assert!(!taken.is_empty());
            for (first, begin) in taken.iter().enumerate() {
                for (last, end) in taken.iter().enumerate().skip(first) {
                    let span = (*end - *begin).as_secs_f64();
                    let most = f64::from(burst) + span * f64::from(per_second) * 1.001 + 1e-6;
                    prop_assert!((last - first + 1) as f64 <= most);
                }
            }
            prop_assert!(limit.take(now + Duration::from_secs(1)));
        }
    }

    #[test]
    fn a_burst_is_let_through_at_once_and_no_more() {
        let mut limit = RateLimit::new(10, 3);
        let taken = (0..5).filter(|_| limit.take(Instant::ZERO)).count();
        assert_eq!(taken, 3);
        let later = Instant::ZERO + Duration::from_millis(100);
        assert!(limit.take(later) && !limit.take(later));
    }
}
