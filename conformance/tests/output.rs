//! What a run leaves for people and programs: on the terminal and in files.

mod tool;

use std::io::Read;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use pulsewire_conformance::oracle::{Bug, Oracle};
use pulsewire_conformance::subject::Subject;
use pulsewire_conformance::{Profile, Report};
use tool::{Tested, Tool, assert_code, text};

/// A run that fails in all ways to run a case.
const FAILING: [&str; 4] = ["--subject", "oracle-in-memory:accepts-unknown-flag", "--requirement", "PW-HDR-005"];

#[test]
fn a_run_writes_its_files_and_says_where() -> Tested {
    let tool = Tool::new("files")?;
    let output = tool.run(&FAILING)?;
    assert_code(&output, 1);
    let last: Vec<String> = text(&output).lines().rev().take(4).map(str::to_owned).collect();
    for name in ["report.html", "junit.xml", "summary.md", "report.json"] {
        let path = format!("target/conformance/{name}");
        assert!(last.iter().any(|line| line.ends_with(&path)), "{last:?}");
        assert!(!tool.read(&path)?.is_empty());
    }
    Ok(())
}

#[test]
fn files_can_be_named_and_what_cannot_be_written_costs_no_other() -> Tested {
    let tool = Tool::new("named-files")?;
    tool.write("folder", "a file where a folder has to be")?;
    let names = ["--html", "folder/a.html", "--junit", "b/c/junit.xml", "--markdown", "d.md", "--badge", "badge.svg"];
    let mut command = tool.command(&[&FAILING[..], &names].concat());
    tool.write("step.md", "# before\n")?;
    let output = command.env("GITHUB_STEP_SUMMARY", "step.md").output()?;
    assert_code(&output, 2);
    assert!(text(&output).contains("cannot be written to folder/a.html"), "{}", text(&output));
    assert!(tool.read("b/c/junit.xml")?.contains("<testsuites"));
    let summary = tool.read("d.md")?;
    assert!(summary.contains("PW-HDR-005/unknown-flag") && summary.contains("❌"), "{summary}");
    assert_eq!(tool.read("step.md")?, format!("# before\n{summary}"), "what others wrote stays");
    assert!(tool.read("badge.svg")?.contains("1 requirement violated"));
    let unreadable = tool.run(&["report", "nowhere.jsonl", "--html", "x.html"])?;
    assert_code(&unreadable, 2);
    let two = ["report", "target/conformance/results.jsonl", "target/conformance/results.jsonl", "--badge", "two.svg"];
    assert_code(&tool.run(&two)?, 2);
    Ok(())
}

#[test]
fn a_badge_says_that_an_implementation_conforms() -> Tested {
    let tool = Tool::new("badge")?;
    let run = ["--subject", "oracle-in-memory:none", "--requirement", "PW-HDR-005", "--badge", "badge.svg"];
    assert_code(&tool.run(&run)?, 0);
    assert!(tool.read("badge.svg")?.contains("conforms"));
    Ok(())
}

#[test]
fn junit_has_the_structure_that_build_servers_read() -> Tested {
    let tool = Tool::new("junit")?;
    tool.write(
        "expectations.toml",
        "[[known-failure]]\nid = 'PW-HDR-005/*'\nchunking = 'bytes'\nreason = '<later> & \"then\"'\n",
    )?;
    tool.write("manifest.toml", "[[unimplemented]]\nid = 'PW-KEY-00[23]'\nreason = 'next week'\n")?;
    let run = ["--area", "header", "--area", "sync-key", "--subject", "oracle-in-memory:accepts-unknown-flag"];
    let files = ["--expectations", "expectations.toml", "--manifest", "manifest.toml"];
    assert_code(&tool.run(&[&run[..], &files].concat())?, 1);
    let path = "target/conformance/junit.xml";
    let report = quick_junit::Report::deserialize_from_str(&tool.read(path)?)?;
    let totals = Report::from_lines(&tool.read("target/conformance/results.jsonl")?)?.totals();
    assert!(totals.fail > 0 && totals.known_failure > 0 && totals.unimplemented > 0, "{totals:?}");
    let suite = &report.test_suites[0];
    let skipped = totals.known_failure + totals.unimplemented + totals.not_applicable;
    assert_eq!((suite.failures, suite.skipped, suite.errors), (totals.fail, skipped, totals.harness_error));
    let names: std::collections::HashSet<_> = suite.test_cases.iter().map(|case| case.name.as_str()).collect();
    assert_eq!(names.len(), suite.test_cases.len(), "each way to run a case has a name of its own");
    validate(&tool, path)
}

/// Against the schema, by the usual program.
fn validate(tool: &Tool, path: &str) -> Tested {
    let schema = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/junit.xsd");
    let checked =
        Command::new("xmllint").args(["--noout", "--schema", schema, path]).current_dir(&tool.folder).output();
    match checked {
        Ok(output) => assert!(output.status.success(), "{}", text(&output)),
        Err(error) if std::env::var_os("CI").is_some() => return Err(format!("xmllint: {error}").into()),
        Err(error) => eprintln!("SKIPPED: no xmllint ({error}), so the schema was not tried"),
    }
    Ok(())
}

#[test]
fn failures_with_one_cause_are_told_together() -> Tested {
    let tool = Tool::new("causes")?;
    let cases = ["--case", "PW-KEY-001", "--case", "PW-HB-007", "--case", "PW-HB-008/p*"];
    let output = tool.run(&[&["--subject", "oracle-in-memory:no-pong"][..], &cases].concat())?;
    assert_code(&output, 1);
    let shown = text(&output);
    let cause = shown.lines().find(|line| line.starts_with("Likely one cause")).ok_or("a cause")?;
    assert!(cause.contains("PONG was due") && cause.contains("Begin with PW-HB-008/"), "{cause}");
    assert_eq!(shown.matches("FAIL PW-KEY-001/keys-in-both-directions ").count(), 1, "{shown}");
    assert!(shown.contains("Section 8.3 Probing"), "{shown}");
    let steps = |text: &str| text.matches("-> HELLO VERSIONS").count();
    let again = |detail| tool.run(&["report", "target/conformance/results.jsonl", detail]).map(|output| text(&output));
    let brief = again("--quiet")?;
    assert!(brief.contains("violated: PW-HB-") && brief.lines().count() < 10, "{brief}");
    let full = again("--verbose")?;
    assert!(steps(&full) > 2 * steps(&shown), "{} and {}", steps(&full), steps(&shown));
    assert!(!shown.contains('\u{1b}'), "no colours where there is no terminal");
    Ok(())
}

#[test]
fn several_runs_stand_side_by_side() -> Tested {
    let tool = Tool::new("side-by-side")?;
    for (subject, code) in [("none", 0), ("accepts-unknown-flag", 1)] {
        let (name, lines) = (format!("oracle-in-memory:{subject}"), format!("{subject}.jsonl"));
        let run = ["--subject", &name, "--requirement", "PW-HDR-005", "--json-lines", &lines];
        assert_code(&tool.run(&run)?, code);
    }
    let output = tool.run(&[
        "report",
        "none.jsonl",
        "accepts-unknown-flag.jsonl",
        "--html",
        "both.html",
        "--junit",
        "both.xml",
    ])?;
    assert_code(&output, 1);
    let page = tool.read("both.html")?;
    assert!(page.contains("2 worse, 0 better") && page.contains("oracle-in-memory:none (none.jsonl)"));
    let suites = quick_junit::Report::deserialize_from_str(&tool.read("both.xml")?)?.test_suites;
    assert_eq!(suites.len(), 2);
    validate(&tool, "both.xml")
}

#[test]
fn nothing_outside_of_the_workspace_is_judged_without_a_word() -> Tested {
    let output = Command::new(env!("CARGO_BIN_EXE_conformance")).current_dir(std::env::temp_dir()).output()?;
    assert_code(&output, 2);
    assert!(text(&output).contains("Usage:"), "{}", text(&output));
    Ok(())
}

#[test]
fn the_id_of_a_requirement_stands_for_its_cases_and_names_for_addresses() -> Tested {
    let tool = Tool::new("names")?;
    let cases = text(&tool.run(&["list", "--case", "PW-HB-008"])?);
    assert!(cases.lines().count() > 1 && cases.lines().all(|line| line.starts_with("PW-HB-008/")), "{cases}");
    let server = Oracle::clean().serve(&Profile::default())?;
    // The server listens on one of the addresses that the name may stand for.
    let address = format!("localhost:{}", server.address().port());
    let output = tool.run(&["server", &address, "--case", "PW-HDR-001", "--chunking", "whole"])?;
    assert_code(&output, 0);
    // Only cases of its role are counted.
    let json = tool.report()?;
    assert_eq!(json["totals"]["not-applicable"], 0);
    assert!(json["cases"].as_array().ok_or("cases")?.iter().all(|case| case["role"] == "server"));
    server.stop();
    Ok(())
}

/// What is no name at all is not guessed at.
#[test]
fn only_what_is_near_is_suggested() -> Tested {
    let tool = Tool::new("near")?;
    let output = tool.run(&["--area", "database"])?;
    assert_code(&output, 2);
    assert!(!text(&output).contains("did you mean"), "{}", text(&output));
    Ok(())
}

#[test]
fn a_server_that_dies_makes_one_headline() -> Tested {
    let tool = Tool::new("dies")?;
    let server = Oracle::with_bug(Bug::NoPong).serve(&Profile::default())?;
    let address = server.address();
    let run = [
        "server",
        &address.to_string(),
        "--jobs",
        "4",
        "--chunking",
        "whole",
        "--area",
        "header",
        "--area",
        "heartbeat",
    ];
    let mut child = tool.command(&run).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let lines = tool.folder.join("target/conformance/results.jsonl");
    wait_until(|| std::fs::read_to_string(&lines).is_ok_and(|text| text.lines().count() > 3))?;
    server.stop();
    let mut shown = String::new();
    child.stdout.take().ok_or("a pipe")?.read_to_string(&mut shown)?;
    let code = child.wait()?.code();
    assert_eq!(shown.matches(" is gone since PW-").count(), 1, "{shown}");
    let totals = Report::from_lines(&std::fs::read_to_string(&lines)?)?.totals();
    assert_eq!((totals.harness_error, totals.not_run > 0), (0, true), "{shown}");
    assert!(matches!(code, Some(1 | 2)), "{shown}");
    Ok(())
}

#[cfg(unix)]
#[test]
fn a_run_that_is_interrupted_tells_what_is_known() -> Tested {
    let tool = Tool::new("interrupted")?;
    let mut child = tool.command(&["--subject", "oracle:none", "--jobs", "2"]).stdout(Stdio::piped()).spawn()?;
    let lines = tool.folder.join("target/conformance/results.jsonl");
    wait_until(|| std::fs::read_to_string(&lines).is_ok_and(|text| text.lines().count() > 5))?;
    let sent = Command::new("kill").args(["-INT", &child.id().to_string()]).status()?;
    assert!(sent.success());
    let mut shown = String::new();
    child.stdout.take().ok_or("a pipe")?.read_to_string(&mut shown)?;
    assert_eq!(child.wait()?.code(), Some(3), "{shown}");
    assert!(shown.contains("runs have no verdict"), "{shown}");
    let report = Report::from_lines(&std::fs::read_to_string(&lines)?)?;
    assert_eq!(report.totals().harness_error, 0, "what was under way is not held against anybody");
    Ok(())
}

fn wait_until(holds: impl Fn() -> bool) -> Tested {
    let began = Instant::now();
    while !holds() {
        if began.elapsed() > Duration::from_secs(60) {
            return Err("it does not come to that".into());
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}
