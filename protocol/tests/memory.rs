//! What a connection holds: never more than its limits allow, whatever arrives; and next to nothing when it is idle or
//! over.

mod pair;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use pair::*;
use proptest::prelude::*;
use pulsewire_protocol::{Class, Connection, Damage, Disconnect, Flags, Instant, Kind, Message, TimingWheel, Transmit};

struct Counting;

thread_local! {
    /// Bytes that the thread of a test holds.
    static LIVE: Cell<usize> = const { Cell::new(0) };
}

fn live() -> usize {
    LIVE.get()
}

// SAFETY: passes every call on unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        LIVE.set(live().wrapping_add(layout.size()));
        // SAFETY: as the caller promised.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        LIVE.set(live().wrapping_sub(layout.size()));
        // SAFETY: as the caller promised.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// How much more a connection holds after it ended than before it received, if the peer sent this last.
fn held_after(last: &[u8]) -> usize {
    let mut end = End::server(config());
    let before = live();
    let frame = data(Flags::FIRST | Flags::MORE, 4, &[7; 60_000], SERVER_KEY);
    end.receive(&frame).unwrap();
    for _ in 0..20 {
        end.receive(&data(Flags::MORE, 4, &[7; 60_000], SERVER_KEY)).unwrap();
    }
    end.receive(last).unwrap();
    assert!(live() - before > 1_000_000);
    end.disconnect(Disconnect::Reset);
    drop(frame);
    end.held = Vec::new();
    live().saturating_sub(before)
}

#[test]
fn a_connection_that_sent_everything_holds_no_batches() {
    let mut end = End::server(config());
    let before = live();
    for _ in 0..2_000 {
        end.connection.send(end.now, Message::new(Class::BUSINESS, &[7; 100])).unwrap();
    }
    assert!(live() - before > 200_000);
    let mut batch = Transmit::new();
    while end.connection.poll_transmit(end.now, usize::MAX, &mut batch) {
        let count = batch.len();
        end.connection.transmitted(end.now, &mut batch, count);
    }
    drop(batch);
    let held = live().saturating_sub(before);
    assert!(held < 2_000, "{held} bytes");
}

#[test]
fn a_connection_that_is_over_lets_go_of_the_message_under_way() {
    let between_frames = held_after(&[]);
    assert!(between_frames < 10_000, "{between_frames} bytes");
    let frame = data(Flags::MORE, 4, &[7; 60_000], SERVER_KEY);
    let within_a_frame = held_after(&frame[..30_000]);
    assert!(within_a_frame < 10_000, "{within_a_frame} bytes");
}

/// A connection that is established, has sent and received and then fell silent: what it is and holds together, besides its
/// share of the configuration.
#[test]
fn an_idle_connection_is_small() {
    let config = valid(config());
    let connections =
        [Connection::client(Instant::ZERO, &config, seed(1)), Connection::server(Instant::ZERO, &config, seed(2))];
    let mut pair = Pair::of(connections, [1, 2]);
    pair.run_for(ms(10));
    for size in [10, 3_000, 200_000] {
        pair.send(CLIENT, business(size));
        pair.send(SERVER, business(size));
    }
    pair.run_for(ms(10_000));
    for end in pair.ends {
        assert_eq!((end.messages().len(), end.connection.buffered()), (3, 0));
        let End { connection, .. } = end;
        let before = live();
        drop(connection);
        let held = size_of::<Connection>() + before.wrapping_sub(live());
        assert!(held <= 512, "{held} bytes");
    }
}

/// A million deadlines that have moved and passed.
#[test]
fn a_deadline_takes_at_most_twelve_bytes() {
    const COUNT: u32 = 1_000_000;
    let before = live();
    let mut wheel = TimingWheel::new();
    for round in 1..4 {
        let at = |slot| Instant::from_nanos(round * 5_000_000_000 + u64::from(slot) * 1_000);
        (0..COUNT).for_each(|slot| wheel.note(slot, at(slot)));
        while wheel.expire(at(COUNT / 2), |slot| Some(at(slot))).is_some() {}
    }
    let held = live().wrapping_sub(before);
    assert!(held <= 12 * COUNT as usize, "{held} bytes");
}

const FRAME: usize = 10_000;
const MESSAGE: usize = 100_000;

/// A packet that a peer might send to make this side hold much.
fn packet() -> impl Strategy<Value = Vec<u8>> {
    let frame = |flags: Flags, class, size: usize| data(flags | Flags::CHECKSUM, class, &vec![7; size], SERVER_KEY);
    prop_oneof![
        2 => (1..FRAME).prop_map(move |size| frame(Flags::FIRST | Flags::MORE, 4, size)),
        16 => (1..FRAME).prop_map(move |size| frame(Flags::MORE, 4, size)),
        1 => (1..FRAME).prop_map(move |size| frame(Flags::NONE, 4, size)),
        2 => (1..FRAME).prop_map(move |size| frame(Flags::FIRST, 2, size)),
        1 => (1..FRAME, any::<prop::sample::Index>()).prop_map(move |(size, cut)| {
            let mut bytes = frame(Flags::MORE, 4, size);
            bytes.truncate(cut.index(bytes.len()));
            bytes
        }),
        1 => (0..FRAME).prop_map(|size| control(Kind(0xC0), &vec![1; size], SERVER_KEY)),
        1 => any::<u32>().prop_map(|pause| busy(pause, SERVER_KEY)),
        1 => any::<u16>().prop_map(|reason| reject(0, reason, SERVER_KEY)),
        1 => Just(numbered(Kind::DRAIN, 0, SERVER_KEY)),
    ]
}

/// What `connection` holds more than before, at the most, while it receives this and nobody takes what it has to say.
fn most_held(mut connection: Connection, stream: &[u8], chunk: usize) -> usize {
    let before = live();
    let mut most = 0;
    let mut held = Vec::new();
    for bytes in stream.chunks(chunk) {
        held.extend_from_slice(bytes);
        let mut input = &held[..];
        while let Ok(Some(event)) = connection.receive(at(0), &mut input) {
            drop(event);
        }
        held.drain(..held.len() - input.len());
        most = most.max(live().saturating_sub(before + held.capacity()));
    }
    most
}

proptest! {
    // Each takes as long as many others do.
    #![proptest_config(ProptestConfig { cases: ProptestConfig::default().cases / 8, ..ProptestConfig::default() })]
    /// PW-FRM-013, PW-DAT-008, PW-REJ-006: the open message, twice for the way in which buffers grow, and one frame; whether it
    /// is refused, damaged, or never ends.
    #[test]
    fn memory_is_bounded_whatever_arrives(
        packets in prop::collection::vec(packet(), 1..100), chunk in prop_oneof![500usize..3_000, Just(60_000)],
    ) {
        let mut config = config();
        config.limits.frame = FRAME as u32;
        config.limits.message = MESSAGE as u32;
        config.damage = Damage::Resynchronise;
        let mut server = End::server(config);
        server.receive(b"").unwrap();
        let stream = packets.concat();
        let most = most_held(server.connection, &stream, chunk);
        prop_assert!(most <= 2 * (MESSAGE + FRAME) + (64 << 10), "{most} bytes held");
    }
}
