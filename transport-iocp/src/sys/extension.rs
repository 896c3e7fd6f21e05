//! The functions of Winsock that have to be asked for at run time.

use super::port_handle::last_error;
use super::socket::raw;
use crate::error::SystemError;
use socket2::{Domain, Protocol, Socket, Type};
use std::ffi::c_void;
use std::ptr;
use windows_sys::Win32::Networking::WinSock::{
    LPFN_ACCEPTEX, LPFN_CONNECTEX, LPFN_GETACCEPTEXSOCKADDRS, SIO_GET_EXTENSION_FUNCTION_POINTER, SOCKADDR, SOCKET,
    WSAID_ACCEPTEX, WSAID_CONNECTEX, WSAID_GETACCEPTEXSOCKADDRS, WSAIoctl,
};
use windows_sys::Win32::System::IO::OVERLAPPED;
use windows_sys::core::{BOOL, GUID};

type AcceptEx =
    unsafe extern "system" fn(SOCKET, SOCKET, *mut c_void, u32, u32, u32, *mut u32, *mut OVERLAPPED) -> BOOL;
type ConnectEx =
    unsafe extern "system" fn(SOCKET, *const SOCKADDR, i32, *const c_void, u32, *mut u32, *mut OVERLAPPED) -> BOOL;
type GetAcceptExSockaddrs =
    unsafe extern "system" fn(*const c_void, u32, u32, u32, *mut *mut SOCKADDR, *mut i32, *mut *mut SOCKADDR, *mut i32);

/// The extension functions, fetched once when the port is made. They are the same for IPv4 and IPv6.
#[derive(Clone, Copy)]
pub(super) struct ExtensionFunctions {
    /// `AcceptEx`.
    pub(super) accept: AcceptEx,
    /// `ConnectEx`.
    pub(super) connect: ConnectEx,
    /// `GetAcceptExSockaddrs`.
    pub(super) accept_addresses: GetAcceptExSockaddrs,
}

impl ExtensionFunctions {
    pub(super) fn fetch() -> Result<Self, SystemError> {
        // Any TCP socket can be asked; a system may have only one of the two families.
        let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP))
            .or_else(|_| Socket::new(Domain::IPV6, Type::STREAM, Some(Protocol::TCP)))?;
        // SAFETY: the identifier is that of the function whose type is asked for.
        let accept: LPFN_ACCEPTEX = unsafe { fetch(&socket, &WSAID_ACCEPTEX) }?;
        // SAFETY: as above.
        let connect: LPFN_CONNECTEX = unsafe { fetch(&socket, &WSAID_CONNECTEX) }?;
        // SAFETY: as above.
        let accept_addresses: LPFN_GETACCEPTEXSOCKADDRS = unsafe { fetch(&socket, &WSAID_GETACCEPTEXSOCKADDRS) }?;
        match (accept, connect, accept_addresses) {
            (Some(accept), Some(connect), Some(accept_addresses)) => Ok(Self { accept, connect, accept_addresses }),
            _ => Err(SystemError::INVALID),
        }
    }
}

/// Asks Winsock for the function that `identifier` names.
///
/// # Safety
///
/// `F` is the type of that function.
unsafe fn fetch<F>(socket: &Socket, identifier: &GUID) -> Result<Option<F>, SystemError> {
    const { assert!(size_of::<Option<F>>() == size_of::<*const c_void>(), "a function, and null for none") };
    let mut function = None::<F>;
    let mut written = 0;
    // SAFETY: the socket is open; the input is one GUID; the output has room for one pointer, which is what is written;
    // there is no OVERLAPPED, so the call is over with everything when it returns.
    let result = unsafe {
        WSAIoctl(
            raw(socket),
            SIO_GET_EXTENSION_FUNCTION_POINTER,
            ptr::from_ref(identifier).cast(),
            size_of::<GUID>() as u32,
            (&raw mut function).cast(),
            size_of::<Option<F>>() as u32,
            &mut written,
            ptr::null_mut(),
            None,
        )
    };
    if result == 0 { Ok(function) } else { Err(last_error()) }
}
