//! Makes failures smaller, and leaves what is left of them beside their traces.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use conformance::named;
use pulsewire_conformance::subject::Subject;
use pulsewire_conformance::{Effort, Options, Report, Shrunk, Size, Stop, Trace, shrink as shrink_trace};

use crate::arguments::ShrinkArguments;
use crate::files::create;
use crate::{interrupt, replay, show};

/// For each failure of a run.
const BY_THE_WAY: Effort = Effort { tries: 100, time: Duration::from_secs(30) };

/// Exits with 0 if the trace is as small as it gets, or as there was time for.
pub(crate) fn shrink(arguments: &ShrinkArguments) -> Result<u8, String> {
    let trace = replay::trace(&arguments.of)?;
    let manifest = named::manifest(arguments.of.manifest.as_deref())?;
    let subject = replay::subject(&arguments.of, &trace.head.subject, &manifest)?;
    let stop = Stop::default();
    interrupt::stop_on_interrupt(&stop)?;
    let options = Options { manifest, stop, ..Options::default() };
    let effort = Effort { tries: arguments.tries as usize, time: Duration::from_secs(arguments.time) };
    let shrunk = shrink_trace(&subject, &trace, &options, effort)?;
    let path = arguments.out.clone().unwrap_or_else(|| beside(&arguments.of.trace));
    write(&path, &shrunk.trace)?;
    show(&format!("{}\n{}smaller   {}\n", shrunk.trace, sizes(&shrunk), path.display()));
    Ok(0)
}

/// Of each likely cause in a report, the failure to begin with. One that does not get smaller costs nothing else.
pub(crate) fn failures(report: &Report, subjects: &[Arc<dyn Subject>], options: &Options) -> Result<(), String> {
    for cause in report.causes() {
        let case = cause.groups[0].first();
        let subject = subjects.iter().find(|subject| subject.name() == case.subject);
        let (Some(subject), Some(path)) = (subject, &case.trace) else { continue };
        if options.stop.is_wanted() {
            break;
        }
        match shrink_trace(subject, &Trace::of(case, report.plan.seed), options, BY_THE_WAY) {
            Ok(shrunk) => {
                let path = beside(path);
                write(&path, &shrunk.trace)?;
                show(&format!("smaller   {}: {}          {}\n", case.id, sizes(&shrunk), path.display()));
            }
            Err(sentence) => show(&format!("not made smaller: {sentence}\n")),
        }
    }
    Ok(())
}

fn sizes(shrunk: &Shrunk) -> String {
    let Shrunk { before, after, tries, is_complete, .. } = shrunk;
    let text = |size: &Size| {
        let Size { connections, steps, writes, bytes } = size;
        format!("{connections} connections, {steps} steps, {bytes} bytes in {writes} writes")
    };
    let rest = if *is_complete { "" } else { "; more time might make it smaller yet" };
    format!("{} (before: {}), after {tries} tries{rest}\n", text(after), text(before))
}

/// `x.jsonl` becomes `x.small.jsonl`.
fn beside(trace: &Path) -> PathBuf {
    trace.with_extension("small.jsonl")
}

fn write(path: &Path, trace: &Trace) -> Result<(), String> {
    create(path, trace.to_lines().as_bytes()).map_err(|error| format!("{} cannot be written: {error}", path.display()))
}
