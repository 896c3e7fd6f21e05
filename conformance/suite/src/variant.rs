//! In which of its ways a case is run.

use std::fmt;

use crate::chunking::Chunking;
use crate::role::Role;
use crate::setting::Setting;

/// In which of its ways a case is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Variant {
    /// The role that the subject plays.
    pub role: Role,
    /// How what the suite sends is cut.
    pub chunking: Chunking,
    /// The values of what must not matter.
    pub setting: Setting,
}

impl Variant {
    /// In this role, with every write in one piece, in the plain setting.
    #[must_use]
    pub fn whole(role: Role) -> Self {
        Self::plain(role, Chunking::Whole)
    }

    /// In this role and chunking, in the plain setting.
    #[must_use]
    pub fn plain(role: Role, chunking: Chunking) -> Self {
        Self { role, chunking, setting: Setting::PLAIN }
    }
}

impl fmt::Display for Variant {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}, {}", self.role.name(), self.chunking.name())?;
        if self.setting.is_plain() { Ok(()) } else { write!(formatter, ", where {}", self.setting) }
    }
}
