//! The report as JUnit XML, for build servers.

use std::collections::HashMap;

use pulsewire_conformance::{Area, CaseReport, Verdict};
use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};

use crate::html::Run;

/// A suite for each subject of each run, and a test for each way in which a case ran. Known failures and what does not apply are
/// skipped tests; a SHOULD that is not followed passes, with a remark.
pub(crate) fn junit(runs: &[Run]) -> String {
    let mut junit = Report::new("conformance");
    for Run { label, report, .. } in runs {
        let mut subjects: Vec<&str> = report.cases.iter().map(|case| case.subject.as_str()).collect();
        subjects.dedup();
        for subject in subjects {
            let name = if label.is_empty() { subject.to_owned() } else { format!("{subject} ({label})") };
            let mut suite = TestSuite::new(name.as_str());
            let cases = report.cases.iter().filter(|case| case.subject == subject);
            let mut names = HashMap::new();
            suite.add_test_cases(cases.map(|case| test_case(&name, &mut names, case)));
            junit.add_test_suite(suite);
        }
        let faults: Vec<&String> = report.stale.iter().chain(&report.faults).collect();
        let not_run = report.totals().not_run;
        if !faults.is_empty() || not_run > 0 {
            let name = if label.is_empty() { "run".to_owned() } else { format!("run ({label})") };
            let mut suite = TestSuite::new(name.as_str());
            suite.add_test_cases(faults.into_iter().map(|fault| not_passed("the run itself", &name, fault)));
            if not_run > 0 {
                let sentence = format!("{not_run} of {} runs have no verdict", report.plan.planned);
                suite.add_test_case(not_passed("complete", &name, &sentence));
            }
            junit.add_test_suite(suite);
        }
    }
    junit.to_string().expect("strings always make XML")
}

fn not_passed(name: &str, class: &str, sentence: &str) -> TestCase {
    let mut status = TestCaseStatus::non_success(NonSuccessKind::Error);
    status.set_message(sentence);
    let mut test = TestCase::new(name, status);
    test.set_classname(class);
    test
}

/// Several failures may come down to one setting: `names` counts them, as build servers want each name once.
fn test_case(subject: &str, names: &mut HashMap<String, u32>, case: &CaseReport) -> TestCase {
    let area = Area::ALL.iter().find(|area| area.holds(&case.id)).map_or("other", |area| area.name);
    let mut name = format!("{} ({})", case.id, case.variant());
    let count = names.entry(name.clone()).or_default();
    *count += 1;
    if *count > 1 {
        name += &format!(" #{count}");
    }
    let mut test = TestCase::new(name, status(case));
    test.set_classname(format!("{}.{area}", subject.replace('.', "_")));
    test.set_time(case.duration);
    if let Verdict::Warn(_) | Verdict::Info(_) = case.verdict {
        test.set_system_out(case.to_string());
    }
    test
}

fn status(case: &CaseReport) -> TestCaseStatus {
    let not_passed = |kind| {
        let mut status = TestCaseStatus::non_success(kind);
        status.set_type(case.broken().unwrap_or(&case.requirement));
        status.set_message(case.verdict.reason());
        status.set_description(case.to_string());
        status
    };
    let skipped = |reason: &str| {
        let mut status = TestCaseStatus::skipped();
        status.set_message(reason);
        status
    };
    match (&case.verdict, &case.known_failure) {
        (Verdict::Fail(_), Some(reason)) => skipped(&format!("known failure: {reason}")),
        (Verdict::Fail(_), None) => not_passed(NonSuccessKind::Failure),
        (Verdict::HarnessError(_) | Verdict::Inconclusive(_), _) => not_passed(NonSuccessKind::Error),
        (Verdict::NotApplicable(reason), _) => skipped(&format!("not applicable: {reason}")),
        (Verdict::Unimplemented(reason), _) => skipped(&format!("unimplemented: {reason}")),
        (Verdict::Pass | Verdict::Warn(_) | Verdict::Info(_), _) => TestCaseStatus::success(),
    }
}
