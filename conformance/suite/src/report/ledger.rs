//! Keeps each verdict as it comes, so that a run that is killed loses none.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::progress::Progress;
use super::{CaseReport, End, Plan};
use crate::expectations::Expectations;
use crate::options::Options;
use crate::trace::Trace;
use crate::verdict::Verdict;

/// The files and the progress of a run.
pub(crate) struct Ledger<'o> {
    lines: Option<(&'o Path, File)>,
    traces: Option<&'o PathBuf>,
    expectations: &'o Expectations,
    seed: u64,
    progress: Progress,
    faults: Vec<String>,
}

impl<'o> Ledger<'o> {
    pub(crate) fn open(plan: &Plan, options: &'o Options) -> Self {
        let mut ledger = Self {
            lines: None,
            traces: options.traces.as_ref(),
            expectations: &options.expectations,
            seed: options.seed,
            progress: Progress::new(plan.planned, options.progress),
            faults: Vec::new(),
        };
        if let Some(path) = &options.json_lines {
            match create(path) {
                Ok(file) => ledger.lines = Some((path, file)),
                Err(error) => ledger.fault(path, &error),
            }
        }
        ledger.write_line(plan);
        ledger
    }

    /// Keeps a verdict, and gives the report as it was kept.
    pub(crate) fn enter(&mut self, mut report: CaseReport) -> CaseReport {
        if matches!(report.verdict, Verdict::Fail(_)) {
            report.known_failure = self.expectations.reason_for(&report).map(str::to_owned);
        }
        if let Some(folder) = self.traces.filter(|_| report.verdict.is_worth_a_trace()) {
            let trace = Trace::of(&report, self.seed);
            let path = folder.join(trace.file_name());
            match create(&path).and_then(|mut file| file.write_all(trace.to_lines().as_bytes())) {
                Ok(()) => report.trace = Some(path),
                Err(error) => self.fault(&path, &error),
            }
        }
        self.write_line(&report);
        self.progress.finished(&report);
        report
    }

    /// Ends the lines and the progress, and gives what went wrong, `faults` too.
    pub(crate) fn close(mut self, stale: &[String], faults: Vec<String>) -> Vec<String> {
        self.progress.end();
        self.faults.extend(faults);
        self.write_line(&End { stale_expectations: stale.to_vec(), faults: self.faults.clone() });
        self.faults
    }

    /// Each line is handed to the system at once: it survives the death of this process.
    fn write_line(&mut self, value: &impl Serialize) {
        let Some((path, file)) = &mut self.lines else {
            return;
        };
        let line = serde_json::to_string(value).expect("strings and numbers always make JSON") + "\n";
        if let Err(error) = file.write_all(line.as_bytes()).and_then(|()| file.flush()) {
            let path = *path;
            self.lines = None;
            self.fault(path, &error);
        }
    }

    fn fault(&mut self, path: &Path, error: &io::Error) {
        self.faults.push(format!("{} cannot be written: {error}", path.display()));
    }
}

fn create(path: &Path) -> io::Result<File> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    File::create(path)
}
