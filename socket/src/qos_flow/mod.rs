//! Marking connections on Windows: flows of `qwave.dll`.
//!
//! `registration.rs` makes and ends a flow and knows its traps, by means of [`QosLibrary`]: the system's on Windows, in tests a fake
//! that has all of the traps.

mod error;
#[cfg(windows)]
mod flow;
mod registration;

use std::net::SocketAddr;

#[cfg(windows)]
pub use error::{NotMarked, QosCall, QosError};
#[cfg(windows)]
pub use flow::{Qos, QosFlow};

/// How the system treats the packets of a flow, and as what it marks them. The values are the ones of `QOS_TRAFFIC_TYPE`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(i32)]
pub enum TrafficType {
    /// As if it had no flow. Mark 0.
    BestEffort = 0,
    /// Less than best effort: bulk data that may wait. Mark 8.
    Background = 1,
    /// More than best effort: what a person waits for. Mark 40.
    ExcellentEffort = 2,
    /// Streams of sound and pictures. Mark 40.
    AudioVideo = 3,
    /// Voice: little delay. Mark 56.
    Voice = 4,
    /// Control of the network and of machines: what must not be lost. Mark 56.
    Control = 5,
}

/// A connection to the system's quality of service, as the system names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct QosHandle(pub(crate) usize);

/// A socket, as the system names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SocketNumber(pub(crate) usize);

/// The functions of `qwave.dll`, one to one. Each failure is the thread's last error code.
pub(crate) trait QosLibrary {
    fn create_handle(&self, version: (u16, u16)) -> Result<QosHandle, u32>;

    fn close_handle(&self, handle: QosHandle) -> Result<(), u32>;

    /// Gives the number of the flow.
    fn add_socket_to_flow(
        &self,
        handle: QosHandle,
        socket: SocketNumber,
        peer: Option<SocketAddr>,
        traffic: TrafficType,
        flags: u32,
    ) -> Result<u32, u32>;

    fn set_outgoing_dscp(&self, handle: QosHandle, flow: u32, dscp: u8) -> Result<(), u32>;

    fn remove_socket_from_flow(&self, handle: QosHandle, socket: SocketNumber, flow: u32) -> Result<(), u32>;
}
