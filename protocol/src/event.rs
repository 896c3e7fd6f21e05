//! What comes out of a connection.

use alloc::boxed::Box;
use core::fmt;
use core::num::NonZeroU64;
use core::time::Duration;

use bytes::Bytes;

use crate::close::Closed;
use crate::message::Message;
use crate::refusal::TooLarge;
use crate::wire::printing::Length;
use crate::wire::{Class, CloseFrame, Rejected};

/// A client asks to be admitted (PW-HS-020): what its HELLO said. Only with
/// [`Admission::Ask`](crate::Admission::Ask).
#[derive(Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Request {
    /// What the client's application put into HELLO. Replayable without TLS.
    #[cfg_attr(feature = "serde", serde(with = "crate::representation::optional_hex"))]
    pub token: Option<Bytes>,
    /// The lowest version of the protocol that the client speaks.
    pub version_lowest: u8,
    /// The highest version of the protocol that the client speaks.
    pub version_highest: u8,
    /// The largest frame that the client receives, in bytes.
    pub frame_limit: u32,
    /// The largest message that the client receives, in bytes.
    pub message_limit: u32,
    /// The shortest time between PINGs that the client tolerates.
    #[cfg_attr(feature = "serde", serde(rename = "ping_floor_ms", with = "crate::representation::milliseconds"))]
    pub ping_floor: Duration,
    /// The client resynchronises: what is sent to it carries checksums.
    pub resync: bool,
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { token, version_lowest, version_highest, frame_limit, message_limit, ping_floor, resync } = self;
        f.debug_struct("Request")
            .field("token", &token.as_ref().map(|token| Length(token.len())))
            .field("version_lowest", version_lowest)
            .field("version_highest", version_highest)
            .field("frame_limit", frame_limit)
            .field("message_limit", message_limit)
            .field("ping_floor", ping_floor)
            .field("resync", resync)
            .finish()
    }
}

/// The handshake is complete: what the two sides agreed on.
#[derive(Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Established {
    /// The version of the protocol in use.
    pub version: u8,
    /// The largest frame that the peer receives, in bytes.
    pub frame_limit: u32,
    /// The largest message that the peer receives, in bytes.
    pub message_limit: u32,
    /// `idle` of this side, raised to the peer's ping floor.
    #[cfg_attr(feature = "serde", serde(rename = "idle_ms", with = "crate::representation::milliseconds"))]
    pub idle: Duration,
    /// `interval` of this side, raised to the peer's ping floor.
    #[cfg_attr(feature = "serde", serde(rename = "interval_ms", with = "crate::representation::milliseconds"))]
    pub interval: Duration,
    /// What the client's application put into HELLO; `None` on the client. Replayable without TLS.
    #[cfg_attr(feature = "serde", serde(with = "crate::representation::optional_hex"))]
    pub token: Option<Bytes>,
}

impl fmt::Debug for Established {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { version, frame_limit, message_limit, idle, interval, token } = self;
        f.debug_struct("Established")
            .field("version", version)
            .field("frame_limit", frame_limit)
            .field("message_limit", message_limit)
            .field("idle", idle)
            .field("interval", interval)
            .field("token", &token.as_ref().map(|token| Length(token.len())))
            .finish()
    }
}

/// A hole in the received stream (section 5 of the specification). Only where resynchronising is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Gap {
    /// Bytes skipped.
    pub skipped: u64,
    /// A message was under way, and is lost. The peer is told with REJECT.
    pub message_lost: bool,
}

/// The peer may be gone: it left a probe unanswered (PW-HB-018).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Suspect {
    /// The time since the last evidence of its life.
    #[cfg_attr(feature = "serde", serde(rename = "silent_for_ms", with = "crate::representation::milliseconds"))]
    pub silent_for: Duration,
    /// PINGs without an answer.
    pub unanswered: u32,
}

/// A peer that was suspect lives (PW-HB-018).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Recovered {
    /// How long it had been silent.
    #[cfg_attr(feature = "serde", serde(rename = "silent_for_ms", with = "crate::representation::milliseconds"))]
    pub silent_for: Duration,
    /// PINGs that it had left unanswered.
    pub unanswered: u32,
}

/// What a connection tells the application.
///
/// The borrow is that of the driver's buffer, never of the connection: sending while an event is held works. What is rare
/// is boxed or small, so that a message is cheap to pass on.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum Event<'b> {
    /// A client asks to be admitted: [`accept`](crate::Connection::accept) or [`refuse`](crate::Connection::refuse) it. Only
    /// on a server, and only with [`Admission::Ask`](crate::Admission::Ask).
    Admission(Box<Request>),
    /// The handshake is complete; messages may be sent.
    Established(Box<Established>),
    /// A message arrived.
    Message(Message<'b>),
    /// Bytes of the stream were skipped.
    Gap(Gap),
    /// This side refused a message of the peer, which was too large.
    TooLarge(TooLarge),
    /// The peer refused one of our messages.
    Rejected(Rejected),
    /// The peer left a probe unanswered.
    Suspect(Suspect),
    /// The peer that was suspect lives.
    Recovered(Recovered),
    /// The peer is going to close (section 9.1): begin nothing new over this connection, and close it with
    /// [`NORMAL`](crate::CloseReason::NORMAL) when what was begun is finished (PW-CLS-018).
    Draining {
        /// Messages that the peer had received whole.
        received: u64,
    },
    /// A message of this class was refused as [`Full`](crate::SendRefused::Full), and now at least half of `limits.send_queue` is
    /// free. Not where it was refused because all connections of a table together hold too much.
    Writable {
        /// The class.
        class: Class,
    },
    /// The transport took the last byte of a message that was
    /// [watched](crate::Connection::notify_when_taken).
    Taken {
        /// Its class.
        class: Class,
        /// Its number among those of its class, as [`send`](crate::Connection::send) gave it.
        ordinal: NonZeroU64,
    },
    /// The peer asks to close, and says why. What was accepted for sending still goes out; nothing more is accepted.
    Closing(Box<CloseFrame>),
    /// The connection is over. Always the last event.
    Closed(Box<Closed>),
}

impl Event<'_> {
    /// Keeps the event. Copies the payload of a message where it is borrowed.
    #[must_use]
    pub fn into_owned(self) -> Event<'static> {
        match self {
            Self::Admission(request) => Event::Admission(request),
            Self::Established(established) => Event::Established(established),
            Self::Message(message) => Event::Message(message.into_owned()),
            Self::Gap(gap) => Event::Gap(gap),
            Self::TooLarge(too_large) => Event::TooLarge(too_large),
            Self::Rejected(rejected) => Event::Rejected(rejected),
            Self::Suspect(suspect) => Event::Suspect(suspect),
            Self::Recovered(recovered) => Event::Recovered(recovered),
            Self::Draining { received } => Event::Draining { received },
            Self::Writable { class } => Event::Writable { class },
            Self::Taken { class, ordinal } => Event::Taken { class, ordinal },
            Self::Closing(said) => Event::Closing(said),
            Self::Closed(closed) => Event::Closed(closed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The hot path returns events: nothing may be larger than a message. Where a pointer has four bytes, a message is smaller than a
    /// time span with a number.
    #[test]
    fn an_event_is_as_small_as_a_message() {
        assert!(size_of::<Event<'_>>() <= size_of::<Message<'_>>().max(28), "{}", size_of::<Event<'_>>());
    }
}
