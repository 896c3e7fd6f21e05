//! When small messages are written: each at once, or joined.

use std::time::Duration;

/// When what a task sends is written. It is about the messages of tasks that don't receive from the connection: answers to messages
/// that came together are always joined, and what waits for a stream that takes nothing too (PW-TCP-002).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "snake_case"))]
pub enum Joining {
    /// At once. The default: nothing waits without need.
    #[default]
    Immediate,
    /// When `within` has passed since the first message that waits, or `up_to` bytes wait, or something else is written. For many small
    /// messages that come from everywhere, such as a game's: fewer writes and packets, for a delay that is known.
    Coalesce {
        /// How long a message may wait for others. Transports look once a millisecond or so.
        #[cfg_attr(
            feature = "serde",
            serde(rename = "within_ms", with = "pulsewire_protocol::representation::milliseconds")
        )]
        within: Duration,
        /// Bytes that are written without waiting any longer.
        up_to: usize,
    },
}

impl Joining {
    /// How long what waits may go on to wait, if it may: `queued` bytes do.
    #[must_use]
    #[inline]
    pub fn delay(self, queued: usize) -> Option<Duration> {
        match self {
            Self::Coalesce { within, up_to } if queued < up_to => Some(within),
            Self::Immediate | Self::Coalesce { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn little_waits_for_more() {
        let within = Duration::from_millis(2);
        let joining = Joining::Coalesce { within, up_to: 100 };
        assert_eq!((joining.delay(99), joining.delay(100)), (Some(within), None));
        assert_eq!(Joining::Immediate.delay(1), None);
    }
}
