use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::*;
use crate::expectations::Expectations;
use crate::manifest::Manifest;
use crate::oracle::{Bug, Oracle};
use crate::profile::Profile;
use crate::role::Role;
use crate::selection::Selection;
use crate::subject::{Running, SubjectError};
use crate::trace::Trace;

/// A subject that cannot even be started, in one way or another.
struct Broken(fn() -> SubjectError);

impl Subject for Broken {
    fn name(&self) -> &str {
        "broken"
    }

    fn serve(&self, _profile: &Profile) -> Result<Box<dyn Running>, SubjectError> {
        Err((self.0)())
    }

    fn connect(&self, _profile: &Profile, _address: SocketAddr) -> Result<Box<dyn Running>, SubjectError> {
        Err((self.0)())
    }
}

/// The cases of the requirement, with whole writes.
fn only(requirement: &str) -> Options {
    let selection = Selection::new(&[], &[], &[requirement.into()], &["whole".into()]).expect("it has cases");
    Options { selection, watchdog: Duration::from_secs(30), ..Options::default() }
}

fn report_on(broken: fn() -> SubjectError) -> Report {
    run(&[Arc::new(Broken(broken))], &only("PW-HDR-001"))
}

fn report_on_bug(bug: Bug, options: &Options) -> Report {
    run(&[Arc::new(Oracle::with_bug(bug))], options)
}

/// A folder for temporary files of one test, removed with its end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("pulsewire-conformance-{}-{name}", std::process::id()));
        fs::create_dir_all(&path).expect("a folder for temporary files");
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What is left over is a few small files, where the system clears up.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// One after the other, so that the second case shows that the run went on. No other subject is tried: on a busy machine the short
/// watchdog would judge that one too.
#[test]
fn a_case_that_hangs_is_a_harness_error_and_the_run_goes_on() {
    let options = Options { watchdog: Duration::from_millis(50), jobs: 1, ..only("PW-HDR-001") };
    let hanging = || {
        thread::park_timeout(Duration::from_secs(60));
        SubjectError::failed("too late")
    };
    let report = run(&[Arc::new(Broken(hanging))], &options);
    assert_eq!((report.cases.len(), report.totals().harness_error), (2, 2), "{report}");
    // Nobody waited for the subject, whose own reason is another.
    assert!(report.cases.iter().all(|case| case.verdict.reason().contains("hangs")), "{report}");
    assert_eq!(report.exit_code(), 2);
}

#[test]
fn a_subject_that_panics_proves_nothing() {
    let report = report_on(|| panic!("on purpose"));
    assert_eq!(report.totals().harness_error, 2);
    assert!(report.cases[0].verdict.reason().contains("on purpose"));
    assert_eq!(report.exit_code(), 2);
}

#[test]
fn a_subject_that_cannot_start_proves_nothing() {
    assert_eq!(report_on(|| SubjectError::failed("no port is free")).exit_code(), 2);
}

#[test]
fn a_subject_for_which_no_case_is_applicable_is_not_green() {
    let report = report_on(|| SubjectError::unsupported("it has no such role"));
    assert_eq!(report.totals().not_applicable, 2);
    assert_eq!(report.exit_code(), 3);
}

#[test]
fn a_should_is_a_warning_unless_the_run_is_strict() {
    let options = only("PW-KEY-004");
    let lenient = report_on_bug(Bug::FixedSyncKey, &options);
    assert!(lenient.totals().warn > 0, "{lenient}");
    assert_eq!(lenient.totals().fail, 0);
    let strict = report_on_bug(Bug::FixedSyncKey, &Options { strict: true, ..options });
    assert!(strict.totals().fail > 0, "{strict}");
    assert_eq!(strict.exit_code(), 1);
}

#[test]
fn known_failures_violate_nothing_and_must_go_on_failing() {
    let list = "[[known-failure]]\nid = 'PW-HDR-005'\nsubject = 'oracle:*'\nreason = 'flags are next week'";
    let expectations = Expectations::parse(list).expect("a list");
    let options = Options { expectations, ..only("PW-HDR-005") };
    let expected = report_on_bug(Bug::AcceptsUnknownFlag, &options);
    assert!(expected.totals().known_failure > 0, "{expected}");
    assert_eq!((expected.exit_code(), expected.violations().count()), (0, 0));
    let folder = Folder::new("stale");
    let lines = folder.0.join("results.jsonl");
    let passing = run(&[Arc::new(Oracle::clean())], &Options { json_lines: Some(lines.clone()), ..options });
    assert_eq!(passing.exit_code(), 1, "{passing}");
    let read = Report::from_lines(&fs::read_to_string(lines).expect("lines")).expect("lines of a run");
    assert_eq!((read.exit_code(), &read.stale), (1, &passing.stale));
    assert!(passing.stale[0].contains("passes now"));
}

#[test]
fn a_known_failure_of_a_subject_that_does_not_run_fails_the_run() {
    let list = "[[known-failure]]\nid = 'PW-HDR-005'\nsubject = 'nobody'\nreason = 'gone'";
    let expectations = Expectations::parse(list).expect("a list");
    let options = Options { expectations, ..Options::default() };
    let report = run(&[Arc::new(Broken(|| SubjectError::unsupported("no role")))], &options);
    assert_eq!((report.exit_code(), report.stale.len()), (1, 1), "{:?}", report.stale);
}

#[test]
fn what_the_manifest_lacks_is_not_green() {
    let manifest = "[[unimplemented]]\nid = 'PW-HDR-005'\nreason = 'next week'";
    let manifest = Manifest::parse(manifest).expect("a manifest");
    let report = run(&[Arc::new(Oracle::clean())], &Options { manifest, ..only("PW-HDR-00[15]") });
    assert!(report.totals().unimplemented > 0 && report.totals().pass > 0, "{report}");
    assert_eq!(report.exit_code(), 3);
}

#[test]
fn the_lines_make_the_report_also_when_some_are_missing() {
    let folder = Folder::new("lines");
    let path = folder.0.join("results.jsonl");
    let report = run(&[Arc::new(Oracle::clean())], &Options { json_lines: Some(path.clone()), ..only("PW-KEY-001") });
    let text = fs::read_to_string(&path).expect("the lines of the run");
    let whole = Report::from_lines(&text).expect("lines of a run");
    assert_eq!((whole.totals(), whole.exit_code()), (report.totals(), 0));
    let verdicts = text.trim_end().rfind('\n').expect("more than one line");
    let killed = Report::from_lines(&text[..verdicts - 20]).expect("the last verdict is cut off");
    assert_eq!((killed.totals().not_run, killed.exit_code()), (1, 3));
}

#[test]
fn a_file_that_cannot_be_written_is_a_harness_error() {
    let folder = Folder::new("unwritable");
    // A folder is no file.
    let json_lines = Some(folder.0.clone());
    let report = run(&[Arc::new(Oracle::clean())], &Options { json_lines, ..only("PW-KEY-001") });
    assert_eq!(report.exit_code(), 2);
    assert!(report.faults[0].contains("cannot be written"));
}

#[test]
fn a_failure_leaves_a_trace_that_tells_all_of_it() {
    let folder = Folder::new("traces");
    let traces = &folder.0;
    let report =
        report_on_bug(Bug::AcceptsUnknownFlag, &Options { traces: Some(traces.clone()), ..only("PW-HDR-005") });
    let failed = report.violations().next().expect("the bug is caught");
    let path = failed.trace.as_deref().expect("a failure leaves a trace");
    let trace = Trace::from_lines(&fs::read_to_string(path).expect("the trace")).expect("a trace");
    assert_eq!(path, traces.join(trace.file_name()));
    assert_eq!(trace.difference(&Trace::of(failed, 0)), None);
    let shown = report.to_string();
    for part in ["PW-HDR-005 (MUST)", "expected  the subject", "seen  ", "-> HELLO VERSIONS", "<- HELLO_ACK"] {
        assert!(shown.contains(part), "{part:?} is missing in:\n{shown}");
    }
    assert_eq!(
        shown.matches(&format!("FAIL {} (", failed.id)).count(),
        1,
        "one block for all ways to run it:\n{shown}"
    );
}

/// Without timers, what the oracle does depends on the seed alone. Where packets that were sent together are cut apart, it depends
/// on time what it does before the next one has come.
#[test]
fn the_same_seed_gives_the_same_trace() {
    let oracle: Arc<dyn Subject> = Arc::new(Oracle::clean());
    let trace = |case, variant, seed| {
        Trace::of(&run_case(&oracle, case, variant, &Options { seed, ..Options::default() }), seed)
    };
    let selection =
        Selection::new(&[], &["header".into(), "sync-key".into(), "messages".into()], &[], &[]).expect("areas");
    // How many messages fit into a queue depends on how many of them the system took meanwhile, and so does which of them goes
    // first. How much of a message comes in its time depends on the clock.
    let timed = [
        "PW-DAT-005/as-large-as-a-frame",
        "PW-DAT-011/many-writers",
        "PW-DAT-011/until-the-queue-is-full",
        "PW-DAT-013/",
        "PW-DAT-014/",
        "PW-DAT-015/",
    ];
    let is_timed = |case: &&Case| timed.iter().any(|id| case.id.starts_with(id));
    for case in crate::cases::cases().filter(|case| selection.holds(case) && !is_timed(case)) {
        for variant in case.roles().iter().map(|role| Variant::whole(*role)) {
            let [first, second] = [(); 2].map(|()| trace(case, variant, 7));
            if let Some(difference) = first.difference(&second) {
                panic!("{} as {variant}: {difference}", case.id);
            }
            assert!(trace(case, variant, 8).difference(&first).is_some(), "{}: another seed, the same keys", case.id);
        }
    }
}

fn untimely(is_grey: bool, verdict: Verdict) -> Attempt {
    let case = crate::cases::cases().next().expect("a case");
    let subject: Arc<dyn Subject> = Arc::new(Broken(|| SubjectError::unsupported("no role")));
    let report = run_case(&subject, case, Variant::whole(Role::Server), &Options::default());
    Attempt { report: CaseReport { verdict, ..report }, is_grey }
}

#[test]
fn what_a_case_does_alone_is_what_counts() {
    let first = || untimely(true, Verdict::Fail("1,040 ms".into())).report;
    for verdict in [Verdict::Pass, Verdict::Fail("1,500 ms".into())] {
        let settled = settle(first(), untimely(false, verdict.clone()));
        assert_eq!((settled.verdict, settled.first_attempt.as_deref()), (verdict, Some("1,040 ms")));
    }
    let doubtful = settle(first(), untimely(true, Verdict::Fail("1,030 ms".into())));
    assert!(matches!(doubtful.verdict, Verdict::Inconclusive(_)));
}

#[test]
fn an_inconclusive_case_is_not_green() {
    let doubtful =
        settle(untimely(true, Verdict::Fail("late".into())).report, untimely(true, Verdict::Fail("late again".into())));
    let plan = Plan { planned: 1, seed: 0, strict: false };
    let report = Report { plan, cases: vec![doubtful], stale: Vec::new(), faults: Vec::new() };
    assert_eq!(report.exit_code(), 3);
}
