//! An adapter outside of the suite that runs in memory and virtual time, by `pulsewire_conformance::world` alone.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use pulsewire_conformance::subject::{Command, Reply, Running, Subject, SubjectError};
use pulsewire_conformance::world::{self, Joiner, Stream};
use pulsewire_conformance::{Case, CaseReport, Options, Profile, Role, Variant, Verdict, cases, run_case};

/// Does the same with every connection, whichever role it has.
struct Small {
    act: fn(Stream),
    /// Whether it stops when it is told to.
    stops: bool,
}

struct RunningSmall {
    address: SocketAddr,
    thread: Joiner,
}

impl Subject for Small {
    fn name(&self) -> &str {
        "small"
    }

    fn serve(&self, _profile: &Profile) -> Result<Box<dyn Running>, SubjectError> {
        let (listener, act, stops) = (world::listen()?, self.act, self.stops);
        let address = listener.address()?;
        let thread = world::spawn("small server", move || {
            let _ = listener.accept(None).map(act);
            if !stops {
                let _ = listener.accept(None);
            }
        })?;
        Ok(Box::new(RunningSmall { address, thread }))
    }

    fn connect(&self, _profile: &Profile, address: SocketAddr) -> Result<Box<dyn Running>, SubjectError> {
        let act = self.act;
        let thread = world::spawn("small client", move || {
            let _: io::Result<()> = world::dial(address, Duration::ZERO).map(act);
        })?;
        Ok(Box::new(RunningSmall { address, thread }))
    }

    fn in_memory(&self) -> bool {
        true
    }
}

impl Running for RunningSmall {
    fn address(&self) -> SocketAddr {
        self.address
    }

    fn control(&mut self, _command: Command) -> Result<Reply, SubjectError> {
        Err(SubjectError::unknown_command())
    }

    fn stop(self: Box<Self>) {
        // What it panicked with is on standard error.
        let _ = self.thread.join();
    }
}

fn case(id: &str) -> &'static Case {
    cases().find(|case| case.id == id).expect("a case")
}

fn report(subject: Small, id: &str, role: Role) -> CaseReport {
    run_case(&(Arc::new(subject) as Arc<dyn Subject>), case(id), Variant::whole(role), &Options::default())
}

/// Reads nothing for so long, and then goes without a word.
fn silent_for_an_hour(_stream: Stream) {
    world::sleep(Duration::from_secs(60 * 60));
}

#[test]
fn an_adapter_that_waits_in_its_world_is_judged_in_virtual_time() {
    let report = report(Small { act: silent_for_an_hour, stops: true }, "PW-HS-012/silent-peer", Role::Server);
    assert!(matches!(report.verdict, Verdict::Fail(_)), "{:?}", report.verdict);
    assert!(report.verdict.reason().contains("still open long after"), "{:?}", report.verdict);
    assert_eq!(report.duration, Duration::from_secs(60 * 60), "the case waits until the subject has stopped");
}

#[test]
fn an_adapter_that_never_stops_is_a_deadlock_and_a_harness_error() {
    let report = report(Small { act: drop, stops: false }, "PW-HS-012/silent-peer", Role::Server);
    assert!(matches!(report.verdict, Verdict::HarnessError(_)), "{:?}", report.verdict);
    let reason = report.verdict.reason();
    assert!(reason.contains("a deadlock") && reason.contains("\"small server\" waits for a connection"), "{reason}");
}
