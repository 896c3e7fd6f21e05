//! Chance that can be repeated.

/// Numbers that are the same for the same seed.
pub(crate) struct Random(fastrand::Rng);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(fastrand::Rng::with_seed(seed))
    }

    /// From 0 up to `end`, which is not 0.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        self.0.usize(..end)
    }

    /// From 0 to 1.
    pub(crate) fn fraction(&mut self) -> f64 {
        self.0.f64()
    }

    /// Whether this is the one in `count`, which is not 0.
    pub(crate) fn one_in(&mut self, count: u64) -> bool {
        self.0.u64(..count) == 0
    }

    /// How many are passed over before the next, if one in `count` is meant: geometric, so that no byte has to be asked by itself.
    pub(crate) fn gap(&mut self, count: u64) -> usize {
        if count <= 1 {
            return 0;
        }
        let missed = (1.0 - 1.0 / count as f64).ln();
        ((1.0 - self.0.f64()).ln() / missed) as usize
    }
}
