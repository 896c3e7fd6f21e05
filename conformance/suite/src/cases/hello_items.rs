//! Section 7: the items of HELLO and HELLO_ACK.

use std::time::Duration;

use super::{BOTH, SERVER};
use crate::case::Case;
use crate::codec::registry::{item, reason};
use crate::codec::{Item, encode_items};
use crate::context::Context;
use crate::peer::Peer;
use crate::profile::Profile;
use crate::setting::Parameter;
use crate::verdict::{Outcome, require};

pub(super) const CASES: &[Case] = &[
    case!(
        "PW-HS-002/no-versions",
        "refuses a handshake without VERSIONS with BAD_HELLO",
        BOTH,
        Profile::calm,
        no_versions
    ),
    case!(
        "PW-HS-002/no-sync-key",
        "refuses a handshake without SYNC_KEY with BAD_HELLO",
        BOTH,
        Profile::calm,
        no_sync_key
    ),
    case!(
        "PW-HS-005/unknown-critical-item",
        "refuses an unknown critical item with UNKNOWN_ITEM",
        BOTH,
        Profile::calm,
        unknown_item
    ),
    case!(
        "PW-HS-006/unknown-ignorable-item",
        "passes over an unknown item with the top bit",
        BOTH,
        Profile::calm,
        ignorable_item
    ),
    case!("PW-HS-006/token", "takes a TOKEN, and HELLO up to its greatest length", SERVER, Profile::calm, token),
    case!(
        "PW-HS-007/item-cut-off",
        "refuses an item that is cut off with BAD_HELLO",
        BOTH,
        Profile::calm,
        item_cut_off
    ),
    case!(
        "PW-HS-007/item-of-wrong-length",
        "refuses a known item of a wrong length",
        BOTH,
        Profile::calm,
        item_of_wrong_length
    ),
    case!(
        "PW-HS-007/bytes-left-over",
        "refuses bytes behind the last item with BAD_HELLO",
        BOTH,
        Profile::calm,
        bytes_left_over
    ),
    case!(
        "PW-HS-008/repeated-item",
        "refuses a known item for the second time with BAD_HELLO",
        BOTH,
        Profile::calm,
        repeated_item
    ),
    case!(
        "PW-HS-009/ping-floor-range",
        "refuses a PING_FLOOR outside 1 to 60,000 ms",
        BOTH,
        Profile::calm,
        ping_floor_range
    ),
    case!(
        "PW-HS-010/limits-range",
        "refuses limits outside their range with BAD_HELLO",
        BOTH,
        Profile::calm,
        limits_range
    )
    .about(&[Parameter::Size]),
    case!(
        "PW-HS-014/unknown-features",
        "ignores features that it does not know",
        BOTH,
        Profile::calm,
        unknown_features
    ),
    case!(
        "PW-HS-017/version-range",
        "refuses VERSIONS that begin with 0 or end before they begin",
        BOTH,
        Profile::calm,
        version_range
    ),
];

/// `payload` makes something bad of good items.
fn refused_payload(context: &mut Context<'_>, payload: impl FnOnce(Vec<Item>) -> Vec<u8>, code: u16) -> Outcome {
    let mut peer = context.open()?;
    // With the key of this peer, with which a client may say why it gives up (PW-HS-018).
    let items = peer.hello.to_items();
    peer.offer_payload(payload(items))?;
    peer.expect_refusal(code)
}

/// The items are accepted.
pub(super) fn accept(peer: &mut Peer, items: &[Item]) -> Outcome {
    peer.offer(items)?;
    peer.complete()?;
    peer.alive()
}

/// The items of a valid handshake with the key of this peer, without those with the id `without`.
pub(super) fn items_without(peer: &Peer, without: u16) -> Vec<Item> {
    let mut items = peer.hello.to_items();
    items.retain(|entry| entry.id != without);
    items
}

/// The handshake with `bad` in place of the item of its id is refused, and with `good` it is accepted.
pub(super) fn judges_item(context: &mut Context<'_>, bad: &[Item], good: &[Item], code: u16) -> Outcome {
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
    let with_more = |mut items: Vec<Item>| {
        items.push(Item::new(item::TOKEN, vec![0; room + 1]));
        encode_items(&items)
    };
    refused_payload(context, with_more, reason::BAD_LENGTH)
}

fn item_cut_off(context: &mut Context<'_>) -> Outcome {
    let mut peer = context.open()?;
    let mut items = peer.hello.to_items();
    items.push(Item::new(0x9000, *b"ignorable"));
    accept(&mut peer, &items)?;
    for missing in [1, 9, 10, 12] {
        let cut_off = |mut items: Vec<Item>| {
            items.push(Item::new(0x9000, *b"ignorable"));
            let mut payload = encode_items(&items);
            payload.truncate(payload.len() - missing);
            payload
        };
        refused_payload(context, cut_off, reason::BAD_HELLO)?;
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
        let with_more = |items: Vec<Item>| {
            let mut payload = encode_items(&items);
            payload.extend(vec![0; extra]);
            payload
        };
        refused_payload(context, with_more, reason::BAD_HELLO)?;
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
    let minute = Duration::from_secs(60);
    if context.profile.longest_silence_with(minute) > context.profile.detection_limit() {
        // The greatest floor is well formed, and yet too long for it.
        judges_item(context, &[Item::ping_floor(60_000)], &[], reason::INCOMPATIBLE_TIMERS)?;
        return judges_item(context, &bad.map(Item::ping_floor), &[Item::ping_floor(1)], reason::BAD_HELLO);
    }
    judges_item(context, &bad.map(Item::ping_floor), &good.map(Item::ping_floor), reason::BAD_HELLO)
}

fn limits_range(context: &mut Context<'_>) -> Outcome {
    let bad = [(511, 65_536), (0, 0), (16_777_216, u32::MAX), (4_096, 4_095)];
    let good = [(512, 512), (16_777_215, u32::MAX)];
    let limits = |(frame, message)| Item::limits(frame, message);
    judges_item(context, &bad.map(limits), &good.map(limits), reason::BAD_HELLO)
}

fn unknown_features(context: &mut Context<'_>) -> Outcome {
    judges_item(context, &[], &[Item::features(0x8000_0002), Item::features(0xFFFF_FFFE)], 0)
}

fn version_range(context: &mut Context<'_>) -> Outcome {
    let bad = [Item::versions(0, 1), Item::versions(0, 0), Item::versions(2, 1)];
    judges_item(context, &bad, &[Item::versions(1, 1)], reason::BAD_HELLO)
}
