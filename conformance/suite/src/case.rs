//! A case: one check of one requirement.

use crate::context::Context;
use crate::profile::Profile;
use crate::role::Role;
use crate::verdict::Outcome;

/// What a case needs of the subject, apart from its numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Need {
    /// The subject announces RESYNC.
    Resync,
    /// The subject does not announce RESYNC.
    NoResync,
    /// The subject runs with the numbers of the case; one with a fixed profile cannot.
    OwnNumbers,
}

/// One check of one requirement of the specification.
pub struct Case {
    /// The id of the requirement, a slash, and what is tried; never changed and never used again.
    pub id: &'static str,
    /// What the subject has to do, in one sentence.
    pub title: &'static str,
    pub(crate) roles: &'static [Role],
    pub(crate) profile: fn() -> Profile,
    pub(crate) needs: &'static [Need],
    pub(crate) run: fn(&mut Context<'_>) -> Outcome,
}

impl Case {
    /// The id of the requirement, such as `PW-HB-014`.
    #[must_use]
    pub fn requirement(&self) -> &'static str {
        self.id.split('/').next().unwrap_or(self.id)
    }

    /// The roles in which the subject is tried.
    #[must_use]
    pub fn roles(&self) -> &'static [Role] {
        self.roles
    }

    /// The profile to run the case with, apart from what the subject cannot change.
    pub(crate) fn wanted_profile(&self) -> Profile {
        let mut profile = (self.profile)();
        if self.needs.contains(&Need::NoResync) {
            profile.resync = false;
        }
        profile
    }

    /// Why a subject with this fixed profile cannot be tried.
    pub(crate) fn obstacle(&self, fixed: &Profile) -> Option<&'static str> {
        self.needs.iter().find_map(|need| match need {
            Need::Resync if !fixed.resync => Some("the subject does not announce RESYNC"),
            Need::NoResync if fixed.resync => Some("the subject announces RESYNC"),
            Need::OwnNumbers => Some("the subject cannot be given the numbers that this needs"),
            Need::Resync | Need::NoResync => None,
        })
    }
}
