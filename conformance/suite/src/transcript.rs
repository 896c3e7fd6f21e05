//! What a subject did in a case, as far as the suite could see.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// One thing that the subject did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observation {
    /// The time since the case began.
    pub at: Duration,
    /// A packet, the end of a stream, or the reply to a command.
    pub what: String,
}

/// Collects the observations of one case; every peer of the case has a handle.
#[derive(Clone)]
pub(crate) struct Transcript {
    began: Instant,
    observations: Arc<Mutex<Vec<Observation>>>,
}

impl Transcript {
    pub(crate) fn new() -> Self {
        Self { began: Instant::now(), observations: Arc::default() }
    }

    pub(crate) fn note(&self, what: String) {
        let observation = Observation { at: self.began.elapsed(), what };
        self.observations.lock().unwrap_or_else(PoisonError::into_inner).push(observation);
    }

    pub(crate) fn observations(&self) -> Vec<Observation> {
        self.observations.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
