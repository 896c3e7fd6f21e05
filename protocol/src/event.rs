//! What comes out of a connection.

use alloc::boxed::Box;
use core::time::Duration;

use bytes::Bytes;

use crate::close::{CloseReason, Closed};
use crate::message::Message;

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
/// The borrow is that of the driver's buffer, never of the connection: sending while an event is held works. What is rare
/// is boxed, so that a message is cheap to pass on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event<'b> {
    /// The handshake is complete; messages may be sent.
    Established(Box<Established>),
    /// A message arrived.
    Message(Message<'b>),
    /// Bytes of the stream were skipped.
    Gap(Gap),
    /// The peer asks to close. What was accepted for sending still goes out; nothing more is accepted.
    Closing(CloseReason),
    /// The connection is over. Always the last event.
    Closed(Box<Closed>),
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
