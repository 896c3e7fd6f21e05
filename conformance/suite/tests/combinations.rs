//! What must not matter to a case is varied: faults are found that show in some settings only, and these are named.

use std::sync::Arc;

use pulsewire_conformance::oracle::{Bug, Oracle};
use pulsewire_conformance::subject::Subject;
use pulsewire_conformance::{
    CaseReport, Deviation, Options, Report, Role, Selection, Setting, Variant, Verdict, cases, run, run_case,
};

/// The case on an oracle with this bug, with so many parameters varied against each other.
fn report(bug: Bug, case: &str, strength: u8) -> Report {
    let subject: Arc<dyn Subject> = Arc::new(Oracle::with_bug(bug).in_memory());
    let selection = Selection::new(&[case.into()], &[], &[], &[]).expect("a case");
    run(&[subject], &Options { selection, strength: Some(strength), ..Options::default() })
}

fn failures(report: &Report) -> Vec<&CaseReport> {
    report.cases.iter().filter(|case| matches!(case.verdict, Verdict::Fail(_))).collect()
}

/// The case passes as it is written, and fails in the settings that have one of each of these groups, and in no others.
fn shows_only_where(bug: Bug, case: &str, groups: &[&[Deviation]]) {
    assert!(failures(&report(bug, case, 0)).is_empty(), "{case} fails in the plain setting");
    let report = report(bug, case, 2);
    let failures = failures(&report);
    assert!(!failures.is_empty(), "{case} passes in every setting");
    for failure in failures {
        let setting: Vec<Deviation> = failure.setting.deviations().collect();
        let matters = groups.iter().all(|group| group.iter().any(|deviation| failure.setting.has(*deviation)));
        assert!(matters && setting.len() == groups.len(), "{case} fails where {}", failure.setting);
        let text = failure.to_string();
        assert!(text.contains(&format!("only      where {}", failure.setting)), "{text}");
    }
}

#[test]
fn a_budget_below_a_full_frame() {
    let large = [Deviation::SubjectDefaultLimits, Deviation::SubjectEqualLimits];
    let full = [Deviation::FullFrame, Deviation::FrameAndByte];
    shows_only_where(Bug::BudgetIgnoresFrameLimit, "PW-FRM-009/lost-first-frame", &[&large, &full]);
}

#[test]
fn evidence_that_depends_on_the_cut() {
    let timers = [Deviation::SubjectDefaultTimers];
    shows_only_where(Bug::PayloadIsNoEvidence, "PW-FRM-015/stalled-payload", &[&timers]);
}

/// That classes take turns is asked for and not demanded (SHOULD), so that a warning tells of it. Where the suite takes the smallest frames
/// alone the fault may hide: messages have many frames then, between which others go.
#[test]
fn classes_that_wait_for_each_other() {
    let planted = [
        (Bug::ClassesWaitInLine, "PW-DAT-015/between-frames"),
        (Bug::OneClassAtATime, "PW-DAT-015/classes-take-turns"),
    ];
    for (bug, case) in planted {
        let report = report(bug, case, 2);
        let (warned, silent): (Vec<_>, Vec<_>) =
            report.cases.iter().partition(|case| matches!(case.verdict, Verdict::Warn(_)));
        assert!(!warned.is_empty(), "{bug:?}");
        for case in silent {
            assert!(case.setting.has(Deviation::SuiteLeastFrame), "{bug:?} is not seen where {}", case.setting);
        }
    }
}

#[test]
fn a_fault_that_shows_everywhere_is_told_in_the_plain_setting() {
    let report = report(Bug::AcceptsUnknownFlag, "PW-HDR-005/unknown-flag", 2);
    let failures = failures(&report);
    assert!(failures.len() == report.cases.len() && failures.iter().all(|failure| failure.setting.is_plain()));
}

/// With equal limits no frame is above the frame limit alone.
#[test]
fn a_setting_in_which_a_case_does_not_apply_gives_way_to_the_plain_one() {
    let subject: Arc<dyn Subject> = Arc::new(Oracle::clean().in_memory());
    let case = cases().find(|case| case.id == "PW-FRM-012/continuation-too-large").expect("a case");
    let variant =
        Variant { setting: Setting::PLAIN.with(Deviation::SubjectEqualLimits), ..Variant::whole(Role::Server) };
    let report = run_case(&subject, case, variant, &Options::default());
    assert_eq!((report.verdict, report.setting), (Verdict::Pass, Setting::PLAIN));
}

/// Of a subject that fails everywhere, not every failure is narrowed down; of those, no report says that it needs its setting.
#[test]
fn what_is_not_narrowed_down_is_not_said_to_matter() {
    let report = report(Bug::NoPong, "PW-HB-008/pong-has-the-number", 3);
    let of_many = failures(&report).into_iter().filter(|failure| !failure.setting.is_plain() && !failure.is_narrowed);
    let texts: Vec<String> = of_many.map(ToString::to_string).collect();
    assert!(!texts.is_empty(), "every failure was narrowed down");
    assert!(texts.iter().all(|text| text.contains("tried     where") && !text.contains("only      where")));
}

#[test]
fn each_strength_tries_more_settings() {
    let runs = |strength| report(Bug::NoPong, "PW-HDR-001/empty-and-full", strength).cases.len();
    let counts: Vec<usize> = (0..=3).map(runs).collect();
    assert!(counts[0] == counts[1] && counts[1] * 3 < counts[2] && counts[2] * 2 < counts[3], "{counts:?}");
}
