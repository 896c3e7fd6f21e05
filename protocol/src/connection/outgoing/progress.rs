//! How far bytes have come: handed out, taken by the transport, acknowledged by the peer's host.

use super::Outgoing;
use super::control::Control;
use crate::time::{Instant, MaybeInstant};
use crate::wire::HEADER_SIZE;

/// Bytes of a PING.
const PING_SIZE: u64 = HEADER_SIZE as u64 + 8;

/// How far what was handed out has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::connection) struct Progress {
    /// Bytes were acknowledged.
    pub(in crate::connection) any: bool,
    /// The latest PING is with the transport, and all before it acknowledged.
    pub(in crate::connection) ping_departed: bool,
    /// The latest PING is acknowledged.
    pub(in crate::connection) ping_acknowledged: bool,
    /// Bytes up to the end of CLOSE were acknowledged.
    pub(in crate::connection) close: bool,
    /// CLOSE_ACK was taken.
    pub(in crate::connection) close_ack: bool,
}

impl Outgoing {
    /// Bytes handed out since the beginning.
    pub(in crate::connection) fn handed(&self) -> u64 {
        self.handed
    }

    /// Bytes that the transport took since the beginning.
    pub(in crate::connection) fn taken_bytes(&self) -> u64 {
        self.taken
    }

    /// Bytes handed out that the transport has not taken.
    pub(in crate::connection) fn untaken(&self) -> u64 {
        self.handed - self.taken
    }

    /// Bytes acknowledged since the beginning, or taken where the transport tells no more.
    pub(in crate::connection) fn acknowledged_bytes(&self) -> u64 {
        if self.is_told { self.acknowledged } else { self.taken }
    }

    /// Whether the transport tells what is acknowledged.
    pub(in crate::connection) fn is_told(&self) -> bool {
        self.is_told
    }

    /// Bytes handed out that are not acknowledged.
    pub(in crate::connection) fn unacknowledged(&self) -> u64 {
        self.handed - self.acknowledged_bytes()
    }

    /// When the transport last took bytes.
    pub(in crate::connection) fn last_taken(&self) -> Option<Instant> {
        self.last_taken.get()
    }

    /// The transport took this many bytes of what was handed out.
    pub(in crate::connection) fn taken(&mut self, now: Instant, bytes: usize) -> Progress {
        let before = self.acknowledged_bytes();
        self.taken = self.taken.saturating_add(bytes as u64).min(self.handed);
        if bytes > 0 {
            self.last_taken = MaybeInstant::some(now);
        }
        self.progress(before)
    }

    /// The peer's host has acknowledged this many bytes in all. Never fewer than before, nor more than were taken.
    pub(in crate::connection) fn acknowledge(&mut self, bytes: u64) -> Progress {
        let before = self.acknowledged_bytes();
        // The first time, what was taken counted so far, and that is not taken back.
        (self.acknowledged, self.is_told) = (bytes.min(self.taken).max(self.acknowledged), true);
        self.progress(before)
    }

    fn progress(&mut self, before: u64) -> Progress {
        let (taken, acknowledged) = (self.taken, self.acknowledged_bytes());
        let any = acknowledged > before;
        let ping_departed = self.ping_departs
            && self.ping_ends.is_some_and(|end| end.get() <= taken && end.get() - PING_SIZE <= acknowledged);
        self.ping_departs &= !ping_departed;
        let ping_acknowledged = self.ping_ends.take_if(|end| end.get() <= acknowledged).is_some();
        let (mut close, mut close_ack) = (false, false);
        if let Some(Control { farewell, .. }) = self.control.as_deref_mut() {
            close = any && farewell.close_ends.is_some();
            farewell.close_ends.take_if(|end| *end <= acknowledged);
            close_ack = farewell.close_ack_ends.take_if(|end| *end <= taken).is_some();
        }
        Progress { any, ping_departed, ping_acknowledged, close, close_ack }
    }
}
