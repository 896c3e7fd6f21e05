//! What is printed: nothing secret, and nothing of the peer's that could pass for something else.

use pulsewire_protocol::{
    CloseReason, Config, Connection, ConnectionTable, Event, Instant, Kind, Message, Operation, PreparedMessage,
    Recorder, Role, SendError, SendRefused, Transmit,
};

use crate::pair::*;

const SECRET: &[u8] = b"s3cr3t-t0k3n";
const KEY: u32 = 0x5EC2_E7A5;

/// The secret in the ways in which `Debug` may print it: as text, as numbers, in hexadecimal digits.
fn check(printed: &str) {
    let numbers = format!("{SECRET:?}");
    let hex: String = SECRET.iter().map(|byte| format!("{byte:02x}")).collect();
    let key = KEY.to_string();
    for secret in ["s3cr3t", numbers.trim_matches(['[', ']']), &hex, &key] {
        assert!(!printed.contains(secret), "{secret} in {printed}");
    }
}

#[test]
fn debug_prints_no_token_key_or_payload() {
    let config = Config { token: Some(SECRET.into()), ..config() };
    let message = || Message::new(pulsewire_protocol::Class::ROOM, SECRET);
    check(&format!("{config:?} {:#?}", valid(config.clone())));
    check(&format!("{:?} {:?}", seed(KEY), hello(KEY)));
    let greeting = format!("{:?}", pulsewire_protocol::Hello { token: Some(SECRET.into()), ..hello(KEY) });
    check(&greeting);
    assert!(greeting.contains("sync_key: …") && greeting.contains("token: Some(12 bytes)"), "{greeting}");
    check(&format!("{:?} {:?} {:?}", message(), Event::Message(message()), PreparedMessage::new(message())));
    check(&format!("{:?}", SendError { reason: SendRefused::Full, message: message() }));

    let mut recorder = Recorder::new(Instant::ZERO, Role::Client, &valid(config.clone()), seed(KEY));
    let outcome = recorder.apply(Instant::ZERO, Operation::PollTransmit { max: 1 << 20 });
    assert!(!outcome.bytes.is_empty());
    check(&format!("{recorder:?} {outcome:?} {:?}", recorder.trace()));
    check(&format!("{:?}", Operation::Received(SECRET.into())));

    let mut asking = config.clone();
    asking.admission = pulsewire_protocol::Admission::Ask;
    let mut server = Connection::server(Instant::ZERO, &valid(asking), seed(KEY));
    let greeting = hello_packet(Kind::HELLO, &pulsewire_protocol::Hello { token: Some(SECRET.into()), ..hello(KEY) });
    let request = server.receive(Instant::ZERO, &mut &greeting[..]).unwrap().unwrap();
    check(&format!("{request:?} {server:?}"));
    server.accept(Instant::ZERO);
    check(&format!("{:?} {server:?}", server.poll_event().unwrap()));
    server.send(Instant::ZERO, message()).unwrap();
    let mut batch = Transmit::new();
    server.poll_transmit(Instant::ZERO, 1, &mut batch);
    check(&format!("{batch:?}"));
    server.send(Instant::ZERO, message()).unwrap();
    server.abort(Instant::ZERO);
    check(&format!("{:?}", server.poll_event().unwrap()));

    let mut table = ConnectionTable::new(0);
    table.insert(Connection::client(Instant::ZERO, &valid(config), seed(KEY)), ()).unwrap();
    check(&format!("{table:?}"));
}

/// A CLOSE whose TEXT forges a line of the log, clears the terminal and turns the writing round.
#[test]
fn the_text_of_a_peer_is_escaped() {
    let mut server = End::server(config());
    let text = "bye\n2030-01-01 INFO auth: admin logged in \u{1b}[2J\u{202e}desrever";
    server.receive(&close(CloseReason::NORMAL, 0, 0, &item(0x8010, text.as_bytes()), SERVER_KEY)).unwrap();
    server.transmit();
    let printed = server.closed().to_string();
    assert!(printed.contains("bye\\n2030"), "{printed}");
    assert!(printed.chars().all(|character| !character.is_control() && character != '\u{202e}'), "{printed}");
    assert_eq!(server.closed().detail, text, "the application gets what was said");
}
