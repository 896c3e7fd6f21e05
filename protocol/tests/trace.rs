//! Same calls, same results: what was recorded replays to the same events and bytes.

use bytes::Bytes;
use proptest::prelude::*;
use pulsewire_protocol::{
    Class, CloseReason, Damage, Disconnect, Event, Flags, Instant, Kind, Message, Operation, Outcome, Recorder, Role,
};

use crate::pair::{PEER_KEY, SERVER_KEY, config, data, hello, hello_packet, ms, numbered, payload, seed, valid};

/// Valid packets, in most cases.
fn bytes() -> impl Strategy<Value = Bytes> {
    prop_oneof![
        4 => (0usize..6_000).prop_map(|size| data(Flags::FIRST | Flags::CHECKSUM, 4, &payload(size), SERVER_KEY)),
        2 => (1u64..6).prop_map(|number| numbered(Kind::PING, number, SERVER_KEY)),
        1 => prop::collection::vec(any::<u8>(), 0..40),
        // A part of a packet.
        1 => (1usize..6_000).prop_map(|size| data(Flags::FIRST, 4, &payload(6_000), SERVER_KEY)[..size].to_vec()),
    ]
    .prop_map(Bytes::from)
}

fn operation() -> impl Strategy<Value = Operation> {
    prop_oneof![
        6 => bytes().prop_map(Operation::Received),
        3 => bytes().prop_map(Operation::ReceivedDirect),
        4 => (0usize..9_000).prop_map(|max| Operation::PollTransmit { max }),
        4 => (0usize..9_000).prop_map(Operation::Transmitted),
        4 => Just(Operation::Timeout),
        6 => (0u8..8, 0usize..9_000).prop_map(|(class, size)| Operation::Send(Message::new(Class(class), payload(size)))),
        1 => Just(Operation::Drain),
        1 => Just(Operation::Pause),
        1 => Just(Operation::Resume),
        1 => Just(Operation::Close(CloseReason::NORMAL.into())),
        1 => Just(Operation::Disconnected(Disconnect::Reset)),
    ]
}

/// A server whose handshake is complete, in a recorder.
fn greeted() -> Recorder {
    let mut config = config();
    config.damage = Damage::Resynchronise;
    let mut recorder = Recorder::new(Instant::ZERO, Role::Server, &valid(config), seed(SERVER_KEY));
    let greeting = hello_packet(Kind::HELLO, &hello(PEER_KEY));
    let outcome = recorder.apply(Instant::ZERO, Operation::Received(greeting.into()));
    assert!(matches!(outcome.events[..], [Event::Established(_)]));
    recorder
}

proptest! {
    #[test]
    fn a_trace_replays_to_the_same_events_and_bytes(
        operations in prop::collection::vec((0u64..300, operation()), 0..40),
    ) {
        let mut recorder = greeted();
        let mut now = Instant::ZERO;
        let mut outcomes = Vec::new();
        for (wait, operation) in operations {
            now = now + ms(wait);
            outcomes.push(recorder.apply(now, operation));
        }
        let statistics = recorder.connection().statistics();
        let replay = recorder.into_trace().replay();
        prop_assert_eq!(&replay.outcomes[1..], &outcomes[..]);
        prop_assert_eq!(&replay.statistics, &statistics);
        let bytes: Vec<u8> = outcomes.iter().flat_map(|outcome| outcome.bytes.clone()).collect();
        prop_assert_eq!(replay.bytes(), bytes);
        let closed = replay.events().filter(|event| matches!(event, Event::Closed(_))).count();
        prop_assert!(closed <= 1);
    }
}

/// What an operation brings about stands with it: the refused message, the fault, and the end that follows from it.
#[test]
fn an_outcome_says_what_was_refused_and_what_was_wrong() {
    let mut recorder = greeted();
    let message = Message::new(Class(5), payload(3));
    let refused = recorder.apply(Instant::ZERO, Operation::Send(message.clone())).refused.expect("refused");
    assert_eq!(refused.message, message);

    let twice = hello_packet(Kind::HELLO, &hello(PEER_KEY));
    let passed_over = recorder.apply(Instant::ZERO, Operation::Received(twice.into()));
    assert_eq!(passed_over.fault, None, "its key is that of the first packet");
    let pong = numbered(Kind::PONG, 9, SERVER_KEY);
    let Outcome { fault, events, .. } = recorder.apply(Instant::ZERO, Operation::Received(pong.into()));
    assert_eq!(fault.expect("a fault").close_reason(), CloseReason::BAD_PONG);
    assert!(matches!(events.last(), Some(Event::Closed(_))));
}

/// What one poll handed out is written down, and makes room for the next.
#[test]
fn a_recorder_hands_out_batch_after_batch() {
    let mut recorder = greeted();
    let mut poll = || recorder.apply(Instant::ZERO, Operation::PollTransmit { max: 528 }).bytes;
    assert!(!poll().is_empty(), "HELLO_ACK");
    assert!(poll().is_empty());
    for _ in 0..3 {
        recorder.apply(Instant::ZERO, Operation::Send(Message::new(Class::ROOM, payload(500))));
        let message = recorder.apply(Instant::ZERO, Operation::PollTransmit { max: 528 }).bytes;
        assert!(message.len() > 500, "{} bytes", message.len());
    }
    assert!(!recorder.connection().has_transmit());
}
