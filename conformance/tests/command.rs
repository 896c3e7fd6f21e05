//! The command-line tool: exit codes, lists, files, traces, and implementations that are judged by their bytes alone.

mod tool;

use std::fs;
use std::io::{self, BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::time::Duration;

use pulsewire_conformance::oracle::{Bug, Oracle};
use pulsewire_conformance::subject::Subject;
use pulsewire_conformance::{Profile, Report};
use tool::{Tested, Tool, assert_code, text};

#[test]
fn exits_with_0_after_a_pass() -> Tested {
    let tool = Tool::new("pass")?;
    assert_code(&tool.run(&["--subject", "oracle:none", "--case", "PW-KEY-001/keys-in-both-directions"])?, 0);
    let json = tool.report()?;
    let first = &json["cases"][0];
    assert_eq!((&json["exit_code"], &json["totals"]["fail"]), (&0.into(), &0.into()));
    for (key, value) in [
        ("id", "PW-KEY-001/keys-in-both-directions"),
        ("requirement", "PW-KEY-001"),
        ("level", "MUST"),
        ("verdict", "pass"),
        ("subject", "oracle:none"),
        ("role", "server"),
        ("chunking", "whole"),
    ] {
        assert_eq!(first[key], value);
    }
    assert!(first["milliseconds"].is_u64() && first["ending"].is_string());
    Ok(())
}

#[test]
fn exits_with_1_after_a_violation_and_says_it_once() -> Tested {
    let tool = Tool::new("violation")?;
    let output = tool.run(&["--subject", "oracle:accepts-unknown-flag", "--requirement", "PW-HDR-005"])?;
    assert_code(&output, 1);
    let shown = text(&output);
    assert!(shown.contains("violated: PW-HDR-005"), "{shown}");
    assert_eq!(shown.matches("FAIL PW-HDR-005/unknown-flag (oracle:accepts-unknown-flag; server whole, bytes, pieces; client whole, bytes, pieces)").count(), 1);
    assert_eq!(tool.report()?["violated"][0], "PW-HDR-005");
    Ok(())
}

#[test]
fn exits_with_2_if_it_can_say_nothing_and_suggests_what_was_meant() -> Tested {
    let tool = Tool::new("nothing")?;
    for (arguments, part) in [
        (&["--subject", "oracle:no-pnog"][..], "did you mean oracle:no-pong"),
        (&["server", "127.0.0.1:1"], "no connection"),
        (&["--requirement", "PW-HB-099"], "did you mean PW-HB-0"),
        (&["--area", "hartbeat"], "did you mean heartbeat"),
        (&["--chunking", "byts"], "did you mean bytes"),
        (&["--case", "PW-HDR-001/empty-and-ful"], "did you mean PW-HDR-001/empty-and-full"),
        (&["explain", "PW-HDR-0001"], "did you mean PW-HDR-001"),
        (&["replay", "nowhere.jsonl"], "nowhere.jsonl cannot be read"),
        (&["client", "--exec", "some-client"], "{addr}"),
        (&["client", "--exec", "no-such-program {addr}"], "no-such-program cannot be started"),
        (&["--manifest", "nowhere.toml"], "nowhere.toml cannot be read"),
    ] {
        let output = tool.run(arguments)?;
        assert_code(&output, 2);
        assert!(text(&output).contains(part), "{arguments:?}: {}", text(&output));
    }
    Ok(())
}

#[test]
fn exits_with_2_if_a_case_hangs() -> Tested {
    let tool = Tool::new("watchdog")?;
    let output = tool.run(&["--subject", "oracle:none", "--case", "PW-HB-014/*", "--watchdog", "0"])?;
    assert_code(&output, 2);
    assert!(text(&output).contains("the case hangs"), "{}", text(&output));
    Ok(())
}

#[test]
fn exits_with_3_if_something_is_unimplemented() -> Tested {
    let tool = Tool::new("incomplete")?;
    tool.write("manifest.toml", "[[unimplemented]]\nid = 'PW-KEY-00[23]'\nreason = 'next week'\n")?;
    let output = tool.run(&["--subject", "oracle:none", "--area", "key", "--manifest", "manifest.toml"])?;
    assert_code(&output, 3);
    assert!(text(&output).contains("next week"));
    Ok(())
}

#[test]
fn takes_known_failures_until_they_pass() -> Tested {
    let tool = Tool::new("expectations")?;
    tool.write("expectations.toml", "[[known-failure]]\nid = 'PW-HDR-005'\nreason = 'flags come next week'\n")?;
    let arguments = ["--requirement", "PW-HDR-005", "--expectations", "expectations.toml", "--subject"];
    let run = |subject| tool.run(&[&arguments[..], &[subject]].concat());
    let expected = run("oracle:accepts-unknown-flag")?;
    assert_code(&expected, 0);
    assert!(text(&expected).contains("flags come next week"));
    let passing = run("oracle:none")?;
    assert_code(&passing, 1);
    assert!(text(&passing).contains("take it off the list"));
    tool.write("expectations.toml", "[[known-failure]]\nid = 'PW-HDR-9*'\nreason = 'x'\n")?;
    assert_code(&run("oracle:none")?, 2);
    Ok(())
}

#[test]
fn takes_a_should_for_a_must_when_strict() -> Tested {
    let tool = Tool::new("strict")?;
    let server = Oracle::with_bug(Bug::FixedSyncKey).serve(&Profile::default())?;
    let address = server.address().to_string();
    let arguments = ["server", &address, "--requirement", "PW-KEY-004"];
    let lenient = tool.run(&arguments)?;
    assert!(text(&lenient).contains("WARN PW-KEY-004"), "{}", text(&lenient));
    assert_ne!(lenient.status.code(), Some(1));
    assert_code(&tool.run(&[&arguments[..], &["--strict"]].concat())?, 1);
    server.stop();
    // An oracle proves the suite, so it is judged strictly.
    assert_code(&tool.run(&["--subject", "oracle:fixed-sync-key", "--requirement", "PW-KEY-004"])?, 1);
    Ok(())
}

/// Waits for some verdicts of the tool, and kills it.
fn kill_after_verdicts(mut child: Child, lines: &PathBuf) -> Tested {
    while fs::read_to_string(lines).map_or(0, |text| text.lines().count()) < 5 {
        if child.try_wait()?.is_some() {
            return Err("the run ended before it could be killed".into());
        }
        std::thread::yield_now();
    }
    child.kill()?;
    child.wait()?;
    Ok(())
}

#[test]
fn a_run_that_is_killed_loses_no_verdict() -> Tested {
    let tool = Tool::new("killed")?;
    let lines = tool.folder.join("results.jsonl");
    let arguments = ["--subject", "oracle:none", "--jobs", "2", "--json-lines", "results.jsonl"];
    kill_after_verdicts(tool.command(&arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?, &lines)?;
    let report = Report::from_lines(&fs::read_to_string(&lines)?)?;
    assert!(report.cases.len() >= 4 && report.totals().not_run > 0);
    let output = tool.run(&["report", "results.jsonl", "--report", "report.json"])?;
    assert_code(&output, 3);
    assert!(text(&output).contains("have no verdict"));
    let json: serde_json::Value = serde_json::from_str(&fs::read_to_string(tool.folder.join("report.json"))?)?;
    assert_eq!(json["totals"]["not-run"], report.totals().not_run);
    Ok(())
}

#[test]
fn replays_a_trace_with_the_same_bytes() -> Tested {
    let tool = Tool::new("replay")?;
    let run = ["--subject", "oracle:accepts-unknown-flag", "--requirement", "PW-HDR-005", "--seed", "42"];
    assert_code(&tool.run(&run)?, 1);
    let trace = tool.report()?["cases"][0]["trace"].as_str().ok_or("a failure has a trace")?.to_owned();
    let same = tool.run(&["replay", &trace])?;
    assert_code(&same, 0);
    assert!(text(&same).contains("the same bytes"));
    let path = tool.folder.join(&trace);
    fs::write(&path, fs::read_to_string(&path)?.replace("\"seed\":42", "\"seed\":43"))?;
    let other = tool.run(&["replay", &trace])?;
    assert_code(&other, 0);
    // Other keys, and nothing else.
    assert!(text(&other).contains("but for what keys change") && text(&other).contains("the verdict is the same"));
    // As if the subject had been another when the trace was made.
    fs::write(&path, fs::read_to_string(&path)?.replace("FAIL: ", "WARN: "))?;
    let mended = tool.run(&["replay", &trace])?;
    assert_code(&mended, 1);
    assert!(text(&mended).contains("the verdict is another"), "{}", text(&mended));
    Ok(())
}

#[test]
fn replays_a_trace_in_memory_with_the_same_times() -> Tested {
    let tool = Tool::new("replay-in-memory")?;
    // Over TCP it would take seconds of waiting.
    let run = ["--subject", "oracle-in-memory:never-gives-up", "--requirement", "PW-HB-012", "--seed", "42"];
    assert_code(&tool.run(&run)?, 1);
    let report = tool.report()?;
    let failed = report["cases"].as_array().ok_or("cases")?.iter().find(|case| case["verdict"] == "fail");
    let trace = failed.and_then(|case| case["trace"].as_str()).ok_or("a failure has a trace")?.to_owned();
    let same = tool.run(&["replay", &trace])?;
    assert_code(&same, 0);
    assert!(text(&same).contains("the same bytes at the same times"), "{}", text(&same));
    let path = tool.folder.join(&trace);
    let lines = fs::read_to_string(&path)?;
    let (head, last) = lines.trim_end().rsplit_once("\"microseconds\":").ok_or("steps have times")?;
    fs::write(&path, format!("{head}\"microseconds\":1{last}"))?;
    let later = tool.run(&["replay", &trace])?;
    assert_code(&later, 0);
    assert!(text(&later).contains("not the same from step"), "{}", text(&later));
    Ok(())
}

#[test]
fn runs_with_one_chunking_and_replays_with_that_of_the_trace() -> Tested {
    let tool = Tool::new("chunking")?;
    let one = ["--subject", "oracle:accepts-unknown-flag", "--case", "PW-HDR-005/unknown-flag", "--chunking"];
    let run = [&one[..], &["pieces"]].concat();
    let output = tool.run(&run)?;
    assert_code(&output, 1);
    assert!(
        text(&output)
            .contains("FAIL PW-HDR-005/unknown-flag (oracle:accepts-unknown-flag; server pieces; client pieces)")
    );
    let json = tool.report()?;
    let chunkings: Vec<_> = json["cases"].as_array().ok_or("a list")?.iter().map(|case| &case["chunking"]).collect();
    assert_eq!(chunkings, ["pieces", "pieces"]);
    let trace = json["cases"][0]["trace"].as_str().ok_or("a failure has a trace")?;
    assert!(trace.ends_with(".server.pieces.jsonl"), "{trace}");
    let again = tool.run(&["replay", trace])?;
    assert_code(&again, 0);
    assert!(text(&again).contains("server, pieces"), "{}", text(&again));
    tool.write(
        "expectations.toml",
        "[[known-failure]]\nid = 'PW-HDR-005'\nchunking = 'bytes'\nreason = 'only in bytes'\n",
    )?;
    let known = ["--expectations", "expectations.toml"];
    assert_code(&tool.run(&[&run[..], &known[..]].concat())?, 1);
    let in_bytes = [&one[..], &["bytes"], &known[..]].concat();
    assert_code(&tool.run(&in_bytes)?, 0);
    Ok(())
}

#[test]
fn lists_every_bug_with_its_name_first() -> Tested {
    let tool = Tool::new("bugs")?;
    let listed = text(&tool.run(&["list", "--bugs"])?);
    assert_eq!(listed, text(&tool.run(&["--list-bugs"])?), "the short form");
    let names: Vec<&str> = listed.lines().filter_map(|line| line.split_whitespace().next()).collect();
    assert_eq!(names, Bug::ALL.iter().map(|bug| bug.name()).collect::<Vec<_>>());
    Ok(())
}

#[test]
fn lists_cases_and_requirements() -> Tested {
    let tool = Tool::new("list")?;
    let cases = text(&tool.run(&["list", "--area", "HB"])?);
    assert!(cases.lines().all(|line| line.starts_with("PW-HB-")), "{cases}");
    assert!(cases.lines().any(|line| line.starts_with("PW-HB-012/silent-peer") && line.contains(" MUST ")), "{cases}");
    assert!(cases.contains("server, client"));
    let cut = text(&tool.run(&["list", "--chunking", "bytes"])?);
    assert!(cut.lines().all(|line| line.contains(" whole, bytes, pieces ")), "{cut}");
    assert!(cases.lines().any(|line| line.starts_with("PW-HB-013/bounds") && line.contains(" whole  ")), "{cases}");
    let requirements = text(&tool.run(&["list", "--requirements"])?);
    for requirement in pulsewire_spec::requirements() {
        assert!(requirements.contains(requirement.id), "{} is missing", requirement.id);
    }
    assert!(requirements.contains("requirements have a case"));
    Ok(())
}

#[test]
fn explains_a_requirement_by_its_id_a_case_or_a_bug() -> Tested {
    let tool = Tool::new("explain")?;
    for id in ["PW-HB-008", "PW-HB-008/pong-has-the-number", "no-pong"] {
        let shown = text(&tool.run(&["explain", id])?);
        for part in [
            "PW-HB-008 (MUST), section 8.3",
            "A receiver of PING answers with PONG",
            "pong-has-the-number",
            "oracle:no-pong",
        ] {
            assert!(shown.contains(part), "{part:?} is missing in:\n{shown}");
        }
    }
    Ok(())
}

#[test]
fn judges_a_server_by_its_bytes_alone() -> Tested {
    let tool = Tool::new("server")?;
    // What a tool cannot learn from the bytes is declared.
    tool.write("manifest.toml", "name = 'a server'\n[timers]\nidle = 200\ninterval = 150\n")?;
    let (idle, interval) = (Duration::from_millis(200), Duration::from_millis(150));
    let profile = Profile { idle, interval, message_limit: 1 << 20, ..Profile::default() };
    for (oracle, requirement, code) in
        [(Oracle::clean(), "PW-HB-*", 0), (Oracle::with_bug(Bug::NoPong), "PW-HB-008", 1)]
    {
        let server = oracle.serve(&profile)?;
        let address = server.address().to_string();
        let arguments = ["--manifest", "manifest.toml", "--requirement", requirement, "--chunking", "whole"];
        let output = tool.run(&[&["server", &address], &arguments[..]].concat())?;
        assert_code(&output, code);
        assert_eq!(tool.report()?["cases"][0]["subject"], "a server");
        let short = tool.run(&[&["--server", &address], &arguments[..]].concat())?;
        assert_code(&short, code);
        server.stop();
    }
    Ok(())
}

/// PW-HB-006: a subject may be silent for as long as its numbers say, however patient the suite is otherwise.
#[test]
fn waits_for_a_ping_as_long_as_the_declared_heartbeat_takes() -> Tested {
    let tool = Tool::new("slow-heartbeat")?;
    tool.write("manifest.toml", "[timers]\nidle = 6500\n")?;
    let server = Oracle::clean().serve(&Profile { idle: Duration::from_millis(6_500), ..Profile::default() })?;
    let address = server.address().to_string();
    let output = tool.run(&["server", &address, "--manifest", "manifest.toml", "--case", "PW-HB-009/never-sent"])?;
    assert_code(&output, 0);
    server.stop();
    Ok(())
}

/// The program of the next test: an echo client for the address in its last argument, until its standard input ends.
#[test]
#[ignore = "is started by the test of the client mode"]
fn client_program() -> Tested {
    run_client(&Oracle::with_bug(Bug::NoPong), &Profile::calm())
}

/// A client that takes its time to start, and probes long before the next one has.
#[test]
#[ignore = "is started by the test of slow clients"]
fn slow_client_program() -> Tested {
    std::thread::sleep(Duration::from_millis(800));
    run_client(&Oracle::clean(), &Profile::brisk())
}

fn run_client(oracle: &Oracle, profile: &Profile) -> Tested {
    let last = std::env::args().next_back().ok_or("at least the program itself")?;
    let Ok(address) = last.parse() else {
        return Err(format!("{last} is no address: this is for the tests of the client mode alone").into());
    };
    let client = oracle.connect(profile, address)?;
    io::copy(&mut io::stdin(), &mut io::sink())?;
    client.stop();
    Ok(())
}

/// While clients start one after the other, the earlier ones are not left without answers.
#[test]
fn clients_that_start_slowly_are_no_violators() -> Tested {
    let tool = Tool::new("slow-client")?;
    tool.write("manifest.toml", "[timers]\nidle = 200\ninterval = 150\nprobes = 3\n")?;
    let command = format!("'{}' --ignored --exact slow_client_program {{addr}}", std::env::current_exe()?.display());
    let mut arguments = vec!["client", "--exec", &command, "--manifest", "manifest.toml", "--chunking", "whole"];
    for case in [
        "PW-FRM-001/many-connections",
        "PW-DAT-009/limits-of-each-peer",
        "PW-DAT-011/many-at-once",
        "PW-HB-012/one-silent-among-many",
        "PW-HDR-007/others-live-on",
    ] {
        arguments.extend(["--case", case]);
    }
    assert_code(&tool.run(&arguments)?, 0);
    assert_eq!(tool.report()?["totals"]["pass"], 5);
    Ok(())
}

#[test]
fn judges_a_client_by_its_bytes_alone() -> Tested {
    let tool = Tool::new("client")?;
    let program = std::env::current_exe()?;
    let command = format!("'{}' --ignored --exact client_program {{addr}}", program.display());
    for (requirement, code) in [("PW-HDR-00[12]", 0), ("PW-HB-008", 1)] {
        let output = tool.run(&["client", "--exec", &command, "--requirement", requirement])?;
        assert_code(&output, code);
    }
    let unable = tool.run(&["client", "--exec", &format!("'{}' --no-such-option {{addr}}", program.display())])?;
    assert_code(&unable, 2);
    assert!(text(&unable).contains("no-such-option"), "{}", text(&unable));
    Ok(())
}

/// Starts no client: the test itself is the one that somebody runs by hand.
#[test]
fn waits_for_a_client_that_is_started_by_hand() -> Tested {
    let tool = Tool::new("no-spawn")?;
    let arguments = ["client", "--no-spawn", "--chunking", "whole", "--case", "PW-HB-008/pong-has-the-number"];
    let mut child = tool.command(&arguments).stdout(Stdio::piped()).spawn()?;
    let printed = BufReader::new(child.stdout.take().ok_or("a pipe")?).lines();
    let mut clients = Vec::new();
    for line in printed {
        if let Some(address) = line?.strip_prefix("waiting for a client on ") {
            clients.push(Oracle::clean().connect(&Profile::calm(), address.parse()?)?);
        }
    }
    assert_eq!(child.wait()?.code(), Some(0));
    // One shows what the client announces.
    assert_eq!(clients.len(), 2);
    clients.into_iter().for_each(|client| client.stop());
    Ok(())
}
