//! What stands side by side: each subject of each run.

use pulsewire_conformance::{CaseReport, Report};

use crate::outcome::Outcome;

/// A run, and the name of its file where several are compared.
pub(crate) struct Run {
    pub(crate) label: String,
    pub(crate) report: Report,
    /// What `replay` needs beside a trace, to find the subject.
    pub(crate) again: String,
}

/// One subject of one run.
pub(super) struct Column<'r> {
    pub(super) name: String,
    pub(super) summary: String,
    pub(super) is_good: bool,
    pub(super) seed: u64,
    pub(super) strict: bool,
    pub(super) planned: usize,
    pub(super) cases: Vec<&'r CaseReport>,
    /// See [`Run::again`].
    pub(super) again: &'r str,
}

impl Column<'_> {
    /// How many came out in each way that occurs, the worst first.
    pub(super) fn counts(&self) -> Vec<(Outcome, usize)> {
        let count = |outcome: &Outcome| self.cases.iter().filter(|case| Outcome::of(case) == *outcome).count();
        let counts = Outcome::ALL.into_iter().map(|outcome| (outcome, count(&outcome)));
        counts.filter(|(_, count)| *count > 0).collect()
    }
}

pub(super) fn columns(runs: &[Run]) -> Vec<Column<'_>> {
    let mut columns: Vec<Column<'_>> = Vec::new();
    for run in runs {
        let mut subjects: Vec<&str> = run.report.cases.iter().map(|case| case.subject.as_str()).collect();
        subjects.dedup();
        let alone = subjects.len() <= 1;
        if subjects.is_empty() {
            subjects.push("nothing ran");
        }
        for subject in subjects {
            let cases: Vec<&CaseReport> = run.report.cases.iter().filter(|case| case.subject == subject).collect();
            let name = if run.label.is_empty() { subject.to_owned() } else { format!("{subject} ({})", run.label) };
            // What a run comes to is said of its only subject; of several, what each of them did.
            let is_good = if alone {
                run.report.exit_code() == 0
            } else {
                Outcome::worst(cases.iter().copied()).is_some_and(|worst| !worst.is_bad())
            };
            let summary = if alone {
                run.report.summary()
            } else if is_good {
                "conforms".into()
            } else {
                "does not conform".into()
            };
            let plan = run.report.plan;
            columns.push(Column {
                name,
                summary,
                is_good,
                seed: plan.seed,
                strict: plan.strict,
                planned: plan.planned,
                cases,
                again: &run.again,
            });
        }
    }
    columns
}
