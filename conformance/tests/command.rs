//! The command-line tool: exit codes, lists, the report, and the black-box mode.

use std::error::Error;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::time::Duration;

use pulsewire_conformance::Profile;
use pulsewire_conformance::oracle::{Bug, Oracle};
use pulsewire_conformance::subject::Subject;

/// Runs the tool; its report goes to a file of its own, whose path is given back.
fn conformance(name: &str, arguments: &[&str]) -> Result<(Output, PathBuf), Box<dyn Error>> {
    let report = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}.json"));
    let mut command = Command::new(env!("CARGO_BIN_EXE_conformance"));
    let output = command.args(arguments).arg("--report").arg(&report).output()?;
    Ok((output, report))
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn passes_the_clean_oracle() -> Result<(), Box<dyn Error>> {
    let (output, report) = conformance("clean", &["--subject", "oracle:none", "--filter", "PW-KEY"])?;
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    let json: serde_json::Value = serde_json::from_str(&fs::read_to_string(report)?)?;
    let first = &json["cases"][0];
    assert_eq!(json["totals"]["fail"], 0);
    assert_eq!(first["id"], "PW-KEY-001/keys-in-both-directions");
    assert_eq!(first["requirement"], "PW-KEY-001");
    assert_eq!(first["verdict"], "pass");
    assert_eq!(first["subject"], "oracle:none");
    assert_eq!(first["role"], "server");
    assert_eq!(first["reason"], "");
    assert!(first["milliseconds"].is_u64());
    Ok(())
}

#[test]
fn names_the_requirement_that_a_bug_breaks() -> Result<(), Box<dyn Error>> {
    let (output, report) = conformance("bug", &["--subject", "oracle:accepts-unknown-flag", "--filter", "PW-HDR"])?;
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output).contains("violated: PW-HDR-005"), "{}", text(&output));
    assert!(fs::read_to_string(report)?.contains("\"fail\""));
    Ok(())
}

#[test]
fn says_nothing_about_what_it_cannot_run() -> Result<(), Box<dyn Error>> {
    for arguments in [["--subject", "oracle:unheard-of"], ["--server", "127.0.0.1:1"], ["--filter", "PW-NOWHERE"]] {
        let (output, _) = conformance("nothing", &arguments)?;
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
    }
    Ok(())
}

#[test]
fn lists_every_bug_with_its_name_first() -> Result<(), Box<dyn Error>> {
    let (output, _) = conformance("bugs", &["--list-bugs"])?;
    let listed = text(&output);
    let names: Vec<&str> = listed.lines().filter_map(|line| line.split_whitespace().next()).collect();
    assert_eq!(names, Bug::ALL.iter().map(|bug| bug.name()).collect::<Vec<_>>());
    Ok(())
}

#[test]
fn judges_a_server_by_its_bytes_alone() -> Result<(), Box<dyn Error>> {
    // What a tool cannot learn from the bytes has the defaults of the specification.
    let (idle, interval) = (Duration::from_millis(200), Duration::from_millis(150));
    let profile = Profile { idle, interval, message_limit: 1 << 20, ..Profile::default() };
    for (oracle, filter, code) in [(Oracle::clean(), "PW-", 0), (Oracle::with_bug(Bug::NoPong), "PW-HB-008", 1)] {
        let server = oracle.serve(&profile)?;
        let address = server.address().to_string();
        let arguments = ["--server", &address, "--idle", "200", "--interval", "150", "--filter", filter];
        let (output, _) = conformance("server", &arguments)?;
        assert_eq!(output.status.code(), Some(code), "{}", text(&output));
        server.stop();
    }
    Ok(())
}
