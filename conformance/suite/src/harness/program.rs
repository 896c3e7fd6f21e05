//! A test program of its own, whose tests are the cases.

use std::process::ExitCode;
use std::sync::Arc;

use libtest_mimic::{Arguments, Completion, Trial};

use super::{Conformity, conforms};
use crate::case::Case;
use crate::chunking::Chunking;
use crate::options::Options;
use crate::subject::Subject;
use crate::variant::Variant;

/// Makes the `main` of a test file with `harness = false`: one test for each case, role, chunking and subject, named
/// `SUBJECT::CASE::ROLE`, with `::bytes` or `::pieces` behind it where writes are cut so.
///
/// The first argument is a `Vec<Arc<dyn Subject>>`, the second one the [`Options`](crate::Options) where the default does not
/// fit. The program takes what every test program takes: a filter, `--exact`, `--skip`, `--list`, `--test-threads` and
/// the rest. cargo-nextest runs it, too. A case that does not apply is shown as ignored, with the reason.
///
/// ```
/// # use std::sync::Arc;
/// # use pulsewire_conformance::{Options, Selection, oracle::Oracle};
/// // In place of the oracle stands your own adapter.
/// # /*
/// pulsewire_conformance::main!(vec![Arc::new(Oracle::clean())]);
/// # */
/// # pulsewire_conformance::main!(vec![Arc::new(Oracle::clean())], Options {
/// #     selection: Selection::requirement("PW-HDR-001").expect("it has cases"), ..Options::default()
/// # });
/// ```
#[macro_export]
macro_rules! main {
    ($subjects:expr) => {
        $crate::main!($subjects, $crate::Options::default());
    };
    ($subjects:expr, $options:expr) => {
        fn main() -> ::std::process::ExitCode {
            $crate::harness::run_tests($subjects, $options)
        }
    };
}

/// Runs the tests that the arguments of this process choose among all selected cases.
///
/// As many run at once as `options.jobs` says, unless the arguments say otherwise. No lines are written, and no progress shown.
#[must_use]
pub fn run_tests(subjects: Vec<Arc<dyn Subject>>, options: Options) -> ExitCode {
    let mut arguments = Arguments::from_args();
    arguments.test_threads.get_or_insert(options.jobs);
    let options = Arc::new(options);
    let trials = subjects.iter().flat_map(|subject| trials_of(subject, &options)).collect();
    libtest_mimic::run(&arguments, trials).exit_code()
}

fn trials_of(subject: &Arc<dyn Subject>, options: &Arc<Options>) -> Vec<Trial> {
    let mut trials = Vec::new();
    for case in crate::cases().filter(|case| options.selection.holds(case)) {
        let strength = options.strength_for(subject.as_ref());
        for variant in case.variants(strength).filter(|variant| options.selection.holds_chunking(variant.chunking)) {
            let name = name(subject.name(), case, variant, strength > 1);
            let (subject, options) = (Arc::clone(subject), Arc::clone(options));
            trials.push(Trial::ignorable_test(name, move || {
                Ok(match conforms(&subject, case, variant, &options)? {
                    Conformity::Passed => Completion::Completed,
                    Conformity::Skipped(reason) => Completion::ignored_with(reason),
                })
            }));
        }
    }
    trials
}

/// The setting of a run is named only where more than one has the same chunking.
fn name(subject: &str, case: &Case, Variant { role, chunking, setting }: Variant, has_settings: bool) -> String {
    let mut name = format!("{subject}::{}::{}", case.id, role.name());
    if chunking != Chunking::Whole {
        name = format!("{name}::{}", chunking.name());
    }
    if has_settings && !setting.is_plain() { format!("{name}::{:x}", setting.number()) } else { name }
}
