//! Section 4: the sync key.

use super::BOTH;
use crate::case::{Case, Need};
use crate::codec::Packet;
use crate::codec::registry::{flag, reason};
use crate::context::Context;
use crate::peer::Message;
use crate::profile::Profile;
use crate::verdict::{Outcome, require};

pub(super) const CASES: &[Case] = &[
    case!(
        "PW-KEY-001/keys-in-both-directions",
        "checks and sends the first packet with key 0, and every later one with the receiver's key",
        BOTH,
        Profile::calm,
        keys_in_both_directions
    ),
    case!(
        "PW-KEY-001/own-key-is-not-taken",
        "takes nothing for a packet that has the key of the wrong side",
        BOTH,
        Profile::calm,
        own_key_is_not_taken,
        [Need::NoResync]
    ),
    case!("PW-KEY-002/zero-key", "refuses a sync key of 0 with BAD_HELLO", BOTH, Profile::calm, zero_key),
    case!(
        "PW-KEY-003/key-zero-later",
        "closes with BAD_HEADER on a header with key 0 after the first packet",
        BOTH,
        Profile::calm,
        key_zero_later,
        [Need::NoResync]
    ),
    case!(
        "PW-KEY-003/crafted-payload",
        "does not act on a packet with key 0 that it meets while it resynchronises",
        BOTH,
        Profile::calm,
        crafted_payload,
        [Need::Resync]
    ),
    case!("PW-KEY-004/fresh-keys", "announces another sync key on every connection", BOTH, Profile::calm, fresh_keys)
        .whole_only(),
];

fn keys_in_both_directions(context: &mut Context<'_>) -> Outcome {
    for _ in 0..4 {
        let mut peer = context.establish()?;
        peer.barrier()?;
        peer.alive()?;
    }
    Ok(())
}

fn own_key_is_not_taken(context: &mut Context<'_>) -> Outcome {
    let mut peer = context.establish()?;
    let message = Packet::data(flag::FIRST, 0, *b"wrong direction");
    let key_of_suite = peer.hello.sync_key;
    peer.send_raw(&message.encode(key_of_suite))?;
    peer.expect_rejection(reason::BAD_HEADER)?;
    context.establish()?.echo(&Message::new(0, *b"wrong direction"))
}

fn zero_key(context: &mut Context<'_>) -> Outcome {
    let mut peer = context.open()?;
    peer.hello.sync_key = 0;
    let items = peer.hello.to_items();
    peer.offer(&items)?;
    peer.expect_refusal(reason::BAD_HELLO)?;
    let mut peer = context.open()?;
    peer.hello.sync_key = 1;
    let items = peer.hello.to_items();
    peer.offer(&items)?;
    peer.complete()?;
    peer.alive()
}

fn key_zero_later(context: &mut Context<'_>) -> Outcome {
    let packet = Packet::data(flag::FIRST, 0, *b"key");
    let mut peer = context.establish()?;
    peer.send_raw(&packet.encode(0))?;
    peer.expect_rejection(reason::BAD_HEADER)?;
    context.establish()?.echo(&Message::new(0, *b"key"))
}

fn crafted_payload(context: &mut Context<'_>) -> Outcome {
    let mut peer = context.establish()?;
    // The header of a message is lost on the way, and so its payload is searched for packets.
    let crafted = Packet::data(flag::FIRST, 0, *b"crafted").encode(0);
    let bytes = Packet::data(flag::FIRST, 0, crafted).encode(peer.key());
    peer.send_raw(&bytes[1..])?;
    peer.alive()
}

fn fresh_keys(context: &mut Context<'_>) -> Outcome {
    let mut keys = Vec::new();
    for _ in 0..8 {
        let peer = context.establish()?;
        let key = peer.announced().sync_key;
        require(!keys.contains(&key), format!("the sync key {key:#010x} was announced twice"))?;
        keys.push(key);
    }
    Ok(())
}
