//! What is set is there, on sockets of all kinds, and what would be lost is refused.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::num::{NonZeroU16, NonZeroU32};
use std::time::Duration;

use pulsewire_socket::{
    Dscp, Error, Keepalive, Linger, ListenOptions, Setting, SockRef, Unconnected, UnsentLimit, UserTimeout,
    clear_keepalive, in_flight, keepalive, limit_unsent, linger, set_keepalive, set_linger, set_traffic_class,
    set_user_timeout, traffic_class, unacknowledged, unsent, user_timeout,
};

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

fn listener(address: &str) -> TcpListener {
    ListenOptions::default().listen(address.parse().unwrap()).unwrap()
}

/// The two ends of a connection on this machine.
fn pair_by(listener: &TcpListener, address: SocketAddr) -> (TcpStream, TcpStream) {
    let connected = TcpStream::connect(address).unwrap();
    (connected, listener.accept().unwrap().0)
}

fn pair() -> (TcpStream, TcpStream) {
    let listener = listener("127.0.0.1:0");
    pair_by(&listener, listener.local_addr().unwrap())
}

/// A socket that was never connected.
fn unconnected() -> socket2::Socket {
    socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap()
}

fn state_of(error: Error) -> Unconnected {
    match error {
        Error::NotEstablished { state, .. } => state,
        other => panic!("{other}"),
    }
}

#[test]
fn keepalive_is_on_at_both_ends_and_tells_what_was_rounded() {
    let (connected, accepted) = pair();
    let setting = Keepalive::new(seconds(7), Duration::from_millis(1_500), 4).unwrap();
    for socket in [&connected, &accepted] {
        assert_eq!(keepalive(socket).unwrap(), None);
        let effective = set_keepalive(socket, setting).unwrap();
        assert_eq!(effective.idle, Some(seconds(7)));
        let interval = if cfg!(windows) { Duration::from_millis(1_500) } else { seconds(2) };
        assert_eq!(effective.interval, Some(interval), "rounded up where the system counts seconds");
        if !cfg!(windows) {
            // Older versions of Windows, and Wine, have a number of their own.
            assert_eq!(effective.probes, Some(4));
            assert_eq!(keepalive(socket).unwrap(), Some(effective));
        }
        assert!(keepalive(socket).unwrap().is_some());
        clear_keepalive(socket).unwrap();
        assert_eq!(keepalive(socket).unwrap(), None);
    }
}

#[test]
fn the_largest_and_the_smallest_keepalive_are_ones_that_the_system_takes() {
    let (socket, _peer) = pair();
    let most = Keepalive::new(Keepalive::TIME_MAX, Keepalive::TIME_MAX, Keepalive::PROBES_MAX).unwrap();
    assert_eq!(set_keepalive(&socket, most).unwrap().idle, Some(Keepalive::TIME_MAX));
    let least = Keepalive::new(Duration::from_nanos(1), Duration::from_nanos(1), 1).unwrap();
    let least = set_keepalive(&socket, least).unwrap().idle.unwrap();
    assert_eq!(least, if cfg!(windows) { Duration::from_millis(1) } else { seconds(1) });
}

#[test]
fn keepalive_and_linger_are_refused_where_they_would_be_lost_or_do_harm() {
    let setting = Keepalive::new(seconds(7), seconds(1), 4).unwrap();
    let listening = listener("127.0.0.1:0");
    assert_eq!(state_of(set_keepalive(&listening, setting).unwrap_err()), Unconnected::Listening);
    assert_eq!(state_of(set_linger(&listening, Linger::Reset).unwrap_err()), Unconnected::Listening);
    let socket = unconnected();
    assert_eq!(state_of(set_keepalive(&socket, setting).unwrap_err()), Unconnected::NotConnected);
    assert_eq!(state_of(set_linger(&socket, Linger::Reset).unwrap_err()), Unconnected::NotConnected);
    // On some systems a linger that cannot be asked for yet is none.
    assert_eq!(SockRef::from(&socket).linger().unwrap(), None, "nothing was set");
    let error = std::io::Error::from(set_linger(&listening, Linger::Reset).unwrap_err());
    assert_eq!(error.kind(), std::io::ErrorKind::NotConnected);
    assert!(error.to_string().contains("each connection that it accepts"), "{error}");
}

#[test]
fn the_user_timeout_is_read_back() {
    let (socket, _peer) = pair();
    match set_user_timeout(&socket, UserTimeout::new(Duration::from_micros(9_000_500)).unwrap()) {
        Ok(effective) => {
            assert_eq!(user_timeout(&socket).unwrap(), Some(effective));
            let expected = if cfg!(target_os = "linux") { Duration::from_millis(9_001) } else { seconds(10) };
            assert_eq!(effective, expected);
            set_user_timeout(&socket, UserTimeout::new(UserTimeout::MAX).unwrap()).unwrap();
        }
        // Wine, and old versions.
        Err(Error::Unsupported { setting: Setting::UserTimeout, .. }) if cfg!(windows) => {}
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn linger_is_read_back_and_reset_resets() {
    let (socket, mut peer) = pair();
    for setting in [Linger::Wait(seconds(3)), Linger::Background, Linger::Reset] {
        set_linger(&socket, setting).unwrap();
        assert_eq!(linger(&socket).unwrap(), setting);
    }
    set_linger(&socket, Linger::Wait(Duration::from_millis(1))).unwrap();
    assert_eq!(linger(&socket).unwrap(), Linger::Wait(seconds(1)), "rounded up, or it would be a reset");
    for wrong in [Linger::Wait(Duration::ZERO), Linger::Wait(Duration::MAX)] {
        assert!(matches!(set_linger(&socket, wrong), Err(Error::OutOfRange(_))));
    }
    set_linger(&socket, Linger::Reset).unwrap();
    // Of Wine only a receive that waits already sees a reset.
    let reading = std::thread::spawn(move || peer.read(&mut [0]));
    std::thread::sleep(Duration::from_millis(if cfg!(windows) { 500 } else { 0 }));
    drop(socket);
    let end = reading.join().unwrap().unwrap_err();
    assert_eq!(end.kind(), std::io::ErrorKind::ConnectionReset);
}

#[test]
fn the_traffic_class_is_read_back_on_all_kinds_of_sockets() {
    let v4 = pair();
    for (socket, _peer) in [Some(v4), pair_v6("[::1]:0", "::1"), pair_v6("[::]:0", "127.0.0.1")].into_iter().flatten() {
        match set_traffic_class(&socket, Dscp::AF41) {
            Ok(()) => assert_eq!(traffic_class(&socket).unwrap(), Dscp::AF41, "{socket:?}"),
            // Windows ignores it, and macOS has no mark for IPv4 on a socket for IPv6.
            Err(Error::Unsupported { setting: Setting::TrafficClass, .. }) if cfg!(not(target_os = "linux")) => {}
            Err(error) => panic!("{socket:?}: {error}"),
        }
    }
}

/// A connection to a listener for IPv6. The end that was accepted comes first.
fn pair_v6(listen: &str, connect: &str) -> Option<(TcpStream, TcpStream)> {
    let options = ListenOptions { dual_stack: listen.starts_with("[::]"), backlog: None };
    let listener = match options.listen(listen.parse().unwrap()) {
        Ok(listener) => listener,
        Err(error) => {
            eprintln!("SKIPPED: no IPv6 here: {error}");
            assert!(std::env::var_os("CI").is_none(), "CI must have IPv6");
            return None;
        }
    };
    let address = SocketAddr::new(connect.parse().unwrap(), listener.local_addr().unwrap().port());
    let (connected, accepted) = pair_by(&listener, address);
    Some((accepted, connected))
}

#[test]
fn bytes_that_the_peer_has_no_room_for_are_told() {
    let (near, mut far) = pair();
    near.set_nonblocking(true).unwrap();
    let known = cfg!(any(target_os = "linux", target_vendor = "apple"));
    assert_eq!(unacknowledged(&near), known.then_some(0));
    let mut written: u64 = 0;
    while let Ok(count) = (&near).write(&[7; 64 << 10]) {
        written += count as u64;
    }
    if let Some(waiting) = unacknowledged(&near) {
        assert!(waiting > 0 && waiting < written, "{waiting} of {written}");
    }
    if cfg!(target_os = "linux") {
        // The peer's window is closed, so nothing changes any more but by the system's own probes.
        let (unsent, in_flight) = (unsent(&near).unwrap(), in_flight(&near).unwrap());
        assert!(unsent > 0 && unsent + in_flight <= written, "{unsent} and {in_flight} of {written}");
    }
    near.shutdown(std::net::Shutdown::Write).unwrap();
    let mut read = Vec::new();
    far.read_to_end(&mut read).unwrap();
    assert_eq!(read.len() as u64, written);
    let deadline = std::time::Instant::now() + seconds(20);
    while unacknowledged(&near).is_some_and(|waiting| waiting > 0) {
        assert!(std::time::Instant::now() < deadline, "acknowledged bytes still count");
        std::thread::yield_now();
    }
    assert!(in_flight(&near).is_none_or(|bytes| bytes == 0));
}

#[test]
fn of_a_listener_nothing_is_told() {
    let listening = listener("127.0.0.1:0");
    if cfg!(target_os = "linux") {
        assert_eq!((unacknowledged(&listening), unsent(&listening), in_flight(&listening)), (None, None, None));
    }
}

#[test]
fn a_limit_of_unsent_bytes_limits_them() {
    /// How many bytes are unsent when the system takes no more.
    fn fill(near: &TcpStream) -> Option<u64> {
        near.set_nonblocking(true).unwrap();
        let mut near = near;
        while near.write(&[7; 1_000]).is_ok() {}
        unsent(near)
    }

    let ((limited, _far), (free, _other)) = (pair(), pair());
    let exactly = match limit_unsent(&limited, NonZeroU32::new(10_000).unwrap()).unwrap() {
        UnsentLimit::Exact => true,
        UnsentLimit::SendBuffer { bytes, .. } => {
            assert!(bytes >= 1_000, "{bytes}");
            false
        }
    };
    assert_eq!(exactly, cfg!(any(target_os = "linux", target_vendor = "apple")));
    if let (true, Some(unsent), Some(without)) = (exactly, fill(&limited), fill(&free)) {
        // A segment that was begun is filled, and here one is of up to 64 KiB.
        assert!(unsent <= 10_000 + (64 << 10), "{unsent}");
        assert!(without > 200_000, "{without}");
    }
}

#[test]
fn a_listener_has_its_address_alone_and_takes_what_it_should() {
    let first = listener("127.0.0.1:0");
    let address = first.local_addr().unwrap();
    let second = ListenOptions::default().listen(address).unwrap_err();
    assert!(
        matches!(second.kind(), std::io::ErrorKind::AddrInUse | std::io::ErrorKind::PermissionDenied),
        "another listener: {second}"
    );
    // One that asks to share the address, which Windows would grant without exclusive use.
    let intruder = unconnected();
    intruder.set_reuse_address(true).unwrap();
    assert!(intruder.bind(&address.into()).and_then(|()| intruder.listen(1)).is_err());

    // A restarted server listens at once, although its old connection is still in TIME_WAIT.
    let (connected, accepted) = pair_by(&first, address);
    drop(accepted);
    drop(first);
    drop(connected);
    let again = ListenOptions { backlog: NonZeroU16::new(300), ..ListenOptions::default() };
    again.listen(address).unwrap();
}

#[test]
fn dual_stack_takes_both_and_single_stack_one() {
    let Some((accepted, _connected)) = pair_v6("[::]:0", "127.0.0.1") else { return };
    assert!(matches!(accepted.peer_addr().unwrap(), SocketAddr::V6(peer) if peer.ip().to_ipv4_mapped().is_some()));
    assert!(pair_v6("[::]:0", "::1").is_some());

    let single = listener("[::]:0");
    let port = single.local_addr().unwrap().port();
    assert!(TcpStream::connect(("127.0.0.1", port)).is_err(), "IPv4 was not asked for");

    let dual = ListenOptions { dual_stack: true, backlog: None };
    for address in ["127.0.0.1:0", "0.0.0.0:0", "[::1]:0"] {
        let error = dual.listen(address.parse().unwrap()).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput);
        assert!(error.to_string().contains("[::]"), "{error}");
    }
}

#[test]
fn sockets_of_tokio_and_socket2_are_taken_too() {
    let setting = Keepalive::new(seconds(7), seconds(1), 4).unwrap();
    let (near, far) = pair();
    near.set_nonblocking(true).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let near = tokio::net::TcpStream::from_std(near).unwrap();
        set_keepalive(&near, setting).unwrap();
        let (reading, _writing) = near.into_split();
        let shared: &tokio::net::TcpStream = reading.as_ref();
        assert!(keepalive(shared).unwrap().is_some());
    });
    let far = socket2::Socket::from(far);
    set_keepalive(&far, setting).unwrap();
    assert!(keepalive(SockRef::from(&far)).unwrap().is_some());
}
