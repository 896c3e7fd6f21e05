//! One test for each case, subject, and role: the subjects of this system, and the oracle.

use std::sync::Arc;
use std::time::Duration;

use libtest_mimic::{Arguments, Failed, Trial};
use pulsewire_conformance::oracle::Oracle;
use pulsewire_conformance::subject::Subject;
use pulsewire_conformance::{Case, Options, Role, Verdict, cases, run_case};

/// Tests at once: they mostly wait.
const THREADS: usize = 16;
/// How long a case may take.
const WATCHDOG: Duration = Duration::from_secs(60);

fn main() {
    let mut arguments = Arguments::from_args();
    arguments.test_threads.get_or_insert(THREADS);
    let oracles: [Arc<dyn Subject>; 2] = [Arc::new(Oracle::clean()), Arc::new(Oracle::clean().in_memory())];
    let mut trials = Vec::new();
    for subject in conformance::subjects::of_this_system().into_iter().chain(oracles) {
        for case in cases() {
            for role in case.roles() {
                let name = format!("{}::{}::{}", subject.name(), case.id, role.name());
                let subject = Arc::clone(&subject);
                trials.push(Trial::test(name, move || conforms(&subject, case, *role)));
            }
        }
    }
    libtest_mimic::run(&arguments, trials).exit();
}

fn conforms(subject: &Arc<dyn Subject>, case: &'static Case, role: Role) -> Result<(), Failed> {
    let options = Options { watchdog: WATCHDOG, strict: true, ..Options::default() };
    match run_case(subject, case, role, &options).verdict {
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
