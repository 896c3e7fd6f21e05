//! One case, run once under a watchdog.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use pulsewire_spec::Level;

use crate::case::{Case, Variant};
use crate::context::Context;
use crate::ending::ConnectionEnd;
use crate::random;
use crate::report::CaseReport;
use crate::run::Options;
use crate::subject::Subject;
use crate::transcript::Transcript;
use crate::verdict::{Failure, Outcome, Verdict};

/// How often the machine is asked whether it is late.
const TICK: Duration = Duration::from_millis(10);
/// A machine that wakes a thread this late is busy.
const BUSY: Duration = Duration::from_millis(30);
/// A time limit missed by less than one part in this many may be the fault of a busy machine.
const GREY_SHARE: u32 = 4;

/// What came out of one try.
pub(crate) struct Attempt {
    pub(crate) report: CaseReport,
    /// The case failed by a time limit that it missed by little, while the machine was busy.
    pub(crate) is_grey: bool,
}

/// How the thread of a case ended.
enum Finish {
    Outcome(Outcome),
    Panicked(String),
    Hangs,
}

/// Runs one case on one subject, once.
pub(crate) fn attempt(subject: &Arc<dyn Subject>, case: &'static Case, variant: Variant, options: &Options) -> Attempt {
    let (began, transcript) = (Instant::now(), Transcript::new());
    let (verdict, is_grey) = match options.manifest.verdict_on(case) {
        Some(declared) => (declared, false),
        None => {
            let (finish, lateness) = run_watched(subject, case, variant, options, &transcript);
            let is_grey = lateness > BUSY && misses_by_little(&finish);
            (verdict(finish, case, options), is_grey)
        }
    };
    let steps = transcript.steps();
    let report = CaseReport {
        id: case.id.into(),
        requirement: case.requirement().into(),
        level: level_of(case.requirement()).keyword().into(),
        title: case.title.into(),
        subject: subject.name().into(),
        role: variant.role,
        chunking: variant.chunking,
        verdict,
        end: ConnectionEnd::of(&steps),
        duration: began.elapsed(),
        first_attempt: None,
        known_failure: None,
        trace: None,
        steps,
    };
    Attempt { report, is_grey }
}

/// The requirement that the sentence of a violation begins with, or else that of the case.
pub(crate) fn broken_requirement<'a>(of_case: &'a str, sentence: &'a str) -> &'a str {
    let named = sentence.split_once(':').map(|(id, _)| id).filter(|id| pulsewire_spec::requirement(id).is_some());
    named.unwrap_or(of_case)
}

fn level_of(id: &str) -> Level {
    pulsewire_spec::requirement(id).map_or(Level::Must, |requirement| requirement.level)
}

fn misses_by_little(finish: &Finish) -> bool {
    matches!(finish, Finish::Outcome(Err(Failure::Untimely { limit, miss, .. })) if *miss < *limit / GREY_SHARE)
}

fn verdict(finish: Finish, case: &Case, options: &Options) -> Verdict {
    match finish {
        Finish::Outcome(Ok(())) => Verdict::Pass,
        Finish::Outcome(Err(Failure::Violation(sentence) | Failure::Untimely { sentence, .. })) => {
            let level = level_of(broken_requirement(case.requirement(), &sentence));
            Verdict::violated(level, options.strict, sentence)
        }
        Finish::Outcome(Err(Failure::NotApplicable(sentence))) => Verdict::NotApplicable(sentence),
        Finish::Outcome(Err(Failure::Harness(sentence))) => Verdict::HarnessError(sentence),
        Finish::Panicked(sentence) => Verdict::HarnessError(format!("the case panicked: {sentence}")),
        Finish::Hangs => Verdict::HarnessError(format!("the case hangs: no verdict after {:?}", options.watchdog)),
    }
}

/// Runs the case in a thread of its own, and measures meanwhile how late the machine wakes this one.
fn run_watched(
    subject: &Arc<dyn Subject>,
    case: &'static Case,
    variant: Variant,
    options: &Options,
    transcript: &Transcript,
) -> (Finish, Duration) {
    let seed = random::seed_of_case(options.seed, case.id, variant.role);
    let subject = subject.seeded(seed).unwrap_or_else(|| Arc::clone(subject));
    let (transcript, (sender, receiver)) = (transcript.clone(), mpsc::channel());
    let spawned = thread::Builder::new().name(case.id.into()).spawn(move || {
        let finish = match catch_unwind(AssertUnwindSafe(|| judge(subject.as_ref(), case, variant, seed, transcript))) {
            Ok(outcome) => Finish::Outcome(outcome),
            Err(panic) => Finish::Panicked(panic_message(panic.as_ref())),
        };
        // The watchdog may have given the case up and gone.
        let _ = sender.send(finish);
    });
    match spawned {
        Ok(_) => await_finish(&receiver, options.watchdog),
        Err(error) => (Finish::Panicked(format!("no thread could be started: {error}")), Duration::ZERO),
    }
}

/// The end of the case, and the most that one of this thread's short waits took too long.
fn await_finish(receiver: &Receiver<Finish>, watchdog: Duration) -> (Finish, Duration) {
    let (began, mut lateness) = (Instant::now(), Duration::ZERO);
    while began.elapsed() < watchdog {
        let asleep = Instant::now();
        match receiver.recv_timeout(TICK) {
            Ok(finish) => return (finish, lateness),
            Err(RecvTimeoutError::Timeout) => lateness = lateness.max(asleep.elapsed().saturating_sub(TICK)),
            Err(RecvTimeoutError::Disconnected) => return (Finish::Panicked("its thread is gone".into()), lateness),
        }
    }
    (Finish::Hangs, lateness)
}

fn judge(subject: &dyn Subject, case: &Case, variant: Variant, seed: u64, transcript: Transcript) -> Outcome {
    if let Some(obstacle) = subject.fixed_profile().and_then(|fixed| case.obstacle(&fixed)) {
        return Err(Failure::NotApplicable(obstacle.into()));
    }
    let mut context = Context::new(subject, seed, case.wanted_profile(), variant, transcript);
    let outcome = (case.run)(&mut context);
    context.stop();
    outcome
}

fn panic_message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "without a message".into())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Finish, broken_requirement, misses_by_little};
    use crate::verdict::{Outcome, not_after, not_before, violation};

    const LIMIT: Duration = Duration::from_millis(1_000);

    fn is_little(outcome: Outcome) -> bool {
        misses_by_little(&Finish::Outcome(outcome))
    }

    #[test]
    fn only_a_limit_missed_by_less_than_a_quarter_is_grey() {
        let after = |milliseconds| not_after(Duration::from_millis(milliseconds), LIMIT, "late");
        let before = |milliseconds| not_before(Duration::from_millis(milliseconds), LIMIT, "early");
        after(1_000).expect("in time");
        before(1_000).expect("in time");
        assert!(is_little(after(1_001)) && is_little(after(1_249)) && is_little(before(751)));
        assert!(!is_little(after(1_250)) && !is_little(before(750)));
        assert!(!is_little(violation("no limit at all")) && !is_little(Ok(())));
    }

    #[test]
    fn a_sentence_may_name_another_requirement() {
        assert_eq!(broken_requirement("PW-HB-001", "PW-HDR-002: no magic"), "PW-HDR-002");
        assert_eq!(broken_requirement("PW-HB-001", "PW-HDR-999: no magic"), "PW-HB-001");
        assert_eq!(broken_requirement("PW-HB-001", "no answer"), "PW-HB-001");
    }
}
