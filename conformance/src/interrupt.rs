//! Ctrl-C, and what else asks a program to end, ends a run, whose report is made of what is known by then; a second time it ends the tool
//! at once. Before a run has begun there is nothing to report. No program that the suite started is left behind.

use std::io;
use std::process;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use pulsewire_conformance::{Stop, end_programs};
use tokio::runtime;
#[cfg(unix)]
use tokio::signal::unix;
#[cfg(windows)]
use tokio::signal::windows;

/// What a shell gives for a program that Ctrl-C ended.
const INTERRUPTED: i32 = 130;

/// Whether there is something to report.
static RUNS: AtomicBool = AtomicBool::new(false);

/// A run begins, which is ended in order from now on.
pub(crate) fn run_begins() {
    RUNS.store(true, Ordering::Relaxed);
}

/// Listens for Ctrl-C and its like from now on, in a thread of its own.
pub(crate) fn stop_on_interrupt(stop: &Stop) -> Result<(), String> {
    let failed = |error: io::Error| format!("Ctrl-C cannot be listened for: {error}");
    let stop = stop.clone();
    let runtime = runtime::Builder::new_current_thread().enable_io().build().map_err(failed)?;
    let mut signals = {
        let _runtime = runtime.enter();
        Signals::new().map_err(failed)?
    };
    let wait = move || {
        runtime.block_on(async {
            loop {
                signals.next().await;
                if stop.is_wanted() || !RUNS.load(Ordering::Relaxed) {
                    end_programs();
                    process::exit(INTERRUPTED);
                }
                eprintln!("the run is ended; once more to end without a report");
                stop.now();
            }
        });
    };
    thread::Builder::new().name("interrupt".into()).spawn(wait).map(drop).map_err(failed)
}

/// What asks the tool to end: Ctrl-C, and what `timeout` and build servers send.
#[cfg(unix)]
struct Signals(unix::Signal, unix::Signal);

#[cfg(unix)]
impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self(unix::signal(unix::SignalKind::interrupt())?, unix::signal(unix::SignalKind::terminate())?))
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.0.recv() => {}
            _ = self.1.recv() => {}
        }
    }
}

/// What asks the tool to end.
#[cfg(windows)]
struct Signals(windows::CtrlC);

#[cfg(windows)]
impl Signals {
    fn new() -> io::Result<Self> {
        windows::ctrl_c().map(Self)
    }

    async fn next(&mut self) {
        self.0.recv().await;
    }
}
