//! Unix: options that are an `int`, and the two questions about bytes on their way out.

use std::io;
use std::mem::size_of;
use std::os::fd::AsRawFd;

use libc::c_int;
use socket2::SockRef;

/// `TCP_RXT_CONNDROPTIME` of `<netinet/tcp.h>`, which `libc` lacks: seconds of retransmitting until the connection is dropped.
#[cfg(target_vendor = "apple")]
const TCP_RXT_CONNDROPTIME: c_int = 0x80;
/// `TCP_NOTSENT_LOWAT` of `<netinet/tcp.h>`, which `libc` lacks.
#[cfg(target_vendor = "apple")]
const TCP_NOTSENT_LOWAT: c_int = 0x201;

/// Whether `listen` was called on it.
pub(crate) fn is_listening(socket: &SockRef<'_>) -> bool {
    option(socket, libc::SOL_SOCKET, libc::SO_ACCEPTCONN).is_ok_and(|listening| listening != 0)
}

fn option(socket: &SockRef<'_>, level: c_int, name: c_int) -> io::Result<c_int> {
    let mut value: c_int = 0;
    let mut length = size_of::<c_int>() as libc::socklen_t;
    // SAFETY: the descriptor is open while the socket is borrowed; the system writes at most `length` bytes to `value`.
    let result = unsafe { libc::getsockopt(socket.as_raw_fd(), level, name, (&raw mut value).cast(), &raw mut length) };
    if result == 0 { Ok(value) } else { Err(io::Error::last_os_error()) }
}

#[cfg(target_vendor = "apple")]
fn set_option(socket: &SockRef<'_>, level: c_int, name: c_int, value: c_int) -> io::Result<()> {
    let length = size_of::<c_int>() as libc::socklen_t;
    // SAFETY: the descriptor is open while the socket is borrowed; the system reads `length` bytes of `value`.
    let result = unsafe { libc::setsockopt(socket.as_raw_fd(), level, name, (&raw const value).cast(), length) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Asks for a number of bytes.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn count(socket: &SockRef<'_>, request: libc::Ioctl) -> Option<u64> {
    let mut bytes: c_int = 0;
    // SAFETY: the descriptor is open while the socket is borrowed, and both requests write one `int` to where they are told.
    let result = unsafe { libc::ioctl(socket.as_raw_fd(), request, &raw mut bytes) };
    if result == 0 { u64::try_from(bytes).ok() } else { None }
}

/// Bytes of the send queue that the peer's host has not acknowledged, sent or not: `SIOCOUTQ`.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub(crate) fn unacknowledged(socket: &SockRef<'_>) -> Option<u64> {
    // Known to `libc` by its number's older name.
    count(socket, libc::TIOCOUTQ)
}

/// Bytes of the send queue that were not sent yet: `SIOCOUTQNSD` of `<linux/sockios.h>`.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub(crate) fn unsent(socket: &SockRef<'_>) -> Option<u64> {
    count(socket, 0x894B)
}

/// Bytes that were sent and not acknowledged.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub(crate) fn in_flight(socket: &SockRef<'_>) -> Option<u64> {
    // In this order, what is sent between the two questions counts as in flight, and nothing goes below zero but by an
    // acknowledgement in between.
    let unsent = unsent(socket)?;
    Some(unacknowledged(socket)?.saturating_sub(unsent))
}

/// Bytes in the send buffer, sent or not.
#[cfg(target_vendor = "apple")]
pub(crate) fn unacknowledged(socket: &SockRef<'_>) -> Option<u64> {
    option(socket, libc::SOL_SOCKET, libc::SO_NWRITE).ok().and_then(|bytes| u64::try_from(bytes).ok())
}

/// Not told: `TCP_CONNECTION_INFO` counts the send buffer as a whole.
#[cfg(target_vendor = "apple")]
pub(crate) fn unsent(_socket: &SockRef<'_>) -> Option<u64> {
    None
}

/// Not told.
#[cfg(target_vendor = "apple")]
pub(crate) fn in_flight(_socket: &SockRef<'_>) -> Option<u64> {
    None
}

/// Seconds of retransmitting until the connection is dropped; 0 stands for the system's own limit.
#[cfg(target_vendor = "apple")]
pub(crate) fn drop_time(socket: &SockRef<'_>) -> io::Result<u32> {
    option(socket, libc::IPPROTO_TCP, TCP_RXT_CONNDROPTIME).map(i32::cast_unsigned)
}

#[cfg(target_vendor = "apple")]
pub(crate) fn set_drop_time(socket: &SockRef<'_>, seconds: u32) -> io::Result<()> {
    set_option(socket, libc::IPPROTO_TCP, TCP_RXT_CONNDROPTIME, seconds.cast_signed())
}

#[cfg(target_vendor = "apple")]
pub(crate) fn set_notsent_lowat(socket: &SockRef<'_>, bytes: u32) -> io::Result<()> {
    set_option(socket, libc::IPPROTO_TCP, TCP_NOTSENT_LOWAT, bytes.cast_signed())
}

#[cfg(any(target_os = "linux", target_os = "android"))]
pub(crate) fn set_notsent_lowat(socket: &SockRef<'_>, bytes: u32) -> io::Result<()> {
    socket.set_tcp_notsent_lowat(bytes)
}

#[cfg(not(any(target_os = "linux", target_os = "android", target_vendor = "apple")))]
mod others {
    use super::{SockRef, io};

    pub(crate) fn unacknowledged(_socket: &SockRef<'_>) -> Option<u64> {
        None
    }

    pub(crate) fn unsent(_socket: &SockRef<'_>) -> Option<u64> {
        None
    }

    pub(crate) fn in_flight(_socket: &SockRef<'_>) -> Option<u64> {
        None
    }

    pub(crate) fn set_notsent_lowat(_socket: &SockRef<'_>, _bytes: u32) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
}
#[cfg(not(any(target_os = "linux", target_os = "android", target_vendor = "apple")))]
pub(crate) use others::*;
