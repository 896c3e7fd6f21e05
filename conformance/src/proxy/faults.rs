//! What the proxy does to what passes: as options, or as a script in TOML.

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use conformance::named;
use pulsewire_conformance::wire::{Side, kind_named};
use serde::Deserialize;

use crate::arguments::tools::{FaultArguments, Towards};

/// What is done to one direction all the time.
#[derive(Clone, Debug, Default)]
pub(crate) struct Always {
    /// How long everything takes longer.
    pub(crate) delay: Duration,
    /// And up to this much more, by chance.
    pub(crate) jitter: Duration,
    /// Bytes per second at most.
    pub(crate) rate: Option<u64>,
    /// Bytes of a write at most.
    pub(crate) split: Option<usize>,
    /// How long is waited for more, to write it in one go.
    pub(crate) join: Duration,
    /// In how many bytes one has a bit flipped, on average.
    pub(crate) corrupt: Option<u64>,
    /// In how many pieces one comes twice, on average.
    pub(crate) duplicate: Option<u64>,
    /// In how many pieces one is dropped, on average.
    pub(crate) drop: Option<u64>,
}

/// When and how a connection ends, or seems to.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ends {
    /// The connection is reset behind so many bytes of a direction.
    pub(crate) cut_after: Option<u64>,
    /// Or when it is so old.
    pub(crate) cut_at: Option<Duration>,
    /// Everything of a direction is dropped from this byte on, and nobody is told.
    pub(crate) silent_after: Option<u64>,
    /// Or from this age of the connection on.
    pub(crate) silent_at: Option<Duration>,
}

/// What is done to one packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Deed {
    /// A bit of its header is flipped.
    CorruptHeader,
    /// A bit of its payload is flipped; of its header, where it has none.
    Corrupt,
    /// It comes twice.
    Duplicate,
    /// It is dropped.
    Drop,
    /// Its last byte is missing.
    Shorten,
    /// Each of its bytes is a write.
    Split,
    /// It waits for `milliseconds`, and so does all behind it.
    Delay,
    /// The connection is reset in place of it.
    Cut,
    /// It is dropped, and so is all behind it.
    Silence,
}

/// A line of a script.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Rule {
    /// What is done.
    #[serde(rename = "do")]
    pub(crate) deed: Deed,
    /// The receiver of the packet; both without it.
    #[serde(default)]
    to: Option<Receiver>,
    /// The kind of packet, by its name; any without it.
    #[serde(default)]
    kind: Option<String>,
    /// Which of those packets, from 1.
    #[serde(default)]
    nth: Option<u64>,
    /// Each of them with this chance, from 0 to 1, where it isn't said which.
    #[serde(default)]
    chance: Option<f64>,
    /// The connection, from 1; all without it.
    #[serde(default)]
    connection: Option<u32>,
    /// Of `delay`.
    #[serde(default)]
    pub(crate) milliseconds: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Receiver {
    Server,
    Client,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    seed: Option<u64>,
    #[serde(default)]
    rule: Vec<Rule>,
}

/// All that the proxy is to do.
#[derive(Clone, Debug)]
pub(crate) struct Faults {
    pub(crate) always: Always,
    pub(crate) ends: Ends,
    pub(crate) rules: Vec<Rule>,
    pub(crate) seed: u64,
    directions: Vec<Side>,
}

impl Faults {
    pub(crate) fn new(arguments: &FaultArguments) -> Result<Self, String> {
        let File { seed, rule: rules } = match &arguments.script {
            Some(path) => script(path)?,
            None => File { seed: None, rule: Vec::new() },
        };
        let directions = match arguments.to {
            None => vec![Side::Client, Side::Server],
            Some(Towards::Server) => vec![Side::Client],
            Some(Towards::Client) => vec![Side::Server],
        };
        let milliseconds = Duration::from_millis;
        let always = Always {
            delay: milliseconds(arguments.delay),
            jitter: milliseconds(arguments.jitter),
            rate: arguments.rate,
            split: arguments.split.map(|split| usize::try_from(split).unwrap_or(usize::MAX)),
            join: milliseconds(arguments.join),
            corrupt: arguments.corrupt,
            duplicate: arguments.duplicate,
            drop: arguments.drop,
        };
        let ends = Ends {
            cut_after: arguments.cut_after,
            cut_at: arguments.cut_at.map(milliseconds),
            silent_after: arguments.silent_after,
            silent_at: arguments.silent_at.map(milliseconds),
        };
        Ok(Self { always, ends, rules, seed: arguments.seed.or(seed).unwrap_or_default(), directions })
    }

    /// What is done all the time to what this side sends.
    pub(crate) fn always(&self, from: Side) -> Always {
        if self.directions.contains(&from) { self.always.clone() } else { Always::default() }
    }

    /// What ends the direction from this side; the age of a connection ends both.
    pub(crate) fn ends(&self, from: Side) -> Ends {
        let Ends { cut_at, .. } = self.ends;
        if self.directions.contains(&from) { self.ends.clone() } else { Ends { cut_at, ..Ends::default() } }
    }
}

/// Counts packets, to know which of them a rule means. One for each direction of a connection.
pub(crate) struct Matcher {
    rules: Vec<Rule>,
    /// How many packets each rule has seen that are its own.
    seen: HashMap<usize, u64>,
}

impl Matcher {
    pub(crate) fn new(rules: &[Rule], from: Side, connection: u32) -> Self {
        let receiver = match from {
            Side::Client => Receiver::Server,
            Side::Server => Receiver::Client,
        };
        let is_here = |rule: &&Rule| {
            rule.to.is_none_or(|to| to == receiver) && rule.connection.is_none_or(|number| number == connection)
        };
        Self { rules: rules.iter().filter(is_here).cloned().collect(), seen: HashMap::new() }
    }

    /// Whether packets have to be whole before they pass.
    pub(crate) fn needs_packets(&self) -> bool {
        !self.rules.is_empty()
    }

    /// What is done to the next packet, of this kind if it is one.
    pub(crate) fn of(&mut self, kind: Option<u8>, mut draw: impl FnMut() -> f64) -> Vec<Rule> {
        let mut found = Vec::new();
        for (index, rule) in self.rules.iter().enumerate() {
            let wanted = rule.kind.as_deref().and_then(kind_named);
            if rule.kind.is_some() && wanted != kind {
                continue;
            }
            let count = self.seen.entry(index).or_default();
            *count += 1;
            let is_meant = match (rule.nth, rule.chance) {
                (Some(nth), _) => nth == *count,
                (None, Some(chance)) => draw() < chance,
                (None, None) => true,
            };
            if is_meant {
                found.push(rule.clone());
            }
        }
        found
    }
}

fn script(path: &Path) -> Result<File, String> {
    let bad = |error: String| format!("{}: {error}", path.display());
    let file: File = toml::from_str(&named::text(path)?).map_err(|error| bad(error.to_string()))?;
    for (rule, number) in file.rule.iter().zip(1..) {
        if let Some(kind) = rule.kind.as_deref().filter(|kind| kind_named(kind).is_none()) {
            return Err(bad(format!("rule {number}: there is no kind {kind}")));
        }
        if rule.nth == Some(0) || rule.chance.is_some_and(|chance| !(0.0..=1.0).contains(&chance)) {
            return Err(bad(format!("rule {number}: nth counts from 1, and a chance is from 0 to 1")));
        }
        if rule.nth.is_some() && rule.chance.is_some() {
            return Err(bad(format!("rule {number}: say which packet, or with which chance")));
        }
        if (rule.deed == Deed::Delay) != (rule.milliseconds > 0) {
            return Err(bad(format!("rule {number}: delay needs milliseconds, and nothing else has any")));
        }
    }
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matched(script: &str, kinds: &[u8]) -> Vec<usize> {
        let file: File = toml::from_str(script).expect("a script");
        let mut matcher = Matcher::new(&file.rule, Side::Client, 1);
        kinds.iter().map(|kind| matcher.of(Some(*kind), || 0.5).len()).collect()
    }

    #[test]
    fn rules_find_their_packets() {
        let second = "[[rule]]\ndo = 'drop'\nkind = 'DATA'\nnth = 2\n";
        assert_eq!(matched(second, &[1, 4, 5, 4, 4]), [0, 0, 0, 1, 0]);
        assert_eq!(matched("[[rule]]\ndo = 'drop'\nto = 'client'\n", &[4]), [0]);
        assert_eq!(matched("[[rule]]\ndo = 'drop'\nconnection = 2\n", &[4]), [0]);
        assert_eq!(matched("[[rule]]\ndo = 'drop'\nchance = 0.6\n", &[4, 5]), [1, 1]);
        assert_eq!(matched("[[rule]]\ndo = 'drop'\nchance = 0.4\n", &[4, 5]), [0, 0]);
    }
}
