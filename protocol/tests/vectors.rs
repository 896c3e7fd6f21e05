//! The vectors of the specification, run through the core. Each names the requirements that it tests; those of section 3 are
//! tested here and nowhere else.

use proptest::prelude::*;
use pulsewire_protocol::{
    Class, CloseReason, Damage, Event, Header, Hello, Kind, Message, Origin, ProtocolError, Retry,
};
use pulsewire_spec::vectors::{self, Expectation, FramingEnd, FramingEvent, FramingVector, HelloPacket};

use crate::pair::{End, PEER_KEY, config, hello, ms, number};

#[test]
fn headers() {
    for vector in vectors::header() {
        let bytes = vector.header.bytes().try_into().expect("12 bytes");
        let result = match Header::verify(bytes, vector.key) {
            None => Err(CloseReason::BAD_HEADER),
            Some(header) => header
                .judge(vector.frame_limit)
                .map(|()| header)
                .map_err(|error| ProtocolError::from(error).close_reason()),
        };
        match (&vector.expect, result) {
            (Expectation::Accepted(fields), Ok(header)) => {
                let got = (header.kind.0, header.flags.0, header.class.0, header.length);
                assert_eq!(got, (fields.kind, fields.flags, fields.class, fields.length), "{}", vector.name);
                assert_eq!(&header.encode(vector.key), bytes, "{}: encoding gives the same bytes", vector.name);
            }
            (Expectation::Close(reason), Err(got)) => assert_eq!(got.0, reason.value, "{}", vector.name),
            (expected, got) => panic!("{}: expected {expected:?}, got {got:?}", vector.name),
        }
    }
}

#[test]
fn hellos() {
    for vector in vectors::hello() {
        let kind = match vector.packet {
            HelloPacket::Hello => Kind::HELLO,
            HelloPacket::HelloAck => Kind::HELLO_ACK,
        };
        let result = Hello::decode(kind, vector.payload.bytes())
            .map_err(ProtocolError::from)
            .and_then(|hello| judge_versions(kind, hello));
        match (&vector.expect, result) {
            (Expectation::Accepted(values), Ok(hello)) => {
                assert_eq!([hello.version_lowest, hello.version_highest], values.versions, "{}", vector.name);
                assert_eq!(hello.sync_key.get(), values.sync_key, "{}", vector.name);
                assert_eq!(
                    (hello.frame_limit, hello.message_limit, hello.ping_floor.as_millis(), hello.resync),
                    (values.frame_limit, values.message_limit, u128::from(values.ping_floor), values.resync),
                    "{}",
                    vector.name
                );
                assert_eq!(hello.token.as_deref(), values.token.as_ref().map(|token| token.bytes()), "{}", vector.name);
                let mut payload = Vec::new();
                hello.encode(&mut payload);
                assert_eq!(Hello::decode(kind, &payload), Ok(hello), "{}: a round trip changes nothing", vector.name);
            }
            (Expectation::Close(reason), Err(got)) => assert_eq!(got.close_reason().0, reason.value, "{}", vector.name),
            (expected, got) => panic!("{}: expected {expected:?}, got {got:?}", vector.name),
        }
    }
}

/// The vectors are of a receiver that speaks version 1 alone; a connection judges that, not the codec.
fn judge_versions(kind: Kind, hello: Hello) -> Result<Hello, ProtocolError> {
    let Hello { version_lowest: lowest, version_highest: highest, .. } = hello;
    if lowest > 1 || (kind == Kind::HELLO_ACK && highest != 1) {
        return Err(ProtocolError::UnsupportedVersion { lowest, highest });
    }
    Ok(hello)
}

/// What a connection made of a stream, in the words of the vectors.
#[derive(Debug, PartialEq, Eq)]
struct Outcome {
    /// What the application is told, but for CLOSE.
    events: Vec<String>,
    /// What the peer's CLOSE said, where that ended the connection.
    said: Option<String>,
    /// Class, ordinal and reason of each REJECT.
    refused: Vec<(u8, u64, u16)>,
    end: String,
    /// The highest PING that was answered. How many were depends on how the bytes were cut.
    pinged: Option<u64>,
}

/// A server that has sent what the vector says.
fn prepare(vector: &FramingVector) -> End {
    let mut config = config();
    config.damage = if vector.resync { Damage::Resynchronise } else { Damage::Close };
    config.limits.frame = vector.frame_limit;
    config.limits.message = vector.message_limit;
    let mut end = End::greeted(config, &hello(PEER_KEY), vector.key);
    for _ in 0..vector.messages_sent {
        end.connection.send(end.now, Message::new(Class::COMMUNICATION, vec![0])).expect("accepted");
    }
    end.transmit();
    while (end.sent_of(Kind::PING).len() as u64) < vector.pings_sent {
        let deadline = end.connection.poll_timeout().expect("a PING is due some time");
        end.run_until(deadline);
    }
    end.events.clear();
    end.sent.clear();
    end
}

fn run(vector: &FramingVector, cuts: &[usize]) -> Outcome {
    let mut end = prepare(vector);
    let stream = vector.stream.bytes();
    let mut fed = 0;
    let mut result = Ok(());
    for &cut in cuts.iter().chain([&stream.len()]) {
        result = result.and(end.receive(&stream[fed..cut]));
        fed = cut;
        // CLOSE is not answered before all has come.
        if !end.events.iter().any(|event| matches!(event, Event::Closing(_))) {
            end.transmit();
        }
    }
    end.transmit();
    outcome(&end, result)
}

fn outcome(end: &End, result: Result<(), ProtocolError>) -> Outcome {
    let closed = end.closed.as_ref().map(|(_, closed)| closed);
    let by_peer = closed.filter(|closed| closed.origin == Origin::Peer);
    let end_of_it = match (&result, by_peer) {
        (Err(error), _) => format!("{:?}", error.close_reason()),
        (Ok(()), Some(closed)) if closed.orderly => String::from("peer closed"),
        (Ok(()), Some(_)) => String::from("peer failed"),
        (Ok(()), None) => String::from("open"),
    };
    let rejects = end.sent_of(Kind::REJECT);
    Outcome {
        events: end.events.iter().filter_map(note).collect(),
        said: by_peer.map(|closed| {
            format!("{} {:?} {:?} {}", closed.reason.0, closed.acknowledged, closed.retry, closed.detail)
        }),
        refused: rejects
            .iter()
            .map(|(_, payload)| (payload[10], number(&payload[..8]), u16::from_be_bytes([payload[8], payload[9]])))
            .collect(),
        end: end_of_it,
        pinged: end.sent_of(Kind::PONG).iter().map(|(_, payload)| number(payload)).max(),
    }
}

fn note(event: &Event<'_>) -> Option<String> {
    Some(match event {
        Event::Message(message) => note_message(message.class.0, message.encrypted, &message.payload),
        Event::Gap(gap) => format!("gap {} {}", gap.skipped, gap.message_lost),
        Event::Rejected(rejected) => {
            format!("rejected {} {} {}", rejected.class.0, rejected.ordinal.map_or(0, u64::from), rejected.reason.0)
        }
        Event::Draining { received } => format!("drain {received}"),
        // Compared where the connection ends; seen as REJECT; left over from the PINGs before.
        Event::Closing(_) | Event::TooLarge(_) | Event::Recovered(_) => return None,
        other => panic!("{other:?} in the middle of a connection"),
    })
}

fn note_message(class: u8, encrypted: bool, payload: &[u8]) -> String {
    let text: String = payload.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    format!("message {class} {encrypted} {} {text}", payload.len())
}

fn expected(vector: &FramingVector) -> Outcome {
    let (mut said, mut refused, mut pinged) = (None, Vec::new(), None);
    let events = vector.events.iter().filter_map(|event| match event {
        FramingEvent::Message { class, encrypted, payload } => Some(note_message(*class, *encrypted, payload.bytes())),
        FramingEvent::Gap { skipped, message_lost } => Some(format!("gap {skipped} {message_lost}")),
        FramingEvent::Refused { class, ordinal, reason } => {
            refused.push((*class, *ordinal, reason.value()));
            None
        }
        FramingEvent::Ping(number) => {
            pinged = Some(*number);
            None
        }
        // Neither shows.
        FramingEvent::Pong(_) | FramingEvent::Busy(_) => None,
        FramingEvent::Drain { received } => Some(format!("drain {received}")),
        FramingEvent::Rejected { class, ordinal, reason } => Some(format!("rejected {class} {ordinal} {reason}")),
        FramingEvent::Close { reason, received, retry_after, text, limit } => {
            let retry = match *retry_after {
                u32::MAX => Retry::Never,
                millis => Retry::After(ms(millis.into())),
            };
            let limit = limit.map(|limit| format!("(limit {}, size {})", limit.limit, limit.size));
            let detail: Vec<String> = text.iter().cloned().chain(limit).collect();
            said = Some(format!("{reason} {:?} {retry:?} {}", Some(received), detail.join(" ")));
            None
        }
    });
    let events = events.collect();
    let end = match &vector.end {
        FramingEnd::Open => String::from("open"),
        FramingEnd::PeerClosed => String::from("peer closed"),
        FramingEnd::PeerFailed => String::from("peer failed"),
        FramingEnd::Closed(reason) => {
            said = None;
            format!("{:?}", CloseReason(reason.value))
        }
    };
    Outcome { events, said, refused, end, pinged }
}

#[track_caller]
fn check(vector: &FramingVector, cuts: &[usize]) {
    let (mut got, mut expected) = (run(vector, cuts), expected(vector));
    if vector.end != FramingEnd::Open {
        // What still waits when the connection ends is dropped.
        (got.pinged, expected.pinged) = (None, None);
        expected.refused.truncate(got.refused.len());
    }
    assert_eq!(got, expected, "{}", vector.name);
}

fn streams() -> Vec<&'static FramingVector> {
    vectors::framing().iter().chain(vectors::control()).collect()
}

#[test]
fn streams_at_once() {
    streams().into_iter().for_each(|vector| check(vector, &[]));
}

#[test]
fn streams_byte_by_byte() {
    for vector in streams().into_iter().filter(|vector| vector.stream.bytes().len() < 4_096) {
        let cuts: Vec<usize> = (0..vector.stream.bytes().len()).collect();
        check(vector, &cuts);
    }
}

proptest! {
    #[test]
    fn streams_cut_anywhere(
        index in any::<prop::sample::Index>(),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..20),
    ) {
        let streams = streams();
        let vector = *index.get(&streams);
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(vector.stream.bytes().len() + 1)).collect();
        cuts.sort_unstable();
        check(vector, &cuts);
    }
}
