//! Sending, from any thread.

use std::fmt;
use std::sync::Arc;

use pulsewire_protocol::{CloseFrame, ConnectionId, Message, SendError};

use crate::mailbox::Mailbox;

/// A handle to one connection, to be cloned and kept by anybody.
///
/// It belongs to the connection, not to the place where that lives: when the connection is over, every send is refused
/// and the message comes back, however often slots and sockets are used again (PW-CK-002, PW-CK-003).
#[derive(Clone)]
pub struct Sender {
    mailbox: Arc<Mailbox>,
}

impl Sender {
    pub(crate) fn new(mailbox: Arc<Mailbox>) -> Self {
        Self { mailbox }
    }

    /// Queues a message, without waiting. The owner thread submits it.
    ///
    /// `Ok` means queued, and the number of the message is not known yet: who needs it to tell which one was refused sends
    /// with [`Context::send`](crate::Context::send). If the connection refuses it after all, because it began to close meanwhile, it comes back
    /// through [`Handler::unsent`](crate::Handler::unsent); if the connection ends first, in
    /// [`Closed::unsent`](pulsewire_protocol::Closed::unsent).
    ///
    /// # Errors
    ///
    /// The reason and the message itself. After [`SendRefused::Full`](pulsewire_protocol::SendRefused::Full) the handler
    /// is told by [`Handler::writable`](crate::Handler::writable) when there is room again.
    pub fn send(&self, message: Message<'static>) -> Result<(), SendError<'static>> {
        self.mailbox.send(message)
    }

    /// As [`Context::accept`](crate::Context::accept).
    pub fn accept(&self) {
        self.mailbox.accept();
    }

    /// As [`Context::refuse`](crate::Context::refuse).
    pub fn refuse(&self, close: impl Into<CloseFrame>) {
        self.mailbox.refuse(close.into());
    }

    /// As [`Context::pause`](crate::Context::pause), when the owner thread comes to it.
    pub fn pause(&self) {
        self.mailbox.pause();
    }

    /// As [`Context::resume`](crate::Context::resume).
    pub fn resume(&self) {
        self.mailbox.resume();
    }

    /// As [`Context::drain`](crate::Context::drain).
    pub fn drain(&self) {
        self.mailbox.drain();
    }

    /// Asks the peer to close, when all that was sent before has gone out. A [`CloseReason`](pulsewire_protocol::CloseReason)
    /// will do; a [`CloseFrame`] gives a sentence and advice on connecting again with it. A pause ends.
    pub fn close(&self, close: impl Into<CloseFrame>) {
        self.mailbox.close(close);
    }

    /// Cuts the connection at once, without a word to the peer.
    pub fn abort(&self) {
        self.mailbox.abort();
    }

    /// Names the connection in its endpoint, for ever.
    #[must_use]
    pub fn id(&self) -> ConnectionId {
        self.mailbox.id()
    }

    /// Whether messages are accepted: after the handshake, before closing.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.mailbox.is_open()
    }
}

impl fmt::Debug for Sender {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Sender").field(&self.id()).finish()
    }
}
