//! Failures that are made smaller: what is left still goes wrong in the same way, and runs again from its trace.

mod tool;

use std::sync::Arc;

use pulsewire_conformance::oracle::{Bug, Oracle};
use pulsewire_conformance::subject::Subject;
use pulsewire_conformance::{
    Action, Case, Chunking, Effort, Options, Profile, Role, Shrunk, Trace, Variant, Verdict, cases, run_case, shrink,
};
use tool::{Tested, Tool, assert_code, text};

fn case(id: &str) -> &'static Case {
    cases().find(|case| case.id == id).expect("the case is there")
}

/// The failure of an oracle with this bug, in memory and as small as it gets.
fn shrunk(bug: Bug, id: &str, role: Role, chunking: Chunking) -> Result<Shrunk, String> {
    let subject: Arc<dyn Subject> = Arc::new(Oracle::with_bug(bug).in_memory());
    let report = run_case(&subject, case(id), Variant::plain(role, chunking), &Options::default());
    assert!(matches!(report.verdict, Verdict::Fail(_)), "{id}: {:?}", report.verdict);
    shrink(&subject, &Trace::of(&report, 0), &Options::default(), Effort::default())
}

/// What the suite sent, in words.
fn sent(trace: &Trace) -> Vec<&str> {
    trace.steps.iter().filter(|step| step.action == Action::Sent).map(|step| step.text.as_str()).collect()
}

#[test]
fn only_the_packet_that_matters_is_left() -> Tested {
    for (role, greeting) in [(Role::Server, "HELLO "), (Role::Client, "HELLO_ACK ")] {
        let Shrunk { trace, after, is_complete, .. } =
            shrunk(Bug::AcceptsReservedClass, "PW-HDR-011/reserved-class", role, Chunking::Pieces)?;
        let sent = sent(&trace);
        assert!(is_complete && after.connections == 1, "{trace}");
        assert_eq!(sent.len(), 2, "{trace}");
        assert!(sent[0].starts_with(greeting) && sent[1].starts_with("DATA class 5, 0 bytes"), "{trace}");
        assert_eq!(trace.head.edits.cuts, Some(Vec::new()), "where it is cut does not matter");
    }
    Ok(())
}

#[test]
fn a_cut_that_matters_is_left_alone() -> Tested {
    let Shrunk { trace, .. } =
        shrunk(Bug::RejectsSplitHeader, "PW-KEY-001/keys-in-both-directions", Role::Server, Chunking::Bytes)?;
    assert_eq!(trace.head.edits.cuts.as_ref().map(Vec::len), Some(1), "one cut is enough: {trace}");
    Ok(())
}

/// Whatever the bug is, what is left is no larger and fails alike, also when it runs once more from its trace.
#[test]
fn what_is_left_fails_alike_and_is_no_larger() -> Tested {
    let effort = Effort { tries: 15, ..Effort::default() };
    for bug in [Bug::AcceptsUnknownFlag, Bug::AcceptsRepeatedItem] {
        let subject: Arc<dyn Subject> = Arc::new(Oracle::with_bug(bug).in_memory());
        for case in cases().filter(|case| case.requirement() == bug.requirement()) {
            for variant in case.variants(0).filter(|variant| variant.chunking != Chunking::Bytes) {
                let report = run_case(&subject, case, variant, &Options::default());
                if !matches!(report.verdict, Verdict::Fail(_)) {
                    continue;
                }
                let Shrunk { trace, before, after, .. } =
                    shrink(&subject, &Trace::of(&report, 0), &Options::default(), effort)?;
                assert!(after.bytes <= before.bytes && after.writes <= before.writes, "{}: {trace}", case.id);
                let read = Trace::from_lines(&trace.to_lines())?;
                let options = Options { edits: read.head.edits.clone(), ..Options::default() };
                let mut again = Trace::of(&run_case(&subject, case, variant, &options), 0);
                again.head.edits = read.head.edits.clone();
                assert_eq!(again.head, read.head, "{}", case.id);
                assert_eq!(read.difference(&again), None, "{}", case.id);
            }
        }
    }
    Ok(())
}

#[test]
fn what_does_not_fail_again_is_told() -> Tested {
    let failing: Arc<dyn Subject> = Arc::new(Oracle::with_bug(Bug::NoPong).in_memory());
    let variant = Variant::whole(Role::Server);
    let report = run_case(&failing, case("PW-HB-008/pong-has-the-number"), variant, &Options::default());
    let mended: Arc<dyn Subject> = Arc::new(Oracle::clean().in_memory());
    let result = shrink(&mended, &Trace::of(&report, 0), &Options::default(), Effort::default());
    assert!(result.is_err_and(|sentence| sentence.contains("does not fail again")));
    Ok(())
}

#[test]
fn the_tool_leaves_a_smaller_trace_that_it_replays() -> Tested {
    let tool = Tool::new("shrink")?;
    let server = Oracle::with_bug(Bug::AcceptsUnknownFlag).serve(&Profile::default())?;
    let address = server.address().to_string();
    tool.write("manifest.toml", "name = 'a server'\n")?;
    let of_server = ["--manifest", "manifest.toml", "--case", "PW-HDR-005/unknown-flag", "--shrink"];
    let judged = tool.run(&[&["server", &address], &of_server[..]].concat())?;
    assert_code(&judged, 1);
    let by_the_way = text(&judged);
    assert!(by_the_way.contains("smaller   PW-HDR-005/unknown-flag: 1 connections"), "{by_the_way}");
    let trace = tool.report()?["cases"][0]["trace"].as_str().ok_or("a failure has a trace")?.to_owned();
    let small = trace.replace(".jsonl", ".small.jsonl");
    assert_code(&tool.run(&["replay", &small, "--server", &address])?, 0);
    let again = tool.run(&["shrink", &trace, "--server", &address, "--out", "smallest.jsonl"])?;
    assert_code(&again, 0);
    assert!(text(&again).contains("DATA class 0, 0 bytes [FIRST CHECKSUM undefined 0x10]"), "{}", text(&again));
    assert!(text(&again).contains("1 connections, 6 steps, 70 bytes in 2 writes"), "{}", text(&again));
    assert_code(&tool.run(&["replay", "smallest.jsonl", "--server", &address])?, 0);
    server.stop();
    let gone = tool.run(&["shrink", &trace, "--server", &address])?;
    assert_code(&gone, 2);
    Ok(())
}
