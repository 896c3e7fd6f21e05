//! What a case shows that was not passed.

use std::fmt::{self, Formatter};

use super::CaseReport;
use crate::packet_text;
use crate::transcript::{Action, Step};
use crate::verdict::Verdict;

/// Of a longer timeline the beginning and the end are shown; all of it stands in the trace.
const FIRST_STEPS: usize = 6;
const LAST_STEPS: usize = 24;
/// Bytes of a step that are shown.
const SHOWN_BYTES: usize = 24;

impl fmt::Display for CaseReport {
    /// What shows that the case was not passed; nothing where it needs no explanation.
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        explain(formatter, self)
    }
}

/// Requirement, expectation, what was seen, and the timeline; nothing for a case that needs no explanation.
pub(super) fn explain(formatter: &mut Formatter<'_>, case: &CaseReport) -> fmt::Result {
    let CaseReport { id, subject, title, .. } = case;
    if !(case.verdict.is_worth_a_trace() || matches!(case.verdict, Verdict::Info(_))) || case.known_failure.is_some() {
        return Ok(());
    }
    writeln!(formatter, "{} {id} ({subject}, {})", case.verdict.word(), case.variant())?;
    let mut cited = vec![case.requirement.as_str()];
    cited.extend(case.broken().filter(|broken| *broken != case.requirement));
    for requirement in cited.into_iter().filter_map(pulsewire_spec::requirement) {
        writeln!(formatter, "  {} ({}) {}", requirement.id, requirement.level, requirement.text)?;
    }
    writeln!(formatter, "  expected  the subject {title}")?;
    writeln!(formatter, "  seen      {}; connection {}", case.verdict.reason(), case.end)?;
    if let Some(first) = case.first_attempt.as_deref() {
        writeln!(formatter, "  before    on a busy machine: {first}")?;
    }
    if let Some(trace) = &case.trace {
        writeln!(formatter, "  trace     {}", trace.display())?;
    }
    if !case.steps.is_empty() {
        timeline(formatter, &case.steps)?;
        let milliseconds = case.duration.as_secs_f64() * 1_000.0;
        writeln!(formatter, "  {milliseconds:>10.1}  the verdict")?;
    }
    writeln!(formatter)
}

fn timeline(formatter: &mut Formatter<'_>, steps: &[Step]) -> fmt::Result {
    writeln!(formatter, "  {:>10}  connection; -> sent by the suite, <- by the subject", "ms")?;
    let left_out = steps.len().saturating_sub(FIRST_STEPS + LAST_STEPS);
    for (index, step) in steps.iter().enumerate() {
        if left_out > 0 && index == FIRST_STEPS {
            writeln!(formatter, "  {:>10}  {left_out} steps more", "…")?;
        }
        if left_out == 0 || index < FIRST_STEPS || index >= FIRST_STEPS + left_out {
            write_step(formatter, step)?;
        }
    }
    Ok(())
}

fn write_step(formatter: &mut Formatter<'_>, step: &Step) -> fmt::Result {
    let sign = match step.action {
        Action::Sent => "->",
        Action::Received => "<-",
        Action::Ended | Action::Reset => "<|",
        Action::Noted => "--",
    };
    let connection = if step.connection == 0 { String::new() } else { format!("#{}", step.connection) };
    let milliseconds = step.at.as_secs_f64() * 1_000.0;
    write!(formatter, "  {milliseconds:>10.1}  {connection:<3} {sign} {}", step.text)?;
    if step.bytes.length > 0 {
        let cut = if step.bytes.length > SHOWN_BYTES { "…" } else { "" };
        let start = &step.bytes.start[..step.bytes.start.len().min(SHOWN_BYTES)];
        write!(formatter, "  | {}{cut}", packet_text::hex(start, SHOWN_BYTES))?;
    }
    writeln!(formatter)
}
