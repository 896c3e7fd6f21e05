//! Captures of runs, and the dissector for Wireshark: tshark has to read in every vector of the specification what the suite reads.

#[expect(dead_code, reason = "other tests need more of it")]
mod tool;

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;
use std::time::Duration;

use conformance::capture::{CLIENT_PORTS, SERVER_PORT, capture};
use pulsewire_conformance::{
    Action, Chunking, Dissector, Edits, Field, Part, Role, Sample, Setting, Step, Trace, TraceHead,
};
use pulsewire_spec::vectors::{self, ConversationAction};
use tool::{Tested, Tool, assert_code};

const DISSECTOR: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/wireshark/pulsewire.lua");
const COLUMNS: [&str; 8] = [
    "tcp.srcport",
    "tcp.dstport",
    "pulsewire.kind",
    "pulsewire.flags",
    "pulsewire.class",
    "pulsewire.length",
    "pulsewire.check.status",
    "pulsewire.trailer.status",
];

/// The packets of a direction, each as its fields.
type Packets = BTreeMap<(u16, u16), Vec<String>>;

/// Whether tshark is there; in CI it has to be.
fn has_tshark() -> bool {
    let found = Command::new("tshark").arg("--version").output().is_ok_and(|output| output.status.success());
    assert!(found || std::env::var_os("CI").is_none(), "tshark is not installed: .ci/run installs it");
    if !found {
        eprintln!("SKIPPED: tshark is not installed, so no capture was read");
    }
    found
}

fn tshark(file: &str, tool: &Tool, options: &[&str]) -> Result<String, Box<dyn std::error::Error>> {
    let script = format!("lua_script:{DISSECTOR}");
    let output =
        Command::new("tshark").args(["-X", &script, "-r", file]).args(options).current_dir(&tool.folder).output()?;
    let complaints = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && !complaints.contains("Lua"), "{complaints}");
    Ok(String::from_utf8(output.stdout)?)
}

fn step(connection: u32, action: Action, bytes: &[u8], cuts: Vec<usize>) -> Step {
    let bytes = Sample { start: bytes.to_vec(), length: bytes.len(), fingerprint: None };
    Step {
        at: Duration::from_millis(connection.into()),
        connection,
        action,
        text: "bytes".into(),
        bytes,
        cuts,
        write: None,
    }
}

/// A HELLO with this key. The check of a header does not depend on the payload.
fn hello(key: u32) -> Vec<u8> {
    let mut bytes = vec![0xF7, 0x9A, 1, 0, 0, 0, 0, 0x2A, 0x82, 0x77, 0x1B, 0x9B, 0, 1, 0, 2, 1, 1, 0, 2, 0, 4];
    bytes.extend(key.to_be_bytes());
    bytes.extend([0, 3, 0, 8, 0, 1, 0, 0, 1, 0, 0, 0, 0, 4, 0, 4, 0, 0, 0, 10, 0, 5, 0, 4, 0, 0, 0, 0]);
    bytes
}

/// Each vector as a connection of its own.
fn steps_of_vectors() -> Vec<Step> {
    let mut steps = Vec::new();
    let mut connection = 0;
    for vector in vectors::framing().iter().chain(vectors::control()) {
        connection += 1;
        let stream = vector.stream.bytes();
        steps.push(step(connection, Action::Received, &hello(vector.key), Vec::new()));
        // Cut at two places, so that it has to be put together again.
        let cuts = [1, 13].into_iter().filter(|cut| *cut < stream.len()).collect();
        if !stream.is_empty() {
            steps.push(step(connection, Action::Sent, stream, cuts));
        }
    }
    for conversation in vectors::conversations() {
        connection += 1;
        for exchange in &conversation.steps {
            if let ConversationAction::Receive(bytes) = &exchange.action {
                steps.push(step(connection, Action::Sent, bytes.bytes(), Vec::new()));
            }
            if !exchange.out.bytes().is_empty() {
                steps.push(step(connection, Action::Received, exchange.out.bytes(), Vec::new()));
            }
        }
    }
    steps
}

/// What the suite reads.
fn read_by_suite(steps: &[Step]) -> Packets {
    let mut dissector = Dissector::new();
    let mut packets = Packets::new();
    for step in steps {
        let client = CLIENT_PORTS + u16::try_from(step.connection).expect("few connections");
        let direction = if step.action == Action::Sent { (client, SERVER_PORT) } else { (SERVER_PORT, client) };
        let parts = dissector.take(step);
        packets.entry(direction).or_default().extend(parts.iter().filter_map(as_text));
    }
    packets.retain(|_, packets| !packets.is_empty());
    packets
}

/// A whole packet, or a header with a wrong check, in the words of tshark.
fn as_text(part: &Part) -> Option<String> {
    let of = |name: &str| part.fields.iter().find(|field| field.name == name);
    let (Some(kind), Some(check)) = (of("kind"), of("check")) else { return None };
    if part.title.contains(',') {
        return None;
    }
    let first_word = |field: &Field| field.value.split(' ').next().unwrap_or_default().to_owned();
    let check = match (&check.fault, check.value.contains("not seen")) {
        (Some(_), _) => "wrong",
        (None, true) => "unknown",
        (None, false) => "right",
    };
    let trailer = of("trailer").map(|field| if field.fault.is_some() { "wrong" } else { "right" });
    let class = of("class").map(first_word)?;
    let length = of("length").map(first_word)?;
    Some(format!("{} class {class} length {length} {check} {}", first_word(kind), trailer.unwrap_or("-")))
}

/// What tshark reads.
fn read_by_tshark(lines: &str) -> Packets {
    let mut packets = Packets::new();
    for line in lines.lines() {
        let columns: Vec<&str> = line.split('\t').collect();
        let [source, target, kinds, flags, classes, lengths, checks, trailers] = columns[..] else {
            panic!("{line}");
        };
        if kinds.is_empty() {
            continue;
        }
        let list = |column: &str| column.split(',').map(str::to_owned).collect::<Vec<_>>();
        let (kinds, flags, classes) = (list(kinds), list(flags), list(classes));
        let (lengths, checks, mut trailers) = (list(lengths), list(checks), list(trailers).into_iter());
        let ports = (source.parse().expect("a port"), target.parse().expect("a port"));
        for index in 0..kinds.len() {
            let flags = u8::from_str_radix(flags[index].trim_start_matches("0x"), 16).expect("hex");
            let has_trailer = flags & 4 != 0 && checks[index] != "wrong";
            let trailer = if has_trailer { trailers.next().expect("a trailer") } else { "-".into() };
            let (kind, class, length, check) = (&kinds[index], &classes[index], &lengths[index], &checks[index]);
            packets.entry(ports).or_default().push(format!("{kind} class {class} length {length} {check} {trailer}"));
        }
    }
    packets
}

#[test]
fn tshark_reads_every_vector_as_the_suite_does() -> Tested {
    if !has_tshark() {
        return Ok(());
    }
    let tool = Tool::new("wireshark")?;
    let steps = steps_of_vectors();
    let head = TraceHead {
        case: "vectors".into(),
        subject: "the specification".into(),
        role: Role::Server,
        chunking: Chunking::Whole,
        setting: Setting::PLAIN,
        seed: 0,
        verdict: "PASS: ".into(),
        edits: Edits::default(),
    };
    let due = read_by_suite(&steps);
    fs::write(tool.folder.join("vectors.pcapng"), capture(&Trace { head, steps }))?;
    let mut options = vec!["-T", "fields"];
    options.extend(COLUMNS.iter().flat_map(|column| ["-e", *column]));
    let seen = read_by_tshark(&tshark("vectors.pcapng", &tool, &options)?);
    assert!(due.values().map(Vec::len).sum::<usize>() > 300, "the vectors are there");
    for (direction, packets) in &due {
        assert_eq!(seen.get(direction), Some(packets), "{direction:?}");
    }
    assert_eq!(seen.len(), due.len());
    Ok(())
}

#[test]
fn a_failure_can_be_opened_in_wireshark() -> Tested {
    let tool = Tool::new("pcapng")?;
    let run = ["--subject", "oracle-in-memory:accepts-unknown-flag", "--case", "PW-HDR-005/unknown-flag"];
    assert_code(&tool.run(&[&run[..], &["--chunking", "whole", "--pcapng", "captures"]].concat())?, 1);
    let names: Vec<_> = fs::read_dir(tool.folder.join("captures"))?.collect::<Result<_, _>>()?;
    assert_eq!(names.len(), 2, "one for each role");
    if !has_tshark() {
        return Ok(());
    }
    let file = "captures/oracle-in-memory_accepts-unknown-flag.PW-HDR-005_unknown-flag.server.whole.pcapng";
    let fields = ["-T", "fields", "-e", "pulsewire.flags", "-e", "frame.comment", "-e", "_ws.expert.message"];
    let shown = tshark(file, &tool, &fields)?;
    assert!(shown.contains("0x15"), "{shown}");
    assert!(shown.contains("the suite waits for CLOSE with UNKNOWN_FLAG"), "{shown}");
    assert!(!shown.contains("wrong") && !shown.contains("previous segment"), "{shown}");
    Ok(())
}
