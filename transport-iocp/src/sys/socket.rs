//! Sockets whose completions go to a port, and what they need at each turn of their life.

use super::port_handle::{PortHandle, last_error};
use crate::error::SystemError;
use crate::port::Addresses;
use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::windows::io::AsRawSocket;
use std::ptr;
use std::sync::Arc;
use windows_sys::Win32::Foundation::HANDLE;
use windows_sys::Win32::Networking::WinSock::{
    SO_EXCLUSIVEADDRUSE, SO_UPDATE_ACCEPT_CONTEXT, SO_UPDATE_CONNECT_CONTEXT, SOCKET, SOL_SOCKET, setsockopt,
};
use windows_sys::Win32::System::IO::CancelIoEx;

/// The queue of connections that wait to be accepted, `SOMAXCONN`: as many as the system sees fit.
const BACKLOG: i32 = i32::MAX;

/// The system's number of a socket, valid while the socket lives.
pub(super) fn raw(socket: &Socket) -> SOCKET {
    socket.as_raw_socket() as SOCKET
}

/// An open socket. Shared by its owner and every operation that is pending on it, so that the last of them closes it.
#[derive(Debug)]
pub(super) struct OpenSocket {
    pub(super) socket: Socket,
    /// The port that its completions go to, for good.
    pub(super) port: Arc<PortHandle>,
}

impl OpenSocket {
    fn new(domain: Domain, port: &Arc<PortHandle>) -> Result<Arc<Self>, SystemError> {
        let socket = Socket::new(domain, Type::STREAM, Some(Protocol::TCP))?;
        port.associate(&socket)?;
        Ok(Arc::new(Self { socket, port: Arc::clone(port) }))
    }

    pub(super) fn raw(&self) -> SOCKET {
        raw(&self.socket)
    }

    /// Sets an option of the socket level that has no name in the portable interface.
    fn set_option(&self, option: i32, value: &[u8]) -> Result<(), SystemError> {
        // SAFETY: the socket is open, and pointer and length are those of one slice.
        let result = unsafe { setsockopt(self.raw(), SOL_SOCKET, option, value.as_ptr(), value.len() as i32) };
        if result == 0 { Ok(()) } else { Err(last_error()) }
    }

    /// Makes the socket of a successful `AcceptEx` a full one: before, it has no addresses and can't be shut down.
    pub(super) fn finish_accept(&self, listener: &Self) -> Result<(), SystemError> {
        self.set_option(SO_UPDATE_ACCEPT_CONTEXT, &listener.raw().to_ne_bytes())
    }

    /// Makes the socket of a successful `ConnectEx` a full one, and tells its addresses.
    pub(super) fn finish_connect(&self) -> Result<Addresses, SystemError> {
        self.set_option(SO_UPDATE_CONNECT_CONTEXT, &[])?;
        Ok(Addresses { local: internet(&self.socket.local_addr()?)?, remote: internet(&self.socket.peer_addr()?)? })
    }
}

/// The address as the standard library knows it.
pub(super) fn internet(address: &SockAddr) -> Result<SocketAddr, SystemError> {
    address.as_socket().ok_or(SystemError::INVALID)
}

/// A stream socket. Dropping it cancels what is pending; the system's socket lives on until all of that came back.
#[derive(Debug)]
pub(crate) struct SystemSocket(Arc<OpenSocket>);

impl SystemSocket {
    /// Makes a socket for AcceptEx, which binds it.
    pub(super) fn unbound(domain: Domain, port: &Arc<PortHandle>) -> Result<Self, SystemError> {
        OpenSocket::new(domain, port).map(Self)
    }

    /// Makes a socket for ConnectEx, which wants it bound.
    pub(super) fn bound_towards(remote: SocketAddr, port: &Arc<PortHandle>) -> Result<Self, SystemError> {
        let socket = Self::unbound(Domain::for_address(remote), port)?;
        let any: SocketAddr = match remote {
            SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
            SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
        };
        socket.0.socket.bind(&any.into())?;
        Ok(socket)
    }

    pub(super) fn open(&self) -> &OpenSocket {
        &self.0
    }

    /// A share for an operation to hold while it is pending.
    pub(super) fn share(&self) -> Arc<OpenSocket> {
        Arc::clone(&self.0)
    }
}

#[cfg(test)]
impl SystemSocket {
    /// Whether the system probes the connection when it is idle.
    pub(crate) fn keepalive(&self) -> std::io::Result<bool> {
        self.0.socket.keepalive()
    }
}

impl Drop for SystemSocket {
    fn drop(&mut self) {
        // Failing means that nothing is pending. Whatever is comes back through the port, successful or cancelled.
        // SAFETY: the socket is open, and a null OVERLAPPED stands for all of its operations.
        let _nothing_pending = unsafe { CancelIoEx(self.0.raw() as HANDLE, ptr::null()) };
    }
}

/// A listening socket.
#[derive(Debug)]
pub(crate) struct SystemListener {
    socket: SystemSocket,
    /// The family that its connections have.
    pub(super) domain: Domain,
}

impl SystemListener {
    pub(super) fn bind(address: SocketAddr, port: &Arc<PortHandle>) -> Result<(Self, SocketAddr), SystemError> {
        let domain = Domain::for_address(address);
        let listener = Self { socket: SystemSocket::unbound(domain, port)?, domain };
        let open = listener.socket.open();
        // Without it another program could bind the address too, and take the connections.
        open.set_option(SO_EXCLUSIVEADDRUSE, &1_u32.to_ne_bytes())?;
        if address.is_ipv6() {
            // Set by default, but that can be changed for the whole system.
            open.socket.set_only_v6(true)?;
        }
        open.socket.bind(&address.into())?;
        open.socket.listen(BACKLOG)?;
        let bound = internet(&open.socket.local_addr()?)?;
        Ok((listener, bound))
    }

    /// A share for an accept to hold while it is pending.
    pub(super) fn share(&self) -> Arc<OpenSocket> {
        self.socket.share()
    }
}
