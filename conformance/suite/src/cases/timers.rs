//! Whether the timers of both sides fit together (PW-HS-016).

use std::time::Duration;

use super::admission::asking;
use super::hello_items::{items_without, judges_item};
use super::{BOTH, SERVER};
use crate::case::{Case, Need};
use crate::codec::Item;
use crate::codec::registry::{item, reason};
use crate::context::Context;
use crate::profile::Profile;
use crate::setting::Parameter;
use crate::subject::Happening;
use crate::verdict::{Failure, Outcome, require};

pub(super) const CASES: &[Case] = &[
    case!(
        "PW-HS-016/incompatible-timers",
        "refuses with INCOMPATIBLE_TIMERS when the peer's floor delays detection too much",
        BOTH,
        impatient,
        incompatible_timers,
        [Need::OwnNumbers]
    )
    .about(&[Parameter::SubjectTimers]),
    case!(
        "PW-HS-016/at-the-bound",
        "bears the greatest floor that its own timers permit where no detect_within is chosen, and no greater one",
        BOTH,
        ordinary,
        at_the_bound
    ),
    case!(
        "PW-HS-016/at-the-bound-of-long-timers",
        "bears twice its own time to detection where that is more than a minute",
        BOTH,
        long,
        at_the_bound,
        [Need::OwnNumbers]
    ),
    case!(
        "PW-HS-016/before-the-application",
        "compares its timers before its application judges HELLO",
        SERVER,
        asking_and_impatient,
        before_the_application,
        [Need::OwnNumbers]
    ),
    case!(
        "PW-HS-016/behind-the-versions",
        "judges the versions before it compares its timers",
        BOTH,
        impatient,
        behind_the_versions,
        [Need::OwnNumbers]
    ),
];

/// A silent peer must be noticed within 40 s; a floor of 60 s does not permit that.
fn impatient() -> Profile {
    let ten_seconds = Duration::from_secs(10);
    let detect_within = Some(ten_seconds * 4);
    Profile { idle: ten_seconds, interval: ten_seconds, probes: 3, detect_within, ..Profile::calm() }
}

fn asking_and_impatient() -> Profile {
    Profile { admission: asking().admission, ..impatient() }
}

/// The defaults: a floor of 15,000 makes a minute of the longest silence.
fn ordinary() -> Profile {
    let Profile { idle, interval, probes, .. } = Profile::default();
    Profile { idle, interval, probes, ..Profile::calm() }
}

/// It takes two minutes to find a dead peer.
fn long() -> Profile {
    let (idle, interval) = (Duration::from_secs(20), Duration::from_secs(10));
    Profile { idle, interval, probes: 10, ..Profile::calm() }
}

fn incompatible_timers(context: &mut Context<'_>) -> Outcome {
    let bad = [Item::ping_floor(60_000), Item::ping_floor(10_001)];
    judges_item(context, &bad, &[Item::ping_floor(10_000)], reason::INCOMPATIBLE_TIMERS)
}

fn at_the_bound(context: &mut Context<'_>) -> Outcome {
    let limit = context.profile.detection_limit();
    let fits = |floor: &u32| context.profile.longest_silence_with(Duration::from_millis((*floor).into())) <= limit;
    let greatest = (1..=60_000).rev().find(fits);
    match greatest {
        Some(60_000) => Err(Failure::NotApplicable("the subject's timers permit every floor".into())),
        None => Err(Failure::NotApplicable("the subject's timers permit no floor".into())),
        Some(floor) => {
            let [bad, good] = [floor + 1, floor].map(Item::ping_floor);
            judges_item(context, &[bad, Item::ping_floor(60_000)], &[good], reason::INCOMPATIBLE_TIMERS)
        }
    }
}

fn before_the_application(context: &mut Context<'_>) -> Outcome {
    let mut peer = context.open()?;
    let mut items = items_without(&peer, item::PING_FLOOR);
    items.push(Item::ping_floor(60_000));
    peer.offer(&items)?;
    peer.expect_refusal(reason::INCOMPATIBLE_TIMERS)?;
    let asked = context.events(&peer)?.iter().any(|event| event.what == Happening::Admission);
    require(!asked, "the application was asked about a HELLO whose timers do not fit")
}

fn behind_the_versions(context: &mut Context<'_>) -> Outcome {
    for (versions, code) in [(2, reason::UNSUPPORTED_VERSION), (1, reason::INCOMPATIBLE_TIMERS)] {
        let mut peer = context.open()?;
        peer.hello.ping_floor = 60_000;
        let mut items = items_without(&peer, item::VERSIONS);
        items.insert(0, Item::versions(versions, versions));
        peer.offer(&items)?;
        peer.expect_refusal(code)?;
    }
    context.establish().map(|_| ())
}
