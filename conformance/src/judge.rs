//! The runs: of this workspace, of a server and of a client; and reports of earlier ones.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use conformance::{named, subjects};
use pulsewire_conformance::subject::Subject;
use pulsewire_conformance::{ClientProgram, Edits, Options, Report, Stop, run as run_suite};

use crate::arguments::{
    AdapterArguments, ClientArguments, CommonArguments, ReportArguments, RunArguments, ServerArguments,
};
use crate::html::{self, Run};
use crate::{input, interrupt, show, shrink};

/// A person with a debugger needs time.
const WATCHDOG_BY_HAND: Duration = Duration::from_secs(60 * 60);

pub(crate) fn run(arguments: RunArguments) -> Result<u8, String> {
    let mut options = options(&arguments.common)?;
    let subjects = match &arguments.subject {
        None => subjects::of_this_system(),
        Some(name) => {
            // The oracle proves the suite: each of its bugs must be found, also one that breaks a SHOULD.
            options.strict |= name.starts_with("oracle");
            vec![input::subject(name)?]
        }
    };
    judge(&subjects, &options, arguments.common)
}

pub(crate) fn server(arguments: ServerArguments) -> Result<u8, String> {
    let options = options(&arguments.common)?;
    let server = named::remote_server(&arguments.address, &options.manifest)?;
    judge(&[server], &options, arguments.common)
}

pub(crate) fn client(arguments: ClientArguments) -> Result<u8, String> {
    let mut options = options(&arguments.common)?;
    let client: Arc<dyn Subject> = match &arguments.exec {
        Some(command) => named::client_program(command, &options.manifest)?,
        None => {
            options.jobs = 1;
            options.watchdog = WATCHDOG_BY_HAND;
            Arc::new(ClientProgram::by_hand(&options.manifest).map_err(|error| error.to_string())?)
        }
    };
    judge(&[client], &options, arguments.common)
}

pub(crate) fn adapter(arguments: AdapterArguments) -> Result<u8, String> {
    let options = options(&arguments.common)?;
    let adapter = named::adapter(&arguments.adapter, &options.manifest)?;
    judge(&[adapter], &options, arguments.common)
}

/// The report that the lines of a run make, or of several runs side by side.
pub(crate) fn report(arguments: &ReportArguments) -> Result<u8, String> {
    let runs =
        arguments.lines.iter().map(|lines| run_of(lines, arguments.lines.len())).collect::<Result<Vec<_>, _>>()?;
    let look = arguments.detail.look();
    for Run { label, report } in &runs {
        if !label.is_empty() {
            show(&format!("{label}\n"));
        }
        show(&report.text(look).to_string());
    }
    show(&arguments.files.write(&runs)?);
    // Of several, a violation counts before an error of the harness, and that before an incomplete run.
    let worst = runs.iter().map(|run| run.report.exit_code()).filter(|code| *code > 0).min();
    Ok(worst.unwrap_or_default())
}

/// The run of these lines, with its steps where the traces are still there. Of several, each is called as its file.
fn run_of(lines: &Path, count: usize) -> Result<Run, String> {
    let text = named::text(lines)?;
    let mut report = Report::from_lines(&text).map_err(|error| format!("{}: {error}", lines.display()))?;
    for case in &mut report.cases {
        html::with_steps(case, lines);
    }
    let label = if count == 1 { String::new() } else { lines.display().to_string() };
    Ok(Run { label, report })
}

fn options(arguments: &CommonArguments) -> Result<Options, String> {
    let stop = Stop::default();
    interrupt::stop_on_interrupt(&stop)?;
    Ok(Options {
        jobs: arguments.jobs,
        selection: input::selection(&arguments.filter)?,
        seed: arguments.seed,
        strength: arguments.strength,
        strict: arguments.strict,
        watchdog: Duration::from_secs(arguments.watchdog),
        expectations: input::expectations(arguments.expectations.as_deref())?,
        manifest: named::manifest(arguments.manifest.as_deref())?,
        json_lines: Some(arguments.json_lines.clone()),
        traces: Some(arguments.traces.clone()),
        progress: !arguments.detail.quiet,
        edits: Edits::default(),
        stop,
    })
}

fn judge(subjects: &[Arc<dyn Subject>], options: &Options, arguments: CommonArguments) -> Result<u8, String> {
    let report = run_suite(subjects, options);
    let look = arguments.detail.look();
    show(&report.text(look).to_string());
    if arguments.shrink {
        shrink::failures(&report, subjects, options)?;
    }
    let runs = [Run { label: String::new(), report }];
    show(&arguments.files.or_usual().write(&runs)?);
    Ok(runs[0].report.exit_code())
}
