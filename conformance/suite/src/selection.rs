//! Which cases to run.

use std::fmt;

use glob::{MatchOptions, Pattern};

use crate::area::Area;
use crate::case::Case;
use crate::cases::cases;
use crate::chunking::Chunking;

/// Patterns take no notice of capitals.
const ANY_CAPITALS: MatchOptions =
    MatchOptions { case_sensitive: false, require_literal_separator: false, require_literal_leading_dot: false };

/// Cases chosen by patterns with `*`, `?` and `[…]`. Of each kind one pattern has to match; a kind without patterns takes
/// every case.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    cases: Vec<Pattern>,
    areas: Vec<Pattern>,
    requirements: Vec<Pattern>,
    chunkings: Vec<Pattern>,
}

/// A pattern that matches nothing, or is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UselessPattern {
    /// The pattern.
    pub pattern: String,
    /// What it was to match: `case`, `area`, `requirement` or `chunking`.
    pub kind: &'static str,
}

impl fmt::Display for UselessPattern {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "no {} matches {:?}", self.kind, self.pattern)
    }
}

impl std::error::Error for UselessPattern {}

impl Selection {
    /// The cases whose id (or that of their requirement), area (letters or name), requirement and at least one chunking match.
    ///
    /// # Errors
    ///
    /// If a pattern is malformed, or matches nothing at all.
    pub fn new(
        cases: &[String],
        areas: &[String],
        requirements: &[String],
        chunkings: &[String],
    ) -> Result<Self, UselessPattern> {
        Ok(Self {
            cases: patterns("case", cases, case_matches)?,
            areas: patterns("area", areas, area_matches)?,
            requirements: patterns("requirement", requirements, |pattern, case| matches(pattern, case.requirement()))?,
            chunkings: patterns("chunking", chunkings, is_cut_so)?,
        })
    }

    /// The cases of the requirements that match this pattern, such as `PW-HB-*`.
    ///
    /// # Errors
    ///
    /// As for [`new`](Self::new).
    pub fn requirement(pattern: &str) -> Result<Self, UselessPattern> {
        Self::new(&[], &[], &[pattern.into()], &[])
    }

    /// Whether every run of every case is chosen.
    #[must_use]
    pub fn is_everything(&self) -> bool {
        let Self { cases, areas, requirements, chunkings } = self;
        [cases, areas, requirements, chunkings].iter().all(|patterns| patterns.is_empty())
    }

    /// Whether runs with this chunking are chosen.
    #[must_use]
    pub fn holds_chunking(&self, chunking: Chunking) -> bool {
        self.chunkings.is_empty() || self.chunkings.iter().any(|pattern| matches(pattern, chunking.name()))
    }

    /// Whether the case is chosen, in at least one of its chunkings.
    #[must_use]
    pub fn holds(&self, case: &Case) -> bool {
        let one = |patterns: &[Pattern], matches: &dyn Fn(&Pattern) -> bool| {
            patterns.is_empty() || patterns.iter().any(matches)
        };
        one(&self.cases, &|pattern| case_matches(pattern, case))
            && one(&self.areas, &|pattern| area_matches(pattern, case))
            && one(&self.requirements, &|pattern| matches(pattern, case.requirement()))
            && one(&self.chunkings, &|pattern| is_cut_so(pattern, case))
    }
}

/// Patterns of which each must match at least one case of the suite.
fn patterns(
    kind: &'static str,
    written: &[String],
    matches: impl Fn(&Pattern, &Case) -> bool,
) -> Result<Vec<Pattern>, UselessPattern> {
    let parse = |text: &String| {
        let useless = || UselessPattern { pattern: text.clone(), kind };
        let pattern = Pattern::new(text).map_err(|_| useless())?;
        if cases().any(|case| matches(&pattern, case)) { Ok(pattern) } else { Err(useless()) }
    };
    written.iter().map(parse).collect()
}

fn matches(pattern: &Pattern, id: &str) -> bool {
    pattern.matches_with(id, ANY_CAPITALS)
}

/// The id of a requirement stands for all its cases.
fn case_matches(pattern: &Pattern, case: &Case) -> bool {
    matches(pattern, case.id) || matches(pattern, case.requirement())
}

fn is_cut_so(pattern: &Pattern, case: &Case) -> bool {
    case.chunkings().iter().any(|chunking| matches(pattern, chunking.name()))
}

fn area_matches(pattern: &Pattern, case: &Case) -> bool {
    let area = Area::ALL.iter().find(|area| area.holds(case.id));
    area.is_some_and(|area| {
        let prefix = format!("PW-{}", area.letters);
        [area.letters, area.name, &prefix].iter().any(|name| matches(pattern, name))
    })
}

/// A pattern for the id of a case or of a requirement, as files about known cases use it.
#[derive(Clone, Debug)]
pub(crate) struct IdPattern(Pattern);

impl IdPattern {
    /// Reads a pattern, which must match a case of the suite.
    pub(crate) fn parse(text: &str) -> Result<Self, UselessPattern> {
        let useless = || UselessPattern { pattern: text.into(), kind: "case or requirement" };
        let pattern = Self(Pattern::new(text).map_err(|_| useless())?);
        if cases().any(|case| pattern.holds(case.id, case.requirement())) { Ok(pattern) } else { Err(useless()) }
    }

    pub(crate) fn holds(&self, case: &str, requirement: &str) -> bool {
        matches(&self.0, case) || matches(&self.0, requirement)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(cases_: &[&str], areas: &[&str], requirements: &[&str]) -> usize {
        let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        let selection =
            Selection::new(&owned(cases_), &owned(areas), &owned(requirements), &[]).expect("useful patterns");
        cases().filter(|case| selection.holds(case)).count()
    }

    #[test]
    fn patterns_of_one_kind_add_up_and_kinds_narrow_down() {
        assert_eq!(count(&[], &[], &[]), cases().count());
        let both = count(&[], &[], &["PW-HDR-001", "PW-KEY-001"]);
        assert_eq!(both, count(&[], &[], &["PW-HDR-001"]) + count(&[], &[], &["PW-KEY-001"]));
        assert_eq!(count(&[], &["key"], &["PW-*-001"]), count(&[], &["sync-*"], &["pw-key-001"]));
        assert_eq!(count(&[], &["pw-key"], &[]), count(&[], &["KEY"], &[]));
        assert_eq!(count(&["PW-HB-*"], &["HDR"], &[]), 0);
        assert_eq!(count(&["PW-HB-013"], &[], &[]), count(&[], &[], &["PW-HB-013"]));
    }

    #[test]
    fn a_chunking_takes_the_cases_that_run_with_it() {
        let bytes = Selection::new(&[], &[], &[], &["bytes".into()]).expect("a chunking");
        assert!(bytes.holds_chunking(Chunking::Bytes) && !bytes.holds_chunking(Chunking::Whole));
        assert!(!bytes.is_everything());
        let chosen: Vec<&str> = cases().filter(|case| bytes.holds(case)).map(|case| case.id).collect();
        assert!(chosen.contains(&"PW-HDR-001/empty-and-full") && !chosen.contains(&"PW-FRM-001/byte-by-byte"));
    }

    #[test]
    fn a_pattern_that_matches_nothing_is_an_error() {
        for text in ["PW-NOWHERE-001", "PW-HB-[", ""] {
            let error = Selection::requirement(text).expect_err("no such requirement");
            assert_eq!(error.pattern, text);
        }
    }
}
