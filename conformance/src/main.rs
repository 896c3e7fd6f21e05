//! Runs the Pulsewire conformance suite on this workspace's transports, or on any other implementation.

mod arguments;
mod badge;
mod explain;
mod files;
mod html;
mod input;
mod interrupt;
mod judge;
mod junit;
mod list;
mod load;
mod markdown;
mod nearest;
mod outcome;
mod packet_line;
mod proxy;
mod replay;
mod shrink;
mod talk;

use std::env;
use std::io::Write;
use std::process::ExitCode;

use clap::{CommandFactory, Parser};
use pulsewire_conformance::end_programs;

use crate::arguments::{Arguments, Command};

/// For Wireshark, so that the binary alone is enough.
const DISSECTOR: &str = include_str!("../wireshark/pulsewire.lua");

/// The exit code for a harness that failed, or was called wrongly.
const HARNESS_ERROR: u8 = 2;

fn main() -> ExitCode {
    if env::args_os().len() == 1 && !is_in_workspace() {
        show(&Arguments::command().render_help().to_string());
        return ExitCode::from(HARNESS_ERROR);
    }
    let code = match Arguments::parse().into_command() {
        Command::Run(run) => judge::run(run),
        Command::Server(server) => judge::server(server),
        Command::Client(client) => judge::client(client),
        Command::Adapter(adapter) => judge::adapter(adapter),
        Command::List(list) => list::list(&list),
        Command::Explain { id } => explain::explain(&id),
        Command::Replay(replay) => replay::replay(&replay),
        Command::Shrink(shrink) => shrink::shrink(&shrink),
        Command::Talk(talk) => talk::talk(&talk),
        Command::Proxy(proxy) => proxy::proxy(&proxy),
        Command::Load(load) => load::load(&load),
        Command::Dissector => {
            show(DISSECTOR);
            Ok(0)
        }
        Command::Report(report) => judge::report(&report),
    };
    end_programs();
    match code {
        Ok(code) => ExitCode::from(code),
        Err(sentence) => {
            eprintln!("{sentence}");
            ExitCode::from(HARNESS_ERROR)
        }
    }
}

/// Whether this runs somewhere in the workspace whose implementations it knows.
fn is_in_workspace() -> bool {
    let here = env::current_dir().unwrap_or_default();
    here.ancestors().any(|folder| folder.join("conformance/suite/Cargo.toml").exists())
}

/// Prints to standard output, without colours where that is no terminal. Whoever reads it may stop early, as `head` does; that is no
/// fault of the run.
fn show(text: &str) {
    let _ = anstream::stdout().write_all(text.as_bytes());
}
