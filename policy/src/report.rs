//! How connections ended, in numbers.

use std::fmt;
use std::ops::{AddAssign, Sub};

use pulsewire_protocol::{CloseReason, Connection, Ended, Origin};

/// What became of the connections that a shutdown ended.
///
/// Each is counted once: in one of [`orderly`](Self::orderly), [`timed_out`](Self::timed_out), [`reset`](Self::reset),
/// [`failed`](Self::failed), [`cut`](Self::cut) and [`unestablished`](Self::unestablished).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct ShutdownReport {
    /// Both sides took leave: CLOSE and CLOSE_ACK went both ways.
    pub orderly: u64,
    /// The peer did not answer CLOSE, or a probe, or took or sent bytes too slowly.
    pub timed_out: u64,
    /// The stream ended without a good-bye of both sides: the peer's process died, the network was lost, the peer did not wait for
    /// the last answer.
    pub reset: u64,
    /// One side closed for a fault of the other, or for lack of memory.
    pub failed: u64,
    /// Cut by this side: at the end of the patience, by an abort, or by a panic.
    pub cut: u64,
    /// The handshake had not been complete. No message was accepted.
    pub unestablished: u64,
    /// Messages that were accepted for sending and never handed to the transport: each came back in
    /// [`Closed::unsent`](pulsewire_protocol::Closed::unsent) of its connection.
    pub unsent_messages: u64,
    /// Bytes of payload in these.
    pub unsent_bytes: u64,
    /// Bytes that were handed to the transport on connections that did not end in order, and that the peer's host has not
    /// acknowledged; where the system does not tell, that the transport has not taken.
    pub unacknowledged_bytes: u64,
    /// Messages that the peer did not receive whole, as it said in its CLOSE_ACK to this side's CLOSE; those that it refused among
    /// them.
    pub missed_messages: u64,
}

impl ShutdownReport {
    /// Whether all that had been established ended in order, and every message arrived that was accepted for sending.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        let Self { timed_out, reset, failed, cut, unsent_messages, unacknowledged_bytes, missed_messages, .. } = *self;
        timed_out + reset + failed + cut + unsent_messages + unacknowledged_bytes + missed_messages == 0
    }

    /// How many connections ended.
    #[must_use]
    pub fn connections(&self) -> u64 {
        let Self { orderly, timed_out, reset, failed, cut, unestablished, .. } = *self;
        orderly + timed_out + reset + failed + cut + unestablished
    }

    /// That of one connection. One that is not [over](Connection::is_over) counts as nothing.
    #[must_use]
    pub fn of(connection: &Connection) -> Self {
        let Some(ended) = connection.ended() else { return Self::default() };
        let statistics = connection.statistics();
        let mut report =
            Self { unsent_messages: ended.unsent_messages, unsent_bytes: ended.unsent_bytes, ..Self::default() };
        // What CLOSE counts may still grow; CLOSE_ACK comes behind all.
        if let (true, Origin::Local, Some(count)) = (ended.orderly, ended.origin, ended.acknowledged) {
            report.missed_messages = statistics.messages_sent.saturating_sub(count);
        }
        if ended.established && !ended.orderly {
            report.unacknowledged_bytes = statistics.bytes_handed_out.saturating_sub(statistics.bytes_acknowledged);
        }
        *report.kind(ended) += 1;
        report
    }

    /// The same for one that was cut while its last words were said.
    #[must_use]
    pub fn but_cut(self) -> Self {
        Self { orderly: 0, timed_out: 0, reset: 0, failed: 0, unestablished: 0, cut: 1, ..self }
    }

    fn kind(&mut self, ended: Ended) -> &mut u64 {
        match ended.reason {
            _ if !ended.established => &mut self.unestablished,
            _ if ended.orderly => &mut self.orderly,
            CloseReason::ABORTED => &mut self.cut,
            CloseReason::CLOSE_TIMEOUT
            | CloseReason::PEER_TIMEOUT
            | CloseReason::WRITE_STALL
            | CloseReason::FRAME_STALL
            | CloseReason::MESSAGE_STALL => &mut self.timed_out,
            CloseReason::OVERLOADED => &mut self.failed,
            reason if reason.is_fault() => &mut self.failed,
            _ => &mut self.reset,
        }
    }

    /// That of one connection in a word: the name of the field that counts it.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self { orderly: 1.., .. } => "orderly",
            Self { timed_out: 1.., .. } => "timed_out",
            Self { reset: 1.., .. } => "reset",
            Self { failed: 1.., .. } => "failed",
            Self { cut: 1.., .. } => "cut",
            _ => "unestablished",
        }
    }

    fn with(self, other: Self, combine: fn(u64, u64) -> u64) -> Self {
        Self {
            orderly: combine(self.orderly, other.orderly),
            timed_out: combine(self.timed_out, other.timed_out),
            reset: combine(self.reset, other.reset),
            failed: combine(self.failed, other.failed),
            cut: combine(self.cut, other.cut),
            unestablished: combine(self.unestablished, other.unestablished),
            unsent_messages: combine(self.unsent_messages, other.unsent_messages),
            unsent_bytes: combine(self.unsent_bytes, other.unsent_bytes),
            unacknowledged_bytes: combine(self.unacknowledged_bytes, other.unacknowledged_bytes),
            missed_messages: combine(self.missed_messages, other.missed_messages),
        }
    }
}

impl AddAssign for ShutdownReport {
    fn add_assign(&mut self, other: Self) {
        *self = self.with(other, |one, more| one + more);
    }
}

impl Sub for ShutdownReport {
    type Output = Self;

    /// What came after `earlier`.
    fn sub(self, earlier: Self) -> Self {
        self.with(earlier, u64::saturating_sub)
    }
}

impl fmt::Display for ShutdownReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} connections ended, {} of them in order", self.connections(), self.orderly)?;
        let parts = [
            (self.timed_out, "timed out"),
            (self.reset, "reset"),
            (self.failed, "failed"),
            (self.cut, "cut"),
            (self.unestablished, "before the handshake was complete"),
            (self.unsent_messages, "messages unsent"),
            (self.unacknowledged_bytes, "bytes unacknowledged"),
            (self.missed_messages, "messages missed"),
        ];
        parts.iter().filter(|(count, _)| *count > 0).try_for_each(|(count, what)| write!(f, "; {count} {what}"))
    }
}
