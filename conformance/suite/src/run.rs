//! Runs cases, many at once.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use crate::attempt::{Attempt, attempt};
use crate::case::Case;
use crate::options::Options;
use crate::report::{CaseReport, Ledger, Plan, Report};
use crate::selection::Selection;
use crate::subject::Subject;
use crate::variant::Variant;
use crate::verdict::Verdict;

/// A case to run on a subject, and its place in the report.
struct Task<'s> {
    position: usize,
    subject: &'s Arc<dyn Subject>,
    case: &'static Case,
    variant: Variant,
}

/// Runs every selected case on every subject, in every role and chunking.
///
/// A case that misses a time limit by little on a busy machine runs again when all others are done, alone.
#[must_use]
pub fn run(subjects: &[Arc<dyn Subject>], options: &Options) -> Report {
    let tasks = plan(subjects, &options.selection);
    let plan = Plan { planned: tasks.len(), seed: options.seed, strict: options.strict };
    let ledger = Mutex::new(Ledger::open(&plan, options));
    let (tasks, grey) = (Mutex::new(tasks), Mutex::new(Vec::new()));
    let reports = Mutex::new(Vec::new());
    let finish = |position: usize, report: CaseReport| {
        let report = lock(&ledger).enter(report);
        lock(&reports).push((position, report));
    };
    thread::scope(|scope| {
        for _ in 0..options.jobs.max(1) {
            scope.spawn(|| {
                loop {
                    let Some(task) = lock(&tasks).pop_front() else {
                        return;
                    };
                    let Attempt { report, is_grey } = attempt(task.subject, task.case, task.variant, options);
                    if is_grey {
                        lock(&grey).push((task, report));
                    } else {
                        finish(task.position, report);
                    }
                }
            });
        }
    });
    for (task, first) in grey.into_inner().unwrap_or_else(PoisonError::into_inner) {
        let second = attempt(task.subject, task.case, task.variant, options);
        finish(task.position, settle(first, second));
    }
    let mut reports = reports.into_inner().unwrap_or_else(PoisonError::into_inner);
    reports.sort_by_key(|(position, _)| *position);
    let cases: Vec<CaseReport> = reports.into_iter().map(|(_, report)| report).collect();
    let stale = options.expectations.faults(&cases, options.selection.is_everything());
    let faults = ledger.into_inner().unwrap_or_else(PoisonError::into_inner).close(&stale);
    Report { plan, cases, stale, faults }
}

/// Runs one case on one subject, once; gives it up after the watchdog of `options`. No files are written.
#[must_use]
pub fn run_case(subject: &Arc<dyn Subject>, case: &'static Case, variant: Variant, options: &Options) -> CaseReport {
    attempt(subject, case, variant, options).report
}

/// Runs one case on one subject as [`run`] does: with known failures and traces, but without lines. A time limit that is missed by
/// little is tried again while no other case is tried again in this process.
pub(crate) fn run_alone(
    subject: &Arc<dyn Subject>,
    case: &'static Case,
    variant: Variant,
    options: &Options,
) -> Report {
    static SECOND_TRY: Mutex<()> = Mutex::new(());
    let plan = Plan { planned: 1, seed: options.seed, strict: options.strict };
    let options = &Options { json_lines: None, progress: false, ..options.clone() };
    let mut ledger = Ledger::open(&plan, options);
    let Attempt { report, is_grey } = attempt(subject, case, variant, options);
    let report = if is_grey {
        let _alone = lock(&SECOND_TRY);
        settle(report, attempt(subject, case, variant, options))
    } else {
        report
    };
    let cases = vec![ledger.enter(report)];
    let stale = options.expectations.faults(&cases, false);
    let faults = ledger.close(&stale);
    Report { plan, cases, stale, faults }
}

fn plan<'s>(subjects: &'s [Arc<dyn Subject>], selection: &Selection) -> VecDeque<Task<'s>> {
    let mut tasks = VecDeque::new();
    for subject in subjects {
        for case in crate::cases::cases().filter(|case| selection.holds(case)) {
            for variant in case.variants().filter(|variant| selection.holds_chunking(variant.chunking)) {
                tasks.push_back(Task { position: tasks.len(), subject, case, variant });
            }
        }
    }
    tasks
}

/// The verdict on a case that ran alone after it missed a time limit by little: what it did alone is what counts, unless
/// that is as doubtful.
fn settle(first: CaseReport, second: Attempt) -> CaseReport {
    let Attempt { mut report, is_grey } = second;
    if is_grey {
        let sentence = format!("{}; a time limit missed by little, twice, on a busy machine", report.verdict.reason());
        report.verdict = Verdict::Inconclusive(sentence);
    }
    report.first_attempt = Some(first.verdict.reason().into());
    report
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
