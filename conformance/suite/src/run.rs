//! Runs cases, many at once, each under a watchdog.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::case::Case;
use crate::context::Context;
use crate::report::{CaseReport, Progress, Report};
use crate::role::Role;
use crate::subject::Subject;
use crate::transcript::Transcript;
use crate::verdict::Verdict;

/// What to run, and how.
#[derive(Clone, Debug)]
pub struct Options {
    /// Cases at once. They mostly wait, so that this may be far above the number of processors.
    pub jobs: usize,
    /// Only cases whose id contains this.
    pub filter: Option<String>,
    /// Whether to show progress on standard error.
    pub progress: bool,
    /// How long a case may take. A subject that hangs costs its case and no more.
    pub watchdog: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self { jobs: 16, filter: None, progress: false, watchdog: Duration::from_secs(90) }
    }
}

/// Runs every case that passes the filter on every subject, in every role.
#[must_use]
pub fn run(subjects: &[Arc<dyn Subject>], options: &Options) -> Report {
    let selected = |case: &&Case| options.filter.as_ref().is_none_or(|filter| case.id.contains(filter.as_str()));
    let mut tasks = VecDeque::new();
    for subject in subjects {
        for case in crate::cases::cases().filter(selected) {
            tasks.extend(case.roles().iter().map(|role| (Arc::clone(subject), case, *role)));
        }
    }
    let progress = Progress::new(tasks.len(), options.progress);
    let tasks = Mutex::new(tasks.into_iter().enumerate().collect::<VecDeque<_>>());
    let reports = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..options.jobs.max(1) {
            scope.spawn(|| {
                loop {
                    let next = tasks.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
                    let Some((position, (subject, case, role))) = next else {
                        return;
                    };
                    let report = run_case(&subject, case, role, options.watchdog);
                    progress.finished(&report);
                    reports.lock().unwrap_or_else(PoisonError::into_inner).push((position, report));
                }
            });
        }
    });
    progress.end();
    let mut reports = reports.into_inner().unwrap_or_else(PoisonError::into_inner);
    reports.sort_by_key(|(position, _)| *position);
    Report { cases: reports.into_iter().map(|(_, report)| report).collect() }
}

/// Runs one case on one subject, and gives it up after `watchdog`.
#[must_use]
pub fn run_case(subject: &Arc<dyn Subject>, case: &'static Case, role: Role, watchdog: Duration) -> CaseReport {
    let began = Instant::now();
    let transcript = Transcript::new();
    let (sender, receiver) = mpsc::channel();
    let (subject_of_thread, transcript_of_thread) = (Arc::clone(subject), transcript.clone());
    let spawned = thread::Builder::new().name(case.id.into()).spawn(move || {
        let judge = || judge(subject_of_thread.as_ref(), case, role, transcript_of_thread);
        let verdict = catch_unwind(AssertUnwindSafe(judge));
        // The watchdog may have given the case up and gone.
        let _ = sender.send(verdict);
    });
    let verdict = match (spawned, receiver.recv_timeout(watchdog)) {
        (Err(error), _) => Verdict::HarnessError(format!("no thread for the case: {error}")),
        (Ok(_), Ok(Ok(verdict))) => verdict,
        (Ok(_), Ok(Err(_)) | Err(RecvTimeoutError::Disconnected)) => Verdict::HarnessError("the case panicked".into()),
        (Ok(_), Err(RecvTimeoutError::Timeout)) => {
            Verdict::Fail(format!("the subject hangs: no verdict after {watchdog:?}"))
        }
    };
    CaseReport {
        id: case.id,
        requirement: case.requirement(),
        title: case.title,
        subject: subject.name().into(),
        role,
        verdict,
        duration: began.elapsed(),
        observations: transcript.observations(),
    }
}

fn judge(subject: &dyn Subject, case: &Case, role: Role, transcript: Transcript) -> Verdict {
    if let Some(obstacle) = subject.fixed_profile().and_then(|fixed| case.obstacle(&fixed)) {
        return Verdict::NotApplicable(obstacle.into());
    }
    let mut context = Context::new(subject, case.id, case.wanted_profile(), role, transcript);
    let outcome = (case.run)(&mut context);
    context.stop();
    match outcome {
        Ok(()) => Verdict::Pass,
        Err(failure) => failure.into(),
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::*;
    use crate::profile::Profile;
    use crate::subject::{Running, SubjectError};

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

    fn report_on(broken: fn() -> SubjectError) -> Report {
        let watchdog = Duration::from_secs(5);
        let options = Options { filter: Some("PW-HDR-001".into()), watchdog, ..Options::default() };
        run(&[Arc::new(Broken(broken))], &options)
    }

    #[test]
    fn a_subject_that_hangs_costs_its_cases_only() {
        let report = report_on(|| {
            thread::park_timeout(Duration::from_secs(60));
            SubjectError::failed("too late")
        });
        assert_eq!(report.totals().fail, 2);
        assert_eq!(report.exit_code(), 1);
    }

    #[test]
    fn a_subject_that_panics_proves_nothing() {
        let report = report_on(|| panic!("on purpose"));
        assert_eq!(report.totals().harness_error, 2);
        assert_eq!(report.exit_code(), 2);
    }

    #[test]
    fn a_subject_that_cannot_start_proves_nothing() {
        assert_eq!(report_on(|| SubjectError::failed("no port is free")).exit_code(), 2);
    }

    #[test]
    fn a_subject_for_which_no_case_is_applicable_proves_nothing() {
        let report = report_on(|| SubjectError::unsupported("it has no such role"));
        assert_eq!(report.totals().not_applicable, 2);
        assert_eq!(report.exit_code(), 2);
    }
}
