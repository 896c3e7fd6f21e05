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
    let Arguments { command, run } = Arguments::parse();
    let code = match command {
        None => judge::run(&run),
        Some(Command::Run(run)) => judge::run(&run),
        Some(Command::Server(server)) => judge::server(&server),
        Some(Command::Client(client)) => judge::client(&client),
        Some(Command::List(list)) => list::list(&list),
        Some(Command::Explain { id }) => explain::explain(&id),
        Some(Command::Replay(replay)) => replay::replay(&replay),
        Some(Command::Report { lines, report }) => judge::report(&lines, report.as_deref()),
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
