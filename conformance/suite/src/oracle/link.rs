//! A stream that never blocks for long.

use std::time::Duration;

use crate::world::Stream;

/// A deadline that has passed must not make the thread turn without end.
const SHORTEST_WAIT: Duration = Duration::from_millis(1);

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

/// A stream as the transport.
pub(super) struct Link(pub(super) Stream);

impl Transport for Link {
    fn read(&mut self, buffer: &mut [u8], timeout: Duration) -> Received {
        match self.0.read(buffer, timeout.max(SHORTEST_WAIT)) {
            Ok(None) => Received::Nothing,
            Ok(Some(0)) => Received::End,
            Ok(Some(count)) => Received::Bytes(count),
            Err(_) => Received::Reset,
        }
    }

    /// A broken connection takes nothing; the next read tells.
    fn write(&mut self, bytes: &[u8]) -> usize {
        self.0.write(bytes).unwrap_or(0)
    }

    fn half_close(&mut self) {
        self.0.half_close();
    }
}
