//! What the suite has for each requirement: cases, one in which the subject goes on and one in which it refuses something, and
//! a bug that is caught.
//!
//! Whether a case is of the one kind or the other is not declared: the clean oracle runs it, and what it did is looked at. What a
//! requirement lacks stands in `conformance/coverage.toml` with the reason. The whole list is written to
//! `target/conformance/coverage.md`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use pulsewire_conformance::oracle::{Bug, Oracle};
use pulsewire_conformance::{Action, CaseReport, Options, Step, Verdict, run};
use pulsewire_spec::{Requirement, close_reason, requirement, requirements};
use serde::Deserialize;

/// What a requirement may lack.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Lack {
    /// Nothing tries it.
    Case,
    /// In none of its cases a connection goes on to the end of the case, or to an orderly close.
    Acceptance,
    /// In none of its cases the subject refuses a message or ends a connection for a fault.
    Rejection,
    /// No bug of the oracle breaks it.
    Bug,
}

/// Requirements that lack something, and why.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Exception {
    lack: Lack,
    reason: String,
    requirements: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Exceptions {
    exception: Vec<Exception>,
}

/// What there is for a requirement.
#[derive(Default)]
struct Coverage {
    cases: BTreeSet<String>,
    accepting: BTreeSet<String>,
    rejecting: BTreeSet<String>,
    bugs: usize,
}

impl Coverage {
    fn lacks(&self) -> Vec<Lack> {
        if self.cases.is_empty() {
            return vec![Lack::Case];
        }
        let lacks = [
            (Lack::Acceptance, self.accepting.is_empty()),
            (Lack::Rejection, self.rejecting.is_empty()),
            (Lack::Bug, self.bugs == 0),
        ];
        lacks.into_iter().filter(|(_, lacks)| *lacks).map(|(lack, _)| lack).collect()
    }
}

/// What is true of every requirement, from a run of every case on the clean oracle.
fn coverage() -> BTreeMap<&'static str, Coverage> {
    let mut coverage: BTreeMap<&str, Coverage> =
        requirements().iter().map(|found| (found.id, Coverage::default())).collect();
    let options = Options { strict: true, strength: Some(1), ..Options::default() };
    for report in run(&[Arc::new(Oracle::clean().in_memory())], &options).cases {
        assert_eq!(report.verdict, Verdict::Pass, "{} as {}", report.id, report.role.name());
        let entry = coverage.get_mut(report.requirement.as_str()).expect("a case has a requirement");
        if accepts(&report) {
            entry.accepting.insert(report.id.clone());
        }
        if rejects(&report) {
            entry.rejecting.insert(report.id.clone());
        }
        entry.cases.insert(report.id);
    }
    for bug in Bug::ALL {
        coverage.get_mut(bug.requirement()).expect("a bug breaks a requirement").bugs += 1;
    }
    coverage
}

/// What the subject did, by connection.
fn connections(report: &CaseReport) -> BTreeMap<u32, Vec<&Step>> {
    let mut connections: BTreeMap<u32, Vec<&Step>> = BTreeMap::new();
    for step in report.observations().filter(|step| step.connection > 0) {
        connections.entry(step.connection).or_default().push(step);
    }
    connections
}

/// Whether a connection of the case went on until the case was over, or was closed in order.
fn accepts(report: &CaseReport) -> bool {
    let is_served = |steps: &[&Step]| steps.iter().any(|step| is_packet(step) && !is_hello(step));
    connections(report).values().any(|steps| is_served(steps) && !is_cut(steps))
}

/// Whether the subject refused a message, or ended a connection for a fault, in the case.
fn rejects(report: &CaseReport) -> bool {
    let refused = report.observations().any(|step| is_packet(step) && step.text.starts_with("REJECT "));
    refused || report.observations().any(is_told_fault) || connections(report).values().any(|steps| is_cut(steps))
}

/// Whether the subject ended the connection for a fault: by CLOSE, or without a word before the handshake is done.
fn is_cut(steps: &[&Step]) -> bool {
    let greets_only = steps.iter().all(|step| !is_packet(step) || is_hello(step));
    let ended = steps.iter().any(|step| matches!(step.action, Action::Ended | Action::Reset));
    (greets_only && ended) || steps.iter().any(|step| is_packet(step) && is_close_for_fault(&step.text))
}

fn is_packet(step: &Step) -> bool {
    step.action == Action::Received
}

fn is_hello(step: &Step) -> bool {
    step.text.starts_with("HELLO VERSIONS")
}

fn is_close_for_fault(text: &str) -> bool {
    let name = text.strip_prefix("CLOSE ").and_then(|rest| rest.split(',').next());
    name.and_then(close_reason).is_some_and(|reason| is_fault_value(reason.value))
}

/// A fault that only the application at the subject's side could be told, since the transport took nothing more.
fn is_told_fault(step: &Step) -> bool {
    let reason = step.text.split_once(" ended with ").and_then(|(_, rest)| rest.split_once(" by Local"));
    reason.is_some_and(|(reason, _)| reason.parse().is_ok_and(is_fault_value))
}

/// Spec section 11.3.
fn is_fault_value(reason: u16) -> bool {
    (16..=255).contains(&reason)
}

fn exceptions() -> Exceptions {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("coverage.toml");
    toml::from_str(&fs::read_to_string(path).expect("the exceptions")).expect("well-formed exceptions")
}

/// A line for each requirement.
fn table(coverage: &BTreeMap<&str, Coverage>) -> String {
    let mut text = String::from("# What the suite has for each requirement\n\n");
    text += "Made by `cargo test -p conformance --test coverage`. What is missing has its reason in `conformance/coverage.toml`.\n\n";
    text += "| requirement | level | cases | accepting | rejecting | bugs |\n|---|---|---|---|---|---|\n";
    for Requirement { id, level, .. } in requirements() {
        let Coverage { cases, accepting, rejecting, bugs } = &coverage[id];
        let (cases, accepting, rejecting) = (cases.len(), accepting.len(), rejecting.len());
        writeln!(text, "| {id} | {} | {cases} | {accepting} | {rejecting} | {bugs} |", level.keyword())
            .expect("a string takes all");
    }
    text
}

#[test]
fn what_a_requirement_lacks_has_a_reason_and_no_reason_is_out_of_date() {
    let coverage = coverage();
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("the target folder").join("conformance");
    fs::create_dir_all(&folder).and_then(|()| fs::write(folder.join("coverage.md"), table(&coverage))).expect("a file");
    let lacking: BTreeSet<(Lack, &str)> =
        coverage.iter().flat_map(|(id, coverage)| coverage.lacks().into_iter().map(|lack| (lack, *id))).collect();
    let exceptions = exceptions().exception;
    let excepted =
        exceptions.iter().flat_map(|exception| exception.requirements.iter().map(|id| (exception.lack, id.as_str())));
    let excepted: BTreeSet<(Lack, &str)> = excepted.collect();
    let without_reason: Vec<_> = lacking.difference(&excepted).collect();
    assert!(without_reason.is_empty(), "these lack something without a reason: {without_reason:#?}");
    let out_of_date: Vec<_> = excepted.difference(&lacking).collect();
    assert!(out_of_date.is_empty(), "these lack it no longer; take them off the list: {out_of_date:#?}");
}

#[test]
fn reasons_are_sentences_and_each_requirement_has_one_of_a_kind() {
    let mut seen = BTreeSet::new();
    for Exception { lack, reason, requirements } in exceptions().exception {
        assert!(reason.ends_with('.'), "give the reason as a sentence: {reason}");
        for id in requirements {
            assert!(requirement(&id).is_some(), "{id} does not exist");
            assert!(seen.insert((lack, id.clone())), "{id} has two reasons for {lack:?}");
        }
    }
}
