//! Examples that run as programs, and what they print.

use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

/// Where no other test listens, so that a port that is free for a moment stays so. Elsewhere loopback has one address only.
pub(crate) const OF_ITS_OWN: &str =
    if cfg!(any(target_os = "linux", windows)) { "127.0.77.1:0" } else { "127.0.0.1:0" };

/// A machine that does much else beside.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// `cargo test` builds the examples before it runs this. Where only this test was built, cargo builds them now.
pub(crate) fn program(name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("this program has a name");
    let built = test.ancestors().nth(2).expect("target/debug/deps/…").join("examples");
    let program = built.join(format!("{name}{}", std::env::consts::EXE_SUFFIX));
    if !program.exists() {
        let features = if cfg!(feature = "tls") { "tls" } else { "" };
        let arguments = ["build", "--quiet", "-p", env!("CARGO_PKG_NAME"), "--example", name, "--features", features];
        let built = Command::new(env!("CARGO")).args(arguments).status().expect("cargo runs");
        assert!(built.success() && program.exists(), "{} was not built", program.display());
    }
    program
}

/// A program that runs, and what it prints. It ends with this.
pub(crate) struct Running {
    child: Child,
    lines: Receiver<String>,
}

impl Running {
    pub(crate) fn start(name: &str, arguments: &[&str]) -> Self {
        let mut child = Command::new(program(name))
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("it starts");
        let output = BufReader::new(child.stdout.take().expect("piped"));
        let (told, lines) = channel();
        std::thread::spawn(move || output.lines().map_while(Result::ok).try_for_each(|line| told.send(line)));
        Self { child, lines }
    }

    /// Reads until a line has this in it.
    pub(crate) fn until(&self, wanted: &str) -> String {
        let end = Instant::now() + PATIENCE;
        let mut seen = Vec::new();
        loop {
            match self.lines.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok(line) if line.contains(wanted) => return line,
                Ok(line) => seen.push(line),
                Err(_) => panic!("no {wanted:?} in {seen:#?}"),
            }
        }
    }

    /// Types a line.
    pub(crate) fn type_line(&mut self, line: &str) {
        writeln!(self.child.stdin.as_mut().expect("piped"), "{line}").expect("it reads");
    }

    /// Ends its input, and waits for the end.
    pub(crate) fn end_input(mut self) {
        drop(self.child.stdin.take());
        self.until_success();
    }

    #[cfg(unix)]
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Presses Enter, and waits for the end.
    pub(crate) fn stop(mut self) {
        self.child.stdin.take().expect("piped").write_all(b"\n").expect("it reads");
        self.until_success();
    }

    pub(crate) fn until_success(mut self) {
        let end = Instant::now() + PATIENCE;
        let status = loop {
            match self.child.try_wait().expect("a child") {
                Some(status) => break status,
                None => assert!(Instant::now() < end, "it does not end: {:#?}", Vec::from_iter(self.lines.try_iter())),
            }
            std::thread::sleep(Duration::from_millis(10));
        };
        assert!(status.success(), "{status}: {:#?}", Vec::from_iter(self.lines.try_iter()));
    }

    pub(crate) fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.kill();
    }
}
