//! Two network namespaces of our own with a cable between them, and programs that run there: this program itself, with arguments.
#![allow(dead_code, unreachable_pub, reason = "a module of several tests, each of which uses a part of it")]

use std::error::Error;
use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitCode, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use libtest_mimic::{Arguments, Trial};

pub type Outcome<T = ()> = Result<T, Box<dyn Error + Send + Sync>>;

/// A test and its name.
pub type Test = (&'static str, fn() -> Outcome);

/// The address of the far end.
pub const FAR: &str = "10.0.0.2";
pub const FAR_V6: &str = "fd00::2";

/// Runs tests that need namespaces. Where those are not permitted they are skipped, which is said; with `CI` in the environment
/// they fail.
pub fn run_tests<const COUNT: usize>(tests: [Test; COUNT]) -> ExitCode {
    run_tests_if(Namespaces::are_permitted(), Arguments::from_args(), tests)
}

/// The same for tests that need more: `permitted` tells whether it is there.
pub fn run_tests_if<const COUNT: usize>(permitted: Outcome, arguments: Arguments, tests: [Test; COUNT]) -> ExitCode {
    let required = std::env::var_os("CI").is_some();
    if let Err(error) = &permitted {
        eprintln!("SKIPPED: no network namespaces, so nothing of {} is tested: {error}. Run as root.", program());
    }
    let trials = tests
        .into_iter()
        .map(|(name, test)| {
            let missing = permitted.as_ref().err().map(|error| format!("CI must have network namespaces: {error}"));
            let skipped = missing.is_some() && !required;
            let run = move || match missing {
                Some(missing) => Err(missing.into()),
                None => test().map_err(|error| error.to_string().into()),
            };
            Trial::test(name, run).with_ignored_flag(skipped)
        })
        .collect();
    libtest_mimic::run(&arguments, trials).exit_code()
}

fn program() -> String {
    let path = std::env::current_exe().unwrap_or_default();
    path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

/// Runs what belongs into a namespace, for at most this long: who waits for its output then reads that it failed.
pub fn run_program(limit: Duration, program: impl FnOnce() -> Outcome) -> ExitCode {
    thread::spawn(move || {
        thread::sleep(limit);
        println!("failed: it took more than {limit:?}");
        std::process::exit(1);
    });
    match program() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("failed: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Two namespaces with a cable between them. Nothing outside them is touched.
pub struct Namespaces {
    pub near: String,
    pub far: String,
}

impl Namespaces {
    fn are_permitted() -> Outcome {
        let name = format!("socket-probe-{}", std::process::id());
        ip(&["netns", "add", &name])?;
        ip(&["netns", "del", &name])
    }

    pub fn new() -> Outcome<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let id = format!("{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let namespaces = Self { near: format!("socket-near-{id}"), far: format!("socket-far-{id}") };
        let Self { near, far } = &namespaces;
        ip(&["netns", "add", near])?;
        ip(&["netns", "add", far])?;
        ip(&["-n", near, "link", "add", "cable", "type", "veth", "peer", "name", "cable", "netns", far])?;
        for (name, address, address_v6) in [(near, "10.0.0.1/24", "fd00::1/64"), (far, "10.0.0.2/24", "fd00::2/64")] {
            ip(&["-n", name, "addr", "add", address, "dev", "cable"])?;
            // Usable at once, without asking whether somebody else has it.
            ip(&["-n", name, "addr", "add", address_v6, "dev", "cable", "nodad"])?;
            ip(&["-n", name, "link", "set", "cable", "up"])?;
        }
        Ok(namespaces)
    }

    /// As if the far host had lost its cable: its packets vanish in both directions, and nobody is told. The near side goes on to
    /// send to the far side's hardware address.
    pub fn take_far_host_away(&self) -> Outcome {
        let link = Command::new("ip").args(["-n", &self.far, "-o", "link", "show", "cable"]).output()?;
        let link = String::from_utf8(link.stdout)?;
        let hardware = link.split("link/ether ").nth(1).and_then(|rest| rest.split(' ').next());
        let hardware = hardware.ok_or("the cable has no hardware address")?;
        ip(&["-n", &self.near, "neigh", "replace", FAR, "lladdr", hardware, "dev", "cable"])?;
        ip(&["-n", &self.far, "addr", "del", "10.0.0.2/24", "dev", "cable"])
    }

    /// Starts this program with arguments.
    pub fn start(&self, namespace: &str, arguments: &[&str]) -> Outcome<Running> {
        let mut child = start(namespace, arguments)?;
        let output = BufReader::new(child.stdout.take().ok_or("no output")?);
        let input = child.stdin.take();
        Ok(Running { child, output, input })
    }
}

impl Drop for Namespaces {
    fn drop(&mut self) {
        for name in [&self.near, &self.far] {
            if let Err(error) = ip(&["netns", "del", name]) {
                eprintln!("{error}");
            }
        }
    }
}

/// Starts this program with arguments in a namespace.
pub fn start(namespace: &str, arguments: &[&str]) -> Outcome<Child> {
    let program = std::env::current_exe()?;
    let mut command = Command::new("ip");
    command.args(["netns", "exec", namespace]).arg(program).args(arguments);
    Ok(command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?)
}

/// Sends a program a signal. `ip netns exec` became the program itself, so the process is the program's.
pub fn signal(child: &Child, signal: &str) -> Outcome {
    let status = Command::new("kill").args([signal, &child.id().to_string()]).status()?;
    if status.success() { Ok(()) } else { Err(format!("kill {signal}: {status}").into()) }
}

pub fn ip(arguments: &[&str]) -> Outcome {
    let output = Command::new("ip").args(arguments).output().map_err(|error| format!("the command ip: {error}"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(format!("ip {}: {}", arguments.join(" "), said.trim()).into());
    }
    Ok(())
}

/// A program in a namespace. It is ended when this is dropped.
pub struct Running {
    child: Child,
    output: BufReader<ChildStdout>,
    /// Open for as long as the program is to run.
    input: Option<ChildStdin>,
}

impl Running {
    /// The next line, without its end; `None` when the program has ended.
    pub fn line(&mut self) -> Outcome<Option<String>> {
        let mut line = String::new();
        let count = self.output.read_line(&mut line)?;
        Ok((count > 0).then(|| line.trim_end().to_owned()))
    }

    pub fn expect(&mut self, expected: &str) -> Outcome {
        let line = self.line()?;
        if line.as_deref() == Some(expected) {
            Ok(())
        } else {
            Err(format!("expected {expected:?}, got {line:?}").into())
        }
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: &str) -> Outcome {
        self::signal(&self.child, signal)
    }

    /// Ends its standard input, which asks it to end.
    pub fn finish(&mut self) {
        self.input = None;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
