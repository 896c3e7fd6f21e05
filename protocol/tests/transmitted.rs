//! A batch, and how much of it the transport took.

use std::time::Duration;

use proptest::collection;
use proptest::prelude::*;
use pulsewire_protocol::{Class, CloseReason, Flags, Instant, Kind, Message, Shutdown, Transmit};

use crate::pair::*;

/// A server that has handed out three messages, one of which is too large to be copied.
fn handed_out() -> (End, Transmit) {
    let (mut server, mut batch) = (End::server(config()), Transmit::new());
    for size in [100, 9_000, 100] {
        server.connection.send(server.now, business(size)).unwrap();
    }
    assert!(server.connection.poll_transmit(server.now, 64 << 10, &mut batch));
    (server, batch)
}

fn bytes(batch: &Transmit) -> Vec<u8> {
    batch.slices().flatten().copied().collect()
}

/// However the transport takes it, the rest is what is left, the machine knows how far it came, and only the last byte makes it whole.
#[test]
fn what_was_taken_leaves_the_front_of_the_batch() {
    for step in [1, 7, 112, 113, 5_000] {
        let (mut server, mut batch) = handed_out();
        let whole = bytes(&batch);
        let before = server.connection.statistics().bytes_taken;
        for taken in (0..whole.len()).step_by(step) {
            assert_eq!(bytes(&batch), whole[taken..]);
            let count = step.min(batch.len());
            let is_whole = server.connection.transmitted(server.now, &mut batch, count);
            let statistics = server.connection.statistics();
            assert_eq!(statistics.bytes_taken - before, (taken + count) as u64);
            assert_eq!((is_whole, statistics.untaken), (batch.is_empty(), batch.len() as u64));
        }
        assert!(batch.is_empty() && !server.connection.poll_transmit(server.now, 64 << 10, &mut batch));
    }
}

#[test]
#[should_panic(expected = "9237 bytes written of 9236")]
fn more_than_the_batch_holds_cannot_be_taken() {
    let (mut server, mut batch) = handed_out();
    let too_many = batch.len() + 1;
    server.connection.transmitted(server.now, &mut batch, too_many);
}

/// PW-CLS-007, PW-CLS-012, PW-CLS-015: a transport that tells what was acknowledged whenever it is to look at the time. What went soon
/// after it was handed out begins no limit anew when that is over.
#[test]
fn old_progress_does_not_double_a_limit() {
    let acknowledged_after = Duration::from_millis(20);
    let mut config = config();
    // Before the peer's silence ends it.
    config.timeouts.close = Duration::from_millis(800);
    let lingers = |server: &End| server.connection.shutdown() == Shutdown::Close;
    let closes = |server: &End| server.connection.is_over();
    type IsDone = fn(&End) -> bool;
    let limits: [(CloseReason, IsDone, Duration); 2] = [
        (CloseReason::BAD_PACKET, lingers, config.timeouts.linger),
        (CloseReason::NORMAL, closes, config.timeouts.close),
    ];
    for (reason, is_done, limit) in limits {
        let mut server = End::server(config.clone());
        server.connection.acknowledged(server.now, 0);
        server.connection.send(server.now, business(10)).unwrap();
        server.connection.close(server.now, reason);
        server.transmit();
        let (began, taken) = (server.now, server.connection.statistics().bytes_taken);
        while !is_done(&server) {
            server.now = server.connection.poll_timeout().expect("something is waited for");
            if server.now >= began + acknowledged_after {
                server.connection.acknowledged(server.now, taken);
            }
            server.connection.handle_timeout(server.now);
        }
        let took = server.now - began;
        assert!(took >= limit && took <= limit + limit / 7, "{took:?} for {limit:?}");
    }
}

/// PW-DAT-005: between two frames of a message, messages of other classes go out whole or not at all, however nearly they fit.
#[test]
fn a_message_that_just_fits_between_two_frames_is_not_cut() {
    for resync in [false, true] {
        for size in 0..40 {
            let peer = pulsewire_protocol::Hello { resync, ..hello(PEER_KEY) };
            let mut server = End::greeted(config(), &peer, SERVER_KEY);
            server.connection.send(server.now, business(200_000)).unwrap();
            server.connection.send(server.now, Message::new(Class::ROOM, payload(65_536 - size))).unwrap();
            let packets = parse(&server.transmit(), PEER_KEY, false);
            let mut open = None;
            for (header, _) in packets.iter().filter(|(header, _)| header.kind == Kind::DATA) {
                let (first, more) = (header.flags.contains(Flags::FIRST), header.flags.contains(Flags::MORE));
                assert!(
                    !(first && more) || open.is_none(),
                    "{size} below a frame: a message begins while another is open"
                );
                if open.is_none_or(|class| class == header.class) {
                    open = more.then_some(header.class);
                }
            }
        }
    }
}

/// While the peer pauses its limits rest (PW-HB-020), for far longer than they are: nobody is asked at a time that has passed.
#[test]
fn what_was_acknowledged_is_asked_for_later_than_now() {
    let mut config = config();
    config.timeouts.write_stall = Duration::from_millis(200);
    config.heartbeat.busy_max = Duration::from_secs(60);
    let mut server = End::server(config);
    server.connection.acknowledged(server.now, 0);
    server.receive(&busy(60_000, SERVER_KEY)).unwrap();
    server.connection.send(server.now, business(10)).unwrap();
    server.transmit();
    while !server.connection.is_over() {
        let next = server.connection.poll_timeout().expect("it waits for the peer");
        assert!(next > server.now, "asked at {next:?}, and it is {:?}", server.now);
        server.now = next;
        server.connection.acknowledged(server.now, 0);
        server.connection.handle_timeout(server.now);
    }
}

/// PW-CLS-015: what was acknowledged is asked for some times within `write_stall`, or old progress would double it.
#[test]
fn what_was_acknowledged_is_asked_for_some_times_in_each_limit() {
    let mut config = config();
    config.heartbeat.idle = Duration::from_secs(3_600);
    config.timeouts.write_stall = Duration::from_millis(800);
    let mut server = End::server(config);
    let greeting = server.connection.statistics().bytes_taken;
    server.run_for(ms(50));
    server.connection.acknowledged(server.now, greeting);
    server.connection.send(server.now, business(10)).unwrap();
    server.transmit();
    let (began, mut asked) = (server.now, Vec::new());
    while server.connection.is_open() {
        server.now = server.connection.poll_timeout().expect("it waits for the peer");
        server.connection.acknowledged(server.now, greeting);
        server.connection.handle_timeout(server.now);
        asked.push((server.now - began).as_millis());
    }
    assert_eq!(asked, [100, 200, 300, 400, 500, 600, 700, 800]);
}

/// What is handed out, or taken, or neither.
#[derive(Debug, Clone)]
enum Step {
    Send(usize),
    Take(usize),
    Wait(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (1usize..3_000).prop_map(Step::Send),
        (1usize..4_000).prop_map(Step::Take),
        (1u64..3_000).prop_map(Step::Wait),
    ]
}

proptest! {
    /// PW-CLS-015: the limit is the earlier of two: `write_stall` from the latest progress on, and the time that any byte was given.
    #[test]
    fn the_time_of_each_byte_holds_whatever_comes_and_goes(steps in collection::vec(step(), 1..40)) {
        let mut config = config();
        config.heartbeat.idle = Duration::from_secs(3_600);
        let (mut server, stall, rate) = (End::server(config), ms(30_000), 1_024);
        server.connection.acknowledged(server.now, 0);
        server.connection.acknowledged(server.now, server.connection.statistics().bytes_taken);
        server.stalled = true;
        // Of each batch: what waits behind it, and its deadline. And since when nothing went.
        let (mut given, mut since): (Vec<(usize, Instant)>, _) = (Vec::new(), server.now);
        for step in steps {
            match step {
                Step::Send(size) => {
                    if server.handed.is_empty() {
                        since = server.now;
                    }
                    server.connection.send(server.now, business(size)).unwrap();
                    let before = server.handed.len();
                    server.hand_out();
                    let waiting = server.handed.len();
                    given.iter_mut().for_each(|(behind, _)| *behind += waiting - before);
                    let time = stall + Duration::from_nanos(waiting as u64 * 1_000_000_000 / rate);
                    given.push((0, server.now + time));
                }
                Step::Take(count) if !server.handed.is_empty() => {
                    server.take(count.min(server.handed.len()));
                    let taken = server.connection.statistics().bytes_taken;
                    server.connection.acknowledged(server.now, taken);
                    since = server.now;
                    given.retain(|(behind, _)| *behind < server.handed.len());
                }
                Step::Take(_) => {}
                Step::Wait(time) => server.now = server.now + ms(time),
            }
            let slow = given.iter().map(|(_, deadline)| *deadline).min();
            prop_assert_eq!(server.connection.write_timeout(), slow.map(|slow| slow.min(since + stall)));
        }
    }
}
