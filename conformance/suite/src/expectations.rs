//! Known failures: what is expected to fail, and why.

use std::fmt;

use glob::Pattern;
use serde::Deserialize;

use crate::chunking::Chunking;
use crate::report::CaseReport;
use crate::selection::IdPattern;
use crate::verdict::Verdict;

/// Failures that are known. A known failure violates nothing; one that passes is a fault of the list.
#[derive(Clone, Debug, Default)]
pub struct Expectations {
    known: Vec<KnownFailure>,
}

#[derive(Clone, Debug)]
struct KnownFailure {
    text: String,
    cases: IdPattern,
    subject: Option<Pattern>,
    chunking: Option<Chunking>,
    reason: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct File {
    #[serde(default)]
    known_failure: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    /// Of a case or of a requirement.
    id: String,
    /// The name of the subject; every subject without it.
    subject: Option<String>,
    /// Only where what the suite sends is cut like this; every one without it.
    chunking: Option<Chunking>,
    reason: String,
}

/// Why a list of known failures, or a manifest, is of no use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadFile(pub(crate) String);

impl fmt::Display for BadFile {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl std::error::Error for BadFile {}

impl Expectations {
    /// Reads a list in TOML: tables `[[known-failure]]` with `id` (of a case or a requirement, or a pattern with `*`),
    /// `reason`, and where wanted `subject` and `chunking`.
    ///
    /// # Errors
    ///
    /// If the text is malformed, a reason is empty, or an id matches no case of the suite.
    pub fn parse(text: &str) -> Result<Self, BadFile> {
        let file: File = toml::from_str(text).map_err(|error| BadFile(error.to_string()))?;
        let known = file.known_failure.into_iter().map(KnownFailure::read).collect::<Result<_, _>>()?;
        Ok(Self { known })
    }

    /// The reason for which this case is known to fail.
    pub(crate) fn reason_for(&self, report: &CaseReport) -> Option<&str> {
        self.known.iter().find(|known| known.holds(report)).map(|known| known.reason.as_str())
    }

    /// What the list says and the run does not: a known failure that passes, or that stands for nothing that ran.
    pub(crate) fn faults(&self, reports: &[CaseReport], complete: bool) -> Vec<String> {
        let mut faults = Vec::new();
        for known in &self.known {
            let matched: Vec<&CaseReport> = reports.iter().filter(|report| known.holds(report)).collect();
            // A run of some of the cases says nothing about the rest.
            if matched.is_empty() && complete {
                faults.push(format!("the known failure {} is none of the cases that ran", known.text));
            }
            let passed = matched.iter().filter(|report| report.verdict == Verdict::Pass);
            faults.extend(passed.map(|report| {
                let CaseReport { id, subject, .. } = report;
                format!(
                    "{id} ({subject}, {}) is a known failure, and passes now: take it off the list",
                    report.variant()
                )
            }));
        }
        faults
    }
}

impl KnownFailure {
    fn read(entry: Entry) -> Result<Self, BadFile> {
        let Entry { id, subject, chunking, reason } = entry;
        if reason.trim().is_empty() {
            return Err(BadFile(format!("the known failure {id} has no reason")));
        }
        let cases = IdPattern::parse(&id).map_err(|error| BadFile(format!("known failure: {error}")))?;
        let parse = |text: String| Pattern::new(&text).map_err(|error| BadFile(format!("{text:?}: {error}")));
        Ok(Self { text: id, cases, subject: subject.map(parse).transpose()?, chunking, reason })
    }

    fn holds(&self, report: &CaseReport) -> bool {
        self.cases.holds(&report.id, &report.requirement)
            && self.subject.as_ref().is_none_or(|subject| subject.matches(&report.subject))
            && self.chunking.is_none_or(|chunking| chunking == report.chunking)
    }
}

#[cfg(test)]
mod tests {
    use super::Expectations;

    #[test]
    fn a_list_without_sense_is_refused() {
        for (text, complaint) in [
            ("[[known-failure]]\nid = 'PW-HDR-005'\nreason = ' '", "has no reason"),
            ("[[known-failure]]\nid = 'PW-HDR-905'\nreason = 'x'", "PW-HDR-905"),
            ("[[known-failure]]\nid = 'PW-HDR-005'", "reason"),
            ("[[known-failure]]\nid = 'PW-HDR-005'\nchunking = 'byts'\nreason = 'x'", "byts"),
            ("[[known-failures]]", "known-failures"),
        ] {
            let error = Expectations::parse(text).expect_err(text).to_string();
            assert!(error.contains(complaint), "{error}");
        }
    }
}
