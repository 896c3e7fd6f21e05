//! A driver on the system's port, for what can only be seen on real sockets.

use super::*;
use crate::sys::SystemPort;
use pulsewire_socket::Keepalive;

/// How long a test waits for the system.
const SYSTEM_PATIENCE: Duration = Duration::from_secs(30);

#[test]
fn keepalive_is_on_at_accepted_and_at_connected_sockets() {
    for keepalive in [None, Some(Keepalive::new(SYSTEM_PATIENCE, SYSTEM_PATIENCE, 3).unwrap())] {
        let options = SocketOptions { keepalive, ..SocketOptions::default() };
        let mut both = driver(SystemPort::new().unwrap(), 1, config(), options);
        let address = both.listen(ANYWHERE).unwrap();
        both.connect(address).unwrap();
        let deadline = both.io.port.now() + SYSTEM_PATIENCE;
        while both.handler.established.len() < 2 {
            let left = deadline.saturating_sub(both.io.port.now());
            assert!(!left.is_zero(), "only {:?} became established", both.handler.established);
            both.turn(Some(both.timeout().min(left))).unwrap();
        }
        for id in both.handler.established.clone() {
            let mut connection = both.table.get_mut(id).expect("it lives");
            let Stage::Open(socket) = &connection.data().stage else { panic!("{id:?} is not open") };
            assert_eq!(socket.keepalive().unwrap(), keepalive.is_some());
        }
    }
}
