//! The matrix of bugs by cases, as a file for people.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use pulsewire_conformance::oracle::Bug;
use pulsewire_conformance::{CaseReport, Verdict};

use super::Run;

/// What the cases of its requirement said of one bug.
pub(super) struct Row {
    bug: Bug,
    /// Case, role, chunking, verdict and reason.
    runs: Vec<[String; 5]>,
}

impl Row {
    pub(super) fn of(bug: Bug, runs: &[Run]) -> Self {
        let line = |run: &Run| {
            let CaseReport { verdict, role, chunking, .. } = &run.report;
            [run.case.id, role.name(), chunking.name(), verdict.word(), verdict.reason()].map(str::to_owned)
        };
        Self { bug, runs: runs.iter().map(line).collect() }
    }

    /// The number of runs that caught the bug.
    fn catches(&self) -> usize {
        let fail = Verdict::Fail(String::new());
        self.runs.iter().filter(|[_, _, _, verdict, _]| verdict == fail.word()).count()
    }

    fn write(&self, text: &mut String) -> std::fmt::Result {
        let (name, requirement, sentence) = (self.bug.name(), self.bug.requirement(), self.bug.sentence());
        writeln!(text, "\n## {name}\n\n{requirement}. {sentence}\n")?;
        writeln!(text, "| case | role | chunking | verdict | reason |\n|---|---|---|---|---|")?;
        for [case, role, chunking, verdict, reason] in &self.runs {
            // What would end the cell, or the line.
            let reason = reason.replace('|', "\\|").replace('\n', " ");
            writeln!(text, "| {case} | {role} | {chunking} | {verdict} | {reason} |")?;
        }
        Ok(())
    }
}

/// Writes all rows, in the order of the bugs.
pub(super) fn write(rows: &[Row]) {
    let in_order = || Bug::ALL.iter().filter_map(|bug| rows.iter().find(|row| row.bug == *bug));
    let mut text = String::from("# What catches which bug\n\nMade by `cargo test -p conformance --test bugs`.\n\n");
    text += "| bug | requirement | runs | caught by |\n|---|---|---|---|\n";
    for row in in_order() {
        let (name, requirement) = (row.bug.name(), row.bug.requirement());
        writeln!(text, "| {name} | {requirement} | {} | {} |", row.runs.len(), row.catches())
            .expect("a string takes all");
    }
    in_order().try_for_each(|row| row.write(&mut text)).expect("a string takes all");
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("the target folder").join("conformance");
    fs::create_dir_all(&folder).and_then(|()| fs::write(folder.join("bugs.md"), text)).expect("a file for the matrix");
}
