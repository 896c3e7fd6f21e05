//! Sending through a client, from any task.

use std::fmt;
use std::num::NonZeroU64;
use std::sync::Arc;

use pulsewire_protocol::{CloseFrame, Message, SendError, SendRefused};

use super::outbox::{Outbox, Route};
use crate::sender::Sender;

/// A handle to a [`Client`](super::Client), to be cloned and kept by anybody. It stays the same however often the client connects.
#[derive(Clone)]
pub struct ClientSender {
    outbox: Arc<Outbox>,
}

/// Where a message is that was accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Accepted {
    /// On the present connection, with this number, as [`Sender::send`] gives it.
    Sent(NonZeroU64),
    /// Kept for the next connection ([`Unsent::Keep`](super::Unsent::Keep)).
    Kept,
}

impl ClientSender {
    pub(super) fn new(outbox: Arc<Outbox>) -> Self {
        Self { outbox }
    }

    /// Sends a message on the present connection, or keeps it for the next one. Waits while there is room in neither: for as long as
    /// there is no connection, if need be. The client connects while it is received from: the task that calls
    /// [`Client::recv`](super::Client::recv) waits in vain here, unless messages are kept.
    ///
    /// `Ok` means accepted, not delivered. What becomes of it when the connection is lost, [`Unsent`](super::Unsent) says.
    ///
    /// Cancel safe: a dropped future has sent nothing, and has lost its place.
    ///
    /// # Errors
    /// The reason and the message itself: [`SendRefused::Closed`] where the client is over, and what the peer would refuse.
    pub async fn send<'p>(&self, message: Message<'p>) -> Result<Accepted, SendError<'p>> {
        match self.try_send(message) {
            Err(SendError { reason: SendRefused::Full | SendRefused::NotEstablished, message }) => {
                // Apart, so that a task which rarely waits holds no room for it.
                Box::pin(self.send_in_turn(message)).await
            }
            result => result,
        }
    }

    async fn send_in_turn<'p>(&self, mut message: Message<'p>) -> Result<Accepted, SendError<'p>> {
        loop {
            let (sender, waiting) = match self.wait_for_way(message).await {
                Route::Connection(sender, back) => (sender, back),
                Route::Kept => return Ok(Accepted::Kept),
                Route::Refused(refused) => return Err(refused),
            };
            // The line of the connection, which makes none wait for another class.
            match self.settle(&sender, sender.send(waiting).await) {
                Ok(result) => return result,
                Err(back) => message = back,
            }
        }
    }

    /// Waits in the line until there is a connection, or room to keep the message.
    async fn wait_for_way<'p>(&self, mut message: Message<'p>) -> Route<'p> {
        let _waiting = self.outbox.wait();
        let _turn = self.outbox.line.lock().await;
        loop {
            let changed = self.outbox.changed();
            match self.outbox.route(message, true) {
                Route::Refused(SendError {
                    reason: SendRefused::Full | SendRefused::NotEstablished,
                    message: back,
                }) => message = back,
                route => return route,
            }
            changed.await;
        }
    }

    /// Sends a message on the present connection, or keeps it for the next one, if there is room now and nobody waits.
    ///
    /// # Errors
    /// The reason and the message itself: beside those of [`Sender::try_send`] [`SendRefused::NotEstablished`], where there is no
    /// connection and such a message is never kept.
    pub fn try_send<'p>(&self, mut message: Message<'p>) -> Result<Accepted, SendError<'p>> {
        loop {
            let (sender, back) = match self.outbox.route(message, false) {
                Route::Connection(sender, back) => (sender, back),
                Route::Kept => return Ok(Accepted::Kept),
                Route::Refused(refused) => return Err(refused),
            };
            match self.settle(&sender, sender.try_send(back)) {
                Ok(result) => return result,
                Err(back) => message = back,
            }
        }
    }

    /// What a connection said to a message. `Err`: it takes no more, and the message needs another way.
    fn settle<'p>(
        &self,
        sender: &Sender,
        result: Result<NonZeroU64, SendError<'p>>,
    ) -> Result<Result<Accepted, SendError<'p>>, Message<'p>> {
        match result {
            Err(SendError { reason: SendRefused::Closed(_) | SendRefused::Stale, message }) => {
                self.outbox.leave(sender.id());
                Err(message)
            }
            other => Ok(other.map(Accepted::Sent)),
        }
    }

    /// The present connection, for what is not sending: pausing it, its numbers, or closing it, after which the client connects anew.
    /// `None` while there is none. What is sent through it goes past what is kept, and is refused when it has ended.
    #[must_use]
    pub fn connection(&self) -> Option<Sender> {
        self.outbox.link()
    }

    /// Closes the client for good, as [`Client::close`](super::Client::close).
    pub fn close(&self, close: impl Into<CloseFrame>) {
        self.outbox.close(close.into());
    }

    /// Whether the client accepts messages: it was not closed, and has not given up. There need be no connection now.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.outbox.ended().is_none()
    }
}

impl fmt::Debug for ClientSender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let connection = self.connection().map(|sender| sender.id());
        f.debug_struct("ClientSender").field("connection", &connection).finish_non_exhaustive()
    }
}
