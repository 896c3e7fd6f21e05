//! The record of one case in a file: enough to run it again and to see whether the same happens.

use std::fmt::{self, Write};

use serde::{Deserialize, Serialize};

use crate::chunking::Chunking;
use crate::report::{BadLine, CaseReport};
use crate::role::Role;
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
    /// The seed of the run.
    pub seed: u64,
    /// The verdict and its sentence.
    pub verdict: String,
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
        Variant { role: self.role, chunking: self.chunking }
    }
}

impl Trace {
    /// The trace of a case that ran with this seed.
    #[must_use]
    pub fn of(report: &CaseReport, seed: u64) -> Self {
        let CaseReport { id, subject, role, chunking, verdict, steps, .. } = report;
        let verdict = format!("{}: {}", verdict.word(), verdict.reason());
        let head =
            TraceHead { case: id.clone(), subject: subject.clone(), role: *role, chunking: *chunking, seed, verdict };
        Self { head, steps: steps.clone() }
    }

    /// A file name of its own for each case, subject, role and chunking.
    #[must_use]
    pub fn file_name(&self) -> String {
        let TraceHead { case, subject, role, chunking, .. } = &self.head;
        let name = format!("{subject}.{case}.{}.{}.jsonl", role.name(), chunking.name());
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

/// Whether two steps are the same but for their times.
fn is_alike(one: &Step, other: &Step) -> bool {
    let place = one.connection == other.connection && one.action == other.action;
    place && one.text == other.text && one.bytes == other.bytes
}
