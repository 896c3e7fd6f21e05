//! Subjects that are slow, hang, end or never begin: what a run makes of them, and that it leaves nothing of them behind.

mod tool;

use std::io::{self, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use pulsewire_conformance::Profile;
use pulsewire_conformance::oracle::Oracle;
use pulsewire_conformance::subject::Subject;
use tool::{Tested, Tool, assert_code, text};

/// What stands in front of a server does this with the connection of this number.
type Gate = fn(usize, TcpStream, SocketAddr) -> io::Result<()>;

/// Something in front of a server, which lives as long as the test.
fn before(server: SocketAddr, gate: Gate) -> io::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    thread::spawn(move || {
        for (number, stream) in listener.incoming().map_while(Result::ok).enumerate() {
            // One that breaks is no fault of the others.
            thread::spawn(move || gate(number, stream, server));
        }
    });
    Ok(address)
}

fn pass(stream: TcpStream, server: SocketAddr) -> io::Result<()> {
    let there = TcpStream::connect(server)?;
    let (back_from, back_to) = (there.try_clone()?, stream.try_clone()?);
    thread::spawn(move || copy(back_from, back_to));
    copy(stream, there);
    Ok(())
}

fn copy(mut from: TcpStream, mut to: TcpStream) {
    // Either side may break.
    let _ = io::copy(&mut from, &mut to);
    let _ = to.flush();
    let _ = to.shutdown(std::net::Shutdown::Write);
}

/// It finds a silent peer after less time than the handshakes of eight connections take.
#[test]
fn a_server_that_is_slow_to_shake_hands_finds_its_other_connections_alive() -> Tested {
    let tool = Tool::new("slow-handshake")?;
    let milliseconds = Duration::from_millis;
    let (idle, interval) = (milliseconds(400), milliseconds(200));
    let server = Oracle::clean().serve(&Profile { idle, interval, ..Profile::default() })?;
    tool.write("manifest.toml", "[timers]\nidle = 400\ninterval = 200\n")?;
    let address = before(server.address(), |_, stream, server| {
        thread::sleep(Duration::from_millis(300));
        pass(stream, server)
    })?;
    let run = ["server", &address.to_string(), "--manifest", "manifest.toml", "--chunking", "whole"];
    let output = tool.run(&[&run[..], &["--case", "PW-FRM-001/many-connections"]].concat())?;
    assert_code(&output, 0);
    server.stop();
    Ok(())
}

/// The system goes on to accept for it, or somebody in front of it does.
#[test]
fn a_server_that_is_ended_behind_its_address_makes_one_headline() -> Tested {
    let tool = Tool::new("ended-behind")?;
    let server = Oracle::clean().serve(&Profile::default())?;
    let address = before(server.address(), |number, stream, server| match number {
        ..15 => pass(stream, server),
        _ => stream.shutdown(std::net::Shutdown::Both),
    })?;
    let run = ["server", &address.to_string(), "--jobs", "8", "--chunking", "whole", "--area", "header"];
    let output = tool.run(&run)?;
    assert_code(&output, 2);
    assert_eq!(text(&output).matches(" is gone since PW-").count(), 1, "{}", text(&output));
    let totals = &tool.report()?["totals"];
    assert_eq!((&totals["fail"], &totals["harness-error"]), (&0.into(), &0.into()), "{}", text(&output));
    server.stop();
    Ok(())
}

/// Whoever reads the report of an earlier run would take it for that of this one.
#[cfg(unix)]
#[test]
fn a_run_that_cannot_begin_says_why_in_its_report() -> Tested {
    use std::time::Instant;
    let tool = Tool::new("cannot-begin")?;
    let began = Instant::now();
    let output = tool.run(&["client", "--exec", "false {addr}"])?;
    assert_code(&output, 2);
    let sentence = "false did not connect: it ended";
    assert!(text(&output).contains(sentence), "{}", text(&output));
    for name in ["report.html", "junit.xml", "summary.md"] {
        assert!(tool.read(&format!("target/conformance/{name}"))?.contains(sentence), "{name}");
    }
    assert!(began.elapsed() < Duration::from_secs(20), "it is not waited for");
    Ok(())
}

/// It works once, and crashes at once from then on.
#[cfg(unix)]
#[test]
fn a_client_that_ends_at_once_is_not_waited_for() -> Tested {
    use std::time::Instant;
    let tool = Tool::new("client-ends")?;
    let python = concat!(env!("CARGO_MANIFEST_DIR"), "/subjects/python/echo_server.py");
    let script = format!("test -e ran && exit 3; touch ran; exec python3 {python} --connect $1");
    tool.write("client", &script)?;
    let began = Instant::now();
    let output = tool.run(&["client", "--exec", "sh client {addr}", "--chunking", "whole", "--case", "PW-HDR-005"])?;
    assert_code(&output, 2);
    assert!(text(&output).contains("the client ended without connecting (exit status: 3)"), "{}", text(&output));
    assert!(began.elapsed() < Duration::from_secs(20), "it is not waited for");
    Ok(())
}

#[cfg(unix)]
#[test]
fn a_run_that_is_terminated_leaves_no_program_behind() -> Tested {
    use std::process::{Command, Stdio};
    let tool = Tool::new("terminated")?;
    tool.write("client", "echo $$ > number; exec sleep 1000")?;
    let mut child = tool.command(&["client", "--exec", "sh client {addr}"]).stderr(Stdio::null()).spawn()?;
    let number = loop {
        match tool.read("number") {
            Ok(number) if number.ends_with('\n') => break number.trim().to_owned(),
            _ => thread::sleep(Duration::from_millis(5)),
        }
    };
    let signal = |name: &str, number: &str| Command::new("kill").args([name, number]).stderr(Stdio::null()).status();
    assert!(signal("-TERM", &child.id().to_string())?.success());
    assert_eq!(child.wait()?.code(), Some(130));
    assert!(!signal("-0", &number)?.success(), "it runs still");
    Ok(())
}
