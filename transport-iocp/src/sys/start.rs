//! The four calls that start an operation.

use super::address_buffer::ADDRESS_ROOM;
use super::extension::ExtensionFunctions;
use super::operation::Resources;
use super::port_handle::last_error;
use super::socket::{OpenSocket, raw};
use crate::error::SystemError;
use crate::port::{GatherBuffer, MAX_SLICES_PER_SEND};
use socket2::SockAddr;
use std::ptr;
use windows_sys::Win32::Foundation::ERROR_IO_PENDING;
use windows_sys::Win32::Networking::WinSock::{SOCKET, WSABUF, WSARecv, WSASend};
use windows_sys::Win32::System::IO::OVERLAPPED;

/// How far an operation has come that was started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Started {
    /// It is done. Its completion comes through the port, unless the socket [skips](OpenSocket::skips) that.
    Done,
    /// Its completion will come.
    Pending,
}

/// Starts the operation that `resources` says. `Err`: no completion will come. The system copies the lists of buffers and the addresses that it is handed, but not what those point to.
///
/// # Safety
///
/// `overlapped` points to a valid OVERLAPPED, not in use. After `Ok` that and the resources stay where they are, alive
/// and untouched, until the completion has been dequeued.
pub(super) unsafe fn start<Batch: GatherBuffer>(
    functions: &ExtensionFunctions,
    socket: &OpenSocket,
    resources: &mut Resources<Batch>,
    overlapped: *mut OVERLAPPED,
) -> Result<Started, SystemError> {
    socket.with(|socket| {
        // SAFETY: the contract is the same.
        unsafe { start_on(functions, raw(socket), resources, overlapped) }
    })
}

/// The same, on a socket that is open during the call.
///
/// # Safety
///
/// As there.
unsafe fn start_on<Batch: GatherBuffer>(
    functions: &ExtensionFunctions,
    socket: SOCKET,
    resources: &mut Resources<Batch>,
    overlapped: *mut OVERLAPPED,
) -> Result<Started, SystemError> {
    let done = match resources {
        Resources::Accept { accepted, addresses } => {
            let (buffer, room) = (addresses.as_mut_ptr().cast(), ADDRESS_ROOM as u32);
            let accepted = accepted.open().with(|socket| Ok::<_, SystemError>(raw(socket)))?;
            let mut received = 0;
            // Receiving nothing, lest a client that says nothing keep the accept busy.
            // SAFETY: both sockets are open; the buffer has twice the room stated; by the contract it lives long
            // enough.
            unsafe { (functions.accept)(socket, accepted, buffer, 0, room, room, &mut received, overlapped) != 0 }
        }
        Resources::Connect { remote } => {
            let remote = SockAddr::from(*remote);
            let (address, length, mut sent) = (remote.as_ptr().cast(), remote.len(), 0);
            // SAFETY: the socket is open; pointer and length are those of one address; nothing is sent along.
            unsafe { (functions.connect)(socket, address, length, ptr::null(), 0, &mut sent, overlapped) != 0 }
        }
        Resources::Receive { buffer, limit, flags } => {
            let spare = buffer.spare_capacity_mut();
            let room = spare.len().min(*limit).min(MAX_SLICE_BYTES);
            let slice = WSABUF { len: room as u32, buf: spare.as_mut_ptr().cast() };
            // SAFETY: the socket is open; the slice is spare capacity of a buffer that by the contract lives long
            // enough, as do the flags.
            unsafe { WSARecv(socket, &slice, 1, ptr::null_mut(), flags, overlapped, None) == 0 }
        }
        Resources::AwaitReadable { flags } => {
            let slice = WSABUF { len: 0, buf: ptr::null_mut() };
            // SAFETY: the socket is open; there is no memory to write to but the flags, which by the contract live long enough.
            unsafe { WSARecv(socket, &slice, 1, ptr::null_mut(), flags, overlapped, None) == 0 }
        }
        Resources::Send { batch } => {
            let mut slices = [WSABUF { len: 0, buf: ptr::null_mut() }; MAX_SLICES_PER_SEND];
            let mut count = 0;
            for (slot, slice) in slices.iter_mut().zip(batch.slices()) {
                let taken = slice.len().min(MAX_SLICE_BYTES);
                *slot = WSABUF { len: taken as u32, buf: slice.as_ptr().cast_mut() };
                count += 1;
                if taken < slice.len() {
                    break;
                }
            }
            // SAFETY: the socket is open; the slices, which are only read, are of a batch that by the contract stays as
            // it is and lives long enough.
            unsafe { WSASend(socket, slices.as_ptr(), count, ptr::null_mut(), 0, overlapped, None) == 0 }
        }
    };
    if done {
        return Ok(Started::Done);
    }
    match last_error() {
        pending if pending.code() == ERROR_IO_PENDING => Ok(Started::Pending),
        error => Err(error),
    }
}

/// The most bytes that one slice of an operation takes: what is more comes with the next one.
const MAX_SLICE_BYTES: usize = 1 << 30;
