//! The conversation: lines in, one after the other, and what this side owes the server.

use std::collections::VecDeque;
use std::io::{self, IsTerminal};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use pulsewire_conformance::wire::{self, Announced, Packet, Seen, flags};

use super::line::{self, Damage, HELP, Line};
use super::link::Link;
use super::{Input, PATIENCE};
use crate::show;

/// Between two looks at the lines, where nothing is waited for.
const LOOK: Duration = Duration::from_secs(3_600);
/// Packets that are remembered for who awaits them later.
const REMEMBERED: usize = 1_000;
const HELLO_ACK: u8 = 2;
const DATA: u8 = 4;
const PING: u8 = 5;
const PONG: u8 = 6;
const BUSY: u8 = 7;
const DRAIN: u8 = 8;
const CLOSE: u8 = 9;
const CLOSE_ACK: u8 = 10;

pub(crate) struct Script {
    link: Link,
    server: Option<Announced>,
    lines: VecDeque<String>,
    /// Lines wait until then, or for a packet of this kind.
    hold: Option<Hold>,
    /// The kinds that came since something was awaited: what comes before the line that awaits it is no less an answer.
    came: VecDeque<u8>,
    class: u8,
    is_encrypted: bool,
    has_trailer: bool,
    is_silent: bool,
    next_flags: Option<u8>,
    next_damage: Option<Damage>,
    next_ping: u64,
    /// Whole messages that came.
    received: u64,
    closing: bool,
    is_over: bool,
    /// The server did something that was not asked for.
    is_bad: bool,
}

struct Hold {
    until: Instant,
    kind: Option<u8>,
}

impl Script {
    pub(crate) fn new(link: Link) -> Self {
        let has_trailer = link.announces_resync;
        Self {
            link,
            server: None,
            lines: VecDeque::new(),
            hold: None,
            came: VecDeque::new(),
            class: 0,
            is_encrypted: false,
            has_trailer,
            is_silent: false,
            next_flags: None,
            next_damage: None,
            next_ping: 1,
            received: 0,
            closing: false,
            is_over: false,
            is_bad: false,
        }
    }

    /// The handshake, as any client does it.
    pub(crate) fn greet(&mut self, inputs: &Receiver<Input>) -> Result<(), String> {
        let hello = super::hello(self.link.announces_resync)?.encode(0);
        self.link.send(&hello);
        let until = Instant::now() + PATIENCE;
        while self.server.is_none() && !self.is_over {
            match inputs.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(input) => self.take(input),
                Err(_) => break,
            }
        }
        match self.server {
            Some(server) => {
                // It asks for trailers, so that damage does not cost the connection.
                self.has_trailer |= server.resync;
                Ok(())
            }
            None if self.is_over => Err("the server ended the connection without HELLO_ACK".into()),
            None => {
                let came = self.link.pending();
                Err(format!("no HELLO_ACK within {} s ({came} bytes of something came)", PATIENCE.as_secs()))
            }
        }
    }

    /// Until the connection is over, or all lines are done and it was closed. Gives the exit code.
    pub(crate) fn run(mut self, inputs: &Receiver<Input>) -> u8 {
        while !self.is_over {
            self.run_lines();
            if self.is_over {
                break;
            }
            let wait = self.hold.as_ref().map_or(LOOK, |hold| hold.until.saturating_duration_since(Instant::now()));
            match inputs.recv_timeout(wait) {
                Ok(input) => self.take(input),
                Err(RecvTimeoutError::Timeout) => self.let_go(),
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        u8::from(self.is_bad)
    }

    fn run_lines(&mut self) {
        while self.hold.is_none() && !self.is_over {
            let Some(line) = self.lines.pop_front() else { return };
            match line::parse(&line) {
                Ok(line) => self.obey(line),
                Err(sentence) => {
                    // A script that is wrong must not look right.
                    self.is_bad |= !io::stdin().is_terminal();
                    self.link.tell("not-understood", &sentence);
                }
            }
        }
    }

    /// What was waited for has not come, or the time is over.
    fn let_go(&mut self) {
        let Some(hold) = self.hold.take() else { return };
        if let Some(kind) = hold.kind {
            self.is_bad = true;
            self.link.tell("missing", &format!("no {} came in time", wire::kind_name(kind)));
            self.is_over |= self.closing;
        }
    }

    fn take(&mut self, input: Input) {
        match input {
            Input::Line(line) => self.lines.push_back(line),
            Input::NoMoreLines => self.lines.push_back("/quit".into()),
            Input::Bytes(bytes) => {
                for seen in self.link.take(&bytes) {
                    self.take_packet(&seen);
                }
            }
            Input::Over(result) => self.over(&result),
        }
    }

    fn over(&mut self, result: &io::Result<()>) {
        let pending = self.link.pending();
        let reset = self.link.reset.take();
        let broken = result.as_ref().err().or(reset.as_ref());
        match broken {
            Some(error) => self.link.tell("broken", &format!("the connection broke: {error}")),
            None if pending > 0 => {
                self.link.tell("cut-off", &format!("the stream ended within a packet: {pending} bytes of it"));
            }
            None => self.link.tell("end", "the server ended the connection"),
        }
        self.is_bad |= !self.closing || broken.is_some() || pending > 0;
        self.is_over = true;
    }

    /// Waits for a packet of this kind, unless one has come.
    fn await_packet(&mut self, kind: u8, within: Duration) {
        match self.came.iter().position(|came| *came == kind) {
            Some(index) => drop(self.came.drain(..=index)),
            None => self.hold = Some(Hold { until: Instant::now() + within, kind: Some(kind) }),
        }
    }

    /// Answers what has to be answered.
    fn take_packet(&mut self, seen: &Seen) {
        self.is_bad |= seen.is_damaged;
        let Some(packet) = &seen.packet else { return };
        if self.hold.take_if(|hold| hold.kind == Some(packet.kind)).is_some() {
            self.came.clear();
        } else {
            if self.came.len() == REMEMBERED {
                self.came.pop_front();
            }
            self.came.push_back(packet.kind);
        }
        match packet.kind {
            HELLO_ACK => self.server = self.server.or_else(|| Announced::from_payload(&packet.payload)),
            PING if !self.is_silent => self.send(Packet { kind: PONG, ..packet.clone() }),
            DATA if packet.flags & flags::MORE == 0 => self.received += 1,
            CLOSE if !self.closing => {
                self.closing = true;
                self.is_bad |= wire::reason_of(packet).is_none_or(|reason| reason > 2);
                self.send(self.counted(CLOSE_ACK));
                self.link.end();
            }
            CLOSE_ACK if self.closing => self.link.end(),
            _ => {}
        }
    }

    fn obey(&mut self, line: Line) {
        match line {
            Line::Say(payload) => self.say(payload),
            Line::Ping => {
                self.send(Packet::control(PING, self.next_ping.to_be_bytes()));
                self.next_ping += 1;
            }
            Line::Busy(milliseconds) => self.send(Packet::control(BUSY, milliseconds.to_be_bytes())),
            Line::Drain => self.send(self.counted(DRAIN)),
            Line::Close { reason, text } => self.close(reason, &text),
            Line::Class(class) => self.class = class,
            Line::Encrypted => self.is_encrypted = !self.is_encrypted,
            Line::Checksum => self.has_trailer = !self.has_trailer,
            Line::Packet(packet) => self.send(packet),
            Line::Flags(flags) => self.next_flags = Some(flags),
            Line::Damage(damage) => self.next_damage = Some(damage),
            Line::Raw(bytes) => self.link.send(&bytes),
            Line::Split(size) => self.link.split = size,
            Line::Silent => self.is_silent = !self.is_silent,
            Line::Pause => self.link.gate.set_shut(true),
            Line::Resume => self.link.gate.set_shut(false),
            Line::Wait(time) => self.hold = Some(Hold { until: Instant::now() + time, kind: None }),
            Line::Await { kind, within } => self.await_packet(kind, within),
            Line::End => {
                self.closing = true;
                self.link.end();
            }
            Line::Cut => {
                self.link.cut();
                self.is_over = true;
            }
            Line::Quit if self.closing => {}
            Line::Quit => self.close(1, ""),
            Line::Help => show(HELP),
        }
    }

    /// A message, in as many frames as the server's limit makes necessary.
    fn say(&mut self, payload: Vec<u8>) {
        let most = self.server.map_or(usize::MAX, |server| server.frame_limit as usize);
        if payload.len() <= most {
            return self.send(line::message(payload, self.class, self.is_encrypted, self.has_trailer));
        }
        let last = payload.len().div_ceil(most) - 1;
        for (index, frame) in payload.chunks(most).enumerate() {
            let mut packet = line::message(frame.to_vec(), self.class, self.is_encrypted, self.has_trailer);
            if index > 0 {
                packet.flags &= !flags::FIRST;
            }
            if index < last {
                packet.flags |= flags::MORE;
            }
            self.send(packet);
        }
    }

    /// CLOSE, and the wait for what the server says to it.
    fn close(&mut self, reason: u16, text: &str) {
        self.link.gate.set_shut(false);
        self.closing = true;
        self.send(wire::close(reason, text, self.received));
        self.hold = Some(Hold { until: Instant::now() + PATIENCE, kind: Some(CLOSE_ACK) });
    }

    /// A packet that says how many messages came.
    fn counted(&self, kind: u8) -> Packet {
        Packet::control(kind, self.received.to_be_bytes())
    }

    fn send(&mut self, mut packet: Packet) {
        packet.flags = self.next_flags.take().unwrap_or(packet.flags);
        let mut bytes = packet.encode(self.server.map_or(0, |server| server.sync_key));
        match self.next_damage.take() {
            None => {}
            Some(Damage::Header) => bytes[11] ^= 1,
            Some(Damage::Trailer) => *bytes.last_mut().expect("a packet is not empty") ^= 1,
            Some(Damage::Length) => drop(bytes.pop()),
        }
        self.link.send(&bytes);
    }
}
