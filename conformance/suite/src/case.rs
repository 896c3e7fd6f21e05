//! A case: one check of one requirement.

use crate::chunking::Chunking;
use crate::context::Context;
use crate::covering::covering_array;
use crate::profile::Profile;
use crate::role::Role;
use crate::setting::{Parameter, Setting};
use crate::variant::Variant;
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
    /// The subject runs in memory and virtual time, where it can be put to sleep.
    VirtualTime,
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
    /// How its writes may be cut: in every way, but for a case that cuts them itself, since it is about the places or the exact
    /// time between them (or that counts on a packet to come whole, as bytes of a trailer are a sign of life by themselves), and
    /// one in which the application and the clock do everything, so that another cut would try nothing else.
    pub(crate) chunkings: &'static [Chunking],
    /// What it is about, so that it keeps the value for which it is written.
    pub(crate) about: &'static [Parameter],
    pub(crate) run: fn(&mut Context<'_>) -> Outcome,
    /// On sockets nothing else runs beside it: it takes so much of the machine that others would come too late.
    pub(crate) alone: bool,
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

    /// How the suite may cut what it sends.
    #[must_use]
    pub fn chunkings(&self) -> &'static [Chunking] {
        self.chunkings
    }

    /// What must not matter to the case, whatever it is set to.
    pub fn parameters(&self) -> impl Iterator<Item = Parameter> {
        let is_free = |parameter: &Parameter| {
            let is_needed = |need: &Need| match need {
                Need::Resync | Need::NoResync => *parameter == Parameter::SubjectResync,
                Need::OwnNumbers | Need::VirtualTime => false,
            };
            !self.about.contains(parameter) && !self.needs.iter().any(is_needed)
        };
        Parameter::ALL.iter().copied().filter(is_free)
    }

    /// Every way in which the case is run, with every choice of values for `strength` of the parameters that must not matter, and the
    /// chunking among them. With 1 these are as many as there are chunkings, which may leave out a value; with 0 all are plain.
    pub fn variants(&self, strength: u8) -> impl Iterator<Item = Variant> + use<> {
        let parameters: Vec<Parameter> = self.parameters().collect();
        let mut levels = vec![self.chunkings.len()];
        levels.extend(parameters.iter().map(|parameter| parameter.deviations().len() + 1));
        let cut = 0..self.chunkings.len();
        let rows: Vec<Vec<usize>> = match strength {
            0 => cut.map(|chunking| [vec![chunking], vec![0; parameters.len()]].concat()).collect(),
            1 => cut.map(|row| levels.iter().map(|count| row % count).collect()).collect(),
            more => covering_array(&levels, more.into(), 0),
        };
        let (roles, chunkings) = (self.roles, self.chunkings);
        let in_each_role = move |row: Vec<usize>| {
            let deviations = parameters.iter().zip(&row[1..]);
            let chosen = deviations.filter_map(|(parameter, value)| parameter.deviations().get(value.checked_sub(1)?));
            let (chunking, setting) = (chunkings[row[0]], chosen.copied().fold(Setting::PLAIN, Setting::with));
            roles.iter().map(move |role| Variant { role: *role, chunking, setting })
        };
        rows.into_iter().flat_map(in_each_role)
    }

    /// The same case, run with whole writes alone.
    pub(crate) const fn whole_only(mut self) -> Self {
        self.chunkings = &[Chunking::Whole];
        self
    }

    /// The same case, which is about these parameters.
    pub(crate) const fn about(mut self, parameters: &'static [Parameter]) -> Self {
        self.about = parameters;
        self
    }

    /// The same case, beside which nothing else runs on sockets.
    pub(crate) const fn alone(mut self) -> Self {
        self.alone = true;
        self
    }

    /// The profile to run the case with, apart from what the subject cannot change.
    pub(crate) fn wanted_profile(&self) -> Profile {
        let mut profile = (self.profile)();
        if self.needs.contains(&Need::NoResync) {
            profile.resync = false;
        }
        profile
    }

    /// The numbers of a subject that cannot be given any, with those in their place that the case is about.
    pub(crate) fn wished(&self, fixed: &Profile) -> Profile {
        let (wanted, calm) = (self.wanted_profile(), Profile::calm());
        macro_rules! pick {
            ($($number:ident),*) => {
                Profile { $($number: if wanted.$number == calm.$number { fixed.$number } else { wanted.$number },)* ..fixed.clone() }
            };
        }
        pick!(
            idle,
            interval,
            probes,
            extension_max,
            detect_within,
            ping_floor,
            frame_limit,
            message_limit,
            frame_sent,
            handshake_timeout,
            close_timeout,
            write_stall,
            linger,
            assembly_base,
            assembly_rate,
            busy_max
        )
    }

    /// Which other numbers of a subject would let the case apply, as far as it is about numbers: as a manifest calls them.
    pub(crate) fn wish(&self, fixed: &Profile) -> Option<String> {
        let numbers = fixed.differences(&self.wished(fixed));
        (!numbers.is_empty()).then(|| numbers.join(", "))
    }

    /// Whether only a subject that runs in memory and virtual time can be tried: it has to be put to sleep.
    #[must_use]
    pub fn needs_virtual_time(&self) -> bool {
        self.needs.contains(&Need::VirtualTime)
    }

    /// Why a subject with this fixed profile cannot be tried.
    pub(crate) fn obstacle(&self, fixed: &Profile) -> Option<&'static str> {
        self.needs.iter().find_map(|need| match need {
            Need::Resync if !fixed.resync => Some("the subject does not announce RESYNC"),
            Need::NoResync if fixed.resync => Some("the subject announces RESYNC"),
            Need::OwnNumbers => {
                Some("the suite has to choose the numbers of the subject itself, which it can through an adapter")
            }
            Need::Resync | Need::NoResync | Need::VirtualTime => None,
        })
    }
}
