//! What one side sends, as far as the specification fixes it.

use std::collections::VecDeque;

use pulsewire_protocol::{Class, CloseReason, Flags, HEADER_SIZE, Header, Kind};

/// How their words begin.
const HELLO_ACK: &str = "[f7, 9a, 02,";
const PONG: &str = "[f7, 9a, 06,";
const CLOSE: &str = "CLOSE";

/// A message, whatever its frames.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sent {
    class: u8,
    payload: Vec<u8>,
}

/// Reads a stream of packets.
#[derive(Default)]
pub(super) struct Outgoing {
    /// Half a packet, where the writer stopped within it.
    held: Vec<u8>,
    open: Option<Sent>,
    /// Control packets since the last look, in words, but for REJECT.
    controls: Vec<String>,
    /// REJECT that were not compared yet.
    pub(super) rejects: VecDeque<String>,
    /// CLOSE for a fault went out.
    pub(super) failed: bool,
    /// Messages since then: how they are cut, and where control packets go between their frames, is free.
    pub(super) messages: Vec<Sent>,
}

impl Outgoing {
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.held.extend_from_slice(bytes);
        let held = std::mem::take(&mut self.held);
        let mut rest = &held[..];
        while let Some((header, tail)) = rest.split_first_chunk::<HEADER_SIZE>() {
            let fields = Header {
                kind: Kind(header[2]),
                flags: Flags(header[3]),
                class: Class(header[4]),
                length: u32::from_be_bytes([0, header[5], header[6], header[7]]),
            };
            let Some((body, tail)) = tail.split_at_checked(fields.body_size()) else { break };
            self.packet(&fields, header, &body[..fields.length as usize]);
            rest = tail;
        }
        self.held = rest.to_vec();
    }

    /// Control packets since the last look, in words. Of a connection that is over CLOSE and CLOSE_ACK still go out; whether a PONG
    /// does that waited then is free (section 9).
    pub(super) fn take_controls(&mut self, over: bool) -> Vec<String> {
        let mut controls = std::mem::take(&mut self.controls);
        controls.retain(|word| !over || !word.starts_with(PONG));
        controls
    }

    fn packet(&mut self, fields: &Header, header: &[u8; HEADER_SIZE], payload: &[u8]) {
        match fields.kind {
            Kind::DATA => self.frame(fields, payload),
            Kind::CLOSE => {
                let reason = CloseReason(u16::from_be_bytes([payload[0], payload[1]]));
                if reason.is_fault() {
                    self.failed = true;
                    // A server that finds a fault behind HELLO may leave out HELLO_ACK, which it has not sent yet (section 9).
                    self.controls.retain(|word| !word.starts_with(HELLO_ACK));
                }
                // PW-FRM-003: a server may say this, or nothing.
                if reason != CloseReason::NOT_PULSEWIRE {
                    self.controls.push(close(header, payload));
                }
            }
            // How long a side pauses, and when it says so again, is its own affair; that it reads again is not.
            Kind::BUSY if payload != [0; 4] => {}
            Kind::REJECT => self.rejects.push_back(format!("{payload:02x?}")),
            _ => self.controls.push(format!("{header:02x?} {payload:02x?}")),
        }
    }

    fn frame(&mut self, fields: &Header, payload: &[u8]) {
        if fields.flags.contains(Flags::FIRST) {
            self.open = Some(Sent { class: fields.class.0, payload: Vec::new() });
        }
        let open = self.open.as_mut().expect("no frame without a first one");
        open.payload.extend_from_slice(payload);
        if !fields.flags.contains(Flags::MORE) {
            self.messages.extend(self.open.take());
        }
    }
}

/// Whether a control packet in words is CLOSE.
pub(super) fn is_close(word: &str) -> bool {
    word.starts_with(CLOSE)
}

/// CLOSE. Its sentence for a person is free where this side found a fault, and else what the application said (PW-CLS-021).
fn close(header: &[u8; HEADER_SIZE], payload: &[u8]) -> String {
    let (fixed, mut items) = payload.split_at(14);
    let (mut limit, mut text) = (None, None);
    let is_fault = CloseReason(u16::from_be_bytes([payload[0], payload[1]])).is_fault();
    while let Some(([a, b, c, d], rest)) = items.split_first_chunk() {
        let (value, rest) = rest.split_at(usize::from(u16::from_be_bytes([*c, *d])));
        match [*a, *b] {
            [0x80, 0x11] => limit = Some(value),
            [0x80, 0x10] => text = (!is_fault).then(|| String::from_utf8_lossy(value)),
            _ => {}
        }
        items = rest;
    }
    format!("{CLOSE} {:02x?} {fixed:02x?} limit {limit:02x?} text {text:?}", &header[..5])
}
