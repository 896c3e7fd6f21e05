//! Accepting where descriptors run out, and from what another process handed over: in processes of their own, whose limits and
//! descriptors are set by a shell.
#![cfg(unix)]

mod support;

use std::io::{BufRead, BufReader, Lines, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};

use pulsewire_transport_tokio::protocol::{Config, Event};
use pulsewire_transport_tokio::{Connection, Endpoint, Server};
use support::{bounded, message, ms, next_message, valid};
use tracing::span::{Attributes, Id, Record};
use tracing::{Level, Metadata, Subscriber};

/// Says to this program what it is to be.
const ROLE: &str = "PULSEWIRE_TEST_ROLE";

async fn echo(mut connection: Connection) {
    let sender = connection.sender();
    while let Some(event) = connection.recv().await {
        if let Event::Message(message) = event {
            let _closing = sender.send(message).await;
        }
    }
}

fn endpoint() -> Endpoint {
    Endpoint::new(valid(Config::default()))
}

/// This test program once more, as the test `name` alone, with `role`; `shell` runs it.
fn spawn(name: &str, role: &str, shell: &str, stdin: Stdio) -> Child {
    let program = std::env::current_exe().unwrap();
    let mut command = Command::new("sh");
    command.args(["-c", shell]).arg(program).args(["--exact", name, "--nocapture"]);
    command.env(ROLE, role).stdin(stdin).stdout(Stdio::piped()).spawn().expect("a shell")
}

fn is(role: &str) -> bool {
    std::env::var(ROLE).is_ok_and(|is| is == role)
}

/// Ends the process with the test, also where that fails.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _gone = self.0.kill();
        let _waited = self.0.wait();
    }
}

/// Counts lines of the log.
struct Counting;

static ERRORS: AtomicU64 = AtomicU64::new(0);

impl Subscriber for Counting {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() == Level::ERROR
    }
    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }
    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn event(&self, _: &tracing::Event<'_>) {
        ERRORS.fetch_add(1, Ordering::SeqCst);
    }
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

/// Serves, says where, and at each line of its input how often accepting failed, and how often the log said so.
#[tokio::main(flavor = "current_thread")]
async fn serve_with_few_descriptors() {
    tracing::subscriber::set_global_default(Counting).unwrap();
    let mut server = Server::new(endpoint());
    let address = server.listen("127.0.0.1:0").await.unwrap().address().unwrap();
    let handle = server.handle();
    std::thread::spawn(move || {
        println!("\nserving {address}");
        for _ in std::io::stdin().lines() {
            println!("\nfailed {} {}", handle.statistics().accept_failures, ERRORS.load(Ordering::SeqCst));
        }
        std::process::exit(0);
    });
    server.serve(echo).await;
}

/// The rest of the first line that begins with `what`.
fn said(lines: &mut Lines<BufReader<ChildStdout>>, what: &str) -> String {
    let lines = lines.map(|line| line.expect("text"));
    let found = lines.filter_map(|line| line.strip_prefix(what).map(str::to_owned)).next();
    found.expect("the other process ended")
}

fn failures(input: &mut ChildStdin, lines: &mut Lines<BufReader<ChildStdout>>) -> (u64, u64) {
    writeln!(input, "how many").unwrap();
    let said = said(lines, "failed ");
    let (failures, logged) = said.split_once(' ').unwrap();
    (failures.parse().unwrap(), logged.parse().unwrap())
}

#[test]
fn accepting_goes_on_when_descriptors_are_free_again() {
    if is("few descriptors") {
        return serve_with_few_descriptors();
    }
    let name = "accepting_goes_on_when_descriptors_are_free_again";
    let shell = r#"ulimit -n 40 && exec "$0" "$@""#;
    let mut child = Ended(spawn(name, "few descriptors", shell, Stdio::piped()));
    let mut input = child.0.stdin.take().unwrap();
    let mut lines = BufReader::new(child.0.stdout.take().unwrap()).lines();
    let address: SocketAddr = said(&mut lines, "serving ").parse().unwrap();
    let held: Vec<TcpStream> = (0..60).map(|_| TcpStream::connect(address).unwrap()).collect();
    while failures(&mut input, &mut lines).0 == 0 {
        std::thread::sleep(ms(5));
    }
    let began = std::time::Instant::now();
    std::thread::sleep(ms(1_500));
    let (failed, logged) = failures(&mut input, &mut lines);
    let seconds = began.elapsed().as_secs();
    // It does not spin, and does not fill the log.
    assert!(failed < 20 + seconds, "{failed} failures in {seconds} s");
    assert!((1..=3 + seconds).contains(&logged), "{logged} lines in {seconds} s");
    drop(held);
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(bounded(async {
        let mut connection = endpoint().connect(address).await.expect("it accepts again");
        connection.sender().send(message(1, 3_000)).await.unwrap();
        assert_eq!(next_message(&mut connection).await, message(1, 3_000));
    }));
}

#[tokio::main(flavor = "current_thread")]
async fn serve_what_was_inherited() {
    let mut server = Server::new(endpoint());
    let listeners = server.listen_inherited().unwrap();
    println!("\ninherited {} {:?}", listeners.len(), listeners[0].address());
    server.serve(echo).await;
}

/// As from systemd: the descriptors from 3 on, and their number in `LISTEN_FDS`.
#[test]
fn listeners_are_taken_over_as_systemd_hands_them_over() {
    if is("inherits") {
        return serve_what_was_inherited();
    }
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let name = "listeners_are_taken_over_as_systemd_hands_them_over";
    let shell = r#"LISTEN_FDS=1 LISTEN_PID=$$ exec "$0" "$@" 3<&0 </dev/null"#;
    let mut child = Ended(spawn(name, "inherits", shell, OwnedFd::from(listener).into()));
    let mut lines = BufReader::new(child.0.stdout.take().unwrap()).lines();
    assert_eq!(said(&mut lines, "inherited "), format!("1 {:?}", Some(address)));
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(bounded(async {
        let mut connection = endpoint().connect(address).await.unwrap();
        connection.sender().send(message(1, 3_000)).await.unwrap();
        assert_eq!(next_message(&mut connection).await, message(1, 3_000));
    }));
}

#[tokio::test]
async fn without_an_inheritance_nothing_is_taken_over() {
    if std::env::var_os("LISTEN_FDS").is_none() {
        assert!(Server::new(endpoint()).listen_inherited().unwrap().is_empty());
    }
}
