//! Windows: options that are a `DWORD`, and what TCP tells about a connection.

use std::io;
use std::mem::{size_of, zeroed};
use std::os::windows::io::AsRawSocket;
use std::ptr;

use socket2::SockRef;
use windows_sys::Win32::Networking::WinSock::{
    IPPROTO_TCP, SIO_TCP_INFO, SO_ACCEPTCONN, SO_EXCLUSIVEADDRUSE, SOCKET, SOL_SOCKET, TCP_INFO_v0, TCP_KEEPIDLE,
    TCP_KEEPINTVL, TCP_MAXRT, WSAGetLastError, WSAIoctl, getsockopt, setsockopt,
};

fn raw(socket: &SockRef<'_>) -> SOCKET {
    socket.as_raw_socket() as SOCKET
}

/// The thread's last error of Winsock.
fn last_error() -> io::Error {
    // SAFETY: it has no arguments, and reads a value of this thread.
    io::Error::from_raw_os_error(unsafe { WSAGetLastError() })
}

fn option(socket: &SockRef<'_>, level: i32, name: i32) -> io::Result<u32> {
    let mut value: u32 = 0;
    let mut length = size_of::<u32>() as i32;
    // SAFETY: the socket is open while it is borrowed; the system writes at most `length` bytes to `value`.
    let result = unsafe { getsockopt(raw(socket), level, name, (&raw mut value).cast(), &raw mut length) };
    if result == 0 { Ok(value) } else { Err(last_error()) }
}

fn set_option(socket: &SockRef<'_>, level: i32, name: i32, value: u32) -> io::Result<()> {
    let length = size_of::<u32>() as i32;
    // SAFETY: the socket is open while it is borrowed; the system reads `length` bytes of `value`.
    let result = unsafe { setsockopt(raw(socket), level, name, (&raw const value).cast(), length) };
    if result == 0 { Ok(()) } else { Err(last_error()) }
}

/// Whether `listen` was called on it.
pub(crate) fn is_listening(socket: &SockRef<'_>) -> bool {
    option(socket, SOL_SOCKET, SO_ACCEPTCONN).is_ok_and(|listening| listening != 0)
}

/// Nobody else binds the address then, whatever they set on their socket.
pub(crate) fn set_exclusive_address(socket: &SockRef<'_>) -> io::Result<()> {
    set_option(socket, SOL_SOCKET, SO_EXCLUSIVEADDRUSE, 1)
}

/// Whole seconds until the first probe.
pub(crate) fn keepalive_idle(socket: &SockRef<'_>) -> io::Result<u32> {
    option(socket, IPPROTO_TCP, TCP_KEEPIDLE)
}

/// Whole seconds between probes.
pub(crate) fn keepalive_interval(socket: &SockRef<'_>) -> io::Result<u32> {
    option(socket, IPPROTO_TCP, TCP_KEEPINTVL)
}

/// Seconds of retransmitting until the connection is dropped.
pub(crate) fn drop_time(socket: &SockRef<'_>) -> io::Result<u32> {
    option(socket, IPPROTO_TCP, TCP_MAXRT)
}

pub(crate) fn set_drop_time(socket: &SockRef<'_>, seconds: u32) -> io::Result<()> {
    set_option(socket, IPPROTO_TCP, TCP_MAXRT, seconds)
}

/// Not told: the bytes that the system took and did not send yet are in no count.
pub(crate) fn unacknowledged(_socket: &SockRef<'_>) -> Option<u64> {
    None
}

/// Not told.
pub(crate) fn unsent(_socket: &SockRef<'_>) -> Option<u64> {
    None
}

/// Bytes that were sent and not acknowledged: Windows 10 version 1703 and later.
pub(crate) fn in_flight(socket: &SockRef<'_>) -> Option<u64> {
    let version: u32 = 0;
    // SAFETY: all of it is integers and a `bool`, for which zero bytes are valid values.
    let mut information: TCP_INFO_v0 = unsafe { zeroed() };
    let mut written = 0;
    // SAFETY: the socket is open while it is borrowed; both buffers have the lengths that are given; it is not overlapped.
    let result = unsafe {
        WSAIoctl(
            raw(socket),
            SIO_TCP_INFO,
            (&raw const version).cast(),
            size_of::<u32>() as u32,
            (&raw mut information).cast(),
            size_of::<TCP_INFO_v0>() as u32,
            &raw mut written,
            ptr::null_mut(),
            None,
        )
    };
    (result == 0 && written as usize == size_of::<TCP_INFO_v0>()).then(|| u64::from(information.BytesInFlight))
}

/// Missing here.
pub(crate) fn set_notsent_lowat(_socket: &SockRef<'_>, _bytes: u32) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}
