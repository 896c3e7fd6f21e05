//! Pulsewire over TCP on raw Windows I/O completion ports.
//!
//! # Layers
//!
//! The driver knows connections and the protocol, and nothing of Windows. Below it lies one seam, the completion port:
//! a trait whose real implementation is the only part of this crate that is Windows-only and the only one with unsafe
//! code. In the unit tests a fake port stands in its place, which delivers completions in any legal order, in virtual
//! time, on every system.
//!
//! # Ownership
//!
//! - An operation owns its buffers from the moment it is submitted. It always comes back, exactly once, as a completion
//!   that carries them, whether it succeeded, failed, was cancelled or could not even be started.
//! - An operation also holds a share of its socket. Dropping a socket cancels what is pending on it, and the system's
//!   socket is closed when the last of that has come back: cancel, wait, close, in this order.
//! - One thread owns the port and submits everything. Other threads can only wake it.
//! - An operation carries the caller's token, slot and cookie, so that a late completion is never taken for one of the
//!   connection that lives in the slot now (PW-CK-002).

#![deny(unsafe_code)]

#[cfg_attr(not(test), expect(dead_code, reason = "the seam is complete before the driver that uses it"))]
mod error;
mod keepalive;
#[cfg_attr(not(test), expect(dead_code, reason = "the seam is complete before the driver that uses it"))]
mod port;
#[cfg_attr(all(not(windows), not(test)), expect(dead_code, reason = "only the real port waits in real time"))]
mod timeout;

#[cfg(test)]
mod fake_port;
#[cfg(windows)]
#[cfg_attr(
    not(test),
    expect(dead_code, unused_imports, reason = "the seam is complete before the driver that uses it")
)]
#[expect(unsafe_code, reason = "calls the system; every block says why it is sound")]
mod sys;

pub use keepalive::Keepalive;
#[cfg(windows)]
pub use keepalive::set_keepalive;
