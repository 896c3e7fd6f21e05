//! The runs: of this workspace, of a server and of a client.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use conformance::{named, subjects};
use pulsewire_conformance::subject::Subject;
use pulsewire_conformance::{ClientProgram, Options, Report, run as run_suite};

use crate::arguments::{ClientArguments, CommonArguments, RunArguments, ServerArguments};
use crate::{input, show};

/// A person with a debugger needs time.
const WATCHDOG_BY_HAND: Duration = Duration::from_secs(60 * 60);

pub(crate) fn run(arguments: &RunArguments) -> Result<u8, String> {
    let mut options = options(&arguments.common)?;
    let subjects = match &arguments.subject {
        None => subjects::of_this_system(),
        Some(name) => {
            // The oracle proves the suite: each of its bugs must be found, also one that breaks a SHOULD.
            options.strict |= name.starts_with("oracle");
            vec![input::subject(name)?]
        }
    };
    judge(&subjects, &options, &arguments.common)
}

pub(crate) fn server(arguments: &ServerArguments) -> Result<u8, String> {
    let options = options(&arguments.common)?;
    let server = named::remote_server(&arguments.address, &options.manifest)?;
    judge(&[server], &options, &arguments.common)
}

pub(crate) fn client(arguments: &ClientArguments) -> Result<u8, String> {
    let mut options = options(&arguments.common)?;
    let client: Arc<dyn Subject> = match &arguments.exec {
        Some(command) => named::client_program(command, &options.manifest)?,
        None => {
            options.jobs = 1;
            options.watchdog = WATCHDOG_BY_HAND;
            Arc::new(ClientProgram::by_hand(&options.manifest).map_err(|error| error.to_string())?)
        }
    };
    judge(&[client], &options, &arguments.common)
}

/// The report that the lines of a run make.
pub(crate) fn report(lines: &Path, path: Option<&Path>) -> Result<u8, String> {
    let text = named::text(lines)?;
    let report = Report::from_lines(&text).map_err(|error| format!("{}: {error}", lines.display()))?;
    show(&report.to_string());
    if let Some(path) = path {
        write_report(path, &report)?;
    }
    Ok(report.exit_code())
}

fn options(arguments: &CommonArguments) -> Result<Options, String> {
    Ok(Options {
        jobs: arguments.jobs,
        selection: input::selection(&arguments.filter)?,
        seed: arguments.seed,
        strict: arguments.strict,
        watchdog: Duration::from_secs(arguments.watchdog),
        expectations: input::expectations(arguments.expectations.as_deref())?,
        manifest: named::manifest(arguments.manifest.as_deref())?,
        json_lines: Some(arguments.json_lines.clone()),
        traces: Some(arguments.traces.clone()),
        progress: true,
    })
}

fn judge(subjects: &[Arc<dyn Subject>], options: &Options, arguments: &CommonArguments) -> Result<u8, String> {
    let report = run_suite(subjects, options);
    show(&report.to_string());
    write_report(&arguments.report, &report)?;
    Ok(report.exit_code())
}

fn write_report(path: &Path, report: &Report) -> Result<(), String> {
    let write = || -> io::Result<()> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::write(path, report.to_json())
    };
    write().map_err(|error| format!("the report cannot be written to {}: {error}", path.display()))?;
    show(&format!("report: {}\n", path.display()));
    Ok(())
}
