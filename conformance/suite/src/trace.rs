//! The record of one case in a file: enough to run it again and to see whether the same happens.

use std::fmt::{self, Write};

use serde::{Deserialize, Serialize};

use crate::chunking::Chunking;
use crate::dissect::Dissector;
use crate::edits::Edits;
use crate::report::{BadLine, CaseReport};
use crate::role::Role;
use crate::setting::Setting;
use crate::transcript::Step;
use crate::variant::Variant;

/// One case in one role and chunking, its seed, and every step of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trace {
    /// What was run.
    pub head: TraceHead,
    /// What happened.
    pub steps: Vec<Step>,
}

/// What a [`Trace`] is of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TraceHead {
    /// The id of the case.
    pub case: String,
    /// The name of the subject.
    pub subject: String,
    /// The role of the subject.
    pub role: Role,
    /// How what the suite sent was cut.
    pub chunking: Chunking,
    /// The values of what must not matter.
    #[serde(skip_serializing_if = "Setting::is_plain", default)]
    pub setting: Setting,
    /// The seed of the run.
    pub seed: u64,
    /// The verdict and its sentence.
    pub verdict: String,
    /// What was changed about the case.
    #[serde(skip_serializing_if = "Edits::is_empty", default)]
    pub edits: Edits,
}

/// Where two traces part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The place of the step, counted from 1.
    pub number: usize,
    /// The step of the one trace, if it has that many.
    pub before: Option<String>,
    /// The step of the other.
    pub now: Option<String>,
}

impl fmt::Display for Difference {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |step: &Option<String>| step.clone().unwrap_or_else(|| "nothing more".into());
        write!(formatter, "step {}: {}; before: {}", self.number, text(&self.now), text(&self.before))
    }
}

impl TraceHead {
    /// In which of its ways the case was run.
    #[must_use]
    pub fn variant(&self) -> Variant {
        Variant { role: self.role, chunking: self.chunking, setting: self.setting }
    }
}

impl Trace {
    /// The trace of a case that ran with this seed.
    #[must_use]
    pub fn of(report: &CaseReport, seed: u64) -> Self {
        let CaseReport { id, subject, role, chunking, setting, verdict, steps, .. } = report;
        let verdict = format!("{}: {}", verdict.word(), verdict.reason());
        let head = TraceHead {
            case: id.clone(),
            subject: subject.clone(),
            role: *role,
            chunking: *chunking,
            setting: *setting,
            seed,
            verdict,
            edits: Edits::default(),
        };
        Self { head, steps: steps.clone() }
    }

    /// A file name of its own for each case, subject, role, chunking and setting.
    #[must_use]
    pub fn file_name(&self) -> String {
        let TraceHead { case, subject, role, chunking, setting, .. } = &self.head;
        let setting = if setting.is_plain() { String::new() } else { format!(".{:x}", setting.number()) };
        let name = format!("{subject}.{case}.{}.{}{setting}.jsonl", role.name(), chunking.name());
        name.replace(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '.' | '-')), "_")
    }

    /// As JSON lines: what was run, then a line for each step.
    #[must_use]
    pub fn to_lines(&self) -> String {
        let line = |value: serde_json::Result<String>| value.expect("strings and numbers always make JSON");
        let mut lines = line(serde_json::to_string(&self.head)) + "\n";
        for step in &self.steps {
            writeln!(lines, "{}", line(serde_json::to_string(step))).expect("a string takes everything");
        }
        lines
    }

    /// Reads what [`to_lines`](Self::to_lines) wrote.
    ///
    /// # Errors
    ///
    /// If a line is not as expected.
    pub fn from_lines(text: &str) -> Result<Self, BadLine> {
        let bad = |number: usize| move |error: serde_json::Error| BadLine { number, complaint: error.to_string() };
        let mut lines = text.lines().zip(1..);
        let (first, number) = lines.next().unwrap_or(("", 1));
        let head = serde_json::from_str(first).map_err(bad(number))?;
        let parse = |(line, number)| serde_json::from_str(line).map_err(bad(number));
        Ok(Self { head, steps: lines.map(parse).collect::<Result<_, _>>()? })
    }

    /// The first step at which the bytes, or what else happened, are not the same. Times are not compared.
    #[must_use]
    pub fn difference(&self, now: &Self) -> Option<Difference> {
        self.first_difference(now, is_alike)
    }

    /// As [`difference`](Self::difference), and the times must be the same as well, in microseconds: for subjects that run
    /// [in memory](crate::subject::Subject::in_memory).
    #[must_use]
    pub fn difference_in_time(&self, now: &Self) -> Option<Difference> {
        self.first_difference(now, |one, other| is_alike(one, other) && one.at.as_micros() == other.at.as_micros())
    }

    /// As [`difference`](Self::difference), but for what the keys and cookies change that a subject draws at random: for one that cannot
    /// be seeded.
    #[must_use]
    pub fn difference_but_for_keys(&self, now: &Self) -> Option<Difference> {
        let masked = |trace: &Self| Self { head: trace.head.clone(), steps: without_keys(&trace.steps) };
        masked(self).difference(&masked(now))
    }

    fn first_difference(&self, now: &Self, same: fn(&Step, &Step) -> bool) -> Option<Difference> {
        let text = |steps: &[Step], index: usize| steps.get(index).map(|step| step.text.clone());
        let most = self.steps.len().max(now.steps.len());
        let at = (0..most).find(|index| match (self.steps.get(*index), now.steps.get(*index)) {
            (Some(one), Some(other)) => !same(one, other),
            (Some(_), None) | (None, Some(_)) | (None, None) => true,
        })?;
        Some(Difference { number: at + 1, before: text(&self.steps, at), now: text(&now.steps, at) })
    }
}

/// The steps with zeros for whatever depends on a key, and without the numbers that a subject draws at random.
fn without_keys(steps: &[Step]) -> Vec<Step> {
    let mut dissector = Dissector::new();
    let mask = |step: &Step| {
        let mut masked = step.clone();
        for field in dissector.take(step).iter().flat_map(|part| &part.fields).filter(|field| field.is_keyed) {
            masked.bytes.start[field.bytes.clone()].fill(0);
        }
        // It is of all bytes, keys included; how many they are is still compared.
        masked.bytes.fingerprint = None;
        masked.text = ["SYNC_KEY ", "cookie "].iter().fold(masked.text, |text, name| without_value(&text, name));
        masked
    };
    steps.iter().map(mask).collect()
}

/// The text without the word behind each `name`.
fn without_value(text: &str, name: &str) -> String {
    let mut pieces = text.split(name);
    let mut masked = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        masked += name;
        masked += piece.trim_start_matches(|c: char| c.is_ascii_alphanumeric());
    }
    masked
}

/// Whether two steps are the same but for their times.
fn is_alike(one: &Step, other: &Step) -> bool {
    let place = one.connection == other.connection && one.action == other.action;
    place && one.text == other.text && one.bytes == other.bytes
}

#[cfg(test)]
mod tests {
    use super::{Trace, TraceHead, without_value};
    use crate::chunking::Chunking;
    use crate::clock;
    use crate::codec::registry::kind;
    use crate::codec::{Item, Packet, encode_items};
    use crate::edits::Edits;
    use crate::role::Role;
    use crate::setting::Setting;
    use crate::transcript::Transcript;

    /// A handshake with a subject that draws this key, and a PING of this number.
    fn trace(key: u32, number: u64) -> Trace {
        let head = TraceHead {
            case: "case".into(),
            subject: "subject".into(),
            role: Role::Server,
            chunking: Chunking::Whole,
            setting: Setting::PLAIN,
            seed: 0,
            verdict: "PASS: ".into(),
            edits: Edits::default(),
        };
        let transcript = Transcript::new(clock::now());
        let connection = transcript.connection();
        let hello = Packet::control(kind::HELLO_ACK, encode_items(&[Item::versions(1, 1), Item::sync_key(key)]));
        connection.received(&hello, &hello.encode(0));
        let ping = Packet::ping(number).encode(key);
        connection.sent(Some(1), &ping, &[ping.len()], key);
        transcript.note(format!("youngest connection: slot 0 cookie {key}"));
        Trace { head, steps: transcript.steps() }
    }

    #[test]
    fn what_keys_change_is_a_difference_only_where_they_are_compared() {
        let (one, other) = (trace(0x1111_1111, 7), trace(0x2222_2222, 7));
        assert!(one.difference(&other).is_some());
        assert_eq!(one.difference_but_for_keys(&other), None);
        assert_eq!(one.difference_but_for_keys(&trace(0x2222_2222, 8)).map(|found| found.number), Some(2));
    }

    #[test]
    fn values_are_taken_out_of_texts() {
        assert_eq!(without_value("a cookie 12, cookie 3f and", "cookie "), "a cookie , cookie  and");
    }
}
