//! What an endpoint has done so far.

use pulsewire_policy::server::{Occupancy, Refusals};
use pulsewire_policy::{ShutdownReport, Traffic};

/// Counts of an endpoint since its beginning, and where it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct EndpointStatistics {
    /// Connections that came in, refused ones among them.
    pub accepted: u64,
    /// Failures of accepting: too little memory or too few handles, and connections that broke before.
    pub accept_failures: u64,
    /// Sockets that broke, or refused an option, before the connection began.
    pub unusable: u64,
    /// Refused, because they were too many in one way or another.
    pub refused: Refusals,
    /// Refused, because the connections held as much memory as they may.
    pub refused_memory: u64,
    /// Refused, because [`Handler::has_room`](crate::Handler::has_room) said no.
    pub refused_by_handler: u64,
    /// Of all that were refused, those that were closed without being told so.
    pub dropped: u64,
    /// Clients that nobody judged in time, or that came while as many waited for that as may. Those that the application refused are
    /// its own to count.
    pub refused_by_check: u64,
    /// Connections whose handshake was complete, those begun here among them.
    pub established: u64,
    /// Panics of the handler. Each cost the connection that it was called for, if any.
    pub panics: u64,
    /// Connections that were drained because of their age.
    pub aged: u64,
    /// Who is there now, of those that came in, on all threads of the endpoint.
    pub occupancy: Occupancy,
    /// Connections that live now, those begun here among them.
    pub connections: usize,
    /// Bytes of memory that they hold now for what is only partly received and what waits to be sent.
    pub buffered: usize,
    /// Receive buffers that operations and connections have now. A quiet connection has none.
    pub receive_buffers: usize,
    /// Operations that the system has now.
    pub operations: usize,
    /// What went over all connections, those that live among them. It is summed up when it is asked for.
    pub traffic: Traffic,
    /// How the connections ended that did.
    pub ended: ShutdownReport,
}

impl EndpointStatistics {
    /// Of several threads together. Who is there of those that came in is counted for all of them already.
    #[cfg(any(windows, test))]
    pub(crate) fn and(mut self, other: &Self) -> Self {
        let Self {
            accepted,
            accept_failures,
            unusable,
            refused,
            refused_memory,
            refused_by_handler,
            dropped,
            refused_by_check,
            established,
            panics,
            aged,
            occupancy,
            connections,
            buffered,
            receive_buffers,
            operations,
            traffic,
            ended,
        } = *other;
        self.accepted += accepted;
        self.accept_failures += accept_failures;
        self.unusable += unusable;
        self.refused += refused;
        self.refused_memory += refused_memory;
        self.refused_by_handler += refused_by_handler;
        self.dropped += dropped;
        self.refused_by_check += refused_by_check;
        self.established += established;
        self.panics += panics;
        self.aged += aged;
        self.occupancy = occupancy;
        self.connections += connections;
        self.buffered += buffered;
        self.receive_buffers += receive_buffers;
        self.operations += operations;
        self.traffic += traffic;
        self.ended += ended;
        self
    }
}
