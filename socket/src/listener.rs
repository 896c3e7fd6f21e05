//! Sockets that listen.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::num::NonZeroU16;

use socket2::{Domain, Protocol, SockRef, Socket, Type};

use crate::error::{Error, OutOfRange, Setting};

/// How to listen.
///
/// The address is this program's alone, always. On Windows that takes `SO_EXCLUSIVEADDRUSE`: without it another program
/// may bind the address too and take the connections. On Unix nobody else can anyway, and `SO_REUSEADDR` only lets a server that
/// was restarted listen at once, while old connections are in `TIME_WAIT`. (On macOS and BSD a program of the same user may still
/// bind one of the addresses that `0.0.0.0` or `::` stands for.)
///
/// ```
/// use pulsewire_socket::ListenOptions;
///
/// let listener = ListenOptions::default().listen("127.0.0.1:0".parse()?)?;
/// println!("listening on {}", listener.local_addr()?);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(default, deny_unknown_fields))]
pub struct ListenOptions {
    /// Whether a listener on `[::]` takes IPv4 too; such peers have addresses like `::ffff:192.0.2.7`. It is the default of some
    /// systems and not of others, so it is always set, one way or the other. Default: off, and `[::]` takes IPv6 alone.
    pub dual_stack: bool,
    /// How many connections may wait to be accepted. Further ones are refused or have to try again. The system may take
    /// fewer: on Linux at most `net.core.somaxconn`. Default: as many as the system lets.
    pub backlog: Option<NonZeroU16>,
}

impl ListenOptions {
    /// Makes a blocking socket that listens on an address, whose port may be 0. For tokio: `set_nonblocking(true)`, and
    /// `TcpListener::from_std`.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] for dual stack on another address than `[::]`, which could take only one of both. What the
    /// system says, as its own error: that the address is in use, or that there is no IPv6 here.
    pub fn listen(&self, address: SocketAddr) -> io::Result<TcpListener> {
        self.check(address)?;
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        self.listen_with(&socket, address)?;
        Ok(socket.into())
    }

    /// The same with a socket that exists already, for instance one that belongs to a completion port. It must be unbound and
    /// of the address's family.
    ///
    /// # Errors
    /// As for [`listen`](Self::listen).
    pub fn listen_with<'s>(&self, socket: impl Into<SockRef<'s>>, address: SocketAddr) -> io::Result<()> {
        let socket = &socket.into();
        self.check(address)?;
        use_exclusively(socket).map_err(Error::system(Setting::ExclusiveAddress))?;
        if address.is_ipv6() {
            socket.set_only_v6(!self.dual_stack).map_err(Error::system(Setting::DualStack))?;
        }
        socket.bind(&address.into())?;
        socket.listen(self.backlog())
    }

    fn check(&self, address: SocketAddr) -> Result<(), OutOfRange> {
        if self.dual_stack && !(address.is_ipv6() && address.ip().is_unspecified()) {
            return Err(OutOfRange::new(
                "a dual-stack address",
                address,
                "[::] with a port, which stands for every address",
            ));
        }
        Ok(())
    }

    fn backlog(&self) -> i32 {
        /// As many as the system sees fit, on every system: `SOMAXCONN` of Windows, and more than others take.
        const SYSTEMS_MOST: i32 = i32::MAX;
        match self.backlog {
            None => SYSTEMS_MOST,
            // Windows takes a number above 200 only as `SOMAXCONN_HINT`, which is negative.
            Some(backlog) if cfg!(windows) && backlog.get() > 200 => -i32::from(backlog.get()),
            Some(backlog) => i32::from(backlog.get()),
        }
    }
}

#[cfg(unix)]
fn use_exclusively(socket: &SockRef<'_>) -> io::Result<()> {
    socket.set_reuse_address(true)
}

#[cfg(windows)]
fn use_exclusively(socket: &SockRef<'_>) -> io::Result<()> {
    crate::sys::set_exclusive_address(socket)
}
