//! Out: events that wait for the driver.

use alloc::boxed::Box;
use alloc::collections::VecDeque;

use super::Connection;
use crate::close::Closed;
use crate::event::{Established, Event};
use crate::heartbeat::{Heartbeat, Notice};

/// Events that wait for the driver beside those of the heartbeat.
#[derive(Default)]
pub(super) struct Waiting {
    pub(super) established: Option<Box<Established>>,
    /// In their order.
    pub(super) others: VecDeque<Event<'static>>,
    pub(super) closed: Option<Box<Closed>>,
}

impl Waiting {
    fn is_empty(&self) -> bool {
        self.established.is_none() && self.others.is_empty() && self.closed.is_none()
    }
}

impl Connection {
    /// An event that waits: as [`receive`](Self::receive), which gives it too, but without input, so that it can't fail. For a
    /// driver that has only let time pass, or made a command, or that does not read while it pauses. Poll until `None`.
    pub fn poll_event(&mut self) -> Option<Event<'static>> {
        let event = self.next_waiting();
        // Nothing waits any more: the way of nearly every message is open again.
        self.waiting.take_if(|waiting| waiting.is_empty());
        event
    }

    fn next_waiting(&mut self) -> Option<Event<'static>> {
        if let Some(established) = self.waiting.as_mut().and_then(|waiting| waiting.established.take()) {
            return Some(Event::Established(established));
        }
        match self.heartbeat.as_mut().and_then(Heartbeat::take_notice) {
            Some(Notice::Suspect(suspect)) => return Some(Event::Suspect(suspect)),
            Some(Notice::Recovered(recovered)) => return Some(Event::Recovered(recovered)),
            None => {}
        }
        let waiting = self.waiting.as_mut()?;
        waiting.others.pop_front().or_else(|| waiting.closed.take().map(Event::Closed))
    }

    /// Whether [`poll_event`](Self::poll_event) would give anything.
    pub(super) fn has_event(&self) -> bool {
        self.waiting.is_some() || self.heartbeat.as_ref().is_some_and(Heartbeat::has_notice)
    }
}
