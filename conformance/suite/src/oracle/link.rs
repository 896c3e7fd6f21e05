//! A TCP stream that never blocks for long.

use std::io::{ErrorKind, Read, Result, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

/// What a read gave.
pub(super) enum Received {
    Bytes(usize),
    /// Nothing came in time.
    Nothing,
    End,
    Reset,
}

/// The transport of one connection.
pub(super) trait Transport: Send {
    /// Waits at most `timeout` for bytes.
    fn read(&mut self, buffer: &mut [u8], timeout: Duration) -> Received;

    /// Writes what the transport takes at once, and tells how much that was.
    fn write(&mut self, bytes: &[u8]) -> usize;

    /// Ends this side's direction.
    fn half_close(&mut self);
}

/// A TCP stream as the transport.
pub(super) struct Link {
    stream: TcpStream,
}

impl Link {
    pub(super) fn new(stream: TcpStream) -> Result<Self> {
        stream.set_nodelay(true)?;
        Ok(Self { stream })
    }
}

impl Transport for Link {
    fn read(&mut self, buffer: &mut [u8], timeout: Duration) -> Received {
        // Zero would mean for ever.
        let timeout = timeout.max(Duration::from_millis(1));
        if self.stream.set_read_timeout(Some(timeout)).is_err() {
            return Received::Reset;
        }
        match self.stream.read(buffer) {
            Ok(0) => Received::End,
            Ok(count) => Received::Bytes(count),
            Err(error) => match error.kind() {
                ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted => Received::Nothing,
                _ => Received::Reset,
            },
        }
    }

    /// A broken connection takes nothing; the next read tells.
    fn write(&mut self, bytes: &[u8]) -> usize {
        if self.stream.set_nonblocking(true).is_err() {
            return 0;
        }
        let taken = self.stream.write(bytes).unwrap_or(0);
        // It failed neither a line above nor ever on a socket that is open.
        let _ = self.stream.set_nonblocking(false);
        taken
    }

    fn half_close(&mut self) {
        // It fails only where the peer has reset the connection, which the next read tells.
        let _ = self.stream.shutdown(Shutdown::Write);
    }
}
