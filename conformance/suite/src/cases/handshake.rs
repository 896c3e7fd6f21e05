//! Section 7: the handshake.

use std::time::{Duration, Instant};

use super::hello_items::{accept, items_without, judges_item};
use super::{BOTH, CLIENT, CLOCK_TOLERANCE, SERVER};
use crate::case::Case;
use crate::clock;
use crate::codec::registry::{item, kind, reason};
use crate::codec::{Item, Packet, encode_items};
use crate::context::Context;
use crate::peer::{Arrival, Message, PATIENCE, Peer};
use crate::profile::Profile;
use crate::role::Role;
use crate::verdict::{Failure, Outcome, not_before, require, violation};

pub(super) const CASES: &[Case] = &[
    case!("PW-HS-001/hello-first", "sends HELLO first as a client", CLIENT, Profile::calm, hello_first),
    case!(
        "PW-HS-001/server-waits",
        "sends nothing as a server before HELLO is whole",
        SERVER,
        Profile::calm,
        server_waits
    ),
    case!(
        "PW-HS-003/highest-common",
        "answers with the highest version that both know",
        SERVER,
        Profile::calm,
        highest_common
    ),
    case!("PW-HS-004/no-common-version", "refuses with UNSUPPORTED_VERSION", SERVER, Profile::calm, no_common_version),
    case!(
        "PW-HS-011/default-limits",
        "keeps to frames of 65,536 bytes where LIMITS is absent",
        BOTH,
        roomy,
        default_limits
    ),
    case!("PW-HS-012/silent-peer", "closes when nothing comes until handshake_timeout", BOTH, hasty, silent_peer)
        .whole_only(),
    case!(
        "PW-HS-012/half-a-packet",
        "closes when only a part of the first packet comes until handshake_timeout",
        BOTH,
        hasty,
        half_a_packet
    ),
    case!(
        "PW-HS-013/second-hello",
        "closes with UNEXPECTED_PACKET on a second HELLO",
        BOTH,
        Profile::calm,
        second_hello
    ),
    case!(
        "PW-HS-015/wrong-versions",
        "closes with UNSUPPORTED_VERSION as a client",
        CLIENT,
        Profile::calm,
        wrong_versions
    ),
    case!(
        "PW-HS-018/gives-up-silently",
        "sends nothing as a client that gives up before HELLO_ACK",
        CLIENT,
        hasty,
        gives_up_silently
    )
    .whole_only(),
    case!(
        "PW-HS-018/no-key-to-say-it",
        "sends nothing as a client to which HELLO_ACK gives no key",
        CLIENT,
        Profile::calm,
        no_key_to_say_it
    ),
    case!(
        "PW-HS-019/refusal-has-key-zero",
        "refuses with a CLOSE with key 0, and nothing before it",
        SERVER,
        Profile::calm,
        refusal
    ),
];

/// Messages of several frames of the default size, though it would send larger ones.
fn roomy() -> Profile {
    Profile { message_limit: 1 << 20, frame_sent: 1 << 20, ..Profile::calm() }
}

/// The handshake has 400 ms.
pub(super) fn hasty() -> Profile {
    Profile { handshake_timeout: Duration::from_millis(400), ..Profile::calm() }
}

fn hello_first(context: &mut Context<'_>) -> Outcome {
    // Reading HELLO checks its key, its items and its values.
    let mut peer = context.open()?;
    peer.read_hello(kind::HELLO)?;
    let hello = peer.announced();
    require(hello.lowest_version <= 1 && hello.highest_version >= 1, "the client does not offer version 1")?;
    let profile = &context.profile;
    require(hello.resync == profile.resync, "FEATURES does not announce what the profile says")?;
    let items = peer.hello.to_items();
    peer.send_raw(&Packet::control(kind::HELLO_ACK, encode_items(&items)).encode(0))?;
    peer.alive()
}

fn server_waits(context: &mut Context<'_>) -> Outcome {
    let mut peer = context.open()?;
    let bytes = Packet::control(kind::HELLO, encode_items(&peer.hello.to_items())).encode(0);
    let (front, back) = bytes.split_at(bytes.len() - 1);
    peer.send_raw(front)?;
    // Enough for a server that speaks first; one that speaks later still breaks the order below.
    if peer.receive_by(clock::now() + Duration::from_millis(20))?.is_some() {
        return violation("the server sent something before it had received HELLO");
    }
    peer.send_raw(back)?;
    peer.complete()?;
    peer.alive()
}

fn highest_common(context: &mut Context<'_>) -> Outcome {
    judges_item(context, &[], &[Item::versions(1, 9), Item::versions(1, 255)], 0)
}

fn no_common_version(context: &mut Context<'_>) -> Outcome {
    let (bad, good) = ([Item::versions(2, 9), Item::versions(255, 255)], [Item::versions(1, 9)]);
    judges_item(context, &bad, &good, reason::UNSUPPORTED_VERSION)
}

fn default_limits(context: &mut Context<'_>) -> Outcome {
    let mut peer = context.open()?;
    // What the peer holds the subject's frames to, although it is not announced.
    (peer.hello.frame_limit, peer.hello.message_limit) = (65_536, 16_777_216);
    let items = [Item::versions(1, 1), Item::sync_key(peer.hello.sync_key)];
    accept(&mut peer, &items)?;
    if peer.announced().message_limit >= 200_000 {
        let payload = context.random.bytes(200_000);
        peer.echo(&Message::new(0, payload))?;
    }
    Ok(())
}

/// Nothing more is sent to the subject: it closes, not before its time, and says nothing wrong.
pub(super) fn expect_handshake_timeout(peer: &mut Peer, began: Instant, due: Duration) -> Outcome {
    let arrival = match peer.receive_by(clock::now() + due + PATIENCE) {
        Ok(Some(arrival)) => arrival,
        Ok(None) => return violation("the connection is still open long after handshake_timeout"),
        // Its first packet was HELLO, and it has no key for another.
        Err(Failure::Violation(sentence)) if peer.subject_role == Role::Client => {
            return violation(format!("PW-HS-018: a client without HELLO_ACK sent something ({sentence})"));
        }
        Err(failure) => return Err(failure),
    };
    let elapsed = clock::elapsed(began);
    let sentence = format!("closed after {} ms, handshake_timeout is {} ms", elapsed.as_millis(), due.as_millis());
    not_before(elapsed + CLOCK_TOLERANCE, due, sentence)?;
    match arrival {
        Arrival::End | Arrival::Reset => Ok(()),
        Arrival::Packet(packet) if peer.subject_role == Role::Server => {
            peer.check_close(&packet, reason::HANDSHAKE_TIMEOUT)?;
            peer.expect_end()
        }
        Arrival::Packet(packet) => {
            violation(format!("PW-HS-018: a client without HELLO_ACK sent {}", kind::name(packet.kind)))
        }
    }
}

fn silent_peer(context: &mut Context<'_>) -> Outcome {
    let due = context.profile.handshake_timeout;
    context.takes(due)?;
    let began = clock::now();
    let mut peer = context.open()?;
    if peer.subject_role == Role::Client {
        peer.read_hello(kind::HELLO)?;
    }
    expect_handshake_timeout(&mut peer, began, due)
}

fn half_a_packet(context: &mut Context<'_>) -> Outcome {
    let due = context.profile.handshake_timeout;
    context.takes(due)?;
    let began = clock::now();
    let mut peer = context.open()?;
    let payload = encode_items(&peer.hello.to_items());
    let kind = peer.first_kind()?;
    let bytes = Packet::control(kind, payload).encode(0);
    peer.send_raw(&bytes[..bytes.len() - 1])?;
    expect_handshake_timeout(&mut peer, began, due)
}

fn gives_up_silently(context: &mut Context<'_>) -> Outcome {
    context.takes(context.profile.handshake_timeout)?;
    let mut peer = context.open()?;
    peer.read_hello(kind::HELLO)?;
    match peer.receive_by(clock::now() + context.profile.handshake_timeout + PATIENCE) {
        Ok(Some(Arrival::End | Arrival::Reset)) => Ok(()),
        Ok(Some(Arrival::Packet(packet))) => violation(format!("the client sent {}", kind::name(packet.kind))),
        Ok(None) => violation("the client did not give up"),
        Err(Failure::Violation(sentence)) => violation(format!("the client sent something ({sentence})")),
        Err(failure) => Err(failure),
    }
}

fn no_key_to_say_it(context: &mut Context<'_>) -> Outcome {
    let keys = [None, Some(Item::sync_key(0)), Some(Item::new(item::SYNC_KEY, [1; 5]))];
    for key in keys {
        let mut peer = context.open()?;
        peer.read_hello(kind::HELLO)?;
        let mut items = items_without(&peer, item::SYNC_KEY);
        items.extend(key);
        peer.send_raw(&Packet::control(kind::HELLO_ACK, encode_items(&items)).encode(0))?;
        match peer.receive() {
            Ok(Arrival::End | Arrival::Reset) => {}
            Ok(Arrival::Packet(packet)) => return violation(format!("the client sent {}", kind::name(packet.kind))),
            Err(Failure::Violation(sentence)) => return violation(format!("the client sent something ({sentence})")),
            Err(failure) => return Err(failure),
        }
    }
    context.establish().map(|_| ())
}

fn second_hello(context: &mut Context<'_>) -> Outcome {
    for kind in [kind::HELLO, kind::HELLO_ACK] {
        let mut peer = context.establish()?;
        let payload = encode_items(&peer.hello.to_items());
        peer.send(&Packet::control(kind, payload))?;
        peer.expect_rejection(reason::UNEXPECTED_PACKET)?;
    }
    Ok(())
}

fn wrong_versions(context: &mut Context<'_>) -> Outcome {
    let bad = [Item::versions(1, 2), Item::versions(2, 2), Item::versions(255, 255)];
    judges_item(context, &bad, &[Item::versions(1, 1)], reason::UNSUPPORTED_VERSION)
}

fn refusal(context: &mut Context<'_>) -> Outcome {
    let mut peer = context.open()?;
    let items = items_without(&peer, item::SYNC_KEY);
    peer.offer(&items)?;
    // The parser of the peer demands key 0 for the first packet.
    let close = peer.expect_rejection(reason::BAD_HELLO)?;
    require(close.received == 0, format!("{} messages were received before the handshake", close.received))?;
    context.establish().map(|_| ())
}
