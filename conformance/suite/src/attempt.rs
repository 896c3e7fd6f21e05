//! One case, run once under a watchdog.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::thread;
use std::time::{Duration, Instant};

use pulsewire_spec::Level;

use crate::case::Case;
use crate::clock;
use crate::context::Context;
use crate::edits::Edits;
use crate::ending::ConnectionEnd;
use crate::options::Options;
use crate::random;
use crate::report::CaseReport;
use crate::setting::Setting;
use crate::subject::Subject;
use crate::transcript::Transcript;
use crate::variant::Variant;
use crate::verdict::{Failure, Outcome, Verdict, broken_requirement};
use crate::world::{Over, World};

/// How often the machine is asked whether it is late.
const TICK: Duration = Duration::from_millis(10);
/// A machine that wakes a thread this late is busy.
const BUSY: Duration = Duration::from_millis(30);
/// A machine that wakes a thread this late may have let the subject sleep for longer than the second that all of them get.
const STALLED: Duration = Duration::from_millis(250);
/// A time limit missed by less than one part in this many may be the fault of a busy machine.
const GREY_SHARE: u32 = 4;

/// What came out of one try.
pub(crate) struct Attempt {
    pub(crate) report: CaseReport,
    /// The case failed while the machine stalled, or by a time limit that it missed by little, or in vain waited for something, while the
    /// machine was busy.
    pub(crate) is_grey: bool,
}

/// How the thread of a case ended.
enum Finish {
    Outcome(Outcome),
    Panicked(String),
    /// In virtual time.
    Deadlock(String),
    /// The run is ended early.
    Stopped,
    Hangs,
}

/// A case that ended, or was given up.
struct Finished {
    finish: Finish,
    /// In the time of the case, which may be virtual.
    duration: Duration,
    /// The most that the machine woke the watchdog too late, where that can have an influence on the case.
    lateness: Duration,
}

/// Runs one case on one subject, once; in the plain setting where it does not apply in that of `variant`, which reaches no further than
/// the subject can be set.
pub(crate) fn attempt(subject: &Arc<dyn Subject>, case: &'static Case, variant: Variant, options: &Options) -> Attempt {
    let is_fixed = subject.fixed_profile().is_some();
    let setting = if is_fixed { variant.setting.of_suite() } else { variant.setting };
    let variant = Variant { setting, ..variant };
    let attempt = attempt_once(subject, case, variant, options);
    let does_not_apply = matches!(attempt.report.verdict, Verdict::NotApplicable(_));
    if does_not_apply && !variant.setting.is_plain() {
        return attempt_once(subject, case, Variant { setting: Setting::PLAIN, ..variant }, options);
    }
    attempt
}

fn attempt_once(subject: &Arc<dyn Subject>, case: &'static Case, variant: Variant, options: &Options) -> Attempt {
    let world = subject.in_memory().then(World::new);
    let transcript = Transcript::new(world.as_ref().map_or_else(clock::now, World::start));
    let (verdict, duration, is_grey) = match options.manifest.verdict_on(case) {
        Some(declared) => (declared, Duration::ZERO, false),
        None => {
            let _turn = world.is_none().then(|| Turn::wait(case));
            let finished = run_watched(subject, case, variant, options, &transcript, world);
            let is_grey = is_grey(&finished.finish, finished.lateness);
            (verdict(finished.finish, case, options), finished.duration, is_grey)
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
        setting: variant.setting,
        is_narrowed: false,
        verdict,
        end: ConnectionEnd::of(&steps),
        duration,
        first_attempt: None,
        known_failure: None,
        trace: None,
        steps,
    };
    Attempt { report, is_grey }
}

/// A case that takes the whole machine waits until all others have ended, and they wait for it.
enum Turn {
    Together { _turn: RwLockReadGuard<'static, ()> },
    Alone { _turn: RwLockWriteGuard<'static, ()> },
}

impl Turn {
    fn wait(case: &Case) -> Self {
        static TURNS: RwLock<()> = RwLock::new(());
        if case.alone {
            Self::Alone { _turn: TURNS.write().unwrap_or_else(PoisonError::into_inner) }
        } else {
            Self::Together { _turn: TURNS.read().unwrap_or_else(PoisonError::into_inner) }
        }
    }
}

fn level_of(id: &str) -> Level {
    pulsewire_spec::requirement(id).map_or(Level::Must, |requirement| requirement.level)
}

/// Whether the machine may be at fault, which was so late.
fn is_grey(finish: &Finish, lateness: Duration) -> bool {
    match finish {
        Finish::Outcome(Err(Failure::Untimely { limit, miss, .. })) => {
            lateness > STALLED || lateness > BUSY && *miss < *limit / GREY_SHARE
        }
        // Something came too late to be what was waited for.
        Finish::Outcome(Err(Failure::Violation(_))) => lateness > STALLED,
        Finish::Hangs => lateness > BUSY,
        Finish::Outcome(_) | Finish::Panicked(_) | Finish::Deadlock(_) | Finish::Stopped => false,
    }
}

fn verdict(finish: Finish, case: &Case, options: &Options) -> Verdict {
    match finish {
        Finish::Outcome(Ok(())) => Verdict::Pass,
        Finish::Outcome(Err(Failure::Violation(sentence) | Failure::Untimely { sentence, .. })) => {
            let level = level_of(broken_requirement(case.requirement(), &sentence));
            Verdict::violated(level, options.strict, sentence)
        }
        Finish::Outcome(Err(Failure::NotApplicable(sentence) | Failure::Unsupported(sentence))) => {
            Verdict::NotApplicable(sentence)
        }
        Finish::Outcome(Err(Failure::Harness(sentence))) => Verdict::HarnessError(sentence),
        Finish::Panicked(sentence) => Verdict::HarnessError(format!("the case panicked: {sentence}")),
        Finish::Deadlock(sentence) => Verdict::HarnessError(sentence),
        Finish::Stopped => Verdict::HarnessError("the run was ended".into()),
        Finish::Hangs => Verdict::HarnessError(format!("the case hangs: no verdict after {:?}", options.watchdog)),
    }
}

/// Runs the case in a thread of its own, in `world` if there is one, and measures meanwhile how late the machine wakes this one.
fn run_watched(
    subject: &Arc<dyn Subject>,
    case: &'static Case,
    variant: Variant,
    options: &Options,
    transcript: &Transcript,
    world: Option<World>,
) -> Finished {
    let seed = random::seed_of_case(options.seed, case.id, variant.role);
    let subject = subject.seeded(seed).unwrap_or_else(|| Arc::clone(subject));
    let (transcript, (sender, receiver)) = (transcript.clone(), mpsc::channel());
    let edits = options.edits.clone();
    let in_thread = world.clone();
    let spawned = thread::Builder::new().name(case.id.into()).spawn(move || {
        let run = || {
            let outcome =
                catch_unwind(AssertUnwindSafe(|| judge(subject.as_ref(), case, variant, seed, &transcript, &edits)));
            (outcome.map_or_else(|panic| finish_of(panic.as_ref()), Finish::Outcome), transcript.elapsed())
        };
        let finish = match in_thread {
            Some(world) => world.run(run),
            None => run(),
        };
        // The watchdog may have given the case up and gone.
        let _ = sender.send(finish);
    });
    if let Err(error) = spawned {
        let finish = Finish::Panicked(format!("no thread could be started: {error}"));
        return Finished { finish, duration: Duration::ZERO, lateness: Duration::ZERO };
    }
    let finished = await_finish(&receiver, options);
    match world {
        None => finished,
        Some(world) => {
            world.end("the watchdog has given the case up");
            Finished { lateness: Duration::ZERO, ..finished }
        }
    }
}

/// The end of the case, and the most that one of this thread's short waits took too long.
#[expect(clippy::disallowed_methods, reason = "the watchdog watches in real time")]
fn await_finish(receiver: &Receiver<(Finish, Duration)>, options: &Options) -> Finished {
    let (began, mut lateness) = (Instant::now(), Duration::ZERO);
    while began.elapsed() < options.watchdog {
        if options.stop.is_wanted() {
            return Finished { finish: Finish::Stopped, duration: began.elapsed(), lateness };
        }
        let asleep = Instant::now();
        match receiver.recv_timeout(TICK) {
            Ok((finish, duration)) => return Finished { finish, duration, lateness },
            Err(RecvTimeoutError::Timeout) => lateness = lateness.max(asleep.elapsed().saturating_sub(TICK)),
            Err(RecvTimeoutError::Disconnected) => {
                let finish = Finish::Panicked("its thread is gone".into());
                return Finished { finish, duration: began.elapsed(), lateness };
            }
        }
    }
    Finished { finish: Finish::Hangs, duration: began.elapsed(), lateness }
}

fn judge(
    subject: &dyn Subject,
    case: &Case,
    variant: Variant,
    seed: u64,
    transcript: &Transcript,
    edits: &Edits,
) -> Outcome {
    if let Some(obstacle) = subject.fixed_profile().and_then(|fixed| case.obstacle(&fixed)) {
        return Err(Failure::Unsupported(obstacle.into()));
    }
    if case.needs_virtual_time() && !subject.in_memory() {
        let sentence = "only a subject that runs in memory and virtual time can be put to sleep";
        return Err(Failure::Unsupported(sentence.into()));
    }
    let mut context = Context::new(subject, seed, case.wanted_profile(), variant, transcript.clone(), edits);
    let outcome = (case.run)(&mut context);
    context.stop();
    match (outcome, subject.fixed_profile().and_then(|fixed| case.wish(&fixed))) {
        (Err(Failure::NotApplicable(sentence)), Some(wish)) => {
            Err(Failure::NotApplicable(format!("{sentence}; {wish} would let it apply")))
        }
        (outcome, _) => outcome,
    }
}

fn finish_of(panic: &(dyn Any + Send)) -> Finish {
    match panic.downcast_ref::<Over>() {
        Some(Over(sentence)) => Finish::Deadlock(sentence.clone()),
        None => Finish::Panicked(panic_message(panic)),
    }
}

fn panic_message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "without a message".into())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{BUSY, Finish, STALLED, is_grey};
    use crate::verdict::{Outcome, in_vain, not_after, not_before, violation};

    const LIMIT: Duration = Duration::from_millis(1_000);
    const MORE: Duration = Duration::from_millis(1);

    fn after(milliseconds: u64) -> Finish {
        Finish::Outcome(not_after(Duration::from_millis(milliseconds), LIMIT, "late"))
    }

    fn before(milliseconds: u64) -> Finish {
        Finish::Outcome(not_before(Duration::from_millis(milliseconds), LIMIT, "early"))
    }

    fn outcome(outcome: Outcome) -> Finish {
        Finish::Outcome(outcome)
    }

    #[test]
    fn on_a_busy_machine_only_a_limit_missed_by_less_than_a_quarter_is_grey() {
        let is_grey = |finish| is_grey(&finish, BUSY + MORE);
        assert!(!is_grey(after(1_000)) && !is_grey(before(1_000)), "in time");
        assert!(is_grey(after(1_001)) && is_grey(after(1_249)) && is_grey(before(751)));
        assert!(!is_grey(after(1_250)) && !is_grey(before(750)));
        assert!(is_grey(outcome(in_vain(LIMIT, "nothing came"))) && is_grey(Finish::Hangs));
        assert!(!is_grey(outcome(violation("no limit at all"))) && !is_grey(outcome(Ok(()))));
    }

    #[test]
    fn on_a_machine_that_stalls_each_failure_is_grey() {
        let is_grey = |finish| is_grey(&finish, STALLED + MORE);
        assert!(is_grey(after(5_000)) && is_grey(before(1)) && is_grey(outcome(violation("nothing came"))));
        assert!(!is_grey(outcome(Ok(()))));
    }

    #[test]
    fn on_a_quiet_machine_nothing_is_grey() {
        assert!(!is_grey(&after(1_001), BUSY) && !is_grey(&outcome(violation("no limit at all")), BUSY));
    }
}
