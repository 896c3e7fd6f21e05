use super::{Dissector, Part};
use crate::clock;
use crate::codec::registry::kind;
use crate::codec::registry::{flag, reason};
use crate::codec::{Close, Hello, Packet, encode_items};
use crate::transcript::{ConnectionTranscript, Transcript};

/// What a dissector makes of the steps of one connection.
fn dissected(act: impl Fn(&ConnectionTranscript)) -> Vec<Vec<Part>> {
    let transcript = Transcript::new(clock::now());
    act(&transcript.connection());
    let mut dissector = Dissector::new();
    transcript.steps().iter().map(|step| dissector.take(step)).collect()
}

fn hello(key: u32) -> Packet {
    let hello = Hello {
        lowest_version: 1,
        highest_version: 1,
        sync_key: key,
        frame_limit: 65_536,
        message_limit: 1 << 20,
        ping_floor: 10,
        resync: true,
    };
    Packet::control(kind::HELLO, encode_items(&hello.to_items()))
}

fn value<'p>(part: &'p Part, name: &str) -> &'p str {
    &part.fields.iter().find(|field| field.name == name).unwrap_or_else(|| panic!("no {name} in {part:?}")).value
}

fn assert_seamless(parts: &[Part], length: usize) {
    let ranges = parts.iter().flat_map(|part| part.fields.iter().map(|field| field.bytes.clone()));
    let end = ranges.filter(|range| !range.is_empty()).fold(0, |end, range| {
        assert_eq!(range.start, end, "{parts:?}");
        range.end
    });
    assert_eq!(end, length, "{parts:?}");
}

#[test]
fn every_byte_of_a_hello_belongs_to_a_field() {
    let bytes = hello(0xAABB_CCDD).encode(0);
    let steps = dissected(|connection| connection.sent(None, &bytes, &[bytes.len()], 0));
    assert_seamless(&steps[0], bytes.len());
    let part = &steps[0][0];
    assert_eq!((value(part, "kind"), value(part, "SYNC_KEY")), ("0x01 HELLO", "aabbccdd"));
    assert_eq!(value(part, "LIMITS"), "frames of 65536, messages of 1048576 bytes");
    assert_eq!(value(part, "FEATURES"), "0x00000001 RESYNC");
    assert!(!part.is_damaged);
}

#[test]
fn keys_are_learnt_from_the_handshake_and_damage_is_named() {
    let (ours, theirs) = (0x1111_1111, 0x2222_2222);
    let right = Packet::ping(7).encode(theirs);
    let wrong = Packet::ping(7).encode(theirs ^ 1);
    let mut close = Close::new(reason::BAD_HELLO, 3);
    close.items.push(crate::codec::Item::new(0x8010, "<b>".as_bytes()));
    let close = close.to_packet();
    let data = Packet::data(flag::FIRST, 2, b"x".as_slice()).encode_with_wrong_trailer(theirs);
    let steps = dissected(|connection| {
        connection.sent(None, &hello(ours).encode(0), &[], 0);
        connection.received(&hello(theirs), &hello(theirs).encode(0));
        connection.sent(None, &right, &[], theirs);
        connection.sent(None, &wrong, &[], theirs);
        connection.received(&close, &close.encode(ours));
        connection.sent(None, &[b"GET".as_slice(), &data].concat(), &[], theirs);
    });
    assert_eq!(value(&steps[2][0], "number"), "7");
    assert!(value(&steps[2][0], "check").ends_with("right with key 22222222"));
    assert!(steps[3][0].is_damaged, "{:?}", steps[3]);
    assert_eq!((value(&steps[4][0], "reason"), value(&steps[4][0], "retry_after")), ("32 BAD_HELLO", "never"));
    assert_eq!(value(&steps[4][0], "TEXT"), "\"<b>\"");
    let titles: Vec<&str> = steps[5].iter().map(|part| part.title.as_str()).collect();
    assert_eq!(titles, ["no packet", "DATA"]);
    assert!(steps[5].iter().all(|part| part.is_damaged));
    assert_seamless(&steps[5], 3 + data.len());
}

#[test]
fn a_packet_over_several_steps_is_shown_with_the_bytes_of_each() {
    let bytes = [Packet::ping(7).encode(5), Packet::pong(8).encode(5)].concat();
    for cut in 1..bytes.len() {
        let steps = dissected(|connection| {
            connection.sent(None, &bytes[..cut], &[], 5);
            connection.sent(None, &bytes[cut..], &[], 5);
        });
        assert_seamless(&steps[0], cut);
        assert_seamless(&steps[1], bytes.len() - cut);
    }
}

#[test]
fn what_was_not_kept_is_passed_over() {
    let large = Packet::data(flag::FIRST, 0, vec![7; 10_000]).encode(5);
    let (one, other) = large.split_at(9_000);
    let steps = dissected(|connection| {
        connection.sent(None, one, &[], 5);
        connection.sent(None, &[other, &Packet::ping(9).encode(5)].concat(), &[], 5);
    });
    assert_seamless(&steps[0], 64);
    let titles: Vec<&str> = steps[1].iter().map(|part| part.title.as_str()).collect();
    assert_eq!(titles, ["rest of the packet", "PING"]);
}
