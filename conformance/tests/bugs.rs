//! The suite catches every bug of the oracle, by a case of the requirement that the bug breaks, and for something that the
//! oracle really did.

use std::sync::Arc;
use std::time::Duration;

use libtest_mimic::{Arguments, Failed, Trial};
use pulsewire_conformance::oracle::{Bug, Oracle};
use pulsewire_conformance::subject::Subject;
use pulsewire_conformance::{Case, CaseReport, Chunking, Options, Sample, Step, Verdict, cases, run_case};

/// Tests at once: they mostly wait.
const THREADS: usize = 16;
/// How long a case may take.
const WATCHDOG: Duration = Duration::from_secs(60);
/// Less than this is noise between the times of two runs.
const NOISE: Duration = Duration::from_millis(50);

fn main() {
    let mut arguments = Arguments::from_args();
    arguments.test_threads.get_or_insert(THREADS);
    let trials = Bug::ALL.iter().map(|bug| Trial::test(bug.name(), || is_caught(*bug)));
    libtest_mimic::run(&arguments, trials.collect()).exit();
}

fn is_caught(bug: Bug) -> Result<(), Failed> {
    let (case, failed) = first_failure(bug)?;
    let verdict = failed.verdict.reason();
    let [first, second] = [(); 2].map(|()| run_case(&clean(), case, failed.variant(), &options()));
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
    Arc::new(Oracle::clean())
}

/// Both oracles draw the same numbers, so that what differs is the bug. A bug may break a SHOULD.
fn options() -> Options {
    Options { watchdog: WATCHDOG, strict: true, ..Options::default() }
}

/// The first case of the requirement that catches the bug. Other cuts than whole writes are tried only where those don't.
fn first_failure(bug: Bug) -> Result<(&'static Case, CaseReport), Failed> {
    let chosen = || cases().filter(|case| case.requirement() == bug.requirement());
    for chunking in Chunking::ALL {
        let runs = chosen().flat_map(|case| case.variants().map(move |variant| (case, variant)));
        for (case, variant) in runs.filter(|(_, variant)| variant.chunking == *chunking) {
            let buggy: Arc<dyn Subject> = Arc::new(Oracle::with_bug(bug));
            let report = run_case(&buggy, case, variant, &options());
            match report.verdict {
                Verdict::Fail(_) => return Ok((case, report)),
                Verdict::Pass => {}
                Verdict::Warn(reason)
                | Verdict::Info(reason)
                | Verdict::Inconclusive(reason)
                | Verdict::NotApplicable(reason)
                | Verdict::Unimplemented(reason)
                | Verdict::HarnessError(reason) => {
                    return Err(format!("{} ({variant}): {reason}", case.id).into());
                }
            }
        }
    }
    Err(format!("no case of {} catches it", bug.requirement()).into())
}

/// What the oracle does in every run: the messages, and apart from them the other packets, since it depends on time where those
/// overtake messages that wait. So does how many PING and BUSY there are.
fn repeatable(report: &CaseReport) -> [Vec<(String, Sample)>; 2] {
    let seen = report.observations().filter(|seen| !seen.text.starts_with("PING"));
    let seen = seen.map(|seen| (seen.text.clone(), seen.bytes.clone()));
    let (mut messages, mut others): (Vec<_>, Vec<_>) = seen.partition(|(text, _)| text.starts_with("DATA"));
    messages.dedup();
    others.dedup();
    [messages, others]
}

/// What the oracle did, with one step for several equal messages or BUSY in a row: how many there are depends on time.
fn joined(report: &CaseReport) -> Vec<&Step> {
    let repeats = |text: &str| text.starts_with("DATA") || text.starts_with("BUSY");
    let mut steps: Vec<&Step> = report.observations().collect();
    steps.dedup_by(|next, one| same(next, one) && repeats(&one.text));
    steps
}

fn same(one: &Step, other: &Step) -> bool {
    one.text == other.text && one.bytes == other.bytes
}

/// Whether the failed run shows something else than the passed one.
///
/// A failed case ends early. That its record is the beginning of the other one is no difference by itself: its last packet
/// must have come at another time, or what is missing must have been due while the failed case still ran.
fn differs(failed: &CaseReport, passed: &CaseReport) -> bool {
    let mut passed = joined(passed).into_iter();
    let mut last = None;
    for seen in joined(failed) {
        match passed.next() {
            Some(due) if same(seen, due) => last = Some((seen.at, due.at)),
            Some(_) | None => return true,
        }
    }
    let other_time = last.is_some_and(|(seen, due)| seen.abs_diff(due) > NOISE);
    other_time || passed.next().is_some_and(|missing| failed.duration > missing.at + NOISE)
}
