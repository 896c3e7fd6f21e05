//! Out: the control packets that tell the peer something once, and wait for the next packet boundary.

use alloc::vec::Vec;
use core::time::Duration;

use super::rejects::Rejects;
use crate::time::millis;
use crate::wire::Kind;

/// REJECT, DRAIN and BUSY, as far as they wait to be sent.
#[derive(Debug, Default)]
pub(super) struct Announcements {
    pub(super) rejects: Rejects,
    drain: bool,
    drained: bool,
    /// A pause ended. The peer must hear of that even if the next one has begun: each has a limit of its own (PW-HB-021).
    resumed: bool,
    /// The pause that lasts. It goes out behind the end of the one before, and a later one replaces it.
    busy: Option<Duration>,
}

impl Announcements {
    pub(super) fn is_empty(&self) -> bool {
        self.rejects.is_empty() && !self.drain && !self.resumed && self.busy.is_none()
    }

    /// DRAIN is sent at most once (PW-CLS-016).
    /// Whether nothing waits, and nothing was said that may be said once.
    pub(super) fn is_blank(&self) -> bool {
        self.is_empty() && !self.drained
    }

    pub(super) fn drain(&mut self) {
        self.drain |= !core::mem::replace(&mut self.drained, true);
    }

    pub(super) fn busy(&mut self, pause: Duration) {
        if pause.is_zero() {
            (self.resumed, self.busy) = (true, None);
        } else {
            self.busy = Some(pause);
        }
    }

    /// The next packet. `received` is what DRAIN tells.
    pub(super) fn next(&mut self, received: u64) -> Option<(Kind, Vec<u8>)> {
        if let Some(rejected) = self.rejects.pop() {
            return Some((Kind::REJECT, rejected.encode().to_vec()));
        }
        if core::mem::take(&mut self.drain) {
            return Some((Kind::DRAIN, received.to_be_bytes().to_vec()));
        }
        let resumed = core::mem::take(&mut self.resumed).then_some(Duration::ZERO);
        // A pause is at most a minute.
        let pause = resumed.or_else(|| self.busy.take())?;
        Some((Kind::BUSY, (millis(pause) as u32).to_be_bytes().to_vec()))
    }

    /// Drops all but REJECT.
    pub(super) fn drop_advice(&mut self) {
        (self.drain, self.resumed, self.busy) = (false, false, None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pauses(announcements: &mut Announcements) -> Vec<u64> {
        let next = core::iter::from_fn(|| announcements.next(0));
        next.map(|(_, payload)| payload.iter().fold(0, |value, byte| value << 8 | u64::from(*byte))).collect()
    }

    /// PW-HB-019: the end of a pause is told, whatever begins before it could be.
    #[test]
    fn the_end_of_a_pause_is_not_lost_in_the_next_one() {
        let mut announcements = Announcements::default();
        for millis in [500, 0, 700, 800] {
            announcements.busy(Duration::from_millis(millis));
        }
        assert_eq!(pauses(&mut announcements), [0, 800]);
        for millis in [500, 0, 700, 0] {
            announcements.busy(Duration::from_millis(millis));
        }
        assert_eq!(pauses(&mut announcements), [0]);
        assert!(announcements.is_empty());
    }
}
