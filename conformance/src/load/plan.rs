//! What is asked of a server, and how fast.

use std::time::Duration;

use crate::arguments::tools::{LoadArguments, LoadProfile};

/// What one connection does.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Pace {
    /// Nothing but the heartbeat.
    Silent,
    /// So many messages are under way at a time, and each answer brings the next (closed loop).
    Depth(usize),
    /// So many messages a second, whether they are answered or not (open loop).
    Rate(f64),
    /// As many as the connection takes.
    Flood,
}

/// What all connections do.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) profile: LoadProfile,
    pub(crate) connections: usize,
    pub(crate) pace: Pace,
    /// Bytes of a message.
    pub(crate) payload: usize,
    pub(crate) duration: Duration,
    pub(crate) threads: usize,
    /// How long an answer is looked at before the next one is taken.
    pub(crate) reading_pause: Duration,
    /// Whether a connection is closed in order after each answer, and opened anew.
    pub(crate) is_churn: bool,
    /// Announce RESYNC.
    pub(crate) resync: bool,
}

/// What a profile is, where nothing else is said.
struct Usual {
    connections: usize,
    pace: Pace,
    payload: usize,
    reading_pause: Duration,
}

impl Usual {
    fn of(profile: LoadProfile) -> Self {
        let at_once = Duration::ZERO;
        match profile {
            LoadProfile::Idle => Self { connections: 1_000, pace: Pace::Silent, payload: 0, reading_pause: at_once },
            LoadProfile::Busy => Self { connections: 8, pace: Pace::Depth(16), payload: 64, reading_pause: at_once },
            LoadProfile::Churn => Self { connections: 32, pace: Pace::Depth(1), payload: 64, reading_pause: at_once },
            LoadProfile::Slow => {
                let reading_pause = Duration::from_millis(20);
                Self { connections: 50, pace: Pace::Depth(64), payload: 4_096, reading_pause }
            }
            LoadProfile::Flood => Self { connections: 8, pace: Pace::Flood, payload: 1, reading_pause: at_once },
        }
    }
}

impl Plan {
    /// What the command line says, and for the rest its profile.
    pub(crate) fn new(arguments: &LoadArguments) -> Self {
        let profile = arguments.profile;
        let usual = Usual::of(profile);
        let connections = arguments.connections.map_or(usual.connections, |count| count as usize);
        let pace = match (arguments.depth, arguments.rate) {
            (Some(depth), _) => Pace::Depth(depth as usize),
            (None, Some(rate)) => Pace::Rate(rate as f64 / connections as f64),
            (None, None) => usual.pace,
        };
        Self {
            profile,
            connections,
            pace,
            payload: arguments.payload.map_or(usual.payload, |bytes| bytes as usize),
            duration: Duration::from_secs_f64(arguments.duration),
            threads: (arguments.threads as usize).min(connections),
            reading_pause: usual.reading_pause,
            is_churn: profile == LoadProfile::Churn,
            resync: arguments.resync,
        }
    }

    /// The pace in words.
    pub(crate) fn pace(&self) -> String {
        match self.pace {
            Pace::Silent => "silent".into(),
            Pace::Depth(depth) => format!("closed loop, {depth} under way on each"),
            Pace::Rate(rate) => format!("open loop, {:.0} messages/s in all", rate * self.connections as f64),
            Pace::Flood => "as many as the connections take".into(),
        }
    }
}
