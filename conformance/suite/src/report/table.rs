//! The report for people.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Display, Formatter};

use super::{CaseReport, Detail, Look, Report, Totals, failure};
use crate::area::Area;
use crate::chunking::Chunking;
use crate::verdict::Verdict;

/// A column of the table.
struct Column {
    heading: &'static str,
    count: fn(&Totals) -> usize,
}

const COLUMNS: [Column; 10] = [
    Column { heading: "pass", count: |totals| totals.pass },
    Column { heading: "fail", count: |totals| totals.fail },
    Column { heading: "known", count: |totals| totals.known_failure },
    Column { heading: "warn", count: |totals| totals.warn },
    Column { heading: "info", count: |totals| totals.info },
    Column { heading: "inconclusive", count: |totals| totals.inconclusive },
    Column { heading: "n/a", count: |totals| totals.not_applicable },
    Column { heading: "unimplemented", count: |totals| totals.unimplemented },
    Column { heading: "error", count: |totals| totals.harness_error },
    Column { heading: "not run", count: |totals| totals.not_run },
];
/// The first columns are shown always, the others where they count something.
const ALWAYS_SHOWN: usize = 2;

/// A report as a text with this look.
struct Text<'r> {
    report: &'r Report,
    look: Look,
}

impl Display for Text<'_> {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        let Self { report, look } = *self;
        if look.detail != Detail::Brief {
            report.tables(formatter, look)?;
            for cause in report.causes() {
                failure::explain(formatter, &cause, look)?;
            }
            report.remarks(formatter)?;
        }
        report.result(formatter, look)
    }
}

impl Display for Report {
    /// The ordinary text without colours.
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        self.text(Look::default()).fmt(formatter)
    }
}

impl Report {
    /// The report for people: a table by subject, area and chunking, then everything that was not passed, by likely causes, then what
    /// it comes to.
    #[must_use]
    pub fn text(&self, look: Look) -> impl Display {
        Text { report: self, look }
    }

    fn tables(&self, formatter: &mut Formatter<'_>, look: Look) -> fmt::Result {
        let all = self.totals();
        let is_shown = |index: usize, column: &Column| index < ALWAYS_SHOWN || (column.count)(&all) > 0;
        let shown = COLUMNS.iter().enumerate().filter(|(index, column)| is_shown(*index, column));
        let shown: Vec<&Column> = shown.map(|(_, column)| column).collect();
        let subjects: BTreeSet<&str> = self.cases.iter().map(|case| case.subject.as_str()).collect();
        for subject in subjects {
            let cases: Vec<&CaseReport> = self.cases.iter().filter(|case| case.subject == subject).collect();
            table(formatter, subject, &cases, &shown, look)?;
        }
        Ok(())
    }
}

fn table(
    formatter: &mut Formatter<'_>,
    subject: &str,
    cases: &[&CaseReport],
    columns: &[&Column],
    look: Look,
) -> fmt::Result {
    let bold = look.heading();
    write!(formatter, "{bold}{subject:<24}")?;
    for Column { heading, .. } in columns {
        write!(formatter, " {heading:>6}")?;
    }
    writeln!(formatter, "{bold:#}")?;
    for area in Area::ALL {
        let of_area: Vec<&CaseReport> = cases.iter().copied().filter(|case| area.holds(&case.id)).collect();
        if !of_area.is_empty() {
            row(formatter, &format!("{:<3}{}", area.section(), area.name), &Totals::of(of_area), columns, look)?;
        }
    }
    for chunking in Chunking::ALL {
        let cut_so: Vec<&CaseReport> = cases.iter().copied().filter(|case| case.chunking == *chunking).collect();
        if !cut_so.is_empty() && cut_so.len() < cases.len() {
            row(formatter, &format!("sent in {}", chunking.name()), &Totals::of(cut_so), columns, look)?;
        }
    }
    row(formatter, "all", &Totals::of(cases.iter().copied()), columns, look)?;
    writeln!(formatter)
}

fn row(formatter: &mut Formatter<'_>, name: &str, totals: &Totals, columns: &[&Column], look: Look) -> fmt::Result {
    write!(formatter, "  {name:<22}")?;
    for Column { heading, count } in columns {
        let count = count(totals);
        let style = match *heading {
            "pass" => look.good(),
            "fail" | "error" if count > 0 => look.bad(),
            _ => look.faint(),
        };
        write!(formatter, " {style}{count:>width$}{style:#}", width = heading.len().max(6))?;
    }
    writeln!(formatter)
}

impl Report {
    /// Why cases did not count.
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
        Ok(())
    }

    /// What the run comes to.
    fn result(&self, formatter: &mut Formatter<'_>, look: Look) -> fmt::Result {
        let bad = look.bad();
        for fault in self.stale.iter().chain(&self.faults) {
            writeln!(formatter, "{bad}ERROR{bad:#} {fault}")?;
        }
        let (violated, not_run) = (self.violated(), self.totals().not_run);
        if !violated.is_empty() {
            writeln!(formatter, "{bad}violated:{bad:#} {}", Vec::from_iter(violated).join(", "))?;
        }
        if not_run > 0 {
            writeln!(formatter, "incomplete: {not_run} of {} runs have no verdict", self.plan.planned)?;
        }
        self.headline(formatter, look)
    }

    /// One line, such as `nothing is wrong: 1,234 runs passed`.
    fn headline(&self, formatter: &mut Formatter<'_>, look: Look) -> fmt::Result {
        let style = if self.exit_code() == 0 { look.good() } else { look.bad() };
        writeln!(formatter, "{style}{}{style:#}", self.summary())
    }
}
