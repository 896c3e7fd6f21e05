//! What is left out of a case or made plainer, so that a failure shows with less around it.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

/// A write of the suite: the connection, and which of the case's writes over it, both from 1. Answers to PINGs are none: when they
/// are due depends on time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Place {
    /// The connection, as steps number them.
    pub connection: u32,
    /// The write, as steps number them.
    pub write: u32,
}

/// Changes to what a case does, beside which it judges as ever. The default changes nothing.
///
/// Whether the case still makes sense, it doesn't tell: the [oracle](crate::oracle) has to pass it with the same changes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Edits {
    /// Connections that the oracle answers in place of the subject: what is tried over them does not matter.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub elsewhere: BTreeSet<u32>,
    /// Writes that are left out; where one is a message that is to come back, so is the wait for it.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub omitted: BTreeSet<Place>,
    /// How many bytes are left of each payload of a write, or of the write itself where that is no packet.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub shortened: Vec<(Place, usize)>,
    /// Behind which bytes writes are cut, in place of the chunking of the run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cuts: Option<Vec<(Place, usize)>>,
    /// Whether what is drawn at random is plain instead: payloads of one letter, small keys.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub plain: bool,
}

impl Edits {
    /// Whether it changes nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// How many bytes of a payload are left in this write at most.
    pub(crate) fn most(&self, place: Place) -> usize {
        self.shortened.iter().find(|(at, _)| *at == place).map_or(usize::MAX, |(_, most)| *most)
    }

    /// The lengths of the pieces of a write of `length` bytes; `None` if the chunking of the run says that. What has no place is whole.
    pub(crate) fn pieces(&self, place: Option<Place>, length: usize) -> Option<Vec<usize>> {
        let cuts = self.cuts.as_ref()?;
        let here = cuts.iter().filter(|(at, cut)| Some(*at) == place && (1..length).contains(cut));
        let ends: BTreeSet<usize> = here.map(|(_, cut)| *cut).chain([length]).collect();
        let begins = [0].into_iter().chain(ends.iter().copied());
        Some(begins.zip(&ends).map(|(begin, end)| end - begin).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLACE: Place = Place { connection: 1, write: 2 };

    #[test]
    fn pieces_add_up_wherever_the_cuts_are() {
        let edits = Edits { cuts: Some(vec![(PLACE, 3), (PLACE, 1), (PLACE, 9), (PLACE, 0)]), ..Edits::default() };
        assert_eq!(edits.pieces(Some(PLACE), 9), Some(vec![1, 2, 6]));
        assert_eq!(edits.pieces(None, 9), Some(vec![9]));
        assert_eq!(Edits::default().pieces(Some(PLACE), 9), None);
    }

    #[test]
    fn edits_come_back_from_json() {
        let edits = Edits {
            elsewhere: [1].into(),
            omitted: [PLACE].into(),
            shortened: vec![(PLACE, 0)],
            cuts: Some(Vec::new()),
            plain: true,
        };
        let json = serde_json::to_string(&edits).expect("numbers");
        assert_eq!(serde_json::from_str::<Edits>(&json).expect("what was written"), edits);
        assert_eq!(serde_json::to_string(&Edits::default()).expect("nothing"), "{}");
    }
}
