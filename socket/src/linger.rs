//! What closing a socket does with data that was not sent yet.

use std::time::Duration;

use socket2::SockRef;

use crate::error::{Error, OutOfRange, Setting};
use crate::established;

/// What closing a connection does with data that was not sent yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(
    feature = "serde",
    serde(into = "crate::representation::LingerForm", try_from = "crate::representation::LingerForm")
)]
pub enum Linger {
    /// Closing returns at once, and the system goes on to send in the background. What every socket begins with.
    Background,
    /// Closing blocks its thread until all was sent and acknowledged, or for this long. Then the rest is lost and the connection
    /// reset. Whole seconds, rounded up. On a non-blocking socket systems differ: Linux blocks all the same, Windows fails
    /// with `WSAEWOULDBLOCK` (10035) and leaves the socket open, which is no failure of the connection.
    Wait(Duration),
    /// Closing throws away what was not sent, and resets the connection (RST): the peer sees an error, and no `TIME_WAIT` stays.
    Reset,
}

impl Linger {
    /// The longest [`Wait`](Self::Wait): what macOS takes.
    pub const WAIT_MAX: Duration = Duration::from_secs(32_767);

    /// Finds a value that not every system takes.
    ///
    /// # Errors
    /// A [`Wait`](Self::Wait) of zero, which systems take for [`Reset`](Self::Reset), or of more than 32,767 s.
    pub fn check(self) -> Result<(), OutOfRange> {
        match self {
            Self::Wait(time) if time.is_zero() => {
                let allowed = "more than 0, since 0 resets the connection, which `Linger::Reset` says";
                Err(OutOfRange::new("a linger time", time, allowed))
            }
            Self::Wait(time) if time > Self::WAIT_MAX => {
                Err(OutOfRange::new("a linger time", time, "at most 32767s, which is the most that macOS takes"))
            }
            Self::Wait(_) | Self::Background | Self::Reset => Ok(()),
        }
    }
}

/// Sets it on an established connection.
///
/// Any other socket is refused. On a listener it would be passed on to accepted connections on some systems. And on Windows a
/// [`Linger::Reset`] that is set before the handshake, followed by a QoS flow, makes the accepted side close at once with
/// `WSAECONNABORTED` (10053).
///
/// # Errors
/// [`Error::NotEstablished`]; [`Error::OutOfRange`] as [`Linger::check`] says; [`Error::System`].
pub fn set_linger<'s>(socket: impl Into<SockRef<'s>>, linger: Linger) -> Result<(), Error> {
    let socket = &socket.into();
    linger.check()?;
    established::require(socket, Setting::Linger)?;
    let time = match linger {
        Linger::Background => None,
        Linger::Wait(time) => Some(Duration::from_secs(time.as_nanos().div_ceil(1_000_000_000) as u64)),
        Linger::Reset => Some(Duration::ZERO),
    };
    socket.set_linger(time).map_err(Error::system(Setting::Linger))
}

/// What is set on a socket.
///
/// # Errors
/// [`Error::System`].
pub fn linger<'s>(socket: impl Into<SockRef<'s>>) -> Result<Linger, Error> {
    let time = socket.into().linger().map_err(Error::system(Setting::Linger))?;
    Ok(match time {
        None => Linger::Background,
        Some(time) if time.is_zero() => Linger::Reset,
        Some(time) => Linger::Wait(time),
    })
}
