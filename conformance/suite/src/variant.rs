//! In which of its ways a case is run.

use std::fmt;

use crate::chunking::Chunking;
use crate::role::Role;

/// In which of its ways a case is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Variant {
    /// The role that the subject plays.
    pub role: Role,
    /// How what the suite sends is cut.
    pub chunking: Chunking,
}

impl Variant {
    /// In this role, with every write in one piece.
    #[must_use]
    pub fn whole(role: Role) -> Self {
        Self { role, chunking: Chunking::Whole }
    }
}

impl fmt::Display for Variant {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}, {}", self.role.name(), self.chunking.name())
    }
}
