//! A pending operation: what the system writes to, and what it owns until it comes back.

use super::address_buffer::AddressBuffer;
use super::socket::{OpenSocket, SystemSocket};
use crate::port::Token;
use bytes::BytesMut;
use std::mem::offset_of;
use std::net::SocketAddr;
use std::sync::Arc;
use windows_sys::Win32::System::IO::OVERLAPPED;

/// An operation, from submitting to completion. The system knows it by the address of its first field.
#[repr(C)]
pub(super) struct Operation<Batch> {
    overlapped: OVERLAPPED,
    pub(super) token: Token,
    /// The socket that it is pending on, which it keeps open.
    pub(super) socket: Arc<OpenSocket>,
    pub(super) resources: Resources<Batch>,
}

/// What an operation owns besides its socket, and thereby which one it is.
pub(super) enum Resources<Batch> {
    /// `AcceptEx`: the socket that becomes the connection, and the room for its two addresses.
    Accept { accepted: SystemSocket, addresses: AddressBuffer },
    /// `ConnectEx`: the peer's address.
    Connect { remote: SocketAddr },
    /// `WSARecv`: the buffer that is appended to, by how much at most, and the flags. Those live here because the system may
    /// write them as late as at the completion.
    Receive { buffer: BytesMut, limit: usize, flags: u32 },
    /// `WSARecv` of no bytes, and its flags.
    AwaitReadable { flags: u32 },
    /// `WSASend`: the bytes.
    Send { batch: Batch },
}

impl<Batch> Operation<Batch> {
    const OVERLAPPED_FIRST: () = assert!(offset_of!(Self, overlapped) == 0);

    pub(super) fn new(token: Token, socket: Arc<OpenSocket>, resources: Resources<Batch>) -> Self {
        Self { overlapped: OVERLAPPED::default(), token, socket, resources }
    }

    /// Gives the operation away to the system; [`reclaim`](Self::reclaim) takes it back.
    pub(super) fn leak(self) -> *mut Self {
        Box::into_raw(Box::new(self))
    }

    /// The pointer by which the system knows a leaked operation.
    pub(super) fn overlapped(operation: *mut Self) -> *mut OVERLAPPED {
        const { Self::OVERLAPPED_FIRST };
        operation.cast()
    }

    /// How many bytes were moved, of one that is done.
    pub(super) fn transferred(&self) -> usize {
        self.overlapped.InternalHigh
    }

    /// Takes back an operation that was leaked.
    ///
    /// # Safety
    ///
    /// The pointer is what [`overlapped`](Self::overlapped) made of an operation of this very type that was leaked and
    /// not yet reclaimed, and the system has finished with it.
    pub(super) unsafe fn reclaim(overlapped: *mut OVERLAPPED) -> Self {
        // SAFETY: the OVERLAPPED is the first field of the operation, so the pointer is that of the leaked box, which
        // nobody else uses any more.
        *unsafe { Box::from_raw(overlapped.cast::<Self>()) }
    }
}
