//! Programs in network namespaces, which are this program with arguments, and the run of the tests.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, ExitCode};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use libtest_mimic::Arguments;

use super::cable::Cable;
use super::namespaces::{self, Outcome, Test, start};

/// A line that does not come within this time does not come: longer than any process sleeps.
const PATIENCE: Duration = Duration::from_secs(30);

/// All at once: they wait most of the time.
pub(crate) fn run_tests<const COUNT: usize>(tests: [Test; COUNT]) -> ExitCode {
    let mut arguments = Arguments::from_args();
    arguments.test_threads.get_or_insert(COUNT);
    namespaces::run_tests_if(Cable::new("probe").map(drop), arguments, tests)
}

/// Runs what belongs into a namespace.
pub(crate) fn run_program(program: impl FnOnce() -> Outcome) -> ExitCode {
    match program() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("failed: {error}");
            ExitCode::FAILURE
        }
    }
}

/// A program that is told what to do by lines, and says by lines what happens. It is ended when this is dropped.
pub(crate) struct Running {
    name: String,
    child: Child,
    input: ChildStdin,
    lines: Receiver<(Instant, String)>,
}

impl Running {
    pub(crate) fn start(namespace: &str, arguments: &[&str]) -> Outcome<Self> {
        let mut child = start(namespace, arguments)?;
        let input = child.stdin.take().ok_or("no input")?;
        let output = BufReader::new(child.stdout.take().ok_or("no output")?);
        let (give, lines) = channel();
        thread::spawn(move || read_lines(output, &give));
        Ok(Self { name: arguments.join(" "), child, input, lines })
    }

    pub(crate) fn tell(&mut self, line: &str) -> Outcome {
        Ok(writeln!(self.input, "{line}")?)
    }

    /// The next line, and when it came; `None` if none comes within that time.
    pub(crate) fn line_within(&mut self, time: Duration) -> Option<(Instant, String)> {
        self.lines.recv_timeout(time).ok()
    }

    /// Waits for a line that begins so, past those that tell of other things, but not past the end. Gives what follows it, and when it
    /// came.
    pub(crate) fn expect(&mut self, beginning: &str) -> Outcome<(Instant, String)> {
        let until = Instant::now() + PATIENCE;
        let mut passed = Vec::new();
        loop {
            let Some((when, line)) = self.line_within(until.saturating_duration_since(Instant::now())) else {
                return Err(format!("{}: expected {beginning:?} behind {passed:?}, got nothing", self.name).into());
            };
            if let Some(rest) = line.strip_prefix(beginning) {
                return Ok((when, rest.trim().to_owned()));
            }
            if line.starts_with("ended") || line.starts_with("failed") {
                return Err(format!("{}: expected {beginning:?} behind {passed:?}, got {line:?}", self.name).into());
            }
            passed.push(line);
        }
    }

    /// It does not end within that time.
    pub(crate) fn goes_on(&mut self, time: Duration) -> Outcome {
        let until = Instant::now() + time;
        while let Some((_, line)) = self.line_within(until.saturating_duration_since(Instant::now())) {
            if line.starts_with("ended") || line.starts_with("failed") {
                return Err(format!("{}: {line}", self.name).into());
            }
        }
        Ok(())
    }

    pub(crate) fn stop(&self) -> Outcome {
        namespaces::signal(&self.child, "-STOP")
    }

    pub(crate) fn resume(&self) -> Outcome {
        namespaces::signal(&self.child, "-CONT")
    }
}

fn read_lines(output: BufReader<ChildStdout>, give: &std::sync::mpsc::Sender<(Instant, String)>) {
    for line in output.lines().map_while(Result::ok) {
        if give.send((Instant::now(), line)).is_err() {
            return;
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
