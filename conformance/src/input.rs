//! What the command line names, made into what the suite takes.

use std::path::Path;
use std::sync::Arc;

use conformance::named::text;
use conformance::subjects;
use pulsewire_conformance::oracle::Bug;
use pulsewire_conformance::subject::Subject;
use pulsewire_conformance::{Area, Chunking, Expectations, Selection, UselessPattern, cases};

use crate::arguments::FilterArguments;
use crate::nearest::with_nearest;

/// The cases that the filter takes.
pub(crate) fn selection(filter: &FilterArguments) -> Result<Selection, String> {
    let FilterArguments { cases, areas, requirements, chunkings } = filter;
    Selection::new(cases, areas, requirements, chunkings).map_err(|error| explain(&error))
}

/// The complaint about a pattern, with what may have been meant.
fn explain(useless: &UselessPattern) -> String {
    let known: Vec<&str> = match useless.kind {
        "area" => Area::ALL.iter().flat_map(|area| [area.letters, area.name]).collect(),
        "chunking" => Chunking::ALL.iter().map(|chunking| chunking.name()).collect(),
        "requirement" => cases().map(|case| case.requirement()).collect(),
        _ => cases().map(|case| case.id).collect(),
    };
    with_nearest(&useless.to_string(), &useless.pattern, known)
}

pub(crate) fn expectations(path: Option<&Path>) -> Result<Expectations, String> {
    let Some(path) = path else {
        return Ok(Expectations::default());
    };
    Expectations::parse(&text(path)?).map_err(|error| format!("{}: {error}", path.display()))
}

/// An implementation of this workspace, or an oracle.
pub(crate) fn subject(name: &str) -> Result<Arc<dyn Subject>, String> {
    subjects::by_name(name).ok_or_else(|| {
        let here: Vec<String> = subjects::of_this_system().iter().map(|subject| subject.name().to_owned()).collect();
        let bugs = || ["none"].into_iter().chain(Bug::ALL.iter().map(|bug| bug.name()));
        let oracles = ["oracle", "oracle-in-memory"].into_iter();
        let oracles = oracles.flat_map(|kind| bugs().map(move |bug| format!("{kind}:{bug}")));
        let known: Vec<String> = here.into_iter().chain(["core".to_owned()]).chain(oracles).collect();
        let complaint = format!("there is no subject {name:?} on this system");
        with_nearest(&complaint, name, known.iter().map(String::as_str))
    })
}
