//! What connections hold: nothing in proportion to what was received once they are over, and little while they are idle.

mod pair;

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use pair::{CLIENT, End, Pair, SERVER, SERVER_KEY, business, config, data, ms, seed, valid};
use pulsewire_protocol::{Connection, Disconnect, Flags, Instant, TimingWheel};

struct Counting;

static LIVE: AtomicUsize = AtomicUsize::new(0);

// SAFETY: passes every call on unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        LIVE.fetch_add(layout.size(), Ordering::Relaxed);
        // SAFETY: as the caller promised.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: as the caller promised.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// How much more a connection holds after it ended than before it received, if the peer sent this last.
fn held_after(last: &[u8]) -> usize {
    let mut end = End::server(config());
    let before = LIVE.load(Ordering::Relaxed);
    let frame = data(Flags::FIRST | Flags::MORE, 4, &[7; 60_000], SERVER_KEY);
    end.receive(&frame).unwrap();
    for _ in 0..20 {
        end.receive(&data(Flags::MORE, 4, &[7; 60_000], SERVER_KEY)).unwrap();
    }
    end.receive(last).unwrap();
    assert!(LIVE.load(Ordering::Relaxed) - before > 1_000_000);
    end.disconnect(Disconnect::Reset);
    drop(frame);
    end.held = Vec::new();
    LIVE.load(Ordering::Relaxed).saturating_sub(before)
}

/// All threads allocate from the same place, so tests take turns.
static TURN: Mutex<()> = Mutex::new(());

#[test]
fn a_connection_that_is_over_lets_go_of_the_message_under_way() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let between_frames = held_after(&[]);
    assert!(between_frames < 10_000, "{between_frames} bytes");
    let frame = data(Flags::MORE, 4, &[7; 60_000], SERVER_KEY);
    let within_a_frame = held_after(&frame[..30_000]);
    assert!(within_a_frame < 10_000, "{within_a_frame} bytes");
}

/// A connection that is established, has sent and received and then fell silent: what it is, and what it holds besides its
/// share of the configuration.
#[test]
fn an_idle_connection_is_small() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
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
        let before = LIVE.load(Ordering::Relaxed);
        drop(connection);
        assert_eq!(before - LIVE.load(Ordering::Relaxed), 0);
    }
    assert!(size_of::<Connection>() <= 528, "{} bytes", size_of::<Connection>());
}

/// A million deadlines that have moved and passed.
#[test]
fn a_deadline_takes_at_most_twelve_bytes() {
    const COUNT: u32 = 1_000_000;
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let before = LIVE.load(Ordering::Relaxed);
    let mut wheel = TimingWheel::new();
    for round in 1..4 {
        let at = |slot| Instant::from_nanos(round * 5_000_000_000 + u64::from(slot) * 1_000);
        (0..COUNT).for_each(|slot| wheel.note(slot, at(slot)));
        while wheel.expire(at(COUNT / 2), |slot| Some(at(slot))).is_some() {}
    }
    let held = LIVE.load(Ordering::Relaxed) - before;
    assert!(held <= 12 * COUNT as usize, "{held} bytes");
}
