//! How messages to this peer are encoded: what it announced, and what they have in common.

use crate::framer::LARGE;
use crate::wire::{Class, Flags, Header, Hello, Kind, MessageHeaders};

pub(in crate::connection) struct Encoding {
    /// The peer's sync key; 0 before its first packet came.
    pub(in crate::connection) key: u32,
    /// The peer's limit for frames.
    pub(in crate::connection) peer_frame_max: u32,
    /// The largest frame that is sent: by that, and by the choice of this side (PW-DAT-009).
    pub(super) frame_max: u32,
    /// The peer's limit.
    pub(in crate::connection) message_limit: u32,
    /// The peer resynchronises, so DATA carries checksums (PW-FRM-007).
    pub(in crate::connection) checksums: bool,
    /// What small messages have in common.
    pub(super) headers: MessageHeaders,
    /// Smaller payloads are copied and have no trailer; 0 if all have one.
    pub(super) plain_below: u16,
}

impl Encoding {
    pub(super) fn new() -> Self {
        Self {
            key: 0,
            peer_frame_max: 0,
            frame_max: 0,
            message_limit: 0,
            checksums: false,
            headers: MessageHeaders::new(0, false),
            plain_below: 0,
        }
    }

    /// The peer greeted: what it announced holds from now on.
    pub(super) fn establish(&mut self, hello: &Hello, frame_sent: u32) {
        self.peer_frame_max = hello.frame_limit;
        self.message_limit = hello.message_limit;
        self.checksums = hello.resync;
        self.headers = MessageHeaders::new(self.key, hello.resync);
        self.limit_frames(frame_sent);
    }

    /// This side sends no larger frames.
    pub(in crate::connection) fn limit_frames(&mut self, frame_sent: u32) {
        self.frame_max = self.peer_frame_max.min(frame_sent);
        // At most `LARGE`.
        self.plain_below = if self.checksums { 0 } else { (self.copied_max() + 1) as u16 };
    }

    /// The largest payload that is copied.
    pub(super) fn copied_max(&self) -> usize {
        (LARGE - 1).min(self.frame_max as usize)
    }

    pub(super) fn data_header(&self, class: Class, encrypted: bool, flags: Flags, length: usize) -> Header {
        let sealed = if encrypted { Flags::ENCRYPTED } else { Flags::NONE };
        let checked = if self.checksums { Flags::CHECKSUM } else { Flags::NONE };
        // The length is at most the peer's frame limit, which fits in 24 bits.
        Header { kind: Kind::DATA, flags: flags | sealed | checked, class, length: length as u32 }
    }
}
