//! What a run gives: verdicts as they come, and at its end a table for people and JSON for programs.

mod cause;
mod failure;
mod json;
mod ledger;
mod look;
mod progress;
mod table;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

pub(crate) use cause::generalised;
pub use cause::{Cause, Group};
pub use json::BadLine;
pub(crate) use ledger::Ledger;
pub use look::{Detail, Look};
use serde::{Deserialize, Serialize};

use crate::chunking::Chunking;
use crate::ending::ConnectionEnd;
use crate::role::Role;
use crate::setting::Setting;
use crate::transcript::{Action, Step};
use crate::variant::Variant;
use crate::verdict::{Verdict, broken_requirement};

/// What came out of one case on one subject.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CaseReport {
    /// The id of the case.
    pub id: String,
    /// The id of the requirement.
    pub requirement: String,
    /// How binding the requirement is, such as `MUST`.
    pub level: String,
    /// What the subject had to do.
    pub title: String,
    /// The name of the subject.
    pub subject: String,
    /// The role of the subject.
    pub role: Role,
    /// How what the suite sent was cut.
    pub chunking: Chunking,
    /// The values of what must not matter.
    #[serde(skip_serializing_if = "Setting::is_plain", default)]
    pub setting: Setting,
    /// It fails no more if one of those is made plain.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub is_narrowed: bool,
    /// The verdict.
    #[serde(flatten)]
    pub verdict: Verdict,
    /// How the last connection of the case ended.
    #[serde(flatten)]
    pub end: ConnectionEnd,
    /// How long the case took, in milliseconds.
    #[serde(rename = "milliseconds", with = "milliseconds")]
    pub duration: Duration,
    /// Why the first try counted for nothing, where a case ran twice.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub first_attempt: Option<String>,
    /// The reason for which it is known to fail.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub known_failure: Option<String>,
    /// The file with every step of the case.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub trace: Option<PathBuf>,
    /// What happened, in both directions. In files it stands in the trace alone.
    #[serde(skip)]
    pub steps: Vec<Step>,
}

impl CaseReport {
    /// In which of its ways the case was run.
    #[must_use]
    pub fn variant(&self) -> Variant {
        Variant { role: self.role, chunking: self.chunking, setting: self.setting }
    }

    /// What the subject did, as far as the suite could see.
    pub fn observations(&self) -> impl Iterator<Item = &Step> {
        self.steps.iter().filter(|step| !matches!(step.action, Action::Sent | Action::Expected))
    }

    /// The id of the requirement that was broken, if one was: not always that of the case.
    #[must_use]
    pub fn broken(&self) -> Option<&str> {
        match &self.verdict {
            Verdict::Fail(sentence) | Verdict::Warn(sentence) | Verdict::Info(sentence) => {
                Some(broken_requirement(&self.requirement, sentence))
            }
            Verdict::Pass
            | Verdict::Inconclusive(_)
            | Verdict::NotApplicable(_)
            | Verdict::Unimplemented(_)
            | Verdict::HarnessError(_) => None,
        }
    }
}

/// What was to be run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// Cases, counted once for each subject, role and chunking.
    pub planned: usize,
    /// What everything random was drawn from.
    pub seed: u64,
    /// Whether a SHOULD counted as a MUST.
    pub strict: bool,
}

/// What is known when the last case is over.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct End {
    stale_expectations: Vec<String>,
    faults: Vec<String>,
}

/// What came out of a run.
#[derive(Clone, Debug)]
pub struct Report {
    /// What was to be run.
    pub plan: Plan,
    /// One for each case, subject, role and chunking that came to an end.
    pub cases: Vec<CaseReport>,
    /// What the list of known failures says, and the run does not.
    pub stale: Vec<String>,
    /// What went wrong with the run itself, such as a file that could not be written.
    pub faults: Vec<String>,
}

/// How many cases came out in which way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Totals {
    /// Cases that were passed.
    pub pass: usize,
    /// Violations that nobody expected.
    pub fail: usize,
    /// Violations that are known.
    pub known_failure: usize,
    /// A SHOULD was not followed.
    pub warn: usize,
    /// What the subject MAY do, and does not.
    pub info: usize,
    /// Cases that prove nothing either way.
    pub inconclusive: usize,
    /// Cases that could not be run on the subject.
    pub not_applicable: usize,
    /// What the implementation says it lacks.
    pub unimplemented: usize,
    /// Cases in which the suite or the machine was at fault.
    pub harness_error: usize,
    /// Cases that were planned and have no verdict.
    pub not_run: usize,
}

/// One of the numbers.
type Count = fn(&Totals) -> usize;

/// What is counted, with a word for each.
const COUNTS: [(&str, Count); 10] = [
    ("passed", |totals| totals.pass),
    ("failed", |totals| totals.fail),
    ("known to fail", |totals| totals.known_failure),
    ("warnings", |totals| totals.warn),
    ("remarks", |totals| totals.info),
    ("inconclusive", |totals| totals.inconclusive),
    ("not applicable", |totals| totals.not_applicable),
    ("unimplemented", |totals| totals.unimplemented),
    ("errors", |totals| totals.harness_error),
    ("not run", |totals| totals.not_run),
];

impl Totals {
    fn of<'c>(cases: impl IntoIterator<Item = &'c CaseReport>) -> Self {
        let mut totals = Self::default();
        for case in cases {
            let count = match (&case.verdict, &case.known_failure) {
                (Verdict::Fail(_), Some(_)) => &mut totals.known_failure,
                (Verdict::Fail(_), None) => &mut totals.fail,
                (Verdict::Pass, _) => &mut totals.pass,
                (Verdict::Warn(_), _) => &mut totals.warn,
                (Verdict::Info(_), _) => &mut totals.info,
                (Verdict::Inconclusive(_), _) => &mut totals.inconclusive,
                (Verdict::NotApplicable(_), _) => &mut totals.not_applicable,
                (Verdict::Unimplemented(_), _) => &mut totals.unimplemented,
                (Verdict::HarnessError(_), _) => &mut totals.harness_error,
            };
            *count += 1;
        }
        totals
    }
}

impl Report {
    /// How many cases came out in which way.
    #[must_use]
    pub fn totals(&self) -> Totals {
        let not_run = self.plan.planned.saturating_sub(self.cases.len());
        Totals { not_run, ..Totals::of(&self.cases) }
    }

    /// What the run comes to, in one line.
    #[must_use]
    pub fn summary(&self) -> String {
        let totals = self.totals();
        let counts = COUNTS.iter().map(|(word, count)| (word, count(&totals))).filter(|(_, count)| *count > 0);
        let counts: Vec<String> = counts.map(|(word, count)| format!("{count} {word}")).collect();
        let outcome = match self.exit_code() {
            0 => "conforms",
            1 if totals.fail > 0 => "violates requirements",
            1 => "the list of known failures is out of date",
            2 => "the harness failed",
            _ => "incomplete",
        };
        format!("{outcome}: {}", if counts.is_empty() { "nothing ran".into() } else { counts.join(", ") })
    }

    /// The cases in which a requirement was violated, and nobody expected it.
    pub fn violations(&self) -> impl Iterator<Item = &CaseReport> {
        self.cases.iter().filter(|case| matches!(case.verdict, Verdict::Fail(_)) && case.known_failure.is_none())
    }

    /// The requirements that were violated, and nobody expected it.
    #[must_use]
    pub fn violated(&self) -> BTreeSet<&str> {
        self.violations().filter_map(CaseReport::broken).collect()
    }

    /// For the shell: 0 if everything that applies was passed; 1 if a requirement was violated, or the list of known failures
    /// is out of date; 2 if the harness failed; 3 if the run is incomplete: something was inconclusive, is unimplemented or
    /// did not run, or no case was passed at all.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        let Totals { pass, fail, inconclusive, unimplemented, harness_error, not_run, known_failure, .. } =
            self.totals();
        if fail > 0 || !self.stale.is_empty() {
            1
        } else if harness_error > 0 || !self.faults.is_empty() {
            2
        } else if inconclusive + unimplemented + not_run > 0 || pass + known_failure == 0 {
            3
        } else {
            0
        }
    }
}

/// Durations as whole milliseconds.
mod milliseconds {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        u64::try_from(duration.as_millis()).unwrap_or(u64::MAX).serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        u64::deserialize(deserializer).map(Duration::from_millis)
    }
}
