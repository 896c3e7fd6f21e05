//! What to run, and how.

use std::path::PathBuf;
use std::time::Duration;

use crate::edits::Edits;
use crate::expectations::Expectations;
use crate::manifest::Manifest;
use crate::selection::Selection;
use crate::stop::Stop;
use crate::subject::Subject;

/// What to run, and how.
#[derive(Clone, Debug)]
pub struct Options {
    /// Cases at once. They mostly wait, so that this may be far above the number of processors.
    pub jobs: usize,
    /// Which cases to run.
    pub selection: Selection,
    /// What everything random is drawn from: keys and payloads of the suite, and of subjects that can be seeded.
    pub seed: u64,
    /// Of how many things that must not matter every choice of values is tried, from 0 to 3; without it 1 on sockets, and 2 in memory.
    /// See [`Case::variants`](crate::Case::variants).
    pub strength: Option<u8>,
    /// Whether a SHOULD counts as a MUST.
    pub strict: bool,
    /// How long a case may take. One that hangs is a fault of the harness, and costs no other case.
    pub watchdog: Duration,
    /// Failures that are known.
    pub expectations: Expectations,
    /// What the implementation says about itself.
    pub manifest: Manifest,
    /// A file for the verdicts, one JSON object a line, each written as it comes. See [`Report::from_lines`](crate::Report::from_lines).
    pub json_lines: Option<PathBuf>,
    /// A folder for a [`Trace`](crate::Trace) of each case that did not pass.
    pub traces: Option<PathBuf>,
    /// Whether to show progress on standard error, where that is a terminal.
    pub progress: bool,
    /// What is changed about the cases, for a failure that shows with less: of no use but with one case.
    pub edits: Edits,
    /// Ends the run early.
    pub stop: Stop,
}

impl Options {
    /// [`strength`](Self::strength) for this subject.
    pub(crate) fn strength_for(&self, subject: &dyn Subject) -> u8 {
        self.strength.unwrap_or(if subject.in_memory() { 2 } else { 1 })
    }
}

impl Default for Options {
    /// Every case, 32 at once, each for 90 s at most; seed 0; not strict; no files.
    fn default() -> Self {
        Self {
            jobs: 32,
            selection: Selection::default(),
            seed: 0,
            strength: None,
            strict: false,
            watchdog: Duration::from_secs(90),
            expectations: Expectations::default(),
            manifest: Manifest::default(),
            json_lines: None,
            traces: None,
            progress: false,
            edits: Edits::default(),
            stop: Stop::default(),
        }
    }
}
