//! PW-FRM-001: how a stream was cut, and which way its bytes were read, has no effect.

use proptest::prelude::*;
use pulsewire_protocol::{CloseReason, Closed, Damage, Event, Flags, Kind};

use crate::pair::*;

/// A piece of a stream. Most are valid in some order, so that streams get far.
#[derive(Debug, Clone)]
enum Piece {
    Message {
        class: u8,
        encrypted: bool,
        size: usize,
    },
    /// Frames of one message, with whole ones of class 2 between them.
    Fragments {
        sizes: Vec<usize>,
        between: bool,
    },
    Ping,
    Ignorable {
        size: usize,
    },
    Reserved,
    /// A frame out of place, perhaps.
    Frame {
        flags: u8,
        class: u8,
        size: usize,
    },
    Close {
        reason: u16,
    },
    Garbage(Vec<u8>),
    /// A packet with the wrong key.
    Foreign {
        size: usize,
    },
    /// The piece, with one bit flipped.
    Damaged(Box<Self>, prop::sample::Index, u8),
    /// The front of the piece.
    Truncated(Box<Self>, prop::sample::Index),
}

fn size() -> impl Strategy<Value = usize> {
    prop_oneof![4 => 0usize..40, 1 => 2_000usize..2_100, 1 => Just(8_192usize), 1 => 3_000usize..8_192]
}

fn good_piece() -> impl Strategy<Value = Piece> {
    prop_oneof![
        4 => (0u8..5, any::<bool>(), size()).prop_map(|(class, encrypted, size)| Piece::Message { class, encrypted, size }),
        4 => (prop::collection::vec(size(), 1..5), any::<bool>())
            .prop_map(|(sizes, between)| Piece::Fragments { sizes, between }),
        2 => Just(Piece::Ping),
        1 => size().prop_map(|size| Piece::Ignorable { size }),
        1 => Just(Piece::Reserved),
    ]
}

fn piece() -> impl Strategy<Value = Piece> {
    let garbage = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..60),
        prop::collection::vec(prop_oneof![Just(0xF7u8), Just(0x9A)], 0..60),
    ];
    prop_oneof![
        12 => good_piece(),
        1 => (0u8..16, 0u8..8, size()).prop_map(|(flags, class, size)| Piece::Frame { flags, class, size }),
        1 => prop_oneof![Just(1u16), Just(28), any::<u16>()].prop_map(|reason| Piece::Close { reason }),
        2 => garbage.prop_map(Piece::Garbage),
        1 => size().prop_map(|size| Piece::Foreign { size }),
        2 => (good_piece(), any::<prop::sample::Index>(), 0u8..8)
            .prop_map(|(piece, index, bit)| Piece::Damaged(Box::new(piece), index, bit)),
        1 => (good_piece(), any::<prop::sample::Index>()).prop_map(|(piece, index)| Piece::Truncated(Box::new(piece), index)),
    ]
}

impl Piece {
    fn encode(&self, pings: &mut u64) -> Vec<u8> {
        let frame = |flags: Flags, class, size| data(flags | Flags::CHECKSUM, class, &payload(size), SERVER_KEY);
        match self {
            Self::Message { class, encrypted, size } => {
                frame(if *encrypted { Flags::FIRST | Flags::ENCRYPTED } else { Flags::FIRST }, *class, *size)
            }
            Self::Fragments { sizes, between } => {
                let mut bytes = Vec::new();
                for (index, size) in sizes.iter().enumerate() {
                    let first = if index == 0 { Flags::FIRST } else { Flags::NONE };
                    bytes.extend(frame(first | Flags::MORE, 4, size.max(&1).to_owned()));
                    if *between {
                        bytes.extend(frame(Flags::FIRST, 2, size / 2));
                    }
                }
                bytes.extend(frame(Flags::NONE, 4, sizes[0]));
                bytes
            }
            Self::Ping => {
                *pings += 1;
                numbered(Kind::PING, *pings, SERVER_KEY)
            }
            Self::Ignorable { size } => control(Kind(0xC1), &payload(*size), SERVER_KEY),
            Self::Reserved => control(Kind::BUSY, &[0; 4], SERVER_KEY),
            Self::Frame { flags, class, size } => frame(Flags(*flags), *class, *size),
            Self::Close { reason } => close(CloseReason(*reason), 3, 0, &item(0x8010, b"so"), SERVER_KEY),
            Self::Garbage(bytes) => bytes.clone(),
            Self::Foreign { size } => data(Flags::FIRST | Flags::CHECKSUM, 4, &payload(*size), PEER_KEY),
            Self::Damaged(piece, index, bit) => {
                let mut bytes = piece.encode(pings);
                let at = index.index(bytes.len());
                bytes[at] ^= 1 << bit;
                bytes
            }
            Self::Truncated(piece, index) => {
                let mut bytes = piece.encode(pings);
                bytes.truncate(index.index(bytes.len()));
                bytes
            }
        }
    }
}

/// All that may not depend on the cuts.
#[derive(Debug, PartialEq)]
struct Outcome {
    events: Vec<Event<'static>>,
    fault: Option<CloseReason>,
    closed: Option<Closed>,
    received: u64,
    /// What was answered last, and what went out at the end.
    pong: Option<Vec<u8>>,
}

/// Whether the bytes up to each cut go into the lent buffer where there is one.
fn run(stream: &[u8], cuts: &[(usize, bool)], damage: Damage) -> Outcome {
    let mut config = config();
    config.damage = damage;
    config.limits.frame = 8_192;
    config.limits.message = 20_000;
    let mut end = End::server(config);
    let mut from = 0;
    let mut fault = None;
    for &(cut, direct) in cuts.iter().chain([&(stream.len(), false)]) {
        let bytes = &stream[from..cut];
        let result = if direct { end.receive_direct(bytes) } else { end.receive(bytes) };
        fault = fault.or(result.err().map(|error| error.close_reason()));
        from = cut;
    }
    let mut closed = end.closed.take().map(|(_, closed)| closed);
    if let Some(closed) = closed.as_mut().filter(|closed| closed.reason == CloseReason::RESYNC_BUDGET) {
        // How far beyond the budget it was when that was noticed depends on how much came at once.
        closed.detail.clear();
    }
    end.hand_out();
    Outcome {
        fault,
        closed,
        received: end.connection.messages_received(),
        pong: end.sent_of(Kind::PONG).last().map(|(_, payload)| payload.to_vec()),
        events: end.events,
    }
}

proptest! {
    #[test]
    fn any_split_gives_the_same_events(
        pieces in prop::collection::vec(piece(), 1..24),
        cuts in prop::collection::vec((any::<prop::sample::Index>(), any::<bool>()), 0..40),
        resync: bool,
    ) {
        let mut pings = 0;
        let stream: Vec<u8> = pieces.iter().flat_map(|piece| piece.encode(&mut pings)).collect();
        let damage = if resync { Damage::Resynchronise } else { Damage::Close };
        let mut cuts: Vec<(usize, bool)> = cuts.iter().map(|(cut, direct)| (cut.index(stream.len() + 1), *direct)).collect();
        cuts.sort_unstable();
        let at_once = run(&stream, &[], damage);
        prop_assert_eq!(&run(&stream, &cuts, damage), &at_once);
        if stream.len() < 3_000 {
            let every_byte: Vec<(usize, bool)> = (0..stream.len()).map(|cut| (cut, resync)).collect();
            prop_assert_eq!(&run(&stream, &every_byte, damage), &at_once);
        }
    }

    /// Nothing panics, whatever comes, before the handshake and after it.
    #[test]
    fn any_bytes_are_harmless(bytes in prop::collection::vec(any::<u8>(), 0..300), chunk in 1usize..50, greeted: bool) {
        let connection = pulsewire_protocol::Connection::server(at(0), &valid(config()), seed(SERVER_KEY));
        let mut end = if greeted { End::server(config()) } else { End::new(connection, PEER_KEY) };
        bytes.chunks(chunk).for_each(|chunk| drop(end.receive_direct(chunk)));
        end.hand_out();
    }
}

/// Streams do get far: or the property above would say little.
#[test]
fn the_generated_streams_hold_messages_and_gaps() {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;

    let mut runner = TestRunner::deterministic();
    let (mut messages, mut gaps) = (0, 0);
    for _ in 0..100 {
        let pieces = prop::collection::vec(piece(), 1..24).new_tree(&mut runner).unwrap().current();
        let mut pings = 0;
        let stream: Vec<u8> = pieces.iter().flat_map(|piece| piece.encode(&mut pings)).collect();
        let outcome = run(&stream, &[], Damage::Resynchronise);
        messages += outcome.received;
        gaps += outcome.events.iter().filter(|event| matches!(event, Event::Gap(_))).count();
    }
    assert!(messages > 300 && gaps > 30, "{messages} messages, {gaps} gaps");
}
