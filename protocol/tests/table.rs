//! Many connections: section 13 of the specification, and the deadlines of a table.

use std::collections::BTreeMap;

use proptest::prelude::*;
use pulsewire_protocol::{
    Class, CloseReason, Connection, ConnectionId, ConnectionTable, Event, Flags, Instant, Kind, Message, SendRefused,
    Slots, Transmit,
};

use crate::pair::*;

fn server(handshake: u64) -> Connection {
    let mut config = config();
    config.timeouts.handshake = ms(handshake);
    Connection::server(Instant::ZERO, &valid(config), seed(SERVER_KEY))
}

/// PW-CK-002, PW-CK-003: every verb, for every way in which an id can be wrong.
#[test]
fn a_stale_id_is_refused_by_every_verb() {
    let mut table = ConnectionTable::new(3);
    let removed = table.insert(server(1_000), "removed").unwrap();
    table.remove(removed).unwrap();
    let retired = table.insert(server(1_000), "retired").unwrap();
    assert!(table.retire(retired));
    let released = table.insert(server(1_000), "released").unwrap();
    table.retire(released);
    table.release(released).unwrap();
    let living = table.insert(server(1_000), "living").unwrap();
    assert_eq!(living.slot(), released.slot(), "the slot was used again");
    let wrong = [
        removed,
        retired,
        released,
        ConnectionId::new(living.slot(), 4, living.cookie()),
        ConnectionId::new(99, living.domain(), living.cookie()),
        ConnectionId::new(living.slot(), living.domain(), living.cookie().saturating_add(1)),
    ];
    for id in wrong {
        let refused = table.send(Instant::ZERO, id, Message::new(Class::ROOM, b"for whom?")).unwrap_err();
        assert_eq!((refused.reason, &*refused.message.payload), (SendRefused::Stale, &b"for whom?"[..]));
        assert!(table.get_mut(id).is_none());
        assert!(table.remove(id).is_none());
        assert!(!table.retire(id));
        if id != retired {
            assert!(table.retired_mut(id).is_none() && table.release(id).is_none());
        }
    }
    assert!(table.retired_mut(living).is_none() && table.release(living).is_none());
    assert_eq!((table.len(), table.ids().collect::<Vec<_>>()), (1, vec![living]));
    assert_eq!(table.get_mut(living).unwrap().data(), &"living");
}

/// A value stays with the id that was retired, and with no other, until that is released.
#[test]
fn what_is_retired_is_found_by_its_id_alone() {
    let mut slots = Slots::new(3);
    let id = slots.insert("value");
    assert!(slots.retired(id).is_none(), "it lives");
    assert!(slots.retire(id));
    let others = [
        ConnectionId::new(id.slot(), 4, id.cookie()),
        ConnectionId::new(id.slot(), 3, id.cookie().saturating_add(1)),
        ConnectionId::new(id.slot() + 1, 3, id.cookie()),
    ];
    for other in others {
        assert!(slots.retired(other).is_none() && slots.retired_mut(other).is_none(), "{other:?}");
    }
    assert_eq!((slots.retired(id).copied(), slots.retired_mut(id).copied()), (Some("value"), Some("value")));
    assert_eq!(slots.release(id), Some("value"));
    assert!(slots.retired(id).is_none());
}

/// PW-CK-001: one slot, used again and again, with another cookie each time.
#[test]
fn a_cookie_is_never_used_again() {
    let mut table = ConnectionTable::new(0);
    let mut before = table.insert(server(1_000), ()).unwrap();
    for _ in 0..10_000 {
        table.remove(before).unwrap();
        let id = table.insert(server(1_000), ()).unwrap();
        assert!(id.slot() == before.slot() && id.cookie() > before.cookie());
        before = id;
    }
}

/// PW-CK-004, PW-CK-005: what was queued for a connection stays with it; its id is dead while its slot is kept.
#[test]
fn a_queue_belongs_to_its_connection() {
    let mut table = ConnectionTable::new(0);
    let connect = |table: &mut ConnectionTable<()>| {
        let id = table.insert(server(1_000), ()).unwrap();
        let hello = hello_packet(Kind::HELLO, &hello(PEER_KEY));
        let mut connection = table.get_mut(id).unwrap();
        assert!(matches!(connection.receive(Instant::ZERO, &mut &hello[..]), Ok(Some(Event::Established(_)))));
        id
    };
    let old = connect(&mut table);
    table.send(Instant::ZERO, old, Message::new(Class::ROOM, b"a secret")).unwrap();
    table.retire(old);
    let other = connect(&mut table);
    assert_ne!(other.slot(), old.slot());
    let (mut gone, ()) = table.release(old).unwrap();
    gone.abort(Instant::ZERO);
    let Some(Event::Closed(closed)) = gone.poll_event() else { panic!("no end") };
    assert_eq!(closed.unsent, [Message::new(Class::ROOM, b"a secret")]);
    let new = connect(&mut table);
    assert_eq!(new.slot(), old.slot());
    let mut batch = Transmit::new();
    assert!(table.get_mut(new).unwrap().poll_transmit(Instant::ZERO, 1 << 20, &mut batch));
    let sent: Vec<u8> = batch.slices().flatten().copied().collect();
    assert_eq!(parse(&sent, PEER_KEY, true).len(), 1, "HELLO_ACK alone");
}

/// The data of a retired connection can be reached, and its connection passes no more time.
#[test]
fn a_retired_connection_has_no_deadline() {
    let mut table = ConnectionTable::new(0);
    let id = table.insert(server(1_000), 7).unwrap();
    assert_eq!(table.poll_timeout(), Some(at(1_000)));
    table.retire(id);
    assert_eq!((table.poll_timeout(), table.handle_timeout(at(5_000)), table.len()), (None, None, 0));
    assert_eq!(table.retired_mut(id), Some(&mut 7));
    let (connection, data) = table.release(id).unwrap();
    assert!(!connection.is_over());
    assert_eq!((data, table.release(id).is_none()), (7, true));
}

/// A deadline that moved to later is looked at when the old one runs out, and armed anew; nothing happens to the connection.
#[test]
fn a_deadline_that_moved_is_armed_lazily() {
    let mut table = ConnectionTable::new(0);
    let id = table.insert(server(1_000), ()).unwrap();
    let mut connection = table.get_mut(id).unwrap();
    let hello = hello_packet(Kind::HELLO, &hello(PEER_KEY));
    connection.receive(at(900), &mut &hello[..]).unwrap();
    let mut batch = Transmit::new();
    connection.poll_transmit(at(900), 1 << 20, &mut batch);
    let size = batch.len();
    assert!(connection.transmitted(at(900), &mut batch, size));
    let deadline = connection.poll_timeout().unwrap();
    drop(connection);
    assert!(deadline > at(1_500));
    assert_eq!(table.poll_timeout(), Some(at(1_000)), "the old one");
    assert_eq!(table.handle_timeout(at(1_000)), None);
    assert_eq!(table.poll_timeout(), Some(deadline));
    assert_eq!(table.handle_timeout(deadline), Some(id));
    assert!(table.get_mut(id).unwrap().poll_transmit(deadline, 1, &mut Transmit::new()), "a PING");
}

#[derive(Debug, Clone)]
enum Operation {
    Insert {
        handshake: u64,
    },
    Greet(prop::sample::Index),
    /// A message, a part of one, or a PING.
    Receive(prop::sample::Index, u8),
    Send(prop::sample::Index),
    Transmit(prop::sample::Index),
    Close(prop::sample::Index),
    Remove(prop::sample::Index),
    Retire(prop::sample::Index),
    Wait(u64),
}

fn operation() -> impl Strategy<Value = Operation> {
    let index = any::<prop::sample::Index>;
    prop_oneof![
        3 => (10u64..3_000).prop_map(|handshake| Operation::Insert { handshake }),
        4 => index().prop_map(Operation::Greet),
        4 => (index(), 0u8..3).prop_map(|(which, what)| Operation::Receive(which, what)),
        2 => index().prop_map(Operation::Send),
        4 => index().prop_map(Operation::Transmit),
        1 => index().prop_map(Operation::Close),
        1 => index().prop_map(Operation::Remove),
        1 => index().prop_map(Operation::Retire),
        6 => (0u64..700).prop_map(Operation::Wait),
    ]
}

/// What an operation does to a connection: the same to the table's and to its twin.
fn apply(operation: &Operation, connection: &mut Connection, now: Instant, held: &mut Vec<u8>, ping: u64) {
    let mut receive = |bytes: &[u8]| {
        held.extend_from_slice(bytes);
        let mut input = &held[..];
        while let Ok(Some(_)) = connection.receive(now, &mut input) {}
        let left = input.len();
        held.drain(..held.len() - left);
    };
    match operation {
        Operation::Greet(_) => receive(&hello_packet(Kind::HELLO, &hello(PEER_KEY))),
        Operation::Receive(_, 0) => receive(&data(Flags::FIRST, 4, b"message", SERVER_KEY)),
        Operation::Receive(_, 1) => receive(&data(Flags::FIRST, 4, b"message", SERVER_KEY)[..5]),
        Operation::Receive(_, _) => receive(&numbered(Kind::PING, ping, SERVER_KEY)),
        Operation::Send(_) => drop(connection.send(now, business(10))),
        Operation::Transmit(_) => {
            let mut batch = Transmit::new();
            while connection.poll_transmit(now, 1 << 20, &mut batch) {
                let size = batch.len();
                connection.transmitted(now, &mut batch, size);
            }
        }
        Operation::Close(_) => connection.close(now, CloseReason::NORMAL),
        Operation::Insert { .. } | Operation::Remove(_) | Operation::Retire(_) | Operation::Wait(_) => {}
    }
}

proptest! {
    /// `handle_timeout` names exactly the connections that are due, and does to them what time does to each by itself.
    #[test]
    fn the_table_passes_time_to_exactly_those_that_are_due(operations in prop::collection::vec(operation(), 1..120)) {
        let mut table = ConnectionTable::new(0);
        let mut twins: BTreeMap<ConnectionId, (Connection, Vec<u8>)> = BTreeMap::new();
        let mut now = Instant::ZERO;
        let mut ping = 0;
        for operation in &operations {
            match operation {
                Operation::Insert { handshake } => {
                    // A handshake that ends at the same moment for both: measured from the epoch.
                    let id = table.insert(server(*handshake), Vec::new()).unwrap();
                    twins.insert(id, (server(*handshake), Vec::new()));
                }
                Operation::Wait(time) => now = now + ms(*time),
                Operation::Greet(which) | Operation::Receive(which, _) | Operation::Send(which)
                | Operation::Transmit(which) | Operation::Close(which) | Operation::Remove(which)
                | Operation::Retire(which) => {
                    if twins.is_empty() {
                        continue;
                    }
                    let id = *which.get(&twins.keys().copied().collect::<Vec<_>>());
                    match operation {
                        Operation::Remove(_) => drop(table.remove(id).unwrap()),
                        Operation::Retire(_) => prop_assert!(table.retire(id)),
                        _ => {
                            ping += 1;
                            let mut entry = table.get_mut(id).unwrap();
                            let (connection, held) = entry.parts();
                            apply(operation, connection, now, held, ping);
                            let (twin, held) = twins.get_mut(&id).unwrap();
                            apply(operation, twin, now, held, ping);
                            continue;
                        }
                    }
                    twins.remove(&id);
                }
            }
            let mut named: Vec<ConnectionId> = std::iter::from_fn(|| table.handle_timeout(now)).collect();
            let mut due = Vec::new();
            for (id, (twin, _)) in &mut twins {
                if twin.poll_timeout().is_some_and(|deadline| deadline <= now) {
                    twin.handle_timeout(now);
                    due.push(*id);
                }
            }
            named.sort_unstable();
            prop_assert_eq!(named, due);
            let earliest = twins.values().filter_map(|(twin, _)| twin.poll_timeout()).min();
            // The table may look earlier than it need, never later.
            prop_assert!(earliest.is_none() || table.poll_timeout().is_some_and(|armed| Some(armed) <= earliest));
            prop_assert!(table.poll_timeout().is_none_or(|armed| armed > now));
            let held: usize = twins.values().map(|(twin, _)| twin.buffered()).sum();
            prop_assert_eq!(table.buffered(), held);
            for (id, (twin, _)) in &twins {
                prop_assert_eq!(table.get_mut(*id).unwrap().poll_timeout(), twin.poll_timeout());
            }
        }
    }
}

/// PW-CK-002: a look at a connection needs its whole id, as everything else does.
#[test]
fn only_the_whole_id_finds_a_connection() {
    let mut table = ConnectionTable::new(1);
    let old = table.insert(server(1_000), ()).unwrap();
    assert!(table.get(old).is_some_and(|connection| !connection.is_over()));
    table.remove(old).unwrap();
    let new = table.insert(server(2_000), ()).unwrap();
    let retired = table.insert(server(3_000), ()).unwrap();
    table.retire(retired);
    assert_eq!(new.slot(), old.slot());
    let elsewhere = ConnectionId::new(new.slot(), 2, new.cookie());
    for stale in [old, retired, elsewhere, ConnectionId::new(u32::MAX, 1, new.cookie())] {
        assert!(table.get(stale).is_none(), "{stale:?}");
    }
    assert_eq!(table.get(new).and_then(Connection::poll_timeout), Some(at(2_000)));
}

/// What is done to all in turn counts for each, as if each had been asked for by its id.
#[test]
fn all_connections_can_be_used_in_turn() {
    let mut table = ConnectionTable::new(0);
    let ids: Vec<ConnectionId> = (1..=4).map(|tenth| table.insert(server(tenth * 100), tenth).unwrap()).collect();
    table.remove(ids[1]).unwrap();
    table.retire(ids[2]);
    let mut seen = Vec::new();
    table.for_each_mut(|mut connection| {
        seen.push((connection.id(), *connection.data()));
        let hello = hello_packet(Kind::HELLO, &hello(PEER_KEY));
        connection.receive(Instant::ZERO, &mut &hello[..]).unwrap();
        connection.send(Instant::ZERO, business(1_000)).unwrap();
    });
    assert_eq!(seen, [(ids[0], 1), (ids[3], 4)]);
    assert_eq!((table.handshakes(), table.len()), (0, 2));
    let held: usize = table.ids().map(|id| table.get(id).unwrap().buffered()).sum();
    assert!(held > 2_000 && table.buffered() == held, "{held} bytes");
}
