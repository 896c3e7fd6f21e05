//! What a requirement says, how it is tried, and what that catches.

use std::fmt::Write;

use pulsewire_conformance::oracle::Bug;
use pulsewire_conformance::{Case, cases};
use pulsewire_spec::{Requirement, requirement, requirements};

use crate::list::roles;
use crate::nearest::with_nearest;
use crate::show;

pub(crate) fn explain(id: &str) -> Result<u8, String> {
    let found = requirement_of(id).ok_or_else(|| {
        let known = requirements().iter().map(|requirement| requirement.id);
        let known = known.chain(cases().map(|case| case.id)).chain(Bug::ALL.iter().map(|bug| bug.name()));
        with_nearest(&format!("{id:?} is no requirement, case or bug"), id, known)
    })?;
    show(&text_of(found));
    Ok(0)
}

/// The requirement with this id, or that of the case or bug.
fn requirement_of(id: &str) -> Option<&'static Requirement> {
    let of_case = || cases().find(|case| case.id == id).map(|case| case.requirement());
    let of_bug = || Bug::from_name(id.trim_start_matches("oracle:")).map(|bug| bug.requirement());
    requirement(&id.to_uppercase()).or_else(|| requirement(of_case().or_else(of_bug)?))
}

fn text_of(requirement: &Requirement) -> String {
    let Requirement { id, level, section, text } = requirement;
    let mut lines = format!("{id} ({level}), section {section}\n\n  {text}\n\n");
    let tried: Vec<&Case> = cases().filter(|case| case.requirement() == *id).collect();
    if tried.is_empty() {
        lines += "No case tries it: it cannot be seen from outside, or waits for one.\n";
    } else {
        lines += "Cases\n";
    }
    for case in tried {
        writeln!(lines, "  {} ({}): the subject {}", case.id, roles(case), case.title)
            .expect("a string takes everything");
    }
    let bugs: Vec<&Bug> = Bug::ALL.iter().filter(|bug| bug.requirement() == *id).collect();
    if !bugs.is_empty() {
        lines += "\nBugs that they catch\n";
    }
    for bug in bugs {
        writeln!(lines, "  oracle:{}: {}", bug.name(), bug.sentence()).expect("a string takes everything");
    }
    lines
}
