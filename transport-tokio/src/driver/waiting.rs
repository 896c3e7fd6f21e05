//! Who waits for a connection, and who wakes them.

use std::task::{Context, Poll};

use pulsewire_protocol::{Class, Instant, SendRefused};

use super::{Driver, Receiving};
use crate::clock::Clock;

impl Driver {
    pub(crate) fn set_receiver(&mut self, context: &Context<'_>) {
        match &mut self.receiver {
            Some(waker) => waker.clone_from(context.waker()),
            None => self.receiver = Some(context.waker().clone()),
        }
    }

    /// Nobody has to wake the receiver.
    pub(crate) fn clear_receiver(&mut self) {
        self.receiver = None;
    }

    /// The receiver is back.
    pub(crate) fn receiver_comes(&mut self, clock: &Clock) {
        self.clear_receiver();
        self.receiving = Receiving::Here;
        self.end_kept(clock);
    }

    /// The keeper has seen a deadline pass: the receiver is to look. Gives when to remind it, if that is later.
    pub(crate) fn remind(&mut self, now: Instant) -> Option<Instant> {
        let deadline = self.connection.poll_timeout()?;
        if deadline > now {
            return Some(deadline);
        }
        self.time_is_up = true;
        self.wake_receiver();
        None
    }

    /// Whether the keeper has reminded the receiver, who did not wait since.
    pub(crate) fn is_reminded(&self) -> bool {
        self.time_is_up
    }

    /// Whether the keeper has reminded the receiver.
    pub(crate) fn take_reminder(&mut self) -> bool {
        std::mem::take(&mut self.time_is_up)
    }

    pub(crate) fn wake_receiver(&mut self) {
        if let Some(waker) = self.receiver.take() {
            waker.wake();
        }
    }

    /// For a sender that was refused because the queue is full. It writes on its own where the receiver doesn't wait:
    /// that may be the same task.
    pub(crate) fn poll_space(&mut self, clock: &Clock, context: &mut Context<'_>) -> Poll<()> {
        let before = self.connection.queued();
        self.flush_for(clock, context);
        let refuses = self.broken.is_some() || !self.connection.is_open();
        if refuses || self.connection.queued() < before || before == 0 {
            return Poll::Ready(());
        }
        self.wait(context);
        Poll::Pending
    }

    /// For a task that wants to know when so many bytes wait to be sent. It writes, as those do who wait for space. Who is to go on
    /// waiting has to be noted.
    pub(crate) fn poll_queued(
        &mut self,
        clock: &Clock,
        reached: impl Fn(usize) -> bool,
        context: &mut Context<'_>,
    ) -> Poll<Result<usize, SendRefused>> {
        self.flush_for(clock, context);
        match self.can_send(Class::BUSINESS, 0) {
            Ok(()) | Err(SendRefused::Full | SendRefused::NotEstablished) => {}
            Err(reason) => return Poll::Ready(Err(reason)),
        }
        let queued = self.connection.queued();
        if reached(queued) {
            return Poll::Ready(Ok(queued));
        }
        Poll::Pending
    }

    /// Notes a task that has to look again when whoever writes has made progress, or leaves. It writes until it says that it does not.
    pub(crate) fn wait(&mut self, context: &Context<'_>) {
        self.waiters.note(context);
    }

    /// The same for a task that may stop looking without a word: nobody relies on it to write.
    pub(crate) fn wait_aside(&mut self, context: &Context<'_>) {
        self.waiters.note_aside(context);
    }

    pub(crate) fn wake_senders(&mut self) {
        self.waiters.wake();
    }

    /// Nothing is accepted any more: the receiver has to report it, and senders wait in vain.
    pub(crate) fn wake_all(&mut self) {
        self.wake_receiver();
        self.wake_senders();
        self.waiters.end_lines();
    }
}
