//! One test for each case, subject of this system, and role.

use std::time::Duration;

use libtest_mimic::{Arguments, Failed, Trial};
use pulsewire_conformance::{Verdict, cases, run_case};

/// Tests at once: they mostly wait.
const THREADS: usize = 16;
/// How long a case may take.
const WATCHDOG: Duration = Duration::from_secs(60);

fn main() {
    let mut arguments = Arguments::from_args();
    arguments.test_threads.get_or_insert(THREADS);
    let mut trials = Vec::new();
    for subject in conformance::subjects::of_this_system() {
        for case in cases() {
            for role in case.roles() {
                let name = format!("{}::{}::{}", subject.name(), case.id, role.name());
                let subject = subject.clone();
                trials.push(Trial::test(name, move || match run_case(&subject, case, *role, WATCHDOG).verdict {
                    Verdict::Pass | Verdict::NotApplicable(_) => Ok(()),
                    Verdict::Fail(reason) | Verdict::HarnessError(reason) => Err(Failed::from(reason)),
                }));
            }
        }
    }
    libtest_mimic::run(&arguments, trials).exit();
}
