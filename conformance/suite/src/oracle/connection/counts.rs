//! What the peer says of the messages that this side sent (PW-REJ-008, PW-CLS-019).

use std::collections::BTreeMap;

use super::super::fault::Fault;
use super::super::outgoing::MessageQueue;
use super::super::{Behaviour, Bug};
use crate::codec::registry::reason;

/// REJECTs that came, and the last count.
#[derive(Default)]
pub(super) struct Counts {
    rejected: BTreeMap<u8, Rejected>,
    /// The `received` that the peer told last.
    received: u64,
}

/// REJECTs for messages of one class.
#[derive(Clone, Copy, Default)]
struct Rejected {
    count: u64,
    /// The last ordinal other than 0.
    last_ordinal: u64,
}

impl Counts {
    /// A REJECT came.
    pub(super) fn reject(
        &mut self,
        class: u8,
        ordinal: u64,
        sent: &MessageQueue,
        behaviour: &Behaviour,
    ) -> Result<(), Fault> {
        let bug = |bug| behaviour.has(bug);
        let begun = if bug(Bug::ComparesOverClasses) { sent.begun_in_all() } else { sent.begun(class) };
        let before = self.rejected.get(&class).copied().unwrap_or_default();
        let never_begun = ordinal > begun && !bug(Bug::BelievesAnyOrdinal);
        let repeated = ordinal != 0 && ordinal <= before.last_ordinal && !bug(Bug::AcceptsRepeatedOrdinal);
        let too_many = before.count >= begun && !bug(Bug::AcceptsAnyNumberOfRejects);
        let last_ordinal = if ordinal == 0 { before.last_ordinal } else { ordinal };
        self.rejected.insert(class, Rejected { count: before.count + 1, last_ordinal });
        let no_room = self.received.saturating_add(self.all()) > sent.begun_in_all() && !bug(Bug::ForgetsCountsTold);
        if never_begun || repeated || too_many || no_room { Err(Fault::new(reason::BAD_COUNT)) } else { Ok(()) }
    }

    /// The peer has received so many messages, it says. Those that it has refused are not among them.
    pub(super) fn receive(&mut self, received: u64, sent: &MessageQueue, behaviour: &Behaviour) -> Result<(), Fault> {
        let complete = if behaviour.has(Bug::CountsBegunMessages) { sent.begun_in_all() } else { sent.completed() };
        let too_many = received > complete && !behaviour.has(Bug::BelievesAnyCount);
        let others = sent.begun_in_all().saturating_sub(self.all());
        let refused_too = received > others && !behaviour.has(Bug::CountsRefusedOfPeer);
        self.received = received;
        if too_many || refused_too && !behaviour.has(Bug::BelievesAnyCount) {
            return Err(Fault::new(reason::BAD_COUNT));
        }
        Ok(())
    }

    /// All REJECTs that came.
    fn all(&self) -> u64 {
        self.rejected.values().map(|rejected| rejected.count).sum()
    }
}
