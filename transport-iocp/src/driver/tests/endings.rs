//! The ways a connection ends.

use super::peer::Ending;
use super::*;
use crate::port::GatherBuffer;
use pulsewire_protocol::Origin;
use std::num::NonZeroU64;

#[test]
fn a_close_is_orderly_at_both_sides_and_everything_comes_back() {
    for_each_seed(|seed| {
        let (mut world, client, server) = World::connected(seed, config());
        for number in 0..20_u8 {
            world.client.send(client, [number; 300]).unwrap();
            world.server.send(server, [number; 300]).unwrap();
        }
        assert!(world.client.mailbox(client).close(CloseReason::NORMAL));
        world.run_until_all_closed();
        let (ours, theirs) = (world.client.closed(client), world.server.closed(server));
        assert_eq!((ours.reason, ours.origin, ours.orderly), (CloseReason::NORMAL, Origin::Local, true));
        assert_eq!((theirs.reason, theirs.origin, theirs.orderly), (CloseReason::NORMAL, Origin::Peer, true));
        assert_eq!((theirs.received, ours.acknowledged), (20, Some(20)));
        // What the server had accepted when CLOSE came still went out; the rest came back.
        let back = theirs.unsent.len() + world.server.handler.unsent.len();
        assert_eq!(ours.received as usize + back, 20);
        assert_eq!(world.client.handler.messages.len(), ours.received as usize);
    });
}

#[test]
fn a_silent_cut_is_noticed_in_the_window_at_both_sides() {
    for_each_seed(|seed| {
        let (mut world, client, server) = World::connected(seed, config());
        let cut = world.now();
        world.client.with_socket(client, |socket| world.network.cut(socket));
        let ended = |side: &Side| !side.handler.closed.is_empty();
        world.run_until(|world| ended(&world.client) || ended(&world.server));
        let first = world.now() - cut;
        world.run_until(|world| ended(&world.client) && ended(&world.server));
        let second = world.now() - cut;
        // 0.8 * idle + interval * probes to idle + interval * probes, as the last evidence is of this very moment.
        let (earliest, latest) = (Duration::from_millis(1_100), Duration::from_millis(1_300));
        assert!(first >= earliest && second <= latest, "{first:?} and {second:?}");
        world.run_until_all_closed();
        assert_eq!(world.client.closed(client).reason, CloseReason::PEER_TIMEOUT);
        assert_eq!(world.server.closed(server).reason, CloseReason::PEER_TIMEOUT);
        assert!(world.now() <= cut + latest + config().timeouts.linger);
    });
}

#[test]
fn a_reset_is_reported_at_once_with_the_code_of_the_system() {
    for_each_seed(|seed| {
        let (mut world, client, server) = World::connected(seed, config());
        let before = world.now();
        world.client.with_socket(client, |socket| world.network.reset(socket));
        world.run_until_all_closed();
        for (side, id) in [(&world.client, client), (&world.server, server)] {
            let closed = side.closed(id);
            assert_eq!((closed.reason, closed.origin), (CloseReason::RESET, Origin::Transport));
            assert_eq!(closed.detail, "system error 64");
        }
        assert_eq!(world.now(), before);
    });
}

#[test]
fn a_network_that_tcp_gave_up_on_is_lost() {
    for_each_seed(|seed| {
        let (mut world, client, _) = World::connected(seed, config());
        world.client.with_socket(client, |socket| {
            world.network.cut(socket);
            world.network.give_up(socket);
        });
        world.run_until(|world| !world.client.handler.closed.is_empty());
        assert_eq!(world.client.closed(client).reason, CloseReason::NETWORK_LOST);
        world.run_until_all_closed();
    });
}

#[test]
fn an_abort_cuts_at_once_and_the_peer_sees_an_end_or_a_reset() {
    for_each_seed(|seed| {
        let (mut world, client, server) = World::connected(seed, config());
        world.client.send(client, *b"never sent").unwrap();
        assert!(world.client.mailbox(client).abort());
        world.run_until_all_closed();
        let closed = world.client.closed(client);
        assert_eq!((closed.reason, closed.unsent.len()), (CloseReason::ABORTED, 1), "it was overtaken");
        let reason = world.server.closed(server).reason;
        assert!(matches!(reason, CloseReason::PEER_ENDED | CloseReason::RESET), "{reason:?}");
    });
}

/// PW-TCP-004, with the codes of section 9.2.
#[test]
fn every_code_is_one_of_the_four_causes() {
    let failure = |code| Ending::Failure(SystemError::from_code(code)).disconnect();
    assert_eq!(Ending::Stream.disconnect(), Disconnect::EndOfStream);
    assert_eq!(failure(10101), Disconnect::EndOfStream);
    assert_eq!([failure(64), failure(10054)], [Disconnect::Reset; 2]);
    assert_eq!([failure(121), failure(10060)], [Disconnect::NetworkLost; 2]);
    // While a connection lives this side did not close its socket, so it was the system that gave up.
    assert_eq!([failure(995), failure(1236), failure(10053)], [Disconnect::NetworkLost; 3]);
}

#[test]
fn a_client_that_says_nothing_is_closed_when_the_handshake_time_is_over() {
    for_each_seed(|seed| {
        let mut config = config();
        config.timeouts.linger = Duration::from_millis(700);
        let timeouts = config.timeouts.clone();
        let mut world = World::new(seed, config);
        let mut stranger = world.network.port::<Transmit>();
        let socket = stranger.connect(world.address, Token { slot: 0, cookie: NonZeroU64::MIN }).unwrap();
        stranger.wait(Some(Duration::ZERO), &mut Vec::new()).unwrap();
        let before = world.now();
        world.run_until(|world| !world.server.handler.closed.is_empty());
        assert_eq!(world.server.handler.closed[0].1.reason, CloseReason::HANDSHAKE_TIMEOUT);
        assert_eq!(world.now() - before, timeouts.handshake);
        // It neither reads nor ends: the farewell has a limit, too.
        world.run_until_all_closed();
        assert_eq!(world.now() - before, timeouts.handshake + timeouts.linger);
        drop(socket);
    });
}

struct Http;

#[expect(unsafe_code, reason = "a promise about addresses")]
// SAFETY: the bytes are on the heap or static, and never change.
unsafe impl GatherBuffer for Http {
    fn slices(&self) -> impl Iterator<Item = &[u8]> {
        std::iter::once(&b"GET / HTTP/1.1\r\nHost: example.org\r\n\r\n"[..])
    }
}

/// PW-CLS-012: it sends on though nobody acts on it, and still reads why it was refused.
#[test]
fn what_is_not_pulsewire_is_refused_with_a_reason_that_arrives() {
    for_each_seed(|seed| {
        let mut world = World::new(seed, config());
        let mut stranger = world.network.port();
        let token = Token { slot: 0, cookie: NonZeroU64::MIN };
        let socket = stranger.connect(world.address, token).unwrap();
        stranger.wait(Some(Duration::ZERO), &mut Vec::new()).unwrap();
        stranger.send(&socket, Http, token);
        stranger.receive(&socket, bytes::BytesMut::with_capacity(1_024), 1_024, token);
        let (mut answer, mut completions) = (None, Vec::new());
        for _ in 0..PATIENCE {
            world.server.turn(Some(Duration::ZERO)).unwrap();
            stranger.wait(Some(Duration::ZERO), &mut completions).unwrap();
            for completion in completions.drain(..) {
                match completion {
                    Completion::Sent { outcome, .. } => drop(outcome.map(|_| stranger.send(&socket, Http, token))),
                    Completion::Received { buffer, outcome, .. } if outcome.unwrap() == 0 => answer = Some(buffer),
                    Completion::Received { buffer, .. } => stranger.receive(&socket, buffer, 1_024, token),
                    Completion::Accepted { .. }
                    | Completion::Connected { .. }
                    | Completion::Readable { .. }
                    | Completion::Woken => panic!("not asked for"),
                }
            }
            if answer.is_some() {
                break;
            }
        }
        // An empty answer to a CLOSE of key 0, reason 16.
        let answer = answer.expect("the end of the stream");
        assert_eq!((&answer[..3], &answer[12..14]), (&[0xF7, 0x9A, 9][..], &[0, 16][..]));
        assert_eq!(world.server.handler.closed[0].1.reason, CloseReason::NOT_PULSEWIRE);
        drop(socket);
        world.run_until_all_closed();
    });
}

#[test]
fn connecting_in_vain_ends_with_a_reason_and_the_operation_comes_back() {
    for_each_seed(|seed| {
        let mut world = World::new(seed, config());
        let nobody = SocketAddr::new(ANYWHERE.ip(), 9);
        let refused = world.begin_to_connect(nobody);
        world.run_until_all_closed();
        let closed = world.client.closed(refused);
        assert_eq!((closed.reason, &*closed.detail), (CloseReason::RESET, "system error 1225"));

        world.network.make_unreachable(nobody);
        let (before, swallowed) = (world.now(), world.begin_to_connect(nobody));
        world.run_until_all_closed();
        assert_eq!(world.client.closed(swallowed).reason, CloseReason::HANDSHAKE_TIMEOUT);
        assert_eq!(world.now() - before, config().timeouts.handshake);

        let given_up = world.begin_to_connect(nobody);
        assert!(world.client.mailbox(given_up).abort());
        world.run_until_all_closed();
        assert_eq!(world.client.closed(given_up).reason, CloseReason::ABORTED);
    });
}
