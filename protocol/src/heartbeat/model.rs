//! A model check of the heartbeat (section 8 of the specification): the real machine, every order of events.
//!
//! Time goes in ticks. In each tick the world may do whatever a setup allows (answer now or later, lose a packet, take a PING
//! late, pause, die, block this side's own loop), then the machine judges. The clock is moved back after each tick, so that
//! the states are finite and the result holds for any length of time.

mod world;

use std::string::String;
use std::vec::Vec;
use std::{format, println};

use stateright::{Checker, Model};

use super::*;

/// The present, always.
const NOW: Instant = Instant::from_nanos(1_000_000 * TICK.as_nanos() as u64);
const TICK: Duration = Duration::from_secs(1);

/// What the world may do. All times in ticks.
#[derive(Debug, Clone, Copy)]
struct Setup {
    idle: u32,
    interval: u32,
    probes: u32,
    /// A living peer's answer arrives at most this long after the transport took the PING.
    delay: u32,
    /// So many exchanges in a row may be lost.
    losses: u32,
    /// A PING is acknowledged at most this late, as long as the peer lives.
    flush: u32,
    /// Until then something is acknowledged at least once in so many ticks.
    lumps: Option<u32>,
    /// What the bytes in front of a PING take at the least rate.
    transfer: u32,
    /// As much may be added for slow round trips and writes; else the bound again.
    extension_max: Option<u32>,
    /// This side may be blocked for as long as this.
    stall: u32,
    /// The peer may pause for as long as this, again and again up to `busy_max`.
    pause: u32,
    busy_max: u32,
    /// The round trip that was measured before; it sets the wait for an answer.
    measured: Option<u32>,
}

const CALM: Setup = Setup {
    idle: 3,
    interval: 2,
    probes: 3,
    delay: 2,
    losses: 0,
    flush: 0,
    lumps: None,
    transfer: 0,
    extension_max: None,
    stall: 0,
    pause: 0,
    busy_max: 0,
    measured: None,
};

impl Setup {
    fn config(&self) -> HeartbeatConfig {
        HeartbeatConfig {
            idle: TICK * self.idle,
            interval: TICK * self.interval,
            probes: self.probes,
            busy_max: TICK * self.busy_max,
            extension_max: self.extension_max.map(|ticks| TICK * ticks),
            ..HeartbeatConfig::default()
        }
    }

    fn bound(&self) -> u32 {
        self.idle + self.interval * self.probes
    }

    /// The earliest verdict: the bound, and what a measured round trip adds to every wait.
    fn shortest(&self) -> u32 {
        let wait = self.measured.map_or(self.interval, |measured| measured.clamp(self.interval, 4 * self.interval));
        self.idle + (wait * self.probes).min(self.interval * self.probes + self.extension_max())
    }

    fn extension_max(&self) -> u32 {
        self.extension_max.unwrap_or(self.bound())
    }

    /// All that PW-HB-013 allows: `extension_max`, what the bytes in front of each PING take, the wait granted for a stall of
    /// this side's own, and its stalls, one at each deadline.
    fn longest(&self) -> u32 {
        let transfers = (self.probes + 1) * self.transfer;
        self.bound() + self.extension_max() + transfers + 4 * self.interval + (self.probes + 2) * self.stall
    }
}

/// Searches all states; gives their number, and the names of the properties that do not hold, with the shortest way there.
fn search(name: &str, setup: Setup) -> (usize, Vec<String>) {
    let checker = setup.checker().threads(2).spawn_bfs().join();
    let mut broken = Vec::new();
    for property in setup.properties() {
        let found = checker.discovery(property.name);
        let holds = match property.expectation {
            stateright::Expectation::Sometimes => found.is_some(),
            stateright::Expectation::Always | stateright::Expectation::Eventually => found.is_none(),
        };
        if !holds {
            let way = found.map_or_else(String::new, |path| format!("{:?}", path.into_actions()));
            broken.push(format!("{}: {way}", property.name));
        }
    }
    let states = checker.unique_state_count();
    let result = if broken.is_empty() { "holds" } else { "a living peer can be given up" };
    println!("model: {name}: {states} states, {result}");
    (states, broken)
}

fn holds(name: &str, setup: Setup) {
    let (states, broken) = search(name, setup);
    assert!(broken.is_empty(), "{name}, {states} states: {broken:#?}");
}

/// The same with one more of something: then a living peer can be given up, so the limit is tight.
fn breaks(name: &str, setup: Setup) {
    let (_, broken) = search(name, setup);
    assert!(
        broken.iter().any(|text| text.starts_with("a living peer")),
        "{name}: the limit could be wider: {broken:#?}"
    );
}

/// With `losses` exchanges lost in a row, the answer to the next PING is in time if it comes before the last wait is over.
#[test]
fn losses_and_delays_within_the_bound_are_no_false_verdict_and_the_bound_is_tight() {
    for probes in 1..=3 {
        for losses in 0..probes {
            let delay = (probes - losses) * CALM.interval;
            let setup = Setup { probes, losses, delay, ..CALM };
            holds(&format!("{probes} probes, {losses} lost, answers after {delay} ticks"), setup);
            breaks(
                &format!("{probes} probes, {losses} lost, answers after {} ticks", delay + 1),
                Setup { delay: delay + 1, ..setup },
            );
        }
        let lost = Setup { probes, losses: probes, delay: 1, ..CALM };
        breaks(&format!("{probes} probes, {probes} lost"), lost);
    }
}

/// A round trip that was measured as long makes the wait longer: it is tolerated, and the verdict itemises it.
#[test]
fn a_slow_round_trip_is_waited_for() {
    let delay = 3 * CALM.probes;
    holds("a measured round trip of 3 ticks", Setup { measured: Some(3), delay, ..CALM });
    breaks("a measured round trip of 3 ticks, answers later", Setup { measured: Some(3), delay: delay + 1, ..CALM });
}

/// A PING that the transport takes late, be it while bytes before it trickle or while nothing moves (PW-HB-010, PW-HB-011).
#[test]
fn a_slow_transport_is_not_a_dead_peer() {
    for flush in 1..=CALM.interval {
        holds(&format!("PINGs taken up to {flush} ticks late"), Setup { flush, ..CALM });
    }
}

/// A link that is slow but moves: what the bytes in front of a PING take at the least rate is waited for, also where nothing else
/// may be added (PW-HB-011, PW-HB-013). The peer may die at any moment, and is found all the same.
#[test]
fn a_link_that_moves_is_waited_for() {
    for transfer in [4, 8] {
        let setup = Setup { flush: transfer, lumps: Some(1), transfer, extension_max: Some(0), ..CALM };
        holds(&format!("PINGs acknowledged up to {transfer} ticks late, while bytes before them are"), setup);
        breaks(
            &format!("PINGs acknowledged up to {} ticks late", transfer + 3),
            Setup { flush: transfer + 3, probes: 1, ..setup },
        );
    }
}

/// The same where bytes are acknowledged in lumps, so that waits pass without any: they count no more when the next one comes.
#[test]
fn a_link_that_moves_in_lumps_is_waited_for() {
    let (lumps, transfer) = (CALM.interval * CALM.probes, 16);
    let setup = Setup { flush: transfer, lumps: Some(lumps), transfer, extension_max: Some(0), ..CALM };
    holds(&format!("PINGs acknowledged up to {transfer} ticks late, while a byte is every {lumps} ticks"), setup);
    breaks(&format!("the same, while a byte is every {} ticks", lumps + 2), Setup { lumps: Some(lumps + 2), ..setup });
}

/// This side is blocked now and then: the peer is asked once more (PW-HB-016).
#[test]
fn a_stall_of_this_side_costs_the_peer_nothing() {
    for stall in 1..=6 {
        holds(&format!("this side blocked for up to {stall} ticks"), Setup { stall, ..CALM });
    }
}

/// The peer pauses, and may die meanwhile (section 8.4).
#[test]
fn a_pause_is_not_a_silence() {
    holds("the peer pauses", Setup { pause: 2, busy_max: 5, ..CALM });
}

/// All of it together, in every order.
#[test]
fn everything_at_once() {
    let setup = Setup { delay: 4, losses: 1, flush: 1, stall: 2, pause: 2, busy_max: 5, ..CALM };
    holds("losses, delays, slow writes, stalls and pauses together", setup);
}

/// The same with larger numbers: minutes, for `.ci/deep-check`.
#[test]
#[ignore = "takes minutes"]
fn everything_at_once_and_more_of_it() {
    let setup = Setup { idle: 4, interval: 3, delay: 6, losses: 1, flush: 1, stall: 3, pause: 3, busy_max: 7, ..CALM };
    holds("the same with longer times", setup);
}
