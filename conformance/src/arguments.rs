//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

/// Checks an implementation of Pulsewire against the numbered requirements of the specification.
///
/// Without a subcommand it runs every implementation of this workspace that works on this system. It exits with 0 if
/// everything that applies was passed; with 1 if a requirement was violated, or the list of known failures is out of date; with
/// 2 if the harness failed or was called wrongly; with 3 if the run is incomplete: something was inconclusive, is
/// unimplemented or did not run, or nothing applied at all.
#[derive(Parser)]
#[command(version, args_conflicts_with_subcommands = true)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,

    /// The same as `list --bugs`
    #[arg(long)]
    list_bugs: bool,

    /// The same as `server HOST:PORT`
    #[arg(long, value_name = "HOST:PORT", conflicts_with_all = ["list_bugs", "subject"])]
    server: Option<String>,

    #[command(flatten)]
    run: RunArguments,
}

impl Arguments {
    /// What is to be done: the subcommand, or what an option stands for; else all implementations are run.
    pub(crate) fn into_command(self) -> Command {
        let Self { command, list_bugs, server, run } = self;
        match (command, server) {
            (Some(command), _) => command,
            (None, Some(address)) => Command::Server(ServerArguments { address, common: run.common }),
            (None, None) if list_bugs => {
                Command::List(ListArguments { bugs: true, requirements: false, filter: run.common.filter })
            }
            (None, None) => Command::Run(run),
        }
    }
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Judge the implementations of this workspace, or the oracle with one of its bugs
    Run(RunArguments),
    /// Judge an echo server that you started, by its bytes alone
    Server(ServerArguments),
    /// Judge an echo client, by its bytes alone: it is started anew for each connection
    Client(ClientArguments),
    /// List cases, requirements or bugs
    List(ListArguments),
    /// Show what a requirement says, how it is tried, and which bugs that catches
    Explain {
        /// A requirement, a case or a bug
        id: String,
    },
    /// Run the case of a trace again with the same seed, and compare the bytes
    Replay(ReplayArguments),
    /// Make the report of a run from its JSON lines, also if it was killed
    Report {
        /// What --json-lines of the run named
        lines: PathBuf,
        /// Where to write the JSON report
        #[arg(long, value_name = "PATH")]
        report: Option<PathBuf>,
    },
}

#[derive(Args)]
pub(crate) struct RunArguments {
    /// Run this implementation only: one of this workspace, or `oracle:none` or `oracle:BUG`, which are judged strictly;
    /// `oracle-in-memory:` in place of `oracle:`, and `core`, which is the core without a transport, need no network and no real
    /// time
    #[arg(long, value_name = "NAME")]
    pub(crate) subject: Option<String>,

    #[command(flatten)]
    pub(crate) common: CommonArguments,
}

#[derive(Args)]
pub(crate) struct ServerArguments {
    /// Where the server listens
    #[arg(value_name = "HOST:PORT")]
    pub(crate) address: String,

    #[command(flatten)]
    pub(crate) common: CommonArguments,
}

#[derive(Args)]
pub(crate) struct ClientArguments {
    /// The command that starts the client; {addr} stands for the address that it has to connect to
    #[arg(long, value_name = "COMMAND", required_unless_present = "no_spawn")]
    pub(crate) exec: Option<String>,

    /// Start nothing: print the address and wait, so that the client can be run by hand, under a debugger perhaps
    #[arg(long, conflicts_with = "exec")]
    pub(crate) no_spawn: bool,

    #[command(flatten)]
    pub(crate) common: CommonArguments,
}

/// What every run can be told.
#[derive(Args)]
pub(crate) struct CommonArguments {
    #[command(flatten)]
    pub(crate) filter: FilterArguments,

    /// What the implementation declares about itself, in TOML: name, timers, what it leaves out
    #[arg(long, value_name = "FILE")]
    pub(crate) manifest: Option<PathBuf>,

    /// Known failures with their reasons, in TOML; one that passes fails the run
    #[arg(long, value_name = "FILE")]
    pub(crate) expectations: Option<PathBuf>,

    /// Take SHOULD for MUST
    #[arg(long)]
    pub(crate) strict: bool,

    /// Cases at once
    #[arg(long, value_name = "COUNT", default_value_t = 32)]
    pub(crate) jobs: usize,

    /// What everything random is drawn from
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    pub(crate) seed: u64,

    /// The time for one case
    #[arg(long, value_name = "SECONDS", default_value_t = 90)]
    pub(crate) watchdog: u64,

    /// Where to write the JSON report
    #[arg(long, value_name = "PATH", default_value = "target/conformance/report.json")]
    pub(crate) report: PathBuf,

    /// Where to write each verdict as it comes, one JSON object a line
    #[arg(long, value_name = "FILE", default_value = "target/conformance/results.jsonl")]
    pub(crate) json_lines: PathBuf,

    /// Where to leave a trace of each failure
    #[arg(long, value_name = "FOLDER", default_value = "target/conformance/traces")]
    pub(crate) traces: PathBuf,
}

/// Which cases: patterns with * and ?, each option any number of times.
#[derive(Args)]
pub(crate) struct FilterArguments {
    /// Only cases whose id matches
    #[arg(long = "case", value_name = "PATTERN")]
    pub(crate) cases: Vec<String>,

    /// Only cases of this area: its letters or its name
    #[arg(long = "area", value_name = "PATTERN")]
    pub(crate) areas: Vec<String>,

    /// Only cases whose requirement matches
    #[arg(long = "requirement", value_name = "PATTERN")]
    pub(crate) requirements: Vec<String>,

    /// Only runs in which what the suite sends is cut like this: whole, bytes or pieces
    #[arg(long = "chunking", value_name = "PATTERN")]
    pub(crate) chunkings: Vec<String>,
}

#[derive(Args)]
pub(crate) struct ListArguments {
    /// The bugs that the oracle can be given, and the requirement that each breaks
    #[arg(long, conflicts_with = "requirements_too")]
    pub(crate) bugs: bool,

    /// The requirements, with how many cases and bugs each has
    #[arg(long = "requirements", id = "requirements_too")]
    pub(crate) requirements: bool,

    #[command(flatten)]
    pub(crate) filter: FilterArguments,
}

#[derive(Args)]
pub(crate) struct ReplayArguments {
    /// A file below target/conformance/traces
    pub(crate) trace: PathBuf,

    /// The server of the trace, where it was none of this workspace
    #[arg(long, value_name = "HOST:PORT", conflicts_with = "exec")]
    pub(crate) server: Option<String>,

    /// The command of the client of the trace, where it was none of this workspace
    #[arg(long, value_name = "COMMAND")]
    pub(crate) exec: Option<String>,

    /// The manifest of the run
    #[arg(long, value_name = "FILE")]
    pub(crate) manifest: Option<PathBuf>,
}
