//! What a test sees of a port.

use super::{FakePort, Resources};
use crate::port::GatherBuffer;

impl<Batch: GatherBuffer> FakePort<Batch> {
    /// How many operations have not come back yet.
    pub(crate) fn outstanding(&self) -> usize {
        self.pending.len() + self.done.len()
    }

    /// How many operations have come back so far.
    pub(crate) fn delivered(&self) -> usize {
        self.delivered
    }

    /// How many operations were submitted so far, and how often this was waited on.
    pub(crate) fn calls(&self) -> usize {
        self.calls
    }

    /// How many sends have not come back.
    pub(crate) fn pending_sends(&self) -> usize {
        self.pending.iter().filter(|pending| matches!(pending.resources, Resources::Send { .. })).count()
    }

    /// Bytes of the largest send that has not come back.
    pub(crate) fn largest_pending_send(&self) -> usize {
        let sizes = self.pending.iter().filter_map(|pending| match &pending.resources {
            Resources::Send { batch, .. } => Some(batch.slices().map(<[u8]>::len).sum()),
            Resources::Accept | Resources::Connect { .. } | Resources::Receive { .. } | Resources::AwaitReadable => {
                None
            }
        });
        sizes.max().unwrap_or_default()
    }

    /// Whether a wait would find something.
    pub(crate) fn is_ready(&self) -> bool {
        self.waker.flag.is_set() || !self.done.is_empty() || self.pending.iter().any(|pending| self.able(pending))
    }
}
