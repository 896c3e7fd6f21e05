//! The files that a run leaves for people and programs.

use std::env;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use conformance::capture::capture;
use pulsewire_conformance::Trace;

use crate::badge::badge;
use crate::html::{self, Run};
use crate::junit::junit;
use crate::markdown::markdown;

/// Where GitHub Actions wants the summary of a step.
const STEP_SUMMARY: &str = "GITHUB_STEP_SUMMARY";

/// Where to write the report, in which form.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct FileArguments {
    /// Where to write the report as one page for a browser
    #[arg(long, value_name = "FILE")]
    pub(crate) html: Option<PathBuf>,

    /// Where to write the report as JUnit XML
    #[arg(long, value_name = "FILE")]
    pub(crate) junit: Option<PathBuf>,

    /// Where to write a summary in Markdown; it is added to $GITHUB_STEP_SUMMARY too, where that is set
    #[arg(long, value_name = "FILE")]
    pub(crate) markdown: Option<PathBuf>,

    /// Where to write a badge in SVG
    #[arg(long, value_name = "FILE")]
    pub(crate) badge: Option<PathBuf>,

    /// Where to write a capture of each failed run, for Wireshark
    #[arg(long, value_name = "FOLDER")]
    pub(crate) pcapng: Option<PathBuf>,

    /// Where to write the report as JSON
    #[arg(long, value_name = "FILE")]
    pub(crate) report: Option<PathBuf>,
}

impl FileArguments {
    /// With the usual names for what a run writes in any case.
    pub(crate) fn or_usual(self) -> Self {
        let usual =
            |given: Option<PathBuf>, name: &str| given.or_else(|| Some(Path::new("target/conformance").join(name)));
        Self {
            html: usual(self.html, "report.html"),
            junit: usual(self.junit, "junit.xml"),
            markdown: usual(self.markdown, "summary.md"),
            report: usual(self.report, "report.json"),
            badge: self.badge,
            pcapng: self.pcapng,
        }
    }

    /// Writes what is named, and tells where it is; whatever can be written is. A badge and JSON are of one run alone.
    pub(crate) fn write(&self, runs: &[Run]) -> Result<String, String> {
        let one = || match runs {
            [run] => Ok(&run.report),
            _ => Err("a badge and JSON are made of one run: name one file".to_owned()),
        };
        let mut told = Told::default();
        if let Some(path) = &self.html {
            told.write("html", path, html::page(runs).as_bytes());
        }
        if let Some(path) = &self.junit {
            told.write("junit", path, junit(runs).as_bytes());
        }
        if let Some(path) = &self.markdown {
            told.write("markdown", path, markdown(runs).as_bytes());
        }
        if let Some(path) = &self.report {
            told.write("report", path, one()?.to_json().as_bytes());
        }
        if let Some(path) = &self.badge {
            told.write("badge", path, badge(one()?).as_bytes());
        }
        if let Some(folder) = &self.pcapng {
            told.captures(folder, runs);
        }
        if let Some(path) = env::var_os(STEP_SUMMARY).filter(|path| !path.is_empty()) {
            told.append(Path::new(&path), &markdown(runs));
        }
        if told.complaints.is_empty() { Ok(told.lines) } else { Err(told.lines + &told.complaints.join("\n")) }
    }
}

/// What was written, and what could not be.
#[derive(Default)]
struct Told {
    lines: String,
    complaints: Vec<String>,
}

impl Told {
    fn write(&mut self, what: &str, path: &Path, bytes: &[u8]) {
        match create(path, bytes) {
            Ok(()) => self.lines += &format!("{:<9} {}\n", format!("{what}:"), path.display()),
            Err(error) => self.complain(path, &error),
        }
    }

    /// A capture of each run that was not passed, as far as its steps are known.
    fn captures(&mut self, folder: &Path, runs: &[Run]) {
        let (mut written, mut without) = (0, 0);
        for Run { report, .. } in runs {
            for case in report.cases.iter().filter(|case| case.needs_explanation()) {
                if case.steps.is_empty() {
                    without += 1;
                    continue;
                }
                written += 1;
                let trace = Trace::of(case, report.plan.seed);
                let path = folder.join(trace.file_name()).with_extension("pcapng");
                if let Err(error) = create(&path, &capture(&trace)) {
                    return self.complain(&path, &error);
                }
            }
        }
        self.lines += &match written {
            0 => format!("{:<9} nothing to capture\n", "pcapng:"),
            count => format!("{:<9} {} ({count})\n", "pcapng:", folder.display()),
        };
        if without > 0 {
            self.complaints.push(format!(
                "no capture of {without} runs, whose steps are not known: their traces are named as they were where the run was made; \
                 call the tool there"
            ));
        }
    }

    fn append(&mut self, path: &Path, text: &str) {
        let file = OpenOptions::new().create(true).append(true).open(path);
        if let Err(error) = file.and_then(|mut file| file.write_all(text.as_bytes())) {
            self.complain(path, &error);
        }
    }

    fn complain(&mut self, path: &Path, error: &io::Error) {
        self.complaints.push(format!("the report cannot be written to {}: {error}", path.display()));
    }
}

/// Writes a file, in a folder that is made where it is not there.
pub(crate) fn create(path: &Path, bytes: &[u8]) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(path, bytes)
}
