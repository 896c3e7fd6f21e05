//! A verdict as reports show it: with a sign, a word and what is known to fail.

use pulsewire_conformance::{CaseReport, Verdict};

/// What came out of a run of a case, or of several: the worst comes last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Outcome {
    NotApplicable,
    Pass,
    Info,
    Unimplemented,
    Known,
    Warn,
    Inconclusive,
    Error,
    Fail,
}

impl Outcome {
    /// The worst first.
    pub(crate) const ALL: [Self; 9] = [
        Self::Fail,
        Self::Error,
        Self::Inconclusive,
        Self::Warn,
        Self::Known,
        Self::Unimplemented,
        Self::Info,
        Self::Pass,
        Self::NotApplicable,
    ];

    pub(crate) fn of(case: &CaseReport) -> Self {
        match &case.verdict {
            Verdict::Fail(_) if case.known_failure.is_some() => Self::Known,
            Verdict::Fail(_) => Self::Fail,
            Verdict::Pass => Self::Pass,
            Verdict::Warn(_) => Self::Warn,
            Verdict::Info(_) => Self::Info,
            Verdict::Inconclusive(_) => Self::Inconclusive,
            Verdict::NotApplicable(_) => Self::NotApplicable,
            Verdict::Unimplemented(_) => Self::Unimplemented,
            Verdict::HarnessError(_) => Self::Error,
        }
    }

    /// The worst of several; `None` of none.
    pub(crate) fn worst<'c>(cases: impl IntoIterator<Item = &'c CaseReport>) -> Option<Self> {
        cases.into_iter().map(Self::of).max()
    }

    /// A word of letters and hyphens alone, for classes and addresses.
    pub(crate) fn class(self) -> &'static str {
        match self {
            Self::NotApplicable => "not-applicable",
            Self::Pass => "pass",
            Self::Info => "info",
            Self::Unimplemented => "unimplemented",
            Self::Known => "known",
            Self::Warn => "warn",
            Self::Inconclusive => "inconclusive",
            Self::Error => "error",
            Self::Fail => "fail",
        }
    }

    /// The word for people.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::NotApplicable => "not applicable",
            Self::Known => "known failure",
            other => other.class(),
        }
    }

    pub(crate) fn sign(self) -> &'static str {
        match self {
            Self::NotApplicable => "–",
            Self::Pass => "✓",
            Self::Info => "i",
            Self::Unimplemented => "○",
            Self::Known => "✗",
            Self::Warn => "!",
            Self::Inconclusive => "?",
            Self::Error => "⚠",
            Self::Fail => "✗",
        }
    }

    /// Whether somebody should look at it.
    pub(crate) fn is_bad(self) -> bool {
        match self {
            Self::Fail | Self::Error | Self::Inconclusive | Self::Warn | Self::Info => true,
            Self::Known | Self::Unimplemented | Self::Pass | Self::NotApplicable => false,
        }
    }
}
