//! The report for people.

use std::collections::BTreeMap;
use std::fmt::{self, Display, Formatter};

use super::{CaseReport, Report, Totals, failure};
use crate::area::Area;
use crate::verdict::Verdict;

/// The columns of the table: a heading, and what is counted.
const COLUMNS: [(&str, fn(&Totals) -> usize); 10] = [
    ("pass", |totals| totals.pass),
    ("fail", |totals| totals.fail),
    ("known", |totals| totals.known_failure),
    ("warn", |totals| totals.warn),
    ("info", |totals| totals.info),
    ("inconclusive", |totals| totals.inconclusive),
    ("n/a", |totals| totals.not_applicable),
    ("unimplemented", |totals| totals.unimplemented),
    ("error", |totals| totals.harness_error),
    ("not run", |totals| totals.not_run),
];
/// The first columns are shown always, the others where they count something.
const ALWAYS_SHOWN: usize = 2;

impl Display for Report {
    /// A table by subject and area, then everything that was not passed, then what it comes to.
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        let all = self.totals();
        let shown: Vec<_> = COLUMNS
            .iter()
            .enumerate()
            .filter(|(index, (_, count))| *index < ALWAYS_SHOWN || count(&all) > 0)
            .map(|(_, column)| column)
            .collect();
        let row = |formatter: &mut Formatter<'_>, name: &str, totals: &Totals| {
            write!(formatter, "  {name:<22}")?;
            for (heading, count) in &shown {
                write!(formatter, " {:>width$}", count(totals), width = heading.len().max(6))?;
            }
            writeln!(formatter)
        };
        let mut subjects: Vec<&str> = self.cases.iter().map(|case| case.subject.as_str()).collect();
        subjects.sort_unstable();
        subjects.dedup();
        for subject in subjects {
            write!(formatter, "{subject:<24}")?;
            for (heading, _) in &shown {
                write!(formatter, " {heading:>6}")?;
            }
            writeln!(formatter)?;
            let of_subject = || self.cases.iter().filter(move |case| case.subject == subject);
            for area in Area::ALL {
                let of_area: Vec<&CaseReport> = of_subject().filter(|case| area.holds(&case.id)).collect();
                if !of_area.is_empty() {
                    row(formatter, area.name, &Totals::of(of_area))?;
                }
            }
            row(formatter, "all", &Totals::of(of_subject()))?;
            writeln!(formatter)?;
        }
        for case in &self.cases {
            failure::explain(formatter, case)?;
        }
        self.remarks(formatter)
    }
}

impl Report {
    /// Why cases did not count, and what the run comes to.
    fn remarks(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        let mut reasons: BTreeMap<(&str, &str), usize> = BTreeMap::new();
        for case in &self.cases {
            if let Verdict::NotApplicable(reason) | Verdict::Unimplemented(reason) = &case.verdict {
                *reasons.entry((case.verdict.word(), reason)).or_default() += 1;
            }
            if let Some(reason) = &case.known_failure {
                *reasons.entry(("KNOWN", reason)).or_default() += 1;
            }
        }
        for ((word, reason), count) in reasons {
            writeln!(formatter, "{word}  {count} {}: {reason}", if count == 1 { "case" } else { "cases" })?;
        }
        for fault in self.stale.iter().chain(&self.faults) {
            writeln!(formatter, "ERROR {fault}")?;
        }
        let (violated, not_run) = (self.violated(), self.totals().not_run);
        if !violated.is_empty() {
            writeln!(formatter, "violated: {}", Vec::from_iter(violated).join(", "))?;
        }
        if not_run > 0 {
            writeln!(formatter, "incomplete: {not_run} of {} cases have no verdict", self.plan.planned)?;
        }
        Ok(())
    }
}
