//! The report as one page for people, which needs nothing else: no network, and no script to be read.

mod area;
mod causes;
mod columns;
mod failure;
mod timeline;

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};

use askama::Template;

pub(crate) use columns::Run;
pub(crate) use failure::with_steps;

use crate::outcome::Outcome;
use area::AreaView;
use causes::{CauseView, Change, Trend};
use columns::{Column, columns};
use failure::Budget;

/// The page. Its template escapes whatever stands in a variable.
#[derive(Template)]
#[template(path = "report.html")]
struct Page<'r> {
    version: &'static str,
    style: &'static str,
    script: &'static str,
    /// Only a script with this runs: should anything of a peer's ever get through unescaped, it would not know it.
    nonce: String,
    columns: &'r [Column<'r>],
    shown: Vec<Outcome>,
    causes: Vec<CauseView>,
    changes: Vec<Change>,
    areas: Vec<AreaView>,
    faults: Vec<&'r str>,
}

impl Page<'_> {
    /// How many cases got worse, or better, from the first column to the last.
    fn count(&self, trend: Trend) -> usize {
        self.changes.iter().filter(|change| change.trend == trend).count()
    }
}

/// The page for one run, or for several side by side. What they come to stands in the order of `runs`.
pub(crate) fn page(runs: &[Run]) -> String {
    let columns = columns(runs);
    let mut budget = Budget::default();
    let areas = area::areas(&columns, &mut budget);
    let shown =
        |outcome: &Outcome| columns.iter().flat_map(|column| &column.cases).any(|case| Outcome::of(case) == *outcome);
    let page = Page {
        version: env!("CARGO_PKG_VERSION"),
        style: include_str!("html/style.css"),
        script: include_str!("html/script.js"),
        // The hasher draws its keys at random.
        nonce: format!("{:016x}", RandomState::new().build_hasher().finish()),
        shown: Outcome::ALL.into_iter().filter(shown).collect(),
        causes: causes::causes(runs),
        changes: causes::changes(&columns),
        areas,
        faults: runs
            .iter()
            .flat_map(|run| run.report.stale.iter().chain(&run.report.faults))
            .map(String::as_str)
            .collect(),
        columns: &columns,
    };
    page.render().expect("a template writes into a string")
}
