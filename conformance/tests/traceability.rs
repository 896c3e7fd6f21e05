//! Every binding requirement is cited where it is implemented, and where it is tested.
//!
//! A citation is the requirement's id, in a comment, a name or a vector. What can't be cited stands in
//! `spec/exceptions.toml` with the reason.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use pulsewire_spec::{Level, requirement, requirements};
use serde::Deserialize;

/// What is not cited, by requirement, and why.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Exceptions {
    /// Implemented nowhere in particular.
    code: BTreeMap<String, String>,
    /// Not testable here.
    test: BTreeMap<String, String>,
}

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace").to_owned()
}

fn exceptions() -> Exceptions {
    let text = fs::read_to_string(workspace().join("spec/exceptions.toml")).expect("the exceptions");
    toml::from_str(&text).expect("well-formed exceptions")
}

/// All files below these folders with this extension.
fn files(folders: &[&str], extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders: Vec<PathBuf> = folders.iter().map(|folder| workspace().join(folder)).collect();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
            let path = entry.expect("a readable folder").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|found| found == extension) {
                found.push(path);
            }
        }
    }
    found
}

/// The ids that a text mentions.
fn ids(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-')).filter(|word| word.starts_with("PW-"))
}

/// The code of a source file, and its tests.
fn halves(path: &Path, text: &str) -> (String, String) {
    if path.components().any(|part| part.as_os_str() == "tests") || path.ends_with("tests.rs") {
        return (String::new(), text.to_owned());
    }
    let at = text.find("#[cfg(test)]\nmod ").unwrap_or(text.len());
    (text[..at].to_owned(), text[at..].to_owned())
}

/// The requirements cited in code, and in tests.
fn cited() -> (BTreeSet<String>, BTreeSet<String>) {
    let (mut code, mut test) = (BTreeSet::new(), BTreeSet::new());
    let sources = ["protocol/src", "transport-tokio/src", "transport-iocp/src"];
    let tests = ["protocol/tests", "transport-tokio/tests", "transport-iocp/tests", "conformance/suite/src/cases"];
    for path in files(&sources, "rs") {
        let text = fs::read_to_string(&path).expect("a source file");
        let (implementing, testing) = halves(&path, &text);
        code.extend(ids(&implementing).map(str::to_owned));
        test.extend(ids(&testing).map(str::to_owned));
    }
    for path in files(&tests, "rs").into_iter().chain(files(&["spec/vectors"], "json")) {
        let text = fs::read_to_string(&path).expect("a test");
        test.extend(ids(&text).map(str::to_owned));
    }
    (code, test)
}

fn missing(cited: &BTreeSet<String>, excepted: &BTreeMap<String, String>) -> Vec<String> {
    requirements()
        .iter()
        .filter(|requirement| matches!(requirement.level, Level::Must | Level::MustNot))
        .filter(|requirement| !cited.contains(requirement.id) && !excepted.contains_key(requirement.id))
        .map(|requirement| format!("{} {}", requirement.id, requirement.text))
        .collect()
}

#[test]
fn every_binding_requirement_is_cited_in_code() {
    let missing = missing(&cited().0, &exceptions().code);
    assert!(missing.is_empty(), "cite these where they are implemented:\n{}", missing.join("\n"));
}

#[test]
fn every_binding_requirement_is_cited_in_a_test() {
    let missing = missing(&cited().1, &exceptions().test);
    assert!(missing.is_empty(), "cite these where they are tested:\n{}", missing.join("\n"));
}

#[test]
fn exceptions_are_needed_and_have_reasons() {
    let (code, test) = cited();
    let Exceptions { code: uncoded, test: untested } = exceptions();
    for (cited, excepted) in [(code, uncoded), (test, untested)] {
        for (id, reason) in excepted {
            assert!(requirement(&id).is_some(), "{id} does not exist");
            assert!(!cited.contains(&id), "{id} is cited; the exception can go");
            assert!(reason.ends_with('.'), "{id}: give the reason as a sentence");
        }
    }
}

/// Nothing cites what was dropped or mistyped.
#[test]
fn only_requirements_that_exist_are_cited() {
    let (code, test) = cited();
    for id in code.union(&test) {
        assert!(requirement(id).is_some(), "{id} is cited but not specified");
    }
}
