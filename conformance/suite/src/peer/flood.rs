//! Valid packets without end.

use super::{AT_ONCE, Arrival, Peer};
use crate::clock;
use crate::codec::Packet;
use crate::codec::registry::flag;
use crate::verdict::{Failure, Outcome};

/// Bytes of a flood that are ready to be written.
const READY: usize = 64 << 10;
/// A kind that everybody passes over.
const IGNORABLE: u8 = 0xC7;

/// What a flood is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flooding {
    /// Messages of one byte, which an echo returns.
    Messages,
    /// Empty packets that everybody passes over.
    Ignorable,
    /// The frames of one message, of one byte each: it grows until it is too large, and goes on all the same.
    Fragments,
}

impl Flooding {
    pub(crate) const ALL: [Self; 3] = [Self::Messages, Self::Ignorable, Self::Fragments];

    /// What begins it, and what comes again and again.
    fn packets(self) -> (Option<Packet>, Packet) {
        match self {
            Self::Messages => (None, Packet::data(flag::FIRST, 0, *b"m")),
            Self::Ignorable => (None, Packet::control(IGNORABLE, [])),
            Self::Fragments => {
                let frame = |flags| Packet::data(flags, 2, *b"f");
                (Some(frame(flag::FIRST | flag::MORE)), frame(flag::MORE))
            }
        }
    }
}

/// A flood under way. Other packets may not go between its parts, since those end anywhere in a packet.
pub(crate) struct Flood {
    bytes: Vec<u8>,
    /// What is written next.
    at: usize,
    /// Where it begins again.
    again: usize,
    /// Bytes that are written at once, at most.
    part: usize,
}

impl Peer {
    /// A flood, of which so many bytes are written at once.
    pub(crate) fn flood(&self, of: Flooding, part: usize) -> Flood {
        let (first, repeated) = of.packets();
        let mut bytes = first.map_or_else(Vec::new, |first| first.encode(self.key()));
        let again = bytes.len();
        let packet = repeated.encode(self.key());
        bytes.extend(packet.repeat(READY / packet.len()));
        self.transcript.note(format!("the suite floods the subject with {of:?}"));
        Flood { bytes, at: 0, again, part }
    }

    /// Writes a part of a flood, as far as the transport takes it in [`AT_ONCE`]. It leaves no trace in the transcript.
    pub(crate) fn pour(&mut self, flood: &mut Flood) {
        let mut left = flood.part;
        let began = clock::now();
        while left > 0 && !self.write_failed && clock::elapsed(began) < AT_ONCE {
            let ready = &flood.bytes[flood.at..];
            let ready = &ready[..ready.len().min(left)];
            match self.stream().write(ready) {
                Ok(0) => break,
                Ok(count) => {
                    left -= count;
                    flood.at += count;
                    if flood.at == flood.bytes.len() {
                        flood.at = flood.again;
                    }
                }
                Err(error) => self.note_failed_write(error.kind()),
            }
        }
        self.last_sent_at = clock::now();
    }

    /// The next arrival, if it is there.
    pub(crate) fn receive_now(&mut self) -> Result<Option<Arrival>, Failure> {
        self.read_at_once(READY)?;
        self.receive_by(clock::now())
    }

    /// Throws away some of what came, also parts of packets: from now on nothing that comes can be understood.
    pub(crate) fn ignore_some(&mut self) -> Outcome {
        self.read_at_once(READY)?;
        self.parser.forget();
        Ok(())
    }

    /// Whether a write failed, since the subject has closed the connection.
    pub(crate) fn is_cut_off(&self) -> bool {
        self.write_failed
    }
}
