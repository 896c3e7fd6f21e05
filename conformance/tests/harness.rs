//! The test program that `main!` makes: asked as cargo and cargo-nextest ask it, and judging what the environment names.
//!
//! It is started from here, and it is this program: told so by a variable, this file does what `suite.rs` does.

mod judged;

use std::env;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, ExitCode, Output, Stdio};

use conformance::subjects::{Medium, tokio_subject};
use libtest_mimic::{Arguments, Completion, Failed, Trial};
use pulsewire_conformance::oracle::{Bug, Oracle};
use pulsewire_conformance::subject::Subject;
use pulsewire_conformance::{Profile, cases, harness};

/// Set for the program under test.
const UNDER_TEST: &str = "CONFORMANCE_HARNESS_UNDER_TEST";
/// A case that takes no time.
const QUICK: &str = "PW-HB-008/pong-has-the-number";

/// With this and an address it is an echo client, until its standard input ends.
const CLIENT: &str = "client_program";

type Tested = Result<(), Failed>;
type Test = fn() -> Tested;

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    if let [CLIENT, address] = arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        return be_client(address);
    }
    if env::var_os(UNDER_TEST).is_some() {
        return harness::run_tests(judged::judged(), judged::options());
    }
    let tests: [(&str, Test); 9] = [
        ("lists_every_case_as_cargo_nextest_asks_for_it", lists),
        ("runs_the_one_test_that_cargo_nextest_names", runs_one),
        ("takes_filters", takes_filters),
        ("a_failed_test_explains_itself", explains_a_failure),
        ("what_does_not_apply_is_ignored_and_says_why", ignores),
        ("a_bad_value_is_answered_with_those_that_are_allowed", refuses_bad_values),
        ("judges_a_server_that_the_environment_names", judges_a_server),
        ("judges_a_client_that_the_environment_names", judges_a_client),
        ("names_are_unique", names_are_unique),
    ];
    let mut trials: Vec<Trial> = tests.into_iter().map(|(name, test)| Trial::test(name, test)).collect();
    trials.push(Trial::ignorable_test("judges_the_server_in_python", judges_python));
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

/// The test program, with these variables and arguments.
fn program(variables: &[(&str, &str)], arguments: &[&str]) -> Result<Output, Failed> {
    let mut command = Command::new(env::current_exe()?);
    command.env_remove("CONFORMANCE_SUBJECT").env_remove("CONFORMANCE_MANIFEST");
    command.env(UNDER_TEST, "1").envs(variables.iter().copied()).args(arguments);
    Ok(command.output()?)
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// The program exits with this code, and shows all of these.
#[track_caller]
fn assert_shows(output: &Output, code: i32, parts: &[&str]) {
    let shown = text(output);
    assert_eq!(output.status.code(), Some(code), "{shown}");
    for part in parts {
        assert!(shown.contains(part), "{part:?} is missing in:\n{shown}");
    }
}

fn lists() -> Tested {
    let output = program(&[], &["--list", "--format", "terse"])?;
    assert_shows(&output, 0, &[]);
    let listed = String::from_utf8(output.stdout)?;
    let endings =
        cases().flat_map(|case| case.roles().iter().map(|role| format!("{}::{}: test", case.id, role.name())));
    let endings: Vec<String> = endings.collect();
    for subject in ["oracle:none", "tokio"] {
        for ending in &endings {
            let line = format!("{subject}::{ending}");
            assert!(listed.lines().any(|listed| listed == line), "{line} is not listed");
        }
    }
    assert!(listed.lines().all(|line| line.ends_with(": test")), "{listed}");
    let ignored = program(&[], &["--list", "--format", "terse", "--ignored"])?;
    assert_shows(&ignored, 0, &[]);
    assert_eq!(String::from_utf8(ignored.stdout)?, "");
    Ok(())
}

fn names_are_unique() -> Tested {
    let listed = String::from_utf8(program(&[], &["--list", "--format", "terse"])?.stdout)?;
    let mut names: Vec<&str> = listed.lines().collect();
    names.sort_unstable();
    assert!(!names.is_empty() && names.windows(2).all(|pair| pair[0] != pair[1]));
    Ok(())
}

fn runs_one() -> Tested {
    let name = format!("oracle:none::{QUICK}::client");
    assert_shows(&program(&[], &[&name, "--nocapture", "--exact"])?, 0, &["running 1 test", "1 passed", &name]);
    // Exact is exact.
    assert_shows(&program(&[], &["PW-HB-008", "--exact"])?, 0, &["running 0 tests"]);
    Ok(())
}

fn takes_filters() -> Tested {
    let output = program(&[], &["oracle:none::PW-HDR-005", "--skip", "::client", "--test-threads", "1"])?;
    assert_shows(&output, 0, &["PW-HDR-005/unknown-flag::server"]);
    let shown = text(&output);
    assert!(!shown.contains("::client") && !shown.contains("tokio"), "{shown}");
    Ok(())
}

fn explains_a_failure() -> Tested {
    let server = Oracle::with_bug(Bug::NoPong).serve(&Profile::calm())?;
    let whole = [QUICK, "--skip", "::bytes", "--skip", "::pieces"];
    let output = program(&[("CONFORMANCE_SUBJECT", &format!("tcp:{}", server.address()))], &whole)?;
    // What the requirement says, what was seen, and a timeline.
    assert_shows(&output, 101, &["1 failed", "PW-HB-008 (MUST)", "seen ", "-> PING"]);
    server.stop();
    Ok(())
}

fn ignores() -> Tested {
    let server = Oracle::clean().serve(&Profile::calm())?;
    let output = program(&[("CONFORMANCE_SUBJECT", &format!("tcp:{}", server.address()))], &["PW-CK-001"])?;
    assert_shows(&output, 0, &["ignored (not applicable: the server takes no commands)", "0 failed"]);
    server.stop();
    Ok(())
}

fn refuses_bad_values() -> Tested {
    let allowed = ["CONFORMANCE_SUBJECT", "tcp:HOST:PORT", "exec:COMMAND {addr}"];
    for value in ["", "127.0.0.1:7700", "udp:127.0.0.1:7700"] {
        assert_shows(&program(&[("CONFORMANCE_SUBJECT", value)], &[])?, 2, &allowed);
    }
    for (value, part) in [
        ("tcp:nowhere", "nowhere is no HOST:PORT"),
        ("tcp:127.0.0.1:1", "no connection to 127.0.0.1:1"),
        ("exec:some-client", "has no {addr}"),
        ("exec:no-such-program {addr}", "no-such-program cannot be started"),
        ("exec:'some client {addr}", "a quotation mark is missing"),
    ] {
        assert_shows(&program(&[("CONFORMANCE_SUBJECT", value)], &[])?, 2, &[part]);
    }
    let manifest = ("CONFORMANCE_MANIFEST", "nowhere.toml");
    assert_shows(&program(&[manifest], &[])?, 2, &["CONFORMANCE_SUBJECT is not"]);
    let output = program(&[("CONFORMANCE_SUBJECT", "tcp:127.0.0.1:1"), manifest], &[])?;
    assert_shows(&output, 2, &["nowhere.toml cannot be read"]);
    Ok(())
}

fn judges_a_server() -> Tested {
    let server = tokio_subject(Medium::Tcp)?.serve(&Profile::calm())?;
    let output = program(&[("CONFORMANCE_SUBJECT", &format!("tcp:{}", server.address()))], &["PW-HDR-00"])?;
    assert_shows(&output, 0, &["::PW-HDR-002/wrong-magic::server", "0 failed"]);
    server.stop();
    Ok(())
}

fn judges_a_client() -> Tested {
    let own = env::current_exe()?;
    let command = format!("exec:'{}' {CLIENT} {{addr}}", own.display());
    let output = program(&[("CONFORMANCE_SUBJECT", &command)], &["PW-HDR-00"])?;
    assert_shows(&output, 0, &["::PW-HDR-001/empty-and-full::client", "0 failed"]);
    Ok(())
}

fn be_client(address: &str) -> ExitCode {
    let address = address.parse().expect("the suite gives an address");
    let client = Oracle::clean().connect(&Profile::calm(), address).expect("the suite listens");
    // However it ends, it has ended.
    let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
    client.stop();
    ExitCode::SUCCESS
}

/// An implementation that shares nothing with this workspace, with its manifest.
fn judges_python() -> Result<Completion, Failed> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("subjects/python");
    let options = "--idle 600 --interval 300 --assembly-base 6000 --handshake-timeout 1000 --close-timeout 1000 \
                   --busy-max 4000 --write-stall 4000 --message-limit 1048576";
    let mut command = Command::new("python3");
    command.arg(folder.join("echo_server.py")).args(["--listen", "127.0.0.1:0"]).args(options.split_whitespace());
    let Ok(server) = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn() else {
        return Ok(Completion::ignored_with("there is no python3 here"));
    };
    let mut server = Stopped(server);
    let mut line = String::new();
    BufReader::new(server.0.stdout.take().ok_or("a pipe")?).read_line(&mut line)?;
    let address = line.trim().strip_prefix("listening on ").ok_or("the server says where it listens")?;
    let manifest = folder.join("manifest.toml").display().to_string();
    let variables = [("CONFORMANCE_SUBJECT", &*format!("tcp:{address}")), ("CONFORMANCE_MANIFEST", &*manifest)];
    let output = program(&variables, &["PW-HB-01"])?;
    // With the numbers of the manifest these apply, and the name is that of the manifest.
    assert_shows(&output, 0, &["python::PW-HB-012/silent-peer::server", "0 failed"]);
    Ok(Completion::Completed)
}

/// A program that is stopped whatever comes of the test.
struct Stopped(Child);

impl Drop for Stopped {
    fn drop(&mut self) {
        // Either fails only where it has ended by now.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
