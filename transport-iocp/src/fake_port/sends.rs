//! Sends of one socket that are pending at the same time.

use std::rc::Rc;

use super::stream::Outbound;
use super::{FakePort, OpenSocket, Pending, Resources};
use crate::port::GatherBuffer;

impl<Batch: GatherBuffer> FakePort<Batch> {
    /// Whether no other send on its socket was submitted before this one.
    pub(super) fn is_first_send(&self, pending: &Pending<Batch>) -> bool {
        !self.sends_on(&pending.socket).any(|other| other.number < pending.number)
    }

    /// Whether another send on its socket was submitted behind this one.
    pub(super) fn is_followed(&self, pending: &Pending<Batch>) -> bool {
        self.sends_on(&pending.socket).any(|other| other.number > pending.number)
    }

    fn sends_on(&self, socket: &Rc<OpenSocket>) -> impl Iterator<Item = &Pending<Batch>> {
        let sends = |pending: &&Pending<Batch>| {
            Rc::ptr_eq(&pending.socket, socket) && matches!(pending.resources, Resources::Send { .. })
        };
        self.pending.iter().filter(sends)
    }

    /// Moves a part of a send that others follow, which comes back only when it has gone whole. Returns whether something is left.
    pub(super) fn moves_a_part(&mut self, index: usize) -> bool {
        let pending = &self.pending[index];
        if !self.is_followed(pending) || pending.socket.cancelled.get() {
            return false;
        }
        let number = pending.socket.number;
        let network = &mut *self.network.borrow_mut();
        let Resources::Send { batch, moved } = &mut self.pending[index].resources else { return false };
        if !matches!(network.outbound(number), Outbound::Room(_)) {
            return false;
        }
        let total = batch.slices().map(<[u8]>::len).sum::<usize>();
        let most = total - *moved - 1;
        if most > 0 && network.random.flip() {
            *moved += network.send_up_to(number, batch, *moved, most).unwrap_or_default();
            network.interruptions += 1;
            return true;
        }
        // The last of it has to fit.
        let fits = matches!(network.outbound(number), Outbound::Room(room) if room >= total - *moved);
        if !fits {
            network.interruptions += 1;
            *moved += network.send_up_to(number, batch, *moved, most).unwrap_or_default();
        }
        !fits
    }
}
