//! What a connection holds on to: nothing in proportion to what it received or sent, however long it is kept.

mod pair;

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

use pair::{End, SERVER_KEY, config, data};
use pulsewire_protocol::{Class, Disconnect, Flags, Message, Transmit};

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

/// One test, since the counter counts for all threads.
#[test]
fn a_connection_that_is_idle_or_over_holds_little() {
    a_connection_that_sent_everything_holds_no_batches();
    a_connection_that_is_over_lets_go_of_the_message_under_way();
}

fn a_connection_that_sent_everything_holds_no_batches() {
    let mut end = End::server(config());
    let before = LIVE.load(Ordering::Relaxed);
    for _ in 0..2_000 {
        end.connection.send(Message::new(Class::BUSINESS, &[7; 100])).unwrap();
    }
    assert!(LIVE.load(Ordering::Relaxed) - before > 200_000);
    let mut batch = Transmit::new();
    while end.connection.poll_transmit(end.now, usize::MAX, &mut batch) {
        end.connection.transmitted(end.now, batch.len());
    }
    drop(batch);
    let held = LIVE.load(Ordering::Relaxed).saturating_sub(before);
    assert!(held < 2_000, "{held} bytes");
}

fn a_connection_that_is_over_lets_go_of_the_message_under_way() {
    let between_frames = held_after(&[]);
    assert!(between_frames < 10_000, "{between_frames} bytes");
    let frame = data(Flags::MORE, 4, &[7; 60_000], SERVER_KEY);
    let within_a_frame = held_after(&frame[..30_000]);
    assert!(within_a_frame < 10_000, "{within_a_frame} bytes");
}
