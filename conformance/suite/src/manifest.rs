//! What an implementation declares about itself, so that it can be judged without an adapter.

mod ranges;

use std::time::Duration;

use serde::Deserialize;

use crate::case::Case;
use crate::codec::Hello;
use crate::expectations::BadFile;
use crate::profile::Profile;
use crate::selection::IdPattern;
use crate::subject::SubjectError;
use crate::verdict::Verdict;

/// Timers and limits that an implementation runs with, and what it leaves out.
#[derive(Clone, Debug, Default)]
pub struct Manifest {
    name: Option<String>,
    timers: Timers,
    limits: Limits,
    unsupported: Vec<Omission>,
    unimplemented: Vec<Omission>,
}

#[derive(Clone, Debug)]
struct Omission {
    cases: IdPattern,
    reason: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    name: Option<String>,
    #[serde(default)]
    timers: Timers,
    #[serde(default)]
    limits: Limits,
    #[serde(default)]
    unsupported: Vec<Entry>,
    #[serde(default)]
    unimplemented: Vec<Entry>,
}

/// Times in milliseconds. What is left out has the default of spec section 10.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Timers {
    idle: Option<u64>,
    interval: Option<u64>,
    probes: Option<u32>,
    extension_max: Option<u64>,
    detect_within: Option<u64>,
    handshake_timeout: Option<u64>,
    close_timeout: Option<u64>,
    write_stall: Option<u64>,
    linger: Option<u64>,
    assembly_base: Option<u64>,
    busy_max: Option<u64>,
    /// In bytes per second.
    assembly_rate: Option<u32>,
}

/// What the handshake announces, and the largest frame sent, which has a default. What else is left out may be anything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Limits {
    /// In milliseconds.
    ping_floor: Option<u32>,
    /// In bytes.
    frame: Option<u32>,
    /// In bytes.
    message: Option<u32>,
    /// In bytes.
    frame_sent: Option<u32>,
    resync: Option<bool>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    /// Of a case or of a requirement.
    id: String,
    reason: String,
}

impl Manifest {
    /// Reads a manifest in TOML: `name`; a table `[timers]` with the names of spec section 10 in milliseconds; a table
    /// `[limits]` with `ping_floor`, `frame`, `message`, `frame_sent` and `resync`; and tables `[[unsupported]]` and `[[unimplemented]]` with
    /// `id` (of a case or a requirement, or a pattern with `*`) and `reason`.
    ///
    /// # Errors
    ///
    /// If the text is malformed, a reason is empty, or an id matches no case of the suite; if a number is outside its range in spec section
    /// 10, or numbers contradict each other, so that the implementation could not run with them.
    pub fn parse(text: &str) -> Result<Self, BadFile> {
        let File { name, timers, limits, unsupported, unimplemented } =
            toml::from_str(text).map_err(|error| BadFile(error.to_string()))?;
        let manifest = Self { timers, limits, ..Self::default() };
        ranges::check(&manifest)?;
        let read = |entries: Vec<Entry>| entries.into_iter().map(Omission::read).collect::<Result<_, _>>();
        Ok(Self { name, unsupported: read(unsupported)?, unimplemented: read(unimplemented)?, ..manifest })
    }

    /// The name of the implementation in reports.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// Whether it declares a timer or a limit.
    pub(crate) fn declares_numbers(&self) -> bool {
        self.timers != Timers::default() || self.limits != Limits::default()
    }

    /// The numbers that it runs with, as far as it declares them; the others are the defaults of the specification.
    fn profile(&self) -> Profile {
        let Timers { idle, interval, probes, .. } = self.timers;
        let default = Profile::default();
        let time = |milliseconds: Option<u64>, other| milliseconds.map_or(other, Duration::from_millis);
        let (idle, interval) = (time(idle, default.idle), time(interval, default.interval));
        let probes = probes.unwrap_or(default.probes);
        Profile {
            idle,
            interval,
            probes,
            extension_max: self.timers.extension_max.map(Duration::from_millis),
            detect_within: self.timers.detect_within.map(Duration::from_millis),
            handshake_timeout: time(self.timers.handshake_timeout, default.handshake_timeout),
            close_timeout: time(self.timers.close_timeout, default.close_timeout),
            write_stall: time(self.timers.write_stall, default.write_stall),
            linger: time(self.timers.linger, default.linger),
            assembly_base: time(self.timers.assembly_base, default.assembly_base),
            busy_max: time(self.timers.busy_max, default.busy_max),
            assembly_rate: self.timers.assembly_rate.unwrap_or(default.assembly_rate),
            frame_sent: self.limits.frame_sent.unwrap_or(default.frame_sent),
            ..default
        }
    }

    /// The profile of an implementation that announces this.
    ///
    /// # Errors
    ///
    /// If it announces something else than the manifest declares.
    pub(crate) fn profile_of(&self, hello: &Hello) -> Result<Profile, SubjectError> {
        let Limits { ping_floor, frame, message, frame_sent: _, resync } = self.limits;
        let compared = [
            ("ping_floor", ping_floor.map(u64::from), u64::from(hello.ping_floor)),
            ("frame", frame.map(u64::from), u64::from(hello.frame_limit)),
            ("message", message.map(u64::from), u64::from(hello.message_limit)),
            ("resync", resync.map(u64::from), u64::from(hello.resync)),
        ];
        for (name, declared, announced) in compared {
            if let Some(declared) = declared.filter(|declared| *declared != announced) {
                let sentence =
                    format!("the manifest declares {name} as {declared}, and the handshake announces {announced}");
                return Err(SubjectError::failed(sentence));
            }
        }
        Ok(Profile {
            ping_floor: Duration::from_millis(hello.ping_floor.into()),
            frame_limit: hello.frame_limit,
            message_limit: hello.message_limit,
            resync: hello.resync,
            ..self.profile()
        })
    }

    /// The verdict on a case that the manifest answers by itself.
    pub(crate) fn verdict_on(&self, case: &Case) -> Option<Verdict> {
        let find = |omissions: &[Omission]| {
            let omission = omissions.iter().find(|omission| omission.cases.holds(case.id, case.requirement()));
            omission.map(|omission| omission.reason.clone())
        };
        let unsupported = find(&self.unsupported).map(Verdict::NotApplicable);
        unsupported.or_else(|| find(&self.unimplemented).map(Verdict::Unimplemented))
    }
}

impl Omission {
    fn read(entry: Entry) -> Result<Self, BadFile> {
        let Entry { id, reason } = entry;
        if reason.trim().is_empty() {
            return Err(BadFile(format!("what the manifest says about {id} has no reason")));
        }
        let cases = IdPattern::parse(&id).map_err(|error| BadFile(format!("manifest: {error}")))?;
        Ok(Self { cases, reason })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::registry::item;
    use crate::codec::{Item, encode_items};

    #[test]
    fn declared_timers_replace_the_defaults() {
        let manifest = Manifest::parse("[timers]\nidle = 200\nprobes = 2\nclose_timeout = 300").expect("a manifest");
        let profile = manifest.profile();
        assert_eq!(profile.longest_silence(), Duration::from_millis(200 + 2 * 2_000));
        assert_eq!(profile.extension_max, None);
        assert_eq!(profile.close_timeout, Duration::from_millis(300));
        assert_eq!(profile.handshake_timeout, Profile::default().handshake_timeout);
    }

    #[test]
    fn declared_limits_are_those_of_the_handshake() {
        let items = [
            Item::versions(1, 1),
            Item::sync_key(1),
            Item::limits(512, 1_024),
            Item::ping_floor(20),
            Item::features(item::FEATURE_RESYNC),
        ];
        let hello = Hello::parse(&encode_items(&items)).expect("valid items");
        let profile_of = |text| Manifest::parse(text).expect("a manifest").profile_of(&hello);
        let profile = profile_of("[limits]\nframe = 512\nresync = true").expect("what is announced");
        assert_eq!((profile.frame_limit, profile.ping_floor), (512, Duration::from_millis(20)));
        let error = profile_of("[limits]\nmessage = 512").expect_err("1,024 is announced").to_string();
        assert!(error.contains("declares message as 512, and the handshake announces 1024"), "{error}");
    }

    #[test]
    fn a_manifest_without_sense_is_refused() {
        for (text, complaint) in [
            ("[timers]\nidel = 200", "idel"),
            ("[timers]\nidle = 1", "idle = 1 is outside its range, 10 to 86400000"),
            ("[timers]\nprobes = 11", "probes = 11 is outside"),
            ("[timers]\ninterval = -5", "invalid value"),
            ("[limits]\nframe = 511", "frame = 511 is outside"),
            ("[limits]\nping_floor = 0", "ping_floor = 0 is outside"),
            ("[limits]\nframe = 4096\nmessage = 4095", "message = 4095 is below frame = 4096"),
            ("[limits]\nmessage = 512\nframe = 1024", "message = 512 is below frame = 1024"),
            ("[timers]\ndetect_within = 1000", "detect_within = 1000 is below idle + interval * probes = 11000"),
            ("[[unsupported]]\nid = 'PW-HDR-905'\nreason = 'x'", "PW-HDR-905"),
            ("[[unimplemented]]\nid = 'PW-HDR-005'\nreason = ''", "no reason"),
        ] {
            let error = Manifest::parse(text).expect_err(text).to_string();
            assert!(error.contains(complaint), "{error}");
        }
    }
}
