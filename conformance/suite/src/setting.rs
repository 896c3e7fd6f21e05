//! What must not matter to a case: the other numbers, features and messages around what it is about.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::codec::{Hello, Item};
use crate::profile::Profile;

/// The range of frame limits (spec section 7.1), in bytes.
const LEAST_FRAME: u32 = 512;
const GREATEST_FRAME: u32 = (1 << 24) - 1;

/// Something that must not matter to a case, unless the case is about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Parameter {
    /// Whether the subject announces RESYNC.
    SubjectResync,
    /// The limits that the subject announces.
    SubjectLimits,
    /// The timers of the subject.
    SubjectTimers,
    /// Whether the suite announces RESYNC.
    SuiteResync,
    /// The limits that the suite announces.
    SuiteLimits,
    /// Which items HELLO and HELLO_ACK of the suite have, and in which order.
    Items,
    /// Whether messages of the suite have CHECKSUM, where they need not.
    Checksum,
    /// The class of the messages that show that a connection works.
    Class,
    /// Whether those are marked as ENCRYPTED.
    Encrypted,
    /// The size of those.
    Size,
}

/// A value of a [`Parameter`] other than the plain one, for which cases are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Deviation {
    /// The subject does not announce RESYNC.
    SubjectWithoutResync,
    /// The subject announces the least frame limit.
    SubjectLeastFrame,
    /// The subject announces the default limits.
    SubjectDefaultLimits,
    /// The subject announces the same limit for frames and messages.
    SubjectEqualLimits,
    /// The subject has the default timers.
    SubjectDefaultTimers,
    /// The suite announces RESYNC.
    SuiteResync,
    /// The suite announces the least frame limit.
    SuiteLeastFrame,
    /// The suite announces the greatest limits.
    SuiteGreatestLimits,
    /// The items of HELLO stand in the other order.
    ItemsReversed,
    /// HELLO has items that nobody knows, and that may be ignored.
    ItemsIgnorable,
    /// Messages of the suite have no CHECKSUM, where the subject does not ask for it.
    WithoutChecksum,
    /// Messages have the greatest of the classes that the specification names.
    GreatestNamedClass,
    /// Messages have the greatest class.
    GreatestClass,
    /// Messages are marked as ENCRYPTED.
    Encrypted,
    /// Messages fill a frame of the subject.
    FullFrame,
    /// Messages are a byte longer than a frame of the subject.
    FrameAndByte,
}

/// The values of all parameters: plain ones, but for some.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(from = "Vec<Deviation>", into = "Vec<Deviation>")]
pub struct Setting {
    /// A bit for each [`Deviation`].
    bits: u32,
}

/// The messages with which the suite shows that a connection works.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Shape {
    pub(crate) class: u8,
    pub(crate) encrypted: bool,
    pub(crate) size: Size,
}

/// How long they are.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) enum Size {
    /// A few bytes.
    #[default]
    Short,
    /// As much as one frame of the subject takes, and so many bytes more.
    Frame { more: usize },
}

impl Parameter {
    /// All of them.
    pub const ALL: &[Self] = &[
        Self::SubjectResync,
        Self::SubjectLimits,
        Self::SubjectTimers,
        Self::SuiteResync,
        Self::SuiteLimits,
        Self::Items,
        Self::Checksum,
        Self::Class,
        Self::Encrypted,
        Self::Size,
    ];

    /// Its values beside the plain one.
    #[must_use]
    pub fn deviations(self) -> &'static [Deviation] {
        match self {
            Self::SubjectResync => &[Deviation::SubjectWithoutResync],
            Self::SubjectLimits => {
                &[Deviation::SubjectLeastFrame, Deviation::SubjectDefaultLimits, Deviation::SubjectEqualLimits]
            }
            Self::SubjectTimers => &[Deviation::SubjectDefaultTimers],
            Self::SuiteResync => &[Deviation::SuiteResync],
            Self::SuiteLimits => &[Deviation::SuiteLeastFrame, Deviation::SuiteGreatestLimits],
            Self::Items => &[Deviation::ItemsReversed, Deviation::ItemsIgnorable],
            Self::Checksum => &[Deviation::WithoutChecksum],
            Self::Class => &[Deviation::GreatestNamedClass, Deviation::GreatestClass],
            Self::Encrypted => &[Deviation::Encrypted],
            Self::Size => &[Deviation::FullFrame, Deviation::FrameAndByte],
        }
    }
}

impl Deviation {
    /// As a condition under which something fails.
    fn condition(self) -> &'static str {
        match self {
            Self::SubjectWithoutResync => "the subject does not announce RESYNC",
            Self::SubjectLeastFrame => "the subject announces the least frame limit",
            Self::SubjectDefaultLimits => "the subject announces the default limits",
            Self::SubjectEqualLimits => "the subject announces one limit for frames and messages",
            Self::SubjectDefaultTimers => "the subject has the default timers",
            Self::SuiteResync => "the suite announces RESYNC",
            Self::SuiteLeastFrame => "the suite announces the least frame limit",
            Self::SuiteGreatestLimits => "the suite announces the greatest limits",
            Self::ItemsReversed => "the items of HELLO are in the other order",
            Self::ItemsIgnorable => "HELLO has items to be ignored",
            Self::WithoutChecksum => "messages have no CHECKSUM",
            Self::GreatestNamedClass => "messages are of class 4",
            Self::GreatestClass => "messages are of class 255",
            Self::Encrypted => "messages are ENCRYPTED",
            Self::FullFrame => "messages fill a frame",
            Self::FrameAndByte => "messages are a byte longer than a frame",
        }
    }
}

impl Setting {
    /// The one for which cases are written.
    pub const PLAIN: Self = Self { bits: 0 };

    /// Whether it is the one for which cases are written.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        *self == Self::PLAIN
    }

    /// Whether it has this value.
    #[must_use]
    pub fn has(self, deviation: Deviation) -> bool {
        self.bits & (1 << deviation as u32) != 0
    }

    /// The same as far as the suite alone brings it about: for a subject whose numbers cannot be set.
    pub(crate) fn of_suite(self) -> Self {
        let of_subject = [Parameter::SubjectResync, Parameter::SubjectLimits, Parameter::SubjectTimers];
        of_subject
            .iter()
            .flat_map(|parameter| parameter.deviations())
            .fold(self, |setting, other| setting.without(*other))
    }

    /// A number of its own.
    pub(crate) fn number(self) -> u32 {
        self.bits
    }

    /// Its values that are not plain.
    pub fn deviations(self) -> impl Iterator<Item = Deviation> {
        let all = Parameter::ALL.iter().flat_map(|parameter| parameter.deviations());
        all.copied().filter(move |deviation| self.has(*deviation))
    }

    /// The same with this value.
    #[must_use]
    pub fn with(self, deviation: Deviation) -> Self {
        Self { bits: self.bits | 1 << deviation as u32 }
    }

    /// The same with the plain value in its place.
    #[must_use]
    pub fn without(self, deviation: Deviation) -> Self {
        Self { bits: self.bits & !(1 << deviation as u32) }
    }

    /// The numbers to run a case with that wants these.
    pub(crate) fn applied_to(self, mut wanted: Profile) -> Profile {
        let plain = Profile::default();
        if self.has(Deviation::SubjectWithoutResync) {
            wanted.resync = false;
        }
        if self.has(Deviation::SubjectLeastFrame) {
            wanted.frame_limit = LEAST_FRAME;
        }
        if self.has(Deviation::SubjectDefaultLimits) {
            (wanted.frame_limit, wanted.message_limit) = (plain.frame_limit, plain.message_limit);
        }
        if self.has(Deviation::SubjectEqualLimits) {
            wanted.frame_limit = wanted.message_limit.min(GREATEST_FRAME);
        }
        if self.has(Deviation::SubjectDefaultTimers) {
            let Profile { resync, admission, frame_limit, message_limit, frame_sent, ping_floor, .. } = wanted;
            wanted = Profile { resync, admission, frame_limit, message_limit, frame_sent, ping_floor, ..plain };
        }
        wanted
    }

    /// Changes what the suite announces.
    pub(crate) fn announce(self, hello: &mut Hello) {
        if self.has(Deviation::SuiteResync) {
            hello.resync = true;
        }
        if self.has(Deviation::SuiteLeastFrame) {
            hello.frame_limit = LEAST_FRAME;
        }
        if self.has(Deviation::SuiteGreatestLimits) {
            (hello.frame_limit, hello.message_limit) = (GREATEST_FRAME, u32::MAX);
        }
    }

    /// Changes the items of a HELLO.
    pub(crate) fn arrange(self, mut items: Vec<Item>) -> Vec<Item> {
        if self.has(Deviation::ItemsReversed) {
            items.reverse();
        }
        if self.has(Deviation::ItemsIgnorable) {
            items.insert(0, Item::new(0xFFFE, []));
            items.push(Item::new(0x8123, *b"to be ignored"));
        }
        items
    }

    /// The messages that show that a connection works.
    pub(crate) fn shape(self) -> Shape {
        let class = match () {
            () if self.has(Deviation::GreatestNamedClass) => 4,
            () if self.has(Deviation::GreatestClass) => 255,
            () => 0,
        };
        let size = match () {
            () if self.has(Deviation::FullFrame) => Size::Frame { more: 0 },
            () if self.has(Deviation::FrameAndByte) => Size::Frame { more: 1 },
            () => Size::Short,
        };
        Shape { class, encrypted: self.has(Deviation::Encrypted), size }
    }
}

impl From<Vec<Deviation>> for Setting {
    fn from(deviations: Vec<Deviation>) -> Self {
        deviations.into_iter().fold(Self::PLAIN, Self::with)
    }
}

impl From<Setting> for Vec<Deviation> {
    fn from(setting: Setting) -> Self {
        setting.deviations().collect()
    }
}

impl fmt::Display for Setting {
    /// What is not plain, as conditions: `the suite announces RESYNC and messages fill a frame`.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let conditions: Vec<&str> = self.deviations().map(Deviation::condition).collect();
        formatter.write_str(&conditions.join(" and "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_has_the_values_that_it_was_given() {
        let setting = Setting::PLAIN.with(Deviation::SuiteResync).with(Deviation::FullFrame);
        assert!(setting.has(Deviation::FullFrame) && !setting.has(Deviation::Encrypted) && !setting.is_plain());
        assert_eq!(setting.to_string(), "the suite announces RESYNC and messages fill a frame");
        assert_eq!(setting.without(Deviation::FullFrame).without(Deviation::SuiteResync), Setting::PLAIN);
    }

    #[test]
    fn of_a_subject_that_cannot_be_set_only_the_suite_differs() {
        let setting = Setting::PLAIN.with(Deviation::SubjectEqualLimits).with(Deviation::SuiteResync);
        assert_eq!(setting.of_suite(), Setting::PLAIN.with(Deviation::SuiteResync));
    }

    #[test]
    fn every_setting_survives_json() {
        for deviation in Parameter::ALL.iter().flat_map(|parameter| parameter.deviations()) {
            let setting = Setting::PLAIN.with(*deviation);
            assert_eq!(setting.deviations().collect::<Vec<_>>(), [*deviation]);
            let text = serde_json::to_string(&setting).expect("a list of words");
            assert_eq!(serde_json::from_str::<Setting>(&text).expect("the same list"), setting);
        }
    }
}
