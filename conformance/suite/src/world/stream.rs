//! Connections: TCP, or in the memory of a world.

use std::io::{Error, ErrorKind, Read, Result, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use socket2::SockRef;

use super::membership;
use super::memory::{Endpoint, Listening};
use crate::clock;

/// Between two looks at a TCP listener.
const LOOK: Duration = Duration::from_millis(1);

/// A connection. Dropping it closes it.
pub struct Stream {
    medium: Medium,
}

enum Medium {
    Tcp(TcpStream),
    Memory(Endpoint),
}

/// What accepts connections on the loopback address.
pub struct Listener {
    kind: ListenerKind,
}

enum ListenerKind {
    Tcp(TcpListener),
    Memory(Listening),
}

/// Connects to a server, in the world that this thread belongs to if there is one.
///
/// # Errors
///
/// If nothing listens there.
pub fn dial(address: SocketAddr, patience: Duration) -> Result<Stream> {
    match dial_in_world(address) {
        Some(dialled) => dialled,
        None => Stream::tcp(TcpStream::connect_timeout(&address, patience)?),
    }
}

/// Listens on a free port of the loopback address, in the world that this thread belongs to if there is one.
///
/// # Errors
///
/// If no port is free.
pub fn listen() -> Result<Listener> {
    match listen_in_world() {
        Some(listening) => listening,
        None => Ok(Listener::tcp(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?)),
    }
}

/// A connection in memory, on a thread of a world.
pub(crate) fn dial_in_world(address: SocketAddr) -> Option<Result<Stream>> {
    let network = membership()?.world.network;
    Some(network.dial(address).map(Stream::memory))
}

/// A listener in memory, on a thread of a world.
pub(crate) fn listen_in_world() -> Option<Result<Listener>> {
    let network = membership()?.world.network;
    Some(network.listen().map(|listening| Listener { kind: ListenerKind::Memory(listening) }))
}

impl Listener {
    pub(crate) fn tcp(listener: TcpListener) -> Self {
        Self { kind: ListenerKind::Tcp(listener) }
    }

    /// Where it listens.
    ///
    /// # Errors
    ///
    /// If the system does not tell.
    pub fn address(&self) -> Result<SocketAddr> {
        match &self.kind {
            ListenerKind::Tcp(listener) => listener.local_addr(),
            ListenerKind::Memory(listening) => Ok(listening.address()),
        }
    }

    /// The next connection; without a patience it waits for ever.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::TimedOut`] if none came in time, and what the system says.
    pub fn accept(&self, patience: Option<Duration>) -> Result<Stream> {
        let deadline = patience.map(|patience| clock::now() + patience);
        match (&self.kind, deadline) {
            (ListenerKind::Memory(listening), deadline) => listening.accept(deadline).map(Stream::memory),
            (ListenerKind::Tcp(listener), None) => {
                listener.set_nonblocking(false)?;
                Stream::tcp(listener.accept()?.0)
            }
            (ListenerKind::Tcp(listener), Some(deadline)) => {
                listener.set_nonblocking(true)?;
                loop {
                    match listener.accept() {
                        Ok((stream, _)) => {
                            stream.set_nonblocking(false)?;
                            return Stream::tcp(stream);
                        }
                        Err(error) if error.kind() != ErrorKind::WouldBlock => return Err(error),
                        Err(_) if clock::now() < deadline => clock::sleep(LOOK),
                        Err(_) => return Err(ErrorKind::TimedOut.into()),
                    }
                }
            }
        }
    }
}

impl Stream {
    pub(crate) fn tcp(stream: TcpStream) -> Result<Self> {
        // Without this the small pieces of a split packet would wait for one another.
        stream.set_nodelay(true)?;
        Ok(Self { medium: Medium::Tcp(stream) })
    }

    fn memory(endpoint: Endpoint) -> Self {
        Self { medium: Medium::Memory(endpoint) }
    }

    /// Reads what is there, or comes within `timeout`; 0 bytes are the end, and `None` is nothing in time.
    ///
    /// # Errors
    ///
    /// If the connection was reset.
    pub fn read(&mut self, buffer: &mut [u8], timeout: Duration) -> Result<Option<usize>> {
        let stream = match &mut self.medium {
            Medium::Memory(endpoint) => return endpoint.read(buffer, clock::now() + timeout),
            Medium::Tcp(stream) => stream,
        };
        // Zero would mean for ever.
        stream.set_read_timeout(Some(timeout.max(Duration::from_millis(1))))?;
        match stream.read(buffer) {
            Ok(count) => Ok(Some(count)),
            Err(error) => match error.kind() {
                ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted => Ok(None),
                _ => Err(error),
            },
        }
    }

    /// Whether a read in memory would give bytes without waiting; over TCP nobody asks.
    pub(crate) fn has_unread(&self) -> bool {
        match &self.medium {
            Medium::Memory(endpoint) => endpoint.has_unread(),
            Medium::Tcp(_) => false,
        }
    }

    /// Writes what the transport takes at once, and tells how much that was.
    ///
    /// # Errors
    ///
    /// If the connection is broken.
    pub fn write(&mut self, bytes: &[u8]) -> Result<usize> {
        let stream = match &mut self.medium {
            Medium::Memory(endpoint) => return endpoint.write(bytes),
            Medium::Tcp(stream) => stream,
        };
        stream.set_nonblocking(true)?;
        let written = stream.write(bytes);
        // It failed neither a line above nor ever on a socket that is open.
        let _ = stream.set_nonblocking(false);
        match written {
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(0),
            written => written,
        }
    }

    /// Writes all; the transport has `patience` for each part that it takes.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::TimedOut`] if it took nothing for so long, and others if the connection is broken.
    pub fn write_all(&mut self, bytes: &[u8], patience: Duration) -> Result<()> {
        match &mut self.medium {
            Medium::Memory(endpoint) => {
                let mut rest = bytes;
                while !rest.is_empty() {
                    match endpoint.write(rest)? {
                        0 => endpoint.await_room(clock::now() + patience)?,
                        count => rest = &rest[count..],
                    }
                }
                Ok(())
            }
            Medium::Tcp(stream) => {
                stream.set_write_timeout(Some(patience))?;
                stream.write_all(bytes).map_err(|error| match error.kind() {
                    // The systems have two names for it.
                    ErrorKind::WouldBlock => ErrorKind::TimedOut.into(),
                    _ => error,
                })
            }
        }
    }

    /// Ends this side's direction.
    pub fn half_close(&mut self) {
        match &mut self.medium {
            Medium::Memory(endpoint) => endpoint.half_close(),
            // It fails only where the peer has closed or reset the connection, which the next read tells.
            Medium::Tcp(stream) => drop(stream.shutdown(Shutdown::Write)),
        }
    }

    /// Resets the connection when it is dropped.
    ///
    /// # Errors
    ///
    /// If the system does not allow that.
    pub fn cut_when_dropped(&mut self) -> Result<()> {
        match &mut self.medium {
            Medium::Memory(endpoint) => endpoint.cut_when_dropped(),
            Medium::Tcp(stream) => SockRef::from(&*stream).set_linger(Some(Duration::ZERO))?,
        }
        Ok(())
    }

    /// What went wrong since it was last asked, or a write failed.
    ///
    /// # Errors
    ///
    /// If the system does not tell.
    pub fn take_error(&mut self) -> Result<Option<Error>> {
        match &mut self.medium {
            Medium::Memory(endpoint) => Ok(endpoint.take_error()),
            Medium::Tcp(stream) => stream.take_error(),
        }
    }
}
