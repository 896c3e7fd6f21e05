//! What came out of a case.

use std::time::Duration;

use pulsewire_spec::Level;
use serde::{Deserialize, Serialize};

/// The verdict on one case, with the sentence that explains it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "verdict", content = "reason")]
pub enum Verdict {
    /// The subject does what the requirement demands.
    Pass,
    /// The subject breaks a MUST, or a SHOULD in a strict run.
    Fail(String),
    /// The subject does not follow a SHOULD.
    Warn(String),
    /// The subject does not do what it MAY do. Worth knowing, and nothing more.
    Info(String),
    /// The case ran, and proves nothing either way: twice the machine may have been at fault, which was busy.
    Inconclusive(String),
    /// The requirement does not bind this subject, or cannot be tried on it.
    NotApplicable(String),
    /// The implementation says itself that it lacks this.
    Unimplemented(String),
    /// The suite or the machine is at fault, and nothing is known about the subject.
    HarnessError(String),
}

impl Verdict {
    /// The sentence that explains it; empty for a pass.
    #[must_use]
    pub fn reason(&self) -> &str {
        match self {
            Self::Pass => "",
            Self::Fail(reason)
            | Self::Warn(reason)
            | Self::Info(reason)
            | Self::Inconclusive(reason)
            | Self::NotApplicable(reason)
            | Self::Unimplemented(reason)
            | Self::HarnessError(reason) => reason,
        }
    }

    /// The word for reports, such as `FAIL`.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Pass => "PASS",
            Self::Fail(_) => "FAIL",
            Self::Warn(_) => "WARN",
            Self::Info(_) => "INFO",
            Self::Inconclusive(_) => "INCONCLUSIVE",
            Self::NotApplicable(_) => "N/A",
            Self::Unimplemented(_) => "UNIMPLEMENTED",
            Self::HarnessError(_) => "ERROR",
        }
    }

    /// Whether the case ran and did not end with a pass: worth a timeline and a trace.
    #[must_use]
    pub fn is_worth_a_trace(&self) -> bool {
        match self {
            Self::Fail(_) | Self::Warn(_) | Self::Inconclusive(_) | Self::HarnessError(_) => true,
            Self::Pass | Self::Info(_) | Self::NotApplicable(_) | Self::Unimplemented(_) => false,
        }
    }

    /// The verdict on a subject that breaks a requirement of this level. A strict run takes SHOULD for MUST.
    pub(crate) fn violated(level: Level, strict: bool, reason: String) -> Self {
        match level {
            Level::Must | Level::MustNot => Self::Fail(reason),
            Level::Should | Level::ShouldNot if strict => Self::Fail(reason),
            Level::Should | Level::ShouldNot => Self::Warn(reason),
            Level::May => Self::Info(reason),
        }
    }
}

/// Why a case did not come to its end.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The subject broke a requirement.
    Violation(String),
    /// The subject broke a time limit.
    Untimely {
        /// What it did.
        sentence: String,
        /// The limit.
        limit: Duration,
        /// By how much it was missed.
        miss: Duration,
    },
    /// The case cannot be run on this subject with its numbers.
    NotApplicable(String),
    /// The case cannot be run on this subject, whatever its numbers are.
    Unsupported(String),
    /// The suite or the machine is at fault.
    Harness(String),
}

impl Failure {
    /// The sentence that explains it.
    pub(crate) fn into_sentence(self) -> String {
        match self {
            Self::Violation(sentence)
            | Self::Untimely { sentence, .. }
            | Self::NotApplicable(sentence)
            | Self::Unsupported(sentence)
            | Self::Harness(sentence) => sentence,
        }
    }
}

/// Nothing happened that had to happen by now; a machine that is busy enough makes any wait too short.
pub(crate) fn in_vain<T>(limit: Duration, sentence: impl Into<String>) -> Result<T, Failure> {
    Err(Failure::Untimely { sentence: sentence.into(), limit, miss: Duration::ZERO })
}

/// How a case ends.
pub(crate) type Outcome = Result<(), Failure>;

/// A violation with this sentence.
pub(crate) fn violation<T>(sentence: impl Into<String>) -> Result<T, Failure> {
    Err(Failure::Violation(sentence.into()))
}

/// A violation with the sentence, unless `holds`.
pub(crate) fn require(holds: bool, sentence: impl Into<String>) -> Outcome {
    if holds { Ok(()) } else { violation(sentence) }
}

/// A missed time limit with the sentence, unless `elapsed` is at least `earliest`.
pub(crate) fn not_before(elapsed: Duration, earliest: Duration, sentence: impl Into<String>) -> Outcome {
    within_limit(earliest.saturating_sub(elapsed), earliest, sentence)
}

/// A missed time limit with the sentence, unless `elapsed` is at most `latest`.
pub(crate) fn not_after(elapsed: Duration, latest: Duration, sentence: impl Into<String>) -> Outcome {
    within_limit(elapsed.saturating_sub(latest), latest, sentence)
}

fn within_limit(miss: Duration, limit: Duration, sentence: impl Into<String>) -> Outcome {
    if miss.is_zero() {
        return Ok(());
    }
    Err(Failure::Untimely { sentence: sentence.into(), limit, miss })
}

/// The requirement that the sentence of a violation begins with, or else that of the case.
pub(crate) fn broken_requirement<'a>(of_case: &'a str, sentence: &'a str) -> &'a str {
    let named = sentence.split_once(':').map(|(id, _)| id).filter(|id| pulsewire_spec::requirement(id).is_some());
    named.unwrap_or(of_case)
}

#[cfg(test)]
mod tests {
    use super::broken_requirement;

    #[test]
    fn a_sentence_may_name_another_requirement() {
        assert_eq!(broken_requirement("PW-HB-001", "PW-HDR-002: no magic"), "PW-HDR-002");
        assert_eq!(broken_requirement("PW-HB-001", "PW-HDR-999: no magic"), "PW-HB-001");
        assert_eq!(broken_requirement("PW-HB-001", "no answer"), "PW-HB-001");
    }
}
