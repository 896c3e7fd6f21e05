//! What a server has done so far.

use pulsewire_policy::server::{Occupancy, Refusals};

/// Counts of a server since its beginning, and where it stands.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct ServerStatistics {
    /// Connections that came in, refused ones among them.
    pub accepted: u64,
    /// Failures of accepting: too few descriptors or too little memory, and connections that broke before.
    pub accept_failures: u64,
    /// Sockets that broke, or refused an option, before the connection began.
    pub unusable: u64,
    /// Refused, because they were too many in one way or another.
    pub refused: Refusals,
    /// Of these, those that were closed without being told so.
    pub dropped: u64,
    /// Clients that the check refused, or could not be asked about in time.
    pub refused_by_check: u64,
    /// Peers that left without sending a byte, as the health checks of load balancers do.
    pub health_checks: u64,
    /// Peers whose handshake failed otherwise.
    pub failed_handshakes: u64,
    /// Connections that were handed to the handler.
    pub handled: u64,
    /// Panics of the handler and of the check. Each cost its connection.
    pub panics: u64,
    /// Connections that were drained because of their age.
    pub aged: u64,
    /// Connections that were closed because they held the most memory.
    pub overloaded: u64,
    /// Who is there now.
    pub occupancy: Occupancy,
    /// Bytes of memory that all connections hold now.
    pub buffered: usize,
    /// Connections now that are in their handshake or with their handler.
    pub handlers: usize,
}
