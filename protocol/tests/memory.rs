//! What connections hold: nothing in proportion to what was received once they are over, and little while they are idle.

mod pair;

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use pair::{CLIENT, End, Pair, SERVER, SERVER_KEY, business, config, data, ms};
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

/// Bytes of a connection that is established, has sent and received, and is idle: itself, and what it holds besides.
#[test]
fn an_idle_connection_is_small() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let mut pair = Pair::established(config(), config());
    for size in [10, 3_000, 200_000] {
        pair.send(CLIENT, business(size));
        pair.send(SERVER, business(size));
    }
    pair.run_for(ms(100));
    let before = LIVE.load(Ordering::Relaxed);
    for end in pair.ends {
        assert_eq!((end.messages().len(), end.connection.buffered()), (3, 0));
        drop(std::mem::replace(&mut pair.links, Default::default()));
        let End { connection, .. } = end;
        let with = LIVE.load(Ordering::Relaxed);
        drop(connection);
        println!("holds {}", with - LIVE.load(Ordering::Relaxed));
    }
    let _ = before;
    println!("size {}", size_of::<Connection>());
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
