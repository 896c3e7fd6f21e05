//! The suite catches every bug of the oracle, by a case of the requirement that the bug breaks, and for something that the
//! oracle really did.

use std::sync::Arc;
use std::time::Duration;

use libtest_mimic::{Arguments, Failed, Trial};
use pulsewire_conformance::oracle::{Bug, Oracle};
use pulsewire_conformance::subject::Subject;
use pulsewire_conformance::{Case, CaseReport, Observation, Verdict, cases, run_case};

/// Tests at once: they mostly wait.
const THREADS: usize = 16;
/// How long a case may take.
const WATCHDOG: Duration = Duration::from_secs(60);
/// Less than this is noise between the times of two runs.
const NOISE: Duration = Duration::from_millis(50);
/// Both oracles draw the same numbers, so that what differs is the bug.
const SEED: u64 = 7;

fn main() {
    let mut arguments = Arguments::from_args();
    arguments.test_threads.get_or_insert(THREADS);
    let trials = Bug::ALL.iter().map(|bug| Trial::test(bug.name(), || is_caught(*bug)));
    libtest_mimic::run(&arguments, trials.collect()).exit();
}

fn is_caught(bug: Bug) -> Result<(), Failed> {
    let (case, failed) = first_failure(bug)?;
    let verdict = failed.verdict.reason();
    let [first, second] = [(); 2].map(|()| run_case(&clean(), case, failed.role, WATCHDOG));
    for passed in [&first, &second] {
        if passed.verdict != Verdict::Pass {
            return Err(format!("{} does not pass on the clean oracle: {:?}", case.id, passed.verdict).into());
        }
        if !differs(&failed, passed) {
            let sentence = format!("{} fails ({verdict}), but the oracle did what it does without the bug", case.id);
            return Err(sentence.into());
        }
    }
    // A difference means something only where two clean runs show none.
    let [first, second] = [repeatable(&first), repeatable(&second)];
    if first != second {
        return Err(format!("two clean runs of {} differ: {first:#?} {second:#?}", case.id).into());
    }
    Ok(())
}

fn clean() -> Arc<dyn Subject> {
    Arc::new(Oracle::clean().with_seed(SEED))
}

/// The first case of the requirement that catches the bug.
fn first_failure(bug: Bug) -> Result<(&'static Case, CaseReport), Failed> {
    for case in cases().filter(|case| case.requirement() == bug.requirement()) {
        for role in case.roles() {
            let buggy: Arc<dyn Subject> = Arc::new(Oracle::with_bug(bug).with_seed(SEED));
            let report = run_case(&buggy, case, *role, WATCHDOG);
            match report.verdict {
                Verdict::Fail(_) => return Ok((case, report)),
                Verdict::Pass => {}
                Verdict::NotApplicable(reason) | Verdict::HarnessError(reason) => {
                    return Err(format!("{} as {}: {reason}", case.id, role.name()).into());
                }
            }
        }
    }
    Err(format!("no case of {} catches it", bug.requirement()).into())
}

/// What the oracle does in every run: the messages, and apart from them the other packets, since it depends on time where those
/// overtake messages that wait. So does how many PING and BUSY there are.
fn repeatable(report: &CaseReport) -> [Vec<String>; 2] {
    let seen = report.observations.iter().map(|seen| seen.what.clone()).filter(|what| !what.starts_with("PING"));
    let (mut messages, mut others): (Vec<String>, Vec<String>) = seen.partition(|what| what.starts_with("DATA"));
    messages.dedup();
    others.dedup();
    [messages, others]
}

/// What the oracle did, with one observation for several equal messages or BUSY in a row: how many there are depends on time.
fn joined(report: &CaseReport) -> impl Iterator<Item = &Observation> {
    let repeats = |what: &str| what.starts_with("DATA") || what.starts_with("BUSY");
    report.observations.chunk_by(move |one, next| one.what == next.what && repeats(&one.what)).map(|run| &run[0])
}

/// Whether the failed run shows something else than the passed one.
///
/// A failed case ends early. That its record is the beginning of the other one is no difference by itself: its last packet
/// must have come at another time, or what is missing must have been due while the failed case still ran.
fn differs(failed: &CaseReport, passed: &CaseReport) -> bool {
    let mut passed = joined(passed);
    let mut last = None;
    for seen in joined(failed) {
        match passed.next() {
            Some(due) if seen.what == due.what => last = Some((seen.at, due.at)),
            Some(_) | None => return true,
        }
    }
    let other_time = last.is_some_and(|(seen, due)| seen.abs_diff(due) > NOISE);
    other_time || passed.next().is_some_and(|missing| failed.duration > missing.at + NOISE)
}
