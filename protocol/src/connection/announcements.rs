//! Out: the control packets that tell the peer something once, and wait for the next packet boundary.

use alloc::vec::Vec;
use core::time::Duration;

use super::rejects::Rejects;
use crate::config::millis;
use crate::wire::Kind;

/// REJECT, DRAIN and BUSY, as far as they wait to be sent.
#[derive(Debug, Default)]
pub(super) struct Announcements {
    pub(super) rejects: Rejects,
    drain: bool,
    drained: bool,
    /// The latest pause, which replaces those before.
    busy: Option<Duration>,
}

impl Announcements {
    pub(super) fn is_empty(&self) -> bool {
        self.rejects.is_empty() && !self.drain && self.busy.is_none()
    }

    /// DRAIN is sent at most once (PW-CLS-016).
    pub(super) fn drain(&mut self) {
        self.drain |= !core::mem::replace(&mut self.drained, true);
    }

    pub(super) fn busy(&mut self, pause: Duration) {
        self.busy = Some(pause);
    }

    /// The next packet. `received` is what DRAIN tells.
    pub(super) fn next(&mut self, received: u64) -> Option<(Kind, Vec<u8>)> {
        if let Some(rejected) = self.rejects.pop() {
            return Some((Kind::REJECT, rejected.encode().to_vec()));
        }
        if core::mem::take(&mut self.drain) {
            return Some((Kind::DRAIN, received.to_be_bytes().to_vec()));
        }
        // A pause is at most a minute.
        let pause = self.busy.take()?;
        Some((Kind::BUSY, (millis(pause) as u32).to_be_bytes().to_vec()))
    }

    /// Drops all but REJECT.
    pub(super) fn drop_advice(&mut self) {
        (self.drain, self.busy) = (false, None);
    }
}
