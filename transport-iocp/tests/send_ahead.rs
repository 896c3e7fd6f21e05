//! Several sends of a connection at a time, with and without memory of the system for what is sent.
#![cfg(windows)]

mod support;

use pulsewire_transport_iocp::{Endpoint, SocketOptions};
use support::{Echo, LOOPBACK, client_with_options, config, in_order};

#[test]
fn bytes_arrive_in_order_with_and_without_a_send_buffer() {
    for send_buffer in [Some(0), Some(64 << 10)] {
        let options =
            SocketOptions { send_buffer, send_ahead: 256 << 10, largest_send: 16 << 10, ..SocketOptions::default() };
        let server = Endpoint::start(config().validate().unwrap(), options, Echo::default()).unwrap();
        let address = server.listen(LOOPBACK).unwrap();
        let client = client_with_options(config(), options);
        let sender = client.establish(address);
        // Small ones and large ones in turns, more at a time than is sent ahead.
        client.exchange(&sender, 400, |number| vec![number as u8; if number % 10 == 0 { 200_000 } else { 700 }]);
        assert!(in_order(client.endpoint));
        assert!(in_order(server));
    }
}
