//! A badge for a README.

use askama::Template;
use pulsewire_conformance::Report;

#[derive(Template)]
#[template(path = "badge.svg", escape = "html")]
struct Badge {
    message: String,
    colour: &'static str,
    label_width: usize,
    message_width: usize,
}

/// Pixels that a character takes at most, and those beside a text.
const CHARACTER: usize = 7;
const MARGIN: usize = 10;
const LABEL: &str = "Pulsewire";

/// What the run comes to, as a picture.
pub(crate) fn badge(report: &Report) -> String {
    let totals = report.totals();
    let (message, colour) = match report.exit_code() {
        0 => (format!("conforms, {} runs", totals.pass), "#17702f"),
        1 if totals.fail > 0 => {
            let count = report.violated().len();
            let noun = if count == 1 { "requirement" } else { "requirements" };
            (format!("{count} {noun} violated"), "#b3161b")
        }
        1 => ("known failures out of date".into(), "#8a5300"),
        2 => ("error".into(), "#5b6472"),
        _ => ("incomplete".into(), "#8a5300"),
    };
    let width = |text: &str| text.len() * CHARACTER + 2 * MARGIN;
    let (label_width, message_width) = (width(LABEL), width(&message));
    Badge { message, colour, label_width, message_width }.render().expect("a template writes into a string")
}
