//! What waits for a slow member.

use std::collections::VecDeque;

use pulsewire_protocol::{Instant, PreparedMessage};

use super::SlowMember;

#[derive(Debug, Default)]
pub(super) struct Backlog {
    /// In the order in which they were sent, and with the times at which they expire.
    messages: VecDeque<(PreparedMessage, Option<Instant>)>,
    /// Of payload.
    bytes: usize,
}

impl Backlog {
    pub(super) fn len(&self) -> usize {
        self.messages.len()
    }

    pub(super) fn first(&self) -> Option<&PreparedMessage> {
        self.messages.front().map(|(message, _)| message)
    }

    pub(super) fn pop(&mut self) {
        if let Some((message, _)) = self.messages.pop_front() {
            self.bytes -= size(&message);
        }
    }

    pub(super) fn push(&mut self, message: PreparedMessage, expires_at: Option<Instant>) {
        self.bytes += size(&message);
        self.messages.push_back((message, expires_at));
    }

    /// Drops what has waited for too long; tells how many. All wait for the same time, so that the oldest expire first.
    pub(super) fn expire(&mut self, now: Instant) -> usize {
        let before = self.messages.len();
        while matches!(self.messages.front(), Some((_, Some(time))) if *time <= now) {
            self.pop();
        }
        before - self.messages.len()
    }

    /// Drops older messages in favour of the last one; tells how many.
    pub(super) fn make_room(&mut self, policy: SlowMember) -> usize {
        match policy {
            SlowMember::Refuse | SlowMember::Close => 0,
            SlowMember::DropOldest { bytes } => {
                let mut dropped = 0;
                while self.bytes > bytes && self.messages.len() > 1 {
                    self.pop();
                    dropped += 1;
                }
                dropped
            }
            SlowMember::KeepNewest => self.keep_newest(),
        }
    }

    /// Drops the one of the class of the last, if there is one: there never are two.
    fn keep_newest(&mut self) -> usize {
        let Some((newest, _)) = self.messages.back() else { return 0 };
        let (class, last) = (newest.message().class, self.messages.len() - 1);
        let older = self.messages.iter().take(last).position(|(message, _)| message.message().class == class);
        let Some((message, _)) = older.and_then(|place| self.messages.remove(place)) else { return 0 };
        self.bytes -= size(&message);
        1
    }
}

fn size(message: &PreparedMessage) -> usize {
    message.message().payload.len()
}
