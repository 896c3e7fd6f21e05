//! A process that the bench starts, and asks by lines.

use std::fmt::Display;
use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::process::{ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

/// Another process of this program. It ends when it is dropped.
pub(crate) struct Child {
    process: std::process::Child,
    questions: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Child {
    pub(crate) fn start(arguments: &[&dyn Display]) -> Self {
        let program = std::env::current_exe().expect("this program has a name");
        let mut command = Command::new(program);
        command.args(arguments.iter().map(|argument| argument.to_string()));
        let mut process =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("a process can be started");
        let questions = process.stdin.take().expect("it is a pipe");
        let answers = BufReader::new(process.stdout.take().expect("it is a pipe"));
        Self { process, questions, answers }
    }

    /// The next line that it prints.
    pub(crate) fn line(&mut self) -> String {
        let mut line = String::new();
        let read = self.answers.read_line(&mut line).expect("a pipe can be read");
        assert!(read > 0, "a process of the bench ended early");
        line.trim().to_owned()
    }

    pub(crate) fn ask(&mut self, question: &str) -> String {
        writeln!(self.questions, "{question}").expect("it listens");
        self.line()
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// An echo server.
pub(crate) struct Server {
    child: Child,
    pub(crate) address: SocketAddr,
}

impl Server {
    pub(crate) fn start(contender: impl Display) -> Self {
        let mut child = Child::start(&[&"child-serve", &contender]);
        let address = child.line().parse().expect("its address");
        Self { child, address }
    }

    /// Processor time that it took so far.
    pub(crate) fn used(&mut self) -> Duration {
        Duration::from_nanos(self.number("used"))
    }

    /// Bytes that it has allocated.
    pub(crate) fn held(&mut self) -> u64 {
        self.number("held")
    }

    /// Bytes that the system counts for it.
    pub(crate) fn resident(&mut self) -> u64 {
        self.number("resident")
    }

    fn number(&mut self, question: &str) -> u64 {
        self.child.ask(question).parse().expect("a number")
    }
}
