//! One test for each case, subject, role and chunking: the subjects of this system, and the oracle, over TCP and in memory.
//!
//! The time of a build is short. Over TCP only the first subject of this system is tried with writes that are cut, and only in the
//! areas that a cut can reach most easily; a run of the tool tries everything with everything. In memory and virtual time,
//! where everything is repeated exactly, a test for each of them says so.

use std::sync::Arc;
use std::time::Duration;

use libtest_mimic::{Arguments, Failed, Trial};
use pulsewire_conformance::oracle::Oracle;
use pulsewire_conformance::subject::Subject;
use pulsewire_conformance::{Area, Case, CaseReport, Chunking, Options, Trace, Variant, Verdict, cases, run_case};

/// Tests at once: they mostly wait.
const THREADS: usize = 16;
/// How long a case may take.
const WATCHDOG: Duration = Duration::from_secs(60);
/// Any number.
const SEED: u64 = 7;
/// Areas that are tried with other cuts than whole writes too: those of the receiver's bytes.
const CUT_AREAS: [&str; 5] = ["HDR", "KEY", "FRM", "DAT", "REJ"];

fn main() {
    let mut arguments = Arguments::from_args();
    arguments.test_threads.get_or_insert(THREADS);
    let oracles: [Arc<dyn Subject>; 2] = [Arc::new(Oracle::clean()), Arc::new(Oracle::clean().in_memory())];
    let mut trials = vec![Trial::test("another seed gives other bytes", another_seed_gives_other_bytes)];
    for (index, subject) in conformance::subjects::of_this_system().into_iter().chain(oracles).enumerate() {
        for case in cases() {
            for variant in case.variants().filter(|variant| is_tried(index, &*subject, case, *variant)) {
                let Variant { role, chunking } = variant;
                let name = format!("{}::{}::{}::{}", subject.name(), case.id, role.name(), chunking.name());
                if subject.in_memory() && chunking == Chunking::Whole {
                    let subject = Arc::clone(&subject);
                    let test = move || is_repeated(&subject, case, variant);
                    trials.push(Trial::test(format!("repeated::{name}"), test));
                }
                let subject = Arc::clone(&subject);
                trials.push(Trial::test(name, move || conforms(&subject, case, variant)));
            }
        }
    }
    libtest_mimic::run(&arguments, trials).exit();
}

fn is_tried(index: usize, subject: &dyn Subject, case: &Case, variant: Variant) -> bool {
    let is_of_cut_area = Area::ALL.iter().any(|area| CUT_AREAS.contains(&area.letters) && area.holds(case.id));
    variant.chunking == Chunking::Whole || subject.in_memory() || index == 0 && is_of_cut_area
}

fn run(subject: &Arc<dyn Subject>, case: &'static Case, variant: Variant, seed: u64) -> CaseReport {
    run_case(subject, case, variant, &Options { watchdog: WATCHDOG, strict: true, seed, ..Options::default() })
}

fn conforms(subject: &Arc<dyn Subject>, case: &'static Case, variant: Variant) -> Result<(), Failed> {
    match run(subject, case, variant, 0).verdict {
        Verdict::Pass => Ok(()),
        // What a transport leaves out is its own affair; the oracle leaves out nothing.
        Verdict::NotApplicable(_) if !subject.name().starts_with("oracle") => Ok(()),
        Verdict::NotApplicable(reason)
        | Verdict::Fail(reason)
        | Verdict::Warn(reason)
        | Verdict::Info(reason)
        | Verdict::Inconclusive(reason)
        | Verdict::Unimplemented(reason)
        | Verdict::HarnessError(reason) => Err(Failed::from(reason)),
    }
}

fn trace(subject: &Arc<dyn Subject>, case: &'static Case, variant: Variant, seed: u64) -> Trace {
    Trace::of(&run(subject, case, variant, seed), seed)
}

/// The same seed twice gives the same trace, byte for byte and with the same times, also after a way through a file.
fn is_repeated(subject: &Arc<dyn Subject>, case: &'static Case, variant: Variant) -> Result<(), Failed> {
    let [first, second] = [(); 2].map(|()| trace(subject, case, variant, SEED));
    let read = Trace::from_lines(&first.to_lines()).map_err(|error| error.to_string())?;
    match read.difference_in_time(&second) {
        None if first == second => Ok(()),
        difference => Err(format!("{difference:#?}").into()),
    }
}

/// Or the comparison of two runs with the same seed would prove nothing.
fn another_seed_gives_other_bytes() -> Result<(), Failed> {
    let (case, subject): (_, Arc<dyn Subject>) =
        (cases().next().expect("a case"), Arc::new(Oracle::clean().in_memory()));
    let variant = case.variants().next().expect("a case has a role");
    let [first, second] = [SEED, SEED + 1].map(|seed| trace(&subject, case, variant, seed));
    first.difference(&second).map(drop).ok_or_else(|| "they are the same".into())
}
