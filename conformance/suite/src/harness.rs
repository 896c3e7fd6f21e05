//! One test for each case, in the tests of a transport: what [`main!`](crate::main) and [`tests!`](crate::tests) call.

#[cfg(feature = "harness")]
mod program;

use std::sync::Arc;

#[cfg(feature = "harness")]
pub use program::run_tests;

use crate::case::Case;
use crate::options::Options;
use crate::run::run_alone;
use crate::subject::Subject;
use crate::variant::Variant;
use crate::verdict::Verdict;

include!(concat!(env!("OUT_DIR"), "/each_case.rs"));

/// Makes a function with `#[test]` of each case, for the ordinary harness, named after the case: `pw_hdr_005_unknown_flag`.
///
/// The first argument makes the subject, anew for each test. Then may come the letters of an [`Area`](crate::Area), or `all`, and
/// after those the [`Options`](crate::Options). A test runs its case in each role and chunking. One that does not apply is passed and says so;
/// [`main!`](crate::main) shows it as ignored.
///
/// ```
/// # use pulsewire_conformance::oracle::Oracle;
/// mod header {
/// #   use super::*;
///     // In place of the oracle stands your own adapter.
///     pulsewire_conformance::tests!(Oracle::clean(), HDR);
/// }
/// ```
#[macro_export]
macro_rules! tests {
    ($subject:expr) => {
        $crate::tests!($subject, all);
    };
    ($subject:expr, $area:ident) => {
        $crate::tests!($subject, $area, $crate::Options::default());
    };
    ($subject:expr, $area:ident, $options:expr) => {
        $crate::__each_case!(($subject, $options), $area);
    };
}

/// The test of one case; `$made` makes the subject and the options.
#[doc(hidden)]
#[macro_export]
macro_rules! __case_test {
    ($made:expr, $name:ident, $id:literal) => {
        #[test]
        fn $name() {
            let (subject, options) = $made;
            $crate::harness::assert_conforms(subject, $id, &options);
        }
    };
}

/// Runs the case with this id in each role, with each chunking that the options choose.
///
/// # Panics
///
/// If it is not passed, with everything that there is to say about that; or if there is no such case.
pub fn assert_conforms(subject: impl Subject + 'static, id: &str, options: &Options) {
    let case = crate::cases().find(|case| case.id == id).unwrap_or_else(|| panic!("there is no case {id}"));
    let subject: Arc<dyn Subject> = Arc::new(subject);
    for variant in case
        .variants(options.strength_for(subject.as_ref()))
        .filter(|variant| options.selection.holds_chunking(variant.chunking))
    {
        match conforms(&subject, case, variant, options) {
            Ok(Conformity::Passed) => {}
            Ok(Conformity::Skipped(reason)) => println!("{id}, {variant}: {reason}"),
            Err(explanation) => panic!("{explanation}"),
        }
    }
}

/// How a case came out that fails no test.
#[derive(Debug)]
enum Conformity {
    Passed,
    /// It proves nothing, for this reason.
    Skipped(String),
}

/// What a test of this case says, with an explanation where it fails: wherever a run of the case alone would not exit with 0,
/// and where a subject for which every case applies is not tried.
fn conforms(
    subject: &Arc<dyn Subject>,
    case: &'static Case,
    variant: Variant,
    options: &Options,
) -> Result<Conformity, String> {
    let report = run_alone(subject, case, variant, options);
    let only = report.cases.first().expect("one case was run");
    if let Some(fault) = report.stale.iter().chain(&report.faults).next() {
        return Err(fault.clone());
    }
    match &only.verdict {
        Verdict::Pass => Ok(Conformity::Passed),
        Verdict::NotApplicable(reason) if !binds(subject.as_ref(), case) => {
            Ok(Conformity::Skipped(format!("not applicable: {reason}")))
        }
        Verdict::NotApplicable(reason) => Err(format!("not applicable, although the subject is complete: {reason}")),
        Verdict::Fail(_) if only.known_failure.is_some() => {
            let reason = only.known_failure.as_deref().unwrap_or_default();
            Ok(Conformity::Skipped(format!("known to fail: {reason}")))
        }
        // What breaks no MUST fails no test; it is shown all the same.
        Verdict::Warn(_) | Verdict::Info(_) => {
            eprint!("{only}");
            Ok(Conformity::Passed)
        }
        Verdict::Unimplemented(reason) => Err(format!("unimplemented: {reason}")),
        Verdict::Fail(_) | Verdict::Inconclusive(_) | Verdict::HarnessError(_) => Err(only.to_string()),
    }
}

/// Whether the case has to apply to the subject.
fn binds(subject: &dyn Subject, case: &Case) -> bool {
    subject.is_complete() && (subject.in_memory() || !case.needs_virtual_time())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::sync::Arc;

    use super::{Conformity, conforms};
    use crate::oracle::{Bug, Oracle};
    use crate::subject::Subject;
    use crate::{Area, Case, Expectations, Options, cases};

    /// The list that `tests!` makes its tests of, by area.
    const LISTED: &str = include_str!(concat!(env!("OUT_DIR"), "/each_case.rs"));

    fn case(id: &str) -> &'static Case {
        cases().find(|case| case.id == id).expect("the case is there")
    }

    fn outcome(subject: Oracle, id: &str, options: &Options) -> Result<Conformity, String> {
        let subject: Arc<dyn Subject> = Arc::new(subject);
        conforms(&subject, case(id), case(id).variants(0).next().expect("a role"), options)
    }

    #[test]
    fn the_macro_lists_exactly_the_cases() {
        let listed = LISTED.lines().filter_map(|line| line.split('"').nth(1));
        let mut ids: Vec<&str> = cases().map(|case| case.id).collect();
        ids.sort_unstable();
        assert_eq!(listed.collect::<Vec<_>>(), ids);
    }

    #[test]
    fn the_macro_has_an_arm_for_each_area_with_cases() {
        let arms: BTreeSet<&str> =
            LISTED.lines().filter_map(|line| line.trim().strip_prefix("($subject:expr, ")?.split(')').next()).collect();
        let areas = Area::ALL.iter().filter(|area| cases().any(|case| area.holds(case.id)));
        assert_eq!(arms, areas.map(|area| area.letters).chain(["all"]).collect());
    }

    #[test]
    fn names_of_tests_are_unique() {
        let names = LISTED.lines().filter_map(|line| line.split(", ").nth(1).filter(|_| line.contains("__case_test")));
        let unique: BTreeSet<&str> = names.collect();
        assert_eq!(unique.len(), cases().count());
    }

    #[test]
    fn a_failed_case_explains_itself() {
        let explanation = outcome(Oracle::with_bug(Bug::NoPong), "PW-HB-008/pong-has-the-number", &Options::default());
        let explanation = explanation.expect_err("it fails");
        assert!(explanation.contains("PW-HB-008 (MUST)"), "{explanation}");
        assert!(explanation.contains("-> PING"), "{explanation}");
    }

    #[test]
    fn a_known_failure_fails_no_test_until_it_passes() {
        let list = "[[known-failure]]\nid = 'PW-HB-008/pong-has-the-number'\nreason = 'No PONG yet.'";
        let options = Options { expectations: Expectations::parse(list).expect("a list"), ..Options::default() };
        let known = outcome(Oracle::with_bug(Bug::NoPong), "PW-HB-008/pong-has-the-number", &options).expect("known");
        assert!(matches!(known, Conformity::Skipped(reason) if reason.contains("No PONG yet.")));
        let stale = outcome(Oracle::clean(), "PW-HB-008/pong-has-the-number", &options).expect_err("it passes now");
        assert!(stale.contains("take it off the list"), "{stale}");
    }
}
