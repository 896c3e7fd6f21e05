//! What a case shows that was not passed.

use std::fmt::{self, Display, Formatter};

use super::cause::{Cause, Group};
use super::{CaseReport, Detail, Look};
use crate::packet_text;
use crate::trace::{Trace, TraceHead};
use crate::transcript::{Action, Step};
use crate::verdict::Verdict;

/// Of a longer timeline the beginning and the end are shown; all of it stands in the trace.
const FIRST_STEPS: usize = 6;
const LAST_STEPS: usize = 24;
/// Bytes of a step that are shown.
const SHOWN_BYTES: usize = 24;

impl Display for CaseReport {
    /// What shows that the case was not passed; nothing where it needs no explanation.
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        if self.needs_explanation() {
            block(formatter, &Group { runs: vec![self] }, Look::default())?;
        }
        Ok(())
    }
}

impl Display for Trace {
    /// The verdict, and every step.
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        let TraceHead { case, subject, seed, verdict, .. } = &self.head;
        writeln!(formatter, "{case} ({subject}, {}), seed {seed}\n  {verdict}", self.head.variant())?;
        timeline(formatter, &self.steps, Look { detail: Detail::Full, ..Look::default() })
    }
}

impl CaseReport {
    /// Whether somebody should look at it: it was not passed, applies, and is not known to fail.
    #[must_use]
    pub fn needs_explanation(&self) -> bool {
        let is_told = self.verdict.is_worth_a_trace() || matches!(self.verdict, Verdict::Info(_));
        is_told && self.known_failure.is_none()
    }
}

/// A likely cause: what it is, the group to begin with in full, and the others in short, below the sections of the specification.
pub(super) fn explain(formatter: &mut Formatter<'_>, cause: &Cause<'_>, look: Look) -> fmt::Result {
    let heading = look.heading();
    let Cause { sentence, groups } = cause;
    if groups.len() > 1 {
        let (cases, runs, first) = (groups.len(), cause.runs(), &groups[0].first().id);
        writeln!(
            formatter,
            "{heading}Likely one cause in {cases} cases, {runs} runs: {sentence}. Begin with {first}.{heading:#}\n"
        )?;
    }
    let mut section = "";
    for (index, group) in groups.iter().enumerate() {
        let requirement = pulsewire_spec::requirement(&group.first().requirement);
        let here = requirement.map_or("", |requirement| requirement.section);
        if here != section {
            writeln!(formatter, "{heading}Section {here}{heading:#}")?;
            section = here;
        }
        match look.detail {
            Detail::Full => {
                for run in &group.runs {
                    block(formatter, &Group { runs: vec![run] }, look)?;
                }
            }
            Detail::Brief | Detail::Ordinary if index == 0 => block(formatter, group, look)?,
            Detail::Brief | Detail::Ordinary => short(formatter, group, look)?,
        }
    }
    if groups.len() > 1 && look.detail != Detail::Full { writeln!(formatter) } else { Ok(()) }
}

fn head(formatter: &mut Formatter<'_>, group: &Group<'_>, look: Look) -> fmt::Result {
    let CaseReport { id, subject, verdict, .. } = group.first();
    let style = look.of(verdict);
    writeln!(formatter, "{style}{}{style:#} {id} ({subject}; {})", verdict.word(), group.variants())
}

fn short(formatter: &mut Formatter<'_>, group: &Group<'_>, look: Look) -> fmt::Result {
    head(formatter, group, look)?;
    writeln!(formatter, "  expected  the subject {}", group.first().title)
}

/// Requirement, expectation, what was seen, and the timeline of the first run.
fn block(formatter: &mut Formatter<'_>, group: &Group<'_>, look: Look) -> fmt::Result {
    let case = group.first();
    let faint = look.faint();
    head(formatter, group, look)?;
    let mut cited = vec![case.requirement.as_str()];
    cited.extend(case.broken().filter(|broken| *broken != case.requirement));
    for requirement in cited.into_iter().filter_map(pulsewire_spec::requirement) {
        writeln!(formatter, "  {} ({}) {}", requirement.id, requirement.level, requirement.text)?;
    }
    writeln!(formatter, "  {faint}expected{faint:#}  the subject {}", case.title)?;
    writeln!(formatter, "  {faint}seen{faint:#}      {}; connection {}", case.verdict.reason(), case.end)?;
    if !case.setting.is_plain() {
        let heading = if case.is_narrowed { "only" } else { "tried" };
        writeln!(formatter, "  {faint}{heading:<10}{faint:#}where {}", case.setting)?;
    }
    if let Some(first) = case.first_attempt.as_deref() {
        writeln!(formatter, "  {faint}before{faint:#}    on a busy machine: {first}")?;
    }
    if let Some(trace) = &case.trace {
        writeln!(formatter, "  {faint}trace{faint:#}     {}", trace.display())?;
    }
    if !case.steps.is_empty() {
        timeline(formatter, &case.steps, look)?;
        let milliseconds = case.duration.as_secs_f64() * 1_000.0;
        writeln!(formatter, "  {milliseconds:>10.1}  the verdict")?;
    }
    writeln!(formatter)
}

fn timeline(formatter: &mut Formatter<'_>, steps: &[Step], look: Look) -> fmt::Result {
    let faint = look.faint();
    let legend = "connection; -> sent by the suite, <- by the subject, ?? waited for";
    writeln!(formatter, "  {faint}{:>10}  {legend}{faint:#}", "ms")?;
    let left_out = match look.detail {
        Detail::Full => 0,
        Detail::Brief | Detail::Ordinary => steps.len().saturating_sub(FIRST_STEPS + LAST_STEPS),
    };
    for (index, step) in steps.iter().enumerate() {
        if left_out > 0 && index == FIRST_STEPS {
            writeln!(formatter, "  {:>10}  {left_out} steps more", "…")?;
        }
        if left_out == 0 || index < FIRST_STEPS || index >= FIRST_STEPS + left_out {
            write_step(formatter, step, look)?;
        }
    }
    Ok(())
}

fn write_step(formatter: &mut Formatter<'_>, step: &Step, look: Look) -> fmt::Result {
    let sign = match step.action {
        Action::Sent => "->",
        Action::Received => "<-",
        Action::Ended | Action::Reset => "<|",
        Action::Expected => "??",
        Action::Noted => "--",
    };
    let connection = if step.connection == 0 { String::new() } else { format!("#{}", step.connection) };
    let milliseconds = step.at.as_secs_f64() * 1_000.0;
    write!(formatter, "  {milliseconds:>10.1}  {connection:<3} {sign} {}", step.text)?;
    if step.bytes.length > 0 {
        let cut = if step.bytes.length > SHOWN_BYTES { "…" } else { "" };
        let start = &step.bytes.start[..step.bytes.start.len().min(SHOWN_BYTES)];
        let faint = look.faint();
        write!(formatter, "  {faint}| {}{cut}{faint:#}", packet_text::hex(start, SHOWN_BYTES))?;
    }
    writeln!(formatter)
}
