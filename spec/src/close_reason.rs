//! The registry of close reasons, read from the text (section 11.3).

use std::fmt;
use std::sync::LazyLock;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

use crate::TEXT;

/// A close reason that the specification names (section 11.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CloseReason {
    /// The value; the values from 256 to 32,767 never appear on the wire.
    pub value: u16,
    /// The name, such as `BAD_HEADER`.
    pub name: &'static str,
}

/// All named close reasons, in the order of the text.
#[must_use]
pub fn close_reasons() -> &'static [CloseReason] {
    static CLOSE_REASONS: LazyLock<Vec<CloseReason>> = LazyLock::new(|| parse(TEXT));
    &CLOSE_REASONS
}

/// The close reason of this name, if the text has it.
#[must_use]
pub fn close_reason(name: &str) -> Option<CloseReason> {
    close_reasons().iter().copied().find(|reason| reason.name == name)
}

/// A name that is not in the registry of close reasons.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownCloseReason(
    /// The name.
    pub String,
);

impl fmt::Display for UnknownCloseReason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:?} is no close reason of section 11.3", self.0)
    }
}

impl std::error::Error for UnknownCloseReason {}

impl TryFrom<String> for CloseReason {
    type Error = UnknownCloseReason;

    fn try_from(name: String) -> Result<Self, UnknownCloseReason> {
        close_reason(&name).ok_or(UnknownCloseReason(name))
    }
}

impl<'de> Deserialize<'de> for CloseReason {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::try_from(String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

fn parse(text: &'static str) -> Vec<CloseReason> {
    let after_heading = text.lines().skip_while(|line| !line.starts_with("### 11.3 ")).skip(1);
    after_heading.take_while(|line| !line.starts_with('#')).filter_map(parse_row).collect()
}

/// Reads `| value | NAME: explanation | retry |`; the heading of the table and a range of values are none.
fn parse_row(line: &'static str) -> Option<CloseReason> {
    let mut cells = line.strip_prefix('|')?.split('|').map(str::trim);
    let value = cells.next()?.parse().ok()?;
    let name = cells.next()?.split(':').next()?;
    Some(CloseReason { value, name })
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn the_registry_is_read_whole() {
        let named = |name| close_reason(name).map(|reason| reason.value);
        assert_eq!(named("NORMAL"), Some(1));
        assert_eq!(named("BAD_HEADER"), Some(17));
        assert_eq!(named("PEER_ENDED"), Some(256));
        assert_eq!(named("ABORTED"), Some(259));
        assert_eq!(named("NO_SUCH_REASON"), None);
        let rows = TEXT.split("### 11.3").nth(1).map_or(0, |rest| {
            rest.lines().skip(1).take_while(|line| !line.starts_with('#')).filter(|line| line.starts_with("| ")).count()
        });
        // The heading, and the range that belongs to applications.
        assert_eq!(close_reasons().len(), rows - 2);
    }

    #[test]
    fn values_and_names_are_unique() {
        let mut seen = HashSet::new();
        for CloseReason { value, name } in close_reasons() {
            assert!(seen.insert(value.to_string()) && seen.insert((*name).to_owned()), "{name} ({value})");
            assert!(name.bytes().all(|letter| letter.is_ascii_uppercase() || letter == b'_'), "{name}");
        }
    }
}
