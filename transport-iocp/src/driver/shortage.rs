//! This host is short of memory or buffers: what could not be started is tried again, less and less often.

use std::time::Duration;

use pulsewire_protocol::Instant;

use crate::error::SystemError;

/// The wait after a first failure, and the longest.
const RETRY_FIRST: Duration = Duration::from_millis(10);
const RETRY_MAX: Duration = Duration::from_secs(1);

/// How long a connection is kept that can't do what it has to.
const PATIENCE: Duration = Duration::from_secs(5);

/// The wait after so many failures.
pub(super) fn back_off(failures: u32) -> Duration {
    (RETRY_FIRST * 2_u32.pow(failures.min(16))).min(RETRY_MAX)
}

/// One operation of a connection that could not be started.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shortage {
    since: Instant,
    failures: u32,
    /// It is not tried again before.
    pub(super) retry: Instant,
    /// It was tried again, when the port had been waited on so often.
    tried: Option<u64>,
}

impl Shortage {
    /// It failed again, or for the first time. The error comes back when it has lasted too long.
    ///
    /// It is tried again after `longest` at the latest: a peer that hears nothing judges by its heartbeat, and must not judge a
    /// shortage that has passed.
    pub(super) fn note(
        shortage: &mut Option<Self>,
        now: Instant,
        error: SystemError,
        longest: Duration,
    ) -> Result<Instant, SystemError> {
        let (since, failures) = shortage.map_or((now, 0), |before| (before.since, before.failures + 1));
        if now - since >= PATIENCE {
            return Err(error);
        }
        let retry = now + back_off(failures).min(longest);
        *shortage = Some(Self { since, failures, retry, tried: None });
        Ok(retry)
    }

    /// It is pending. Returns whether that was not known before.
    pub(super) fn tried(shortage: &mut Option<Self>, waits: u64) -> bool {
        let Some(shortage) = shortage else { return false };
        let first = shortage.tried.is_none();
        shortage.tried.get_or_insert(waits);
        first
    }

    /// Whether it was started: what can't be comes back from the next wait.
    pub(super) fn is_over(self, waits: u64) -> bool {
        self.tried.is_some_and(|tried| tried < waits)
    }

    /// Whether it may be tried now.
    pub(super) fn allows(shortage: Option<Self>, now: Instant) -> bool {
        shortage.is_none_or(|shortage| shortage.retry <= now)
    }
}
