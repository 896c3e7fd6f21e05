//! What is said above the requirements: likely causes, and what changed between columns.

use std::collections::HashMap;

use pulsewire_conformance::{CaseReport, Cause, Group};

use super::columns::{Column, Run};
use crate::outcome::Outcome;

pub(super) struct CauseView {
    pub(super) outcome: Outcome,
    pub(super) subject: String,
    pub(super) sentence: String,
    pub(super) cases: usize,
    pub(super) runs: usize,
    /// The case to begin with.
    pub(super) first: String,
}

/// The causes of all runs, those of most cases first.
pub(super) fn causes(runs: &[Run]) -> Vec<CauseView> {
    let view = |run: &Run, cause: &Cause<'_>| {
        let first = cause.groups[0].first();
        let label = &run.label;
        let subject = if label.is_empty() { first.subject.clone() } else { format!("{} ({label})", first.subject) };
        CauseView {
            outcome: Outcome::of(first),
            subject,
            sentence: cause.sentence.clone(),
            cases: cause.groups.len(),
            runs: cause.runs(),
            first: first.id.clone(),
        }
    };
    runs.iter().flat_map(|run| run.report.causes().iter().map(|cause| view(run, cause)).collect::<Vec<_>>()).collect()
}

/// A case that did not come out the same in every column.
pub(super) struct Change {
    pub(super) case: String,
    pub(super) variants: String,
    /// In each column; `None` where it did not run.
    pub(super) outcomes: Vec<Option<Outcome>>,
    pub(super) trend: Trend,
}

/// What became of a case from the first column to the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Trend {
    Worse,
    Other,
    Better,
}

impl Trend {
    fn of(outcomes: &[Option<Outcome>]) -> Self {
        let (Some(Some(first)), Some(Some(last))) = (outcomes.first(), outcomes.last()) else { return Self::Other };
        match (first.is_bad(), last.is_bad()) {
            (false, true) => Self::Worse,
            (true, false) => Self::Better,
            (true, true) | (false, false) => Self::Other,
        }
    }

    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Worse => "worse",
            Self::Other => "other",
            Self::Better => "better",
        }
    }
}

/// Each case that differs from column to column, with the runs that differ in the same way: what got worse first.
pub(super) fn changes(columns: &[Column<'_>]) -> Vec<Change> {
    if columns.len() < 2 {
        return Vec::new();
    }
    let mut runs: Vec<(&CaseReport, Vec<Option<Outcome>>)> = Vec::new();
    let mut places = HashMap::new();
    for (index, column) in columns.iter().enumerate() {
        for case in &column.cases {
            let place = *places.entry((&case.id, case.role, case.chunking)).or_insert_with(|| {
                runs.push((case, vec![None; columns.len()]));
                runs.len() - 1
            });
            // Of runs that differ in their setting alone, the worst.
            let outcome = &mut runs[place].1[index];
            *outcome = (*outcome).max(Some(Outcome::of(case)));
        }
    }
    let mut groups: Vec<(Group<'_>, Vec<Option<Outcome>>)> = Vec::new();
    for (case, outcomes) in runs.into_iter().filter(|(_, outcomes)| outcomes.iter().any(|one| *one != outcomes[0])) {
        let same = groups.iter_mut().find(|(group, known)| group.first().id == case.id && *known == outcomes);
        match same {
            Some((group, _)) => group.runs.push(case),
            None => groups.push((Group { runs: vec![case] }, outcomes)),
        }
    }
    let change = |(group, outcomes): (Group<'_>, Vec<_>)| Change {
        case: group.first().id.clone(),
        variants: group.variants(),
        trend: Trend::of(&outcomes),
        outcomes,
    };
    let mut changes: Vec<Change> = groups.into_iter().map(change).collect();
    changes.sort_by_key(|change| change.trend);
    changes
}

/// Whether the runs of a case, column by column, did not come out the same.
pub(super) fn differs(runs: &[Vec<&CaseReport>]) -> bool {
    let outcomes = |column: &Vec<&CaseReport>| {
        let mut outcomes: Vec<_> =
            column.iter().map(|case| (case.role.name(), case.chunking.name(), Outcome::of(case))).collect();
        outcomes.sort_unstable();
        outcomes
    };
    runs.windows(2).any(|pair| outcomes(&pair[0]) != outcomes(&pair[1]))
}
