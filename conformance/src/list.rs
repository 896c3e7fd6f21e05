//! Lists of cases, requirements and bugs.

use std::fmt::Write;

use pulsewire_conformance::oracle::Bug;
use pulsewire_conformance::{Case, Role, Selection, cases};
use pulsewire_spec::{Requirement, requirements};

use crate::arguments::ListArguments;
use crate::{input, show};

pub(crate) fn list(arguments: &ListArguments) -> Result<u8, String> {
    let selection = input::selection(&arguments.filter)?;
    let text = if arguments.bugs {
        list_bugs(&selection)
    } else if arguments.requirements {
        list_requirements(&selection)
    } else {
        list_cases(&selection)
    };
    show(&text);
    Ok(0)
}

/// The roles in which a case is tried.
pub(crate) fn roles(case: &Case) -> String {
    case.roles().iter().map(|role| role.name()).collect::<Vec<&str>>().join(", ")
}

/// How the suite cuts what it sends in a case.
fn chunkings(case: &Case) -> String {
    case.chunkings().iter().map(|chunking| chunking.name()).collect::<Vec<&str>>().join(", ")
}

fn list_cases(selection: &Selection) -> String {
    let mut text = String::new();
    for case in cases().filter(|case| selection.holds(case)) {
        let level = pulsewire_spec::requirement(case.requirement()).map_or("", |found| found.level.keyword());
        let (roles, chunkings) = (roles(case), chunkings(case));
        let line = format!("{:<44} {level:<8} {roles:<14} {chunkings:<20} {}", case.id, case.title);
        writeln!(text, "{line}").expect("a string takes everything");
    }
    text
}

fn list_bugs(selection: &Selection) -> String {
    let chosen = |bug: &&Bug| {
        selection.is_everything()
            || cases().any(|case| selection.holds(case) && case.requirement() == bug.requirement())
    };
    let line = |bug: &Bug| format!("{:<28} {}  {}\n", bug.name(), bug.requirement(), bug.sentence());
    Bug::ALL.iter().filter(chosen).map(line).collect()
}

/// Each requirement with its cases and bugs, and how many have any.
fn list_requirements(selection: &Selection) -> String {
    let mut text = format!("{:<12} {:<10} {:>5} {:>4}  roles\n", "", "", "cases", "bugs");
    let (mut listed, mut covered) = (0, 0);
    for Requirement { id, level, .. } in requirements() {
        let tried: Vec<&Case> = cases().filter(|case| case.requirement() == *id).collect();
        if !selection.is_everything() && !tried.iter().any(|case| selection.holds(case)) {
            continue;
        }
        let bugs = Bug::ALL.iter().filter(|bug| bug.requirement() == *id).count();
        let in_role = |role: &Role| tried.iter().any(|case| case.roles().contains(role));
        let roles: Vec<&str> =
            [Role::Server, Role::Client].iter().filter(|role| in_role(role)).map(|role| role.name()).collect();
        let roles = if roles.is_empty() { "no case".into() } else { roles.join(", ") };
        writeln!(text, "{id:<12} {:<10} {:>5} {bugs:>4}  {roles}", level.keyword(), tried.len())
            .expect("a string takes everything");
        listed += 1;
        covered += usize::from(!tried.is_empty());
    }
    let chosen = || cases().filter(|case| selection.holds(case));
    let variants = |case: &Case| case.variants(1).filter(|variant| selection.holds_chunking(variant.chunking)).count();
    let (count, runs) = (chosen().count(), chosen().map(variants).sum::<usize>());
    text + &format!("{covered} of {listed} requirements have a case; {count} cases make {runs} runs\n")
}
