//! The report for people.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Display, Formatter, Write};

use super::{CaseReport, Report, Totals};
use crate::verdict::Verdict;

/// The areas of the specification, by the letters in the ids of their requirements.
const AREAS: &[(&str, &str)] = &[
    ("HDR", "header"),
    ("KEY", "sync key"),
    ("FRM", "framing"),
    ("DAT", "messages"),
    ("HS", "handshake"),
    ("HB", "heartbeat"),
    ("CLS", "closing"),
    ("CK", "connection ids"),
];

impl Display for Report {
    /// A table by subject and area, then everything that was not passed.
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        let mut subjects: Vec<&str> = self.cases.iter().map(|case| case.subject.as_str()).collect();
        subjects.dedup();
        for subject in subjects {
            let of_subject = || self.cases.iter().filter(move |case| case.subject == subject);
            writeln!(formatter, "{subject:<24} {:>6} {:>6} {:>6} {:>6}", "pass", "fail", "n/a", "error")?;
            for (letters, area) in AREAS {
                let prefix = format!("PW-{letters}-");
                row(formatter, area, Totals::of(of_subject().filter(|case| case.id.starts_with(&prefix))))?;
            }
            row(formatter, "all", Totals::of(of_subject()))?;
            writeln!(formatter)?;
        }
        for case in &self.cases {
            explain(formatter, case)?;
        }
        let mut obstacles: BTreeMap<&str, usize> = BTreeMap::new();
        for case in &self.cases {
            if let Verdict::NotApplicable(reason) = &case.verdict {
                *obstacles.entry(reason).or_default() += 1;
            }
        }
        for (reason, count) in obstacles {
            writeln!(formatter, "n/a   {count} cases: {reason}")?;
        }
        let violated: BTreeSet<&str> = self.violations().map(|case| case.requirement).collect();
        if !violated.is_empty() {
            writeln!(formatter, "violated: {}", Vec::from_iter(violated).join(", "))?;
        }
        Ok(())
    }
}

fn row(formatter: &mut Formatter<'_>, name: &str, totals: Totals) -> fmt::Result {
    let Totals { pass, fail, not_applicable, harness_error } = totals;
    if pass + fail + not_applicable + harness_error == 0 {
        return Ok(());
    }
    writeln!(formatter, "  {name:<22} {pass:>6} {fail:>6} {not_applicable:>6} {harness_error:>6}")
}

fn explain(formatter: &mut Formatter<'_>, case: &CaseReport) -> fmt::Result {
    let word = match case.verdict {
        Verdict::Pass | Verdict::NotApplicable(_) => return Ok(()),
        Verdict::Fail(_) => "FAIL ",
        Verdict::HarnessError(_) => "ERROR",
    };
    let CaseReport { id, subject, role, .. } = case;
    writeln!(formatter, "{word} {id} ({subject}, {}): {}", role.name(), case.verdict.reason())?;
    if matches!(case.verdict, Verdict::Fail(_)) {
        let mut lines = String::new();
        writeln!(lines, "the subject {}", case.title)?;
        if let Some(requirement) = pulsewire_spec::requirement(case.requirement) {
            writeln!(lines, "{} ({}) {}", requirement.id, requirement.level, requirement.text)?;
        }
        for line in lines.lines() {
            writeln!(formatter, "      {line}")?;
        }
    }
    Ok(())
}
