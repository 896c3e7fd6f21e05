//! Progress on standard error, where that is a terminal.

use std::io::{IsTerminal, stderr};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use super::CaseReport;
use crate::verdict::Verdict;

/// Shows how far a run is.
pub(super) struct Progress {
    bar: ProgressBar,
    failed: usize,
}

impl Progress {
    pub(super) fn new(cases: usize, shown: bool) -> Self {
        if !shown || !stderr().is_terminal() {
            return Self { bar: ProgressBar::hidden(), failed: 0 };
        }
        let style = ProgressStyle::with_template("{bar:30} {pos}/{len}, {eta} left; {wide_msg}")
            .expect("the template is constant");
        let bar = ProgressBar::new(cases as u64).with_style(style);
        // Time goes on also while no case ends.
        bar.enable_steady_tick(Duration::from_secs(1));
        Self { bar, failed: 0 }
    }

    pub(super) fn finished(&mut self, report: &CaseReport) {
        self.failed += usize::from(matches!(report.verdict, Verdict::Fail(_)) && report.known_failure.is_none());
        self.bar.set_message(format!("{} failed; {}", self.failed, report.id));
        self.bar.inc(1);
    }

    pub(super) fn end(&self) {
        self.bar.finish_and_clear();
    }
}
