//! In memory and virtual time: every case in every role and chunking, and the same once more.
//!
//! Nothing of it touches the system, and threads take turns slowly under Wine: on Windows only the core is tried, with whole writes.

use std::sync::Arc;
use std::time::Duration;

use conformance::subjects::CoreSubject;
use libtest_mimic::{Arguments, Failed, Trial};
use pulsewire_conformance::oracle::Oracle;
use pulsewire_conformance::subject::Subject;
use pulsewire_conformance::{Case, CaseReport, Chunking, Options, Trace, Variant, Verdict, cases, run_case};

/// How long a case may take, in real time.
const WATCHDOG: Duration = Duration::from_secs(60);
/// Any number.
const SEED: u64 = 7;

fn main() {
    let mut subjects: Vec<Arc<dyn Subject>> = vec![Arc::new(CoreSubject::new(SEED))];
    if cfg!(not(windows)) {
        subjects.push(Arc::new(Oracle::clean().in_memory()));
    }
    let mut trials = vec![Trial::test("another seed gives other bytes", another_seed_gives_other_bytes)];
    for subject in subjects {
        for case in cases() {
            let is_tried = |variant: &Variant| cfg!(not(windows)) || variant.chunking == Chunking::Whole;
            for variant in case.variants(1).filter(is_tried) {
                let Variant { role, chunking, .. } = variant;
                let name = format!("{}::{}::{}::{}", subject.name(), case.id, role.name(), chunking.name());
                let subject = Arc::clone(&subject);
                trials.push(Trial::test(name, move || conforms_and_is_repeated(&subject, case, variant)));
            }
        }
    }
    libtest_mimic::run(&Arguments::from_args(), trials).exit();
}

fn run(subject: &Arc<dyn Subject>, case: &'static Case, variant: Variant, seed: u64) -> CaseReport {
    run_case(subject, case, variant, &Options { watchdog: WATCHDOG, strict: true, seed, ..Options::default() })
}

/// The case is passed, and the same seed gives the same trace, byte for byte and with the same times.
fn conforms_and_is_repeated(subject: &Arc<dyn Subject>, case: &'static Case, variant: Variant) -> Result<(), Failed> {
    let [first, second] = [(); 2].map(|()| run(subject, case, variant, SEED));
    match &first.verdict {
        Verdict::Pass => {}
        other => return Err(format!("{}: {}\n{first}", other.word(), other.reason()).into()),
    }
    let [first, second] = [first, second].map(|report| Trace::of(&report, SEED));
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
    let variant = case.variants(1).next().expect("a case has a role");
    let [first, second] = [SEED, SEED + 1].map(|seed| Trace::of(&run(&subject, case, variant, seed), seed));
    first.difference(&second).map(drop).ok_or_else(|| "they are the same".into())
}
