//! Runs the Pulsewire conformance suite on this workspace's transports, or on any other implementation.

use std::io::Write;
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use std::{fs, io};

use clap::Parser;
use conformance::subjects;
use pulsewire_conformance::oracle::Bug;
use pulsewire_conformance::subject::Subject;
use pulsewire_conformance::{Options, Profile, Remote, cases, run};

/// Checks an implementation of Pulsewire against the numbered requirements of the specification.
///
/// Without arguments it runs every implementation of this workspace that works on this system. It exits with 0 if nothing
/// was violated, with 1 if something was, and with 2 if nothing can be said.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// Judge the echo server at this address by its bytes alone
    #[arg(long, value_name = "HOST:PORT", conflicts_with = "subject")]
    server: Option<String>,

    /// The server's silence before its first PING, in milliseconds
    #[arg(long, value_name = "MS", default_value_t = 5_000, requires = "server")]
    idle: u64,

    /// The server's shortest wait for the answer to a PING, in milliseconds
    #[arg(long, value_name = "MS", default_value_t = 2_000, requires = "server")]
    interval: u64,

    /// The PINGs after which the server gives up
    #[arg(long, value_name = "COUNT", default_value_t = 3, requires = "server")]
    probes: u32,

    /// Run this implementation only: one of this workspace, `oracle:none`, or `oracle:BUG`
    #[arg(long, value_name = "NAME")]
    subject: Option<String>,

    /// Run only cases whose id contains this
    #[arg(long, value_name = "SUBSTRING")]
    filter: Option<String>,

    /// Cases at once
    #[arg(long, value_name = "COUNT", default_value_t = 16)]
    jobs: usize,

    /// Where to write the JSON report
    #[arg(long, value_name = "PATH", default_value = "target/conformance/report.json")]
    report: PathBuf,

    /// List the cases and exit
    #[arg(long)]
    list: bool,

    /// List the bugs that the oracle can be given, with the requirement that each breaks, and exit
    #[arg(long)]
    list_bugs: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if arguments.list {
        show(&cases().map(|case| format!("{:<42} {}\n", case.id, case.title)).collect::<String>());
        return ExitCode::SUCCESS;
    }
    if arguments.list_bugs {
        let line = |bug: &Bug| format!("{:<28} {}  {}\n", bug.name(), bug.requirement(), bug.sentence());
        show(&Bug::ALL.iter().map(line).collect::<String>());
        return ExitCode::SUCCESS;
    }
    match judge(&arguments) {
        Ok(code) => ExitCode::from(code),
        Err(sentence) => {
            eprintln!("{sentence}");
            ExitCode::from(2)
        }
    }
}

/// Prints to standard output. Whoever reads it may stop early, as `head` does; that is no fault of the run.
fn show(text: &str) {
    let _ = io::stdout().write_all(text.as_bytes());
}

/// Runs what was asked for, and gives the exit code.
fn judge(arguments: &Arguments) -> Result<u8, String> {
    let subjects = chosen_subjects(arguments)?;
    let options =
        Options { jobs: arguments.jobs, filter: arguments.filter.clone(), progress: true, ..Options::default() };
    if let Some(filter) =
        arguments.filter.as_ref().filter(|filter| !cases().any(|case| case.id.contains(filter.as_str())))
    {
        return Err(format!("no case's id contains {filter:?}; --list shows them all"));
    }
    let report = run(&subjects, &options);
    show(&report.to_string());
    write_report(&arguments.report, &report.to_json())
        .map_err(|error| format!("the report cannot be written to {}: {error}", arguments.report.display()))?;
    show(&format!("report: {}\n", arguments.report.display()));
    Ok(report.exit_code())
}

fn chosen_subjects(arguments: &Arguments) -> Result<Vec<Arc<dyn Subject>>, String> {
    if let Some(server) = &arguments.server {
        let idle = Duration::from_millis(arguments.idle);
        let interval = Duration::from_millis(arguments.interval);
        let probes = arguments.probes;
        let profile = Profile { idle, interval, probes, extension_max: idle + interval * probes, ..Profile::default() };
        let remote = Remote::new(resolve(server)?, profile).map_err(|error| error.to_string())?;
        return Ok(vec![Arc::new(remote)]);
    }
    match &arguments.subject {
        None => Ok(subjects::of_this_system()),
        Some(name) => match subjects::by_name(name) {
            Some(subject) => Ok(vec![subject]),
            None => Err(format!("there is no subject {name} on this system; --list-bugs names those of the oracle")),
        },
    }
}

fn resolve(server: &str) -> Result<SocketAddr, String> {
    let mut addresses = server.to_socket_addrs().map_err(|error| format!("{server} is no address: {error}"))?;
    addresses.next().ok_or_else(|| format!("{server} has no address"))
}

fn write_report(path: &Path, json: &str) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(path, json)
}
