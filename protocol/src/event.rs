//! What comes out of a connection.

use core::ops::Deref;
use core::time::Duration;

use bytes::Bytes;

use crate::close::{CloseReason, Closed};
use crate::wire::Class;

/// Bytes of a message: borrowed from the driver's buffer, or owned (large, or joined from fragments).
#[derive(Debug, Clone)]
pub enum Payload<'b> {
    /// Lives in somebody else's buffer.
    Borrowed(&'b [u8]),
    /// Owned; cloning it copies nothing.
    Owned(Bytes),
}

impl Payload<'_> {
    /// Keeps the payload. Copies it where it is borrowed.
    #[must_use]
    pub fn into_bytes(self) -> Bytes {
        match self {
            Self::Borrowed(bytes) => Bytes::copy_from_slice(bytes),
            Self::Owned(bytes) => bytes,
        }
    }
}

impl Deref for Payload<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Borrowed(bytes) => bytes,
            Self::Owned(bytes) => bytes,
        }
    }
}

impl PartialEq for Payload<'_> {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for Payload<'_> {}

impl<'b> From<&'b [u8]> for Payload<'b> {
    fn from(bytes: &'b [u8]) -> Self {
        Self::Borrowed(bytes)
    }
}

impl<'b, const N: usize> From<&'b [u8; N]> for Payload<'b> {
    fn from(bytes: &'b [u8; N]) -> Self {
        Self::Borrowed(bytes)
    }
}

impl From<Bytes> for Payload<'_> {
    fn from(bytes: Bytes) -> Self {
        Self::Owned(bytes)
    }
}

impl From<alloc::vec::Vec<u8>> for Payload<'_> {
    fn from(bytes: alloc::vec::Vec<u8>) -> Self {
        Self::Owned(bytes.into())
    }
}

/// A message, sent or received (section 6 of the specification).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message<'b> {
    /// What it is about; order is kept within a class.
    pub class: Class,
    /// The application sealed the payload. The protocol only carries this mark (PW-DAT-012).
    pub encrypted: bool,
    /// The bytes; may be empty.
    pub payload: Payload<'b>,
}

impl<'b> Message<'b> {
    /// A message that the application did not seal.
    ///
    /// ```
    /// use pulsewire_protocol::{Class, Message};
    /// let message = Message::new(Class::BUSINESS, b"hello");
    /// assert_eq!(&*message.payload, b"hello");
    /// ```
    #[must_use]
    pub fn new(class: Class, payload: impl Into<Payload<'b>>) -> Self {
        Self { class, encrypted: false, payload: payload.into() }
    }

    /// Keeps the message. Copies the payload where it is borrowed.
    #[must_use]
    pub fn into_owned(self) -> Message<'static> {
        Message { class: self.class, encrypted: self.encrypted, payload: Payload::Owned(self.payload.into_bytes()) }
    }
}

/// The handshake is complete: what the two sides agreed on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Established {
    /// The version of the protocol in use.
    pub version: u8,
    /// The largest frame that the peer receives, in bytes.
    pub frame_limit: u32,
    /// The largest message that the peer receives, in bytes.
    pub message_limit: u32,
    /// `idle` of this side, raised to the peer's ping floor.
    pub idle: Duration,
    /// `interval` of this side, raised to the peer's ping floor.
    pub interval: Duration,
    /// What the client's application put into HELLO; `None` on the client. Replayable without TLS.
    pub token: Option<Bytes>,
}

/// A hole in the received stream (section 5 of the specification). Only where resynchronising is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gap {
    /// Bytes skipped.
    pub skipped: u64,
    /// A message was under way, and is lost.
    pub message_lost: bool,
}

/// What a connection tells the application.
///
/// The borrow is that of the driver's buffer, never of the connection: sending while an event is held works.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event<'b> {
    /// The handshake is complete; messages may be sent.
    Established(Established),
    /// A message arrived.
    Message(Message<'b>),
    /// Bytes of the stream were skipped.
    Gap(Gap),
    /// The peer asks to close. What was accepted for sending still goes out; nothing more is accepted.
    Closing(CloseReason),
    /// The connection is over. Always the last event.
    Closed(Closed),
}

impl Event<'_> {
    /// Keeps the event. Copies the payload of a message where it is borrowed.
    #[must_use]
    pub fn into_owned(self) -> Event<'static> {
        match self {
            Self::Established(established) => Event::Established(established),
            Self::Message(message) => Event::Message(message.into_owned()),
            Self::Gap(gap) => Event::Gap(gap),
            Self::Closing(reason) => Event::Closing(reason),
            Self::Closed(closed) => Event::Closed(closed),
        }
    }
}
