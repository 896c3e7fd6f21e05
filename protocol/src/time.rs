//! Time as the core sees it: a number that the driver passes in.

use core::ops::{Add, Sub};
use core::time::Duration;

/// A moment: nanoseconds since an epoch that the driver chooses, the same for all connections of one driver.
///
/// The core never reads a clock. The same calls with the same instants give the same results, so a run can be recorded and
/// replayed. Arithmetic saturates: 2^64 ns are 584 years.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(transparent))]
pub struct Instant(u64);

impl Instant {
    /// The epoch itself.
    pub const ZERO: Self = Self(0);
    /// The end of time; a deadline that never comes.
    pub const MAX: Self = Self(u64::MAX);

    /// The moment that lies this many nanoseconds after the epoch.
    #[must_use]
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// Nanoseconds since the epoch.
    #[must_use]
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// The time from `earlier` to this moment; zero where `earlier` is later.
    #[must_use]
    pub fn saturating_duration_since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Instant {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(nanos(duration)))
    }
}

impl Sub for Instant {
    type Output = Duration;

    fn sub(self, earlier: Self) -> Duration {
        self.saturating_duration_since(earlier)
    }
}

/// A moment, or none: half the size of an `Option`, and a connection keeps many. The end of time is none.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct MaybeInstant(Instant);

impl MaybeInstant {
    pub(crate) const NONE: Self = Self(Instant::MAX);

    pub(crate) const fn some(moment: Instant) -> Self {
        Self(moment)
    }

    #[inline]
    pub(crate) fn get(self) -> Option<Instant> {
        self.is_some().then_some(self.0)
    }

    #[inline]
    pub(crate) fn is_some(self) -> bool {
        self != Self::NONE
    }

    pub(crate) fn take(&mut self) -> Option<Instant> {
        core::mem::replace(self, Self::NONE).get()
    }

    /// Sets the moment, if there is none.
    pub(crate) fn begin(&mut self, moment: Instant) {
        if !self.is_some() {
            *self = Self(moment);
        }
    }
}

impl From<Option<Instant>> for MaybeInstant {
    fn from(moment: Option<Instant>) -> Self {
        moment.map_or(Self::NONE, Self)
    }
}

impl core::fmt::Debug for MaybeInstant {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        self.get().fmt(f)
    }
}

/// Whole nanoseconds, at most `u64::MAX`.
pub(crate) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// Whole milliseconds, for messages.
pub(crate) fn millis(duration: Duration) -> u64 {
    nanos(duration) / 1_000_000
}

/// The time that so many bytes take at this rate, in bytes per second.
pub(crate) fn transfer(bytes: u64, rate: u32) -> Duration {
    let nanos = u128::from(bytes) * 1_000_000_000 / u128::from(rate);
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

/// Makes [`Instant`]s from the system's monotonic clock. Its epoch is the moment of its creation.
///
/// Reading the clock costs more than handling a small packet: read it once per poll, not per packet.
///
/// ```
/// let clock = pulsewire_protocol::Clock::new();
/// let now = clock.now();
/// assert!(clock.now() >= now);
/// ```
#[cfg(feature = "std")]
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    epoch: std::time::Instant,
}

#[cfg(feature = "std")]
#[expect(clippy::disallowed_methods, reason = "this is the one place where a driver gets its time from")]
impl Clock {
    /// A clock whose epoch is now.
    #[must_use]
    pub fn new() -> Self {
        Self { epoch: std::time::Instant::now() }
    }

    /// The present moment.
    #[must_use]
    pub fn now(&self) -> Instant {
        Instant(nanos(self.epoch.elapsed()))
    }

    /// The time from now until `deadline`; zero where it has passed.
    #[must_use]
    pub fn until(&self, deadline: Instant) -> Duration {
        deadline - self.now()
    }
}

#[cfg(feature = "std")]
impl Default for Clock {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arithmetic_saturates() {
        assert_eq!(Instant::MAX + Duration::from_secs(1), Instant::MAX);
        assert_eq!(Instant::ZERO + Duration::MAX, Instant::MAX);
        assert_eq!(Instant::ZERO - Instant::MAX, Duration::ZERO);
    }
}
