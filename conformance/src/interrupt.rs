//! Ctrl-C ends a run, whose report is made of what is known by then; a second one ends the tool at once.

use std::process;
use std::thread;

use pulsewire_conformance::Stop;
use tokio::runtime;
use tokio::signal::ctrl_c;

/// What a shell gives for a program that Ctrl-C ended.
const INTERRUPTED: i32 = 130;

/// Listens for Ctrl-C from now on, in a thread of its own.
pub(crate) fn stop_on_interrupt(stop: &Stop) -> Result<(), String> {
    let failed = |error: std::io::Error| format!("Ctrl-C cannot be listened for: {error}");
    let stop = stop.clone();
    let runtime = runtime::Builder::new_current_thread().enable_io().build().map_err(failed)?;
    let wait = move || {
        runtime.block_on(async {
            if ctrl_c().await.is_ok() {
                eprintln!("the run is ended; once more to end without a report");
                stop.now();
                if ctrl_c().await.is_ok() {
                    process::exit(INTERRUPTED);
                }
            }
        });
    };
    thread::Builder::new().name("interrupt".into()).spawn(wait).map(drop).map_err(failed)
}
