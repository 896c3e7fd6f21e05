//! Sending through a client that stays connected: on the present connection, or kept for the next one.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use pulsewire_policy::{Kept, ValidReconnectConfig};
use pulsewire_protocol::{CloseReason, ConnectionId, Message, SendError, SendRefused};

use crate::clients::ClientId;
use crate::mailbox::Mailbox;
use crate::sender::Sender;

/// How a client behaves.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientOptions {
    /// When it tries again, and when it gives up.
    pub reconnect: ValidReconnectConfig,
    /// What becomes of messages while there is no connection. Default: [`Unsent::Return`].
    pub unsent: Unsent,
}

/// What becomes of messages that were not sent when a connection was lost, and of those that are to be sent while there is none.
///
/// Either way each message is sent at most once. Not sent are those that are in
/// [`Closed::unsent`](pulsewire_protocol::Closed::unsent); all others may have arrived.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Unsent {
    /// They come back: those that a lost connection had accepted in `Closed::unsent`; and while there is no connection, sending is
    /// refused. The default.
    #[default]
    Return,
    /// They are kept for the next connection, and sent there before any other, in their order.
    Keep {
        /// How much may be kept: payload, and 64 bytes more for each message. What there is no room for comes back, as with
        /// [`Return`](Self::Return).
        bytes: usize,
    },
}

/// Where a message is that was accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accepted {
    /// Queued on the present connection, as by [`Sender::try_send`].
    Sent,
    /// Kept for the next connection ([`Unsent::Keep`]), or behind what is.
    Kept,
}

/// A handle to a client that stays connected, to be cloned and kept by anybody. It stays the same however often the client connects.
#[derive(Clone)]
pub struct ClientSender {
    id: ClientId,
    outbox: Arc<Outbox>,
}

impl ClientSender {
    pub(crate) fn new(id: ClientId, outbox: Arc<Outbox>) -> Self {
        Self { id, outbox }
    }

    /// Names the client in its endpoint, for ever.
    #[must_use]
    pub fn id(&self) -> ClientId {
        self.id
    }

    /// Queues a message on the present connection, or keeps it for the next one. Never waits.
    ///
    /// `Ok` means accepted, not delivered. What becomes of it when the connection is lost, [`Unsent`] says.
    ///
    /// # Errors
    ///
    /// The reason and the message itself: beside those of [`Sender::try_send`] [`SendRefused::NotEstablished`], where there is no
    /// connection and such a message is never kept; and [`SendRefused::Closed`] where the client is over. After
    /// [`SendRefused::Full`] there is room again when a connection has taken what is kept.
    pub fn try_send(&self, message: Message<'static>) -> Result<Accepted, SendError<'static>> {
        self.outbox.send(message)
    }

    /// The present connection, for what is not sending: pausing it, or closing it, after which the client connects anew. `None` while
    /// there is none. What is sent through it goes past what is kept, and is refused when it has ended.
    #[must_use]
    pub fn connection(&self) -> Option<Sender> {
        self.outbox.lock().link.clone().map(Sender::new)
    }

    /// Whether the client accepts messages: it was not closed, and has not given up. There need be no connection now.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.outbox.lock().ended.is_none()
    }
}

impl fmt::Debug for ClientSender {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("ClientSender").field(&self.id).finish()
    }
}

/// What a client and its senders share: the present connection, and the messages that wait for the next one.
///
/// Its lock is taken before that of a mailbox, so that a message moves from one to the other in one step.
#[derive(Debug)]
pub(crate) struct Outbox {
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    /// The connection that accepts messages.
    link: Option<Arc<Mailbox>>,
    kept: Kept,
    /// Nothing is accepted any more, for this reason.
    ended: Option<CloseReason>,
}

impl Outbox {
    pub(crate) fn new(unsent: Unsent) -> Self {
        let room = match unsent {
            Unsent::Return => 0,
            Unsent::Keep { bytes } => bytes,
        };
        Self { inner: Mutex::new(Inner { link: None, kept: Kept::new(room), ended: None }) }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Nothing panics while it is held.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn send(&self, mut message: Message<'static>) -> Result<Accepted, SendError<'static>> {
        let mut inner = self.lock();
        if let Some(reason) = inner.ended {
            return Err(SendError { reason: SendRefused::Closed(reason), message });
        }
        if let (Some(link), true) = (&inner.link, inner.kept.is_empty()) {
            match link.send(message) {
                Ok(()) => return Ok(Accepted::Sent),
                Err(SendError { reason: SendRefused::Closed(_) | SendRefused::Stale, message: back }) => {
                    // It takes no more, and this needs another way.
                    inner.link = None;
                    message = back;
                }
                Err(refused) => return Err(refused),
            }
        }
        if message.class.is_reserved() {
            return Err(SendError { reason: SendRefused::ReservedClass, message });
        }
        let is_connected = inner.link.is_some();
        inner.kept.offer(message, is_connected).map(|()| Accepted::Kept)
    }

    /// There is a connection: what is kept goes there first. Gives back what it refuses, as its peer takes no message so large.
    pub(crate) fn join(&self, link: &Arc<Mailbox>) -> Vec<Message<'static>> {
        self.lock().link = Some(Arc::clone(link));
        self.pump()
    }

    /// Sends what is kept, in its order, until nothing is left or the connection takes no more. Gives back what it refuses.
    pub(crate) fn pump(&self) -> Vec<Message<'static>> {
        let mut inner = self.lock();
        let mut refused = Vec::new();
        while let Some(link) = inner.link.clone()
            && let Some(message) = inner.kept.pop()
        {
            match link.send(message) {
                Ok(()) => {}
                Err(SendError { reason: SendRefused::Full, message }) => {
                    inner.kept.put_back(message);
                    break;
                }
                Err(SendError { reason: SendRefused::Closed(_) | SendRefused::Stale, message }) => {
                    inner.kept.put_back(message);
                    inner.link = None;
                }
                Err(SendError { message, .. }) => refused.push(message),
            }
        }
        refused
    }

    /// The connection is over. What it had accepted and not sent is kept in front of what came later, as long as there is room; the
    /// rest stays in `unsent`.
    pub(crate) fn leave(&self, id: ConnectionId, unsent: &mut Vec<Message<'static>>) {
        let mut inner = self.lock();
        inner.link.take_if(|link| link.id() == id);
        inner.kept.keep_unsent(unsent);
    }

    /// Accepts nothing more.
    pub(crate) fn close(&self, reason: CloseReason) {
        self.lock().ended.get_or_insert(reason);
    }

    /// Gives what is kept.
    pub(crate) fn take(&self) -> Vec<Message<'static>> {
        self.lock().kept.take()
    }
}
