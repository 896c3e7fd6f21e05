//! What may be done to two connections and the link between them, and what may come of it.

use pulsewire_protocol::{Class, CloseReason, Event, Message, Payload};

use super::{Spot, ms};

/// What a run begins with: sizes, and the kinds of trouble that it may hold. The calmer a run, the more is known of it.
#[derive(Debug, Clone)]
pub struct Setup {
    /// The client's frame limit; the server's is as large as its messages.
    pub frame: u32,
    /// The handshake is complete before anything else happens.
    pub established: bool,
    /// Which ends announce RESYNC. Bytes on the way to the others stay whole: they rely on a transport that sees to that.
    pub resync: [bool; 2],
    /// Bytes change under way, but those of the handshake: nothing protects what it agrees on.
    pub damage: bool,
    /// Transports take nothing for a while, applications read nothing.
    pub stalls: bool,
    /// The link is cut, or an end aborts.
    pub cuts: bool,
}

impl Setup {
    /// Nothing but the two ends themselves decides how it goes.
    pub fn is_calm(&self) -> bool {
        !self.damage && !self.stalls && !self.cuts
    }
}

/// Something that happens. `end` and `to` are 0 for the client, 1 for the server.
#[derive(Debug, Clone)]
pub enum Transition {
    Send {
        end: usize,
        class: u8,
        sealed: bool,
        size: usize,
    },
    Close {
        end: usize,
        reason: CloseReason,
    },
    Drain {
        end: usize,
    },
    /// The application stops reading.
    Pause {
        end: usize,
    },
    Resume {
        end: usize,
    },
    Abort {
        end: usize,
    },
    /// So many milliseconds pass, and bytes move.
    Wait(u64),
    /// What is written from now on takes so many milliseconds.
    Latency(u64),
    /// What arrives is received in pieces of at most so many bytes; what arrives together is glued first.
    Step(usize),
    Corrupt {
        to: usize,
        spot: Spot,
        bit: u8,
    },
    /// Noise: never a packet, since who makes noise does not know the key.
    Insert {
        to: usize,
        spot: Spot,
        count: usize,
        noise: u32,
    },
    /// The transport takes nothing of its own accord, or takes all again.
    Stall {
        end: usize,
        stalled: bool,
    },
    /// The stalled transport takes so many bytes.
    Take {
        end: usize,
        count: usize,
    },
    /// From now on everything is lost, without a word.
    Cut,
}

/// The model: what was done so far.
#[derive(Debug, Clone)]
pub struct Reference {
    pub setup: Setup,
    /// What each end was told to close with.
    pub closes: [Vec<CloseReason>; 2],
    pub drained: [bool; 2],
    pub paused: [bool; 2],
    pub stalled: [bool; 2],
    pub cut: bool,
}

impl Reference {
    pub fn new(setup: Setup) -> Self {
        Self {
            setup,
            closes: [Vec::new(), Vec::new()],
            drained: [false; 2],
            paused: [false; 2],
            stalled: [false; 2],
            cut: false,
        }
    }

    /// Whether this fits to the run, and changes anything.
    pub fn permits(&self, transition: &Transition) -> bool {
        let Setup { established, resync, damage, stalls, cuts, .. } = &self.setup;
        match transition {
            Transition::Send { .. }
            | Transition::Close { .. }
            | Transition::Drain { .. }
            | Transition::Wait(_)
            | Transition::Latency(_)
            | Transition::Step(_) => true,
            Transition::Corrupt { to, .. } | Transition::Insert { to, .. } => *damage && *established && resync[*to],
            Transition::Pause { end } => *stalls && !self.paused[*end],
            Transition::Resume { end } => self.paused[*end],
            Transition::Stall { end, stalled } => *stalls && self.stalled[*end] != *stalled,
            Transition::Take { end, .. } => self.stalled[*end],
            Transition::Abort { .. } => *cuts,
            Transition::Cut => *cuts && !self.cut,
        }
    }

    pub fn apply(&mut self, transition: &Transition) {
        match transition {
            Transition::Close { end, reason } => self.closes[*end].push(*reason),
            Transition::Drain { end } => self.drained[*end] = true,
            Transition::Pause { end } => self.paused[*end] = true,
            Transition::Resume { end } => self.paused[*end] = false,
            Transition::Stall { end, stalled } => self.stalled[*end] = *stalled,
            Transition::Cut => self.cut = true,
            Transition::Send { .. }
            | Transition::Abort { .. }
            | Transition::Wait(_)
            | Transition::Latency(_)
            | Transition::Step(_)
            | Transition::Corrupt { .. }
            | Transition::Insert { .. }
            | Transition::Take { .. } => {}
        }
    }

    /// Checks an event of `end` against what was done, and against the events before it. `Closed` is told apart.
    pub fn check_event(&self, end: usize, event: &Event<'_>, before: &[Event<'_>]) {
        let peer = 1 - end;
        let had = |wanted: fn(&Event<'_>) -> bool| before.iter().any(wanted);
        let established = had(|event| matches!(event, Event::Established(_)));
        let closing = had(|event| matches!(event, Event::Closing(_)));
        match event {
            Event::Established(_) => assert!(before.is_empty(), "the handshake ended after other events"),
            Event::Message(_) => assert!(established && !closing, "a message out of place"),
            Event::Draining { .. } => {
                let again = had(|event| matches!(event, Event::Draining { .. }));
                assert!(established && !closing && !again && self.drained[peer], "DRAIN out of place");
            }
            Event::Closing(said) => {
                let asked = self.setup.damage || self.closes[peer].contains(&said.reason);
                assert!(established && !closing && asked, "CLOSE out of place: {said:?}");
            }
            Event::Gap(_) | Event::TooLarge(_) | Event::Rejected(_) => {
                assert!(established && self.setup.damage, "damage where there was none: {event:?}");
            }
            Event::Writable { .. } => assert!(established && !closing, "room on a connection that takes nothing more"),
            Event::Suspect(_) => assert!(established && !self.setup.is_calm(), "suspect without a cause"),
            Event::Recovered(_) => {
                let suspect =
                    before.iter().rev().find(|event| matches!(event, Event::Suspect(_) | Event::Recovered(_)));
                assert!(matches!(suspect, Some(Event::Suspect(_))), "recovered without having been suspect");
            }
            other => panic!("{other:?} has no place here"),
        }
    }
}

impl Transition {
    /// The message that `Send` tells of, as the `number`th of its end: different from those around it.
    pub fn message(class: u8, sealed: bool, size: usize, number: usize) -> Message<'static> {
        let pattern = (0..size).map(|index| (index * 31 + index / 251 + number * 7) as u8).collect::<Vec<u8>>();
        Message { class: Class(class), encrypted: sealed, payload: Payload::from(pattern) }
    }

    /// Bytes for `Insert`.
    pub fn noise(count: usize, noise: u32) -> Vec<u8> {
        let mut state = noise | 1;
        let step = || {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            (state >> 24) as u8
        };
        std::iter::repeat_with(step).take(count).collect()
    }
}

/// After this long any run is at its end, whatever happened in it: every time limit of both ends has passed.
pub const LONG: std::time::Duration = ms(200_000);
