//! The report for programs.

use serde::Serialize;

use super::{CaseReport, Report, Totals};
use crate::verdict::Verdict;

#[derive(Serialize)]
struct JsonReport<'r> {
    totals: Totals,
    cases: Vec<JsonCase<'r>>,
}

#[derive(Serialize)]
struct JsonCase<'r> {
    id: &'r str,
    requirement: &'r str,
    verdict: &'static str,
    subject: &'r str,
    role: &'static str,
    reason: &'r str,
    milliseconds: u128,
    /// Only of cases that were not passed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    transcript: Vec<String>,
}

impl Report {
    /// The report as JSON: an object with `totals` and `cases`.
    #[must_use]
    pub fn to_json(&self) -> String {
        let cases = self.cases.iter().map(JsonCase::from).collect();
        let report = JsonReport { totals: self.totals(), cases };
        serde_json::to_string_pretty(&report).expect("strings and numbers always make JSON")
    }
}

impl<'r> From<&'r CaseReport> for JsonCase<'r> {
    fn from(case: &'r CaseReport) -> Self {
        let (verdict, tell) = match case.verdict {
            Verdict::Pass => ("pass", false),
            Verdict::Fail(_) => ("fail", true),
            Verdict::NotApplicable(_) => ("not-applicable", false),
            Verdict::HarnessError(_) => ("harness-error", true),
        };
        let lines = case.observations.iter().map(|seen| format!("{} ms: {}", seen.at.as_millis(), seen.what));
        Self {
            id: case.id,
            requirement: case.requirement,
            verdict,
            subject: &case.subject,
            role: case.role.name(),
            reason: case.verdict.reason(),
            milliseconds: case.duration.as_millis(),
            transcript: lines.filter(|_| tell).collect(),
        }
    }
}
