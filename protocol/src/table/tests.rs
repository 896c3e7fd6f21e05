//! A driver that does not borrow the connection that is named.

use super::*;
use crate::{Config, Seed, Transmit};

/// A table with one connection, which is established and silent.
fn table() -> (ConnectionTable<()>, ConnectionId) {
    let config = Config::default().validate().unwrap();
    let mut hello = Transmit::new();
    let mut client = Connection::client(Instant::ZERO, &config, Seed::from_bytes([1; 12]));
    assert!(client.poll_transmit(Instant::ZERO, usize::MAX, &mut hello));
    let hello: Vec<u8> = hello.slices().flatten().copied().collect();
    let mut table = ConnectionTable::new(0);
    let id = table.insert(Connection::server(Instant::ZERO, &config, Seed::from_bytes([2; 12])), ()).unwrap();
    let mut connection = table.get_mut(id).unwrap();
    connection.receive(Instant::ZERO, &mut &hello[..]).unwrap();
    let mut batch = Transmit::new();
    assert!(connection.poll_transmit(Instant::ZERO, usize::MAX, &mut batch));
    let written = batch.len();
    connection.transmitted(Instant::ZERO, &mut batch, written);
    drop(connection);
    (table, id)
}

#[test]
fn the_table_keeps_the_deadline_of_a_connection_that_was_named_and_not_borrowed() {
    let (mut table, id) = table();
    let ping = table.poll_timeout().unwrap();
    assert_eq!(table.handle_timeout(ping), Some(id));
    let next = table.poll_timeout().unwrap();
    assert!(next > ping);
    assert_eq!((table.handle_timeout(ping), table.poll_timeout()), (None, Some(next)));
    assert_eq!(table.handle_timeout(next), Some(id));
    assert_eq!(table.poll_timeout(), table.get_mut(id).unwrap().poll_timeout());
}

#[test]
fn a_connection_that_was_named_and_removed_has_no_deadline() {
    let (mut table, id) = table();
    let ping = table.poll_timeout().unwrap();
    assert_eq!(table.handle_timeout(ping), Some(id));
    assert!(table.retire(id));
    assert_eq!((table.poll_timeout(), table.handle_timeout(Instant::MAX)), (None, None));
}
