//! What a table admits, what it holds, and one message for many.

use std::error::Error;
use std::num::NonZeroU64;

use proptest::prelude::*;
use pulsewire_protocol::{
    Admission, Class, CloseReason, Closed, Config, Connection, ConnectionId, ConnectionTable, Damage, Event, Flags,
    Hello, InsertRefused, Instant, Kind, Message, PreparedMessage, RejectReason, SendRefused, TableLimits, Transmit,
};

use crate::pair::*;

fn server() -> Connection {
    Connection::server(Instant::ZERO, &valid(config()), seed(SERVER_KEY))
}

fn table(limits: TableLimits) -> ConnectionTable<()> {
    ConnectionTable::with_limits(0, limits.validate().unwrap())
}

fn receive(table: &mut ConnectionTable<()>, id: ConnectionId, bytes: &[u8]) {
    let (mut connection, mut input) = (table.get_mut(id).unwrap(), bytes);
    while let Ok(Some(_)) = connection.receive(Instant::ZERO, &mut input) {}
}

/// A connection whose handshake is complete and which has nothing to send.
fn greeted(table: &mut ConnectionTable<()>, hello: &Hello) -> ConnectionId {
    let id = table.insert(server(), ()).unwrap();
    receive(table, id, &hello_packet(Kind::HELLO, hello));
    handed_out(table, id);
    id
}

fn handed_out(table: &mut ConnectionTable<()>, id: ConnectionId) -> Vec<u8> {
    let (mut batch, mut bytes) = (Transmit::new(), Vec::new());
    let mut connection = table.get_mut(id).unwrap();
    while connection.poll_transmit(Instant::ZERO, 1 << 20, &mut batch) {
        batch.slices().for_each(|slice| bytes.extend_from_slice(slice));
        let size = batch.len();
        connection.transmitted(Instant::ZERO, &mut batch, size);
    }
    bytes
}

fn closed(table: &mut ConnectionTable<()>, id: ConnectionId) -> Option<Closed> {
    let event = table.get_mut(id).unwrap().poll_event()?;
    let Event::Closed(closed) = event else { panic!("{event:?}") };
    Some(*closed)
}

/// PW-HS-019: a connection that is refused comes back, and can tell its peer when to come again.
#[test]
fn a_connection_too_many_comes_back_and_says_overloaded() {
    let mut table = table(TableLimits { connections: 2, ..TableLimits::default() });
    let first = table.insert(server(), ()).unwrap();
    table.insert(server(), ()).unwrap();
    let refused = table.insert(server(), ()).unwrap_err();
    assert_eq!(refused.reason, InsertRefused::Connections { limit: 2 });
    assert!(refused.to_string().contains("OVERLOADED") && refused.source().is_none());

    let (mut connection, mut batch) = (refused.connection, Transmit::new());
    connection.close(Instant::ZERO, refused.reason.close_reason());
    assert!(connection.poll_transmit(Instant::ZERO, 1_000, &mut batch));
    let sent = parse(&batch.slices().flatten().copied().collect::<Vec<u8>>(), 0, true);
    assert_eq!(close_fields(&sent[0].1).0, CloseReason::OVERLOADED);

    table.remove(first).unwrap();
    table.insert(server(), ()).expect("there is room again");
}

#[test]
fn what_was_to_make_the_data_comes_back_uncalled() {
    let mut table = table(TableLimits { connections: 1, ..TableLimits::default() });
    table.insert(server(), ()).unwrap();
    let socket = String::from("a socket");
    let refused = table.insert_with(server(), move |_| drop(socket)).unwrap_err();
    (refused.data)(ConnectionId::new(0, 0, NonZeroU64::MIN));
}

/// A handshake counts until it is complete, or the connection is over or gone.
#[test]
fn handshakes_in_progress_are_limited() {
    let mut table = table(TableLimits { handshakes: 2, ..TableLimits::default() });
    let completes = table.insert(server(), ()).unwrap();
    let fails = table.insert(server(), ()).unwrap();
    assert_eq!(table.insert(server(), ()).unwrap_err().reason, InsertRefused::Handshakes { limit: 2 });
    receive(&mut table, completes, &hello_packet(Kind::HELLO, &hello(PEER_KEY)));
    assert_eq!(table.handshakes(), 1);
    let retired = table.insert(server(), ()).unwrap();
    receive(&mut table, fails, b"GET / HTTP/1.1\r\n");
    assert_eq!(table.handshakes(), 1);
    table.retire(retired);
    assert_eq!((table.handshakes(), table.len()), (0, 2));
}

#[test]
fn limits_out_of_range_are_refused() {
    for limits in [
        TableLimits { connections: 0, ..TableLimits::default() },
        TableLimits { handshakes: 0, ..TableLimits::default() },
        TableLimits { buffered: 65_535, ..TableLimits::default() },
    ] {
        assert!(limits.validate().is_err(), "{limits:?}");
    }
    assert!(TableLimits::default().validate().is_ok());
}

/// Whatever all connections have queued, by any way to send, stays within the limit; room comes back as it is handed out.
#[test]
fn sending_is_refused_while_the_table_is_full() {
    let mut table = table(TableLimits { buffered: 100_000, ..TableLimits::default() });
    let (one, other) = (greeted(&mut table, &hello(PEER_KEY)), greeted(&mut table, &hello(PEER_KEY)));
    table.send(Instant::ZERO, one, business(60_000)).unwrap();
    let refused = table.send(Instant::ZERO, other, business(60_000)).unwrap_err();
    assert_eq!((refused.reason, refused.message.payload.len()), (SendRefused::Full, 60_000));
    let mut borrowed = table.get_mut(other).unwrap();
    borrowed.send(Instant::ZERO, business(30_000)).unwrap();
    assert_eq!(borrowed.parts().0.send(Instant::ZERO, business(30_000)).unwrap_err().reason, SendRefused::Full);
    drop(borrowed);
    let refused = table.broadcast(Instant::ZERO, [one, other], business(20_000));
    assert_eq!(refused, [(one, SendRefused::Full), (other, SendRefused::Full)]);
    assert!((90_000..=100_000).contains(&table.buffered()), "{}", table.buffered());

    handed_out(&mut table, one);
    table.send(Instant::ZERO, other, business(60_000)).expect("there is room again");
    table.remove(other).unwrap();
    assert_eq!(table.buffered(), 0);
}

/// Room that a connection made for a batch while the table was empty is not its own when the table is full.
#[test]
fn a_batch_that_is_begun_takes_no_more_than_the_table_has_room_for() {
    let mut table = table(TableLimits { buffered: 100_000, ..TableLimits::default() });
    let (one, other) = (greeted(&mut table, &hello(PEER_KEY)), greeted(&mut table, &hello(PEER_KEY)));
    (0..30).for_each(|_| {
        table.send(Instant::ZERO, one, business(100)).expect("there is room");
    });
    table.send(Instant::ZERO, other, business(91_000)).expect("there is room");
    let sent = (0..1_000).take_while(|_| table.send(Instant::ZERO, one, business(100)).is_ok()).count();
    assert!((1..=40).contains(&sent), "{sent}");
    assert!(table.buffered() <= 101_000, "{}", table.buffered());
}

/// PW-CLS-020: whoever holds most when the table holds more than it may is closed, and named; the others stay.
#[test]
fn a_connection_that_buffers_too_much_is_closed_as_overloaded() {
    let mut table = table(TableLimits { buffered: 200_000, ..TableLimits::default() });
    let (small, big) = (greeted(&mut table, &hello(PEER_KEY)), greeted(&mut table, &hello(PEER_KEY)));
    receive(&mut table, small, &data(Flags::FIRST | Flags::MORE, 4, &[7; 50_000], SERVER_KEY));
    receive(&mut table, big, &data(Flags::FIRST | Flags::MORE, 4, &[7; 60_000], SERVER_KEY));
    let mut frames = 1;
    while table.handle_timeout(Instant::ZERO).is_none() {
        receive(&mut table, big, &data(Flags::MORE, 4, &[7; 20_000], SERVER_KEY));
        frames += 1;
        assert!(table.buffered() <= 300_000 && frames < 20);
    }
    let end = closed(&mut table, big).expect("it is over");
    assert_eq!((end.reason, end.orderly), (CloseReason::OVERLOADED, false));
    let sent = parse(&handed_out(&mut table, big), PEER_KEY, false);
    assert_eq!(close_fields(&sent[0].1).0, CloseReason::OVERLOADED);
    assert!(closed(&mut table, small).is_none() && table.get_mut(small).unwrap().is_open());
    assert_eq!(table.buffered(), table.get_mut(small).unwrap().buffered());
    assert!(table.buffered() >= 50_000);
    assert_eq!(table.handle_timeout(Instant::ZERO), None, "it is named once");
}

/// PW-CLS-020: not the one that asks next, be it for a little; and a message that has been open for long goes before a larger one.
#[test]
fn overload_costs_the_one_who_holds_most() {
    let mut table = table(TableLimits { buffered: 200_000, ..TableLimits::default() });
    let [hog, honest] = [0; 2].map(|_| greeted(&mut table, &hello(PEER_KEY)));
    let begin = |size| data(Flags::FIRST | Flags::MORE, 4, &vec![7; size], SERVER_KEY);
    for _ in 0..3 {
        receive(&mut table, hog, &begin(60_000));
        receive(&mut table, hog, &data(Flags::NONE, 4, b"", SERVER_KEY));
    }
    receive(&mut table, hog, &begin(60_000));
    while table.buffered() <= 190_000 {
        receive(&mut table, hog, &data(Flags::MORE, 4, &[7; 1_000], SERVER_KEY));
    }
    assert_eq!(table.largest_holders(9).iter().map(|(id, _)| *id).collect::<Vec<_>>(), [hog]);
    while table.poll_timeout() != Some(Instant::ZERO) {
        receive(&mut table, honest, &data(Flags::FIRST | Flags::MORE, 4, &[7; 3_000], SERVER_KEY)[..3_000]);
        receive(&mut table, hog, &data(Flags::MORE, 4, &[7; 1_000], SERVER_KEY));
    }
    assert_eq!(table.handle_timeout(Instant::ZERO), Some(hog));
    assert_eq!(closed(&mut table, hog).unwrap().reason, CloseReason::OVERLOADED);
    assert!(table.get_mut(honest).unwrap().is_open());
    assert_eq!(
        (table.handle_timeout(Instant::ZERO), table.largest_holders(9).len()),
        (None, usize::from(table.buffered() >= 4_096))
    );
}

/// A handshake that the application judges is one in progress, and HELLO with its token is held meanwhile.
#[test]
fn a_hello_that_is_judged_counts() {
    let mut table = table(TableLimits { handshakes: 1, ..TableLimits::default() });
    let asking = valid(Config { admission: Admission::Ask, ..config() });
    let id = table.insert(Connection::server(Instant::ZERO, &asking, seed(SERVER_KEY)), ()).unwrap();
    let hello = Hello { token: Some(vec![7; 2_000].into()), ..hello(PEER_KEY) };
    receive(&mut table, id, &hello_packet(Kind::HELLO, &hello));
    assert!(table.buffered() >= 2_000, "{}", table.buffered());
    assert_eq!(table.insert(server(), ()).unwrap_err().reason, InsertRefused::Handshakes { limit: 1 });
    table.get_mut(id).unwrap().accept(Instant::ZERO);
    assert_eq!((table.handshakes(), table.buffered()), (0, 0));
}

/// PW-REJ-006: refusals that the peer doesn't take are held, within the limit of the table.
#[test]
fn refusals_that_wait_count() {
    let mut config = config();
    config.damage = Damage::Resynchronise;
    let mut table = table(TableLimits::default());
    let id = table.insert(Connection::server(Instant::ZERO, &valid(config), seed(SERVER_KEY)), ()).unwrap();
    receive(&mut table, id, &hello_packet(Kind::HELLO, &hello(PEER_KEY)));
    let mut damaged = data(Flags::FIRST | Flags::CHECKSUM, 4, &[7; 10], SERVER_KEY);
    damaged[12] ^= 1;
    receive(&mut table, id, &damaged);
    assert!(table.buffered() > 0 && table.buffered() < 1_000, "{}", table.buffered());
    handed_out(&mut table, id);
    assert_eq!(table.buffered(), 0);
}

/// What is lent to the driver counts while it is lent.
#[test]
fn a_lent_buffer_counts() {
    let mut table = table(TableLimits::default());
    let id = greeted(&mut table, &hello(PEER_KEY));
    let frame = data(Flags::FIRST, 4, &[7; 60_000], SERVER_KEY);
    receive(&mut table, id, &frame[..10_000]);
    let held = table.buffered();
    assert!(held >= 9_988, "{held}");
    let (mut buffer, missing) = table.get_mut(id).unwrap().direct_buffer().unwrap();
    assert_eq!((table.buffered() >= held, missing), (true, 50_012));
    let mut connection = table.get_mut(id).unwrap();
    let mut rest = &frame[10_000..];
    loop {
        let (now, later) = rest.split_at(rest.len().min(buffer.capacity()));
        buffer.extend_from_slice(now);
        rest = later;
        match connection.received_direct(Instant::ZERO, buffer) {
            Ok(None) => buffer = connection.direct_buffer().unwrap().0,
            event => break assert!(matches!(event, Ok(Some(Event::Message(_))))),
        }
    }
    drop(connection);
    assert_eq!(table.buffered(), 0);
}

/// PW-CK-002, PW-CK-003: a broadcast tells which ids did not accept it, and why.
#[test]
fn a_broadcast_names_who_refused() {
    let mut table = table(TableLimits::default());
    let gone = greeted(&mut table, &hello(PEER_KEY));
    table.remove(gone).unwrap();
    let good = greeted(&mut table, &hello(PEER_KEY));
    let young = table.insert(server(), ()).unwrap();
    let strict = greeted(&mut table, &Hello { frame_limit: 512, message_limit: 600, ..hello(PEER_KEY) });
    let refused = table.broadcast(Instant::ZERO, [gone, good, young, strict], business(1_000));
    let expected = [
        (gone, SendRefused::Stale),
        (young, SendRefused::NotEstablished),
        (strict, SendRefused::TooLarge { limit: 600 }),
    ];
    assert_eq!(refused, expected);
    assert_eq!(table.get_mut(good).unwrap().messages_sent(), 1);
}

/// PW-CLS-019, PW-REJ-008: what was broadcast counts as sent, once it was handed out.
#[test]
fn a_broadcast_counts_as_sent() {
    let mut table = table(TableLimits::default());
    let id = greeted(&mut table, &hello(PEER_KEY));
    for (count, size) in [10, 5_000, 100_000].into_iter().enumerate() {
        assert!(table.broadcast(Instant::ZERO, [id], business(size)).is_empty());
        handed_out(&mut table, id);
        let ordinal = count as u64 + 1;
        let refusal = reject(ordinal, RejectReason::TOO_LARGE.0, SERVER_KEY);
        let event = table.get_mut(id).unwrap().receive(Instant::ZERO, &mut &refusal[..]).unwrap();
        assert!(matches!(event, Some(Event::Rejected(rejected)) if rejected.ordinal.unwrap().get() == ordinal));
    }
    assert_eq!(table.get_mut(id).unwrap().statistics().messages_handed_out, 3);
    receive(&mut table, id, &close(CloseReason::NORMAL, 4, 0, &[], SERVER_KEY));
    assert_eq!(closed(&mut table, id).unwrap().reason, CloseReason::BAD_COUNT);
}

/// What was broadcast and not handed out comes back as any other message.
#[test]
fn a_broadcast_comes_back_unsent() {
    let mut table = table(TableLimits::default());
    let id = greeted(&mut table, &Hello { resync: true, ..hello(PEER_KEY) });
    let messages = [10, 5_000, 100_000].map(business);
    for message in &messages {
        assert!(table.broadcast(Instant::ZERO, [id], message.clone()).is_empty());
    }
    table.get_mut(id).unwrap().abort(Instant::ZERO);
    assert_eq!(closed(&mut table, id).unwrap().unsent, messages);
}

proptest! {
    /// PW-HDR-003, PW-HDR-012, PW-FRM-007, PW-DAT-009: to every receiver, whatever its key and limits and whether it asks
    /// for checksums, goes what `send` would have sent.
    #[test]
    fn a_prepared_message_is_sent_as_any_other(
        key in 1u32..,
        resync: bool,
        frame_limit in 512u32..9_000,
        messages in prop::collection::vec((0usize..20_000, any::<bool>(), any::<bool>()), 1..6),
    ) {
        let mut table = table(TableLimits::default());
        let hello = Hello { resync, frame_limit, ..hello(key) };
        let (one, other) = (greeted(&mut table, &hello), greeted(&mut table, &hello));
        for (size, encrypted, prepared) in messages {
            let message = Message { class: Class::ROOM, encrypted, payload: payload(size) };
            table.send(Instant::ZERO, one, message.clone()).unwrap();
            if prepared {
                table.send_prepared(Instant::ZERO, other, &PreparedMessage::new(message)).unwrap();
            } else {
                table.send(Instant::ZERO, other, message).unwrap();
            }
        }
        prop_assert_eq!(table.get_mut(one).unwrap().queued(), table.get_mut(other).unwrap().queued());
        let sent = handed_out(&mut table, one);
        prop_assert_eq!(&sent, &handed_out(&mut table, other));
        let [one, other] = [one, other].map(|id| table.get_mut(id).unwrap().statistics());
        prop_assert_eq!(one, other);
        prop_assert!(!parse(&sent, key, false).is_empty());
        prop_assert_eq!(table.buffered(), 0);
    }
}
