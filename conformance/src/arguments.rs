//! The command line.

pub(crate) mod tools;

use std::path::PathBuf;

use clap::{ArgAction, Args, Parser, Subcommand};
use pulsewire_conformance::{Detail, Look};

use crate::files::FileArguments;
use tools::{LoadArguments, ProxyArguments, TalkArguments};

/// Checks an implementation of Pulsewire against the numbered requirements of the specification.
///
/// Without a subcommand it runs every implementation of this workspace that works on this system; called without anything in another
/// folder, it shows this help. The report is written to target/conformance/, as a page (report.html), as JUnit XML (junit.xml), as
/// Markdown (summary.md) and as JSON (report.json). It exits with 0 if
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
    /// Judge what a program of yours offers that takes commands over standard input and output, one line of JSON each
    Adapter(AdapterArguments),
    /// List cases, requirements or bugs
    List(ListArguments),
    /// Show what a requirement says, how it is tried, and which bugs that catches
    Explain {
        /// A requirement, a case or a bug
        id: String,
    },
    /// Run the case of a trace again with the same seed, and compare the bytes
    Replay(TraceArguments),
    /// Make the failure of a trace smaller: fewer connections, packets, cuts and bytes, as long as the same goes wrong
    Shrink(ShrinkArguments),
    /// Talk to a server by hand: type lines, and see every packet
    Talk(TalkArguments),
    /// Stand between a client and a server, damage what passes, and show the packets
    Proxy(ProxyArguments),
    /// Load an echo server, and measure how long its answers take
    Load(LoadArguments),
    /// Print the dissector for Wireshark, in Lua
    Dissector,
    /// Make the report of a run from its JSON lines, also if it was killed; of several runs, put them side by side
    Report(ReportArguments),
}

#[derive(Args)]
pub(crate) struct ReportArguments {
    /// What --json-lines of the runs named
    #[arg(required = true)]
    pub(crate) lines: Vec<PathBuf>,

    #[command(flatten)]
    pub(crate) detail: DetailArguments,

    #[command(flatten)]
    pub(crate) files: FileArguments,
}

/// How much the terminal shows.
#[derive(Args)]
pub(crate) struct DetailArguments {
    /// Show every run that was not passed, with all its steps
    #[arg(long, short, action = ArgAction::SetTrue, conflicts_with = "quiet")]
    pub(crate) verbose: bool,

    /// Show only what the run comes to
    #[arg(long, short, action = ArgAction::SetTrue)]
    pub(crate) quiet: bool,
}

impl DetailArguments {
    /// With colours; they are taken out where nobody can see them.
    pub(crate) fn look(&self) -> Look {
        let detail = match (self.verbose, self.quiet) {
            (true, _) => Detail::Full,
            (false, true) => Detail::Brief,
            (false, false) => Detail::Ordinary,
        };
        Look { colours: true, detail }
    }
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

#[derive(Args)]
pub(crate) struct AdapterArguments {
    /// The command that starts the adapter, once for each server and client that is wanted at the same time
    #[arg(value_name = "COMMAND")]
    pub(crate) adapter: String,

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

    /// Of how many things that must not matter to a case (limits, RESYNC, classes, sizes) every choice is tried: 0 to 3; without it, 1
    /// on sockets and 2 in memory
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u8).range(0..=3))]
    pub(crate) strength: Option<u8>,

    /// The time for one case
    #[arg(long, value_name = "SECONDS", default_value_t = 90)]
    pub(crate) watchdog: u64,

    /// Where to write each verdict as it comes, one JSON object a line
    #[arg(long, value_name = "FILE", default_value = "target/conformance/results.jsonl")]
    pub(crate) json_lines: PathBuf,

    /// Where to leave a trace of each failure
    #[arg(long, value_name = "FOLDER", default_value = "target/conformance/traces")]
    pub(crate) traces: PathBuf,

    /// Make a failure of each likely cause smaller, and leave that beside its trace; half a minute each at most
    #[arg(long)]
    pub(crate) shrink: bool,

    #[command(flatten)]
    pub(crate) detail: DetailArguments,

    #[command(flatten)]
    pub(crate) files: FileArguments,
}

/// Which cases: patterns with * and ?, each option any number of times.
#[derive(Args)]
pub(crate) struct FilterArguments {
    /// Only cases whose id matches; that of a requirement stands for all its cases
    #[arg(long = "case", value_name = "PATTERN")]
    pub(crate) cases: Vec<String>,

    /// Only cases of this area: its letters (HB or PW-HB) or its name
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
pub(crate) struct ShrinkArguments {
    #[command(flatten)]
    pub(crate) of: TraceArguments,

    /// Where to write the smaller trace; beside the trace, without this
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,

    /// How often the case may run
    #[arg(long, value_name = "COUNT", default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) tries: u32,

    /// How long that may take
    #[arg(long, value_name = "SECONDS", default_value_t = 120)]
    pub(crate) time: u64,
}

/// A trace, and the subject that it is of.
#[derive(Args)]
pub(crate) struct TraceArguments {
    /// A file below target/conformance/traces
    pub(crate) trace: PathBuf,

    /// The server of the trace, where it was none of this workspace
    #[arg(long, value_name = "HOST:PORT", conflicts_with = "exec")]
    pub(crate) server: Option<String>,

    /// The command of the client of the trace, where it was none of this workspace
    #[arg(long, value_name = "COMMAND")]
    pub(crate) exec: Option<String>,

    /// The command of the adapter of the trace
    #[arg(long, value_name = "COMMAND", conflicts_with_all = ["server", "exec"])]
    pub(crate) adapter: Option<String>,

    /// The manifest of the run
    #[arg(long, value_name = "FILE")]
    pub(crate) manifest: Option<PathBuf>,
}
