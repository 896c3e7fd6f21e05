//! Joining frames to messages (section 6 of the specification).

use alloc::boxed::Box;
use core::num::NonZeroU64;

use bytes::BytesMut;

use super::Body;
use super::message_time::MessageTime;
use crate::config::ValidConfig;
use crate::error::ProtocolError;
use crate::message::{Message, Payload};
use crate::time::Instant;
use crate::wire::{Class, Flags, Header};

/// What a DATA frame is to the messages under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// A message of its own (PW-DAT-001), also between the frames of one of another class (PW-DAT-006).
    Whole,
    /// Begins a message.
    Begin,
    /// Goes on with the open message.
    Continue,
    /// Ends the open message.
    End,
    /// Makes the open message too large: it is to be refused, then the frame judged again (PW-DAT-008).
    TooLarge { size: u64 },
    /// Goes on with the open message, which was refused (PW-REJ-004).
    PassOver,
    /// Ends the open message, which was refused.
    PassOverEnd,
    /// Belongs to a message that a gap destroyed (PW-FRM-010), or to none: a packet without a meaning (PW-HDR-008).
    Ignore,
}

impl Fate {
    /// Whether the payload is needed (PW-FRM-013).
    pub(crate) fn keeps(self) -> bool {
        match self {
            Self::Whole | Self::Begin | Self::Continue | Self::End => true,
            Self::TooLarge { .. } | Self::PassOver | Self::PassOverEnd | Self::Ignore => false,
        }
    }

    /// Whether the frame is a later one of the open message. One that makes it too large is judged again.
    pub(crate) fn goes_on(self) -> bool {
        match self {
            Self::Continue | Self::End | Self::PassOver | Self::PassOverEnd => true,
            Self::Whole | Self::Begin | Self::TooLarge { .. } | Self::Ignore => false,
        }
    }
}

/// The open message.
struct Open {
    class: Class,
    encrypted: bool,
    /// What has come. Empty while a large frame under way has it.
    buffer: BytesMut,
    /// Bytes of the frames that are complete.
    size: u64,
    /// Its number among the messages of its class of the peer, where that is known (PW-REJ-002).
    ordinal: Option<NonZeroU64>,
    /// It was too large: its frames are passed over.
    refused: bool,
    /// When it began.
    since: Instant,
    time: MessageTime,
}

/// Which message was refused or lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Named {
    pub(crate) class: Class,
    pub(crate) ordinal: Option<NonZeroU64>,
}

/// What a message that begins is given.
pub(crate) struct Beginning<'c> {
    pub(crate) now: Instant,
    pub(crate) config: &'c ValidConfig,
    /// Its number.
    pub(crate) ordinal: Option<NonZeroU64>,
    /// Until when the peer pauses.
    pub(crate) peer_pauses: Option<Instant>,
}

/// The messages that are under way: at most one (PW-DAT-005).
#[derive(Default)]
pub(crate) struct Fragments {
    open: Option<Box<Open>>,
    /// A gap may have destroyed the beginning of what comes.
    after_gap: bool,
    /// Skipped bytes may have held messages: nobody knows the numbers of those that come (PW-REJ-002).
    uncertain: bool,
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

    /// Judges a DATA header (PW-DAT-001, PW-DAT-002, PW-DAT-003, PW-DAT-004, PW-DAT-005, PW-DAT-006, PW-DAT-007, PW-DAT-008).
    /// Changes nothing, so it may be asked again. A single frame is never too large: no frame limit is above the message
    /// limit.
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
        match (&self.open, first, more) {
            (None, true, false) => Ok(Fate::Whole),
            (None, true, true) => Ok(Fate::Begin),
            (None, false, _) => bad("a frame continues a message that was not begun"),
            (Some(_), true, true) => bad("a message begins while another is open"),
            (Some(open), true, false) if open.class == header.class => {
                bad("a message of the same class stands between fragments")
            }
            (Some(_), true, false) => Ok(Fate::Whole),
            (Some(open), false, _) => {
                if open.class != header.class || open.encrypted != header.flags.contains(Flags::ENCRYPTED) {
                    return bad("class or ENCRYPTED change within a message");
                }
                Ok(open.fate(header.length, more, message_limit))
            }
        }
    }

    /// The buffer that a large frame of this fate is appended to.
    pub(crate) fn buffer(&mut self, fate: Fate) -> BytesMut {
        match (fate, &mut self.open) {
            (Fate::Continue | Fate::End, Some(open)) => core::mem::take(&mut open.buffer),
            (Fate::Whole | Fate::Begin | Fate::Continue | Fate::End, _)
            | (Fate::TooLarge { .. } | Fate::PassOver | Fate::PassOverEnd | Fate::Ignore, _) => BytesMut::new(),
        }
    }

    /// Takes a complete frame; gives the message that it completes. `begin` is asked where one begins.
    pub(crate) fn frame<'b, 'c>(
        &mut self,
        fate: Fate,
        header: &Header,
        body: Body<'b>,
        begin: impl FnOnce() -> Beginning<'c>,
    ) -> Option<Message<'b>> {
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
                let Beginning { now, config, ordinal, peer_pauses } = begin();
                let (timeouts, busy_max) = (&config.timeouts, config.heartbeat.busy_max);
                self.open = Some(Box::new(Open {
                    class: header.class,
                    encrypted: header.flags.contains(Flags::ENCRYPTED),
                    size: buffer.len() as u64,
                    buffer,
                    ordinal,
                    refused: false,
                    since: now,
                    time: MessageTime::new(now, config.limits.frame, timeouts, peer_pauses, busy_max),
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
            Fate::PassOverEnd => {
                self.open = None;
                None
            }
            Fate::TooLarge { .. } | Fate::PassOver | Fate::Ignore => None,
        }
    }

    /// A later frame of the open message began, or is complete (PW-DAT-013).
    pub(crate) fn add_time(&mut self, now: Instant, header: &Header, rate: u32) {
        if let Some(open) = &mut self.open {
            open.time.add(now, header, rate);
        }
    }

    /// When the open message has no time left (PW-DAT-013).
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.open.as_ref().map(|open| open.time.deadline())
    }

    /// The peer pauses until then, or not any more (PW-HB-020).
    pub(crate) fn peer_pauses(&mut self, now: Instant, until: Option<Instant>) {
        if let Some(open) = &mut self.open {
            open.time.peer_pauses(now, until);
        }
    }

    /// The open message has its whole time again (PW-HB-023).
    pub(crate) fn restart(&mut self, now: Instant) {
        if let Some(open) = &mut self.open {
            open.time.restart(now);
        }
    }

    /// The same because this side was late (PW-TIM-001). Returns whether it may.
    pub(crate) fn begin_anew(&mut self, now: Instant) -> bool {
        self.open.as_mut().is_some_and(|open| open.time.begin_anew(now))
    }

    /// When the open message began, and what has come of it, in bytes.
    pub(crate) fn open_since(&self) -> Option<(Instant, u64)> {
        self.open.as_ref().map(|open| (open.since, open.size))
    }

    /// The open message is refused: nothing of it is kept, and it stays open (PW-REJ-004).
    pub(crate) fn refuse(&mut self) -> Option<Named> {
        let open = self.open.as_mut()?;
        open.refused = true;
        open.buffer = BytesMut::new();
        Some(Named { class: open.class, ordinal: open.ordinal })
    }

    /// Bytes were skipped.
    pub(crate) fn skipped(&mut self) -> Option<Named> {
        self.uncertain = true;
        self.gap()
    }

    /// The number of a message, as far as it can be known.
    pub(crate) fn known(&self, number: u64) -> Option<NonZeroU64> {
        NonZeroU64::new(number).filter(|_| !self.uncertain)
    }

    /// Bytes or a DATA packet are missing (PW-FRM-009). Gives the message that was lost with them, if one was, and was not
    /// refused before.
    pub(crate) fn gap(&mut self) -> Option<Named> {
        self.after_gap = true;
        let open = self.open.take().filter(|open| !open.refused)?;
        Some(Named { class: open.class, ordinal: open.ordinal })
    }
}

impl Open {
    /// What its next frame is.
    fn fate(&self, length: u32, more: bool, message_limit: u32) -> Fate {
        let size = self.size + u64::from(length);
        match (self.refused, more) {
            (true, true) => Fate::PassOver,
            (true, false) => Fate::PassOverEnd,
            (false, _) if size > u64::from(message_limit) => Fate::TooLarge { size },
            (false, true) => Fate::Continue,
            (false, false) => Fate::End,
        }
    }

    fn append(&mut self, body: Body<'_>) {
        match body {
            // The buffer doubles: its size stays in proportion to what has come (PW-FRM-013).
            Body::Borrowed(bytes) => self.buffer.extend_from_slice(bytes),
            Body::Owned(buffer) => self.buffer = buffer,
        }
        self.size = self.buffer.len() as u64;
    }
}
