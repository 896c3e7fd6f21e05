//! A batch, and how much of it the transport took.

mod pair;

use pair::*;
use pulsewire_protocol::Transmit;

/// A server that has handed out three messages, one of which is too large to be copied.
fn handed_out() -> (End, Transmit) {
    let (mut server, mut batch) = (End::server(config()), Transmit::new());
    for size in [100, 9_000, 100] {
        server.connection.send(server.now, business(size)).unwrap();
    }
    assert!(server.connection.poll_transmit(server.now, 64 << 10, &mut batch));
    (server, batch)
}

fn bytes(batch: &Transmit) -> Vec<u8> {
    batch.slices().flatten().copied().collect()
}

/// However the transport takes it, the rest is what is left, the machine knows how far it came, and only the last byte makes it whole.
#[test]
fn what_was_taken_leaves_the_front_of_the_batch() {
    for step in [1, 7, 112, 113, 5_000] {
        let (mut server, mut batch) = handed_out();
        let whole = bytes(&batch);
        let before = server.connection.statistics().bytes_taken;
        for taken in (0..whole.len()).step_by(step) {
            assert_eq!(bytes(&batch), whole[taken..]);
            let count = step.min(batch.len());
            let is_whole = server.connection.transmitted(server.now, &mut batch, count);
            let statistics = server.connection.statistics();
            assert_eq!(statistics.bytes_taken - before, (taken + count) as u64);
            assert_eq!((is_whole, statistics.untaken), (batch.is_empty(), batch.len() as u64));
        }
        assert!(batch.is_empty() && !server.connection.poll_transmit(server.now, 64 << 10, &mut batch));
    }
}

#[test]
#[should_panic(expected = "9237 bytes written of 9236")]
fn more_than_the_batch_holds_cannot_be_taken() {
    let (mut server, mut batch) = handed_out();
    let too_many = batch.len() + 1;
    server.connection.transmitted(server.now, &mut batch, too_many);
}
