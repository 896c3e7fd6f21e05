//! The real completion port. Everything in this folder is Windows-only, and all unsafe code of the crate is here.
//!
//! An operation is leaked once, when it is submitted, and reclaimed once, when its completion is dequeued or when
//! submitting failed. Nothing else ever frees it, whatever becomes of its socket.

mod address_buffer;
mod extension;
mod marks;
mod operation;
mod port_handle;
mod socket;
mod start;
mod system_port;
mod waker;

#[cfg(test)]
mod tests;

pub(crate) use marks::Marks;
pub(crate) use system_port::SystemPort;
