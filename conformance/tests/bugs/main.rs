//! The suite catches every bug of the oracle, by a case of the requirement that the bug breaks, and for something that the
//! oracle really did.
//!
//! All runs are in memory and virtual time, so that what is compared is exact: two runs of the same oracle are the same in every
//! step and its time. What came out is written to `target/conformance/bugs.md`.
//!
//! Nothing of it touches the system, and threads take turns slowly under Wine: on Windows a sample of the bugs is tried.

mod matrix;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use libtest_mimic::{Arguments, Failed, Trial};
use pulsewire_conformance::oracle::{Bug, Oracle};
use pulsewire_conformance::subject::Subject;
use pulsewire_conformance::{Case, CaseReport, Chunking, Options, Step, Verdict, cases, run_case};

use matrix::Row;

/// How long a case may take, in real time.
const WATCHDOG: Duration = Duration::from_secs(60);

fn main() {
    let arguments = Arguments::from_args();
    let rows: Arc<Mutex<Vec<Row>>> = Arc::default();
    let tried = Bug::ALL.iter().step_by(if cfg!(windows) { 8 } else { 1 });
    let trials = tried.map(|bug| {
        let rows = Arc::clone(&rows);
        Trial::test(bug.name(), move || is_caught(*bug, &rows))
    });
    let conclusion = libtest_mimic::run(&arguments, trials.collect());
    let rows = rows.lock().unwrap_or_else(PoisonError::into_inner);
    if rows.len() == Bug::ALL.len() {
        matrix::write(&rows);
    }
    conclusion.exit();
}

/// One run of one case on the oracle with a bug.
struct Run {
    case: &'static Case,
    report: CaseReport,
}

fn is_caught(bug: Bug, rows: &Mutex<Vec<Row>>) -> Result<(), Failed> {
    let runs = runs_of(bug);
    rows.lock().unwrap_or_else(PoisonError::into_inner).push(Row::of(bug, &runs));
    if let Some(Run { case, report }) = runs.iter().find(|run| !proves_something(&run.report.verdict)) {
        let (variant, verdict) = (report.variant(), &report.verdict);
        return Err(format!("{} ({variant}): {}: {}", case.id, verdict.word(), verdict.reason()).into());
    }
    let caught = |run: &&Run| matches!(run.report.verdict, Verdict::Fail(_));
    let Some(Run { case, report: failed }) = runs.iter().find(caught) else {
        return Err(format!("no case of {} catches it", bug.requirement()).into());
    };
    runs.iter().filter(caught).try_for_each(|run| repeat(&with_bug(bug), run.case, &run.report))?;
    let passed = run_case(&clean(), case, failed.variant(), &options());
    if passed.verdict != Verdict::Pass {
        return Err(format!("{} does not pass on the clean oracle: {:?}", case.id, passed.verdict).into());
    }
    repeat(&clean(), case, &passed)?;
    if !differs(failed, &passed) {
        let reason = failed.verdict.reason();
        return Err(format!("{} fails ({reason}), but the oracle did what it does without the bug", case.id).into());
    }
    Ok(())
}

fn clean() -> Arc<dyn Subject> {
    Arc::new(Oracle::clean().in_memory())
}

fn with_bug(bug: Bug) -> Arc<dyn Subject> {
    Arc::new(Oracle::with_bug(bug).in_memory())
}

/// Both oracles draw the same numbers, so that what differs is the bug. A bug may break a SHOULD.
fn options() -> Options {
    Options { watchdog: WATCHDOG, strict: true, ..Options::default() }
}

/// Every case of the requirement, in every role, on the oracle with the bug. Other cuts than whole writes are tried only where those
/// catch nothing.
fn runs_of(bug: Bug) -> Vec<Run> {
    let subject = with_bug(bug);
    let mut runs = Vec::new();
    for chunking in Chunking::ALL {
        let cases = cases().filter(|case| case.requirement() == bug.requirement());
        let variants = cases.flat_map(|case| case.variants(1).map(move |variant| (case, variant)));
        let chosen = variants.filter(|(_, variant)| variant.chunking == *chunking);
        runs.extend(chosen.map(|(case, variant)| Run { case, report: run_case(&subject, case, variant, &options()) }));
        if runs.iter().any(|run| matches!(run.report.verdict, Verdict::Fail(_))) {
            break;
        }
    }
    runs
}

/// An oracle leaves out nothing, and a harness that fails has caught nothing.
fn proves_something(verdict: &Verdict) -> bool {
    match verdict {
        Verdict::Pass | Verdict::Fail(_) => true,
        Verdict::Warn(_)
        | Verdict::Info(_)
        | Verdict::Inconclusive(_)
        | Verdict::NotApplicable(_)
        | Verdict::Unimplemented(_)
        | Verdict::HarnessError(_) => false,
    }
}

/// Runs a case once more, which must be the same in every step and its time.
fn repeat(subject: &Arc<dyn Subject>, case: &'static Case, before: &CaseReport) -> Result<(), Failed> {
    let now = run_case(subject, case, before.variant(), &options());
    let same = now.steps == before.steps && now.duration == before.duration && now.verdict == before.verdict;
    if same {
        return Ok(());
    }
    let at = now.steps.iter().zip(&before.steps).find(|(now, before)| now != before);
    Err(format!("two runs of {} on {} differ, first in {at:#?}", case.id, subject.name()).into())
}

/// Whether the oracle with the bug did something else than the one without it.
///
/// A failed case ends early. That its record is the beginning of the other one is no difference by itself: what is missing must
/// have been due while the failed case still ran.
fn differs(failed: &CaseReport, passed: &CaseReport) -> bool {
    let seen: Vec<&Step> = failed.observations().collect();
    let due: Vec<&Step> = passed.observations().collect();
    if seen.iter().zip(&due).any(|(seen, due)| seen != due) || seen.len() > due.len() {
        return true;
    }
    due.get(seen.len()).is_some_and(|missing| missing.at < failed.duration)
}
