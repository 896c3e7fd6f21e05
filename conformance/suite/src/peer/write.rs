//! What the suite sends: each call is one write, which the edits of a run may change.

use std::io::ErrorKind;
use std::slice;

use super::{Message, PATIENCE, Peer};
use crate::clock;
use crate::codec::registry::flag;
use crate::codec::{Header, Packet};
use crate::edits::Place;
use crate::setting::Deviation;
use crate::verdict::{Failure, Outcome, in_vain};

/// A write that is not left out.
struct Write {
    place: Place,
    /// Bytes that are left of a payload.
    most: usize,
}

impl Peer {
    /// Sends bytes as they are, cut as the run wants it.
    ///
    /// A connection that the subject has ended is no failure here: what it sent before tells whether it was right.
    pub(crate) fn send_raw(&mut self, bytes: &[u8]) -> Outcome {
        let Some(Write { place, most }) = self.begin_write() else { return Ok(()) };
        self.write_out(Some(place), &bytes[..bytes.len().min(most)])
    }

    pub(crate) fn send(&mut self, packet: &Packet) -> Outcome {
        self.send_glued(slice::from_ref(packet))
    }

    /// Sends packets in one piece.
    pub(crate) fn send_glued(&mut self, packets: &[Packet]) -> Outcome {
        let Some(Write { place, most }) = self.begin_write() else { return Ok(()) };
        let key = self.key();
        let shorter = |packet: &Packet| {
            let payload = &packet.payload[..packet.payload.len().min(most)];
            Packet { payload: payload.to_vec(), ..*packet }
        };
        let bytes: Vec<u8> = packets.iter().flat_map(|packet| shorter(packet).encode(key)).collect();
        self.write_out(Some(place), &bytes)
    }

    /// Sends only the header of a packet whose payload would have `length` bytes.
    pub(crate) fn send_header(&mut self, packet: &Packet, length: u32) -> Outcome {
        let header = Header { length, ..packet.header() };
        self.send_raw(&header.encode(self.key()))
    }

    /// Sends a message in as many frames as the subject's limit makes necessary. The case does not apply where the subject takes none of
    /// that size.
    pub(crate) fn send_message(&mut self, message: &Message) -> Outcome {
        match self.begin_write() {
            Some(write) => self.write_message(&write, message),
            None => Ok(()),
        }
    }

    /// Sends a message and expects nothing but it in return.
    pub(crate) fn echo(&mut self, message: &Message) -> Outcome {
        let Some(write) = self.begin_write() else { return Ok(()) };
        self.write_message(&write, message)?;
        self.expect_message(message)
    }

    /// What was sent of a message.
    pub(super) fn as_sent<'m>(&'m self, message: &'m Message) -> &'m Message {
        self.shortened.iter().find(|(whole, _)| whole == message).map_or(message, |(_, sent)| sent)
    }

    /// Answers a PING that came; when, depends on time, so that it is no write of the case.
    pub(super) fn answer(&mut self, number: u64) -> Outcome {
        let pong = Packet::pong(number).encode(self.key());
        self.write_out(None, &pong)
    }

    /// Counts a write; `None` if it is left out.
    fn begin_write(&mut self) -> Option<Write> {
        self.writes += 1;
        let place = Place { connection: self.transcript.number(), write: self.writes };
        (!self.edits.omitted.contains(&place)).then(|| Write { place, most: self.edits.most(place) })
    }

    fn write_message(&mut self, write: &Write, message: &Message) -> Outcome {
        let size = message.payload.len();
        if size > self.announced().message_limit as usize {
            return Err(Failure::NotApplicable(format!("the subject takes no message of {size} bytes")));
        }
        let mut sent = message.clone();
        sent.payload.truncate(write.most);
        let (size, key) = (self.announced().frame_limit as usize, self.key());
        let mut frames = sent.frames(size);
        if self.setting.has(Deviation::WithoutChecksum) && !self.announced().resync {
            frames.iter_mut().for_each(|frame| frame.flags &= !flag::CHECKSUM);
        }
        let bytes: Vec<u8> = frames.iter().flat_map(|frame| frame.encode(key)).collect();
        if sent != *message {
            self.shortened.push((message.clone(), sent));
        }
        self.write_out(Some(write.place), &bytes)
    }

    fn write_out(&mut self, place: Option<Place>, bytes: &[u8]) -> Outcome {
        let pieces = self.edits.pieces(place, bytes.len()).unwrap_or_else(|| self.cutter.cut(bytes.len()));
        self.transcript.sent(place.map(|place| place.write), bytes, &pieces, self.key());
        let mut left = bytes;
        for length in pieces {
            let (piece, rest) = left.split_at(length);
            self.write(piece)?;
            if self.write_failed {
                break;
            }
            left = rest;
            if !left.is_empty() {
                // Or a subject in memory would see none of the cuts.
                clock::give_way();
            }
        }
        Ok(())
    }

    fn write(&mut self, piece: &[u8]) -> Outcome {
        self.last_sent_at = clock::now();
        self.unanswered = self.unanswered.saturating_add(u32::try_from(piece.len()).unwrap_or(u32::MAX));
        match self.stream().write_all(piece, PATIENCE) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == ErrorKind::TimedOut => {
                in_vain(PATIENCE, format!("the subject read nothing for {} s", PATIENCE.as_secs()))
            }
            Err(error) => {
                self.note_failed_write(error.kind());
                Ok(())
            }
        }
    }

    pub(super) fn note_failed_write(&mut self, error: ErrorKind) {
        self.transcript.note(format!("a write failed: {error:?}"));
        self.write_failed = true;
    }
}
