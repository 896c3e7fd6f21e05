//! Many connections, quick ends, and threads that do not let go: nobody gets what is another's, and nothing is left.
//!
//! Each test does a part of its work, which takes seconds, or all of it where the environment variable `PULSEWIRE_STRESS` is `full`.
#![cfg(windows)]

#[path = "../support/mod.rs"]
mod support;

mod process;

use std::collections::HashMap;
use std::env;
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Barrier, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use pulsewire_transport_iocp::protocol::{CloseReason, Closed, Config, ConnectionId, Event, SendRefused};
use pulsewire_transport_iocp::{Endpoint, NoticeKind, Sender, ServerConfig, ServerLimits, SocketOptions};
use socket2::SockRef;
use support::{Client, Echo, LOOPBACK, PATIENCE, client, config, echo_server, in_order, message};

/// How much of the work is done.
fn amount(part: usize, full: usize) -> usize {
    if env::var("PULSEWIRE_STRESS").is_ok_and(|stress| stress == "full") { full } else { part }
}

/// One test at a time, behind which the process has no more handles than before.
fn alone(test: impl FnOnce()) {
    static ALONE: Mutex<()> = Mutex::new(());
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    // What the system makes once for each process is there then.
    let (server, address) = echo_server(config());
    client(config()).establish(address);
    drop(server);
    let before = process::handles();
    test();
    let deadline = Instant::now() + PATIENCE;
    // Threads of others may be on their way out.
    while process::handles() > before {
        assert!(Instant::now() < deadline, "{} handles before, {} afterwards", before, process::handles());
        thread::sleep(Duration::from_millis(10));
    }
}

/// An echo server for many clients from one address.
fn wide_server(config: Config) -> (Endpoint, SocketAddr) {
    let limits = ServerLimits {
        per_address: 65_536,
        accepts_per_second: 1_000_000,
        accepts_burst: 1_000_000,
        ..ServerLimits::default()
    };
    let server = ServerConfig { limits, ..ServerConfig::default() }.validate().unwrap();
    let valid = config.validate().unwrap();
    let endpoint = Endpoint::start_with(valid, SocketOptions::default(), server, Echo::default()).unwrap();
    let address = endpoint.listen(LOOPBACK).unwrap();
    (endpoint, address)
}

/// Connects so many times, at most 100 at once.
fn establish_many(client: &Client, address: SocketAddr, count: usize) -> Vec<Sender> {
    let mut senders = Vec::new();
    while senders.len() < count {
        let group = (count - senders.len()).min(100);
        for _ in 0..group {
            client.endpoint.connect(address).unwrap();
        }
        senders.extend(client.wait_established(group).into_values());
    }
    senders
}

/// The ends of so many connections, whatever they say before.
fn wait_closed(client: &Client, count: usize) -> HashMap<ConnectionId, Closed> {
    let mut closed = HashMap::new();
    while closed.len() < count {
        let notice = client.next_notice();
        if let NoticeKind::Event(Event::Closed(end)) = notice.kind {
            assert!(closed.insert(notice.sender.id(), *end).is_none(), "it ended twice");
        }
    }
    closed
}

#[test]
fn many_idle_connections_keep_each_other_alive() {
    alone(|| {
        let mut config = config();
        config.heartbeat.idle = Duration::from_secs(amount(2, 20) as u64);
        config.heartbeat.interval = Duration::from_secs(amount(2, 10) as u64);
        config.heartbeat.probes = 5;
        // A busy machine, whose time the others take up.
        config.timeouts.handshake = PATIENCE * 2;
        let (server, address) = wide_server(config.clone());
        let client = client(config);
        let count = amount(200, 2_000);
        let senders = establish_many(&client, address, count);
        thread::sleep(Duration::from_secs(amount(5, 60) as u64));
        let mut probed = 0;
        for sender in &senders {
            let theirs = client.endpoint.statistics(sender.id()).unwrap().expect("it lives");
            probed += usize::from(theirs.pings_sent + theirs.pings_received > 0);
        }
        assert_eq!(probed, count);
        for sender in &senders {
            sender.try_send(message(sender.id().cookie().get().to_be_bytes())).unwrap();
        }
        for _ in &senders {
            let (id, echoed) = client.next_message();
            assert_eq!(*echoed.payload, id.cookie().get().to_be_bytes());
        }
        assert_eq!(server.connections().len(), count);
        for endpoint in [client.endpoint, server] {
            // Whoever has as many to close takes a while.
            assert_eq!(endpoint.shutdown(PATIENCE * 10).unwrap().cut, 0);
        }
    });
}

/// The memory of one round of connections serves all later ones.
#[test]
fn connections_come_and_go_and_leave_no_memory_behind() {
    alone(|| {
        let (server, address) = wide_server(config());
        let client = client(config());
        let round = |count: usize| {
            for _ in 0..count / 50 {
                for sender in establish_many(&client, address, 50) {
                    sender.try_send(message(*b"before it goes")).unwrap();
                    sender.close(CloseReason::NORMAL);
                }
                assert!(wait_closed(&client, 50).values().all(|closed| closed.orderly && closed.unsent.is_empty()));
            }
        };
        let count = amount(400, 20_000);
        round(count / 4);
        let before = process::memory();
        round(count - count / 4);
        let grown = process::memory().saturating_sub(before);
        assert!(grown < 8 << 20, "{grown} bytes more than after a quarter of the connections");
        // The server may have the last ends still to come.
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = server.endpoint_statistics().unwrap();
            if (left.connections, left.receive_buffers, left.buffered) == (0, 0, 0) {
                break;
            }
            assert!(Instant::now() < deadline, "{left:?}");
            thread::sleep(Duration::from_millis(10));
        }
        assert!(in_order(client.endpoint) && in_order(server));
    });
}

/// Both sides' handles are used by threads of their own, while the system writes into the buffers of large receives.
#[test]
fn connections_are_cut_from_eight_threads_while_they_receive() {
    const THREADS: usize = 8;
    alone(|| {
        let server = client(config());
        let address = server.endpoint.listen(LOOPBACK).unwrap();
        let client = client(config());
        for round in 0..amount(15, 1_000) {
            let ours = establish_many(&client, address, THREADS);
            let theirs: Vec<_> = server.wait_established(THREADS).into_values().collect();
            for sender in &ours {
                sender.try_send(message(vec![7; 1 << 20])).unwrap();
            }
            let barrier = Barrier::new(THREADS);
            thread::scope(|scope| {
                for (number, (our, their)) in ours.iter().zip(&theirs).enumerate() {
                    let barrier = &barrier;
                    scope.spawn(move || {
                        barrier.wait();
                        // Each round at another moment.
                        thread::sleep(Duration::from_micros((round * 97 + number * 31) as u64 % 5_000));
                        let _lives = if number % 2 == 0 { our.abort() } else { their.abort() };
                    });
                }
            });
            // Each thread cut one, and two may have cut the two ends of the same.
            for sender in ours.iter().chain(&theirs) {
                let _may_be_over = sender.abort();
            }
            wait_closed(&client, THREADS);
            wait_closed(&server, THREADS);
        }
        assert!(in_order(client.endpoint) && in_order(server.endpoint));
    });
}

#[test]
fn a_flood_of_resets_keeps_nobody_out() {
    alone(|| {
        let (server, address) = wide_server(config());
        for _ in 0..500 {
            let rude = TcpStream::connect(address).unwrap();
            SockRef::from(&rude).set_linger(Some(Duration::ZERO)).unwrap();
        }
        let client = client(config());
        let sender = client.establish(address);
        sender.try_send(message(*b"honest")).unwrap();
        assert_eq!(*client.next_message().1.payload, *b"honest");
        assert!(in_order(client.endpoint) && in_order(server));
    });
}

/// Threads send on every handle that there ever was, while slots are used again and again.
#[test]
fn threads_that_hold_on_to_old_handles_reach_no_stranger() {
    const SLOTS: usize = 8;
    alone(|| {
        let server = client(config());
        let address = server.endpoint.listen(LOOPBACK).unwrap();
        let client = client(config());
        let (handles, over) = (Mutex::new(Vec::<Sender>::new()), AtomicBool::new(false));
        let (mut strangers, mut came) = (HashMap::<ConnectionId, u64>::new(), 0);
        thread::scope(|scope| {
            for thread in 0..4 {
                let (handles, over) = (&handles, &over);
                scope.spawn(move || hammer(handles, over, thread));
            }
            for _ in 0..amount(15, 1_000) {
                let new = establish_many(&client, address, SLOTS);
                handles.lock().unwrap().extend(new.iter().cloned());
                thread::sleep(Duration::from_millis(5));
                for (number, sender) in new.iter().enumerate() {
                    match number % 2 {
                        0 => assert!(sender.abort(), "nobody else ends it"),
                        _ => sender.close(CloseReason::NORMAL),
                    }
                }
                wait_closed(&client, SLOTS);
                let mut ended = 0;
                while ended < SLOTS {
                    let notice = server.next_notice();
                    match notice.kind {
                        NoticeKind::Event(Event::Closed(_)) => ended += 1,
                        NoticeKind::Event(Event::Message(said)) => {
                            let meant_for = u64::from_be_bytes((*said.payload).try_into().unwrap());
                            assert_eq!(*strangers.entry(notice.sender.id()).or_insert(meant_for), meant_for);
                            came += 1;
                        }
                        _ => {}
                    }
                }
            }
            over.store(true, Ordering::Release);
        });
        assert!(came > 0, "nothing came at all");
        let mut meant_for: Vec<_> = strangers.into_values().collect();
        let connections = meant_for.len();
        meant_for.sort_unstable();
        meant_for.dedup();
        assert_eq!(meant_for.len(), connections, "messages for one came on two connections");
        assert!(in_order(client.endpoint) && in_order(server.endpoint));
    });
}

/// Sends whom it is meant for on any of the handles, old ones too.
fn hammer(handles: &Mutex<Vec<Sender>>, over: &AtomicBool, thread: usize) {
    let mut turn = thread;
    while !over.load(Ordering::Acquire) {
        turn = turn.wrapping_mul(31).wrapping_add(7);
        let chosen = {
            let handles = handles.lock().unwrap();
            // Half of the time one of the last few, which may live.
            let recent = if turn.is_multiple_of(2) { handles.len() } else { handles.len().min(8) };
            handles.len().checked_sub(1 + turn % recent.max(1)).map(|at| handles[at].clone())
        };
        let Some(sender) = chosen else {
            thread::yield_now();
            continue;
        };
        let cookie = sender.id().cookie().get();
        if let Err(refused) = sender.try_send(message(cookie.to_be_bytes())) {
            let reason = refused.reason;
            assert!(!matches!(reason, SendRefused::TooLarge { .. }), "{reason}");
            thread::yield_now();
        }
    }
}
