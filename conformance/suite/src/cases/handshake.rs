//! Section 7: the handshake.

use std::time::{Duration, Instant};

use super::{BOTH, CLIENT, CLOCK_TOLERANCE, SERVER};
use crate::case::{Case, Need, Role};
use crate::codec::registry::{item, kind, reason};
use crate::codec::{Item, Packet, encode_items};
use crate::context::Context;
use crate::peer::{Arrival, Message, PATIENCE, Peer};
use crate::profile::Profile;
use crate::verdict::{Outcome, require, violation};

/// A case whose subject runs with the calm profile and may announce what it likes.
macro_rules! calm {
    ($id:literal, $title:literal, $roles:expr, $run:expr) => {
        Case { id: $id, title: $title, roles: $roles, profile: Profile::calm, needs: &[], run: $run }
    };
}

pub(super) const CASES: &[Case] = &[
    calm!("PW-HS-001/hello-first", "sends HELLO first as a client", CLIENT, hello_first),
    calm!("PW-HS-001/server-waits", "sends nothing as a server before HELLO is whole", SERVER, server_waits),
    calm!("PW-HS-002/no-versions", "refuses a handshake without VERSIONS with BAD_HELLO", BOTH, no_versions),
    calm!("PW-HS-002/no-sync-key", "refuses a handshake without SYNC_KEY with BAD_HELLO", BOTH, no_sync_key),
    calm!("PW-HS-003/highest-common", "answers with the highest version that both know", SERVER, highest_common),
    calm!("PW-HS-004/no-common-version", "refuses with UNSUPPORTED_VERSION", SERVER, no_common_version),
    calm!("PW-HS-005/unknown-critical-item", "refuses an unknown critical item with UNKNOWN_ITEM", BOTH, unknown_item),
    calm!("PW-HS-006/unknown-ignorable-item", "passes over an unknown item with the top bit", BOTH, ignorable_item),
    calm!("PW-HS-006/token", "takes a TOKEN, and HELLO up to its greatest length", SERVER, token),
    calm!("PW-HS-007/item-cut-off", "refuses an item that is cut off with BAD_HELLO", BOTH, item_cut_off),
    calm!("PW-HS-007/item-of-wrong-length", "refuses a known item of a wrong length", BOTH, item_of_wrong_length),
    calm!("PW-HS-007/bytes-left-over", "refuses bytes behind the last item with BAD_HELLO", BOTH, bytes_left_over),
    calm!("PW-HS-008/repeated-item", "refuses a known item for the second time with BAD_HELLO", BOTH, repeated_item),
    calm!("PW-HS-009/ping-floor-range", "refuses a PING_FLOOR outside 1 to 60,000 ms", BOTH, ping_floor_range),
    calm!("PW-HS-010/limits-range", "refuses limits outside their range with BAD_HELLO", BOTH, limits_range),
    Case {
        id: "PW-HS-011/default-limits",
        title: "keeps to frames of 65,536 bytes where LIMITS is absent",
        roles: BOTH,
        profile: roomy,
        needs: &[],
        run: default_limits,
    },
    Case {
        id: "PW-HS-012/silent-peer",
        title: "closes when nothing comes until handshake_timeout",
        roles: BOTH,
        profile: hasty,
        needs: &[],
        run: silent_peer,
    },
    Case {
        id: "PW-HS-012/half-a-packet",
        title: "closes when only a part of the first packet comes until handshake_timeout",
        roles: BOTH,
        profile: hasty,
        needs: &[],
        run: half_a_packet,
    },
    calm!("PW-HS-013/second-hello", "closes with UNEXPECTED_PACKET on a second HELLO", BOTH, second_hello),
    calm!("PW-HS-014/unknown-features", "ignores features that it does not know", BOTH, unknown_features),
    calm!("PW-HS-015/wrong-versions", "closes with UNSUPPORTED_VERSION as a client", CLIENT, wrong_versions),
    Case {
        id: "PW-HS-016/incompatible-timers",
        title: "closes with INCOMPATIBLE_TIMERS when the peer's floor delays detection too much",
        roles: BOTH,
        profile: impatient,
        needs: &[Need::OwnNumbers],
        run: incompatible_timers,
    },
    calm!("PW-HS-017/version-range", "refuses VERSIONS that begin with 0 or end before they begin", BOTH, version_range),
    Case {
        id: "PW-HS-018/gives-up-silently",
        title: "sends nothing as a client that gives up before HELLO_ACK",
        roles: CLIENT,
        profile: hasty,
        needs: &[],
        run: gives_up_silently,
    },
    calm!("PW-HS-019/refusal-has-key-zero", "refuses with a CLOSE with key 0, and nothing before it", SERVER, refusal),
];

/// Messages of several frames of the default size.
fn roomy() -> Profile {
    Profile { message_limit: 1 << 20, ..Profile::calm() }
}

/// The handshake has 400 ms.
fn hasty() -> Profile {
    Profile { handshake_timeout: Duration::from_millis(400), ..Profile::calm() }
}

/// A silent peer must be noticed within 40 s; a floor of 60 s does not permit that.
fn impatient() -> Profile {
    let ten_seconds = Duration::from_secs(10);
    let detect_within = Some(ten_seconds * 4);
    Profile { idle: ten_seconds, interval: ten_seconds, probes: 3, detect_within, ..Profile::calm() }
}

/// The items are refused with this reason.
fn refused(context: &mut Context<'_>, items: &[Item], code: u16) -> Outcome {
    refused_payload(context, encode_items(items), code)
}

fn refused_payload(context: &mut Context<'_>, payload: Vec<u8>, code: u16) -> Outcome {
    let mut peer = context.open()?;
    peer.offer_payload(payload)?;
    peer.expect_refusal(code)
}

/// The items are accepted.
fn accept(peer: &mut Peer, items: &[Item]) -> Outcome {
    peer.offer(items)?;
    peer.complete()?;
    peer.alive()
}

/// The items of a valid handshake with the key of this peer, without those with the id `without`.
fn items_without(peer: &Peer, without: u16) -> Vec<Item> {
    let mut items = peer.hello.to_items();
    items.retain(|entry| entry.id != without);
    items
}

/// The handshake with `bad` in place of the item of its id is refused, and with `good` it is accepted.
fn judges_item(context: &mut Context<'_>, bad: &[Item], good: &[Item], code: u16) -> Outcome {
    for entry in bad {
        let mut peer = context.open()?;
        let mut items = items_without(&peer, entry.id);
        items.push(entry.clone());
        peer.offer(&items)?;
        peer.expect_refusal(code)?;
    }
    for entry in good {
        let mut peer = context.open()?;
        let mut items = items_without(&peer, entry.id);
        items.push(entry.clone());
        accept(&mut peer, &items)?;
    }
    Ok(())
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
    if peer.receive_by(Instant::now() + Duration::from_millis(20))?.is_some() {
        return violation("the server sent something before it had received HELLO");
    }
    peer.send_raw(back)?;
    peer.complete()?;
    peer.alive()
}

fn no_versions(context: &mut Context<'_>) -> Outcome {
    let mut peer = context.open()?;
    let items = items_without(&peer, item::VERSIONS);
    peer.offer(&items)?;
    peer.expect_refusal(reason::BAD_HELLO)?;
    context.establish().map(|_| ())
}

fn no_sync_key(context: &mut Context<'_>) -> Outcome {
    let mut peer = context.open()?;
    let items = items_without(&peer, item::SYNC_KEY);
    peer.offer(&items)?;
    peer.expect_refusal(reason::BAD_HELLO)?;
    context.establish().map(|_| ())
}

fn highest_common(context: &mut Context<'_>) -> Outcome {
    judges_item(context, &[], &[Item::versions(1, 9), Item::versions(1, 255)], 0)
}

fn no_common_version(context: &mut Context<'_>) -> Outcome {
    let (bad, good) = ([Item::versions(2, 9), Item::versions(255, 255)], [Item::versions(1, 9)]);
    judges_item(context, &bad, &good, reason::UNSUPPORTED_VERSION)
}

fn unknown_item(context: &mut Context<'_>) -> Outcome {
    for id in [0x0000, 0x0006, 0x7FFF] {
        let (bad, good) = (Item::new(id, *b"x"), Item::new(item::IGNORABLE | 0x0F00 | id, *b"x"));
        judges_item(context, &[bad], &[good], reason::UNKNOWN_ITEM)?;
    }
    Ok(())
}

fn ignorable_item(context: &mut Context<'_>) -> Outcome {
    let good = [Item::new(0x8007, []), Item::new(0xFFFF, vec![0xFF; 300])];
    judges_item(context, &[], &good, 0)?;
    let mut peer = context.open()?;
    let mut items = peer.hello.to_items();
    // An unknown item may come twice and anywhere.
    items.insert(0, Item::new(0x9000, *b"first"));
    items.push(Item::new(0x9000, *b"last"));
    accept(&mut peer, &items)
}

fn token(context: &mut Context<'_>) -> Outcome {
    judges_item(context, &[], &[Item::new(item::TOKEN, *b"who I am")], 0)?;
    let mut peer = context.open()?;
    let mut items = peer.hello.to_items();
    let room = 4_096 - encode_items(&items).len() - 4;
    items.push(Item::new(item::TOKEN, vec![0; room]));
    accept(&mut peer, &items)?;
    items.last_mut().expect("it was pushed just now").value.push(0);
    refused(context, &items, reason::BAD_LENGTH)
}

fn item_cut_off(context: &mut Context<'_>) -> Outcome {
    let mut peer = context.open()?;
    let mut items = peer.hello.to_items();
    items.push(Item::new(0x9000, *b"ignorable"));
    accept(&mut peer, &items)?;
    for missing in [1, 9, 10, 12] {
        let mut payload = encode_items(&items);
        payload.truncate(payload.len() - missing);
        refused_payload(context, payload, reason::BAD_HELLO)?;
    }
    Ok(())
}

fn item_of_wrong_length(context: &mut Context<'_>) -> Outcome {
    let bad = [
        Item::new(item::VERSIONS, [1]),
        Item::new(item::VERSIONS, [1, 1, 1]),
        Item::new(item::SYNC_KEY, [1; 5]),
        Item::new(item::LIMITS, [1; 4]),
        Item::new(item::PING_FLOOR, [0, 100]),
        Item::new(item::FEATURES, [0; 8]),
    ];
    judges_item(context, &bad, &[Item::features(0)], reason::BAD_HELLO)
}

fn bytes_left_over(context: &mut Context<'_>) -> Outcome {
    let mut peer = context.open()?;
    let items = peer.hello.to_items();
    accept(&mut peer, &items)?;
    for extra in 1..4 {
        let mut payload = encode_items(&items);
        payload.extend(vec![0; extra]);
        refused_payload(context, payload, reason::BAD_HELLO)?;
    }
    Ok(())
}

fn repeated_item(context: &mut Context<'_>) -> Outcome {
    let count = 5;
    for index in 0..count {
        let mut peer = context.open()?;
        let mut items = peer.hello.to_items();
        require(items.len() == count, "the handshake of the suite has five items")?;
        items.push(items[index].clone());
        peer.offer(&items)?;
        peer.expect_refusal(reason::BAD_HELLO)?;
    }
    context.establish().map(|_| ())
}

fn ping_floor_range(context: &mut Context<'_>) -> Outcome {
    let (bad, good) = ([0, 60_001, u32::MAX], [1, 60_000]);
    judges_item(context, &bad.map(Item::ping_floor), &good.map(Item::ping_floor), reason::BAD_HELLO)
}

fn limits_range(context: &mut Context<'_>) -> Outcome {
    let bad = [(511, 65_536), (0, 0), (16_777_216, u32::MAX), (4_096, 4_095)];
    let good = [(512, 512), (16_777_215, u32::MAX)];
    let limits = |(frame, message)| Item::limits(frame, message);
    judges_item(context, &bad.map(limits), &good.map(limits), reason::BAD_HELLO)
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
fn expect_handshake_timeout(peer: &mut Peer, began: Instant, due: Duration) -> Outcome {
    let Some(arrival) = peer.receive_by(began + due + PATIENCE)? else {
        return violation("the connection is still open long after handshake_timeout");
    };
    let elapsed = began.elapsed();
    let sentence = format!("closed after {} ms, handshake_timeout is {} ms", elapsed.as_millis(), due.as_millis());
    require(elapsed + CLOCK_TOLERANCE >= due, sentence)?;
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
    let began = Instant::now();
    let mut peer = context.open()?;
    if peer.subject_role == Role::Client {
        peer.read_hello(kind::HELLO)?;
    }
    expect_handshake_timeout(&mut peer, began, due)
}

fn half_a_packet(context: &mut Context<'_>) -> Outcome {
    let due = context.profile.handshake_timeout;
    context.takes(due)?;
    let began = Instant::now();
    let mut peer = context.open()?;
    let payload = encode_items(&peer.hello.to_items());
    let kind = match peer.subject_role {
        Role::Server => kind::HELLO,
        Role::Client => {
            peer.read_hello(kind::HELLO)?;
            kind::HELLO_ACK
        }
    };
    let bytes = Packet::control(kind, payload).encode(0);
    peer.send_raw(&bytes[..bytes.len() - 1])?;
    expect_handshake_timeout(&mut peer, began, due)
}

fn gives_up_silently(context: &mut Context<'_>) -> Outcome {
    context.takes(context.profile.handshake_timeout)?;
    let mut peer = context.open()?;
    peer.read_hello(kind::HELLO)?;
    match peer.receive_by(Instant::now() + context.profile.handshake_timeout + PATIENCE)? {
        Some(Arrival::End | Arrival::Reset) => Ok(()),
        Some(Arrival::Packet(packet)) => violation(format!("the client sent {}", kind::name(packet.kind))),
        None => violation("the client did not give up"),
    }
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

fn unknown_features(context: &mut Context<'_>) -> Outcome {
    judges_item(context, &[], &[Item::features(0x8000_0002), Item::features(0xFFFF_FFFE)], 0)
}

fn wrong_versions(context: &mut Context<'_>) -> Outcome {
    let bad = [Item::versions(1, 2), Item::versions(2, 2), Item::versions(255, 255)];
    judges_item(context, &bad, &[Item::versions(1, 1)], reason::UNSUPPORTED_VERSION)
}

fn incompatible_timers(context: &mut Context<'_>) -> Outcome {
    let mut peer = context.open()?;
    peer.hello.ping_floor = 60_000;
    let items = peer.hello.to_items();
    peer.offer(&items)?;
    if peer.subject_role == Role::Server {
        // A server may notice before or after it has answered; the reason is the same.
        match peer.receive()? {
            Arrival::Packet(packet) if packet.kind == kind::HELLO_ACK => {}
            Arrival::Packet(packet) => {
                peer.check_close(&packet, reason::INCOMPATIBLE_TIMERS)?;
                peer.expect_end()?;
                return context.establish().map(|_| ());
            }
            Arrival::End | Arrival::Reset => return violation("closed without INCOMPATIBLE_TIMERS"),
        }
    }
    peer.expect_rejection(reason::INCOMPATIBLE_TIMERS)?;
    context.establish().map(|_| ())
}

fn version_range(context: &mut Context<'_>) -> Outcome {
    let bad = [Item::versions(0, 1), Item::versions(0, 0), Item::versions(2, 1)];
    judges_item(context, &bad, &[Item::versions(1, 1)], reason::BAD_HELLO)
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
