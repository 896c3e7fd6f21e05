//! Joining frames to messages (section 6 of the specification).

use alloc::boxed::Box;

use bytes::BytesMut;

use super::{Body, RESERVE};
use crate::error::ProtocolError;
use crate::message::{Message, Payload};
use crate::wire::{Class, Flags, Header};

/// What a DATA frame is to the messages under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// A message of its own.
    Whole,
    /// Begins a message.
    Begin,
    /// Goes on with the open message.
    Continue,
    /// Ends the open message.
    End,
    /// Belongs to a message that a gap destroyed (PW-FRM-010).
    Ignore,
}

/// The open message.
struct Open {
    class: Class,
    encrypted: bool,
    /// What has come. Empty while a large frame under way has it.
    buffer: BytesMut,
    /// Bytes of the frames that are complete.
    size: u64,
}

/// The messages that are under way: at most one (PW-DAT-005).
#[derive(Default)]
pub(crate) struct Fragments {
    open: Option<Box<Open>>,
    /// A gap may have destroyed the beginning of what comes.
    after_gap: bool,
}

impl Fragments {
    /// Whether a message is open.
    #[inline]
    pub(crate) fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// Bytes of memory that the open message holds, beside what a large frame under way has of it.
    pub(crate) fn buffered(&self) -> usize {
        self.open.as_ref().map_or(0, |open| open.buffer.capacity())
    }

    /// Judges a DATA header (PW-DAT-002 to PW-DAT-008). Changes nothing, so it may be asked again.
    pub(crate) fn fate(&self, header: &Header, message_limit: u32) -> Result<Fate, ProtocolError> {
        let first = header.flags.contains(Flags::FIRST);
        let more = header.flags.contains(Flags::MORE);
        let bad = |what| Err(ProtocolError::BadFragment { what });
        if !first && self.after_gap && self.open.is_none() {
            return Ok(Fate::Ignore);
        }
        if more && header.length == 0 {
            return bad("a frame that is not the last is empty");
        }
        let (fate, before) = match (&self.open, first, more) {
            (None, true, false) => (Fate::Whole, 0),
            (None, true, true) => (Fate::Begin, 0),
            (None, false, _) => return bad("a frame continues a message that was not begun"),
            (Some(_), true, true) => return bad("a message begins while another is open"),
            (Some(open), true, false) if open.class == header.class => {
                return bad("a message of the same class stands between fragments");
            }
            (Some(_), true, false) => (Fate::Whole, 0),
            (Some(open), false, _) => {
                if open.class != header.class || open.encrypted != header.flags.contains(Flags::ENCRYPTED) {
                    return bad("class or ENCRYPTED change within a message");
                }
                (if more { Fate::Continue } else { Fate::End }, open.size)
            }
        };
        let size = before + u64::from(header.length);
        if size > u64::from(message_limit) {
            return Err(ProtocolError::MessageTooLarge { limit: message_limit, size });
        }
        Ok(fate)
    }

    /// The buffer that a large frame of this fate is appended to.
    pub(crate) fn buffer(&mut self, fate: Fate) -> BytesMut {
        match (fate, &mut self.open) {
            (Fate::Continue | Fate::End, Some(open)) => core::mem::take(&mut open.buffer),
            (Fate::Whole | Fate::Begin | Fate::Ignore | Fate::Continue | Fate::End, _) => BytesMut::new(),
        }
    }

    /// Takes a complete frame; gives the message that it completes.
    pub(crate) fn frame<'b>(&mut self, fate: Fate, header: &Header, body: Body<'b>) -> Option<Message<'b>> {
        match fate {
            Fate::Whole => Some(Message {
                class: header.class,
                encrypted: header.flags.contains(Flags::ENCRYPTED),
                payload: body.into_payload(),
            }),
            Fate::Begin => {
                self.after_gap = false;
                let buffer = match body {
                    Body::Borrowed(bytes) => BytesMut::from(bytes),
                    Body::Owned(buffer) => buffer,
                };
                self.open = Some(Box::new(Open {
                    class: header.class,
                    encrypted: header.flags.contains(Flags::ENCRYPTED),
                    size: buffer.len() as u64,
                    buffer,
                }));
                None
            }
            Fate::Continue => {
                if let Some(open) = &mut self.open {
                    open.append(body);
                }
                None
            }
            Fate::End => {
                let mut open = self.open.take()?;
                open.append(body);
                let Open { class, encrypted, buffer, .. } = *open;
                Some(Message { class, encrypted, payload: Payload::Owned(buffer.freeze()) })
            }
            Fate::Ignore => None,
        }
    }

    /// Bytes or a DATA packet are missing (PW-FRM-009). Says whether a message was lost with them.
    pub(crate) fn gap(&mut self) -> bool {
        self.after_gap = true;
        self.open.take().is_some()
    }
}

impl Open {
    fn append(&mut self, body: Body<'_>) {
        match body {
            Body::Borrowed(bytes) => {
                if self.buffer.capacity() - self.buffer.len() < bytes.len() {
                    // Doubling, as vectors do, but at most in proportion to what has come.
                    self.buffer.reserve(bytes.len().max(self.buffer.len().min(16 * RESERVE)));
                }
                self.buffer.extend_from_slice(bytes);
            }
            Body::Owned(buffer) => self.buffer = buffer,
        }
        self.size = self.buffer.len() as u64;
    }
}
