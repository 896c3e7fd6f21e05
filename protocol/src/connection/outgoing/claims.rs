//! What the peer says of the messages that it got: received whole, or refused.

use core::num::NonZeroU64;

use super::Outgoing;
use super::lane::Rejects;
use super::lanes::Messages;
use crate::error::ProtocolError;
use crate::wire::{Kind, Rejected};

impl Outgoing {
    /// The peer can't have received what was not sent, nor what it refused (PW-CLS-019).
    pub(in crate::connection) fn judge_count(&mut self, kind: Kind, count: u64) -> Result<(), ProtocolError> {
        let Messages { begun, completed } = self.lanes.messages();
        let control = self.control();
        let sent = completed.min(begun.saturating_sub(control.rejected));
        if count > sent {
            return Err(ProtocolError::BadCount { kind, count, sent });
        }
        control.received_told = count;
        Ok(())
    }

    /// The peer can't refuse what was not sent, nor the same twice (PW-REJ-008), nor what it received (PW-CLS-019).
    pub(in crate::connection) fn judge_reject(&mut self, rejected: &Rejected) -> Result<(), ProtocolError> {
        let Rejected { class, ordinal, .. } = *rejected;
        let (begun, Rejects { count: before, last }) = self.lanes.rejected(class);
        let begun_in_all = self.lanes.messages().begun;
        let bad = |count, sent| Err(ProtocolError::BadCount { kind: Kind::REJECT, count, sent });
        if let Some(ordinal) = ordinal.map(NonZeroU64::get) {
            if ordinal > begun {
                return bad(ordinal, begun);
            }
            if ordinal <= last {
                return Err(ProtocolError::RejectedAgain { class, ordinal, last });
            }
        }
        if before >= begun {
            return bad(before + 1, begun);
        }
        let control = self.control();
        let told = control.received_told + control.rejected;
        if told >= begun_in_all {
            return bad(told + 1, begun_in_all);
        }
        control.rejected += 1;
        self.lanes.note_rejected(class, ordinal);
        Ok(())
    }
}
