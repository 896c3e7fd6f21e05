//! The runs: of this workspace, of a server and of a client; and reports of earlier ones.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use conformance::{named, subjects};
use pulsewire_conformance::subject::Subject;
use pulsewire_conformance::{ClientProgram, Edits, Options, Plan, Report, Stop, run as run_suite};

use crate::arguments::{
    AdapterArguments, ClientArguments, CommonArguments, ReportArguments, RunArguments, ServerArguments,
};
use crate::html::{self, Run};
use crate::{input, interrupt, show, shrink};

/// A person with a debugger needs time.
const WATCHDOG_BY_HAND: Duration = Duration::from_secs(60 * 60);

/// What explains many failures of a subject whose numbers nobody has declared.
const ASSUMED: &str = "no manifest says otherwise, so each timer is taken to have its default of section 10, \
                       such as a handshake_timeout of 10000 ms: declare yours with --manifest, if they are others\n";

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
    judge(&subjects, &options, arguments.common, String::new())
}

pub(crate) fn server(arguments: ServerArguments) -> Result<u8, String> {
    let options = options(&arguments.common)?;
    let again = again("--server", &arguments.address, &arguments.common);
    judge_one(named::remote_server(&arguments.address, &options.manifest), &options, arguments.common, again)
}

pub(crate) fn client(arguments: ClientArguments) -> Result<u8, String> {
    let mut options = options(&arguments.common)?;
    let client = match &arguments.exec {
        Some(command) => named::client_program(command, &options.manifest),
        None => {
            options.jobs = 1;
            options.watchdog = WATCHDOG_BY_HAND;
            let by_hand = ClientProgram::by_hand(&options.manifest).map_err(|error| error.to_string());
            by_hand.map(|client| -> Arc<dyn Subject> { Arc::new(client) })
        }
    };
    let again = arguments.exec.as_ref().map(|command| again("--exec", command, &arguments.common));
    judge_one(client, &options, arguments.common, again.unwrap_or_default())
}

pub(crate) fn adapter(arguments: AdapterArguments) -> Result<u8, String> {
    let options = options(&arguments.common)?;
    let again = again("--adapter", &arguments.adapter, &arguments.common);
    judge_one(named::adapter(&arguments.adapter, &options.manifest), &options, arguments.common, again)
}

/// The report that the lines of a run make, or of several runs side by side.
pub(crate) fn report(arguments: &ReportArguments) -> Result<u8, String> {
    let runs =
        arguments.lines.iter().map(|lines| run_of(lines, arguments.lines.len())).collect::<Result<Vec<_>, _>>()?;
    let look = arguments.detail.look();
    for Run { label, report, .. } in &runs {
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
    // The lines do not tell how the subject was named.
    Ok(Run { label, report, again: String::new() })
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

/// What `replay` needs to find a subject again: an option with a word, and the manifest.
fn again(option: &str, word: &str, arguments: &CommonArguments) -> String {
    let manifest = arguments.manifest.as_ref().map(|path| path.display().to_string());
    let mut options = vec![(option, word.to_owned())];
    options.extend(manifest.map(|path| ("--manifest", path)));
    options.iter().map(|(option, word)| format!(" {option} {}", quoted(word))).collect()
}

/// A word as a shell takes it.
fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:@%+=,[]".contains(c);
    match word.chars().all(is_plain) && !word.is_empty() {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', r"'\''")),
    }
}

/// Judges a subject, if there is one. If not, the report says why: that of an earlier run is not to be taken for this one's.
fn judge_one(
    found: Result<Arc<dyn Subject>, String>,
    options: &Options,
    arguments: CommonArguments,
    again: String,
) -> Result<u8, String> {
    match found {
        Ok(subject) => judge(&[subject], options, arguments, again),
        Err(sentence) => {
            let plan = Plan { planned: 0, seed: options.seed, strict: options.strict };
            let report = Report { plan, cases: Vec::new(), stale: Vec::new(), faults: vec![sentence.clone()] };
            let runs = [Run { label: String::new(), report, again }];
            // What cannot be written matters less.
            let _ = arguments.files.or_usual().write(&runs);
            Err(sentence)
        }
    }
}

fn judge(
    subjects: &[Arc<dyn Subject>],
    options: &Options,
    arguments: CommonArguments,
    again: String,
) -> Result<u8, String> {
    interrupt::run_begins();
    let report = run_suite(subjects, options);
    let look = arguments.detail.look();
    show(&report.text(look).to_string());
    let is_assumed = arguments.manifest.is_none() && (again.starts_with(" --server") || again.starts_with(" --exec"));
    if is_assumed && report.totals().fail > 0 && !arguments.detail.quiet {
        show(ASSUMED);
    }
    if arguments.shrink {
        shrink::failures(&report, subjects, options)?;
    }
    let runs = [Run { label: String::new(), report, again }];
    show(&arguments.files.or_usual().write(&runs)?);
    Ok(runs[0].report.exit_code())
}
