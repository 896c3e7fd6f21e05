//! The handle of a completion port.

use crate::error::SystemError;
use socket2::Socket;
use std::io;
use std::os::windows::io::{AsRawHandle, AsRawSocket, FromRawHandle, OwnedHandle};
use std::ptr;
use windows_sys::Win32::Foundation::{HANDLE, INVALID_HANDLE_VALUE, WAIT_TIMEOUT};
use windows_sys::Win32::System::IO::{
    CreateIoCompletionPort, GetQueuedCompletionStatusEx, OVERLAPPED_ENTRY, PostQueuedCompletionStatus,
};

/// How many completions one call dequeues at most.
pub(super) const BATCH: usize = 64;

/// An owned completion port. Closing it wakes nobody, so whoever waits on it holds a share of it.
#[derive(Debug)]
pub(super) struct PortHandle(OwnedHandle);

impl PortHandle {
    /// Makes a port for one waiting thread.
    pub(super) fn new() -> Result<Self, SystemError> {
        // SAFETY: no existing handle is passed, so there is nothing that would have to be valid.
        let handle = unsafe { CreateIoCompletionPort(INVALID_HANDLE_VALUE, ptr::null_mut(), 0, 1) };
        if handle.is_null() {
            return Err(last_error());
        }
        // SAFETY: the handle was just made, is not null, and nobody else has it.
        let owned = unsafe { OwnedHandle::from_raw_handle(handle) };
        Ok(Self(owned))
    }

    fn raw(&self) -> HANDLE {
        self.0.as_raw_handle()
    }

    /// Sends the completions of all operations on `socket` to this port, for good.
    pub(super) fn associate(&self, socket: &Socket) -> Result<(), SystemError> {
        // SAFETY: both handles are open, since they are borrowed from their owners.
        let handle = unsafe { CreateIoCompletionPort(handle_of(socket), self.raw(), 0, 0) };
        if handle.is_null() { Err(last_error()) } else { Ok(()) }
    }

    /// Takes what has completed out of the queue, waiting for the first one; nothing at all if the time ran out.
    pub(super) fn dequeue<'a>(
        &self,
        entries: &'a mut [OVERLAPPED_ENTRY; BATCH],
        milliseconds: u32,
    ) -> Result<&'a [OVERLAPPED_ENTRY], SystemError> {
        let mut count = 0;
        let (first, room) = (entries.as_mut_ptr(), BATCH as u32);
        // SAFETY: the port is open, and `first` points to `room` entries that are ours to write for the whole call.
        let taken = unsafe { GetQueuedCompletionStatusEx(self.raw(), first, room, &mut count, milliseconds, 0) };
        if taken != 0 {
            return Ok(&entries[..count as usize]);
        }
        match last_error() {
            error if error.code() == WAIT_TIMEOUT => Ok(&[]),
            error => Err(error),
        }
    }

    /// Queues a completion of no operation, which can be told by its null pointer.
    pub(super) fn post_wake(&self) -> Result<(), SystemError> {
        // SAFETY: the port is open, and a null pointer is allowed here: the system only hands it on.
        let posted = unsafe { PostQueuedCompletionStatus(self.raw(), 0, 0, ptr::null()) };
        if posted == 0 { Err(last_error()) } else { Ok(()) }
    }
}

/// A socket among handles of all kinds, which are numbers and point to nothing.
pub(super) fn handle_of(socket: &Socket) -> HANDLE {
    ptr::without_provenance_mut(socket.as_raw_socket() as usize)
}

/// Why the last call of this thread failed. Winsock and the rest of the system keep it in the same place.
pub(super) fn last_error() -> SystemError {
    io::Error::last_os_error().into()
}
