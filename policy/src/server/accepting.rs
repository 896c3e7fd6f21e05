//! What to do when accepting fails. It never ends for that.

use std::io::{Error, ErrorKind};
use std::time::Duration;

use pulsewire_protocol::Instant;

/// The wait after the first failure.
const SHORTEST: Duration = Duration::from_millis(5);

/// The wait after many. A descriptor that is free again is used after that time at the latest.
const LONGEST: Duration = Duration::from_secs(1);

/// Between two lines of the log.
const LOG_EVERY: Duration = Duration::from_secs(1);

/// How long a listener waits after an error of accepting, and whether it says so.
///
/// A connection that broke before it was accepted is no reason to wait: the next one is accepted at once. Whatever else fails does so
/// again at once, as descriptors or memory that ran out do (EMFILE, ENFILE, ENOBUFS, ENOMEM), and a loop without a wait would take
/// the processor that others need to free them.
///
/// ```
/// use std::io::{Error, ErrorKind};
/// use std::time::Duration;
/// use pulsewire_policy::server::AcceptBackoff;
/// use pulsewire_protocol::Instant;
///
/// let mut backoff = AcceptBackoff::default();
/// assert_eq!(backoff.failed(Instant::ZERO, &ErrorKind::ConnectionAborted.into()).wait, Duration::ZERO);
/// assert!(backoff.failed(Instant::ZERO, &ErrorKind::OutOfMemory.into()).wait > Duration::ZERO);
/// ```
#[derive(Debug, Default)]
pub struct AcceptBackoff {
    /// The latest wait; zero after a success.
    wait: Duration,
    log: LogLimit,
}

/// What a failure of accepting leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reaction {
    /// Accept again after this time.
    pub wait: Duration,
    /// Say so, with the number of failures since it was said last. `None`: it was said a moment ago, or concerns the peer alone.
    pub log: Option<u64>,
}

impl AcceptBackoff {
    /// Accepting failed.
    pub fn failed(&mut self, now: Instant, error: &Error) -> Reaction {
        if is_the_peers(error) {
            return Reaction { wait: Duration::ZERO, log: None };
        }
        self.wait = (self.wait * 2).clamp(SHORTEST, LONGEST);
        Reaction { wait: self.wait, log: self.log.note(now) }
    }

    /// A connection was accepted: the next failure waits briefly again.
    pub fn succeeded(&mut self) {
        self.wait = Duration::ZERO;
    }
}

/// Errors that a pending connection brought with it. They are gone with it.
fn is_the_peers(error: &Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::ConnectionAborted
            | ErrorKind::ConnectionReset
            | ErrorKind::NetworkDown
            | ErrorKind::NetworkUnreachable
            | ErrorKind::HostUnreachable
            | ErrorKind::TimedOut
            | ErrorKind::NotConnected
            | ErrorKind::Interrupted
            // Linux: a firewall forbids that connection.
            | ErrorKind::PermissionDenied
    )
}

/// Lets something be logged once a second, with a count of what happened since.
#[derive(Debug, Default)]
pub struct LogLimit {
    latest: Option<Instant>,
    since: u64,
}

impl LogLimit {
    /// It happened. Gives how often it did since it was logged last, if it may be logged now.
    pub fn note(&mut self, now: Instant) -> Option<u64> {
        self.since += 1;
        if self.latest.is_some_and(|latest| now - latest < LOG_EVERY) {
            return None;
        }
        self.latest = Some(now);
        Some(std::mem::take(&mut self.since))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn waits_grow_to_a_second_and_begin_anew_after_a_success() {
        let mut backoff = AcceptBackoff::default();
        let error = Error::from(ErrorKind::OutOfMemory);
        let waits: Vec<u128> = (0..10).map(|_| backoff.failed(Instant::ZERO, &error).wait.as_millis()).collect();
        assert_eq!(waits, [5, 10, 20, 40, 80, 160, 320, 640, 1_000, 1_000]);
        backoff.succeeded();
        assert_eq!(backoff.failed(Instant::ZERO, &error).wait, SHORTEST);
    }

    #[test]
    fn a_peer_that_left_early_neither_delays_others_nor_shortens_a_wait() {
        let mut backoff = AcceptBackoff::default();
        let (left, full) = (ErrorKind::ConnectionAborted.into(), Error::from(ErrorKind::OutOfMemory));
        backoff.failed(Instant::ZERO, &full);
        assert_eq!(backoff.failed(Instant::ZERO, &left), Reaction { wait: Duration::ZERO, log: None });
        assert_eq!(backoff.failed(Instant::ZERO, &full).wait, SHORTEST * 2);
    }

    proptest! {
        /// Lines are a second apart, and all of them together count everything but what came after the last.
        #[test]
        fn a_log_is_limited_and_counts_all(steps in prop::collection::vec(0_u64..700, 1..100)) {
            let (mut log, mut now) = (LogLimit::default(), Instant::ZERO);
            let (mut lines, mut noted, mut latest) = (0, 0, None);
            for step in steps {
                now = now + Duration::from_millis(step);
                noted += 1;
                if let Some(count) = log.note(now) {
                    prop_assert!(latest.is_none_or(|latest| now - latest >= LOG_EVERY));
                    latest = Some(now);
                    lines += count;
                    prop_assert_eq!(lines, noted);
                }
            }
        }
    }
}
