//! Runs cases, many at once.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use crate::absence::Presence;
use crate::attempt::{Attempt, attempt};
use crate::case::Case;
use crate::narrow::Narrowing;
use crate::options::Options;
use crate::report::{CaseReport, Ledger, Plan, Report};
use crate::subject::Subject;
use crate::variant::Variant;
use crate::verdict::Verdict;

/// A case to run on a subject, and its place in the report.
struct Task<'s> {
    position: usize,
    subject: &'s Arc<dyn Subject>,
    /// Shared by all tasks of the subject.
    presence: Arc<Presence>,
    case: &'static Case,
    variant: Variant,
}

/// Runs every selected case on every subject, in every role and chunking, with as many settings as [`Options::strength`] says. What fails
/// is tried in simpler settings, and reported in the simplest in which it fails.
///
/// A case that fails as it may on a busy machine runs again when all others are done, alone. A subject that is gone
/// is tried no more, and makes one fault of the report. [`Options::stop`] ends the run early: what has no verdict by then is counted.
#[must_use]
pub fn run(subjects: &[Arc<dyn Subject>], options: &Options) -> Report {
    let presences: Vec<Arc<Presence>> = subjects.iter().map(|_| Arc::default()).collect();
    let tasks = plan(subjects, &presences, options);
    let narrowing = Narrowing::new();
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
                    let Some(Attempt { report, is_grey }) = try_task(&task, options, &narrowing) else {
                        continue;
                    };
                    if is_grey {
                        lock(&grey).push((task, report));
                    } else {
                        finish(task.position, report);
                    }
                }
            });
        }
    });
    let mut trend = Trend::default();
    for (task, first) in grey.into_inner().unwrap_or_else(PoisonError::into_inner) {
        if trend.is_clear() {
            finish(task.position, if trend.is_grey { inconclusive(first) } else { first });
        } else if let Some(second) = try_task(&task, options, &narrowing) {
            trend.note(&second);
            finish(task.position, settle(first, second));
        }
    }
    let mut reports = reports.into_inner().unwrap_or_else(PoisonError::into_inner);
    reports.sort_by_key(|(position, _)| *position);
    let cases: Vec<CaseReport> = reports.into_iter().map(|(_, report)| report).collect();
    let is_whole = options.selection.is_everything() && cases.len() == plan.planned;
    let stale = options.expectations.faults(&cases, is_whole);
    let gone = subjects.iter().zip(&presences).filter_map(|(subject, presence)| presence.fault(subject.name()));
    let faults = ledger.into_inner().unwrap_or_else(PoisonError::into_inner).close(&stale, gone.collect());
    Report { plan, cases, stale, faults }
}

/// Runs a case once; `None` if that proves nothing, since the run is ended or the subject is gone.
fn try_task(task: &Task<'_>, options: &Options, narrowing: &Narrowing) -> Option<Attempt> {
    let first = try_once(task, task.variant, options)?;
    Some(narrowing.narrow(first, |setting| try_once(task, Variant { setting, ..task.variant }, options)))
}

fn try_once(task: &Task<'_>, variant: Variant, options: &Options) -> Option<Attempt> {
    let Task { position, subject, presence, case, .. } = task;
    if options.stop.is_wanted() || !presence.is_there() {
        return None;
    }
    presence.begin(*position, case.id.to_owned());
    let attempt = attempt(subject, case, variant, options);
    let is_doubtful = matches!(attempt.report.verdict, Verdict::Fail(_) | Verdict::Warn(_) | Verdict::HarnessError(_));
    let absence = if is_doubtful && !options.stop.is_wanted() { subject.presence().err() } else { None };
    presence.end(*position, absence);
    let is_ended = options.stop.is_wanted() || !presence.is_there();
    (!is_doubtful || !is_ended).then_some(attempt)
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
    let again = |setting| Some(attempt(subject, case, Variant { setting, ..variant }, options));
    let Attempt { report, is_grey } = Narrowing::new().narrow(attempt(subject, case, variant, options), again);
    let report = if is_grey {
        let _alone = lock(&SECOND_TRY);
        settle(report, attempt(subject, case, variant, options))
    } else {
        report
    };
    let cases = vec![ledger.enter(report)];
    let stale = options.expectations.faults(&cases, false);
    let faults = ledger.close(&stale, Vec::new());
    Report { plan, cases, stale, faults }
}

fn plan<'s>(subjects: &'s [Arc<dyn Subject>], presences: &[Arc<Presence>], options: &Options) -> VecDeque<Task<'s>> {
    let selection = &options.selection;
    let mut tasks = VecDeque::new();
    for (subject, presence) in subjects.iter().zip(presences) {
        let roles = subject.roles();
        for case in crate::cases::cases().filter(|case| selection.holds(case)) {
            let chosen =
                |variant: &Variant| selection.holds_chunking(variant.chunking) && roles.contains(&variant.role);
            for variant in case.variants(options.strength_for(subject.as_ref())).filter(chosen) {
                let (position, presence) = (tasks.len(), Arc::clone(presence));
                tasks.push_back(Task { position, subject, presence, case, variant });
            }
        }
    }
    tasks
}

/// What comes of cases that run a second time, alone. A subject that answers nothing fails in hundreds, each of which takes a while.
#[derive(Default)]
struct Trend {
    /// Whether the last ones were as doubtful as before; else they failed for certain.
    is_grey: bool,
    /// So many of them in a row.
    length: usize,
}

impl Trend {
    /// After so many of one sort in a row the others are taken to be like them.
    const CLEAR: usize = 20;

    fn note(&mut self, second: &Attempt) {
        let is_bad = second.is_grey || matches!(second.report.verdict, Verdict::Fail(_) | Verdict::HarnessError(_));
        let goes_on = is_bad && self.length > 0 && self.is_grey == second.is_grey;
        self.length = if goes_on { self.length + 1 } else { usize::from(is_bad) };
        self.is_grey = second.is_grey;
    }

    fn is_clear(&self) -> bool {
        self.length >= Self::CLEAR
    }
}

fn inconclusive(mut report: CaseReport) -> CaseReport {
    let reason = report.verdict.reason();
    report.verdict =
        Verdict::Inconclusive(format!("{reason}; the machine is busy, and others were as late when they ran alone"));
    report
}

/// The verdict on a case that ran alone after it failed on a busy machine: what it did alone is what counts, unless
/// that is as doubtful.
fn settle(first: CaseReport, second: Attempt) -> CaseReport {
    let Attempt { mut report, is_grey } = second;
    if is_grey {
        let sentence = format!("{}; twice, on a machine that was too busy to tell", report.verdict.reason());
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
