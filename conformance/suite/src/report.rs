//! What a run gives: progress while it lasts, a table and a JSON report at its end.

mod json;
mod progress;
mod table;

use std::time::Duration;

pub(crate) use progress::Progress;

use crate::role::Role;
use crate::transcript::Observation;
use crate::verdict::Verdict;

/// What came out of one case on one subject.
#[derive(Clone, Debug)]
pub struct CaseReport {
    /// The id of the case.
    pub id: &'static str,
    /// The id of the requirement.
    pub requirement: &'static str,
    /// What the subject had to do.
    pub title: &'static str,
    /// The name of the subject.
    pub subject: String,
    /// The role of the subject.
    pub role: Role,
    /// The verdict.
    pub verdict: Verdict,
    /// How long the case took.
    pub duration: Duration,
    /// What the subject did, as far as the suite could see.
    pub observations: Vec<Observation>,
}

/// What came out of a run.
#[derive(Clone, Debug)]
pub struct Report {
    /// One for each case, subject and role, in a fixed order.
    pub cases: Vec<CaseReport>,
}

/// How many cases came out in which way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Totals {
    /// Cases that were passed.
    pub pass: usize,
    /// Violations.
    pub fail: usize,
    /// Cases that could not be run on the subject.
    pub not_applicable: usize,
    /// Cases in which the suite or the machine was at fault.
    pub harness_error: usize,
}

impl Totals {
    fn of<'c>(cases: impl IntoIterator<Item = &'c CaseReport>) -> Self {
        let mut totals = Self::default();
        for case in cases {
            match case.verdict {
                Verdict::Pass => totals.pass += 1,
                Verdict::Fail(_) => totals.fail += 1,
                Verdict::NotApplicable(_) => totals.not_applicable += 1,
                Verdict::HarnessError(_) => totals.harness_error += 1,
            }
        }
        totals
    }
}

impl Report {
    /// How many cases came out in which way.
    #[must_use]
    pub fn totals(&self) -> Totals {
        Totals::of(&self.cases)
    }

    /// The cases in which a requirement was violated.
    pub fn violations(&self) -> impl Iterator<Item = &CaseReport> {
        self.cases.iter().filter(|case| matches!(case.verdict, Verdict::Fail(_)))
    }

    /// For the shell: 0 if nothing was violated, 1 if something was, 2 if the run says nothing about the subject
    /// because the harness failed or not one case could be run.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        let Totals { pass, fail, harness_error, .. } = self.totals();
        match (fail, harness_error, pass) {
            (1.., _, _) => 1,
            (0, 1.., _) | (0, 0, 0) => 2,
            (0, 0, 1..) => 0,
        }
    }
}
