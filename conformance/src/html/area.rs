//! Requirements by area, with the cases that try them.

use std::collections::BTreeMap;

use pulsewire_conformance::{Area, CaseReport, Role};
use pulsewire_spec::{Requirement, requirements};

use super::columns::Column;
use super::failure::{Budget, FailureView, failures};
use crate::outcome::Outcome;

pub(super) struct AreaView {
    pub(super) letters: &'static str,
    pub(super) name: &'static str,
    pub(super) section: &'static str,
    pub(super) requirements: Vec<RequirementView>,
}

pub(super) struct RequirementView {
    pub(super) id: &'static str,
    /// The last digits of the id.
    pub(super) number: &'static str,
    pub(super) level: &'static str,
    pub(super) section: &'static str,
    /// The text; every second piece stood between backticks.
    pub(super) text: Vec<&'static str>,
    /// The worst outcome in each column; `None` where nothing tried it.
    pub(super) ticks: Vec<Option<Outcome>>,
    /// Every outcome that occurs, as classes.
    pub(super) outcomes: String,
    pub(super) changed: bool,
    pub(super) search: String,
    pub(super) cases: Vec<CaseView>,
}

impl RequirementView {
    /// The worst outcome of all columns.
    pub(super) fn worst(&self) -> Option<Outcome> {
        self.ticks.iter().flatten().max().copied()
    }

    /// For a screen reader, and for who points at it.
    pub(super) fn label(&self) -> String {
        let words = self.ticks.iter().map(|tick| tick.map_or("no verdict", Outcome::word));
        format!("{}: {}", self.id, Vec::from_iter(words).join(", "))
    }
}

pub(super) struct CaseView {
    pub(super) id: String,
    pub(super) title: String,
    pub(super) columns: Vec<CaseColumn>,
}

/// A case in one column.
pub(super) struct CaseColumn {
    pub(super) name: String,
    /// The ticks of each role.
    pub(super) roles: Vec<(&'static str, Vec<RunTick>)>,
    pub(super) failures: Vec<FailureView>,
    /// What `replay` needs beside a trace.
    pub(super) again: String,
    /// Why runs have no timeline, with the ways to run it.
    pub(super) remarks: Vec<String>,
}

pub(super) struct RunTick {
    pub(super) outcome: Outcome,
    pub(super) label: String,
}

pub(super) fn areas(columns: &[Column<'_>], budget: &mut Budget) -> Vec<AreaView> {
    let view = |area: &Area| {
        let of_area = requirements().iter().filter(|requirement| area.holds(requirement.id));
        let requirements: Vec<_> = of_area.map(|requirement| requirement_view(requirement, columns, budget)).collect();
        AreaView { letters: area.letters, name: area.name, section: area.section(), requirements }
    };
    let areas: Vec<AreaView> = Area::ALL.iter().map(view).collect();
    areas.into_iter().filter(|area| area.requirements.iter().any(|requirement| !requirement.cases.is_empty())).collect()
}

fn requirement_view(requirement: &'static Requirement, columns: &[Column<'_>], budget: &mut Budget) -> RequirementView {
    let Requirement { id, level, section, text } = requirement;
    let of_this =
        |column: &Column<'_>| Outcome::worst(column.cases.iter().copied().filter(|case| case.requirement == *id));
    let ticks: Vec<Option<Outcome>> = columns.iter().map(of_this).collect();
    let mut by_case: BTreeMap<(usize, &str), Vec<Vec<&CaseReport>>> = BTreeMap::new();
    let mut order: Vec<&str> = Vec::new();
    for (index, column) in columns.iter().enumerate() {
        for case in column.cases.iter().copied().filter(|case| case.requirement == *id) {
            let place = order.iter().position(|known| *known == case.id).unwrap_or_else(|| {
                order.push(&case.id);
                order.len() - 1
            });
            by_case.entry((place, &case.id)).or_insert_with(|| vec![Vec::new(); columns.len()])[index].push(case);
        }
    }
    let all = || by_case.values().flatten().flatten().copied();
    let mut outcomes: Vec<&str> = all().map(|case| Outcome::of(case).class()).collect();
    outcomes.sort_unstable();
    outcomes.dedup();
    let words = all().flat_map(|case| [case.id.as_str(), case.title.as_str(), case.verdict.reason()]);
    let mut words: Vec<&str> = words.collect();
    words.sort_unstable();
    words.dedup();
    let search = format!("{id} {text} {}", words.join(" ")).to_lowercase();
    let changed = by_case.values().any(|runs| super::causes::differs(runs));
    let outcomes = outcomes.join(" ");
    let cases = by_case.into_values().map(|runs| case_view(columns, &runs, budget)).collect();
    RequirementView {
        id,
        number: id.rsplit('-').next().unwrap_or(id),
        level: level.keyword(),
        section,
        text: text.split('`').collect(),
        ticks,
        outcomes,
        changed,
        search,
        cases,
    }
}

fn case_view(columns: &[Column<'_>], runs: &[Vec<&CaseReport>], budget: &mut Budget) -> CaseView {
    let any = runs.iter().flatten().next().expect("a case is there because it ran");
    let columns = columns.iter().zip(runs).filter(|(_, runs)| !runs.is_empty()).map(|(column, runs)| CaseColumn {
        name: column.name.clone(),
        roles: roles(runs),
        failures: failures(runs, budget),
        again: column.again.to_owned(),
        remarks: remarks(runs),
    });
    CaseView { id: any.id.clone(), title: any.title.clone(), columns: columns.collect() }
}

fn roles(runs: &[&CaseReport]) -> Vec<(&'static str, Vec<RunTick>)> {
    let ticks = |role: Role| {
        let of_role = runs.iter().filter(|case| case.role == role);
        of_role.map(|case| RunTick { outcome: Outcome::of(case), label: tick_label(case) }).collect::<Vec<_>>()
    };
    let roles = [Role::Server, Role::Client].into_iter().map(|role| (role.name(), ticks(role)));
    roles.filter(|(_, ticks)| !ticks.is_empty()).collect()
}

fn tick_label(case: &CaseReport) -> String {
    format!("{}: {}, {} ms", case.variant(), Outcome::of(case).word(), case.duration.as_millis())
}

/// Of what has no timeline: the reasons.
fn remarks(runs: &[&CaseReport]) -> Vec<String> {
    let mut remarks: Vec<(String, Vec<String>)> = Vec::new();
    for case in runs {
        let outcome = Outcome::of(case);
        let reason = match outcome {
            Outcome::Known => case.known_failure.as_deref().unwrap_or_default(),
            Outcome::NotApplicable | Outcome::Unimplemented => case.verdict.reason(),
            Outcome::Pass | Outcome::Info | Outcome::Warn | Outcome::Inconclusive | Outcome::Error | Outcome::Fail => {
                continue;
            }
        };
        let sentence = format!("{}: {reason}", outcome.word());
        match remarks.iter_mut().find(|(known, _)| *known == sentence) {
            Some((_, variants)) => variants.push(case.variant().to_string()),
            None => remarks.push((sentence, vec![case.variant().to_string()])),
        }
    }
    remarks.into_iter().map(|(sentence, variants)| format!("{sentence} ({})", variants.join("; "))).collect()
}
