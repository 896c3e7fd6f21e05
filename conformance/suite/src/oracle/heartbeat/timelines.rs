//! The timelines of spec section 8.6, and what else only a heartbeat without a connection shows to the millisecond.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::round_trip::RoundTrip;
use super::{Action, Heartbeat, UNANSWERED_MAX};
use crate::clock;
use crate::oracle::Behaviour;
use crate::profile::Profile;
use crate::random::Random;

/// A heartbeat with `idle` 5,000, `interval` 2,000, `probes` 3 and no jitter. The last evidence came at 0; times are in ms.
struct Timeline {
    heartbeat: Heartbeat,
    begun: Instant,
}

impl Timeline {
    fn new() -> Self {
        Self::with_extension(11_000)
    }

    fn with_extension(extension_max: u64) -> Self {
        let profile = Profile { extension_max: Some(ms(extension_max)), ..Profile::default() };
        let interval = profile.interval;
        let behaviour = Behaviour::new(profile, None, 1, Random::from_seed(1), Random::from_seed(1));
        let begun = clock::now();
        // A floor as long as `idle` leaves no room for jitter; the interval is not to be raised to it.
        let mut heartbeat = Heartbeat::new(Arc::new(behaviour), ms(5_000), begun);
        heartbeat.interval = interval;
        Self { heartbeat, begun }
    }

    fn at(&self, time: u64) -> Instant {
        self.begun + ms(time)
    }

    fn tick(&mut self, time: u64) -> Action {
        self.heartbeat.tick(self.at(time))
    }

    /// The next thing to do and when, where the side looks at its clock in time.
    fn next(&mut self) -> (u64, Action) {
        loop {
            let now = self.heartbeat.deadline();
            let action = self.heartbeat.tick(now);
            if action != Action::Wait {
                return (u64::try_from((now - self.begun).as_millis()).expect("a short time"), action);
            }
        }
    }

    /// The next probe, which has to come then; its PING is taken at once.
    fn probed(&mut self, time: u64, number: u64) {
        assert_eq!(self.next(), (time, Action::Probe(number)));
        self.ask(number, 20);
        self.heartbeat.ping_taken(self.at(time));
    }

    /// PING is handed out behind so many bytes, its own included.
    fn ask(&mut self, number: u64, unacknowledged: u64) {
        self.heartbeat.ping_handed_out(number, unacknowledged);
    }

    fn given_up(&mut self, time: u64) {
        assert_eq!(self.next(), (time, Action::GiveUp));
    }
}

fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

#[test]
fn the_peer_vanished() {
    let mut line = Timeline::new();
    line.probed(5_000, 1);
    assert!(!line.heartbeat.is_suspect());
    line.probed(7_000, 2);
    assert!(line.heartbeat.is_suspect());
    line.probed(9_000, 3);
    line.given_up(11_000);
}

#[test]
fn a_late_answer() {
    let mut line = Timeline::new();
    line.probed(5_000, 1);
    line.probed(7_000, 2);
    line.heartbeat.sign_of_life(line.at(7_300));
    line.heartbeat.pong(1, line.at(7_300)).expect("it was sent");
    assert!(!line.heartbeat.is_suspect());
    line.probed(12_300, 3);
}

#[test]
fn the_ping_waits_behind_bytes_that_the_transport_takes_slowly() {
    let mut line = Timeline::new();
    assert_eq!(line.next(), (5_000, Action::Probe(1)));
    line.heartbeat.bytes_taken();
    line.ask(1, 20);
    line.heartbeat.ping_taken(line.at(6_500));
    line.probed(8_500, 2);
    line.probed(10_500, 3);
    line.given_up(12_500);
}

#[test]
fn no_byte_is_acknowledged() {
    let mut line = Timeline::new();
    assert_eq!(line.next(), (5_000, Action::Probe(1)));
    line.given_up(11_000);
}

#[test]
fn the_ping_has_time_for_all_bytes_in_front_of_it() {
    let mut line = Timeline::with_extension(4_000);
    assert_eq!(line.next(), (5_000, Action::Probe(1)));
    line.ask(1, 30_720);
    for time in (7_000..=19_000).step_by(2_000) {
        line.heartbeat.bytes_taken();
        assert_eq!(line.tick(time - 1), Action::Wait);
        assert_eq!(line.tick(time), Action::Wait);
        assert!(!line.heartbeat.is_suspect(), "at {time}");
    }
    line.heartbeat.ping_taken(line.at(20_000));
    line.probed(22_000, 2);
    line.probed(24_000, 3);
    line.given_up(26_000);
}

#[test]
fn a_slow_round_trip() {
    let mut line = Timeline::new();
    line.heartbeat.round_trip = Some(RoundTrip::of(1.0, 0.5));
    line.probed(5_000, 1);
    line.probed(8_000, 2);
    line.probed(11_000, 3);
    line.given_up(14_000);
}

#[test]
fn round_trips_beyond_the_extension() {
    let mut line = Timeline::new();
    line.heartbeat.round_trip = Some(RoundTrip::of(2.0, 1.5));
    line.probed(5_000, 1);
    line.probed(13_000, 2);
    line.probed(20_000, 3);
    line.given_up(22_000);
}

#[test]
fn this_side_slept() {
    let mut line = Timeline::new();
    line.probed(5_000, 1);
    assert_eq!(line.tick(600_000), Action::Probe(2));
    line.ask(2, 20);
    line.heartbeat.ping_taken(line.at(600_000));
    line.probed(602_000, 3);
    line.probed(604_000, 4);
    line.given_up(606_000);
}

#[test]
fn a_late_wait_for_a_ping_that_is_not_acknowledged_starts_again() {
    let mut line = Timeline::new();
    assert_eq!(line.next(), (5_000, Action::Probe(1)));
    assert_eq!(line.tick(600_000), Action::Wait);
    assert!(!line.heartbeat.is_suspect());
    line.given_up(606_000);
}

#[test]
fn the_peer_pauses() {
    let mut line = Timeline::new();
    assert!(line.heartbeat.busy(ms(10_000), line.at(1_000)));
    assert!(line.heartbeat.busy(ms(10_000), line.at(6_000)));
    assert!(line.heartbeat.busy(ms(0), line.at(9_000)));
    assert_eq!(line.heartbeat.honoured(line.at(12_000)), ms(8_000));
    line.probed(14_000, 1);
    let mut line = Timeline::new();
    assert!(line.heartbeat.busy(ms(10_000), line.at(1_000)));
    line.probed(16_000, 1);
    assert_eq!(line.heartbeat.honoured(line.at(16_000)), ms(10_000));
}

/// PW-HB-025: the probes of the last silence count as sent, and the peer is given up when it is over.
#[test]
fn no_more_is_asked_than_may_be_unanswered() {
    let mut line = Timeline::new();
    let (last, mut time) = (UNANSWERED_MAX as u64, 0);
    for number in 1..=last {
        time += 5_000;
        line.probed(time, number);
        line.heartbeat.sign_of_life(line.at(time));
    }
    line.given_up(time + 11_000);
    assert!(line.heartbeat.is_suspect());
    line.heartbeat.sign_of_life(line.at(time + 12_000));
    line.heartbeat.pong(last, line.at(time + 12_000)).expect("it was sent");
    line.probed(time + 17_000, last + 1);
}
