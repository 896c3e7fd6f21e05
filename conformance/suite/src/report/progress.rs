//! Progress on standard error: a bar on a terminal, a line for what was not passed elsewhere.

use std::io::{IsTerminal, Write, stderr};

use indicatif::{ProgressBar, ProgressStyle};

use super::CaseReport;
use crate::verdict::Verdict;

/// Shows how far a run is.
pub(crate) enum Progress {
    Hidden,
    Lines,
    Bar(ProgressBar),
}

impl Progress {
    pub(crate) fn new(cases: usize, shown: bool) -> Self {
        if !shown {
            return Self::Hidden;
        }
        if !stderr().is_terminal() {
            return Self::Lines;
        }
        let style = ProgressStyle::with_template("{bar:40} {pos}/{len} {wide_msg}").expect("the template is constant");
        Self::Bar(ProgressBar::new(cases as u64).with_style(style))
    }

    pub(crate) fn finished(&self, report: &CaseReport) {
        let CaseReport { id, subject, role, verdict, .. } = report;
        let line = match verdict {
            Verdict::Pass | Verdict::NotApplicable(_) => None,
            Verdict::Fail(reason) => Some(format!("FAIL  {id} ({subject}, {}): {reason}", role.name())),
            Verdict::HarnessError(reason) => Some(format!("ERROR {id} ({subject}, {}): {reason}", role.name())),
        };
        match self {
            Self::Hidden => {}
            Self::Lines => {
                if let Some(line) = line {
                    // Progress that cannot be shown must not end the run.
                    let _ = writeln!(stderr(), "{line}");
                }
            }
            Self::Bar(bar) => {
                bar.set_message(id.to_string());
                bar.inc(1);
                if let Some(line) = line {
                    bar.println(line);
                }
            }
        }
    }

    pub(crate) fn end(&self) {
        if let Self::Bar(bar) = self {
            bar.finish_and_clear();
        }
    }
}
