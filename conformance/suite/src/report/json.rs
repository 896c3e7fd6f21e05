//! The report for programs: a summary, and the lines that it is made from.

use std::collections::HashMap;
use std::fmt;

use serde::Serialize;

use super::{CaseReport, End, Plan, Report, Totals};
use crate::cases::cases;
use crate::chunking::Chunking;
use crate::role::Role;

#[derive(Serialize)]
struct Summary<'r> {
    #[serde(flatten)]
    plan: Plan,
    exit_code: u8,
    totals: Totals,
    violated: Vec<&'r str>,
    stale_expectations: &'r [String],
    faults: &'r [String],
    cases: &'r [CaseReport],
}

/// A line that is none of a run's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadLine {
    /// Counted from 1.
    pub number: usize,
    /// What is wrong with it.
    pub complaint: String,
}

impl fmt::Display for BadLine {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "line {}: {}", self.number, self.complaint)
    }
}

impl std::error::Error for BadLine {}

impl Report {
    /// The report as JSON: an object with the plan, `exit_code`, `totals`, `violated` and `cases`.
    #[must_use]
    pub fn to_json(&self) -> String {
        let summary = Summary {
            plan: self.plan,
            exit_code: self.exit_code(),
            totals: self.totals(),
            violated: self.violated().into_iter().collect(),
            stale_expectations: &self.stale,
            faults: &self.faults,
            cases: &self.cases,
        };
        serde_json::to_string_pretty(&summary).expect("strings and numbers always make JSON")
    }

    /// Puts the cases into the order of the suite; subjects stay in the order in which they came.
    fn sort(&mut self) {
        let places: HashMap<&str, usize> = cases().enumerate().map(|(place, case)| (case.id, place)).collect();
        let mut subjects: Vec<String> = Vec::new();
        for case in &self.cases {
            if !subjects.contains(&case.subject) {
                subjects.push(case.subject.clone());
            }
        }
        self.cases.sort_by_key(|case| {
            let subject = subjects.iter().position(|subject| *subject == case.subject);
            let place = places.get(case.id.as_str()).copied().unwrap_or(usize::MAX);
            let chunking = Chunking::ALL.iter().position(|chunking| *chunking == case.chunking);
            (subject, place, case.role == Role::Client, chunking, case.setting.number())
        });
    }

    /// The report that the lines of a run make, also of one that was killed: first the plan, then the verdicts in the order
    /// in which they came, then what is known at the end. The report has them in the order of the suite. A last line that is cut off counts as not written.
    ///
    /// # Errors
    ///
    /// If a line is neither.
    pub fn from_lines(text: &str) -> Result<Self, BadLine> {
        let bad = |number: usize| move |error: serde_json::Error| BadLine { number, complaint: error.to_string() };
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        let mut lines = whole.lines().zip(1..);
        let (first, number) =
            lines.next().ok_or_else(|| BadLine { number: 1, complaint: "the plan of the run is missing".into() })?;
        let plan = serde_json::from_str(first).map_err(bad(number))?;
        let mut report = Self { plan, cases: Vec::new(), stale: Vec::new(), faults: Vec::new() };
        for (line, number) in lines {
            match serde_json::from_str(line) {
                Ok(End { stale_expectations, faults }) => {
                    report.stale = stale_expectations;
                    report.faults = faults;
                }
                // Any other line is a verdict.
                Err(_) => report.cases.push(serde_json::from_str(line).map_err(bad(number))?),
            }
        }
        report.sort();
        Ok(report)
    }
}
