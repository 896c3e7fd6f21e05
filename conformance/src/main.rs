//! Runs the Pulsewire conformance suite on this workspace's transports, or on any other implementation.

mod arguments;
mod explain;
mod input;
mod judge;
mod list;
mod nearest;
mod replay;

use std::io::{self, Write};
use std::process::ExitCode;

use clap::Parser;

use crate::arguments::{Arguments, Command};

/// The exit code for a harness that failed, or was called wrongly.
const HARNESS_ERROR: u8 = 2;

fn main() -> ExitCode {
    let code = match Arguments::parse().into_command() {
        Command::Run(run) => judge::run(&run),
        Command::Server(server) => judge::server(&server),
        Command::Client(client) => judge::client(&client),
        Command::List(list) => list::list(&list),
        Command::Explain { id } => explain::explain(&id),
        Command::Replay(replay) => replay::replay(&replay),
        Command::Report { lines, report } => judge::report(&lines, report.as_deref()),
    };
    match code {
        Ok(code) => ExitCode::from(code),
        Err(sentence) => {
            eprintln!("{sentence}");
            ExitCode::from(HARNESS_ERROR)
        }
    }
}

/// Prints to standard output. Whoever reads it may stop early, as `head` does; that is no fault of the run.
fn show(text: &str) {
    let _ = io::stdout().write_all(text.as_bytes());
}
