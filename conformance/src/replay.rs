//! Runs the case of a trace again, and tells whether the same came out.

use std::sync::Arc;

use conformance::named;
use pulsewire_conformance::subject::Subject;
use pulsewire_conformance::{Manifest, Options, Trace, TraceHead, cases, run_case};

use crate::arguments::TraceArguments;
use crate::{input, show};

/// Exits with 0 if the verdict is that of the trace, and with 1 if it is another. Whether the bytes are the same is told, and no more:
/// what a subject sends may depend on time.
pub(crate) fn replay(arguments: &TraceArguments) -> Result<u8, String> {
    let before = trace(arguments)?;
    let TraceHead { case: id, subject: name, seed, verdict, edits, .. } = &before.head;
    let variant = before.head.variant();
    let case = cases().find(|case| case.id == id).ok_or_else(|| format!("this suite has no case {id}"))?;
    let manifest = named::manifest(arguments.manifest.as_deref())?;
    let subject = subject(arguments, name, &manifest)?;
    let report = run_case(
        &subject,
        case,
        variant,
        &Options { seed: *seed, manifest, edits: edits.clone(), ..Options::default() },
    );
    let now = Trace::of(&report, *seed);
    show(&format!("{id} ({name}, {variant}), seed {seed}\n  before  {verdict}\n  now     {}\n", now.head.verdict));
    // Where time is virtual, it is repeated as well.
    let (difference, what) = if subject.in_memory() {
        (before.difference_in_time(&now), "the same bytes at the same times")
    } else {
        (before.difference_but_for_keys(&now), "the same bytes, but for what keys change,")
    };
    show(&match difference {
        None => format!("{what} in all {} steps\n", now.steps.len()),
        Some(difference) => format!("not the same from {difference}\n"),
    });
    let is_same = word(&now.head) == word(&before.head);
    show(if is_same { "the verdict is the same\n" } else { "the verdict is another\n" });
    Ok(u8::from(!is_same))
}

/// The verdict without its sentence, which may hold times and numbers.
fn word(head: &TraceHead) -> &str {
    head.verdict.split(':').next().unwrap_or_default()
}

/// The trace that is named.
pub(crate) fn trace(arguments: &TraceArguments) -> Result<Trace, String> {
    let path = &arguments.trace;
    Trace::from_lines(&named::text(path)?).map_err(|error| format!("{}: {error}", path.display()))
}

/// The subject of a trace with this name: what the command line says, or one of this workspace.
pub(crate) fn subject(arguments: &TraceArguments, name: &str, manifest: &Manifest) -> Result<Arc<dyn Subject>, String> {
    match (&arguments.server, &arguments.exec, &arguments.adapter) {
        (Some(server), ..) => named::remote_server(server, manifest),
        (None, Some(command), _) => named::client_program(command, manifest),
        (None, None, Some(command)) => named::adapter(command, manifest),
        (None, None, None) => input::subject(name).map_err(|complaint| {
            format!("{complaint}. Name it with --server, --exec or --adapter if it is one of yours.")
        }),
    }
}
