//! Bytes on their way: taken by the system and not sent, sent and not acknowledged.

use socket2::SockRef;

use crate::sys;

/// How many bytes that were written to a connection the peer's host has not acknowledged, sent or not: what is lost if the
/// connection ends now. That number going down is what tells a link that is slow from one that is dead.
///
/// The end of the stream counts as one byte on Linux, once it was written. An acknowledgement is the host's: whether the peer's
/// program has read the bytes only that program can tell.
///
/// `None` where the system does not tell: it is known on Linux, Android (`SIOCOUTQ`) and macOS (`SO_NWRITE`).
pub fn unacknowledged<'s>(socket: impl Into<SockRef<'s>>) -> Option<u64> {
    sys::unacknowledged(&socket.into())
}

/// How many bytes that were written to a connection the system has not sent yet, for want of room in the network or at the peer.
///
/// `None` where the system does not tell: it is known on Linux and Android (`SIOCOUTQNSD`).
pub fn unsent<'s>(socket: impl Into<SockRef<'s>>) -> Option<u64> {
    sys::unsent(&socket.into())
}

/// How many bytes were sent and not acknowledged yet. While there are some, the system's keepalive stands still.
///
/// `None` where the system does not tell: it is known on Linux, Android and Windows from version 10 (1703) on (`SIO_TCP_INFO`).
pub fn in_flight<'s>(socket: impl Into<SockRef<'s>>) -> Option<u64> {
    sys::in_flight(&socket.into())
}
