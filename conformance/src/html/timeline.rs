//! What happened in a run, step by step, with the bytes taken apart.

use std::time::Duration;

use pulsewire_conformance::{Action, CaseReport, Dissector, Field, Part, Step};

/// Bytes of a step that are shown.
const BYTES: usize = 192;
/// A pause is marked from this part of the time that a run took.
const PAUSE_SHARE: u32 = 20;

pub(super) struct Timeline {
    pub(super) steps: Vec<StepView>,
    /// Where the steps lie in time.
    pub(super) marks: Vec<Mark>,
    pub(super) duration: String,
    /// From the last step to the verdict, where that is long.
    pub(super) last_pause: Option<String>,
}

/// A step on the line of time.
pub(super) struct Mark {
    pub(super) class: &'static str,
    /// In percent of the duration.
    pub(super) left: String,
    pub(super) title: String,
}

pub(super) struct StepView {
    /// How long nothing happened before it, where that is long.
    pub(super) pause: Option<String>,
    /// Steps before it that are not shown.
    pub(super) left_out: usize,
    pub(super) time: String,
    pub(super) connection: String,
    pub(super) class: &'static str,
    pub(super) sign: &'static str,
    pub(super) who: &'static str,
    pub(super) text: String,
    pub(super) is_damaged: bool,
    pub(super) is_open: bool,
    pub(super) bytes: Vec<ByteRun>,
    /// Bytes that are not shown.
    pub(super) more: usize,
    pub(super) length: usize,
    pub(super) pieces: usize,
    pub(super) parts: Vec<PartView>,
}

/// Bytes of one field.
pub(super) struct ByteRun {
    /// The number of the field in the step.
    pub(super) field: usize,
    pub(super) is_damaged: bool,
    /// In hex; between two of them one write ended.
    pub(super) pieces: Vec<String>,
    pub(super) ends_with_cut: bool,
}

pub(super) struct PartView {
    pub(super) title: String,
    pub(super) is_damaged: bool,
    pub(super) fields: Vec<FieldView>,
}

pub(super) struct FieldView {
    pub(super) number: usize,
    pub(super) name: String,
    pub(super) value: String,
    pub(super) place: String,
    pub(super) fault: Option<String>,
}

/// The first and the last steps of a run.
pub(super) fn timeline(case: &CaseReport, first: usize, last: usize) -> Timeline {
    let mut dissector = Dissector::new();
    let dissected: Vec<Vec<Part>> = case.steps.iter().map(|step| dissector.take(step)).collect();
    let count = case.steps.len();
    let left_out = count.saturating_sub(first + last);
    let duration = case.steps.last().map_or(case.duration, |step| case.duration.max(step.at));
    let last_packet = case.steps.iter().rposition(|step| step.bytes.length > 0);
    let mut steps = Vec::new();
    let mut before = Duration::ZERO;
    for (index, (step, parts)) in case.steps.iter().zip(&dissected).enumerate() {
        if (first..first + left_out).contains(&index) {
            continue;
        }
        let mut view = step_view(step, parts);
        view.left_out = if index == first + left_out { left_out } else { 0 };
        view.pause = if view.left_out == 0 { pause(before, step.at, duration) } else { None };
        view.is_open = Some(index) == last_packet;
        if is_unmet(&case.steps[index..]) {
            view.class = "expected unmet";
            view.text += ", which did not come";
        }
        before = step.at;
        steps.push(view);
    }
    let marks = case.steps.iter().map(|step| mark(step, duration)).collect();
    let marks = without_doubles(marks);
    Timeline { steps, marks, duration: in_milliseconds(duration), last_pause: pause(before, duration, duration) }
}

fn pause(before: Duration, at: Duration, all: Duration) -> Option<String> {
    let pause = at.saturating_sub(before);
    let is_long = pause > all / PAUSE_SHARE && pause >= Duration::from_millis(1);
    is_long.then(|| in_milliseconds(pause))
}

/// Whether the first of these steps waits for something, and nothing came on its connection.
fn is_unmet(steps: &[Step]) -> bool {
    let first = &steps[0];
    let mut later = steps[1..].iter().filter(|step| step.connection == first.connection);
    let kind = |text: &str| text.split([' ', ',']).next().unwrap_or_default().to_owned();
    let came = later.find(|step| matches!(step.action, Action::Received | Action::Ended | Action::Reset));
    let fits = |step: &Step| match step.action {
        Action::Received => first.text.contains(&kind(&step.text)),
        _ => first.text.contains("end of the stream"),
    };
    first.action == Action::Expected && !came.is_some_and(fits)
}

fn mark(step: &Step, duration: Duration) -> Mark {
    let share = step.at.as_secs_f64() / duration.as_secs_f64().max(f64::MIN_POSITIVE);
    let class = class(step.action);
    Mark {
        class,
        left: format!("{:.1}", share * 100.0),
        title: format!("{} ms: {}", in_milliseconds(step.at), step.text),
    }
}

/// Of marks that would lie on each other one is enough.
fn without_doubles(mut marks: Vec<Mark>) -> Vec<Mark> {
    marks.dedup_by(|next, one| next.class == one.class && next.left == one.left);
    marks
}

fn class(action: Action) -> &'static str {
    match action {
        Action::Sent => "sent",
        Action::Received => "received",
        Action::Expected => "expected",
        Action::Ended | Action::Reset => "ended",
        Action::Noted => "noted",
    }
}

fn step_view(step: &Step, parts: &[Part]) -> StepView {
    let (sign, who) = match step.action {
        Action::Sent => ("→", "suite sends"),
        Action::Received => ("←", "subject sends"),
        Action::Expected => ("◌", "suite waits for"),
        Action::Ended => ("⊣", "subject ends"),
        Action::Reset => ("⊣", "connection ends"),
        Action::Noted => ("·", "note"),
    };
    let is_damaged = parts.iter().any(|part| part.is_damaged);
    // Packets behind the bytes that are shown would only name places that nobody sees.
    let parts = &parts[..parts.partition_point(|part| part.bytes.start < BYTES)];
    let fields: Vec<&Field> = parts.iter().flat_map(|part| &part.fields).collect();
    let shown = step.bytes.start.len().min(BYTES);
    StepView {
        pause: None,
        left_out: 0,
        time: in_milliseconds(step.at),
        connection: if step.connection == 0 { String::new() } else { format!("#{}", step.connection) },
        class: class(step.action),
        sign,
        who,
        text: if step.action == Action::Expected { format!("waits for {}", step.text) } else { step.text.clone() },
        is_damaged,
        is_open: false,
        bytes: byte_runs(&step.bytes.start[..shown], &step.cuts, &fields),
        more: step.bytes.length - shown,
        length: step.bytes.length,
        pieces: if step.cuts.is_empty() { 0 } else { step.cuts.len() + 1 },
        parts: part_views(parts),
    }
}

/// The bytes, field by field, with the ends of writes.
fn byte_runs(bytes: &[u8], cuts: &[usize], fields: &[&Field]) -> Vec<ByteRun> {
    let mut runs = Vec::new();
    for (number, field) in fields.iter().enumerate() {
        let (start, end) = (field.bytes.start.min(bytes.len()), field.bytes.end.min(bytes.len()));
        if start == end {
            continue;
        }
        let inside = cuts.iter().copied().filter(|cut| (start + 1..end).contains(cut));
        let ends: Vec<usize> = inside.chain([end]).collect();
        let begins = [start].into_iter().chain(ends.iter().copied());
        let pieces = begins.zip(&ends).map(|(begin, end)| hex(&bytes[begin..*end])).collect();
        let ends_with_cut = cuts.contains(&end);
        runs.push(ByteRun { field: number, is_damaged: field.fault.is_some(), pieces, ends_with_cut });
    }
    runs
}

fn part_views(parts: &[Part]) -> Vec<PartView> {
    let mut number = 0;
    let mut view = |field: &Field| {
        number += 1;
        FieldView {
            number: number - 1,
            name: field.name.clone(),
            value: field.value.clone(),
            place: place(field),
            fault: field.fault.clone(),
        }
    };
    let part = |part: &Part| PartView {
        title: part.title.clone(),
        is_damaged: part.is_damaged,
        fields: part.fields.iter().map(&mut view).collect(),
    };
    parts.iter().map(part).collect()
}

fn place(field: &Field) -> String {
    match field.bytes.len() {
        0 => "before".into(),
        1 => field.bytes.start.to_string(),
        _ => format!("{}–{}", field.bytes.start, field.bytes.end - 1),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<String>>().join(" ")
}

fn in_milliseconds(time: Duration) -> String {
    format!("{:.1}", time.as_secs_f64() * 1_000.0)
}
