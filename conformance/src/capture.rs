//! The steps of a run as a capture for Wireshark and its like, in the format pcapng.
//!
//! Addresses, ports and sequence numbers are made up; times, bytes and the ends of writes are those of the run. What is no packet
//! (what the suite waits for, replies to commands) is a comment on the next packet, and the verdict one on the file.

mod pcapng;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use etherparse::PacketBuilder;
use pulsewire_conformance::{Action, Role, Step, Trace};

use pcapng::Pcapng;

/// The port of the server in a capture, which the dissector knows.
pub const SERVER_PORT: u16 = 7700;
/// The first connection of a run has the port after this one at its client.
pub const CLIENT_PORTS: u16 = 40_000;
const SERVER: [u8; 4] = [127, 0, 0, 1];
const CLIENT: [u8; 4] = [127, 0, 0, 2];
const WINDOW: u16 = u16::MAX;
/// Bytes that a segment has at most.
const SEGMENT: usize = 32_768;
const HOPS: u8 = 64;

/// The capture of a run.
#[must_use]
pub fn capture(trace: &Trace) -> Vec<u8> {
    let head = &trace.head;
    let title = format!("{} ({}, {}), seed {}: {}", head.case, head.subject, head.variant(), head.seed, head.verdict);
    let mut writer = Writer {
        file: Pcapng::new(&title),
        suite_is_client: head.role == Role::Server,
        connections: BTreeMap::new(),
        comment: Vec::new(),
    };
    for step in &trace.steps {
        writer.step(step);
    }
    writer.file.into_bytes()
}

/// What each side of a connection has sent: the next sequence numbers.
#[derive(Clone, Copy)]
struct Sequences {
    suite: u32,
    subject: u32,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Sender {
    Suite,
    Subject,
}

#[derive(Clone, Copy, Default)]
struct Flags {
    syn: bool,
    fin: bool,
    rst: bool,
    /// Every segment but the first has it.
    without_ack: bool,
}

struct Writer {
    file: Pcapng,
    suite_is_client: bool,
    connections: BTreeMap<u32, Sequences>,
    /// What is said beside the next packet.
    comment: Vec<String>,
}

impl Writer {
    fn step(&mut self, step: &Step) {
        match step.action {
            Action::Expected => self.comment.push(format!("the suite waits for {}", step.text)),
            Action::Noted => self.comment.push(step.text.clone()),
            Action::Sent => {
                self.comment.push(step.text.clone());
                self.bytes(step, Sender::Suite);
            }
            Action::Received => self.bytes(step, Sender::Subject),
            Action::Ended => {
                self.segment(step, Sender::Subject, Flags { fin: true, ..Flags::default() }, &[], 1);
            }
            Action::Reset => self.segment(step, Sender::Subject, Flags { rst: true, ..Flags::default() }, &[], 0),
        }
    }

    /// The kept bytes of a step, a segment for each write. Behind them the capture has a gap where bytes were not kept.
    fn bytes(&mut self, step: &Step, sender: Sender) {
        let bytes = &step.bytes.start;
        let ends = step.cuts.iter().copied().chain((SEGMENT..bytes.len()).step_by(SEGMENT)).chain([bytes.len()]);
        // In order, and each once.
        let ends: BTreeSet<usize> = ends.filter(|end| *end <= bytes.len()).collect();
        let mut begin = 0;
        for end in ends {
            let not_kept = if end == bytes.len() { step.bytes.length - end } else { 0 };
            // Sequence numbers have 32 bits, and begin anew behind them.
            let advance = (end - begin + not_kept) as u32;
            self.segment(step, sender, Flags::default(), &bytes[begin..end], advance);
            begin = end;
        }
    }

    /// A segment, before which the connection is opened if it is its first.
    fn segment(&mut self, step: &Step, sender: Sender, flags: Flags, payload: &[u8], advance: u32) {
        if step.connection > 0 && !self.connections.contains_key(&step.connection) {
            self.connections.insert(step.connection, Sequences { suite: 0, subject: 0 });
            let opener = if self.suite_is_client { Sender::Suite } else { Sender::Subject };
            let other = if self.suite_is_client { Sender::Subject } else { Sender::Suite };
            let syn = Flags { syn: true, ..Flags::default() };
            self.write(step, opener, Flags { without_ack: true, ..syn }, &[], 1, String::new());
            self.write(step, other, syn, &[], 1, String::new());
            self.write(step, opener, Flags::default(), &[], 0, String::new());
        }
        let comment = std::mem::take(&mut self.comment).join("\n");
        self.write(step, sender, flags, payload, advance, comment);
    }

    fn write(&mut self, step: &Step, from: Sender, flags: Flags, payload: &[u8], advance: u32, comment: String) {
        let Some(sequences) = self.connections.get_mut(&step.connection) else { return };
        let (sequence, acknowledged) = match from {
            Sender::Suite => (&mut sequences.suite, sequences.subject),
            Sender::Subject => (&mut sequences.subject, sequences.suite),
        };
        let client = CLIENT_PORTS.wrapping_add(step.connection as u16);
        let from_client = (from == Sender::Suite) == self.suite_is_client;
        let (source, target) = if from_client {
            ((CLIENT, client), (SERVER, SERVER_PORT))
        } else {
            ((SERVER, SERVER_PORT), (CLIENT, client))
        };
        let mut builder = PacketBuilder::ipv4(source.0, target.0, HOPS).tcp(source.1, target.1, *sequence, WINDOW);
        *sequence = sequence.wrapping_add(advance);
        if flags.syn {
            builder = builder.syn();
        }
        if flags.fin {
            builder = builder.fin();
        }
        if flags.rst {
            builder = builder.rst();
        }
        if !flags.without_ack {
            builder = builder.ack(acknowledged);
        }
        if !payload.is_empty() {
            builder = builder.psh();
        }
        let mut packet = Vec::with_capacity(builder.size(payload.len()));
        builder.write(&mut packet, payload).expect("a segment of this size fits into a packet");
        self.file.packet(step.at, &packet, &comment);
    }
}

/// Microseconds of a step, as a capture has them.
fn microseconds(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
