//! Everything that waits is bounded, and who is slow slows its own connections.

use super::*;
use crate::channel::{ChannelHandler, ChannelLimits, NoticeKind, Notices};

const QUEUE: usize = 100_000;

fn narrow() -> Config {
    let mut config = config();
    config.limits.send_queue = QUEUE;
    config
}

#[test]
fn what_threads_and_handler_send_waits_in_one_queue() {
    for_each_seed(|seed| {
        let (mut world, client, _) = World::connected(seed, narrow());
        let mut random = Random::new(!seed);
        // The server takes no turns: it doesn't read.
        for _ in 0..500 {
            let size = random.up_to(5_000);
            if random.flip() {
                let _may_be_full = world.client.send(client, vec![0; size]);
            } else {
                world.client.with_context(client, |context| drop(context.send(message(vec![0; size]))));
                world.client.touch(client);
            }
            if random.flip() {
                world.client.turn(Some(Duration::ZERO)).unwrap();
            }
            let waiting = world.client.mailbox(client).waiting();
            let queued = world.client.table.get(client).expect("it lives").queued();
            assert!(waiting + queued <= QUEUE + 1_000, "{waiting} in the mailbox, {queued} in the connection");
        }
    });
}

/// PW-DAT-015.
#[test]
fn a_class_that_is_full_holds_up_no_other() {
    let (world, client, _) = World::connected(1, narrow());
    let mailbox = world.client.mailbox(client);
    while mailbox.send(message(vec![0; 5_000])).is_ok() {}
    mailbox.send(Message::new(Class::ROOM, vec![0; 5_000])).unwrap();
}

#[test]
fn orders_take_the_same_room_however_often_they_are_given() {
    let (mut world, client, server) = World::connected(1, config());
    let mailbox = world.client.mailbox(client);
    for _ in 0..1_000 {
        mailbox.pause();
        mailbox.resume();
        mailbox.drain();
        mailbox.close(CloseReason::NORMAL);
    }
    assert_eq!(mailbox.requests(), 1);
    world.run_until_all_closed();
    assert!(world.client.closed(client).orderly && world.server.closed(server).orderly);
}

/// All connections of a side have a limit together, in which nothing gets stuck.
#[test]
fn all_that_waits_of_all_connections_is_bounded_and_goes_out_in_the_end() {
    for_each_seed(|seed| {
        let mut world = World::new(seed, config());
        let limit = 256 << 10;
        let limits = with_limits(ServerLimits { buffered: limit, ..ServerLimits::default() });
        let port = world.network.port();
        world.client = limited(port, 1, config(), SocketOptions::default(), limits, Recorder::default());
        let ids: Vec<_> = (0..8).map(|_| world.connect()).collect();
        let mut random = Random::new(!seed);
        let (mut accepted, mut refused) = (0, 0);
        for _ in 0..400 {
            let id = ids[random.up_to(ids.len()) - 1];
            match world.client.send(id, vec![0; 4_000]) {
                Ok(()) => accepted += 1,
                Err(SendError { reason, .. }) => {
                    assert_eq!(reason, SendRefused::Full);
                    refused += 1;
                }
            }
            world.client.turn(Some(Duration::ZERO)).unwrap();
            let held = world.client.inbox.budget.used();
            assert!(held <= limit + (64 << 10), "{held}");
        }
        assert!(refused > 0);
        world.run_until(|world| world.server.handler.messages.len() == accepted);
        world.run_for(Duration::from_millis(100));
        assert!(world.client.handler.writable > 0, "who was refused was told");
        for id in ids {
            world.client.send(id, vec![0; 4_000]).unwrap();
        }
        world.run_until(|world| world.server.handler.messages.len() == accepted + 8);
    });
}

/// PW-CLS-020: messages that are only partly there count, too.
#[test]
fn peers_that_never_complete_their_messages_do_not_take_all_memory() {
    for_each_seed(|seed| {
        let mut sends = config();
        sends.limits.send_queue = 16 << 20;
        let mut world = World::with_configs(seed, sends, config());
        let limits = with_limits(ServerLimits { buffered: 1 << 20, refusals: 64, ..ServerLimits::default() });
        let mut server =
            limited(world.network.port(), 2, config(), SocketOptions::default(), limits, Recorder::default());
        world.address = server.listen(ANYWHERE).unwrap();
        server.post_accepts();
        world.server = server;
        let ids: Vec<_> = (0..4).map(|_| world.connect()).collect();
        for &id in &ids {
            world.client.send(id, vec![0; 700_000]).unwrap();
        }
        let mut most = 0;
        for _ in 0..4_000 {
            world.client.turn(Some(Duration::ZERO)).unwrap();
            world.server.turn(Some(Duration::ZERO)).unwrap();
            most = most.max(world.server.table.buffered());
        }
        // Beside the limit: what tells clients that there is no room, and what came in one turn.
        assert!(most <= (1 << 20) + (512 << 10), "{most}");
        world.run_until(|world| world.server.handler.messages.len() + world.client.handler.closed.len() >= ids.len());
        for (_, closed) in &world.client.handler.closed {
            assert_eq!(closed.reason, CloseReason::OVERLOADED);
        }
    });
}

/// A server whose application is another thread, and its clients.
struct Threaded {
    network: FakeNetwork,
    client: Side,
    server: Driver<FakePort<Transmit>, ChannelHandler>,
    address: SocketAddr,
    notices: Notices,
}

impl Threaded {
    fn new(seed: u64, limits: ChannelLimits) -> Self {
        let network = FakeNetwork::new(seed);
        let client = side(&network, 1, config(), SocketOptions::default());
        let (handler, notices) = ChannelHandler::with_limits(limits);
        let options = SocketOptions::default();
        let mut server = limited(network.port(), 2, config(), options, ServerConfig::default(), handler);
        let address = server.listen(ANYWHERE).unwrap();
        server.post_accepts();
        Self { network, client, server, address, notices }
    }

    fn turns(&mut self, count: usize) {
        for _ in 0..count {
            self.client.turn(Some(Duration::ZERO)).unwrap();
            self.server.turn(Some(Duration::ZERO)).unwrap();
        }
    }

    /// Time passes, as fast as both let it.
    fn run_for(&mut self, duration: Duration) {
        let end = self.client.io.port.now() + duration;
        while self.client.io.port.now() < end {
            self.turns(50);
            let wait = self.client.timeout().min(self.server.timeout());
            self.client.turn(Some(wait.max(Duration::from_millis(1)))).unwrap();
        }
    }

    fn connect(&mut self) -> ConnectionId {
        let id = self.client.connect(self.address).unwrap();
        self.turns(200);
        id
    }
}

#[test]
fn a_slow_thread_slows_its_own_connections_and_loses_nothing() {
    for_each_seed(|seed| {
        let limits = ChannelLimits { connection: 20_000, total: 1 << 20 };
        let mut world = Threaded::new(seed, limits);
        let (flooding, quiet) = (world.connect(), world.connect());
        while world.notices.try_recv().is_ok() {}
        for _ in 0..100 {
            world.client.send(flooding, vec![1; 1_000]).unwrap();
        }
        world.run_for(config().heartbeat.bound() * 10);
        world.client.send(quiet, *b"quick").unwrap();
        world.turns(300);
        assert!(world.client.handler.closed.is_empty(), "it pauses, and is not taken for dead");
        assert_eq!(world.client.table.get(flooding).unwrap().statistics().peer_pauses, 1);
        // The thread wakes up.
        let (mut flood, mut others) = (0, 0);
        for _ in 0..2_000 {
            while let Ok(notice) = world.notices.try_recv() {
                match notice.kind {
                    NoticeKind::Event(Event::Message(message)) if message.payload.len() == 1_000 => flood += 1,
                    NoticeKind::Event(Event::Message(_)) => {
                        assert!(flood < 40, "the quiet one waits behind what is allowed to wait: {flood}");
                        others += 1;
                    }
                    other => panic!("unexpected: {other:?}"),
                }
            }
            world.turns(1);
        }
        assert_eq!((flood, others), (100, 1));
    });
}

#[test]
fn a_client_that_comes_while_the_channel_is_full_is_told_overloaded() {
    for_each_seed(|seed| {
        let mut world = Threaded::new(seed, ChannelLimits { connection: 10_000, total: 10_000 });
        let first = world.connect();
        for _ in 0..20 {
            world.client.send(first, vec![1; 1_000]).unwrap();
        }
        world.turns(300);
        let refused = world.connect();
        assert_eq!(world.client.closed(refused).reason, CloseReason::OVERLOADED);
        let established = std::iter::from_fn(|| world.notices.try_recv().ok())
            .filter(|notice| matches!(notice.event(), Some(Event::Established(_))));
        assert_eq!(established.count(), 1);
        for _ in 0..300 {
            world.turns(1);
            while world.notices.try_recv().is_ok() {}
        }
        let id = world.connect();
        assert!(world.client.handler.established.contains(&id));
        let _until_here = &world.network;
    });
}

/// What the application said stands, whatever the channel wants.
#[test]
fn a_channel_that_has_room_resumes_nothing_that_the_application_paused() {
    let mut world = Threaded::new(1, ChannelLimits { connection: 5_000, total: 1 << 20 });
    let id = world.connect();
    let sender = world.notices.try_recv().expect("established").sender;
    for _ in 0..20 {
        world.client.send(id, vec![1; 1_000]).unwrap();
    }
    world.turns(300);
    sender.pause();
    world.turns(10);
    let taken = std::iter::from_fn(|| world.notices.try_recv().ok()).count();
    world.turns(300);
    assert!(world.notices.try_recv().is_err() && taken < 20);
    sender.resume();
    let mut more = 0;
    for _ in 0..300 {
        world.turns(3);
        more += usize::from(world.notices.try_recv().is_ok());
    }
    assert_eq!(taken + more, 20);
}

/// A server that closes while its application's thread takes nothing, and has 200 messages of a client to come.
fn closing_with_a_full_channel(seed: u64) -> (Threaded, ConnectionId) {
    let mut world = Threaded::new(seed, ChannelLimits { connection: 20_000, total: 40_000 });
    let id = world.connect();
    let sender = world.notices.try_recv().expect("established").sender;
    for _ in 0..200 {
        world.client.send(id, vec![1; 1_000]).unwrap();
    }
    world.turns(500);
    sender.close(CloseReason::GOING_AWAY);
    world.turns(500);
    (world, id)
}

/// A side that closes may not pause (PW-HB-024), and its channel is bounded all the same.
#[test]
fn a_channel_is_bounded_while_its_side_closes_and_loses_nothing_of_who_is_read_in_time() {
    for_each_seed(|seed| {
        let (mut world, id) = closing_with_a_full_channel(seed);
        assert!(world.notices.waiting() <= 22_000, "{}", world.notices.waiting());
        let mut came = 0;
        for _ in 0..2_000 {
            while let Ok(notice) = world.notices.try_recv() {
                match notice.kind {
                    NoticeKind::Event(Event::Message(_)) => came += 1,
                    NoticeKind::Event(Event::Closed(closed)) => assert!(closed.orderly, "{closed}"),
                    other => panic!("unexpected: {other:?}"),
                }
            }
            world.turns(1);
        }
        assert_eq!(came, 200);
        assert!(world.client.closed(id).orderly);
    });
}

/// Nor does a thread that never takes anything keep the connection.
#[test]
fn a_channel_that_nobody_empties_is_bounded_while_its_side_closes_and_the_close_has_an_end() {
    let (mut world, _) = closing_with_a_full_channel(1);
    world.run_for(config().timeouts.close * 2);
    assert!(world.notices.waiting() <= 22_000, "{}", world.notices.waiting());
    let mut reason = None;
    while let Ok(notice) = world.notices.try_recv() {
        if let NoticeKind::Event(Event::Closed(closed)) = notice.kind {
            reason = Some(closed.reason);
        }
    }
    // Whichever limit is shorter: a side that does not read hears nothing.
    assert!(matches!(reason, Some(CloseReason::CLOSE_TIMEOUT | CloseReason::PEER_TIMEOUT)), "{reason:?}");
}

#[test]
fn a_receiver_that_is_dropped_holds_up_nobody() {
    for_each_seed(|seed| {
        let mut world = Threaded::new(seed, ChannelLimits { connection: 20_000, total: 40_000 });
        let ids = [world.connect(), world.connect(), world.connect()];
        for id in ids {
            for _ in 0..100 {
                world.client.send(id, vec![1; 1_000]).unwrap();
            }
        }
        world.turns(500);
        drop(std::mem::replace(&mut world.notices, ChannelHandler::new().1));
        world.turns(500);
        assert!(ids.iter().all(|id| world.client.table.get(*id).expect("it lives").queued() == 0));
        let later = world.connect();
        assert!(world.client.handler.established.contains(&later));
    });
}

/// It would be refused as if there were room for it some day.
#[test]
fn a_message_that_is_larger_than_all_may_hold_together_is_too_large() {
    let mut config = config();
    config.limits.send_queue = 1 << 20;
    let mut world = short_of_memory(config);
    let id = world.connect();
    let refused = world.client.send(id, vec![0; 70_000]).unwrap_err();
    assert_eq!(refused.reason, SendRefused::TooLarge { limit: (64 << 10) - 12 });
    world.client.send(id, vec![0; 60_000]).unwrap();
    world.run_until(|world| world.server.handler.messages.len() == 1);
}
