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
    Case {
        id: "PW-KEY-001/keys-in-both-directions",
        title: "checks and sends the first packet with key 0, and every later one with the receiver's key",
        roles: BOTH,
        profile: Profile::calm,
        needs: &[],
        run: keys_in_both_directions,
    },
    Case {
        id: "PW-KEY-001/own-key-is-not-taken",
        title: "takes nothing for a packet that has the key of the wrong side",
        roles: BOTH,
        profile: Profile::calm,
        needs: &[Need::NoResync],
        run: own_key_is_not_taken,
    },
    Case {
        id: "PW-KEY-002/zero-key",
        title: "refuses a sync key of 0 with BAD_HELLO",
        roles: BOTH,
        profile: Profile::calm,
        needs: &[],
        run: zero_key,
    },
    Case {
        id: "PW-KEY-003/key-zero-later",
        title: "closes with BAD_HEADER on a header with key 0 after the first packet",
        roles: BOTH,
        profile: Profile::calm,
        needs: &[Need::NoResync],
        run: key_zero_later,
    },
    Case {
        id: "PW-KEY-003/crafted-payload",
        title: "does not act on a packet with key 0 that it meets while it resynchronises",
        roles: BOTH,
        profile: Profile::calm,
        needs: &[Need::Resync],
        run: crafted_payload,
    },
    Case {
        id: "PW-KEY-004/fresh-keys",
        title: "announces another sync key on every connection",
        roles: BOTH,
        profile: Profile::calm,
        needs: &[],
        run: fresh_keys,
    },
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
