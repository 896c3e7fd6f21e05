//! Peers that vanish without a word, and healthy ones that must not be taken for such: real sockets, real time.
#![cfg(windows)]

mod support;

use std::sync::mpsc::Receiver;
use std::thread;
use std::time::{Duration, Instant};

use pulsewire_transport_iocp::protocol::{CloseReason, Config, Event, Origin};
use support::{Client, Ending, LOOPBACK, PATIENCE, Proxy, Treatment, client, message, watched_echo_server};

/// What an idle machine may add to the bound of the heartbeat.
const SLACK: Duration = Duration::from_millis(150);
/// A busy machine is late now and then. A transport that is late is so every time.
const TRIES: usize = 20;

/// A heartbeat that finds a dead peer within 380 ms. A busy machine is seldom later than `interval`, so that PW-HB-016
/// seldom applies.
fn brisk() -> Config {
    let mut config = Config::default();
    config.heartbeat.idle = Duration::from_millis(200);
    config.heartbeat.interval = Duration::from_millis(60);
    config.heartbeat.probes = 3;
    config.heartbeat.ping_floor = Duration::from_millis(10);
    config
}

fn next_ending(endings: &Receiver<Ending>) -> Ending {
    endings.recv_timeout(PATIENCE).expect("the connection ends in time")
}

/// PW-HB-012 and PW-HB-013.
#[test]
fn a_peer_behind_a_silent_proxy_is_found_within_the_bound_at_both_sides() {
    let latest = brisk().heartbeat.bound() + SLACK;
    let mut took = Vec::new();
    while took.last().is_none_or(|took| *took > latest) {
        assert!(took.len() < TRIES, "never within {latest:?}: {took:?}");
        took.push(find_vanished());
    }
}

/// How long after the peer vanished both sides have found that; never too early.
fn find_vanished() -> Duration {
    let mut strict = brisk();
    // The E of PW-HB-013: nothing. A busy machine is slow to say that it took a PING.
    strict.heartbeat.extension_max = Some(Duration::ZERO);
    let heartbeat = &strict.heartbeat;
    let earliest = heartbeat.idle.mul_f64(0.8) + heartbeat.interval * heartbeat.probes;
    let (_server, address, server_endings) = watched_echo_server(strict.clone());
    let client = client(strict);
    let proxy = Proxy::start(address);
    let sender = client.establish(proxy.address);
    // The last evidence of either side comes between these two moments.
    let exchange = Instant::now();
    sender.try_send(message(*b"the last sign of life")).unwrap();
    client.next_message();
    let cut = Instant::now();
    proxy.treat(Treatment::Silence);
    let endings = [next_ending(&client.endings), next_ending(&server_endings)];
    for Ending { when, closed, .. } in &endings {
        assert_eq!((closed.reason, closed.origin), (CloseReason::PEER_TIMEOUT, Origin::Local), "{closed}");
        assert!(*when - exchange >= earliest, "{:?} is earlier than {earliest:?}: {closed}", *when - exchange);
    }
    endings.iter().map(|ending| ending.when.saturating_duration_since(cut)).max().expect("two sides")
}

/// PW-HB-014. A peer whose thread does not run for as long as the probes take is not healthy, however little it can help it; nobody else
/// is given up. So they take longer here than a busy machine keeps a thread from running. To be suspected for a while is no harm: that
/// takes one `interval`.
#[test]
fn an_idle_healthy_pair_survives_ten_bounds() {
    let mut patient = brisk();
    patient.heartbeat.interval = Duration::from_millis(500);
    let (_server, address, server_endings) = watched_echo_server(patient.clone());
    let client = client(patient.clone());
    let sender = client.establish(address);
    let end = Instant::now() + patient.heartbeat.bound() * 10;
    while let Ok(notice) = client.notices.recv_timeout(end.saturating_duration_since(Instant::now())) {
        let by_the_way = matches!(notice.event(), Some(Event::Suspect(_) | Event::Recovered(_)));
        assert!(by_the_way, "nothing to report: {notice:?}");
    }
    sender.try_send(message(*b"still there")).unwrap();
    client.next_message();
    sender.close(CloseReason::NORMAL);
    let endings = [next_ending(&client.endings), next_ending(&server_endings)];
    assert!(endings.iter().all(|ending| ending.closed.orderly), "{endings:?}");
    // A side that the other one's PINGs kept happy had no need to ask.
    assert!(endings.iter().any(|ending| ending.rtt.is_some()), "nobody was probed: {endings:?}");
}

/// 64 MiB at 2 MiB/s take 32 s, three times the bound of the default heartbeat (PW-HB-002, PW-HB-011).
#[test]
fn a_long_upload_through_a_slow_link_survives_the_default_heartbeat() {
    let (_server, address, server_endings) = watched_echo_server(Config::default());
    let client = client(Config::default());
    let proxy = Proxy::start_slow(address, 2 << 20);
    let sender = client.establish(proxy.address);
    let payload = |number: usize| (0..1 << 20).map(|at| (number * 7 + at * 31 + at / 251) as u8).collect();
    let refused = client.exchange(&sender, 64, payload);
    assert!(refused > 0, "the queue of 1 MiB was never full");
    sender.close(CloseReason::NORMAL);
    let (ours, theirs) = (next_ending(&client.endings).closed, next_ending(&server_endings).closed);
    assert!(ours.orderly && theirs.orderly, "{ours}; {theirs}");
    assert_eq!((ours.received, ours.acknowledged, theirs.received), (64, Some(64), 64));
}

/// 5 MiB at 256 KiB/s to a peer that says nothing on its own: the answer to each PING has to get by what the system holds.
#[test]
fn a_one_way_upload_through_a_very_slow_link_survives_the_default_heartbeat() {
    let server = client(Config::default());
    let address = server.endpoint.listen(LOOPBACK).unwrap();
    // It takes what comes, or its connection would pause.
    let Client { notices, endings: server_endings, endpoint: _server } = server;
    thread::spawn(move || notices.iter().for_each(drop));
    let client = client(Config::default());
    let proxy = Proxy::start_slow(address, 256 << 10);
    let sender = client.establish(proxy.address);
    client.send_all(&sender, 20, |number| vec![number as u8; 256 << 10]);
    sender.close(CloseReason::NORMAL);
    let (ours, theirs) = (next_ending(&client.endings).closed, next_ending(&server_endings).closed);
    assert!(ours.orderly && theirs.orderly, "{ours}; {theirs}");
    assert_eq!((ours.acknowledged, theirs.received), (Some(20), 20));
}
