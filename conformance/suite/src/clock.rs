//! Time as the suite and the oracle see it.

use std::thread;
use std::time::{Duration, Instant};

/// The time now.
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// Waits.
pub(crate) fn sleep(duration: Duration) {
    thread::sleep(duration);
}
