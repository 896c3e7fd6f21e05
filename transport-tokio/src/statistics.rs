//! What an endpoint has done so far.

use pulsewire_policy::Traffic;

use crate::report::ShutdownReport;

/// Counts of an endpoint since its beginning, and where it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct EndpointStatistics {
    /// Connections that live, those in their handshake among them.
    pub connections: usize,
    /// Connections that are over, and whose last words are still being said.
    pub parting: usize,
    /// How the others ended that there were.
    pub ended: ShutdownReport,
    /// What went over all of them, those that live among them.
    pub traffic: Traffic,
}
