//! How a report is shown to people.

use anstyle::{AnsiColor, Style};

use crate::verdict::Verdict;

/// How much a text tells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Detail {
    /// Only what the run comes to.
    Brief,
    /// The table, and what failed: of each likely cause one run in full.
    #[default]
    Ordinary,
    /// Every run that was not passed, in full.
    Full,
}

/// How a report is shown to people.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Look {
    /// Whether the text has the ANSI sequences for colours.
    pub colours: bool,
    /// How much it tells.
    pub detail: Detail,
}

impl Look {
    fn style(self, style: Style) -> Style {
        if self.colours { style } else { Style::new() }
    }

    pub(super) fn heading(self) -> Style {
        self.style(Style::new().bold())
    }

    pub(super) fn faint(self) -> Style {
        self.style(Style::new().dimmed())
    }

    pub(super) fn good(self) -> Style {
        self.style(AnsiColor::Green.on_default())
    }

    pub(super) fn bad(self) -> Style {
        self.style(AnsiColor::Red.on_default().bold())
    }

    pub(super) fn of(self, verdict: &Verdict) -> Style {
        let style = match verdict {
            Verdict::Pass => AnsiColor::Green.on_default(),
            Verdict::Fail(_) | Verdict::HarnessError(_) => AnsiColor::Red.on_default().bold(),
            Verdict::Warn(_) | Verdict::Inconclusive(_) => AnsiColor::Yellow.on_default().bold(),
            Verdict::Info(_) => AnsiColor::Cyan.on_default(),
            Verdict::NotApplicable(_) | Verdict::Unimplemented(_) => Style::new().dimmed(),
        };
        self.style(style)
    }
}
