//! The time of one endpoint: tokio's, so that tests can pause it.

use std::time::Duration;

use pulsewire_protocol::Instant;

#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    epoch: tokio::time::Instant,
}

impl Clock {
    pub(crate) fn new() -> Self {
        Self { epoch: tokio::time::Instant::now() }
    }

    pub(crate) fn now(&self) -> Instant {
        Instant::ZERO + self.epoch.elapsed()
    }

    /// The same moment in tokio's time; a day ahead at most, since its timers reach no further than some years.
    pub(crate) fn tokio(&self, instant: Instant) -> tokio::time::Instant {
        let now = self.now();
        self.epoch + (now - Instant::ZERO) + (instant - now).min(Duration::from_secs(86_400))
    }
}
