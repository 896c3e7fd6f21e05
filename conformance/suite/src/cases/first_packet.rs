//! Sections 5, 7 and 12: what the first packet of each side may be and say.

use std::time::Duration;

use super::handshake::{expect_handshake_timeout, hasty};
use super::hello_items::accept;
use super::{BOTH, CLOCK_TOLERANCE, LATENESS_TOLERANCE};
use crate::case::Case;
use crate::clock;
use crate::codec::registry::{flag, item, kind, reason};
use crate::codec::{Hello, Item, Packet, encode_items, parse_items};
use crate::context::Context;
use crate::peer::{Arrival, Message, PATIENCE, Peer};
use crate::profile::Profile;
use crate::role::Role;
use crate::verdict::{Outcome, not_after, not_before, require, violation};

pub(super) const CASES: &[Case] = &[
    case!(
        "PW-FRM-003/wrong-trailer",
        "closes with PAYLOAD_CHECKSUM when the trailer of the first packet is wrong, also with RESYNC",
        BOTH,
        Profile::calm,
        wrong_trailer
    ),
    case!(
        "PW-FRM-003/fewer-than-12-bytes",
        "judges fewer than 12 bytes that can't be a header by handshake_timeout alone",
        BOTH,
        hasty,
        fewer_than_12_bytes
    ),
    case!(
        "PW-HDR-010/first-packet",
        "closes with BAD_PACKET when the first packet has a class",
        BOTH,
        Profile::calm,
        class_on_first_packet
    ),
    case!("PW-HS-002/any-order", "takes the items of the handshake in any order", BOTH, Profile::calm, any_order),
    case!(
        "PW-HS-005/first-broken-rule",
        "judges items one after the other, then what is missing, then the version",
        BOTH,
        Profile::calm,
        first_broken_rule
    ),
    case!(
        "PW-HS-012/trickle",
        "closes when the first packet comes byte by byte and is not whole at handshake_timeout",
        BOTH,
        hasty,
        trickle
    )
    .whole_only(),
    case!(
        "PW-VER-001/own-items",
        "announces no item and no feature that version 1 does not define",
        BOTH,
        Profile::calm,
        own_items
    ),
];

fn class_on_first_packet(context: &mut Context<'_>) -> Outcome {
    for class in [1, 128, 255] {
        let mut peer = context.open()?;
        let kind = peer.first_kind()?;
        let hello = Packet::control(kind, encode_items(&peer.hello.to_items()));
        peer.send_raw(&Packet { class, ..hello }.encode(0))?;
        peer.expect_refusal(reason::BAD_PACKET)?;
    }
    context.establish()?.alive()
}

fn wrong_trailer(context: &mut Context<'_>) -> Outcome {
    for right in [false, true] {
        let mut peer = context.open()?;
        let kind = peer.first_kind()?;
        let packet = Packet::control(kind, encode_items(&peer.hello.to_items()));
        let packet = Packet { flags: flag::CHECKSUM, ..packet };
        if right {
            peer.send_raw(&packet.encode(0))?;
            peer.complete()?;
            peer.alive()?;
        } else {
            peer.send_raw(&packet.encode_with_wrong_trailer(0))?;
            peer.expect_refusal(reason::PAYLOAD_CHECKSUM)?;
        }
    }
    Ok(())
}

fn fewer_than_12_bytes(context: &mut Context<'_>) -> Outcome {
    let due = context.profile.handshake_timeout;
    context.takes(due)?;
    for garbage in [b"GET / HTTP/".as_slice(), b"\x16"] {
        let began = clock::now();
        let mut peer = context.open()?;
        peer.first_kind()?;
        peer.send_raw(garbage)?;
        expect_handshake_timeout(&mut peer, began, due)?;
    }
    context.establish()?.alive()
}

fn any_order(context: &mut Context<'_>) -> Outcome {
    for turns in 0..5 {
        let mut peer = context.open()?;
        peer.hello.frame_limit = 512;
        let mut items = peer.hello.to_items();
        items.reverse();
        items.rotate_left(turns);
        accept(&mut peer, &items)?;
        // Every frame that a peer receives is held to its limit: the values are those that the items say.
        peer.echo(&Message::new(0, vec![1; 1_500]))?;
    }
    Ok(())
}

fn first_broken_rule(context: &mut Context<'_>) -> Outcome {
    let unknown = || Item::new(0x0006, *b"critical");
    let unshared = || Item::versions(2, 9);
    let key = context.random.sync_key();
    let broken = [
        (vec![Item::versions(1, 1), unknown(), Item::new(item::SYNC_KEY, [1; 5])], reason::UNKNOWN_ITEM),
        (vec![Item::versions(1, 1), Item::new(item::SYNC_KEY, [1; 5]), unknown()], reason::BAD_HELLO),
        (vec![Item::sync_key(key), unknown()], reason::UNKNOWN_ITEM),
        (vec![unshared(), Item::ping_floor(0)], reason::BAD_HELLO),
        (vec![unshared(), Item::sync_key(key), unknown()], reason::UNKNOWN_ITEM),
        (vec![unshared(), Item::sync_key(key)], reason::UNSUPPORTED_VERSION),
    ];
    for (items, code) in broken {
        let mut peer = context.open()?;
        peer.hello.sync_key = key;
        // No payload of a first packet is shorter than 14 bytes.
        let room = Item::new(item::IGNORABLE | 0x0F00, [0; 8]);
        peer.offer(&[items, vec![room]].concat())?;
        peer.expect_refusal(code)?;
    }
    let mut peer = context.open()?;
    peer.hello.sync_key = key;
    let items = [Item::versions(1, 1), Item::sync_key(key), Item::new(item::IGNORABLE | 0x0F00, [0; 8])];
    accept(&mut peer, &items)
}

fn trickle(context: &mut Context<'_>) -> Outcome {
    let due = context.profile.handshake_timeout;
    context.takes(due * 2)?;
    let began = clock::now();
    let mut peer = context.open()?;
    // A client began to count somewhere in between, and may take long to start.
    let opened = clock::now();
    let kind = peer.first_kind()?;
    let mut items = peer.hello.to_items();
    // Long enough for a byte at each step.
    items.push(Item::new(item::IGNORABLE | 0x0F00, [0; 200]));
    for byte in Packet::control(kind, encode_items(&items)).encode(0) {
        peer.send_raw(&[byte])?;
        match peer.receive_by(clock::now() + due / 10)? {
            None => {}
            Some(arrival) => return timed_out(&mut peer, arrival, [began, opened].map(clock::elapsed), due),
        }
        require(clock::elapsed(opened) < due + PATIENCE, "a trickle keeps the handshake open")?;
    }
    violation("a first packet that came long after handshake_timeout was waited for")
}

/// The end came in time, so long since before the subject could begin to count and since behind that: with HANDSHAKE_TIMEOUT from a
/// server, without a word from a client (PW-HS-018).
fn timed_out(peer: &mut Peer, arrival: Arrival, [most, least]: [Duration; 2], due: Duration) -> Outcome {
    let sentence = format!("closed after {} ms, handshake_timeout is {} ms", least.as_millis(), due.as_millis());
    not_before(most + CLOCK_TOLERANCE, due, sentence.as_str())?;
    not_after(least, due + LATENESS_TOLERANCE, sentence)?;
    match arrival {
        Arrival::End | Arrival::Reset => Ok(()),
        Arrival::Packet(packet) => {
            peer.check_close(&packet, reason::HANDSHAKE_TIMEOUT)?;
            peer.expect_end()
        }
    }
}

fn own_items(context: &mut Context<'_>) -> Outcome {
    let mut peer = context.open()?;
    let offered = encode_items(&peer.hello.to_items());
    if peer.subject_role == Role::Server {
        peer.offer_payload(offered.clone())?;
    }
    let Arrival::Packet(first) = peer.receive()? else {
        return violation("the connection was closed in place of the handshake");
    };
    let due = if peer.subject_role == Role::Server { kind::HELLO_ACK } else { kind::HELLO };
    require(first.kind == due, format!("{} came instead of {}", kind::name(first.kind), kind::name(due)))?;
    let (items, _) = parse_items(&first.payload);
    for Item { id, value } in &items {
        let defined = (item::VERSIONS..=item::FEATURES).contains(id) || id & item::IGNORABLE != 0;
        require(defined, format!("the item {id:#06x} is not defined"))?;
        let token = *id == item::TOKEN;
        require(!token || first.kind == kind::HELLO, "TOKEN in HELLO_ACK")?;
        require(!token || value.len() <= 2_048, format!("a TOKEN of {} bytes", value.len()))?;
        let undefined = *id == item::FEATURES && value[..] != [0; 4] && value[..] != item::FEATURE_RESYNC.to_be_bytes();
        require(!undefined, format!("FEATURES announces {value:02x?}, of which only RESYNC is defined"))?;
    }
    peer.subject_hello = Hello::parse(&first.payload).ok();
    require(peer.subject_hello.is_some(), "the items are not those of a valid handshake")?;
    if peer.subject_role == Role::Client {
        peer.send_raw(&Packet::control(kind::HELLO_ACK, offered).encode(0))?;
    }
    peer.alive()
}
