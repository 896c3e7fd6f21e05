//! The time that work takes, and saying that it goes on.
#![expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]

use std::time::{Duration, Instant};

/// Measures one piece of work after the other, with one look at the clock between them.
pub(crate) struct Laps {
    begun: Instant,
    last: Instant,
}

impl Laps {
    pub(crate) fn begin() -> Self {
        let begun = Instant::now();
        Self { begun, last: begun }
    }

    /// Since the last look.
    pub(crate) fn lap(&mut self) -> Duration {
        let now = Instant::now();
        now - std::mem::replace(&mut self.last, now)
    }

    /// Of all laps.
    pub(crate) fn total(&self) -> Duration {
        self.last - self.begun
    }
}

/// Says on stderr what is being done, once a second at most, and nothing in the first second.
pub(crate) struct Progress {
    last: Instant,
}

impl Progress {
    pub(crate) fn begin() -> Self {
        Self { last: Instant::now() }
    }

    pub(crate) fn say(&mut self, what: impl FnOnce() -> String) {
        if self.last.elapsed() >= Duration::from_secs(1) {
            eprintln!("{}", what());
            self.last = Instant::now();
        }
    }
}
