//! Control packets that are said once, or seldom.

use alloc::boxed::Box;

use crate::connection::announcements::Announcements;
use crate::wire::{ClosePayload, Hello, Kind};

/// What is said once, or seldom. An established connection that has nothing of it to say is without it.
#[derive(Default)]
pub(super) struct Control {
    pub(super) greeting: Option<(Kind, Hello)>,
    pub(super) announcements: Announcements,
    pub(super) farewell: Farewell,
    /// REJECTs that came, and the count that the peer told last of what it received (PW-CLS-019).
    pub(super) rejected: u64,
    pub(super) received_told: u64,
}

impl Control {
    /// Whether nothing of it matters any more.
    pub(super) fn is_blank(&self) -> bool {
        let Self { greeting, announcements, farewell, rejected, received_told } = self;
        greeting.is_none() && announcements.is_blank() && farewell.is_blank() && (*rejected, *received_told) == (0, 0)
    }

    /// Whether anything waits for the driver.
    pub(super) fn waits(&self) -> bool {
        !self.announcements.is_empty()
            || self.greeting.is_some()
            || self.farewell.close.is_some()
            || self.farewell.close_ack
    }
}

/// The last packets of this side: what waits, and what was handed out.
#[derive(Default)]
pub(super) struct Farewell {
    pub(super) close: Option<Box<ClosePayload>>,
    pub(super) close_ack: bool,
    /// No second CLOSE may follow (PW-CLS-013).
    pub(super) close_handed: bool,
    /// Nothing at all may follow (PW-CLS-001).
    pub(super) close_ack_handed: bool,
    /// Where CLOSE ends, until it is acknowledged.
    pub(super) close_ends: Option<u64>,
    /// Where CLOSE_ACK ends, until it is taken.
    pub(super) close_ack_ends: Option<u64>,
}

impl Farewell {
    pub(super) fn is_blank(&self) -> bool {
        self.close.is_none() && !self.close_ack && !self.close_handed && !self.close_ack_handed
    }
}
