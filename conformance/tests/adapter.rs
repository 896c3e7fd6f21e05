//! Implementations behind a control channel: the Python subject, the examples of the documentation, and programs that are no adapter.

mod tool;

use tool::{Tested, Tool, assert_code, text};

/// What only an adapter reaches: what the application is told, and what it asks for.
const CONTROLLED: [&str; 6] = [
    "PW-CK-002/stale-send",
    "PW-CLS-011/*",
    "PW-CLS-016/*",
    "PW-CLS-021/own-words",
    "PW-HB-018/*",
    "PW-HS-020/accepts",
];

fn on_cases<'a>(command: &'a str, cases: &[&'a str]) -> Vec<&'a str> {
    let cases = cases.iter().flat_map(|case| ["--case", case]);
    ["adapter", command, "--chunking", "whole", "--jobs", "4"].into_iter().chain(cases).collect()
}

#[test]
fn the_python_subject_passes_what_only_an_adapter_reaches() -> Tested {
    let tool = Tool::new("adapter")?;
    let command = format!("python3 {}/subjects/python/adapter.py", env!("CARGO_MANIFEST_DIR"));
    assert_code(&tool.run(&on_cases(&command, &CONTROLLED))?, 0);
    let totals = &tool.report()?["totals"];
    assert_eq!(totals["not-applicable"], 0, "{totals}");
    assert!(totals["pass"].as_u64() >= Some(10), "{totals}");
    Ok(())
}

/// It takes longer to start its clients than a peer may be silent: the suite's other connections answer PINGs meanwhile.
#[cfg(unix)]
#[test]
fn one_that_starts_slowly_finds_the_other_connections_alive() -> Tested {
    let tool = Tool::new("adapter-slow")?;
    let python = concat!(env!("CARGO_MANIFEST_DIR"), "/subjects/python/adapter.py");
    let command = format!("sh -c 'sleep 1.5; exec python3 {python}'");
    let output = tool.run(&on_cases(&command, &["PW-HB-012/one-silent-among-many"]))?;
    assert_code(&output, 0);
    Ok(())
}

/// They echo bytes, so that every case fails; not one for the sake of the adapter.
fn example_runs(language: &str, program: &str) -> Tested {
    let tool = Tool::new(&format!("adapter-{language}"))?;
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/adapter.md"))?;
    let example = page.split("```").find_map(|block| block.strip_prefix(language)).ok_or("the page has no example")?;
    tool.write("example", example)?;
    let command = format!("{program} example");
    let output = tool.run(&on_cases(&command, &["PW-HDR-001/*", "PW-CLS-012/*", "PW-CK-002/*"]))?;
    assert_code(&output, 1);
    let totals = &tool.report()?["totals"];
    assert_eq!((&totals["harness-error"], &totals["pass"]), (&0.into(), &0.into()), "{}", text(&output));
    Ok(())
}

#[test]
fn the_example_in_python_runs() -> Tested {
    example_runs("python", "python3")
}

#[test]
fn the_example_in_javascript_runs() -> Tested {
    example_runs("javascript", "node")
}

/// An adapter in a line: what is printed for each line that comes.
fn answering(answer: &str) -> String {
    format!("python3 -c \"import sys\nfor line in sys.stdin: print({answer}, flush=True)\"")
}

#[test]
fn what_is_no_adapter_is_refused() -> Tested {
    let tool = Tool::new("no-adapter")?;
    let describe = r#"'{\"name\": \"x\", \"roles\": [\"server\"], \"numbers\": true}'"#;
    for (command, part) in [
        ("no-such-program".to_owned(), "no-such-program cannot be started"),
        ("false".to_owned(), "the adapter has "),
        (answering("'hello'"), "the adapter said hello"),
        (answering(&format!("{describe} if 'describe' in line else '{{}}'")), "takes a command that does not exist"),
        (answering(&format!("{describe} if 'describe' in line else 7")), "the adapter said 7"),
    ] {
        let output = tool.run(&["adapter", &command])?;
        assert_code(&output, 2);
        assert!(text(&output).contains(part), "{command}: {}", text(&output));
    }
    Ok(())
}

#[test]
fn a_manifest_of_timers_contradicts_an_adapter_that_takes_them() -> Tested {
    let tool = Tool::new("adapter-manifest")?;
    tool.write("manifest.toml", "[timers]\nidle = 500\n")?;
    let command = format!("python3 {}/subjects/python/adapter.py", env!("CARGO_MANIFEST_DIR"));
    let output = tool.run(&["adapter", &command, "--manifest", "manifest.toml"])?;
    assert_code(&output, 2);
    assert!(text(&output).contains("takes those that each case wants"), "{}", text(&output));
    Ok(())
}
