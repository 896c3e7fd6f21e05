//! What the tests of the suite judge, and how.
#![allow(dead_code, reason = "a module of several test programs")]

use std::process;
use std::sync::Arc;
use std::time::Duration;

use conformance::{named, subjects};
use pulsewire_conformance::oracle::Oracle;
use pulsewire_conformance::subject::Subject;
use pulsewire_conformance::{Options, Selection};

/// How long a case may take.
const WATCHDOG: Duration = Duration::from_secs(60);
/// Cases at once: they mostly wait. Under Wine each call goes through one server process, and more of them than this are late.
const JOBS: usize = if cfg!(windows) { 8 } else { 32 };
/// The exit code for tests that were called wrongly.
const CALLED_WRONGLY: i32 = 2;

/// The subjects of this system and the oracle, or what CONFORMANCE_SUBJECT names. On Windows the oracle would prove nothing that it does
/// not prove elsewhere.
pub(crate) fn judged() -> Vec<Arc<dyn Subject>> {
    let oracle = || (!cfg!(windows)).then(|| Arc::new(Oracle::clean()) as Arc<dyn Subject>);
    match or_exit(named::subject_from_environment()) {
        Some(subject) => vec![subject],
        None => subjects::of_this_system().into_iter().chain(oracle()).collect(),
    }
}

/// What is of this workspace has to do what the specification recommends, too; others are not asked for that. It is tried with whole
/// writes alone: the time of a build is short, and the tool tries all chunkings, as `in_memory.rs` does.
pub(crate) fn options() -> Options {
    let manifest = or_exit(named::manifest_from_environment());
    let is_ours = !named::is_in_environment();
    let chunkings = if is_ours { vec!["whole".to_owned()] } else { Vec::new() };
    let selection = Selection::new(&[], &[], &[], &chunkings).expect("every case is run whole");
    Options { watchdog: WATCHDOG, jobs: JOBS, strict: is_ours, manifest, selection, ..Options::default() }
}

fn or_exit<T>(read: Result<T, String>) -> T {
    read.unwrap_or_else(|sentence| {
        eprintln!("{sentence}");
        process::exit(CALLED_WRONGLY)
    })
}
