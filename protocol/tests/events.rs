//! One source of events: `receive` alone tells everything, and in the order in which it happened.

use proptest::prelude::*;
use pulsewire_protocol::{
    Admission, CloseReason, Config, Connection, Disconnect, Event, Flags, Instant, Kind, Message, Origin, ProtocolError,
};

use crate::pair::*;

/// Events that `receive` gives, with nothing else asked, until it gives no more.
fn receive_all(connection: &mut Connection, now: Instant, input: &mut &[u8]) -> Vec<Event<'static>> {
    let mut events = Vec::new();
    while let Some(event) = connection.receive(now, input).unwrap() {
        events.push(event.into_owned());
    }
    events
}

fn names(events: &[Event<'_>]) -> Vec<&'static str> {
    let name = |event: &Event<'_>| match event {
        Event::Established(_) => "established",
        Event::Message(_) => "message",
        Event::Suspect(_) => "suspect",
        Event::Recovered(_) => "recovered",
        Event::Draining { .. } => "draining",
        Event::Closing(_) => "closing",
        Event::Closed(_) => "closed",
        other => panic!("{other:?}"),
    };
    events.iter().map(name).collect()
}

/// A server whose peer became suspect, which nobody asked for yet.
fn suspecting() -> End {
    let mut server = End::server(config());
    for _ in 0..2 {
        server.now = server.connection.poll_timeout().unwrap();
        server.connection.handle_timeout(server.now);
        let mut batch = pulsewire_protocol::Transmit::new();
        if server.connection.poll_transmit(server.now, 1 << 20, &mut batch) {
            let size = batch.len();
            server.connection.transmitted(server.now, &mut batch, size);
        }
    }
    server
}

fn small() -> Vec<u8> {
    data(Flags::FIRST, 4, b"here", SERVER_KEY)
}

/// What time did is told without any input, and once.
#[test]
fn an_empty_input_tells_what_waits() {
    let mut server = suspecting();
    assert_eq!(names(&receive_all(&mut server.connection, server.now, &mut &[][..])), ["suspect"]);
    assert!(receive_all(&mut server.connection, server.now, &mut &[][..]).is_empty());
    server.connection.disconnected(server.now, Disconnect::Reset);
    assert_eq!(names(&receive_all(&mut server.connection, server.now, &mut &[][..])), ["closed"]);
    assert!(receive_all(&mut server.connection, server.now, &mut &[][..]).is_empty());
}

/// Neither a message nor what its header brings comes ahead of what waited before it.
#[test]
fn a_message_does_not_overtake_an_event_that_waits() {
    let mut server = suspecting();
    let stream = [small(), small()].concat();
    let mut input = &stream[..];
    let first = server.connection.receive(server.now, &mut input);
    assert!(matches!(first, Ok(Some(Event::Suspect(_)))) && input.len() == stream.len(), "{first:?}");
    assert_eq!(
        names(&receive_all(&mut server.connection, server.now, &mut input)),
        ["recovered", "message", "message"]
    );
}

/// PW-HS-020: what a client sends behind its HELLO comes behind `Established`, however early it came.
#[test]
fn established_comes_ahead_of_what_came_meanwhile() {
    let asking = Config { admission: Admission::Ask, ..config() };
    let mut server = Connection::server(Instant::ZERO, &valid(asking), seed(SERVER_KEY));
    let stream = [hello_packet(Kind::HELLO, &hello(PEER_KEY)), small()].concat();
    let mut input = &stream[..];
    let asked = server.receive(Instant::ZERO, &mut input);
    assert!(matches!(asked, Ok(Some(Event::Admission(_)))), "{asked:?}");
    server.accept(Instant::ZERO);
    assert_eq!(names(&receive_all(&mut server, Instant::ZERO, &mut input)), ["established", "message"]);
}

/// The end that the bytes themselves bring needs no other call.
#[test]
fn an_end_that_came_with_bytes_is_told_at_once() {
    let mut server = End::server(config());
    server.connection.close(server.now, CloseReason::NORMAL);
    server.transmit();
    let stream = [small(), numbered(Kind::CLOSE_ACK, 0, SERVER_KEY), small()].concat();
    let mut input = &stream[..];
    assert_eq!(names(&receive_all(&mut server.connection, server.now, &mut input)), ["message", "closed"]);
    assert!(input.is_empty(), "what follows the end is not acted on");
}

/// After an error `receive` gives `Closed`, whatever its input, and from then on nothing.
#[test]
fn the_end_follows_an_error() {
    for behind in [&[][..], &small(), &[0xF7; 100]] {
        let mut server = End::server(config());
        let mut input = &[0xFF; 50][..];
        assert_eq!(server.connection.receive(server.now, &mut input), Err(ProtocolError::BadHeader));
        assert!(input.is_empty());
        let mut input = behind;
        let Ok(Some(Event::Closed(closed))) = server.connection.receive(server.now, &mut input) else {
            panic!("no end")
        };
        assert_eq!((closed.origin, input.len()), (Origin::Local, 0));
        let mut input = behind;
        assert_eq!(server.connection.receive(server.now, &mut input), Ok(None));
        assert!(input.is_empty());
    }
}

/// What was accepted and at once aborted was established, and is over.
#[test]
fn several_events_wait_in_their_order() {
    let asking = Config { admission: Admission::Ask, ..config() };
    let mut server = Connection::server(Instant::ZERO, &valid(asking), seed(SERVER_KEY));
    let hello = hello_packet(Kind::HELLO, &hello(PEER_KEY));
    server.receive(Instant::ZERO, &mut &hello[..]).unwrap();
    server.accept(Instant::ZERO);
    server.abort(Instant::ZERO);
    let mut input = &small()[..];
    assert_eq!(names(&receive_all(&mut server, Instant::ZERO, &mut input)), ["established", "closed"]);
    assert!(server.poll_event().is_none());
}

/// Lent memory that completes a message comes back while something waits: that is told first, and nothing is lent until all is.
#[test]
fn lent_memory_does_not_overtake_either() {
    let mut server = End::server(config());
    let packet = data(Flags::FIRST, 4, &payload(9_000), SERVER_KEY);
    server.receive(&packet[..5_000]).unwrap();
    let End { mut connection, mut now, .. } = server;
    let mut rest = &packet[5_000..];
    loop {
        let (mut lent, missing) = connection.direct_buffer().unwrap();
        let (front, tail) = rest.split_at(missing.min(lent.capacity()).min(rest.len()));
        lent.extend_from_slice(front);
        rest = tail;
        if !rest.is_empty() {
            assert_eq!(connection.received_direct(now, lent), Ok(None));
            continue;
        }
        while !connection.has_transmit() {
            now = connection.poll_timeout().unwrap();
            connection.handle_timeout(now);
        }
        connection.poll_transmit(now, 1 << 20, &mut pulsewire_protocol::Transmit::new());
        now = now + ms(100);
        connection.handle_timeout(now);
        let told = connection.received_direct(now, lent);
        assert!(matches!(told, Ok(Some(Event::Suspect(_)))), "{told:?}");
        break;
    }
    assert!(connection.direct_buffer().is_none());
    let next = small();
    assert_eq!(names(&receive_all(&mut connection, now, &mut &next[..])), ["recovered", "message", "message"]);
    assert_eq!(connection.messages_received(), 2);
}

/// The same where nothing but the message waits any more: one that lies whole in the input does not overtake it.
#[test]
fn a_message_that_waits_is_not_overtaken() {
    let mut server = End::server(config());
    let packet = data(Flags::FIRST, 4, &payload(3_000), SERVER_KEY);
    server.receive(&packet[..2_900]).unwrap();
    let (mut lent, _) = server.connection.direct_buffer().unwrap();
    lent.extend_from_slice(&packet[2_900..]);
    server.run_until(at(1_150));
    assert_eq!(names(&server.events), ["suspect"]);
    let told = server.connection.received_direct(server.now, lent);
    assert!(matches!(told, Ok(Some(Event::Recovered(_)))), "{told:?}");
    let next = data(Flags::FIRST, 4, b"next", SERVER_KEY);
    let events = receive_all(&mut server.connection, server.now, &mut &next[..]);
    let sizes: Vec<usize> = events
        .iter()
        .map(|event| if let Event::Message(message) = event { message.payload.len() } else { 0 })
        .collect();
    assert_eq!(sizes, [3_000, 4]);
}

/// The same, and then the end: the message that was received comes before it.
#[test]
fn a_message_that_waits_comes_before_the_end() {
    let mut server = End::server(config());
    let packet = data(Flags::FIRST, 4, &payload(3_000), SERVER_KEY);
    server.receive(&packet[..2_900]).unwrap();
    let (mut lent, missing) = server.connection.direct_buffer().unwrap();
    while server.connection.poll_timeout().is_some_and(|deadline| deadline < at(1_150)) {
        server.now = server.connection.poll_timeout().unwrap();
        server.connection.handle_timeout(server.now);
        server.hand_out();
    }
    assert_eq!(missing, packet.len() - 2_900);
    lent.extend_from_slice(&packet[2_900..]);
    let told = server.connection.received_direct(server.now, lent);
    assert!(matches!(told, Ok(Some(Event::Suspect(_)))), "{told:?}");
    server.connection.abort(server.now);
    let events: Vec<_> = std::iter::from_fn(|| server.connection.poll_event()).collect();
    assert_eq!(names(&events), ["recovered", "message", "closed"]);
}

proptest! {
    /// However the stream is cut, and whichever way it comes in, the events and their order are the same.
    #[test]
    fn the_order_does_not_depend_on_the_cut(pieces in prop::collection::vec(1usize..4_000, 1..40), direct: bool, pauses: bool) {
        let stream = [
            if pauses { busy(500, SERVER_KEY) } else { Vec::new() },
            data(Flags::FIRST, 4, &payload(5_000), SERVER_KEY),
            small(),
            numbered(Kind::PING, 1, SERVER_KEY),
            small(),
            numbered(Kind::DRAIN, 0, SERVER_KEY),
            close(CloseReason::NORMAL, 0, 0, b"", SERVER_KEY),
        ].concat();
        let mut whole = suspecting();
        let mut expected = receive_all(&mut whole.connection, whole.now, &mut &stream[..]);
        expected.retain(|event| !matches!(event, Event::Suspect(_)));
        let mut cut = suspecting();
        let mut rest = &stream[..];
        let mut sizes = pieces.iter().cycle();
        while !rest.is_empty() {
            let (piece, tail) = rest.split_at(rest.len().min(*sizes.next().unwrap()));
            rest = tail;
            if direct { cut.receive_direct(piece) } else { cut.receive(piece) }.unwrap();
        }
        cut.events.retain(|event| !matches!(event, Event::Suspect(_)));
        prop_assert_eq!(names(&cut.events), names(&expected));
        prop_assert_eq!(names(&expected), ["recovered", "message", "message", "message", "draining", "closing"]);
        let message = cut.events.iter().find(|event| matches!(event, Event::Message(_)));
        let large = Message { payload: payload(5_000), ..business(0) };
        prop_assert_eq!(message, Some(&Event::Message(large)));
    }
}

/// What is taken ahead of its handling is messages alone: behind the first packet of another kind, or in pieces, nothing is.
#[test]
fn messages_can_be_taken_ahead_of_what_changes_a_connection() {
    let mut server = End::server(config());
    let begun = data(Flags::FIRST | Flags::MORE, 4, b"open", SERVER_KEY);
    let rest = data(Flags(0), 4, b"ed", SERVER_KEY);
    let close = close(CloseReason::NORMAL, 0, u32::MAX, &[], SERVER_KEY);
    let stream = [small(), small(), begun, rest, small(), close, small()[..5].to_vec()].concat();
    let mut input = &stream[..];
    let ahead = |server: &mut End, input: &mut &[u8]| {
        std::iter::from_fn(|| server.connection.receive_message(server.now, input).map(|message| message.payload.len()))
            .count()
    };
    assert_eq!(ahead(&mut server, &mut input), 2);
    let Some(Event::Message(message)) = server.connection.receive(server.now, &mut input).unwrap() else { panic!() };
    assert_eq!(*message.payload, *b"opened");
    assert_eq!(ahead(&mut server, &mut input), 1);
    // CLOSE was not looked at: an answer may still be given.
    server.connection.send(server.now, business(3)).unwrap();
    assert_eq!(names(&receive_all(&mut server.connection, server.now, &mut input)), ["closing"]);
    assert_eq!(server.connection.messages_received(), 4);
}
