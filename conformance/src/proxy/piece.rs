//! Bytes on their way through the proxy.

use std::time::Duration;

use pulsewire_conformance::wire::Seen;
use tokio::time::Instant;

use super::faults::{Always, Deed, Rule};
use super::random::Random;

/// Bytes in the header of a packet.
const HEADER: usize = 12;

/// What has to be written, or else done, when its time has come.
#[derive(Debug)]
pub(crate) struct Piece {
    pub(crate) due: Instant,
    pub(crate) bytes: Vec<u8>,
    /// Bytes of a write.
    pub(crate) split: Option<usize>,
}

/// What becomes of a packet or a piece.
#[derive(Debug, Default)]
pub(crate) struct Fate {
    /// The bytes that go on; more than one entry if they come again.
    pub(crate) copies: Vec<Vec<u8>>,
    /// In words.
    pub(crate) done: Vec<String>,
    pub(crate) delay: Duration,
    pub(crate) split: Option<usize>,
    pub(crate) is_cut: bool,
    pub(crate) is_silent: bool,
}

/// What the rules do to a packet.
pub(crate) fn by_rules(seen: &Seen, rules: &[Rule], random: &mut Random) -> Fate {
    let mut fate = Fate { copies: vec![seen.bytes.clone()], ..Fate::default() };
    for rule in rules {
        let told = match rule.deed {
            Deed::Corrupt | Deed::CorruptHeader => {
                let begin = if rule.deed == Deed::Corrupt && seen.bytes.len() > HEADER { HEADER } else { 0 };
                let end = if rule.deed == Deed::Corrupt { seen.bytes.len() } else { HEADER.min(seen.bytes.len()) };
                for copy in &mut fate.copies {
                    let at = begin + random.below(end.min(copy.len()).saturating_sub(begin).max(1));
                    flip(copy, at, random);
                }
                "corrupted"
            }
            Deed::Duplicate => {
                fate.copies.extend_from_within(..);
                "duplicated"
            }
            Deed::Drop => {
                fate.copies.clear();
                "dropped"
            }
            Deed::Shorten => {
                for copy in &mut fate.copies {
                    copy.pop();
                }
                "shortened by a byte"
            }
            Deed::Split => {
                fate.split = Some(1);
                "split into bytes"
            }
            Deed::Delay => {
                fate.delay += Duration::from_millis(rule.milliseconds);
                "delayed"
            }
            Deed::Cut => {
                fate.is_cut = true;
                "connection cut"
            }
            Deed::Silence => {
                fate.is_silent = true;
                "silence from here on"
            }
        };
        fate.done.push(told.into());
    }
    fate
}

/// What chance does to a piece.
pub(crate) fn by_chance(fate: &mut Fate, always: &Always, random: &mut Random) {
    let mut happens = |one_in: Option<u64>| one_in.is_some_and(|count| random.one_in(count));
    if happens(always.drop) {
        fate.copies.clear();
        fate.done.push("dropped".into());
    }
    if happens(always.duplicate) && !fate.copies.is_empty() {
        fate.copies.extend_from_within(..);
        fate.done.push("duplicated".into());
    }
    let Some(one_in) = always.corrupt else { return };
    let mut flipped = 0;
    for copy in &mut fate.copies {
        let mut at = random.gap(one_in);
        while at < copy.len() {
            flip(copy, at, random);
            flipped += 1;
            at += 1 + random.gap(one_in);
        }
    }
    if flipped > 0 {
        fate.done.push(format!("{flipped} bits flipped"));
    }
}

fn flip(bytes: &mut [u8], at: usize, random: &mut Random) {
    if let Some(byte) = bytes.get_mut(at) {
        *byte ^= 1 << random.below(8);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chance_flips_as_often_as_it_should() {
        let always = Always { corrupt: Some(100), ..Always::default() };
        let mut random = Random::new(7);
        let mut fate = Fate { copies: vec![vec![0; 100_000]], ..Fate::default() };
        by_chance(&mut fate, &always, &mut random);
        let flipped = fate.copies[0].iter().filter(|byte| **byte != 0).count();
        assert!((800..1_200).contains(&flipped), "{flipped}");
        assert_eq!(fate.done.len(), 1);
    }

    #[test]
    fn nothing_happens_by_itself() {
        let mut fate = Fate { copies: vec![vec![1, 2]], ..Fate::default() };
        by_chance(&mut fate, &Always::default(), &mut Random::new(1));
        assert_eq!((fate.copies, fate.done.len()), (vec![vec![1, 2]], 0));
    }
}
