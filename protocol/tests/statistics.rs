//! What a connection counts, at both ends of a link.

use pulsewire_protocol::{CloseReason, Damage, Disconnect, Flags, Kind};

use crate::pair::*;

/// What one side sent is what the other received; nothing is forgotten at the end.
#[test]
fn the_two_sides_of_a_link_count_the_same() {
    let mut pair = Pair::established(config(), config());
    for size in [0, 10, 70_000, 3] {
        pair.send(CLIENT, business(size));
    }
    pair.send(SERVER, business(500));
    pair.run_for(ms(30_000));
    pair.ends[CLIENT].connection.close(pair.now, CloseReason::NORMAL);
    pair.run_for(ms(10));
    assert!(pair.closed(CLIENT).orderly);
    let [client, server] = [CLIENT, SERVER].map(|end| pair.ends[end].connection.statistics());
    for (sender, receiver) in [(&client, &server), (&server, &client)] {
        assert_eq!(sender.messages_sent, receiver.messages_received);
        assert_eq!(sender.messages_sent, sender.messages_handed_out);
        assert_eq!((sender.bytes_handed_out, sender.bytes_taken), (receiver.bytes_received, receiver.bytes_received));
        assert_eq!(sender.pings_sent, receiver.pings_received);
        assert_eq!(sender.pings_sent, sender.pongs_received);
        assert_eq!((sender.queued, sender.untaken, sender.gaps, sender.pauses), (0, 0, 0, 0));
    }
    assert_eq!((client.messages_sent, server.messages_sent), (4, 1));
    assert!(client.pings_sent + server.pings_sent >= 20);
    let rtt = client.rtt.or(server.rtt).expect("somebody asked");
    assert_eq!((rtt.smoothed, rtt.latest), (ms(2), ms(2)));
    assert!(rtt.variation < ms(1));
}

/// Damage, refusals and pauses; and what waits.
#[test]
fn everything_else_is_counted_too() {
    let mut config = config();
    config.damage = Damage::Resynchronise;
    config.limits.frame = 1_000;
    config.limits.message = 1_500;
    let mut server = End::server(config);
    let frame = |flags: Flags, size: usize| data(flags | Flags::CHECKSUM, 4, &vec![7; size], SERVER_KEY);
    let mut dropped = frame(Flags::FIRST, 10);
    dropped[12] ^= 1;
    let stream = [
        b"noise".to_vec(),
        dropped,
        frame(Flags::FIRST | Flags::MORE, 1_000),
        frame(Flags::NONE, 501),
        busy(10, SERVER_KEY),
        frame(Flags::FIRST, 3),
    ]
    .concat();
    let before = server.connection.statistics().bytes_received;
    stream.chunks(100).for_each(|chunk| server.receive_direct(chunk).unwrap());
    let statistics = server.connection.statistics();
    assert_eq!(statistics.bytes_received - before, stream.len() as u64);
    assert_eq!((statistics.gaps, statistics.bytes_skipped), (2, 5 + 26));
    assert_eq!((statistics.messages_received, statistics.messages_refused, statistics.peer_pauses), (1, 2, 1));

    server.connection.pause(server.now);
    server.connection.send(server.now, business(88)).unwrap();
    let statistics = server.connection.statistics();
    assert_eq!((statistics.queued, statistics.pauses, statistics.messages_handed_out), (100, 1, 0));
    server.hand_out();
    let statistics = server.connection.statistics();
    assert_eq!((statistics.queued, statistics.messages_handed_out), (0, 1));
    assert_eq!(statistics.untaken, server.handed.len() as u64);
    server.disconnect(Disconnect::Reset);
    assert_eq!(server.connection.statistics(), statistics, "the end changes nothing");
    assert_eq!(server.sent_of(Kind::REJECT).len(), 2);
}
