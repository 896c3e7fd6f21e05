//! A model check of the time of an open message (PW-DAT-013, PW-DAT-014): the real clock, and a sender that sends at exactly the
//! least rate and chooses what it sends in every way that the rules allow.
//!
//! A tick is what 16 bytes take, header and trailer included. The clock is moved back after each tick, so that the states are finite
//! and the result holds for a message of any length.

use std::println;
use std::vec::Vec;

use stateright::{Checker, Model, Property};

use super::*;
use crate::model_state::compare_by_debug;
use crate::wire::{Class, Flags, Kind};

const NOW: Instant = Instant::from_nanos(1_000_000 * TICK.as_nanos() as u64);
const TICK: Duration = Duration::from_secs(1);
const RATE: u32 = 16;
/// The largest frame takes four ticks.
const FRAME_LIMIT: u32 = 48;
const BASE: u32 = 2;
const BUSY_MAX: u32 = 5;

/// What the sender may do.
#[derive(Debug, Clone, Copy)]
struct Sender {
    /// Ticks beyond those of the frame before that it gives to other messages between two frames.
    greed: u32,
    /// Ticks in all by which the network holds up what it sends.
    delay: u32,
}

#[derive(Debug, Clone)]
struct World {
    time: MessageTime,
    /// Ticks that may go to other messages before the next frame, and in which nothing need arrive.
    others: u32,
    delays: u32,
    /// Ticks for which the peer pauses, and has paused.
    pausing: u32,
    paused: u32,
    stalled: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// A frame of the message, that takes so many ticks.
    Frame(u32),
    /// A tick for other messages.
    Other,
    /// A tick in which nothing arrives.
    Delay,
    /// The peer says that it pauses for so many ticks, during which nothing arrives.
    Pause(u32),
}

impl World {
    fn pass(&mut self) {
        if self.pausing > 0 {
            self.pausing -= 1;
            self.paused += 1;
        }
        let earlier = |instant: Instant| Instant::from_nanos(instant.as_nanos() - TICK.as_nanos() as u64);
        self.time.settle(NOW + TICK);
        self.time.deadline = earlier(self.time.deadline);
        self.time.rest = Rest::new(TICK * (BUSY_MAX - self.paused));
        let until = (self.pausing > 0).then(|| NOW + TICK * self.pausing);
        self.time.peer_pauses(NOW, until);
        self.stalled |= self.time.deadline() <= NOW;
    }
}

compare_by_debug!(World);

fn frame(ticks: u32) -> Header {
    Header { kind: Kind::DATA, flags: Flags::MORE, class: Class::BUSINESS, length: RATE * ticks - 16 }
}

impl Model for Sender {
    type State = World;
    type Action = Step;

    fn init_states(&self) -> Vec<World> {
        let timeouts = Timeouts { assembly_base: TICK * BASE, assembly_rate: RATE, ..Timeouts::default() };
        let time = MessageTime::new(NOW, FRAME_LIMIT, &timeouts, None, TICK * BUSY_MAX);
        [World { time, others: 0, delays: self.delay, pausing: 0, paused: 0, stalled: false }].into()
    }

    fn actions(&self, world: &World, steps: &mut Vec<Step>) {
        if world.stalled {
            return;
        }
        steps.extend((2..=4).map(Step::Frame));
        steps.extend((world.others > 0).then_some(Step::Other));
        steps.extend((world.delays > 0).then_some(Step::Delay));
        steps.extend((1..=BUSY_MAX - world.paused).map(Step::Pause));
    }

    fn next_state(&self, world: &World, step: Step) -> Option<World> {
        let mut next = world.clone();
        match step {
            Step::Frame(ticks) => {
                next.time.add(NOW, &frame(ticks), RATE);
                (0..ticks).for_each(|_| next.pass());
                next.time.add(NOW, &frame(ticks), RATE);
                next.others = ticks + self.greed;
            }
            Step::Other => {
                next.others -= 1;
                next.pass();
            }
            Step::Delay => {
                next.delays -= 1;
                next.pass();
            }
            Step::Pause(ticks) => {
                next.pausing = ticks;
                next.time.peer_pauses(NOW, Some(NOW + TICK * ticks));
                (0..ticks).for_each(|_| next.pass());
            }
        }
        Some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        [
            Property::always("a message that goes on at the least rate is not given up", |_, world: &World| {
                !world.stalled
            }),
            Property::always("nobody has more time than the whole", |_, world: &World| {
                world.time.deadline() - NOW <= TICK * (BASE + 4 + BUSY_MAX)
            }),
        ]
        .into()
    }
}

fn search(name: &str, sender: Sender) -> bool {
    let checker = sender.checker().threads(2).spawn_bfs().join();
    let holds = sender.properties().iter().all(|property| checker.discovery(property.name).is_none());
    let result = if holds { "holds" } else { "the message can be given up" };
    println!("model: an open message, {name}: {} states, {result}", checker.unique_state_count());
    holds
}

#[test]
fn a_message_at_the_least_rate_keeps_its_time_and_the_limit_is_tight() {
    assert!(search("half of all bytes for others", Sender { greed: 0, delay: 0 }));
    assert!(search(
        "half for others, and a network late by less than `assembly_base`",
        Sender { greed: 0, delay: BASE - 1 }
    ));
    assert!(!search("half for others, and a network late by `assembly_base`", Sender { greed: 0, delay: BASE }));
    assert!(!search("more than half for others", Sender { greed: 2, delay: 0 }));
}
