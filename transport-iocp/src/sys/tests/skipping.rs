//! Sockets that skip the queue of the port.

use super::*;

/// Nothing more is reported.
fn assert_silent(port: &mut Port) {
    let mut completions = Vec::new();
    port.wait(Some(Duration::from_millis(5)), &mut completions).unwrap();
    assert!(completions.is_empty(), "{completions:?}");
}

/// Four bytes from the peer lie there, unread.
fn have_arrived(port: &mut Port, peer: &SystemSocket, socket: &SystemSocket, bytes: [u8; 4]) {
    port.await_readable(socket, token(5));
    port.send(peer, Batch::new(bytes), token(4));
    for completion in collect(port, 2) {
        match completion {
            Completion::Sent { token: got, outcome, .. } => assert_eq!((got, outcome), (token(4), Ok(4))),
            Completion::Readable { token: got, outcome } => assert_eq!((got, outcome), (token(5), Ok(()))),
            other => panic!("unexpected: {other:?}"),
        }
    }
}

/// How a receive of the four bytes has to come back.
fn assert_received(completion: Finished, buffer_at: *const u8, bytes: [u8; 4]) {
    let Completion::Received { token: got, buffer, outcome } = completion else { panic!("not a receive") };
    assert_eq!((got, buffer.as_ptr(), &buffer[..], outcome), (token(6), buffer_at, &bytes[..], Ok(4)));
}

#[test]
fn what_is_done_at_once_comes_once_and_what_pends_comes_through_the_port() {
    let mut port = Port::new().unwrap();
    let (_listener, peer, socket) = pair(&mut port, LOOPBACK);
    assert!(port.skip_on_success(&socket), "sockets of the system itself offer it");
    let mut completions = Vec::new();
    for round in 0..if cfg!(miri) { 4 } else { 50 } {
        let bytes = [round; 4];
        // First a receive that has to wait, then one of what lies there.
        let there = round % 2 == 1;
        if there {
            have_arrived(&mut port, &peer, &socket, bytes);
        }
        let buffer = BytesMut::with_capacity(100);
        let buffer_at = buffer.as_ptr();
        port.receive(&socket, buffer, 100, token(6));
        port.take_done(&mut completions);
        assert_eq!(completions.len(), usize::from(there), "round {round}");
        if !there {
            port.send(&peer, Batch::new(bytes), token(4));
            completions = collect(&mut port, 2);
            completions.retain(|completion| !matches!(completion, Completion::Sent { .. }));
        }
        assert_received(completions.remove(0), buffer_at, bytes);
        assert_silent(&mut port);
    }
    // The end of the stream too comes once, at once or later.
    port.close(peer);
    port.receive(&socket, BytesMut::with_capacity(100), 100, token(6));
    assert!(matches!(collect_one(&mut port), Completion::Received { .. }));
    assert_silent(&mut port);
}

/// What a send owns comes back whole, whether the send is done at once or waits for the peer to read.
#[test]
fn sends_come_back_once_whether_they_are_done_at_once_or_later() {
    let mut port = Port::new().unwrap();
    let (_listener, peer, socket) = pair(&mut port, LOOPBACK);
    assert!(port.skip_on_success(&socket));
    port.send(&socket, Batch::new(*b"soon"), token(4));
    let Completion::Sent { batch, outcome, .. } = collect_one(&mut port) else { panic!("not a send") };
    assert_eq!((&batch.inline, outcome), (b"soon", Ok(4)));
    assert_silent(&mut port);
    port.send(&socket, Batch::large(PENDS), token(7));
    drop(socket);
    let Completion::Sent { token: got, batch, .. } = collect_one(&mut port) else { panic!("not a send") };
    assert_eq!((got, batch.rest[0].len()), (token(7), PENDS));
    assert!(batch.rest[0].iter().all(|&byte| byte == 7));
    drop(peer);
    assert_silent(&mut port);
}

/// A failure at once is no success: it comes back once too, with what was owned.
#[test]
fn what_is_refused_on_a_socket_that_skips_comes_back_once() {
    let mut port = Port::new().unwrap();
    let (_listener, _peer, socket) = pair(&mut port, LOOPBACK);
    assert!(port.skip_on_success(&socket));
    port.shut_down_send(&socket).unwrap();
    port.send(&socket, Batch::new(*b"late"), token(4));
    let Completion::Sent { batch, outcome, .. } = collect_one(&mut port) else { panic!("not a send") };
    assert_eq!((&batch.inline, outcome), (b"late", Err(SystemError::SHUT_DOWN)));
    assert_silent(&mut port);
}

/// Where the handle is that of a provider above the system, nothing changes.
#[cfg(miri)]
#[test]
fn a_provider_above_the_system_is_left_alone() {
    let mut port = Port::new().unwrap();
    let (_listener, peer, socket) = pair(&mut port, LOOPBACK);
    kernel::layer_providers(true);
    let skips = port.skip_on_success(&socket);
    kernel::layer_providers(false);
    assert!(!skips);
    have_arrived(&mut port, &peer, &socket, *b"here");
    let buffer = BytesMut::with_capacity(100);
    let buffer_at = buffer.as_ptr();
    port.receive(&socket, buffer, 100, token(6));
    let mut completions = Vec::new();
    port.take_done(&mut completions);
    assert!(completions.is_empty(), "{completions:?}");
    assert_received(collect_one(&mut port), buffer_at, *b"here");
    assert_silent(&mut port);
}
