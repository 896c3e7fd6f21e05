//! One test for each case, subject and role: the subjects of this system, and the oracle.
//!
//! The time of a build is short. Here only the first subject of this system is tried with writes that are cut, and only in the
//! areas that a cut can reach most easily; a run of the tool tries everything with everything.

use std::sync::Arc;
use std::time::Duration;

use libtest_mimic::{Arguments, Failed, Trial};
use pulsewire_conformance::oracle::Oracle;
use pulsewire_conformance::subject::Subject;
use pulsewire_conformance::{Area, Case, Chunking, Options, Variant, Verdict, cases, run_case};

/// Tests at once: they mostly wait.
const THREADS: usize = 16;
/// How long a case may take.
const WATCHDOG: Duration = Duration::from_secs(60);
/// Areas that are tried with other cuts than whole writes too: those of the receiver's bytes.
const CUT_AREAS: [&str; 5] = ["HDR", "KEY", "FRM", "DAT", "REJ"];

fn main() {
    let mut arguments = Arguments::from_args();
    arguments.test_threads.get_or_insert(THREADS);
    let oracle: Arc<dyn Subject> = Arc::new(Oracle::clean());
    let mut trials = Vec::new();
    for (index, subject) in conformance::subjects::of_this_system().into_iter().chain([oracle]).enumerate() {
        for case in cases() {
            for variant in case.variants().filter(|variant| is_tried(index, case, *variant)) {
                let Variant { role, chunking } = variant;
                let name = format!("{}::{}::{}::{}", subject.name(), case.id, role.name(), chunking.name());
                let subject = Arc::clone(&subject);
                trials.push(Trial::test(name, move || conforms(&subject, case, variant)));
            }
        }
    }
    libtest_mimic::run(&arguments, trials).exit();
}

fn is_tried(subject: usize, case: &Case, variant: Variant) -> bool {
    let is_of_cut_area = Area::ALL.iter().any(|area| CUT_AREAS.contains(&area.letters) && area.holds(case.id));
    variant.chunking == Chunking::Whole || subject == 0 && is_of_cut_area
}

fn conforms(subject: &Arc<dyn Subject>, case: &'static Case, variant: Variant) -> Result<(), Failed> {
    let options = Options { watchdog: WATCHDOG, strict: true, ..Options::default() };
    match run_case(subject, case, variant, &options).verdict {
        Verdict::Pass => Ok(()),
        // What a transport leaves out is its own affair; the oracle leaves out nothing.
        Verdict::NotApplicable(_) if subject.name() != "oracle:none" => Ok(()),
        Verdict::NotApplicable(reason)
        | Verdict::Fail(reason)
        | Verdict::Warn(reason)
        | Verdict::Info(reason)
        | Verdict::Inconclusive(reason)
        | Verdict::Unimplemented(reason)
        | Verdict::HarnessError(reason) => Err(Failed::from(reason)),
    }
}
