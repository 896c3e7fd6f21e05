//! Who owns what when, from submitting to completion, of every kind of operation and end.

use super::*;
use pulsewire_socket::Cause;
use std::net::Ipv6Addr;
use std::sync::Barrier;

fn echo(address: SocketAddr) {
    let mut port = Port::new().unwrap();
    let (_listener, client, server) = pair(&mut port, address);
    let batch = Batch { inline: *b"one ", rest: vec![b"two ".to_vec(), b"three".to_vec()] };
    port.send(&client, batch, token(4));
    let mut buffer = BytesMut::with_capacity(64);
    buffer.extend_from_slice(b"kept: ");
    port.receive(&server, buffer, 8, token(5));
    for completion in collect(&mut port, 2) {
        match completion {
            Completion::Sent { token: got, batch, outcome } => {
                assert_eq!((got, &batch.inline, outcome), (token(4), b"one ", Ok(13)));
            }
            Completion::Received { token: got, buffer, outcome } => {
                assert_eq!((got, &buffer[..], outcome), (token(5), &b"kept: one two "[..], Ok(8)));
            }
            other => panic!("unexpected: {other:?}"),
        }
    }
    port.shut_down_send(&client).unwrap();
    let mut buffer = BytesMut::with_capacity(64);
    loop {
        port.receive(&server, buffer, 64, token(6));
        let Completion::Received { buffer: got, outcome, .. } = collect_one(&mut port) else { panic!("not a receive") };
        buffer = got;
        if outcome.unwrap() == 0 {
            break;
        }
    }
    assert_eq!(buffer, b"three"[..]);
    port.send(&server, Batch::new(*b"back"), token(7));
    collect_one(&mut port);
    port.receive(&client, BytesMut::with_capacity(64), 64, token(8));
    let Completion::Received { buffer, .. } = collect_one(&mut port) else { panic!("not a receive") };
    assert_eq!(buffer, b"back"[..], "half-closed, not closed");
    // Only a socket whose context was updated knows its peer and can be shut down.
    for socket in [&client, &server] {
        socket.open().with(Socket::peer_addr).unwrap();
    }
    port.shut_down_send(&server).unwrap();
}

#[test]
fn bytes_go_both_ways_over_ipv4() {
    echo(LOOPBACK);
}

#[test]
fn bytes_go_both_ways_over_ipv6() {
    echo((Ipv6Addr::LOCALHOST, 0).into());
}

#[test]
fn an_address_is_listened_on_once_and_free_again_afterwards() {
    let mut port = Port::new().unwrap();
    let (listener, address) = port.listen(LOOPBACK, ListenOptions::default()).unwrap();
    assert!(port.listen(address, ListenOptions::default()).is_err());
    port.accept(&listener, token(1));
    port.accept(&listener, token(2));
    drop(listener);
    for completion in collect(&mut port, 2) {
        let Completion::Accepted { outcome, .. } = completion else { panic!("not an accept") };
        assert_eq!(outcome.unwrap_err().cause(), Cause::ClosedHere);
    }
    port.listen(address, ListenOptions::default()).unwrap();
}

#[test]
fn a_wake_from_another_thread_ends_the_wait() {
    let mut port = Port::new().unwrap();
    let waker = port.waker();
    let barrier = Arc::new(Barrier::new(2));
    let other = thread::spawn({
        let (waker, barrier) = (waker.clone(), Arc::clone(&barrier));
        move || {
            barrier.wait();
            waker.wake_by_ref();
        }
    });
    barrier.wait();
    assert!(matches!(collect_one(&mut port), Completion::Woken));
    other.join().unwrap();

    for _ in 0..1000 {
        waker.wake_by_ref();
    }
    assert!(matches!(collect_one(&mut port), Completion::Woken));
    let mut completions = Vec::new();
    port.wait(Some(Duration::ZERO), &mut completions).unwrap();
    assert!(completions.is_empty(), "the wakes were joined into one");

    drop(port);
    waker.wake();
}

#[test]
fn a_wait_without_time_returns_at_once() {
    let mut port = Port::new().unwrap();
    let (listener, _) = port.listen(LOOPBACK, ListenOptions::default()).unwrap();
    port.accept(&listener, token(1));
    let (mut completions, before) = (Vec::new(), port.now());
    for _ in 0..100 {
        port.wait(Some(Duration::ZERO), &mut completions).unwrap();
    }
    assert!(completions.is_empty());
    assert!(port.now() - before < PATIENCE);
}

#[test]
fn a_port_takes_back_what_is_pending_before_it_goes() {
    let mut port = Port::new().unwrap();
    let (listener, client, server) = pair(&mut port, LOOPBACK);
    port.accept(&listener, token(4));
    port.receive(&client, BytesMut::with_capacity(64), 64, token(5));
    port.send(&server, Batch::large(PENDS), token(6));
    let shares = [listener.share(), client.share(), server.share()];
    drop((listener, client, server));
    drop(port);
    for share in shares {
        assert_eq!(Arc::strong_count(&share), 1, "no operation is left that would hold a share");
    }
}

#[test]
fn a_port_can_be_made_here_and_used_by_another_thread() {
    let mut port = Port::new().unwrap();
    let thread = thread::spawn(move || pair(&mut port, LOOPBACK).1);
    drop(thread.join().unwrap());
}

/// A receive and a send that stay pending; and the address of the receive's buffer.
fn leave_pending(port: &mut Port, socket: &SystemSocket) -> *const u8 {
    let mut buffer = BytesMut::with_capacity(4096);
    buffer.extend_from_slice(b"kept");
    let address = buffer.as_ptr();
    port.receive(socket, buffer, 4096, token(5));
    port.send(socket, Batch::large(PENDS), token(4));
    address
}

/// Both come back as failures, with what they own.
fn take_back(port: &mut Port, address: *const u8) {
    for completion in collect(port, 2) {
        match completion {
            Completion::Sent { token: got, batch, outcome } => {
                assert_eq!((got, &batch.inline, batch.rest[0].len()), (token(4), b"long", PENDS));
                assert!(batch.rest[0].iter().all(|&byte| byte == 7));
                outcome.unwrap_err();
            }
            Completion::Received { token: got, buffer, outcome } => {
                assert_eq!((got, buffer.as_ptr(), &buffer[..]), (token(5), address, &b"kept"[..]));
                outcome.unwrap_err();
            }
            other => panic!("unexpected: {other:?}"),
        }
    }
}

#[test]
fn what_is_cancelled_keeps_its_socket_open_and_comes_back_whole() {
    let mut port = Port::new().unwrap();
    let (_listener, client, _server) = pair(&mut port, LOOPBACK);
    let address = leave_pending(&mut port, &client);
    let open = Arc::downgrade(&client.share());
    drop(client);
    assert_eq!(open.strong_count(), 2);
    take_back(&mut port, address);
    assert_eq!(open.strong_count(), 0);
}

#[test]
fn what_a_socket_is_closed_under_comes_back_whole() {
    let mut port = Port::new().unwrap();
    let (_listener, client, _server) = pair(&mut port, LOOPBACK);
    port.await_readable(&client, token(5));
    port.cancel(&client);
    assert!(matches!(collect_one(&mut port), Completion::Readable { outcome: Err(_), .. }));
    let (_listener, client, server) = pair(&mut port, LOOPBACK);
    port.receive(&client, BytesMut::with_capacity(64), 64, token(5));
    port.close(client);
    assert!(matches!(collect_one(&mut port), Completion::Received { outcome: Err(_), .. }));
    port.receive(&server, BytesMut::with_capacity(64), 64, token(6));
    assert!(matches!(collect_one(&mut port), Completion::Received { outcome: Ok(0) | Err(_), .. }));
}

#[test]
fn what_was_refused_at_once_comes_back_whole() {
    let mut port = Port::new().unwrap();
    let (_listener, client, _server) = pair(&mut port, LOOPBACK);
    port.shut_down_send(&client).unwrap();
    port.send(&client, Batch::new(*b"late"), token(4));
    let Completion::Sent { batch, outcome, .. } = collect_one(&mut port) else { panic!("not a send") };
    assert_eq!((&batch.inline, outcome), (b"late", Err(SystemError::SHUT_DOWN)));
}

/// Nothing is freed that the system may still write to, though socket and port are gone.
#[cfg(miri)]
#[test]
fn what_never_comes_back_stays_where_it_is() {
    let mut port = Port::new().unwrap();
    let (listener, client, server) = pair(&mut port, LOOPBACK);
    leave_pending(&mut port, &client);
    kernel::keep_cancelled(true);
    drop((listener, client, server));
    drop(port);
    kernel::keep_cancelled(false);
    assert_eq!(kernel::write_to_what_was_kept(), 2);
}
