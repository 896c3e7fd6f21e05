//! The operating system's own probing of an idle connection.

use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};

use crate::error::{Error, OutOfRange, Setting};
use crate::established;
use crate::user_timeout::UserTimeout;

/// When the operating system probes an idle TCP connection, and when it gives up. Three numbers, the same on every system; they are
/// checked here, so that a `Keepalive` is one that every system takes.
///
/// ```
/// use std::time::Duration;
/// use pulsewire_socket::Keepalive;
///
/// // Silent for 5 s, then probed every 2 s; reset when 3 probes stayed unanswered: after 11 s.
/// let keepalive = Keepalive::new(Duration::from_secs(5), Duration::from_secs(2), 3)?;
/// assert_eq!(keepalive.notices_within(), Duration::from_secs(11));
/// assert!(Keepalive::new(Duration::from_secs(40_000), Duration::from_secs(2), 3).is_err());
/// # Ok::<(), pulsewire_socket::OutOfRange>(())
/// ```
///
/// What it does not do:
///
/// - It runs only while the connection is idle. While sent data is unacknowledged the system retransmits that instead, and gives up
///   after some 15 minutes on Linux: a [`UserTimeout`] is for that. Set the one that [`Keepalive::user_timeout`] gives: another one
///   changes on Linux when keepalive gives up, too.
/// - A probe is answered by the peer's system. It says nothing about the peer's program, which may hang: only a heartbeat of the
///   application notices that.
/// - A program that exits ends its connections itself, and a read tells at once. That needs no keepalive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(
    feature = "serde",
    serde(into = "crate::representation::KeepaliveFields", try_from = "crate::representation::KeepaliveFields")
)]
pub struct Keepalive {
    idle: Duration,
    interval: Duration,
    probes: u32,
}

impl Keepalive {
    /// The longest [`idle`](Self::idle) and [`interval`](Self::interval): what Linux takes.
    pub const TIME_MAX: Duration = Duration::from_secs(32_767);
    /// The most [`probes`](Self::probes): what Linux takes.
    pub const PROBES_MAX: u32 = 127;

    /// `idle` is the silence before the first probe, `interval` the time between probes, `probes` how many of them may stay
    /// unanswered. The values are the same on every system. Where it counts seconds, a part of one is rounded up, and
    /// [`set_keepalive`] tells so.
    ///
    /// # Errors
    /// A time of zero or of more than 32,767 s, or a number of probes that is not 1 to 127.
    pub fn new(idle: Duration, interval: Duration, probes: u32) -> Result<Self, OutOfRange> {
        let in_range = |quantity, time: Duration| {
            if time.is_zero() || time > Self::TIME_MAX {
                Err(OutOfRange::new(
                    quantity,
                    time,
                    "more than 0 and at most 32767s, which is the most that Linux takes",
                ))
            } else {
                Ok(time)
            }
        };
        if !(1..=Self::PROBES_MAX).contains(&probes) {
            let allowed = "1 to 127, which is the most that Linux takes";
            return Err(OutOfRange::new("a number of keepalive probes", probes, allowed));
        }
        Ok(Self {
            idle: in_range("a keepalive idle time", idle)?,
            interval: in_range("a keepalive interval", interval)?,
            probes,
        })
    }

    /// The silence before the first probe.
    pub const fn idle(self) -> Duration {
        self.idle
    }

    /// The time between probes that stay unanswered.
    pub const fn interval(self) -> Duration {
        self.interval
    }

    /// How many unanswered probes end the connection.
    pub const fn probes(self) -> u32 {
        self.probes
    }

    /// How long after the last byte an idle connection is ended whose peer is gone: `idle` + `probes` × `interval`, as this system
    /// counts them.
    pub fn notices_within(self) -> Duration {
        round_up(self.idle) + round_up(self.interval) * self.probes
    }

    /// The user timeout that goes with it: a peer that is gone is then noticed as soon while data is in flight.
    ///
    /// On Linux a user timeout replaces [`probes`](Self::probes): keepalive then ends the connection at the first probe that falls
    /// due after the timeout. This one is half an interval shorter than [`notices_within`](Self::notices_within), so that both
    /// give up at the same probe.
    pub fn user_timeout(self) -> UserTimeout {
        UserTimeout::at_most(self.notices_within() - round_up(self.interval) / 2)
    }
}

/// What the system does, as it says itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct EffectiveKeepalive {
    /// The silence before the first probe. `None`: this system does not tell (Windows before version 10 (1709), OpenBSD).
    pub idle: Option<Duration>,
    /// The time between probes. `None`: as above.
    pub interval: Option<Duration>,
    /// How many unanswered probes end the connection. `None`: the system has a number of its own and lets nobody choose: Windows
    /// before version 10 (1703) takes 10, and before Vista 5.
    pub probes: Option<u32>,
}

/// Turns keepalive on, and tells what the system made of it: a time that it rounded, a number of probes that it does not let be
/// chosen.
///
/// It takes any TCP socket that is connected: of the standard library, tokio, mio, socket2. It has to be set on each connection,
/// the accepted ones too, and once it is established: what is set on a listener or before connecting is lost on some systems.
///
/// ```no_run
/// use std::net::TcpStream;
/// use std::time::Duration;
/// use pulsewire_socket::{Keepalive, set_keepalive, set_user_timeout};
///
/// let keepalive = Keepalive::new(Duration::from_secs(5), Duration::from_secs(2), 3)?;
/// let device = TcpStream::connect("192.0.2.7:4352")?;
/// set_keepalive(&device, keepalive)?;
/// set_user_timeout(&device, keepalive.user_timeout())?; // for when data is in flight
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// [`Error::NotEstablished`] for a listener and a socket that is not connected; [`Error::System`].
pub fn set_keepalive<'s>(socket: impl Into<SockRef<'s>>, keepalive: Keepalive) -> Result<EffectiveKeepalive, Error> {
    let socket = &socket.into();
    established::require(socket, Setting::Keepalive)?;
    let refused = Error::system(Setting::Keepalive);
    let (idle, interval) = (round_up(keepalive.idle), round_up(keepalive.interval));
    let times = TcpKeepalive::new().with_time(idle).with_interval(interval);
    match socket.set_tcp_keepalive(&times.clone().with_retries(keepalive.probes)) {
        // The number of probes is an option of its own, which older versions lack. The times work without it.
        Err(_) if cfg!(windows) => socket.set_tcp_keepalive(&times).map_err(refused)?,
        result => result.map_err(refused)?,
    }
    let effective = effective(socket);
    if cfg!(windows) {
        // Windows takes milliseconds and tells seconds.
        return Ok(EffectiveKeepalive { idle: Some(idle), interval: Some(interval), ..effective });
    }
    Ok(effective)
}

/// Turns keepalive off.
///
/// # Errors
/// [`Error::System`].
pub fn clear_keepalive<'s>(socket: impl Into<SockRef<'s>>) -> Result<(), Error> {
    socket.into().set_keepalive(false).map_err(Error::system(Setting::Keepalive))
}

/// What is set on a socket; `None` if keepalive is off.
///
/// # Errors
/// [`Error::System`].
pub fn keepalive<'s>(socket: impl Into<SockRef<'s>>) -> Result<Option<EffectiveKeepalive>, Error> {
    let socket = &socket.into();
    let on = socket.keepalive().map_err(Error::system(Setting::Keepalive))?;
    Ok(on.then(|| effective(socket)))
}

#[cfg(unix)]
fn effective(socket: &SockRef<'_>) -> EffectiveKeepalive {
    EffectiveKeepalive {
        idle: socket.tcp_keepalive_time().ok(),
        interval: socket.tcp_keepalive_interval().ok(),
        probes: socket.tcp_keepalive_retries().ok(),
    }
}

#[cfg(windows)]
fn effective(socket: &SockRef<'_>) -> EffectiveKeepalive {
    use crate::sys;

    let seconds = |count: u32| Duration::from_secs(u64::from(count));
    EffectiveKeepalive {
        idle: sys::keepalive_idle(socket).ok().map(seconds),
        interval: sys::keepalive_interval(socket).ok().map(seconds),
        probes: socket.tcp_keepalive_retries().ok(),
    }
}

/// As the system counts: Windows in milliseconds, others in seconds, and they would take a part of one for 0.
fn round_up(time: Duration) -> Duration {
    let unit = if cfg!(windows) { Duration::from_millis(1) } else { Duration::from_secs(1) };
    let units = time.as_nanos().div_ceil(unit.as_nanos());
    unit * u32::try_from(units).expect("at most 32,767 s are less than 2^32 ms")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn seconds(count: u64) -> Duration {
        Duration::from_secs(count)
    }

    #[test]
    fn values_that_some_system_refuses_are_refused_at_once() {
        let second = seconds(1);
        for time in [Duration::ZERO, Keepalive::TIME_MAX + Duration::from_nanos(1), seconds(40_000), Duration::MAX] {
            let idle = Keepalive::new(time, second, 3).unwrap_err().to_string();
            assert!(
                idle.contains("idle time") && idle.contains(&format!("{time:?}")) && idle.contains("32767s"),
                "{idle}"
            );
            let interval = Keepalive::new(second, time, 3).unwrap_err().to_string();
            assert!(interval.contains("interval"), "{interval}");
        }
        for probes in [0, 128, u32::MAX] {
            let error = Keepalive::new(second, second, probes).unwrap_err().to_string();
            assert!(error.contains("probes") && error.contains("127"), "{error}");
        }
        Keepalive::new(Keepalive::TIME_MAX, Keepalive::TIME_MAX, 127).unwrap();
        Keepalive::new(Duration::from_nanos(1), Duration::from_nanos(1), 1).unwrap();
    }

    proptest! {
        /// The user timeout never ends an idle connection sooner than keepalive would, nor lets another probe be needed.
        #[test]
        fn the_user_timeout_lies_between_the_last_two_probes(
            idle in 1_u64..=32_767, interval in 1_u64..=32_767, probes in 1_u32..=127,
        ) {
            let keepalive = Keepalive::new(seconds(idle), seconds(interval), probes).unwrap();
            let given_up = keepalive.notices_within();
            let timeout = keepalive.user_timeout().duration();
            prop_assert!(timeout < given_up);
            prop_assert!(timeout > given_up - seconds(interval) || timeout == UserTimeout::MAX);
        }

        #[test]
        fn times_are_rounded_up_to_less_than_one_unit_more(nanos in 1_u64..=32_767_000_000_000) {
            let time = Duration::from_nanos(nanos);
            let unit = if cfg!(windows) { Duration::from_millis(1) } else { seconds(1) };
            prop_assert!(round_up(time) >= time && round_up(time) - time < unit);
        }
    }
}
