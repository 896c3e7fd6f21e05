//! What a contender has to reach.

use std::fmt;

/// A contender measured against another one, or against a time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Goal {
    /// The contender that has to reach it.
    pub(crate) subject: &'static str,
    bound: Bound,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Bound {
    /// The peer takes at least this many times as long.
    Faster { peer: &'static str, factor: f64 },
    /// The subject takes at most this many times as long as the limit.
    Within { limit: &'static str, factor: f64 },
    /// The subject takes at most this many nanoseconds per operation.
    Below { nanos: f64 },
}

impl Goal {
    /// `subject` is at least `factor` times as fast as `peer`.
    pub(crate) fn faster(subject: &'static str, peer: &'static str, factor: f64) -> Self {
        Self { subject, bound: Bound::Faster { peer, factor } }
    }

    /// `subject` takes at most `factor` times as long as `limit`.
    pub(crate) fn within(subject: &'static str, limit: &'static str, factor: f64) -> Self {
        Self { subject, bound: Bound::Within { limit, factor } }
    }

    /// `subject` takes at most `nanos` nanoseconds per operation.
    pub(crate) fn below(subject: &'static str, nanos: f64) -> Self {
        Self { subject, bound: Bound::Below { nanos } }
    }

    /// What is compared with the bound, in one round. `time` gives a contender's nanoseconds per operation.
    pub(crate) fn value(&self, time: impl Fn(&str) -> f64) -> f64 {
        match self.bound {
            Bound::Faster { peer, .. } => time(peer) / time(self.subject),
            Bound::Within { limit, .. } => time(self.subject) / time(limit),
            Bound::Below { .. } => time(self.subject),
        }
    }

    /// Whether the value surely is on the wrong side: the whole interval is.
    pub(crate) fn is_missed(&self, interval: Interval) -> bool {
        match self.bound {
            Bound::Faster { factor, .. } => interval.high < factor,
            Bound::Within { factor, .. } => interval.low > factor,
            Bound::Below { nanos } => interval.low > nanos,
        }
    }
}

impl fmt::Display for Goal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let subject = self.subject;
        match self.bound {
            Bound::Faster { peer, factor } => write!(f, "{subject} >= {factor} x {peer}"),
            Bound::Within { limit, factor } => write!(f, "{subject} <= {factor} x {limit}"),
            Bound::Below { nanos } => write!(f, "{subject} <= {nanos} ns"),
        }
    }
}

/// A median, and where the true one lies with 99 % confidence.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Interval {
    pub(crate) low: f64,
    pub(crate) median: f64,
    pub(crate) high: f64,
}

impl Interval {
    /// From the order statistics alone: nothing is assumed about how the values are distributed.
    ///
    /// The number of values below the true median is binomial, `n` draws of one half, so the ranks that enclose it lie
    /// `2.58 * sqrt(n) / 2` on either side of the middle.
    pub(crate) fn of(mut values: Vec<f64>) -> Self {
        values.sort_by(f64::total_cmp);
        let last = values.len() - 1;
        let reach = (2.58 * (values.len() as f64).sqrt() / 2.0).ceil() as usize;
        let middle = last / 2;
        let (low, high) = (middle.saturating_sub(reach), (middle + reach).min(last));
        Self { low: values[low], median: values[middle], high: values[high] }
    }
}
