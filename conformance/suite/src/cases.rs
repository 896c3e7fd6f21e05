//! Every case, by area of the specification.

/// A case, and what it needs of the subject apart from its numbers.
macro_rules! case {
    ($id:literal, $title:literal, $roles:expr, $profile:expr, $run:expr) => {
        case!($id, $title, $roles, $profile, $run, [])
    };
    ($id:literal, $title:literal, $roles:expr, $profile:expr, $run:expr, $needs:expr) => {
        Case {
            id: $id,
            title: $title,
            roles: $roles,
            profile: $profile,
            needs: &$needs,
            chunkings: crate::chunking::Chunking::ALL,
            about: &[],
            run: $run,
            alone: false,
        }
    };
}

mod admission;
mod application;
mod asleep;
mod away;
mod back_pressure;
mod backlog;
mod budget;
mod busy;
mod busy_peer;
mod close;
mod cookie;
mod counts;
mod cut;
mod damage;
mod data;
mod drain;
mod evidence;
mod farewell;
mod first_packet;
mod flood;
mod framing;
mod handshake;
mod header;
mod heartbeat;
mod hello_items;
mod message_time;
mod messages;
mod packets;
mod pings;
mod reject;
mod resilience;
mod resync;
mod slow_reader;
mod states;
mod sync_key;
mod tcp;
mod timers;
mod turns;
mod unanswered;
mod waiting;
mod writing;

use std::time::Duration;

use crate::case::Case;
use crate::codec::Packet;
use crate::context::Context;
use crate::role::Role;
use crate::verdict::Outcome;

/// How much earlier than its deadline a subject's clock may see it: clocks have ticks.
const CLOCK_TOLERANCE: Duration = Duration::from_millis(5);
/// How much later than its deadline a subject may act, on a machine that runs many cases at once.
const LATENESS_TOLERANCE: Duration = Duration::from_secs(1);

const BOTH: &[Role] = &[Role::Server, Role::Client];
const SERVER: &[Role] = &[Role::Server];
const CLIENT: &[Role] = &[Role::Client];

/// Every case, in the order of the specification.
pub fn cases() -> impl Iterator<Item = &'static Case> {
    let areas = [
        header::CASES,
        sync_key::CASES,
        packets::CASES,
        framing::CASES,
        resync::CASES,
        damage::CASES,
        budget::CASES,
        data::CASES,
        messages::CASES,
        message_time::CASES,
        turns::CASES,
        reject::CASES,
        counts::CASES,
        handshake::CASES,
        hello_items::CASES,
        first_packet::CASES,
        admission::CASES,
        timers::CASES,
        evidence::CASES,
        heartbeat::CASES,
        pings::CASES,
        busy::CASES,
        busy_peer::CASES,
        unanswered::CASES,
        close::CASES,
        farewell::CASES,
        writing::CASES,
        back_pressure::CASES,
        slow_reader::CASES,
        backlog::CASES,
        away::CASES,
        asleep::CASES,
        flood::CASES,
        cut::CASES,
        application::CASES,
        drain::CASES,
        states::CASES,
        resilience::CASES,
        cookie::CASES,
        tcp::CASES,
    ];
    areas.into_iter().flatten()
}

/// `bad` is refused with this reason; `good`, which differs in one field, is taken on a connection of its own.
///
/// `good` must not be answered with a message; the connection has to work after it.
fn refuses(context: &mut Context<'_>, code: u16, bad: &Packet, good: &Packet) -> Outcome {
    let mut peer = context.establish()?;
    peer.send(bad)?;
    peer.expect_rejection(code)?;
    let mut peer = context.establish()?;
    peer.send(good)?;
    peer.alive()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::cases;

    #[test]
    fn every_case_is_of_a_requirement_of_the_specification() {
        for case in cases() {
            let known = pulsewire_spec::requirement(case.requirement());
            assert!(known.is_some(), "{} has no requirement", case.id);
        }
    }

    #[test]
    fn ids_are_unique() {
        let mut seen = HashSet::new();
        for case in cases() {
            assert!(seen.insert(case.id), "{} occurs twice", case.id);
        }
    }

    #[test]
    fn the_suite_is_as_wide_as_it_claims() {
        let requirements: HashSet<&str> = cases().map(|case| case.requirement()).collect();
        assert!(cases().count() >= 250, "{} cases", cases().count());
        assert!(requirements.len() >= 90, "{} requirements", requirements.len());
        let runs = cases().map(|case| case.variants(1).count()).sum::<usize>();
        assert!(runs >= 1_000, "{runs} runs");
    }
}
