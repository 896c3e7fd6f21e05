//! Which operations may come back, and with what.

use super::stream::{Inbound, Outbound};
use super::{FakePort, FakeSocket, Pending, Resources, Stuck};
use crate::error::SystemError;
use crate::port::{Completion, GatherBuffer};

impl<Batch: GatherBuffer> FakePort<Batch> {
    /// Whether an operation may come back now.
    pub(super) fn able(&self, pending: &Pending<Batch>) -> bool {
        let (cancelled, closed) = (pending.socket.cancelled.get(), pending.socket.closed.get());
        match self.network.borrow().stuck {
            Stuck::UntilClosed if cancelled => return closed,
            Stuck::ForEver if cancelled => return false,
            Stuck::Never | Stuck::UntilClosed | Stuck::ForEver => {}
        }
        cancelled || self.can_finish(pending)
    }

    /// Whether an operation has an outcome by itself, without being cancelled.
    pub(super) fn can_finish(&self, pending: &Pending<Batch>) -> bool {
        let (network, number) = (&mut *self.network.borrow_mut(), pending.socket.number);
        match &pending.resources {
            Resources::Accept => network.accept_failure.is_some() || network.has_backlog(number),
            Resources::Connect { remote } => !network.is_unreachable(*remote),
            Resources::Receive { .. } | Resources::AwaitReadable => {
                !matches!(network.inbound(number), Inbound::Nothing)
            }
            Resources::Send { .. } => {
                self.is_first_send(pending) && !matches!(network.outbound(number), Outbound::Full)
            }
        }
    }

    /// Finishes an operation, which must have an outcome or have been cancelled.
    pub(super) fn finish(&self, pending: Pending<Batch>) -> Completion<FakeSocket, Batch> {
        let closed = pending.socket.closed.get();
        let succeeds = !closed && self.can_finish(&pending) && !(pending.socket.cancelled.get() && self.flip());
        let followed = self.is_followed(&pending);
        let Pending { token, refused, socket, resources, .. } = pending;
        let allowed = match refused {
            Some(error) => Err(error),
            None if succeeds => self.network.borrow_mut().operation_fails(socket.number),
            None => Err(SystemError::OPERATION_ABORTED),
        };
        let completion = match resources {
            Resources::Accept => {
                let accepted = allowed.and_then(|()| self.network.borrow_mut().accept(socket.number));
                let outcome = accepted.map(|(number, addresses)| (self.open(number), addresses));
                Completion::Accepted { token, outcome }
            }
            Resources::Connect { remote } => {
                let outcome = allowed.and_then(|()| self.network.borrow_mut().connect(socket.number, remote));
                Completion::Connected { token, outcome }
            }
            Resources::Receive { mut buffer, limit } => {
                let outcome =
                    allowed.and_then(|()| self.network.borrow_mut().receive(socket.number, &mut buffer, limit));
                Completion::Received { token, buffer, outcome }
            }
            Resources::AwaitReadable => {
                let outcome = allowed.and_then(|()| match self.network.borrow_mut().inbound(socket.number) {
                    Inbound::Failed(error) => Err(error),
                    Inbound::Bytes(_) | Inbound::Ended | Inbound::Nothing => Ok(()),
                });
                Completion::Readable { token, outcome }
            }
            Resources::Send { batch, moved } => {
                // One that others follow goes whole.
                let sent = allowed.and_then(|()| match followed {
                    true => self.network.borrow_mut().send_up_to(socket.number, &batch, moved, usize::MAX),
                    false => self.network.borrow_mut().send(socket.number, &batch, moved),
                });
                let outcome = sent.map(|count| moved + count);
                Completion::Sent { token, batch, outcome }
            }
        };
        // Only now, with nothing of the network borrowed, may the last share of a socket go.
        drop(socket);
        completion
    }
}
