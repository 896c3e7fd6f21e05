//! Received bytes that wait to be handled.

use bytes::BytesMut;

use crate::buffers;

/// A read buffer, from the thread's pool while there are bytes to handle; else just the beginning of a packet.
#[derive(Default)]
pub(crate) struct Input {
    pub(crate) buffer: BytesMut,
    /// Bytes at its front that are done with.
    pub(crate) handled: usize,
}

impl Input {
    /// Brings the bytes that wait to the front of a buffer from the pool.
    pub(crate) fn make_room(&mut self) {
        let waiting = self.handled..self.buffer.len();
        if self.buffer.capacity() == buffers::READ {
            let count = waiting.len();
            self.buffer.copy_within(waiting, 0);
            self.buffer.truncate(count);
        } else {
            let mut buffer = buffers::take_read();
            buffer.extend_from_slice(&self.buffer[waiting]);
            self.buffer = buffer;
        }
        self.handled = 0;
    }

    /// Nothing came: keeps the bytes that wait, mostly none, and gives the buffer back.
    pub(crate) fn shrink(&mut self) {
        let waiting = BytesMut::from(&self.buffer[..]);
        buffers::give_read(std::mem::replace(&mut self.buffer, waiting));
    }
}

impl Drop for Input {
    fn drop(&mut self) {
        buffers::give_read(std::mem::take(&mut self.buffer));
    }
}
