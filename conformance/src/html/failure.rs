//! What a run shows that was not passed.

use std::path::{Path, PathBuf};

use pulsewire_conformance::{CaseReport, Trace};

use super::timeline::{Timeline, timeline};
use crate::outcome::Outcome;

/// Steps that a page shows in all, so that a telephone can open it.
const STEPS: usize = 4_000;
/// Of a longer timeline the beginning and the end are shown.
const FIRST: usize = 12;
const LAST: usize = 48;

/// The steps that a page still has room for.
pub(super) struct Budget(usize);

impl Default for Budget {
    fn default() -> Self {
        Self(STEPS)
    }
}

pub(super) struct FailureView {
    pub(super) outcome: Outcome,
    pub(super) variant: String,
    pub(super) expected: String,
    pub(super) seen: String,
    pub(super) end: String,
    pub(super) first_attempt: Option<String>,
    pub(super) trace: Option<String>,
    /// `None` where the steps are not known, or the page has no room for them.
    pub(super) timeline: Option<Timeline>,
    pub(super) is_too_much: bool,
}

/// The runs of one case that were not passed. Those that say nothing new come without a timeline first when the page gets large.
pub(super) fn failures(runs: &[&CaseReport], budget: &mut Budget) -> Vec<FailureView> {
    let bad: Vec<&CaseReport> = runs.iter().copied().filter(|case| Outcome::of(case).is_bad()).collect();
    let mut told: Vec<&str> = Vec::new();
    let mut views = Vec::new();
    for case in bad {
        let is_new = !told.contains(&case.verdict.reason());
        told.push(case.verdict.reason());
        let shown = case.steps.len().min(FIRST + LAST);
        // What was told already may use half of the room.
        let room = if is_new { budget.0 } else { budget.0.saturating_sub(STEPS / 2) };
        let fits = shown <= room;
        if fits {
            budget.0 -= shown;
        }
        views.push(FailureView {
            outcome: Outcome::of(case),
            variant: case.variant().to_string(),
            expected: format!("the subject {}", case.title),
            seen: case.verdict.reason().to_owned(),
            end: case.end.to_string(),
            first_attempt: case.first_attempt.clone(),
            trace: case.trace.as_ref().map(|path| path.display().to_string()),
            timeline: (fits && shown > 0).then(|| timeline(case, FIRST, LAST)),
            is_too_much: !fits,
        });
    }
    views
}

/// Puts the steps into a report that was read from lines, as far as its traces are still there.
pub(crate) fn with_steps(case: &mut CaseReport, lines: &Path) {
    let Some(trace) = &case.trace else { return };
    let read = |path: &Path| Trace::from_lines(&std::fs::read_to_string(path).ok()?).ok();
    // The folder of the run may have gone elsewhere, with both in it.
    let folder = lines.parent().unwrap_or(Path::new(""));
    let parts: Vec<_> = trace.components().collect();
    let moved = (1..parts.len()).map(|from| folder.join(parts[from..].iter().collect::<PathBuf>()));
    let mut beside = moved.chain(trace.file_name().map(|name| folder.join("traces").join(name)));
    let found = read(trace).or_else(|| beside.find_map(|path| read(&path)));
    // A later run may have written another trace of the same name.
    let is_of_case = |trace: &Trace| {
        let head = &trace.head;
        let same_run = head.case == case.id && head.subject == case.subject && head.variant() == case.variant();
        same_run && head.verdict.ends_with(case.verdict.reason())
    };
    case.steps = found.filter(is_of_case).map(|trace| trace.steps).unwrap_or_default();
}
