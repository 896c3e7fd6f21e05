//! Sockets whose completions go to a port, and what they need at each turn of their life.

use super::marks::{Held, Marks};
use super::port_handle::{PortHandle, handle_of, last_error};
use crate::error::SystemError;
use crate::port::Addresses;
use pulsewire_socket::ListenOptions;
use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::windows::io::AsRawSocket;
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use windows_sys::Win32::Networking::WinSock::{
    SO_PROTOCOL_INFOW, SO_UPDATE_ACCEPT_CONTEXT, SO_UPDATE_CONNECT_CONTEXT, SOCKET, SOL_SOCKET, WSAPROTOCOL_INFOW,
    XP1_IFS_HANDLES, getsockopt, setsockopt,
};
use windows_sys::Win32::Storage::FileSystem::SetFileCompletionNotificationModes;
use windows_sys::Win32::System::IO::CancelIoEx;
use windows_sys::Win32::System::WindowsProgramming::FILE_SKIP_COMPLETION_PORT_ON_SUCCESS;

/// The system's number of a socket, valid while the socket lives.
pub(super) fn raw(socket: &Socket) -> SOCKET {
    socket.as_raw_socket() as SOCKET
}

/// An open socket. Shared by its owner and every operation that is pending on it, so that the last of them closes it, unless its
/// owner closes it before.
#[derive(Debug)]
pub(super) struct OpenSocket {
    /// `None` once it was closed under what is pending.
    socket: Mutex<Option<Held>>,
    /// What is done at once is not reported to the port. Once true it stays so.
    skips: AtomicBool,
    /// The port that its completions go to, for good; none yet of one that is being accepted.
    port: OnceLock<Arc<PortHandle>>,
}

impl OpenSocket {
    fn new(domain: Domain) -> Result<Arc<Self>, SystemError> {
        let socket = Socket::new(domain, Type::STREAM, Some(Protocol::TCP))?;
        let (socket, skips) = (Mutex::new(Some(Held::Plain(socket))), AtomicBool::new(false));
        Ok(Arc::new(Self { socket, skips, port: OnceLock::new() }))
    }

    /// Has completions go to a port, for good.
    pub(super) fn join(&self, port: &Arc<PortHandle>) -> Result<(), SystemError> {
        // One that belongs to another port is refused by the system.
        self.with(|socket| port.associate(socket))?;
        self.port.set(Arc::clone(port)).map_err(|_| SystemError::INVALID)
    }

    /// Has the packets of a connection marked, if the system can do that. The connection works without, too.
    pub(super) fn mark(&self, marks: &Marks) {
        let mut socket = self.lock();
        let Some(held) = socket.take() else { return };
        let (held, marked) = held.mark(marks);
        *socket = Some(held);
        if let Err(error) = marked {
            tracing::debug!(%error, "a connection is not marked");
        }
    }

    /// Whether completions go to this port.
    pub(super) fn belongs_to(&self, port: &Arc<PortHandle>) -> bool {
        self.port.get().is_some_and(|own| Arc::ptr_eq(own, port))
    }

    fn lock(&self) -> MutexGuard<'_, Option<Held>> {
        // Taking it out is done or not done.
        self.socket.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Uses the socket, which stays open meanwhile. Fails if it was closed.
    pub(super) fn with<T, E>(&self, act: impl FnOnce(&Socket) -> Result<T, E>) -> Result<T, SystemError>
    where
        SystemError: From<E>,
    {
        match &*self.lock() {
            Some(held) => Ok(act(held.socket())?),
            None => Err(SystemError::NOT_A_SOCKET),
        }
    }

    /// Closes the system's socket at once. What is pending on it comes back.
    fn close(&self) {
        drop(self.lock().take());
    }

    /// Sets an option of the socket level that has no name in the portable interface.
    fn set_option(&self, option: i32, value: &[u8]) -> Result<(), SystemError> {
        self.with(|socket| {
            // SAFETY: the socket is open, and pointer and length are those of one slice.
            let result = unsafe { setsockopt(raw(socket), SOL_SOCKET, option, value.as_ptr(), value.len() as i32) };
            if result == 0 { Ok(()) } else { Err(last_error()) }
        })
    }

    /// Whether what is done at once is not reported to the port.
    pub(super) fn skips(&self) -> bool {
        self.skips.load(Ordering::Relaxed)
    }

    /// Has what is done at once not be reported to the port, from the next operation on. Returns whether that is so: not where the
    /// handle of the socket is that of a provider layered above the system's, which may report it all the same.
    pub(super) fn skip_on_success(&self) -> bool {
        let skips = self.with(|socket| {
            let mut provider = WSAPROTOCOL_INFOW::default();
            let mut length = size_of::<WSAPROTOCOL_INFOW>() as i32;
            let value = (&raw mut provider).cast();
            // SAFETY: the socket is open, and `value` points to as many bytes as stated, in which any bytes are valid numbers.
            let read = unsafe { getsockopt(raw(socket), SOL_SOCKET, SO_PROTOCOL_INFOW, value, &mut length) };
            if read != 0 {
                return Err(last_error());
            }
            if provider.dwServiceFlags1 & XP1_IFS_HANDLES == 0 {
                return Ok(false);
            }
            let mode = FILE_SKIP_COMPLETION_PORT_ON_SUCCESS as u8;
            // SAFETY: the socket is open, and is a handle of the system.
            let set = unsafe { SetFileCompletionNotificationModes(handle_of(socket), mode) };
            if set == 0 { Err(last_error()) } else { Ok(true) }
        });
        let skips = skips.unwrap_or(false);
        self.skips.store(skips, Ordering::Relaxed);
        skips
    }

    /// Makes the socket of a successful `AcceptEx` a full one: before, it has no addresses and can't be shut down.
    pub(super) fn finish_accept(&self, listener: &Self) -> Result<(), SystemError> {
        let listener = listener.with(|socket| Ok::<_, SystemError>(raw(socket)))?;
        self.set_option(SO_UPDATE_ACCEPT_CONTEXT, &listener.to_ne_bytes())
    }

    /// Makes the socket of a successful `ConnectEx` a full one, and tells its addresses.
    pub(super) fn finish_connect(&self) -> Result<Addresses, SystemError> {
        self.set_option(SO_UPDATE_CONNECT_CONTEXT, &[])?;
        self.with(|socket| {
            let (local, remote) = (socket.local_addr()?, socket.peer_addr()?);
            Ok::<_, SystemError>(Addresses { local: internet(&local)?, remote: internet(&remote)? })
        })
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
    /// Makes a socket for AcceptEx, which binds it. It belongs to no port yet.
    pub(super) fn unbound(domain: Domain) -> Result<Self, SystemError> {
        OpenSocket::new(domain).map(Self)
    }

    /// Makes a socket for ConnectEx, which wants it bound.
    pub(super) fn bound_towards(remote: SocketAddr, port: &Arc<PortHandle>) -> Result<Self, SystemError> {
        let socket = Self::unbound(Domain::for_address(remote))?;
        socket.0.join(port)?;
        let any: SocketAddr = match remote {
            SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
            SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
        };
        socket.0.with(|socket| socket.bind(&any.into()))?;
        Ok(socket)
    }

    pub(super) fn open(&self) -> &OpenSocket {
        &self.0
    }

    /// A share for an operation to hold while it is pending.
    pub(super) fn share(&self) -> Arc<OpenSocket> {
        Arc::clone(&self.0)
    }

    /// Asks for everything back that is pending. It comes through the port, successful or cancelled.
    pub(super) fn cancel(&self) {
        // Failing means that nothing is pending, or that the socket was closed.
        let _nothing_pending = self.0.with(|socket| {
            // SAFETY: the socket is open, and a null OVERLAPPED stands for all of its operations.
            let cancelled = unsafe { CancelIoEx(handle_of(socket), ptr::null()) };
            if cancelled != 0 { Ok(()) } else { Err(last_error()) }
        });
    }

    /// Closes the system's socket, whatever is pending on it.
    pub(super) fn close(&self) {
        self.0.close();
    }
}

#[cfg(test)]
impl SystemSocket {
    /// Whether the system probes the connection when it is idle.
    pub(crate) fn keepalive(&self) -> std::io::Result<bool> {
        Ok(self.0.with(Socket::keepalive)?)
    }
}

impl Drop for SystemSocket {
    fn drop(&mut self) {
        self.cancel();
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
    pub(super) fn bind(
        address: SocketAddr,
        options: ListenOptions,
        port: &Arc<PortHandle>,
    ) -> Result<(Self, SocketAddr), SystemError> {
        let domain = Domain::for_address(address);
        let listener = Self { socket: SystemSocket::unbound(domain)?, domain };
        let open = listener.socket.open();
        open.join(port)?;
        // Nobody else can bind the address then.
        open.with(|socket| options.listen_with(socket, address))?;
        let bound = internet(&open.with(Socket::local_addr)?)?;
        Ok((listener, bound))
    }

    /// A share for an accept to hold while it is pending.
    pub(super) fn share(&self) -> Arc<OpenSocket> {
        self.socket.share()
    }

    /// Asks for the accepts back.
    pub(super) fn cancel(&self) {
        self.socket.cancel();
    }

    /// Closes the system's socket, whatever is pending on it.
    pub(super) fn close(&self) {
        self.socket.close();
    }
}
