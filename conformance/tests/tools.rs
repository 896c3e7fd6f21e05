//! What the binary has beside the suite: a conversation by hand, a man in the middle, and a load. Servers and clients are real, over TCP.

mod tool;

use std::error::Error;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::process::{Child, Output, Stdio};
use std::thread;

use pulsewire_conformance::Profile;
use pulsewire_conformance::oracle::{Bug, Oracle};
use pulsewire_conformance::subject::{Running, Subject};
use serde_json::Value;
use tool::{Tested, Tool, assert_code, text};

/// A server without RESYNC, which closes for any damage.
fn server() -> Result<Box<dyn Running>, Box<dyn Error>> {
    Ok(Oracle::clean().serve(&Profile { resync: false, ..Profile::calm() })?)
}

/// What `talk` does with these lines.
fn talk(tool: &Tool, address: &str, options: &[&str], lines: &str) -> Result<Output, Box<dyn Error>> {
    let mut command = tool.command(&["talk", address]);
    let mut child =
        command.args(options).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    child.stdin.take().ok_or("a pipe")?.write_all(lines.as_bytes())?;
    Ok(child.wait_with_output()?)
}

/// The lines of an output, as JSON.
fn events(output: &Output) -> Result<Vec<Value>, Box<dyn Error>> {
    text(output).lines().map(|line| Ok(serde_json::from_str(line)?)).collect()
}

/// The kinds of packets that the server sent.
fn kinds(events: &[Value]) -> Vec<&str> {
    events.iter().filter(|event| event["from"] == "server").filter_map(|event| event["kind"].as_str()).collect()
}

#[test]
fn a_conversation_shows_both_sides_and_ends_in_order() -> Tested {
    let (tool, server) = (Tool::new("talk")?, server()?);
    let address = server.address().to_string();
    let shown = talk(&tool, &address, &[], "hello\n/wait 200\n/await DATA\n/ping\n/await PONG\n")?;
    assert_code(&shown, 0);
    for part in ["-> HELLO VERSIONS 1 1", "<- HELLO_ACK", "-> DATA class 0, 5 bytes", "<- PONG 1", "<- CLOSE_ACK 1"] {
        assert!(text(&shown).contains(part), "{part} is missing in:\n{}", text(&shown));
    }
    let lines = "/class 2\n/encrypted\n/bytes 5000\n/await DATA\n/wait 100\n/busy 100\n/close going_away bye\n";
    let json = talk(&tool, &address, &["--json", "--resync"], lines)?;
    assert_code(&json, 0);
    let events = events(&json)?;
    let data: Vec<&Value> = events.iter().filter(|event| event["kind"] == "DATA").collect();
    // The server takes frames of 4,096 bytes.
    assert_eq!(data.iter().filter(|packet| packet["from"] == "client").count(), 2, "{events:?}");
    assert!(data.len() > 2, "{events:?}");
    assert!(
        data.iter().all(|packet| packet["class"] == 2 && packet["flags"].as_u64().is_some_and(|flags| flags & 8 > 0))
    );
    assert_eq!(kinds(&events).last(), Some(&"CLOSE_ACK"));
    // A script that is wrong does not look right.
    assert_code(&talk(&tool, &address, &[], "hello\n/awiat DATA\n")?, 1);
    server.stop();
    Ok(())
}

#[test]
fn damage_on_purpose_shows_what_a_server_makes_of_it() -> Tested {
    let (tool, server) = (Tool::new("talk-damage")?, server()?);
    let address = server.address().to_string();
    for (lines, reason) in [
        ("/damage header\nhello\n", "BAD_HEADER"),
        ("/checksum\n/damage trailer\nhello\n", "PAYLOAD_CHECKSUM"),
        ("/flags 0x10\n/packet DATA 00\n", "UNKNOWN_FLAG"),
        ("/packet 0x7f\n", "UNKNOWN_KIND"),
        ("/garbage 12\n", "BAD_HEADER"),
    ] {
        let output = talk(&tool, &address, &["--json"], &format!("{lines}/await CLOSE\n"))?;
        // The server closed, and not as it would for no fault.
        assert_code(&output, 1);
        assert!(text(&output).contains(&format!("CLOSE {reason}")), "{lines}: {}", text(&output));
    }
    // Split into bytes, and passed over where that is allowed.
    let borne = talk(&tool, &address, &["--json"], "/split 1\n/packet 0xc0 0102\nhello\n/await DATA\n")?;
    assert_code(&borne, 0);
    server.stop();
    Ok(())
}

#[test]
fn what_goes_wrong_in_a_conversation_has_its_exit_code() -> Tested {
    let (tool, server) = (Tool::new("talk-wrong")?, server()?);
    let address = server.address().to_string();
    assert_code(&talk(&tool, &address, &["--json"], "/await REJECT 50\n")?, 1);
    assert_code(&talk(&tool, &address, &["--json"], "/nonsense\n")?, 1);
    assert_code(&talk(&tool, &address, &["--json"], "/cut\n")?, 0);
    server.stop();
    assert_code(&talk(&tool, "127.0.0.1:1", &[], "")?, 2);
    assert_code(&talk(&tool, "nonsense", &[], "")?, 2);
    // Another protocol: shown, and no server of this one.
    let other = TcpListener::bind("127.0.0.1:0")?;
    let address = other.local_addr()?.to_string();
    let ssh = thread::spawn(move || -> std::io::Result<()> {
        let (mut stream, _) = other.accept()?;
        stream.write_all(b"SSH-2.0-OpenSSH_9.6\r\n")?;
        stream.read_exact(&mut [0; 12])
    });
    let output = talk(&tool, &address, &[], "")?;
    assert_code(&output, 2);
    ssh.join().map_err(|_| "the other server panicked")??;
    assert!(text(&output).contains("no packet: \"SSH-2.0-OpenSSH_"), "{}", text(&output));
    Ok(())
}

/// A proxy that runs until it is dropped.
struct Proxy {
    child: Child,
    address: String,
}

impl Proxy {
    fn start(tool: &Tool, target: &str, options: &[&str]) -> Result<Self, Box<dyn Error>> {
        let mut command = tool.command(&["proxy", "127.0.0.1:0", target, "--json"]);
        let mut child = command.args(options).stdout(Stdio::piped()).spawn()?;
        let mut printed = BufReader::new(child.stdout.take().ok_or("a pipe")?);
        let mut first = String::new();
        printed.read_line(&mut first)?;
        let told: Value = serde_json::from_str(&first)?;
        let address = told["text"].as_str().and_then(|text| text.split([' ', ',']).nth(2)).ok_or("an address")?;
        let address = address.to_owned();
        // Nobody reads on: what it prints must not hold it up.
        thread::spawn(move || std::io::copy(&mut printed, &mut std::io::sink()));
        Ok(Self { child, address })
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_slow_and_splitting_proxy_changes_no_verdict() -> Tested {
    let (tool, server) = (Tool::new("proxy-slow")?, Oracle::clean().serve(&Profile::default())?);
    let options = ["--delay", "5", "--jitter", "5", "--split", "3", "--join", "2", "--rate", "1000000", "--quiet"];
    let proxy = Proxy::start(&tool, &server.address().to_string(), &options)?;
    let cases = ["--case", "PW-KEY-001", "--case", "PW-HDR-005", "--case", "PW-DAT-003"];
    assert_code(&tool.run(&[&["server", &proxy.address, "--jobs", "4"], &cases[..]].concat())?, 0);
    server.stop();
    Ok(())
}

/// What a conversation through a proxy with this script comes to.
fn through(name: &str, options: &[&str], script: &str, lines: &str) -> Result<Output, Box<dyn Error>> {
    let (tool, server) = (Tool::new(name)?, server()?);
    tool.write("script.toml", script)?;
    let options = [options, &["--script", "script.toml"]].concat();
    let proxy = Proxy::start(&tool, &server.address().to_string(), &options)?;
    let output = talk(&tool, &proxy.address, &["--json"], lines)?;
    server.stop();
    Ok(output)
}

#[test]
fn a_script_says_what_becomes_of_which_packet() -> Tested {
    let rule = |what: &str| format!("[[rule]]\ndo = '{what}'\nto = 'server'\nkind = 'DATA'\nnth = 2\n");
    let lines = "one\ntwo\nthree\n/wait 300\n";
    let echoes = |name: &str, what: &str| -> Result<usize, Box<dyn Error>> {
        let output = through(name, &[], &rule(what), lines)?;
        Ok(kinds(&events(&output)?).iter().filter(|kind| **kind == "DATA").count())
    };
    assert_eq!(echoes("proxy-drop", "drop")?, 2);
    assert_eq!(echoes("proxy-duplicate", "duplicate")?, 4);
    assert_eq!(echoes("proxy-split", "split")?, 3);
    let corrupted = through("proxy-corrupt", &[], &rule("corrupt-header"), lines)?;
    assert!(text(&corrupted).contains("CLOSE BAD_HEADER"), "{}", text(&corrupted));
    let cut = through("proxy-cut", &[], &rule("cut"), lines)?;
    assert_code(&cut, 1);
    assert!(text(&cut).contains("\"event\":\"broken\""), "{}", text(&cut));
    let silent =
        through("proxy-silence", &[], &rule("silence"), "one\n/await DATA\ntwo\nthree\n/await DATA 300\n/cut\n")?;
    assert_code(&silent, 1);
    assert!(text(&silent).contains("no DATA came in time"), "{}", text(&silent));
    Ok(())
}

#[test]
fn bytes_and_times_end_connections_through_a_proxy() -> Tested {
    for (name, option, value) in [("proxy-cut-after", "--cut-after", "60"), ("proxy-cut-at", "--cut-at", "300")] {
        let cut = through(name, &["--to", "server", option, value], "", "one\n/wait 100\ntwo\nthree\n/wait 5000\n")?;
        assert_code(&cut, 1);
        assert!(text(&cut).contains("\"event\":\"broken\""), "{name}: {}", text(&cut));
    }
    for (name, option, value) in
        [("proxy-silent-after", "--silent-after", "40"), ("proxy-silent-at", "--silent-at", "50")]
    {
        let options = ["--to", "server", option, value];
        let silent = through(name, &options, "", "/wait 200\none\ntwo\nthree\n/await DATA 300\n/cut\n")?;
        assert_code(&silent, 1);
        assert!(text(&silent).contains("no DATA came in time"), "{name}: {}", text(&silent));
    }
    Ok(())
}

#[test]
fn a_script_that_is_wrong_is_refused() -> Tested {
    let tool = Tool::new("proxy-script")?;
    for (script, part) in [
        ("[[rule]]\ndo = 'drop'\nkind = 'DATUM'\n", "no kind DATUM"),
        ("[[rule]]\ndo = 'drop'\nnth = 0\n", "nth counts from 1"),
        ("[[rule]]\ndo = 'drop'\nchance = 2.0\n", "a chance is from 0 to 1"),
        ("[[rule]]\ndo = 'delay'\n", "delay needs milliseconds"),
        ("[[rule]]\ndo = 'fold'\n", "unknown variant"),
    ] {
        tool.write("script.toml", script)?;
        let output = tool.run(&["proxy", "127.0.0.1:0", "127.0.0.1:1", "--script", "script.toml"])?;
        assert_code(&output, 2);
        assert!(text(&output).contains(part), "{script}: {}", text(&output));
    }
    Ok(())
}

/// The script of the GitHub action, with a server that it starts and ends itself.
#[cfg(unix)]
#[test]
fn the_action_judges_what_it_starts() -> Tested {
    let tool = Tool::new("action")?;
    tool.write("manifest.toml", "name = 'started by the action'\n")?;
    let repository = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
    // A port that was free just now.
    let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string();
    let judge = |variables: &[(&str, &str)]| {
        let mut command = std::process::Command::new("bash");
        command.arg(format!("{repository}/.github/actions/conformance/judge")).arg(env!("CARGO_BIN_EXE_conformance"));
        command.current_dir(&tool.folder).envs(variables.iter().copied()).env_remove("GITHUB_STEP_SUMMARY").output()
    };
    let start =
        format!("python3 {repository}/conformance/subjects/python/echo_server.py --listen {address} </dev/zero");
    let judged = judge(&[
        ("START", &start),
        ("SERVER", &address),
        ("MANIFEST", "manifest.toml"),
        ("ARGUMENTS", "--requirement 'PW-KEY-*' --chunking whole --jobs 2"),
    ])?;
    assert_code(&judged, 0);
    assert_eq!(tool.report()?["cases"][0]["subject"], "started by the action");
    assert!(std::net::TcpStream::connect(&address).is_err(), "the server was ended");
    assert_code(&judge(&[("SERVER", &address), ("CLIENT", "client {addr}")])?, 2);
    assert_code(&judge(&[])?, 2);
    let ends = judge(&[("START", "false"), ("SERVER", &address)])?;
    assert!(text(&ends).contains("ended before it was judged"), "{}", text(&ends));
    Ok(())
}

/// The result of a load of half a second.
fn load(tool: &Tool, address: &str, options: &[&str], code: i32) -> Result<Value, Box<dyn Error>> {
    let output = tool.run(&[&["load", address, "--json", "--duration", "0.5"], options].concat())?;
    assert_code(&output, code);
    Ok(serde_json::from_str(&text(&output))?)
}

#[test]
fn a_load_counts_what_it_asked_and_what_came_back() -> Tested {
    let (tool, server) = (Tool::new("load")?, server()?);
    let address = server.address().to_string();
    let busy = load(&tool, &address, &["--connections", "3", "--depth", "4"], 0)?;
    assert_eq!(busy["sent"], busy["answered"]);
    assert!(busy["answered"].as_u64() > Some(12), "{busy}");
    assert_eq!(busy["latency_ms"]["count"], busy["answered"]);
    assert_eq!([&busy["lost"], &busy["unanswered"], &busy["wrong"], &busy["closed_in_order"]], [0, 0, 0, 3]);
    let open = load(&tool, &address, &["--connections", "2", "--rate", "400", "--threads", "2"], 0)?;
    // Whatever the machine does, what was due is sent in the end: 200, but for the last of each connection and its start.
    assert!(open["sent"].as_u64().is_some_and(|sent| (100..=202).contains(&sent)), "{open}");
    let idle = load(&tool, &address, &["--profile", "idle", "--connections", "5"], 0)?;
    assert_eq!([&idle["sent"], &idle["closed_in_order"]], [0, 5]);
    let churn = load(&tool, &address, &["--profile", "churn", "--connections", "4"], 0)?;
    assert!(churn["connect_ms"]["count"].as_u64() > Some(4), "{churn}");
    assert_eq!(churn["closed_in_order"], churn["connect_ms"]["count"]);
    server.stop();
    Ok(())
}

#[test]
fn a_load_tells_what_a_server_loses() -> Tested {
    let tool = Tool::new("load-lost")?;
    let server = Oracle::with_bug(Bug::DropsEmptyMessage).serve(&Profile::calm())?;
    let address = server.address().to_string();
    let options = ["--connections", "1", "--depth", "1", "--payload", "0"];
    let lost = load(&tool, &address, &options, 1)?;
    assert_eq!([&lost["unanswered"], &lost["answered"]], [1, 0]);
    server.stop();
    let gone = tool.run(&["load", &address, "--duration", "0.2"])?;
    assert_code(&gone, 2);
    assert!(text(&gone).contains("no connection"), "{}", text(&gone));
    Ok(())
}

/// A server that takes a while: an open loop counts from when a message was due, so that what waits behind it is late as well.
#[test]
fn an_open_loop_does_not_omit_what_had_to_wait() -> Tested {
    let (tool, server) = (Tool::new("load-open")?, server()?);
    let proxy = Proxy::start(&tool, &server.address().to_string(), &["--quiet", "--rate", "4000"])?;
    // 100 messages a second of some 80 bytes each way are twice what goes through.
    let load = load(&tool, &proxy.address, &["--connections", "1", "--rate", "100", "--payload", "64"], 0)?;
    let (half, longest) = (&load["latency_ms"]["p50"], &load["latency_ms"]["max"]);
    assert!(longest.as_f64() > Some(300.0) && half.as_f64() > Some(100.0), "{load}");
    server.stop();
    Ok(())
}
