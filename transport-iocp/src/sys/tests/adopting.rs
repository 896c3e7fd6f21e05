//! Sockets that one port accepts and another takes.

use super::*;
use std::panic::{AssertUnwindSafe, catch_unwind};

#[test]
fn an_accepted_socket_works_at_the_port_that_adopts_it_and_at_no_other() {
    let (mut accepting, mut other) = (Port::new().unwrap(), Port::new().unwrap());
    let (listener, address) = accepting.listen(LOOPBACK, ListenOptions::default()).unwrap();
    accepting.accept(&listener, token(1));
    let peer = accepting.connect(address, token(2)).unwrap();
    let mut ends = (None, None);
    for completion in collect(&mut accepting, 2) {
        match completion {
            Completion::Accepted { outcome, .. } => ends.0 = Some(outcome.unwrap()),
            Completion::Connected { outcome, .. } => ends.1 = Some(outcome.unwrap()),
            unexpected => panic!("unexpected: {unexpected:?}"),
        }
    }
    let (Some((socket, addresses)), Some(connected)) = ends else { panic!("one end is missing") };
    assert_eq!(addresses.remote, connected.local);

    // Before it has a port nothing is started on it.
    let receive = |port: &mut Port| port.receive(&socket, BytesMut::with_capacity(8), 8, token(3));
    assert!(catch_unwind(AssertUnwindSafe(|| receive(&mut other))).is_err());
    other.adopt(&socket).unwrap();
    assert!(accepting.adopt(&socket).is_err(), "it stays with its port for good");
    assert!(catch_unwind(AssertUnwindSafe(|| receive(&mut accepting))).is_err());

    receive(&mut other);
    accepting.send(&peer, Batch::new(*b"word"), token(4));
    assert!(matches!(collect_one(&mut accepting), Completion::Sent { outcome: Ok(4), .. }));
    let Completion::Received { buffer, outcome, .. } = collect_one(&mut other) else { panic!("not a receive") };
    assert_eq!((outcome, &buffer[..]), (Ok(4), &b"word"[..]));
    other.shut_down_send(&socket).unwrap();
    accepting.receive(&peer, BytesMut::with_capacity(8), 8, token(5));
    assert!(matches!(collect_one(&mut accepting), Completion::Received { outcome: Ok(0), .. }));
}

/// What was accepted may be dropped by whoever was to take it.
#[test]
fn an_accepted_socket_that_nobody_adopts_is_closed() {
    let mut port = Port::new().unwrap();
    let (listener, address) = port.listen(LOOPBACK, ListenOptions::default()).unwrap();
    port.accept(&listener, token(1));
    let peer = port.connect(address, token(2)).unwrap();
    drop(collect(&mut port, 2));
    port.receive(&peer, BytesMut::with_capacity(8), 8, token(3));
    assert!(matches!(collect_one(&mut port), Completion::Received { outcome: Ok(0) | Err(_), .. }));
}
