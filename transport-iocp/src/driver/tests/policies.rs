//! What a server decides: whom it takes, for how long, and how it ends.

use super::*;
use pulsewire_policy::server::{AdmissionLimits, Lifetime};
use pulsewire_protocol::{Admission, Retry};

/// A server of this kind, with clients to come.
fn serving(seed: u64, protocol: Config, server: ServerConfig) -> World {
    let mut world = World::new(seed, config());
    let handler = Recorder::default();
    world.server = limited(world.network.port(), 2, protocol, SocketOptions::default(), server, handler);
    world.address = world.server.listen(ANYWHERE).unwrap();
    world.server.post_accepts();
    world
}

/// Has so many clients come at once. Says how many stay.
fn come(world: &mut World, count: usize) -> usize {
    let before = world.client.handler.closed.len();
    let ids: Vec<_> = (0..count).map(|_| world.begin_to_connect(world.address)).collect();
    world.run_until(|world| {
        let ended = world.client.handler.closed.len() - before;
        ended + ids.iter().filter(|id| world.client.handler.established.contains(id)).count() == count
    });
    count - (world.client.handler.closed.len() - before)
}

#[test]
fn one_address_takes_no_more_than_its_share() {
    for_each_seed(|seed| {
        let limits = ServerLimits { per_address: 3, retry_after: Duration::from_secs(7), ..ServerLimits::default() };
        let mut world = serving(seed, config(), with_limits(limits));
        assert_eq!(come(&mut world, 5), 3);
        for (_, closed) in &world.client.handler.closed {
            assert_eq!(closed.reason, CloseReason::OVERLOADED);
            let Retry::After(advice) = closed.retry else { panic!("{closed}") };
            assert!((7..=14).contains(&advice.as_secs()) && closed.detail.contains("from this address"), "{closed}");
        }
        let EndpointStatistics { accepted, refused, dropped, occupancy, .. } = world.server.statistics();
        assert_eq!((accepted, refused.per_address, dropped, occupancy.connections), (5, 2, 0, 3));
        // One leaves, another one comes.
        let id = world.client.handler.established[0];
        world.client.mailbox(id).close(CloseReason::NORMAL);
        world.run_until(|world| world.server.statistics().occupancy.connections == 2);
        assert_eq!(come(&mut world, 1), 1);
    });
}

#[test]
fn who_comes_too_fast_comes_in_a_moment_later() {
    for_each_seed(|seed| {
        let limits = ServerLimits { accepts_per_second: 10, accepts_burst: 4, ..ServerLimits::default() };
        let mut world = serving(seed, config(), with_limits(limits));
        assert_eq!(come(&mut world, 6), 4);
        world.run_for(Duration::from_millis(100));
        assert_eq!(come(&mut world, 1), 1);
        assert_eq!(world.server.statistics().refused.rate, 2);
    });
}

/// Whoever is not told either sees the end of its stream at once.
#[test]
fn no_more_are_told_that_there_is_no_room_than_may_be() {
    for_each_seed(|seed| {
        let limits = ServerLimits { connections: 1, refusals: 2, ..ServerLimits::default() };
        let mut world = serving(seed, config(), with_limits(limits));
        assert_eq!(come(&mut world, 1), 1);
        // These don't go on, and so don't hear it.
        let mut stranger = world.network.port::<Transmit>();
        let token = Token { slot: 0, cookie: std::num::NonZeroU64::MIN };
        let silent: Vec<_> = (0..5).map(|_| stranger.connect(world.address, token).unwrap()).collect();
        while stranger.outstanding() > 0 {
            stranger.wait(Some(Duration::ZERO), &mut Vec::new()).unwrap();
        }
        world.run_until(|world| world.server.statistics().accepted == 6);
        let EndpointStatistics { refused, dropped, occupancy, .. } = world.server.statistics();
        assert_eq!((refused.connections, dropped, occupancy.refusals), (5, 3, 2));
        drop(silent);
        drop(stranger);
        world.run_until(|world| world.server.statistics().occupancy.refusals == 0);
    });
}

#[test]
fn a_connection_is_drained_at_its_age_and_closed_after_the_grace() {
    for_each_seed(|seed| {
        let (longest, grace) = (Duration::from_secs(100), Duration::from_secs(20));
        let lifetime = Some(Lifetime { longest, jitter_percent: 10, grace });
        let mut world = serving(seed, config(), ServerConfig { lifetime, ..ServerConfig::default() });
        let id = world.connect();
        let before = world.now();
        world.run_until(|world| !world.client.handler.draining.is_empty());
        assert!((90..=100).contains(&(world.now() - before).as_secs()), "{:?}", world.now() - before);
        let drained = world.now();
        world.run_until(|world| !world.client.handler.closed.is_empty());
        assert_eq!(world.now() - drained, grace);
        let closed = world.client.closed(id);
        assert_eq!((closed.reason, closed.retry), (CloseReason::GOING_AWAY, Retry::After(Duration::ZERO)));
        assert_eq!(world.server.statistics().aged, 1);
        world.run_until_all_closed();
    });
}

/// Many may come and go before the first one has come to its age.
#[test]
fn nothing_is_kept_of_the_age_of_a_connection_that_is_over() {
    let lifetime = Some(Lifetime { longest: Duration::from_secs(3_600), ..Lifetime::default() });
    let mut world = serving(1, config(), ServerConfig { lifetime, ..ServerConfig::default() });
    for _ in 0..20 {
        let id = world.connect();
        world.client.mailbox(id).close(CloseReason::NORMAL);
        world.run_until_all_closed();
    }
    world.run_for(Duration::from_secs(10));
    assert_eq!(world.server.io.alarms.len(), 0);
}

/// One that was begun here belongs to the other side's policies.
#[test]
fn only_what_came_in_has_an_age() {
    let lifetime = Some(Lifetime { longest: Duration::from_secs(1), ..Lifetime::default() });
    let mut world = World::new(1, config());
    world.client.service.config = ServerConfig { lifetime, ..ServerConfig::default() }.validate().unwrap();
    world.connect();
    world.run_for(Duration::from_secs(100));
    assert!(world.client.handler.closed.is_empty() && world.server.handler.closed.is_empty());
}

#[test]
fn peers_that_finish_while_a_server_drains_end_in_order() {
    for_each_seed(|seed| {
        let mut world = World::new(seed, config());
        let ids = [world.connect(), world.connect()];
        let (drain, patience) = (Duration::from_secs(10), Duration::from_secs(5));
        world.server.inbox.push(Command::ShutDown { drain, patience });
        let before = world.now();
        world.run_until(|world| world.client.handler.draining.len() == 2);
        // One goes on with what it had begun, and closes; the other one stays.
        world.client.send(ids[0], *b"the rest").unwrap();
        world.run_until(|world| world.server.handler.messages.len() == 1);
        world.client.mailbox(ids[0]).close(CloseReason::NORMAL);
        world.run_until(|world| world.client.handler.closed.len() == 1);
        assert_eq!(world.now(), before);
        world.run_until(|world| world.client.handler.closed.len() == 2);
        assert_eq!(world.now() - before, drain);
        world.run_until(|world| world.server.outcome().is_some());
        assert_eq!(world.client.closed(ids[1]).reason, CloseReason::GOING_AWAY);
        let report = world.server.outcome().unwrap();
        assert_eq!((report.orderly, report.connections(), report.is_clean()), (2, 2, true));
        world.server.assert_empty();
    });
}

#[test]
fn a_shutdown_says_how_each_connection_ended() {
    for_each_seed(|seed| {
        let mut world = World::new(seed, config());
        let ids: Vec<_> = (0..4).map(|_| world.connect()).collect();
        let gone = world.connect();
        world.client.mailbox(gone).close(CloseReason::NORMAL);
        world.run_until(|world| world.client.handler.closed.len() == 1);
        world.run_for(Duration::from_secs(1));
        // One network is cut, one peer dies, and one has something on the way that is never taken.
        world.client.with_socket(ids[0], |socket| world.network.cut(socket));
        world.client.with_socket(ids[1], |socket| world.network.reset(socket));
        world.client.inbox.push(Command::ShutDown { drain: Duration::ZERO, patience: Duration::from_secs(60) });
        world.run_until(|world| world.client.outcome().is_some());
        let report = world.client.outcome().unwrap();
        assert_eq!((report.connections(), report.orderly, report.timed_out, report.reset), (4, 2, 1, 1), "{report}");
        assert_eq!(world.client.statistics().ended.connections(), 5);
    });
}

/// What other threads had queued counts, too.
#[test]
fn what_was_never_sent_is_in_the_report() {
    for_each_seed(|seed| {
        let (mut world, client, _) = World::connected(seed, config());
        for _ in 0..10 {
            world.client.send(client, [7; 10_000]).unwrap();
        }
        world.client.mailbox(client).abort();
        world.client.inbox.push(Command::ShutDown { drain: Duration::ZERO, patience: Duration::ZERO });
        world.run_until(|world| world.client.outcome().is_some());
        let report = world.client.outcome().unwrap();
        let unsent = &world.client.closed(client).unsent;
        let bytes: usize = unsent.iter().map(|message| message.payload.len()).sum();
        assert_eq!((report.cut, report.unsent_messages, report.unsent_bytes), (1, unsent.len() as u64, bytes as u64));
        assert!(!unsent.is_empty());
    });
}

fn asking() -> Config {
    Config { admission: Admission::Ask, ..config() }
}

/// PW-HS-020: the handshake's time limit goes on, and leaves time for the answer.
#[test]
fn a_client_that_nobody_judges_in_time_is_told_to_come_again() {
    for_each_seed(|seed| {
        let admission = AdmissionLimits { timeout: Duration::from_secs(2), ..AdmissionLimits::default() };
        let mut world = serving(seed, asking(), ServerConfig { admission, ..ServerConfig::default() });
        let before = world.now();
        let id = world.begin_to_connect(world.address);
        world.run_until_all_closed();
        let closed = world.client.closed(id);
        assert_eq!(closed.reason, CloseReason::OVERLOADED);
        assert!(closed.detail.contains("in time"), "{closed}");
        assert_eq!(world.server.handler.closed.len(), 1);
        assert!((2..=3).contains(&(world.now() - before).as_secs()));
        assert_eq!(world.server.statistics().refused_by_check, 1);
    });
}

#[test]
fn no_more_clients_wait_to_be_judged_than_may() {
    for_each_seed(|seed| {
        let admission = AdmissionLimits { at_once: 2, timeout: Duration::from_secs(600) };
        let mut world = serving(seed, asking(), ServerConfig { admission, ..ServerConfig::default() });
        let ids: Vec<_> = (0..3).map(|_| world.begin_to_connect(world.address)).collect();
        world.run_until(|world| !world.client.handler.closed.is_empty());
        assert_eq!(world.client.handler.closed[0].1.reason, CloseReason::OVERLOADED);
        assert_eq!(world.server.handler.asked.len(), 2);
        // Each verdict makes room for another client, and so does one who leaves.
        for (number, server) in world.server.directory.ids().into_iter().enumerate() {
            let sender = Sender::new(world.server.mailbox(server));
            if number == 0 { sender.accept() } else { sender.refuse(CloseReason::REFUSED) }
        }
        world.run_until(|world| world.client.handler.closed.len() == 2);
        for _ in 0..2 {
            world.begin_to_connect(world.address);
        }
        world.run_until(|world| world.server.handler.asked.len() == 4);
        for id in world.client.directory.ids() {
            world.client.mailbox(id).abort();
        }
        world.run_until_all_closed();
        world.begin_to_connect(world.address);
        world.run_until(|world| world.server.handler.asked.len() == 5);
        assert_eq!((ids.len(), world.server.statistics().refused_by_check), (3, 1));
    });
}
