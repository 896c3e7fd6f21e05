//! How long sent data may stay unacknowledged.

use std::time::Duration;

use socket2::SockRef;

use crate::error::{Error, OutOfRange, Setting};

/// How long sent data may stay unacknowledged until the system gives the connection up.
///
/// Without it a connection that writes to a peer that is gone lives on for as long as the system retransmits: some 15 minutes on
/// Linux, some 20 s on Windows. Keepalive does not help there, since it only runs while nothing is in flight.
///
/// The traps:
///
/// - On Linux it also decides when *keepalive* gives up, and the number of probes is no longer looked at. A long one makes keepalive
///   late, one that is shorter than the idle time makes it give up at the first probe. Take [`Keepalive::user_timeout`].
/// - On Linux a peer that does not read for so long is given up too, although its host answers: data that waits for a peer's
///   closed window counts. So it must be longer than the longest pause of a healthy peer. On other systems it may not.
/// - It is looked at when the system retransmits, so a very short one gives up at the first retransmission.
///
/// Linux counts milliseconds (`TCP_USER_TIMEOUT`), macOS (`TCP_RXT_CONNDROPTIME`) and Windows (`TCP_MAXRT`) seconds.
///
/// [`Keepalive::user_timeout`]: crate::Keepalive::user_timeout
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(
    feature = "serde",
    serde(into = "crate::representation::Milliseconds", try_from = "crate::representation::Milliseconds")
)]
pub struct UserTimeout(Duration);

impl UserTimeout {
    /// The longest, some 24 days: what Linux takes.
    pub const MAX: Duration = Duration::from_millis(i32::MAX as u64);

    /// # Errors
    /// A time of zero, or of more than 2,147,483,647 ms.
    pub fn new(timeout: Duration) -> Result<Self, OutOfRange> {
        if timeout.is_zero() || timeout > Self::MAX {
            let allowed = "more than 0 and at most 2147483.647s, which is the most that Linux takes";
            return Err(OutOfRange::new("a user timeout", timeout, allowed));
        }
        Ok(Self(timeout))
    }

    /// One of a time that is not zero; the longest, if that is longer.
    pub(crate) fn at_most(timeout: Duration) -> Self {
        Self(timeout.min(Self::MAX))
    }

    /// The time that it was made with.
    pub const fn duration(self) -> Duration {
        self.0
    }
}

/// Sets the user timeout of a TCP socket, connected or to be connected, and tells what the system made of it: a part of its unit is
/// rounded up. Set before connecting, it limits that too.
///
/// # Errors
/// [`Error::Unsupported`] on other systems than Linux, Android, macOS and Windows; [`Error::System`].
pub fn set_user_timeout<'s>(socket: impl Into<SockRef<'s>>, timeout: UserTimeout) -> Result<Duration, Error> {
    let socket = &socket.into();
    system::set(socket, Some(timeout.0))?;
    system::get(socket)?.ok_or(Error::Unsupported {
        setting: Setting::UserTimeout,
        instead: "the system forgets it; use a heartbeat of the application",
    })
}

/// Leaves it to the system again.
///
/// # Errors
/// As for [`set_user_timeout`]; and [`Error::Unsupported`] on Windows, where there is no way back.
pub fn clear_user_timeout<'s>(socket: impl Into<SockRef<'s>>) -> Result<(), Error> {
    system::set(&socket.into(), None)
}

/// What is set on a socket; `None` if that is left to the system.
///
/// # Errors
/// As for [`set_user_timeout`].
pub fn user_timeout<'s>(socket: impl Into<SockRef<'s>>) -> Result<Option<Duration>, Error> {
    system::get(&socket.into())
}

#[cfg(any(target_os = "linux", target_os = "android"))]
mod system {
    use super::{Duration, Error, Setting, SockRef};

    pub(super) fn set(socket: &SockRef<'_>, timeout: Option<Duration>) -> Result<(), Error> {
        let whole = timeout.map(|timeout| Duration::from_millis(timeout.as_nanos().div_ceil(1_000_000) as u64));
        socket.set_tcp_user_timeout(whole).map_err(Error::system(Setting::UserTimeout))
    }

    pub(super) fn get(socket: &SockRef<'_>) -> Result<Option<Duration>, Error> {
        socket.tcp_user_timeout().map_err(Error::system(Setting::UserTimeout))
    }
}

#[cfg(any(target_vendor = "apple", windows))]
mod system {
    use super::{Duration, Error, Setting, SockRef};
    use crate::sys;

    /// What new sockets have, and on macOS the way back to it.
    const SYSTEMS_OWN: u32 = 0;
    /// Windows: retransmit for ever.
    const NEVER: u32 = u32::MAX;

    pub(super) fn set(socket: &SockRef<'_>, timeout: Option<Duration>) -> Result<(), Error> {
        let seconds = match timeout {
            Some(timeout) => timeout.as_nanos().div_ceil(1_000_000_000) as u32,
            None if cfg!(windows) => {
                let instead = "Windows has no way back to its own limit; set a long one";
                return Err(Error::Unsupported { setting: Setting::UserTimeout, instead });
            }
            None => SYSTEMS_OWN,
        };
        sys::set_drop_time(socket, seconds).map_err(refused)
    }

    pub(super) fn get(socket: &SockRef<'_>) -> Result<Option<Duration>, Error> {
        let seconds = sys::drop_time(socket).map_err(refused)?;
        Ok((seconds != SYSTEMS_OWN && seconds != NEVER).then(|| Duration::from_secs(u64::from(seconds))))
    }

    fn refused(source: std::io::Error) -> Error {
        /// `WSAENOPROTOOPT`: an older version, or Wine.
        const NO_SUCH_OPTION: i32 = 10042;
        if cfg!(windows) && source.raw_os_error() == Some(NO_SUCH_OPTION) {
            let instead = "this version lacks TCP_MAXRT; use a heartbeat of the application";
            return Error::Unsupported { setting: Setting::UserTimeout, instead };
        }
        Error::System { setting: Setting::UserTimeout, source }
    }
}

#[cfg(not(any(target_os = "linux", target_os = "android", target_vendor = "apple", windows)))]
mod system {
    use super::{Duration, Error, Setting, SockRef};

    const UNSUPPORTED: Error =
        Error::Unsupported { setting: Setting::UserTimeout, instead: "use a heartbeat of the application" };

    pub(super) fn set(_socket: &SockRef<'_>, _timeout: Option<Duration>) -> Result<(), Error> {
        Err(UNSUPPORTED)
    }

    pub(super) fn get(_socket: &SockRef<'_>) -> Result<Option<Duration>, Error> {
        Err(UNSUPPORTED)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_that_some_system_refuses_are_refused_at_once() {
        for time in [Duration::ZERO, UserTimeout::MAX + Duration::from_nanos(1), Duration::MAX] {
            let error = UserTimeout::new(time).unwrap_err().to_string();
            assert!(error.contains("user timeout") && error.contains(&format!("{time:?}")), "{error}");
        }
        UserTimeout::new(UserTimeout::MAX).unwrap();
        UserTimeout::new(Duration::from_nanos(1)).unwrap();
    }
}
