//! A packet that passed, as a line for people or for programs.

use std::fmt::Write;
use std::time::Duration;

use anstyle::{AnsiColor, Style};
use pulsewire_conformance::wire::{Seen, Side};
use serde::Serialize;

/// Bytes that a line for people shows.
const SHOWN: usize = 24;
/// Bytes that a line for programs has.
const SHOWN_AS_JSON: usize = 4_096;

/// How lines are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    People,
    Json,
}

/// Something that happened on a connection.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Happened<'s> {
    /// A packet, or bytes that are none; with what was done to it on its way.
    Passed { from: Side, seen: &'s Seen, done: &'s [String] },
    /// Anything else, as a word for programs and a sentence for people.
    Told { word: &'s str, sentence: &'s str },
}

#[derive(Serialize)]
struct Passed<'s> {
    milliseconds: f64,
    connection: u32,
    event: &'static str,
    from: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    flags: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    class: Option<u8>,
    text: &'s str,
    damaged: bool,
    length: usize,
    /// The first bytes, header and trailer included.
    bytes: String,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    done: &'s [String],
}

#[derive(Serialize)]
struct Told<'s> {
    milliseconds: f64,
    connection: u32,
    event: &'s str,
    text: &'s str,
}

/// The line for what happened, with its end.
pub(crate) fn line(form: Form, at: Duration, connection: u32, happened: Happened<'_>) -> String {
    let milliseconds = (at.as_secs_f64() * 1e6).round() / 1e3;
    match (form, happened) {
        (Form::People, Happened::Passed { from, seen, done }) => for_people(milliseconds, connection, from, seen, done),
        (Form::People, Happened::Told { sentence, .. }) => {
            format!("{milliseconds:>10.1}  #{connection:<3} -- {sentence}\n")
        }
        (Form::Json, Happened::Passed { from, seen, done }) => {
            let packet = seen.packet.as_ref();
            json(&Passed {
                milliseconds,
                connection,
                event: "packet",
                from: from.name(),
                kind: packet.map(|packet| pulsewire_conformance::wire::kind_name(packet.kind)),
                flags: packet.map(|packet| packet.flags),
                class: packet.map(|packet| packet.class),
                text: &seen.text,
                damaged: seen.is_damaged,
                length: seen.bytes.len(),
                bytes: hex(&seen.bytes[..seen.bytes.len().min(SHOWN_AS_JSON)]),
                done,
            })
        }
        (Form::Json, Happened::Told { word, sentence }) => {
            json(&Told { milliseconds, connection, event: word, text: sentence })
        }
    }
}

fn for_people(milliseconds: f64, connection: u32, from: Side, seen: &Seen, done: &[String]) -> String {
    let arrow = match from {
        Side::Client => "->",
        Side::Server => "<-",
    };
    let style = if seen.is_damaged { AnsiColor::Red.on_default() } else { Style::new() };
    let (faint, loud) = (Style::new().dimmed(), AnsiColor::Yellow.on_default());
    let bytes = &seen.bytes[..seen.bytes.len().min(SHOWN)];
    let more = if seen.bytes.len() > SHOWN { "…" } else { "" };
    let mut line = format!("{milliseconds:>10.1}  #{connection:<3} {arrow} {style}{}{style:#}", seen.text);
    for done in done {
        write!(line, "  {loud}{done}{loud:#}").expect("a string takes everything");
    }
    line + &format!("  {faint}| {}{more}{faint:#}\n", hex(bytes))
}

fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("strings and numbers always make JSON") + "\n"
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
