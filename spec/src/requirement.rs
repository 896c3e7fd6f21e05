//! The numbered requirements, read from the text.

use std::fmt;
use std::sync::LazyLock;

use crate::TEXT;

/// How binding a requirement is, in the words of RFC 2119.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Level {
    /// MUST
    Must,
    /// MUST NOT
    MustNot,
    /// SHOULD
    Should,
    /// SHOULD NOT
    ShouldNot,
    /// MAY
    May,
}

impl Level {
    const ALL: [Self; 5] = [Self::Must, Self::MustNot, Self::Should, Self::ShouldNot, Self::May];

    /// The level as the text writes it: `MUST`, `MUST NOT`, …
    #[must_use]
    pub const fn keyword(self) -> &'static str {
        match self {
            Self::Must => "MUST",
            Self::MustNot => "MUST NOT",
            Self::Should => "SHOULD",
            Self::ShouldNot => "SHOULD NOT",
            Self::May => "MAY",
        }
    }

    fn from_keyword(keyword: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|level| level.keyword() == keyword)
    }
}

impl fmt::Display for Level {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.keyword())
    }
}

/// One numbered requirement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Requirement {
    /// The id, such as `PW-HDR-001`. It is never reused.
    pub id: &'static str,
    /// How binding it is.
    pub level: Level,
    /// The heading that it stands under, number included, such as `8.2 Effective values`.
    pub section: &'static str,
    /// The requirement itself, in Markdown, on one line.
    pub text: String,
}

/// All requirements, in the order of the text.
#[must_use]
pub fn requirements() -> &'static [Requirement] {
    static REQUIREMENTS: LazyLock<Vec<Requirement>> = LazyLock::new(|| parse(TEXT));
    &REQUIREMENTS
}

/// The requirement with this id, if the text has it.
#[must_use]
pub fn requirement(id: &str) -> Option<&'static Requirement> {
    requirements().iter().find(|requirement| requirement.id == id)
}

fn parse(text: &'static str) -> Vec<Requirement> {
    let mut section = "";
    let mut found: Vec<Requirement> = Vec::new();
    // Whether the line before belongs to the requirement found last, so that an indented one does too.
    let mut goes_on = false;
    for line in text.lines() {
        if line.starts_with('#') {
            section = line.trim_start_matches('#').trim();
        }
        if let Some(requirement) = parse_line(section, line) {
            found.push(requirement);
            goes_on = true;
        } else if goes_on && line.starts_with("  ") {
            found.last_mut().into_iter().for_each(|requirement| {
                requirement.text.push(' ');
                requirement.text.push_str(line.trim());
            });
        } else {
            goes_on = false;
        }
    }
    found
}

/// Reads `- **id** (LEVEL) text`; any other line is none.
fn parse_line(section: &'static str, line: &'static str) -> Option<Requirement> {
    let (id, rest) = line.strip_prefix("- **")?.split_once("** (")?;
    let (level, text) = rest.split_once(") ")?;
    Some(Requirement { id, level: Level::from_keyword(level)?, section, text: text.to_owned() })
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    /// `PW-`, two or three capital letters, `-`, three digits.
    fn is_well_formed(id: &str) -> bool {
        let parts: Vec<&str> = id.split('-').collect();
        let [prefix, area, number] = parts[..] else { return false };
        prefix == "PW"
            && (2..=3).contains(&area.len())
            && area.bytes().all(|letter| letter.is_ascii_uppercase())
            && number.len() == 3
            && number.bytes().all(|digit| digit.is_ascii_digit())
    }

    #[test]
    fn every_requirement_line_is_read() {
        let lines = TEXT.lines().filter(|line| line.starts_with("- **PW-")).count();
        assert_eq!(requirements().len(), lines, "a requirement has an unknown level or is not well-formed");
        assert!(lines > 0);
    }

    /// The list for tools says what the text says.
    #[test]
    fn the_list_agrees_with_the_text() {
        let listed: Vec<serde_json::Value> = serde_json::from_str(include_str!("../requirements.json")).unwrap();
        let written = |requirement: &Requirement| {
            let Requirement { id, level, section, text } = requirement;
            serde_json::json!({ "id": id, "level": level.keyword(), "section": section, "text": text })
        };
        let expected: Vec<serde_json::Value> = requirements().iter().map(written).collect();
        let differing: Vec<_> = expected.iter().filter(|one| !listed.contains(one)).map(|one| &one["id"]).collect();
        assert!(
            differing.is_empty(),
            "run `python3 spec/list_requirements.py`: {differing:?} stand otherwise in the text"
        );
        assert!(listed == expected, "run `python3 spec/list_requirements.py`: it lists more, or in another order");
    }

    #[test]
    fn lines_are_short_enough_to_read() {
        for line in TEXT.lines().filter(|line| !line.starts_with('|')) {
            assert!(line.chars().count() <= 130, "longer than 130 characters: {line}");
        }
    }

    /// Within each area, so that whoever looks for an id knows where to turn. Sections may part an area.
    #[test]
    fn requirements_are_in_order_within_a_section() {
        for pair in requirements().windows(2) {
            let [before, after] = pair else { continue };
            let same =
                before.section == after.section && before.id[..before.id.len() - 3] == after.id[..after.id.len() - 3];
            assert!(!same || before.id < after.id, "{} stands behind {}", after.id, before.id);
        }
    }

    #[test]
    fn ids_are_unique_and_well_formed() {
        let mut seen = HashSet::new();
        for requirement in requirements() {
            assert!(is_well_formed(requirement.id), "{}", requirement.id);
            assert!(seen.insert(requirement.id), "{} occurs twice", requirement.id);
        }
    }

    #[test]
    fn sections_are_numbered_and_texts_are_sentences() {
        for Requirement { id, section, text, .. } in requirements() {
            assert!(section.starts_with(|first: char| first.is_ascii_digit()), "{id} stands under {section:?}");
            assert!(text.ends_with('.'), "{id}: {text}");
        }
    }

    #[test]
    fn the_text_mentions_only_ids_that_exist() {
        for mention in
            TEXT.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-')).filter(|word| is_well_formed(word))
        {
            assert!(requirement(mention).is_some(), "{mention} is mentioned but not defined");
        }
    }

    #[test]
    fn lines_are_read_by_their_parts() {
        let text = "Do (this) not.".to_owned();
        let expected = Requirement { id: "PW-XX-001", level: Level::ShouldNot, section: "1. One", text };
        assert_eq!(
            parse("# T\n## 1. One\nProse.\n- **PW-XX-001** (SHOULD NOT) Do (this)\n  not.\n\n  Prose."),
            [expected]
        );
        assert_eq!(parse("- **PW-XX-001** (OUGHT) Do.\n- PW-XX-002 (MUST) Do."), []);
        for level in Level::ALL {
            assert_eq!(Level::from_keyword(&level.to_string()), Some(level));
        }
    }

    #[test]
    fn an_unknown_id_is_none() {
        assert_eq!(requirement("PW-HDR-999"), None);
        assert_eq!(requirement(""), None);
    }
}
