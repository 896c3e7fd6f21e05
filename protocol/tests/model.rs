//! Random operations on two connections over a clean link: whatever happens in between, messages keep their promises.

mod pair;

use pair::*;
use proptest::prelude::*;
use pulsewire_protocol::{Class, CloseReason, Config, Damage, Disconnect, Flags, Kind, Message, SendRefused};

#[derive(Debug, Clone)]
enum Operation {
    Send {
        end: usize,
        class: u8,
        size: usize,
    },
    /// Time passes: bytes move.
    Wait(u64),
    Latency(u64),
    /// How many bytes are received at a time.
    Step(usize),
    /// The transport of this end takes nothing until it is told to.
    Stall {
        end: usize,
        stalled: bool,
    },
    /// This end stops reading, or reads again.
    Pause {
        end: usize,
        paused: bool,
    },
    Drain {
        end: usize,
    },
}

fn operation() -> impl Strategy<Value = Operation> {
    let size = prop_oneof![5 => 0usize..100, 2 => 400usize..600, 2 => 2_000usize..2_100, 1 => 3_000usize..20_000];
    prop_oneof![
        8 => (0usize..2, 0u8..4, size).prop_map(|(end, class, size)| Operation::Send { end, class, size }),
        4 => (0u64..60).prop_map(Operation::Wait),
        1 => (0u64..45).prop_map(Operation::Latency),
        1 => prop_oneof![1usize..30, 500usize..3_000, Just(usize::MAX)].prop_map(Operation::Step),
        1 => (0usize..2, any::<bool>()).prop_map(|(end, stalled)| Operation::Stall { end, stalled }),
        1 => (0usize..2, any::<bool>()).prop_map(|(end, paused)| Operation::Pause { end, paused }),
        1 => (0usize..2).prop_map(|end| Operation::Drain { end }),
    ]
}

/// A configuration with small limits, so that fragments and refusals are common.
fn small(frame: u32, damage: Damage) -> Config {
    let mut config = config();
    config.limits.frame = frame;
    config.limits.message = 15_000;
    config.limits.send_queue = 30_000;
    config.damage = damage;
    // Stalls of the model are no fault of the peer's.
    config.heartbeat.idle = ms(20_000);
    config
}

/// The pair, and what each end accepted.
struct Model {
    pair: Pair,
    accepted: [Vec<Message<'static>>; 2],
}

impl Model {
    fn run(operations: &[Operation], frame: u32, damage: [Damage; 2]) -> Self {
        let mut model = Self {
            pair: Pair::established(small(frame, damage[0]), small(14_000, damage[1])),
            accepted: Default::default(),
        };
        operations.iter().for_each(|operation| model.apply(operation));
        model
    }

    fn apply(&mut self, operation: &Operation) {
        match *operation {
            Operation::Send { end, class, size } => {
                let message = Message::new(Class(class), payload(size + self.accepted[end].len()));
                match self.pair.ends[end].connection.send(message.clone()) {
                    Ok(()) => self.accepted[end].push(message),
                    Err(refused) => {
                        assert_eq!(refused.message, message);
                        assert!(matches!(refused.reason, SendRefused::Full | SendRefused::TooLarge { limit: 15_000 }));
                    }
                }
            }
            Operation::Wait(time) => self.pair.run_for(ms(time)),
            Operation::Latency(latency) => self.pair.latency = ms(latency),
            Operation::Step(step) => self.pair.step = step,
            Operation::Stall { end, stalled } => self.pair.ends[end].stalled = stalled,
            Operation::Pause { end, paused: true } => self.pair.ends[end].connection.pause(self.pair.now),
            Operation::Pause { end, paused: false } => self.pair.ends[end].connection.resume(self.pair.now),
            Operation::Drain { end } => self.pair.ends[end].connection.drain(),
        }
    }

    fn received(&self, end: usize) -> Vec<Message<'static>> {
        self.pair.ends[end].messages().into_iter().cloned().collect()
    }
}

fn damage() -> impl Strategy<Value = Damage> {
    prop_oneof![Just(Damage::Close), Just(Damage::Resynchronise)]
}

proptest! {
    /// PW-DAT-002, PW-DAT-011, PW-HB-019, PW-CLS-001 to PW-CLS-006, PW-CLS-016: after an orderly close everything accepted arrived exactly once and in
    /// order, and the counts of both sides agree.
    #[test]
    fn everything_accepted_arrives_before_an_orderly_close(
        operations in prop::collection::vec(operation(), 1..60),
        frame in 512u32..3_000, damage in [damage(), damage()], closers in prop_oneof![Just([true, false]), Just([false, true]), Just([true, true])],
    ) {
        let mut model = Model::run(&operations, frame, damage);
        for (end, closes) in closers.into_iter().enumerate() {
            if closes {
                model.pair.ends[end].connection.close(CloseReason::NORMAL);
            }
            model.pair.ends[end].stalled = false;
            let now = model.pair.now;
            model.pair.ends[end].connection.resume(now);
        }
        model.pair.run_for(ms(4_000));
        for end in [CLIENT, SERVER] {
            let (closed, peer) = (model.pair.closed(end), model.pair.closed(1 - end));
            prop_assert!(closed.orderly && closed.unsent.is_empty(), "{closed:?}");
            prop_assert_eq!(&model.received(1 - end), &model.accepted[end]);
            prop_assert_eq!(peer.received, model.accepted[end].len() as u64);
            if closers[end] {
                prop_assert_eq!(closed.acknowledged, Some(peer.received));
            }
            prop_assert_eq!(model.pair.ends[end].connection.queued(), 0);
        }
    }

    /// When the link is cut: what arrived is the beginning of what was accepted, what comes back is the end of it, and what is
    /// missing between was handed out whole.
    #[test]
    fn a_cut_link_accounts_for_every_message(
        operations in prop::collection::vec(operation(), 1..60),
        frame in 512u32..3_000, damage in [damage(), damage()],
    ) {
        let mut model = Model::run(&operations, frame, damage);
        for end in &mut model.pair.ends {
            end.disconnect(Disconnect::NetworkLost);
        }
        for end in [CLIENT, SERVER] {
            let accepted = &model.accepted[end];
            let unsent = &model.pair.closed(end).unsent;
            let received = model.received(1 - end);
            // A message was handed out when its last frame was.
            let last_frames = model.pair.ends[end].sent.iter();
            let handed = last_frames.filter(|(_, header, _)| header.kind == Kind::DATA && !header.flags.contains(Flags::MORE));
            let handed = handed.count();
            prop_assert_eq!(handed + unsent.len(), accepted.len());
            prop_assert!(received.len() <= handed);
            prop_assert_eq!(&received[..], &accepted[..received.len()]);
            prop_assert_eq!(&unsent[..], &accepted[handed..]);
            prop_assert_eq!(model.pair.ends[end].connection.messages_sent(), accepted.len() as u64);
        }
    }
}

/// A link that is cut without a word: both sides notice by themselves, in time, and account for every message.
#[test]
fn a_silent_cut_is_noticed_by_both_sides() {
    let mut pair = Pair::established(config(), config());
    pair.run_for(ms(5_000));
    pair.cut = true;
    let cut_at = pair.now;
    pair.send(CLIENT, business(10));
    pair.run_for(ms(3_000));
    for end in &pair.ends {
        assert_eq!(end.closed().reason, CloseReason::PEER_TIMEOUT);
        // The last evidence came at most one `idle` before the cut.
        assert!(end.closed_at() - cut_at <= ms(1_300));
    }
}
