//! The report as Markdown, for a pull request or the summary of a build.

use std::fmt::Write;

use pulsewire_conformance::Report;
use pulsewire_spec::requirement;

use crate::html::Run;

/// Causes that are told; a summary is read in a minute.
const CAUSES: usize = 10;
/// Cases that are named for each.
const CASES: usize = 20;

/// The summary of some runs.
pub(crate) fn markdown(runs: &[Run]) -> String {
    let mut text = String::new();
    for Run { label, report, .. } in runs {
        let mut subjects: Vec<&str> = report.cases.iter().map(|case| case.subject.as_str()).collect();
        subjects.dedup();
        let of = if label.is_empty() { String::new() } else { format!(" ({})", escaped(label)) };
        let names = match subjects.is_empty() {
            true => "nothing ran".to_owned(),
            false => subjects.iter().map(|subject| escaped(subject)).collect::<Vec<_>>().join(", "),
        };
        let sign = if report.exit_code() == 0 { "✅" } else { "❌" };
        add(
            &mut text,
            format_args!("### {sign} Pulsewire conformance: {names}{of}\n\n{}\n\n", escaped(&report.summary())),
        );
        for fault in report.stale.iter().chain(&report.faults) {
            add(&mut text, format_args!("> **{}**\n\n", escaped(fault)));
        }
        causes(&mut text, report);
        violated(&mut text, report);
    }
    text
}

fn violated(text: &mut String, report: &Report) {
    let violated = report.violated();
    if violated.is_empty() {
        return;
    }
    let count = violated.len();
    add(text, format_args!("<details><summary>Requirements that are violated: {count}</summary>\n\n"));
    text.push_str("| requirement | level | what it says |\n|---|---|---|\n");
    for found in violated.into_iter().filter_map(requirement) {
        // Markdown of the specification itself.
        let says = found.text.replace('|', "\\|");
        add(text, format_args!("| {}, section {} | {} | {says} |\n", found.id, found.section, found.level));
    }
    text.push_str("\n</details>\n\n");
}

fn causes(text: &mut String, report: &Report) {
    let causes = report.causes();
    for cause in causes.iter().take(CAUSES) {
        let first = cause.groups[0].first();
        let (cases, runs) = (cause.groups.len(), cause.runs());
        let count =
            if cases == 1 { first.id.clone() } else { format!("{cases} cases, {runs} runs; begin with {}", first.id) };
        let word = first.verdict.word();
        add(text, format_args!("<details><summary>{word}: {} ({count})</summary>\n\n", escaped(&cause.sentence)));
        for group in cause.groups.iter().take(CASES) {
            let case = group.first();
            add(text, format_args!("- `{}` ({}): the subject {}\n", case.id, group.variants(), escaped(&case.title)));
        }
        if cases > CASES {
            add(text, format_args!("- {} more\n", cases - CASES));
        }
        text.push_str("\n</details>\n\n");
    }
    if causes.len() > CAUSES {
        add(text, format_args!("{} causes more stand in the report.\n\n", causes.len() - CAUSES));
    }
}

fn add(text: &mut String, what: std::fmt::Arguments<'_>) {
    text.write_fmt(what).expect("a string takes everything");
}

/// Text that means nothing to Markdown and HTML: a peer may have chosen a part of it.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\\' | '`' | '*' | '_' | '[' | ']' | '<' | '>' | '|' | '~' | '@' | '&' | '#' | '$' | '!' => {
                add(&mut escaped, format_args!("&#{};", u32::from(c)));
            }
            c if c.is_control() => escaped.push(' '),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::escaped;

    #[test]
    fn nothing_means_anything() {
        assert_eq!(escaped("a|b\n<i>@x"), "a&#124;b &#60;i&#62;&#64;x");
    }
}
