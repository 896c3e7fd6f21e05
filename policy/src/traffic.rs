//! What went over connections, in numbers.

use std::ops::AddAssign;

use pulsewire_protocol::Connection;

/// What went over connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Traffic {
    /// Messages received whole.
    pub messages_received: u64,
    /// Messages accepted for sending.
    pub messages_sent: u64,
    /// Messages of peers that this side refused.
    pub messages_refused: u64,
    /// Messages of this side that peers refused.
    pub messages_rejected: u64,
    /// Bytes received, headers and damage included.
    pub bytes_received: u64,
    /// Bytes that the streams took, headers included.
    pub bytes_taken: u64,
    /// Holes in received streams.
    pub gaps: u64,
    /// PINGs sent.
    pub pings_sent: u64,
}

impl Traffic {
    /// That of one connection.
    #[must_use]
    pub fn of(connection: &Connection) -> Self {
        let of = connection.statistics();
        Self {
            messages_received: of.messages_received,
            messages_sent: of.messages_sent,
            messages_refused: of.messages_refused,
            messages_rejected: of.messages_rejected,
            bytes_received: of.bytes_received,
            bytes_taken: of.bytes_taken,
            gaps: of.gaps,
            pings_sent: of.pings_sent,
        }
    }
}

impl AddAssign for Traffic {
    fn add_assign(&mut self, other: Self) {
        let Self {
            messages_received,
            messages_sent,
            messages_refused,
            messages_rejected,
            bytes_received,
            bytes_taken,
            gaps,
            pings_sent,
        } = other;
        self.messages_received += messages_received;
        self.messages_sent += messages_sent;
        self.messages_refused += messages_refused;
        self.messages_rejected += messages_rejected;
        self.bytes_received += bytes_received;
        self.bytes_taken += bytes_taken;
        self.gaps += gaps;
        self.pings_sent += pings_sent;
    }
}
