//! Appendix A of the specification against what connections do: each state is reached as a user reaches it, each kind is sent
//! to it, and what happened is written down as the text has it.

use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::state::State;
use super::{Connection, Role, Transmit};
use crate::config::{Admission, Config, Seed};
use crate::error::ProtocolError;
use crate::event::Event;
use crate::message::Message;
use crate::statistics::Statistics;
use crate::time::Instant;
use crate::wire::{Class, Flags, Header, Hello, Kind};
use crate::{CloseReason, Damage};

const OWN_KEY: u32 = 0x2222_2222;
const PEER_KEY: u32 = 0x0BAD_CAFE;
const NOW: Instant = Instant::ZERO;

/// The columns. Kinds that share one must mean the same.
const COLUMNS: [(&str, &[Kind]); 7] = [
    ("HELLO", &[Kind::HELLO]),
    ("HELLO_ACK", &[Kind::HELLO_ACK]),
    ("DATA", &[Kind::DATA]),
    ("PING, PONG, BUSY, REJECT", &[Kind::PING, Kind::PONG, Kind::BUSY, Kind::REJECT]),
    ("DRAIN", &[Kind::DRAIN]),
    ("CLOSE", &[Kind::CLOSE]),
    ("CLOSE_ACK", &[Kind::CLOSE_ACK]),
];

/// A row: its name, and each way in which connections come to stand there.
type Row = (&'static str, &'static [fn() -> Connection]);

const ROWS: [Row; 8] = [
    ("client, HELLO sent", &[client]),
    ("server, nothing received", &[|| server(Admission::Automatic), || server(Admission::Ask)]),
    ("server, judging HELLO (PW-HS-021)", &[judging]),
    ("open", &[open]),
    ("closing: CLOSE queued or sent", &[close_queued, close_sent]),
    ("peer closing: CLOSE received, CLOSE_ACK queued", &[peer_closing]),
    ("both closing", &[|| crossed(close_queued()), || crossed(close_sent())]),
    ("over", &[over]),
];

fn config(admission: Admission) -> Config {
    Config { admission, damage: Damage::Close, ..Config::default() }
}

fn seed() -> Seed {
    let [a, b, c, d] = OWN_KEY.to_be_bytes();
    Seed::from_bytes([a, b, c, d, 1, 2, 3, 4, 5, 6, 7, 8])
}

fn transmit(connection: &mut Connection) {
    let mut batch = Transmit::new();
    while connection.poll_transmit(NOW, 1 << 20, &mut batch) {
        let size = batch.len();
        connection.transmitted(NOW, &mut batch, size);
    }
}

fn client() -> Connection {
    let mut client = Connection::client(NOW, &config(Admission::Automatic).validate().unwrap(), seed());
    transmit(&mut client);
    client
}

fn server(admission: Admission) -> Connection {
    Connection::server(NOW, &config(admission).validate().unwrap(), seed())
}

fn greeted(mut server: Connection) -> Connection {
    receive(&mut server, &packet(Kind::HELLO, CloseReason::NORMAL, 0)).unwrap();
    server
}

fn judging() -> Connection {
    greeted(server(Admission::Ask))
}

/// Open, with a PING handed out, which PONG may answer, and a message, which REJECT may refuse.
fn open() -> Connection {
    let mut server = greeted(server(Admission::Automatic));
    server.outgoing.ping();
    server.send(NOW, Message::new(Class::UNCLASSIFIED, b"")).unwrap();
    transmit(&mut server);
    server
}

fn close_queued() -> Connection {
    let mut server = open();
    server.close(NOW, CloseReason::NORMAL);
    server
}

fn close_sent() -> Connection {
    let mut server = close_queued();
    transmit(&mut server);
    server
}

fn crossed(mut closing: Connection) -> Connection {
    receive(&mut closing, &packet(Kind::CLOSE, CloseReason::NORMAL, OWN_KEY)).unwrap();
    closing
}

fn peer_closing() -> Connection {
    crossed(open())
}

fn over() -> Connection {
    let mut server = open();
    server.abort(NOW);
    server
}

/// A good packet of this kind.
fn packet(kind: Kind, reason: CloseReason, key: u32) -> Vec<u8> {
    let mut payload = Vec::new();
    let mut flags = Flags::NONE;
    match kind {
        Kind::HELLO | Kind::HELLO_ACK => Hello {
            version_lowest: 1,
            version_highest: 1,
            sync_key: PEER_KEY.try_into().unwrap(),
            frame_limit: 65_536,
            message_limit: 65_536,
            ping_floor: core::time::Duration::from_secs(1),
            resync: false,
            token: None,
        }
        .encode(&mut payload),
        Kind::DATA => flags = Flags::FIRST,
        Kind::PING | Kind::PONG => payload.extend(1u64.to_be_bytes()),
        Kind::CLOSE => {
            payload.extend(reason.0.to_be_bytes());
            payload.extend([0; 12]);
        }
        Kind::REJECT => payload.extend([0; 11]),
        Kind::BUSY => payload.extend([0, 0, 0, 1]),
        Kind::DRAIN | Kind::CLOSE_ACK => payload.extend([0; 8]),
        _ => {}
    }
    let header = Header { kind, flags, class: Class::UNCLASSIFIED, length: payload.len() as u32 };
    [&header.encode(key)[..], &payload].concat()
}

fn receive(connection: &mut Connection, bytes: &[u8]) -> Result<(), ProtocolError> {
    let mut input = bytes;
    while connection.receive(NOW, &mut input)?.is_some() {}
    Ok(())
}

/// The name of a state in the text.
fn name(connection: &Connection) -> &'static str {
    match (&connection.state, connection.role) {
        (State::Handshake { .. }, Role::Client) => "client, HELLO sent",
        (State::Handshake { .. }, Role::Server) => "server, nothing received",
        (State::Judging { .. }, _) => "judging",
        (State::Open, _) => "open",
        (State::Closing { .. }, _) => "closing",
        (State::PeerClosing { .. }, _) => "peer closing",
        (State::BothClosing { .. }, _) => "both closing",
        (State::Over, _) => "over",
    }
}

/// What one packet did.
fn effect(connection: &mut Connection, kind: Kind, reason: CloseReason) -> String {
    let noticed = |connection: &Connection| Statistics { bytes_received: 0, ..connection.statistics() };
    let (before, counted) = (name(connection), noticed(connection));
    let key = if matches!(connection.state, State::Handshake { .. }) { 0 } else { OWN_KEY };
    if let Err(error) = receive(connection, &packet(kind, reason, key)) {
        assert_eq!((error.close_reason(), name(connection)), (CloseReason::UNEXPECTED_PACKET, "over"), "{kind:?}");
        return "unexpected".to_owned();
    }
    let after = name(connection);
    if after != before {
        return format!("to *{after}*");
    }
    let taken = noticed(connection) != counted || connection.peer_drained;
    if taken { "taken".to_owned() } else { "ignored".to_owned() }
}

/// A cell: the same for each kind of the column, and where it depends on the way to the state or on what came before, as the
/// text says it.
fn cell(row: Row, kinds: &[Kind]) -> String {
    let cells: Vec<String> = kinds.iter().map(|kind| cell_of_kind(row, *kind)).collect();
    assert!(cells.iter().all(|cell| *cell == cells[0]), "{kinds:?} in {}: {cells:?}", row.0);
    cells[0].clone()
}

fn cell_of_kind((state, ways): Row, kind: Kind) -> String {
    let after = |reason| ways.iter().map(|way| effect(&mut way(), kind, reason)).collect::<Vec<_>>();
    let effects = after(CloseReason::NORMAL);
    match (kind, &effects[..]) {
        (Kind::DRAIN, [first, ..]) if first == "taken" => {
            for way in ways {
                let mut connection = way();
                effect(&mut connection, kind, CloseReason::NORMAL);
                assert_eq!(effect(&mut connection, kind, CloseReason::NORMAL), "unexpected", "a second DRAIN");
            }
            "taken once".to_owned()
        }
        (Kind::CLOSE, [first, ..]) if state.starts_with("client") => format!("refusal: {first}"),
        (Kind::CLOSE, [first, ..]) if first.starts_with("to ") => {
            let fault = after(CloseReason::BAD_PACKET);
            assert!(fault.iter().all(|effect| *effect == fault[0]));
            let answered = if state.starts_with("closing") { "answered: " } else { "" };
            format!("{answered}{first}; a fault: {}", fault[0])
        }
        (Kind::CLOSE_ACK, [queued, sent]) if queued != sent => {
            format!("{sent} once CLOSE was sent, before that {queued}")
        }
        (_, [automatic, asking]) if automatic != asking => format!("{asking} or {}", &automatic["to ".len()..]),
        (_, [first, rest @ ..]) => {
            assert!(rest.iter().all(|effect| effect == first), "{kind:?} in {state}: {effects:?}");
            first.clone()
        }
        (_, []) => String::new(),
    }
}

fn line(cells: impl Iterator<Item = String>) -> String {
    cells.fold("|".to_owned(), |line, cell| format!("{line} {cell} |"))
}

/// PW-FRM-004, PW-HS-013, PW-HS-021, PW-CLS-010, PW-CLS-013, PW-CLS-017: every state by every kind, as the text has it.
#[test]
fn the_transition_table_is_that_of_the_specification() {
    let mut table = Vec::new();
    table.push(line(["state"].into_iter().chain(COLUMNS.map(|(head, _)| head)).map(String::from)));
    table.push(format!("|{}", "---|".repeat(COLUMNS.len() + 1)));
    for row in ROWS {
        table.push(line([row.0.to_owned()].into_iter().chain(COLUMNS.map(|(_, kinds)| cell(row, kinds)))));
    }
    let text = pulsewire_spec::TEXT;
    let appendix = &text[text.find("## Appendix A. States").expect("the appendix")..];
    let written: Vec<&str> = appendix.lines().filter(|line| line.starts_with('|')).collect();
    assert_eq!(table, written);
}

/// Appendix A: ignorable kinds are ignored, but for those before the handshake is complete.
#[test]
fn ignorable_kinds_are_ignored_after_the_handshake() {
    for (index, (state, ways)) in ROWS.into_iter().enumerate() {
        for way in ways {
            let expected = if index < 3 { "unexpected" } else { "ignored" };
            assert_eq!(effect(&mut way(), Kind(0xC0), CloseReason::NORMAL), expected, "{state}");
        }
    }
}

/// PW-HS-021: whatever it is, and however little.
#[test]
fn any_byte_behind_a_hello_that_is_judged_is_unexpected() {
    let hello = packet(Kind::HELLO, CloseReason::NORMAL, 0);
    let mut server = server(Admission::Ask);
    let bytes = [&hello[..], &[0]].concat();
    let mut input = &bytes[..];
    assert!(matches!(server.receive(NOW, &mut input), Ok(Some(Event::Admission(_)))));
    assert_eq!(server.receive(NOW, &mut input), Err(ProtocolError::SentBeforeAnswer));
}
