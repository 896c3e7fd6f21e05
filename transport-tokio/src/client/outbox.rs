//! What a client and its senders share: the present connection, and the messages that wait for the next one.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;

use pulsewire_policy::Kept;
use pulsewire_protocol::{CloseFrame, CloseReason, ConnectionId, Message, SendError, SendRefused};
use tokio::sync::Notify;

use crate::sender::Sender;

/// Its lock is taken before that of a connection ([`Shared::driver`](crate::shared::Shared)), so that a message moves from one to the
/// other in one step: nobody sees it in both, or in none.
pub(super) struct Outbox {
    inner: Mutex<Inner>,
    /// Senders that wait look again.
    changed: Notify,
    /// The client looks again.
    attention: Notify,
    /// Held by the sender whose turn it is to wait for a change; the others wait for it in their order.
    pub(super) line: tokio::sync::Mutex<()>,
}

struct Inner {
    /// The connection that accepts messages.
    link: Option<Sender>,
    kept: Kept,
    /// A task sends what is kept to the present connection.
    pumping: bool,
    /// Senders that wait in the line.
    waiting: usize,
    /// Kept messages that a connection refused.
    refused: VecDeque<SendError<'static>>,
    /// The application is done.
    closing: Option<CloseFrame>,
    /// Nothing is accepted any more, for this reason.
    ended: Option<CloseReason>,
}

/// What is to be done with a message.
pub(super) enum Route<'p> {
    /// Send it there.
    Connection(Sender, Message<'p>),
    /// It is kept.
    Kept,
    Refused(SendError<'p>),
}

/// How far sending what is kept has come.
enum Pumped {
    /// Nothing is left, or the connection takes no more.
    Done,
    /// There is no room for the next message.
    Full,
}

impl Outbox {
    pub(super) fn new(room: usize) -> Self {
        let inner = Inner {
            link: None,
            kept: Kept::new(room),
            pumping: false,
            waiting: 0,
            refused: VecDeque::new(),
            closing: None,
            ended: None,
        };
        Self {
            inner: Mutex::new(inner),
            changed: Notify::new(),
            attention: Notify::new(),
            line: tokio::sync::Mutex::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Nothing panics while it is held.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Decides about a message. `in_turn`: nobody waits in front of it.
    pub(super) fn route<'p>(&self, message: Message<'p>, in_turn: bool) -> Route<'p> {
        let mut inner = self.lock();
        if let Some(reason) = inner.ended {
            return Route::Refused(SendError { reason: SendRefused::Closed(reason), message });
        }
        let reason = match &inner.link {
            _ if message.class.is_reserved() => SendRefused::ReservedClass,
            _ if inner.waiting > 0 && !in_turn => SendRefused::Full,
            Some(sender) if inner.kept.is_empty() => return Route::Connection(sender.clone(), message),
            link => {
                let is_connected = link.is_some();
                return match inner.kept.offer(message, is_connected) {
                    Ok(()) => Route::Kept,
                    Err(refused) => Route::Refused(refused),
                };
            }
        };
        Route::Refused(SendError { reason, message })
    }

    /// A connection refuses all messages: it has ended, or is about to.
    pub(super) fn leave(&self, id: ConnectionId) {
        let mut inner = self.lock();
        if inner.link.as_ref().is_some_and(|sender| sender.id() == id) {
            inner.link = None;
            drop(inner);
            self.changed.notify_waiters();
        }
    }

    /// There is a connection: what is kept goes there first.
    pub(super) fn join(self: &Arc<Self>, sender: Sender) {
        let mut inner = self.lock();
        inner.link = Some(sender.clone());
        inner.pumping = !inner.kept.is_empty();
        // The application may have closed the client since it was looked at last.
        inner.close_if_done();
        let pumping = inner.pumping;
        drop(inner);
        if pumping {
            tokio::spawn(Arc::clone(self).pump(sender));
        }
        self.changed.notify_waiters();
    }

    /// The connection is over. What it had accepted and not sent is kept in front of what came later, as long as there is room; the rest
    /// stays in `unsent`.
    pub(super) fn keep(&self, unsent: &mut Vec<Message<'static>>) {
        self.lock().kept.keep_unsent(unsent);
    }

    /// The present connection.
    pub(super) fn link(&self) -> Option<Sender> {
        self.lock().link.clone()
    }

    /// Closes the present connection behind all that was accepted, and accepts nothing more.
    pub(super) fn close(&self, close: CloseFrame) {
        let mut inner = self.lock();
        if inner.ended.is_none() {
            inner.ended = Some(close.reason);
            inner.closing = Some(close);
            inner.close_if_done();
        }
        drop(inner);
        self.tell_all();
    }

    /// Accepts nothing more. Gives what is kept.
    pub(super) fn end(&self, reason: CloseReason) -> Vec<Message<'static>> {
        let mut inner = self.lock();
        inner.ended.get_or_insert(reason);
        inner.link = None;
        let kept = inner.kept.take();
        drop(inner);
        self.tell_all();
        kept
    }

    fn tell_all(&self) {
        self.changed.notify_waiters();
        self.attention.notify_one();
    }

    /// Why nothing is accepted any more, if so.
    pub(super) fn ended(&self) -> Option<CloseReason> {
        self.lock().ended
    }

    /// Whether a task sends what is kept.
    pub(super) fn is_pumping(&self) -> bool {
        self.lock().pumping
    }

    pub(super) fn take_refused(&self) -> Option<SendError<'static>> {
        self.lock().refused.pop_front()
    }

    /// Does something as long as the client need not look here. `None`: it has to.
    pub(super) async fn undisturbed<W: Future>(&self, work: W) -> Option<W::Output> {
        let (mut work, mut attention) = (pin!(work), pin!(self.attention.notified()));
        poll_fn(|context| match attention.as_mut().poll(context) {
            Poll::Ready(()) => Poll::Ready(None),
            Poll::Pending => work.as_mut().poll(context).map(Some),
        })
        .await
    }

    /// Sends what is kept, in its order, until nothing is left or the connection takes no more.
    async fn pump(self: Arc<Self>, sender: Sender) {
        while let Pumped::Full = self.pump_some(&sender, |sender, message| sender.try_send(message).map(drop)) {
            let Some((class, size)) = self.lock().kept.front().map(|next| (next.class, next.payload.len())) else {
                continue;
            };
            if let Ok(permit) = sender.reserve(class, size).await {
                let mut permit = Some(permit);
                self.pump_some(&sender, |sender, message| match permit.take() {
                    Some(permit) => permit.send(message).map(drop),
                    None => sender.try_send(message).map(drop),
                });
            }
        }
    }

    /// Moves messages to the connection by `send`, each in one step.
    fn pump_some(
        &self,
        sender: &Sender,
        mut send: impl FnMut(&Sender, Message<'static>) -> Result<(), SendError<'static>>,
    ) -> Pumped {
        let mut inner = self.lock();
        let pumped = loop {
            if inner.link.as_ref().is_none_or(|link| link.id() != sender.id()) {
                break Pumped::Done;
            }
            let Some(message) = inner.kept.pop() else {
                inner.pumping = false;
                inner.close_if_done();
                break Pumped::Done;
            };
            match send(sender, message) {
                Ok(()) => {}
                Err(SendError { reason: SendRefused::Full, message }) => {
                    inner.kept.put_back(message);
                    break Pumped::Full;
                }
                Err(SendError { message, reason: SendRefused::Closed(_) | SendRefused::Stale }) => {
                    inner.kept.put_back(message);
                    inner.link = None;
                    break Pumped::Done;
                }
                Err(refused) => {
                    inner.refused.push_back(refused);
                    self.attention.notify_one();
                }
            }
        };
        drop(inner);
        self.changed.notify_waiters();
        pumped
    }

    /// Takes a place in the line.
    pub(super) fn wait(&self) -> Waiting<'_> {
        self.lock().waiting += 1;
        Waiting(self)
    }

    /// Something changed: registered when it is made, so that nothing is missed between looking and waiting.
    pub(super) fn changed(&self) -> tokio::sync::futures::Notified<'_> {
        self.changed.notified()
    }
}

impl Inner {
    fn close_if_done(&mut self) {
        if !self.pumping
            && let Some(sender) = &self.link
            && let Some(close) = self.closing.take()
        {
            sender.close(close);
        }
    }
}

/// A sender's place in the line. Dropping it leaves the line.
pub(super) struct Waiting<'o>(&'o Outbox);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.lock().waiting -= 1;
    }
}
