//! The example `chat`, run as its documentation says: one server, and two that NATS joins. The latter need `nats-server`; where that is
//! absent the tests say that they were skipped, and on Linux with `CI` in the environment they fail.

use std::env;
use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::programs::{OF_ITS_OWN, PATIENCE, Running};

/// A server, and where it listens.
fn server(arguments: &[&str]) -> (Running, String) {
    let server = Running::start("chat", arguments);
    let line = server.until("listening on ");
    let address = line.trim_start_matches("listening on ").split(';').next().expect("an address").to_owned();
    (server, address)
}

/// A user, and what others call it.
fn user(server: &str, name: &str) -> (Running, String) {
    let user = Running::start("chat_client", &[server, name, "tea"]);
    let welcome = user.until("you are ");
    (user, welcome.trim_start_matches("you are ").to_owned())
}

/// Two users do all there is to do.
fn talk(mut anna: (Running, String), mut bert: (Running, String)) {
    let (anna_is, bert_is) = (anna.1.clone(), bert.1.clone());
    anna.0.type_line("hello");
    bert.0.until(&format!("{anna_is} in tea: hello"));
    anna.0.until(&format!("{anna_is} in tea: hello"));
    bert.0.type_line(&format!("/kick {anna_is}"));
    bert.0.until("refused: you are not the owner of this room");
    anna.0.type_line(&format!("/owner {bert_is}"));
    anna.0.until(&format!("in tea: {bert_is}, {anna_is}"));
    bert.0.until(&format!("in tea: {bert_is}, {anna_is}"));
    bert.0.type_line(&format!("/kick {anna_is}"));
    anna.0.until("out of tea: kicked");
    bert.0.until(&format!("in tea: {bert_is}"));
    anna.0.type_line("may I?");
    anna.0.until("refused: you are not in this room");
    anna.0.type_line("/join");
    bert.0.until(&format!("in tea: {bert_is}, {anna_is}"));
    anna.0.until(&format!("in tea: {bert_is}, {anna_is}"));
    bert.0.type_line("/dissolve");
    bert.0.until("out of tea: dissolved");
    anna.0.until("out of tea: dissolved");
    anna.0.type_line("/join");
    anna.0.until(&format!("in tea: {anna_is}"));
    bert.0.type_line("/join");
    anna.0.until(&format!("in tea: {anna_is}, {bert_is}"));
    bert.0.type_line("/leave");
    bert.0.until("out of tea: left");
    bert.0.end_input();
    anna.0.end_input();
}

#[test]
fn two_users_talk() {
    let (_server, address) = server(&["--listen", "127.0.0.1:0"]);
    let anna = user(&address, "anna");
    anna.0.until(&format!("in tea: {}", anna.1));
    let bert = user(&address, "bert");
    bert.0.until(&format!("in tea: {}, {}", anna.1, bert.1));
    talk(anna, bert);
}

#[test]
fn a_user_whose_server_was_killed_joins_again() {
    let (mut first, address) = server(&["--listen", OF_ITS_OWN]);
    let (mut anna, _) = user(&address, "anna");
    first.kill();
    anna.until("disconnected: ");
    let (_second, _) = server(&["--listen", &address]);
    anna.until("you are anna.");
    anna.until("in tea: anna.");
    anna.type_line("still here");
    anna.until("in tea: still here");
}

struct Nats {
    process: Child,
    port: SocketAddr,
    url: String,
}

impl Nats {
    /// `None`, with a word to the reader: there is no `nats-server`.
    fn start() -> Option<Self> {
        // Free for a moment, where no other test listens.
        let address = if cfg!(any(target_os = "linux", windows)) { "127.0.77.2:0" } else { "127.0.0.1:0" };
        let port = TcpListener::bind(address).unwrap().local_addr().unwrap();
        Self::start_at(port)
    }

    fn start_at(port: SocketAddr) -> Option<Self> {
        let arguments = ["--addr", &port.ip().to_string(), "--port", &port.port().to_string()];
        let started = Command::new("nats-server").args(arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let process = match started {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                assert!(env::var_os("CI").is_none() || !cfg!(target_os = "linux"), "CI must have nats-server on Linux");
                println!("SKIPPED: nats-server is not installed");
                return None;
            }
            started => started.expect("nats-server starts"),
        };
        let nats = Self { process, port, url: format!("nats://{port}") };
        let end = Instant::now() + PATIENCE;
        while TcpStream::connect(port).is_err() {
            assert!(Instant::now() < end, "nats-server does not listen at {port}");
            std::thread::sleep(Duration::from_millis(10));
        }
        Some(nats)
    }
}

impl Drop for Nats {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn users_of_two_servers_talk_and_one_server_is_killed() {
    let Some(nats) = Nats::start() else { return };
    let start = || server(&["--listen", "127.0.0.1:0", "--nats", &nats.url]);
    let ((_first, first_at), (mut second, second_at)) = (start(), start());
    let anna = user(&first_at, "anna");
    anna.0.until(&format!("in tea: {}", anna.1));
    let bert = user(&second_at, "bert");
    // Until the servers have heard of each other there are two lists.
    bert.0.until(&format!("in tea: {}, {}", anna.1, bert.1));
    talk(anna, bert);

    let (anna, anna_is) = user(&first_at, "anna");
    anna.until(&format!("in tea: {anna_is}"));
    let (_bert, bert_is) = user(&second_at, "bert");
    anna.until(&format!("in tea: {anna_is}, {bert_is}"));
    second.kill();
    let killed = Instant::now();
    while anna.until("in tea: ") != format!("in tea: {anna_is}") {}
    // Three seconds of silence, and what a busy machine adds.
    assert!(killed.elapsed() < Duration::from_secs(15), "{:?}", killed.elapsed());
}

/// What was lost meanwhile is made up for.
#[test]
fn servers_whose_nats_was_away_find_each_other_again() {
    let Some(nats) = Nats::start() else { return };
    let start = || server(&["--listen", "127.0.0.1:0", "--nats", &nats.url]);
    let ((_first, first_at), (_second, second_at)) = (start(), start());
    let (anna, anna_is) = user(&first_at, "anna");
    let (bert, bert_is) = user(&second_at, "bert");
    bert.until(&format!(", {bert_is}"));
    let port = nats.port;
    drop(nats);
    // Each server is alone.
    while anna.until("in tea: ") != format!("in tea: {anna_is}") {}
    while bert.until("in tea: ") != format!("in tea: {bert_is}") {}
    let _nats = Nats::start_at(port);
    bert.until(&format!("in tea: {anna_is}, {bert_is}"));
    anna.until(&format!("in tea: {anna_is}, {bert_is}"));
}

#[test]
fn a_server_without_its_nats_says_so_and_ends() {
    let nowhere = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let url = format!("nats://{nowhere}");
    let output = Command::new(crate::programs::program("chat"))
        .args(["--listen", "127.0.0.1:0", "--nats", &url])
        .output()
        .unwrap();
    assert!(!output.status.success());
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("ConnectionRefused"), "{said}");
}
