//! Runs the case of a trace again.

use std::sync::Arc;

use conformance::named;
use pulsewire_conformance::subject::Subject;
use pulsewire_conformance::{Manifest, Options, Trace, TraceHead, cases, run_case};

use crate::arguments::ReplayArguments;
use crate::{input, show};

/// Exits with 0 if the bytes are the same, and with 1 if they are not.
pub(crate) fn replay(arguments: &ReplayArguments) -> Result<u8, String> {
    let path = &arguments.trace;
    let before = Trace::from_lines(&named::text(path)?).map_err(|error| format!("{}: {error}", path.display()))?;
    let TraceHead { case: id, subject: name, seed, verdict, .. } = &before.head;
    let variant = before.head.variant();
    let case = cases().find(|case| case.id == id).ok_or_else(|| format!("this suite has no case {id}"))?;
    let manifest = named::manifest(arguments.manifest.as_deref())?;
    let subject = subject(arguments, name, &manifest)?;
    let report = run_case(&subject, case, variant, &Options { seed: *seed, manifest, ..Options::default() });
    let now = Trace::of(&report, *seed);
    show(&format!("{id} ({name}, {variant}), seed {seed}\n  before  {verdict}\n  now     {}\n", now.head.verdict));
    // Where time is virtual, it is repeated as well.
    let (difference, what) = if subject.in_memory() {
        (before.difference_in_time(&now), "the same bytes at the same times")
    } else {
        (before.difference(&now), "the same bytes")
    };
    match difference {
        None => {
            show(&format!("{what} in all {} steps\n", now.steps.len()));
            Ok(0)
        }
        Some(difference) => {
            show(&format!("not the same from {difference}\n"));
            Ok(1)
        }
    }
}

fn subject(arguments: &ReplayArguments, name: &str, manifest: &Manifest) -> Result<Arc<dyn Subject>, String> {
    match (&arguments.server, &arguments.exec) {
        (Some(server), _) => named::remote_server(server, manifest),
        (None, Some(command)) => named::client_program(command, manifest),
        (None, None) => input::subject(name)
            .map_err(|complaint| format!("{complaint} Name it with --server or --exec if it is one of yours.")),
    }
}
