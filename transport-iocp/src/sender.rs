//! Sending, from any thread.

use std::fmt;
use std::sync::Arc;

use pulsewire_protocol::{Class, CloseFrame, ConnectionId, Message, SendError, SendRefused};

use crate::file_part::{FilePart, SendFileError};
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
    pub fn try_send(&self, message: Message<'static>) -> Result<(), SendError<'static>> {
        self.mailbox.send(message)
    }

    /// As [`try_send`](Self::try_send), but waits while the queue is full, at most until `timeouts.write_stall` ends the connection.
    /// Several threads that wait get room in no particular order.
    ///
    /// # Errors
    ///
    /// The reason and the message itself. Never [`SendRefused::Full`](pulsewire_protocol::SendRefused::Full).
    ///
    /// # Panics
    ///
    /// In a handler, whose thread must not be blocked.
    pub fn send_blocking(&self, message: Message<'static>) -> Result<(), SendError<'static>> {
        self.mailbox.send_blocking(message)
    }

    /// Sends a part of a file as one message, which the protocol cuts into fragments where it is large. Reads it on the calling
    /// thread, once there is room, and whole, into memory that is the message's own: a connection that closes or a peer that pauses is
    /// not kept waiting by a disk, and the file may be changed or deleted when this has returned.
    ///
    /// It does without `TransmitFile`, with which the system sends a file that no program reads: the sum of a payload that CHECKSUM asks for
    /// takes its bytes, and a message that is not sent comes back whole.
    ///
    /// # Errors
    ///
    /// That it could not be read, or the reason of [`try_send`](Self::try_send). Nothing was sent then. After
    /// [`SendRefused::Full`](pulsewire_protocol::SendRefused::Full) the handler is told by
    /// [`Handler::writable`](crate::Handler::writable) when there is room again.
    ///
    /// # Panics
    ///
    /// In the handler, whose thread must not wait for a disk.
    pub fn try_send_file(&self, class: Class, part: &FilePart) -> Result<(), SendFileError> {
        Mailbox::assert_may_wait();
        if let Some(reason) = self.mailbox.refusal(class, part.len()) {
            return Err(SendFileError::Refused(reason));
        }
        let message = Message::new(class, part.read().map_err(SendFileError::Read)?);
        self.mailbox.send(message).map_err(|refused| SendFileError::Refused(refused.reason))
    }

    /// As [`try_send_file`](Self::try_send_file), but reads first and then waits while the queue is full, as
    /// [`send_blocking`](Self::send_blocking) does.
    ///
    /// # Errors
    ///
    /// As there. Never [`SendRefused::Full`](pulsewire_protocol::SendRefused::Full).
    ///
    /// # Panics
    ///
    /// As there.
    pub fn send_file_blocking(&self, class: Class, part: &FilePart) -> Result<(), SendFileError> {
        Mailbox::assert_may_wait();
        match self.mailbox.refusal(class, part.len()) {
            None | Some(SendRefused::Full) => {}
            Some(reason) => return Err(SendFileError::Refused(reason)),
        }
        let message = Message::new(class, part.read().map_err(SendFileError::Read)?);
        self.mailbox.send_blocking(message).map_err(|refused| SendFileError::Refused(refused.reason))
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

    /// The queue behind the handler has room for this connection again.
    pub(crate) fn resume_for_queue(&self) {
        self.mailbox.resume_queue();
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

    /// Cuts the connection at once, without a word to the peer. Returns whether it lived.
    pub fn abort(&self) -> bool {
        self.mailbox.abort()
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
