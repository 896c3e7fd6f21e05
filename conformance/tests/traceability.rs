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

/// The code of a source file, and its tests: an inline module of tests ends the file.
fn halves<'t>(path: &Path, text: &'t str, test_modules: &[PathBuf]) -> (&'t str, &'t str) {
    if test_modules.iter().any(|module| path.starts_with(module) || path == module.with_extension("rs")) {
        return ("", text);
    }
    let inline = test_module_names(text).find(|(_, name)| name.ends_with(" {"));
    text.split_at(inline.map_or(text.len(), |(at, _)| at))
}

/// Where modules of tests are declared in a source file, and the rest of that line.
fn test_module_names(text: &str) -> impl Iterator<Item = (usize, &str)> {
    ["#[cfg(test)]\nmod ", "#[cfg(all(test, windows))]\nmod "].into_iter().flat_map(|declaration| {
        let name = |at: usize| text[at + declaration.len()..].lines().next().unwrap_or_default();
        text.match_indices(declaration).map(move |(at, _)| (at, name(at)))
    })
}

/// The modules of tests that have a file or a folder of their own, without extension.
fn test_modules(path: &Path, text: &str) -> Vec<PathBuf> {
    let is_root = ["mod.rs", "lib.rs"].iter().any(|root| path.ends_with(root));
    let folder = if is_root { path.parent().expect("a folder").to_owned() } else { path.with_extension("") };
    test_module_names(text).filter_map(|(_, name)| Some(folder.join(name.strip_suffix(';')?))).collect()
}

/// The requirements cited in code, and in tests.
fn cited() -> (BTreeSet<String>, BTreeSet<String>) {
    let (mut code, mut test) = (BTreeSet::new(), BTreeSet::new());
    let sources = ["protocol/src", "transport-tokio/src", "transport-iocp/src"];
    let tests = ["protocol/tests", "transport-tokio/tests", "transport-iocp/tests", "conformance/suite/src/cases"];
    let sources: Vec<(PathBuf, String)> = files(&sources, "rs")
        .into_iter()
        .map(|path| (path.clone(), fs::read_to_string(path).expect("a source file")))
        .collect();
    let test_modules: Vec<PathBuf> = sources.iter().flat_map(|(path, text)| test_modules(path, text)).collect();
    for (path, text) in &sources {
        let (implementing, testing) = halves(path, text, &test_modules);
        code.extend(ids(implementing).map(str::to_owned));
        test.extend(ids(testing).map(str::to_owned));
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

/// A file that is in no program is never compiled, and what it cites is tested nowhere.
#[test]
fn every_file_of_tests_belongs_to_a_program() {
    for folder in ["protocol", "transport-tokio"] {
        let read = |name: &str| fs::read_to_string(workspace().join(folder).join(name)).expect("a file of the crate");
        let (modules, programs) = (read("tests/all.rs"), read("Cargo.toml"));
        for entry in fs::read_dir(workspace().join(folder).join("tests")).expect("the crate's tests") {
            let path = entry.expect("a readable folder").path();
            let Some(name) = path.file_stem().and_then(|name| name.to_str()) else { continue };
            let is_program = programs.contains(&format!("[[test]]\nname = \"{name}\"\n"));
            let is_known = is_program || modules.lines().any(|line| line == format!("mod {name};"));
            assert!(path.extension() != Some("rs".as_ref()) || is_known, "{folder}/tests/all.rs misses `mod {name};`");
        }
    }
}
