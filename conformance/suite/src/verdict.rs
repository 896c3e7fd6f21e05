//! What came out of a case.

use serde::Serialize;

/// The verdict on one case.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "verdict", content = "reason")]
pub enum Verdict {
    /// The subject does what the requirement demands.
    Pass,
    /// The subject breaks the requirement, as the sentence says.
    Fail(String),
    /// The case cannot be run on this subject, for the reason given.
    NotApplicable(String),
    /// The suite or the machine is at fault, and nothing is known about the subject.
    HarnessError(String),
}

impl Verdict {
    /// The sentence that explains it; empty for a pass.
    #[must_use]
    pub fn reason(&self) -> &str {
        match self {
            Self::Pass => "",
            Self::Fail(reason) | Self::NotApplicable(reason) | Self::HarnessError(reason) => reason,
        }
    }
}

/// Why a case did not come to its end.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The subject broke a requirement.
    Violation(String),
    /// The case cannot be run on this subject.
    NotApplicable(String),
    /// The suite or the machine is at fault.
    Harness(String),
}

/// How a case ends.
pub(crate) type Outcome = Result<(), Failure>;

impl From<Failure> for Verdict {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Violation(reason) => Self::Fail(reason),
            Failure::NotApplicable(reason) => Self::NotApplicable(reason),
            Failure::Harness(reason) => Self::HarnessError(reason),
        }
    }
}

/// A violation with this sentence.
pub(crate) fn violation<T>(sentence: impl Into<String>) -> Result<T, Failure> {
    Err(Failure::Violation(sentence.into()))
}

/// A violation with the sentence, unless `holds`.
pub(crate) fn require(holds: bool, sentence: impl Into<String>) -> Outcome {
    if holds { Ok(()) } else { violation(sentence) }
}
