//! The numbers of spec section 10 that a subject is run with.

use std::time::Duration;

/// Every number that an implementation can be told, and whether it resynchronises (spec section 10).
///
/// A subject is given one of these for each server and client that the suite asks for, and follows it exactly.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Profile {
    /// Silence before the first PING.
    pub idle: Duration,
    /// The shortest wait for the answer to a PING.
    pub interval: Duration,
    /// Unanswered PINGs after which the peer is given up.
    pub probes: u32,
    /// The most that PW-HB-013 lets the verdict be put off; `None` is the default of section 10, which follows from the effective
    /// timers.
    pub extension_max: Option<Duration>,
    /// The longest time to detection that the side accepts (PW-HS-016); `None` is the default of section 10, which
    /// [`detection_limit`](Self::detection_limit) gives.
    pub detect_within: Option<Duration>,
    /// The PING_FLOOR to announce, in whole milliseconds.
    pub ping_floor: Duration,
    /// The frame limit to announce, in bytes.
    pub frame_limit: u32,
    /// The message limit to announce, in bytes.
    pub message_limit: u32,
    /// The largest frame to send, in bytes, also to a peer that would take larger ones (PW-DAT-009).
    pub frame_sent: u32,
    /// The time for the peer's first packet (PW-HS-012).
    pub handshake_timeout: Duration,
    /// The time for the peer's CLOSE_ACK (PW-CLS-007).
    pub close_timeout: Duration,
    /// The time in which a byte must be acknowledged, where one waits for that (PW-CLS-015).
    pub write_stall: Duration,
    /// How long a side that ends the connection reads on (PW-CLS-012).
    pub linger: Duration,
    /// The time to complete a packet, without what its length adds (PW-FRM-015), and an open message (PW-DAT-013).
    pub assembly_base: Duration,
    /// What the length adds to it, in bytes per second.
    pub assembly_rate: u32,
    /// The longest pause that a peer is granted (PW-HB-021).
    pub busy_max: Duration,
    /// Whether to announce RESYNC.
    pub resync: bool,
    /// Whether a server's application judges each HELLO (PW-HS-020), by [`Accept`](crate::subject::Command::Accept) or
    /// [`Refuse`](crate::subject::Command::Refuse). An implementation without that refuses to start.
    pub admission: bool,
}

impl Default for Profile {
    /// The defaults of the specification, with RESYNC announced.
    fn default() -> Self {
        let (idle, interval, probes) = (Duration::from_secs(5), Duration::from_secs(2), 3);
        Self {
            idle,
            interval,
            probes,
            extension_max: None,
            detect_within: None,
            ping_floor: Duration::from_secs(1),
            frame_limit: 65_536,
            message_limit: 16_777_216,
            frame_sent: 65_536,
            handshake_timeout: Duration::from_secs(10),
            close_timeout: Duration::from_secs(5),
            write_stall: Duration::from_secs(30),
            linger: Duration::from_secs(2),
            assembly_base: Duration::from_secs(10),
            assembly_rate: 1_024,
            busy_max: Duration::from_secs(60),
            resync: true,
            admission: false,
        }
    }
}

impl Profile {
    /// No timer of it comes due while a case runs, and its limits are small: for everything that is not about time.
    #[must_use]
    pub fn calm() -> Self {
        let minute = Duration::from_secs(60);
        Self {
            idle: minute,
            interval: minute,
            extension_max: Some(minute),
            ping_floor: Duration::from_millis(10),
            frame_limit: 4_096,
            message_limit: 65_536,
            handshake_timeout: minute,
            close_timeout: minute,
            write_stall: minute,
            // An end is waited for often, and nothing but this time may delay it.
            linger: Duration::from_secs(1),
            assembly_base: minute,
            ..Self::default()
        }
    }

    /// As [`calm`](Self::calm), but a silent peer is given up after 650 ms: for cases about the heartbeat.
    ///
    /// Long enough that a busy machine does not make an answer late, short enough to wait for many times.
    #[must_use]
    pub fn brisk() -> Self {
        let (idle, interval, probes) = (Duration::from_millis(200), Duration::from_millis(150), 3);
        Self { idle, interval, probes, extension_max: None, ..Self::calm() }
    }

    /// The numbers of `other` that differ from these, as a manifest has them: `idle = 200`.
    pub(crate) fn differences(&self, other: &Self) -> Vec<String> {
        let time = |time: Duration| time.as_millis().to_string();
        let perhaps = |maybe: Option<Duration>| maybe.map_or_else(|| "its default".into(), time);
        let numbers = |profile: &Self| {
            [
                ("idle", time(profile.idle)),
                ("interval", time(profile.interval)),
                ("probes", profile.probes.to_string()),
                ("extension_max", perhaps(profile.extension_max)),
                ("detect_within", perhaps(profile.detect_within)),
                ("ping_floor", time(profile.ping_floor)),
                ("frame", profile.frame_limit.to_string()),
                ("message", profile.message_limit.to_string()),
                ("frame_sent", profile.frame_sent.to_string()),
                ("handshake_timeout", time(profile.handshake_timeout)),
                ("close_timeout", time(profile.close_timeout)),
                ("write_stall", time(profile.write_stall)),
                ("linger", time(profile.linger)),
                ("assembly_base", time(profile.assembly_base)),
                ("assembly_rate", profile.assembly_rate.to_string()),
                ("busy_max", time(profile.busy_max)),
            ]
        };
        let both = numbers(self).into_iter().zip(numbers(other));
        both.filter(|(mine, others)| mine != others).map(|(_, (name, number))| format!("{name} = {number}")).collect()
    }

    /// The longest silence without extensions: `idle + interval * probes` (PW-HB-013).
    #[must_use]
    pub fn longest_silence(&self) -> Duration {
        self.idle + self.interval * self.probes
    }

    /// The shortest silence that may end in PEER_TIMEOUT: `0.8 * idle + interval * probes` (PW-HB-013).
    #[must_use]
    pub fn shortest_silence(&self) -> Duration {
        self.idle * 4 / 5 + self.interval * self.probes
    }

    /// The longest time to detection that the side accepts, with the default where none is chosen (PW-HS-016): that speaks of the
    /// side's own numbers, whatever floor the peer announces.
    #[must_use]
    pub fn detection_limit(&self) -> Duration {
        self.detect_within.unwrap_or_else(|| (self.longest_silence() * 2).max(Duration::from_secs(60)))
    }

    /// The longest silence with a peer that announces this PING_FLOOR (PW-HB-005).
    #[must_use]
    pub fn longest_silence_with(&self, floor: Duration) -> Duration {
        self.idle.max(floor) + self.interval.max(floor) * self.probes
    }

    /// The time for a packet of `length` payload bytes to be complete (PW-FRM-015).
    #[must_use]
    pub fn assembly_time(&self, length: u32) -> Duration {
        self.assembly_base + self.assembly_share(length)
    }

    /// What a packet of `length` payload bytes adds to the time for it, or for its message (PW-DAT-013).
    #[must_use]
    pub fn assembly_share(&self, length: u32) -> Duration {
        Duration::from_millis((u64::from(length) + 16) * 1_000 / u64::from(self.assembly_rate))
    }

    /// The most time that an open message ever has left (PW-DAT-013).
    #[must_use]
    pub fn message_time(&self) -> Duration {
        self.assembly_time(self.frame_limit)
    }
}
