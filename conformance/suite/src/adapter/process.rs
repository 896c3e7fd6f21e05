//! A program that answers lines.

use std::io::{self, BufRead, BufReader, Write};
#[cfg(unix)]
use std::os::unix::process::CommandExt;
use std::process::{ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use crate::program::Program;
use crate::subject::SubjectError;

/// How long one answer may take. Generous: a program may have to start first, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// One process of the program, which ends with this.
pub(super) struct Process {
    program: Program,
    input: ChildStdin,
    /// The lines that it says.
    answers: Receiver<String>,
}

impl Process {
    /// Starts the program. What it says on standard error is for people, and passed on.
    pub(super) fn start(words: &[String]) -> Result<Self, SubjectError> {
        let (program, arguments) = words.split_first().expect("the command was looked at before");
        let mut command = Command::new(program);
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped());
        // Ctrl-C ends the run, which ends the program.
        #[cfg(unix)]
        command.process_group(0);
        let program = Program::start(&mut command)
            .map_err(|error| SubjectError::failed(format!("{program} cannot be started: {error}")))?;
        let (input, output) = {
            let mut child = program.child();
            (child.stdin.take(), child.stdout.take())
        };
        let (input, output) = input.zip(output).expect("both were asked for");
        let (sender, answers) = mpsc::channel();
        thread::Builder::new().name("answers of an adapter".into()).spawn(move || {
            let lines = BufReader::new(output).lines().map_while(Result::ok);
            lines.filter(|line| !line.trim().is_empty()).try_for_each(|line| sender.send(line))
        })?;
        Ok(Self { program, input, answers })
    }

    pub(super) fn lives(&mut self) -> bool {
        matches!(self.program.child().try_wait(), Ok(None))
    }

    /// Says a line, and waits for the answer.
    ///
    /// # Errors
    ///
    /// If none comes: the program has ended, or hangs.
    pub(super) fn ask(&mut self, line: &str) -> Result<String, SubjectError> {
        let said = self.say(line);
        self.answer(line, said.is_ok())
    }

    /// Says lines, and waits for the answer to each.
    ///
    /// # Errors
    ///
    /// As [`ask`](Self::ask).
    pub(super) fn ask_all(&mut self, lines: &[String]) -> Result<Vec<String>, SubjectError> {
        let said = self.say(&lines.join("\n"));
        lines.iter().map(|line| self.answer(line, said.is_ok())).collect()
    }

    fn say(&mut self, lines: &str) -> io::Result<()> {
        writeln!(self.input, "{lines}")?;
        self.input.flush()
    }

    fn answer(&mut self, line: &str, was_said: bool) -> Result<String, SubjectError> {
        let answer = self.answers.recv_timeout(if was_said { PATIENCE } else { Duration::ZERO });
        answer.map_err(|error| {
            let what = match (error, self.program.child().try_wait()) {
                (_, Ok(Some(status))) => format!("has ended ({status})"),
                (RecvTimeoutError::Timeout, _) if was_said => format!("said nothing for {} s", PATIENCE.as_secs()),
                _ => "has closed its standard input or output".into(),
            };
            SubjectError::failed(format!("the adapter {what}, and was told {}", shortened(line)))
        })
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Either fails only where it has ended by now.
        let mut child = self.program.child();
        let _ = child.kill();
        let _ = child.wait();
    }
}

/// A line for people: payloads may be long.
pub(super) fn shortened(line: &str) -> String {
    const MOST: usize = 200;
    match line.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line.to_owned(),
    }
}
