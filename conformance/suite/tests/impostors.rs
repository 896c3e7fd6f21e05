//! Subjects that do not speak the protocol at all pass no case: nothing is proved by a connection that just ends.

#![expect(clippy::disallowed_methods, reason = "impostors live in real time")]

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;

use pulsewire_conformance::subject::{Command, Reply, Running, Subject, SubjectError};
use pulsewire_conformance::{CaseReport, Options, Profile, Verdict, cases, run};

/// Does the same with every connection, whichever role it has.
struct Impostor {
    name: &'static str,
    act: fn(TcpStream),
    /// Whether it claims to do what no implementation knows.
    takes_anything: bool,
}

struct RunningImpostor {
    address: SocketAddr,
    takes_anything: bool,
}

impl Subject for Impostor {
    fn name(&self) -> &str {
        self.name
    }

    fn serve(&self, _profile: &Profile) -> Result<Box<dyn Running>, SubjectError> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let act = self.act;
        // It waits for connections until the process ends.
        thread::spawn(move || {
            listener.incoming().flatten().for_each(|stream| drop(thread::spawn(move || act(stream))));
        });
        Ok(Box::new(RunningImpostor { address, takes_anything: self.takes_anything }))
    }

    fn connect(&self, _profile: &Profile, address: SocketAddr) -> Result<Box<dyn Running>, SubjectError> {
        let (act, mut stream) = (self.act, TcpStream::connect(address)?);
        // A client speaks first.
        stream.write_all(&[0; 12])?;
        thread::spawn(move || act(stream));
        Ok(Box::new(RunningImpostor { address, takes_anything: self.takes_anything }))
    }
}

impl Running for RunningImpostor {
    fn address(&self) -> SocketAddr {
        self.address
    }

    fn control(&mut self, command: Command) -> Result<Reply, SubjectError> {
        Ok(match command {
            Command::Unknown { .. } if !self.takes_anything => return Err(SubjectError::unknown_command()),
            Command::Events => Reply::Events(Vec::new()),
            _ => Reply::Connections(Vec::new()),
        })
    }

    fn stop(self: Box<Self>) {}
}

/// Cases at once. Under Wine each call goes through one server process, and with more of them connections fail.
const JOBS: usize = if cfg!(windows) { 8 } else { 32 };

/// Nobody can put an impostor with a socket to sleep.
fn can_be_tried(report: &CaseReport) -> bool {
    cases().any(|case| case.id == report.id && !case.needs_virtual_time())
}

fn passes_nothing(name: &'static str, act: fn(TcpStream)) {
    let report = run(
        &[Arc::new(Impostor { name, act, takes_anything: false })],
        &Options { strict: true, jobs: JOBS, ..Options::default() },
    );
    for case in report.cases.iter().filter(|case| can_be_tried(case)) {
        // A busy machine may be the cause of what did not come.
        let failed = matches!(case.verdict, Verdict::Fail(_) | Verdict::Inconclusive(_));
        assert!(failed, "{} as {}: {:?}", case.id, case.role.name(), case.verdict);
    }
    assert_eq!(report.exit_code(), 1);
}

#[test]
fn one_that_closes_at_once() {
    passes_nothing("closes at once", drop);
}

#[test]
fn one_that_returns_every_byte() {
    passes_nothing("returns every byte", |mut stream| {
        let mut buffer = [0; 4_096];
        while let Ok(count @ 1..) = stream.read(&mut buffer) {
            if stream.write_all(&buffer[..count]).is_err() {
                return;
            }
        }
    });
}

#[test]
fn one_that_takes_any_command() {
    let impostor = Impostor { name: "takes anything", act: drop, takes_anything: true };
    let report = run(&[Arc::new(impostor)], &Options { jobs: JOBS, ..Options::default() });
    assert_eq!(report.totals().harness_error, report.cases.iter().filter(|case| can_be_tried(case)).count());
    assert!(report.cases[0].verdict.reason().contains("no such command"), "{:?}", report.cases[0].verdict);
    assert_eq!(report.exit_code(), 2);
}
