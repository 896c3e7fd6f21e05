//! A pair under watch: every transition checks what must hold always.

use std::collections::BTreeSet;
use std::time::Duration;

use pulsewire_protocol::{Class, CloseReason, Config, Connection, Damage, Event, Message, Origin, SendRefused};

use super::reference::LONG;
use super::{CLIENT, Pair, Reference, SERVER, Setup, Transition, config, ms};

/// The largest message of a run: several frames of the smallest size.
const MESSAGE_MAX: u32 = 15_000;

/// Two connections, what they accepted, and how far their events were checked.
pub struct WatchedPair {
    pair: Pair,
    /// What each end accepted for sending.
    accepted: [Vec<Message<'static>>; 2],
    /// The classes of which each end was refused a message for want of room, and has not been told of room since.
    refused: [BTreeSet<Class>; 2],
    /// How many events of each end were checked.
    checked: [usize; 2],
    /// How many messages each end accepted up to the latest of each class that the other one received.
    matched: [[usize; 256]; 2],
    received: [u64; 2],
    /// An end was told to close before the handshake was complete, which is no orderly close.
    closed_early: bool,
}

/// Small limits, so that fragments and refusals are common. The stalls of a run are no fault of the peer's.
fn small(frame: u32, resync: bool) -> Config {
    let mut config = config();
    config.limits.frame = frame;
    config.limits.message = MESSAGE_MAX;
    config.limits.send_queue = MESSAGE_MAX as usize + 1_000;
    config.damage = if resync { Damage::Resynchronise } else { Damage::Close };
    config.heartbeat.idle = ms(20_000);
    config
}

impl WatchedPair {
    pub fn new(setup: &Setup) -> Self {
        let [client, server] = [small(setup.frame, setup.resync[CLIENT]), small(14_000, setup.resync[SERVER])];
        Self {
            pair: if setup.established { Pair::established(client, server) } else { Pair::new(client, server) },
            accepted: Default::default(),
            refused: Default::default(),
            checked: [0; 2],
            matched: [[0; 256]; 2],
            received: [0; 2],
            closed_early: false,
        }
    }

    fn connection(&mut self, end: usize) -> &mut Connection {
        &mut self.pair.ends[end].connection
    }

    /// Does it, and checks everything. The reference has been told of it.
    pub fn apply(&mut self, reference: &Reference, transition: &Transition) {
        let now = self.pair.now;
        match *transition {
            Transition::Send { end, class, sealed, size } => self.send(end, class, sealed, size),
            Transition::Close { end, reason } => self.close(end, reason),
            Transition::Drain { end } => self.connection(end).drain(now),
            Transition::Pause { end } => self.connection(end).pause(now),
            Transition::Resume { end } => self.connection(end).resume(now),
            Transition::Abort { end } => self.connection(end).abort(now),
            Transition::Wait(millis) => self.pair.run_for(ms(millis)),
            Transition::Latency(millis) => self.pair.latency = ms(millis),
            Transition::Step(step) => self.pair.step = step.max(1),
            Transition::Corrupt { to, spot, bit } => {
                // So that there is something under way.
                self.pair.transmit();
                self.pair.links[to].corrupt(spot, bit);
            }
            Transition::Insert { to, spot, count, noise } => {
                self.pair.transmit();
                self.pair.links[to].insert(spot, &Transition::noise(count, noise));
            }
            Transition::Stall { end, stalled } => self.pair.ends[end].stalled = stalled,
            Transition::Take { end, count } => self.pair.take(end, count),
            Transition::Cut => self.pair.cut = true,
        }
        self.pair.ends.iter_mut().for_each(super::End::poll_events);
        self.check(reference);
    }

    fn send(&mut self, end: usize, class: u8, sealed: bool, size: usize) {
        let message = Transition::message(class, sealed, size, self.accepted[end].len());
        let now = self.pair.now;
        match self.connection(end).send(now, message.clone()) {
            Ok(_) => self.accepted[end].push(message),
            Err(refused) => {
                assert_eq!(refused.message, message);
                let connection = self.connection(end);
                match refused.reason {
                    SendRefused::NotEstablished => assert!(!connection.is_open() && !connection.is_over()),
                    SendRefused::Closed(_) => assert!(!connection.is_open()),
                    SendRefused::Full => {
                        assert!(connection.queued() > 0);
                        self.refused[end].insert(Class(class));
                    }
                    SendRefused::TooLarge { limit } => assert!(size > limit as usize),
                    SendRefused::ReservedClass => assert!(Class(class).is_reserved()),
                    other => panic!("{other:?} is no reason here"),
                }
            }
        }
    }

    fn close(&mut self, end: usize, reason: CloseReason) {
        self.closed_early |= self.pair.ends.iter().any(|end| !end.connection.is_open() && end.events.is_empty());
        let now = self.pair.now;
        self.connection(end).close(now, reason);
    }

    fn check(&mut self, reference: &Reference) {
        for end in [CLIENT, SERVER] {
            let events = std::mem::take(&mut self.pair.ends[end].events);
            for index in self.checked[end]..events.len() {
                let (before, event) = (&events[..index], &events[index]);
                reference.check_event(end, event, before);
                match event {
                    Event::Message(message) => self.check_message(reference, end, message),
                    Event::Writable { class } => {
                        assert!(self.refused[end].remove(class), "room for {class:?}, which was not refused");
                    }
                    _ => {}
                }
            }
            self.checked[end] = events.len();
            self.pair.ends[end].events = events;
        }
        for end in [CLIENT, SERVER] {
            self.check_numbers(end);
            self.check_end(reference, end);
        }
    }

    /// PW-DAT-002, PW-DAT-011, PW-FRM-009: it was sent, it did not come before, it is whole, and nothing of its class that was
    /// sent later came before it; and where no bytes change under way, nothing is missing before it.
    fn check_message(&mut self, reference: &Reference, end: usize, message: &Message<'_>) {
        let sent = &self.accepted[1 - end];
        let class = usize::from(message.class.0);
        let from = self.matched[end][class];
        let of_class = sent.iter().enumerate().skip(from).filter(|(_, sent)| sent.class == message.class);
        let mut of_class = of_class.map(|(index, sent)| (index, sent == message));
        let found = match reference.setup.damage {
            true => of_class.find(|(_, same)| *same),
            false => of_class.next().filter(|(_, same)| *same),
        };
        let (index, _) = found.unwrap_or_else(|| panic!("a message that was not sent like this: {message:?}"));
        self.matched[end][class] = index + 1;
        self.received[end] += 1;
    }

    /// The statistics say what happened.
    fn check_numbers(&self, end: usize) {
        let statistics = self.pair.ends[end].connection.statistics();
        assert_eq!(statistics.messages_received, self.received[end]);
        assert_eq!(statistics.messages_sent, self.accepted[end].len() as u64);
        assert!(statistics.messages_handed_out <= statistics.messages_sent);
        assert_eq!(statistics.bytes_handed_out, statistics.bytes_taken + statistics.untaken);
        assert_eq!(statistics.untaken, self.pair.ends[end].handed.len() as u64);
        assert!(statistics.pongs_received <= statistics.pings_sent || statistics.gaps > 0);
    }

    /// PW-CLS-009 and section 9.2: why it ended, and what became of what was accepted.
    fn check_end(&self, reference: &Reference, end: usize) {
        let setup = &reference.setup;
        if !setup.damage {
            assert_eq!(self.pair.faults[end], None, "a packet that the peer must not send");
        }
        let Some((_, closed)) = &self.pair.ends[end].closed else { return };
        let handed = self.pair.ends[end].connection.statistics().messages_handed_out as usize;
        assert_eq!(closed.unsent.len(), self.accepted[end].len() - handed, "what was not handed out comes back");
        for class in 0..=u8::MAX {
            let of_class = |messages: &[Message<'static>]| -> Vec<Message<'static>> {
                messages.iter().filter(|message| message.class.0 == class).cloned().collect()
            };
            let (unsent, accepted) = (of_class(&closed.unsent), of_class(&self.accepted[end]));
            assert!(accepted.ends_with(&unsent), "the last ones of class {class}, in order");
        }
        assert_eq!(closed.received, self.received[end]);
        if !setup.damage {
            assert!(closed.acknowledged.is_none_or(|count| count <= self.received[1 - end]));
        }
        if setup.is_calm() {
            let asked = reference.closes.iter().flatten().any(|reason| *reason == closed.reason);
            assert!(asked || self.closed_early, "closed for no reason: {closed}");
            assert!(closed.orderly || self.closed_early, "not orderly: {closed}");
        }
    }

    /// The end of the run: all trouble ceases, and the client closes. Every run ends, each end says so once, and where both
    /// took leave and no bytes changed under way, everything that was accepted arrived (PW-CLS-001 to PW-CLS-006).
    pub fn finish(mut self, reference: &mut Reference) {
        for end in [CLIENT, SERVER] {
            self.pair.ends[end].stalled = false;
            let now = self.pair.now;
            self.connection(end).resume(now);
        }
        self.run(reference, ms(1_000));
        let last = Transition::Close { end: CLIENT, reason: CloseReason::NORMAL };
        reference.apply(&last);
        self.apply(reference, &last);
        self.run(reference, LONG);
        let orderly = [CLIENT, SERVER].map(|end| self.pair.closed(end).orderly);
        for end in [CLIENT, SERVER] {
            if orderly == [true, true] && !reference.setup.damage {
                let (closed, arrived) = (self.pair.closed(end), self.received[1 - end]);
                assert_eq!(arrived, self.accepted[end].len() as u64, "something got lost");
                if closed.origin == Origin::Local {
                    assert_eq!(closed.acknowledged, Some(arrived));
                }
            }
        }
    }

    fn run(&mut self, reference: &Reference, time: Duration) {
        self.pair.run_for(time);
        self.check(reference);
    }
}
