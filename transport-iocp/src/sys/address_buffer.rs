//! The buffer in which `AcceptEx` leaves the addresses of a connection.

use super::extension::ExtensionFunctions;
use super::socket::internet;
use crate::error::SystemError;
use crate::port::Addresses;
use socket2::{SockAddr, SockAddrStorage};
use std::net::SocketAddr;
use std::ptr;
use windows_sys::Win32::Networking::WinSock::{SOCKADDR, SOCKADDR_IN6};

/// The room that `AcceptEx` wants for each of the two addresses: 16 bytes more than the largest address takes.
pub(super) const ADDRESS_ROOM: usize = size_of::<SOCKADDR_IN6>() + 16;

/// Room for both addresses, in a form that only the system knows.
pub(super) struct AddressBuffer([u8; 2 * ADDRESS_ROOM]);

impl Default for AddressBuffer {
    fn default() -> Self {
        Self([0; 2 * ADDRESS_ROOM])
    }
}

impl AddressBuffer {
    pub(super) fn as_mut_ptr(&mut self) -> *mut u8 {
        self.0.as_mut_ptr()
    }

    /// Reads the addresses that a successful `AcceptEx` wrote. They are there even if the peer is gone again.
    pub(super) fn read(&self, functions: &ExtensionFunctions) -> Result<Addresses, SystemError> {
        let (mut local, mut local_length) = (ptr::null_mut(), 0);
        let (mut remote, mut remote_length) = (ptr::null_mut(), 0);
        let (buffer, room) = (self.0.as_ptr().cast(), ADDRESS_ROOM as u32);
        // SAFETY: the buffer has the room that is stated, as when `AcceptEx` got it, and the rest are out parameters.
        unsafe {
            (functions.accept_addresses)(
                buffer,
                0,
                room,
                room,
                &mut local,
                &mut local_length,
                &mut remote,
                &mut remote_length,
            );
        }
        Ok(Addresses { local: self.address(local, local_length)?, remote: self.address(remote, remote_length)? })
    }

    /// Copies out one address, if what the system said of it can be true.
    fn address(&self, address: *const SOCKADDR, length: i32) -> Result<SocketAddr, SystemError> {
        let length = usize::try_from(length).map_err(|_| SystemError::INVALID)?;
        let start = address.addr().checked_sub(self.0.as_ptr().addr()).ok_or(SystemError::INVALID)?;
        let bytes = self.0.get(start..).and_then(|rest| rest.get(..length)).ok_or(SystemError::INVALID)?;
        let mut storage = SockAddrStorage::zeroed();
        let destination = (&raw mut storage).cast::<u8>();
        // SAFETY: both buffers have at least that many bytes: the slice has, and the storage is larger than this
        // buffer.
        unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), destination, length) };
        // SAFETY: the storage was zeroed, and then got an address of that length.
        internet(&unsafe { SockAddr::new(storage, length as i32) })
    }
}

const _: () = assert!(size_of::<SockAddrStorage>() >= 2 * ADDRESS_ROOM);
