//! When a client that lost its connection tries again.

mod config;

use std::time::Duration;

use pulsewire_protocol::{CloseReason, Closed, Instant, Retry};

pub use self::config::{ReconnectConfig, ValidReconnectConfig};

/// Decides when a client tries again, and when it gives up.
///
/// It is told how each try and each connection went, and says when the next try is due:
///
/// - Each wait is drawn evenly between nothing and its longest ("full jitter"), and the longest grows from
///   [`first_delay`](ReconnectConfig::first_delay) to [`max_delay`](ReconnectConfig::max_delay). So many clients that lost the same
///   server spread out, and the more the longer it is away.
/// - A server's `retry_after` (section 9 of the specification) is waited for, and a random time on top: clients that were all told
///   the same don't come together either. That time is as long as the advice itself at most, or `max_delay` where that is less, so
///   that long advice spreads them wide.
/// - A connection that ends before it [settled](ReconnectConfig::settled_after) counts as a failed try.
/// - Where another try would end the same way (`never`), it gives up.
///
/// Random numbers are handed in, one each time; they must be evenly distributed, and need not be secret.
///
/// ```
/// use std::time::Duration;
/// use pulsewire_policy::{Failure, Next, Reconnect, ReconnectConfig};
/// use pulsewire_protocol::Instant;
///
/// let now = Instant::ZERO;
/// let mut reconnect = Reconnect::new(ReconnectConfig::default().validate()?, now);
/// // Nobody answered. A random number of half the range: half of the longest wait, one second.
/// let next = reconnect.failed(now, Failure::Unreachable, u64::MAX / 2);
/// assert!(matches!(next, Next::TryAt(at) if at - now < Duration::from_millis(501)));
/// # Ok::<(), pulsewire_protocol::ConfigError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Reconnect {
    config: ValidReconnectConfig,
    /// Since when there is no connection that settled.
    since: Instant,
    /// Tries that failed since then.
    failures: u32,
    /// The longest wait that is next, without advice.
    delay: Duration,
    /// When the present connection was established.
    established: Option<Instant>,
    given_up: Option<GiveUp>,
}

/// Why a try gave no connection, or how a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// Nothing was heard of a server: no address, no TCP connection, or this side was not ready to connect.
    Unreachable,
    /// A connection ended, in its handshake or later.
    Closed {
        /// Why.
        reason: CloseReason,
        /// What that says about connecting again: the server's advice where it gave any, else the registry's.
        retry: Retry,
    },
}

impl From<&Closed> for Failure {
    fn from(closed: &Closed) -> Self {
        Self::Closed { reason: closed.reason, retry: closed.retry }
    }
}

/// What to do now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Try again at this time.
    TryAt(Instant),
    /// Don't try any more.
    GiveUp(GiveUp),
}

/// Why there is no further try.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum GiveUp {
    /// The server doesn't want this client (REFUSED, or any other reason with the advice never to come again).
    #[error("the server said not to come again: {reason}")]
    Refused {
        /// The reason that it gave.
        reason: CloseReason,
    },
    /// The two sides don't understand each other, and would not the next time either: no version in common, say, or another protocol at
    /// that address. One of them has to be changed.
    #[error("another try would end the same way: {reason}")]
    Incompatible {
        /// What was found.
        reason: CloseReason,
    },
    /// As many tries failed in a row as [`tries_max`](ReconnectConfig::tries_max) allows.
    #[error("{tries} tries in a row have failed")]
    Tries {
        /// So many.
        tries: u32,
    },
    /// [`give_up_after`](ReconnectConfig::give_up_after) would have passed before the next try.
    #[error("no connection has lasted within {limit:?}")]
    Time {
        /// The limit.
        limit: Duration,
    },
}

impl GiveUp {
    /// The reason of a connection that says it best, for those who still want to send.
    #[must_use]
    pub fn reason(self) -> CloseReason {
        match self {
            Self::Refused { reason } | Self::Incompatible { reason } => reason,
            Self::Tries { .. } | Self::Time { .. } => CloseReason::NETWORK_LOST,
        }
    }
}

impl Reconnect {
    /// A client that begins now. [`first_try`](Self::first_try) says when it tries for the first time.
    #[must_use]
    pub fn new(config: ValidReconnectConfig, now: Instant) -> Self {
        let delay = config.first_delay;
        Self { config, since: now, failures: 0, delay, established: None, given_up: None }
    }

    /// When the very first try is due: at once, unless [`start_jitter`](ReconnectConfig::start_jitter) is set.
    #[must_use]
    pub fn first_try(&self, random: u64) -> Instant {
        self.since + share(self.config.start_jitter, random)
    }

    /// The number of the try that is next or under way, from 1; it begins anew with a connection that settled.
    #[must_use]
    pub fn attempt(&self) -> u32 {
        self.failures.saturating_add(1)
    }

    /// How long the next wait may be, without a server's advice.
    #[must_use]
    pub fn longest_delay(&self) -> Duration {
        self.delay
    }

    /// The handshake of a try is complete.
    pub fn established(&mut self, now: Instant) {
        self.established = Some(now);
    }

    /// A try gave no connection. Says what is next; always the same once that was to give up.
    pub fn failed(&mut self, now: Instant, failure: Failure, random: u64) -> Next {
        self.failures = self.failures.saturating_add(1);
        self.next(now, failure, random)
    }

    /// The connection that was [established](Self::established) has ended. Says what is next, as [`failed`](Self::failed).
    pub fn ended(&mut self, now: Instant, failure: Failure, random: u64) -> Next {
        let lived = self.established.take().map_or(Duration::ZERO, |established| now - established);
        if lived >= self.config.settled_after {
            (self.since, self.failures, self.delay) = (now, 0, self.config.first_delay);
            return self.next(now, failure, random);
        }
        self.failed(now, failure, random)
    }

    fn next(&mut self, now: Instant, failure: Failure, random: u64) -> Next {
        if let Some(given_up) = self.given_up {
            return Next::GiveUp(given_up);
        }
        let next = self.judge(now, failure, random);
        match next {
            Next::TryAt(_) => self.delay = self.delay.saturating_mul(self.config.growth).min(self.config.max_delay),
            Next::GiveUp(why) => self.given_up = Some(why),
        }
        next
    }

    fn judge(&self, now: Instant, failure: Failure, random: u64) -> Next {
        let config = &self.config;
        let advice = match failure {
            Failure::Unreachable => Duration::ZERO,
            Failure::Closed { retry: Retry::After(time), .. } => time.min(config.advice_max),
            Failure::Closed { reason, retry: Retry::Never } if reason.is_fault() => {
                return Next::GiveUp(GiveUp::Incompatible { reason });
            }
            Failure::Closed { reason, retry: Retry::Never } => return Next::GiveUp(GiveUp::Refused { reason }),
        };
        if config.tries_max.is_some_and(|most| self.failures >= most) {
            return Next::GiveUp(GiveUp::Tries { tries: self.failures });
        }
        let spread = self.delay.max(advice.min(config.max_delay));
        let at = now + advice + share(spread, random);
        match config.give_up_after {
            Some(limit) if at - self.since >= limit => Next::GiveUp(GiveUp::Time { limit }),
            _ => Next::TryAt(at),
        }
    }
}

/// A time between nothing and `longest`, both included, as evenly distributed as `random`.
fn share(longest: Duration, random: u64) -> Duration {
    let nanos = u64::try_from(longest.as_nanos()).unwrap_or(u64::MAX);
    let share = (u128::from(random) * (u128::from(nanos) + 1)) >> 64;
    // Not above `nanos`.
    Duration::from_nanos(share as u64)
}
