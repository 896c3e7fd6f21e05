//! Section 6: what stands in messages, around them and between their frames.

use super::BOTH;
use super::reject::{send_too_large, small};
use crate::case::Case;
use crate::codec::registry::{flag, kind, reason, reject};
use crate::codec::{Close, Header, Packet};
use crate::context::Context;
use crate::peer::Message;
use crate::profile::Profile;
use crate::setting::Parameter;
use crate::verdict::{Failure, Outcome};

pub(super) const CASES: &[Case] = &[
    case!(
        "PW-DAT-002/packets-in-payload",
        "acts on nothing that a payload contains, not even on a packet with the right key",
        BOTH,
        Profile::calm,
        packets_in_payload
    ),
    case!(
        "PW-DAT-008/at-the-limit",
        "takes a message of exactly its limit, in many frames and with an empty last one",
        BOTH,
        Profile::calm,
        at_the_limit
    ),
    case!(
        "PW-DAT-009/limits-of-each-peer",
        "keeps to the limits of each peer where those of several differ",
        BOTH,
        Profile::calm,
        limits_of_each_peer
    ),
    case!(
        "PW-DAT-010/every-kind-between-frames",
        "acts on control packets of every kind between the frames of a message, and delivers it whole",
        BOTH,
        Profile::calm,
        every_kind_between_frames
    )
    .about(&[Parameter::Class]),
    case!(
        "PW-REJ-006/room-again",
        "refuses any number of messages one after the other, as long as its REJECT are taken",
        BOTH,
        small,
        room_again
    )
    .about(&[Parameter::Class]),
];

fn packets_in_payload(context: &mut Context<'_>) -> Outcome {
    let mut peer = context.establish()?;
    let inside = [
        Packet::ping(1),
        Packet::data(flag::FIRST, 0, *b"not a message"),
        Packet::busy(60_000),
        Close::new(reason::NORMAL, 0).to_packet(),
    ];
    let payload: Vec<u8> = inside.iter().flat_map(|packet| packet.encode(peer.key())).collect();
    let message = Message::new(0, payload);
    peer.echo(&message)?;
    // The first frame ends where the second packet begins.
    peer.send_glued(&message.frames(Header::SIZE + 8))?;
    peer.expect_message(&message)?;
    peer.barrier()?;
    peer.alive()
}

fn at_the_limit(context: &mut Context<'_>) -> Outcome {
    let mut peer = context.establish()?;
    let limit = peer.announced().message_limit;
    if limit > 1 << 22 {
        return Err(Failure::NotApplicable("the subject's message limit is above 4 MiB".into()));
    }
    let message = Message::new(0, vec![0xBB; limit as usize]);
    for frame in message.frames(peer.announced().frame_limit.min(2_000) as usize) {
        peer.send(&Packet { flags: frame.flags | flag::MORE, ..frame })?;
    }
    peer.send(&Packet::data(0, 0, []))?;
    peer.expect_message(&message)?;
    peer.alive()
}

fn limits_of_each_peer(context: &mut Context<'_>) -> Outcome {
    let mut peers = Vec::new();
    for limit in [512, 4_096, 700] {
        let peer = context.establish_with_beside(&mut peers, |peer| peer.hello.frame_limit = limit)?;
        peers.push(peer);
    }
    // Every frame that a peer receives is held to its own limit.
    for size in [3_000, 513] {
        for peer in &mut peers {
            let payload = context.random.bytes(size);
            peer.echo(&Message::new(0, payload))?;
        }
    }
    Ok(())
}

fn every_kind_between_frames(context: &mut Context<'_>) -> Outcome {
    let between = [
        Packet::busy(60_000),
        Packet::busy(0),
        Packet::reject(0, 0, reject::DAMAGED),
        Packet::drain(0),
        Packet::control(kind::FIRST_PRIVATE, *b"passed over"),
    ];
    let mut peer = context.establish()?;
    let message = Message::new(0, *b"one two three four five six");
    for (index, frame) in message.frames(5).iter().enumerate() {
        peer.send(frame)?;
        if let Some(packet) = between.get(index) {
            peer.send(packet)?;
        }
    }
    peer.expect_message(&message)?;
    peer.alive()
}

fn room_again(context: &mut Context<'_>) -> Outcome {
    let mut peer = context.establish()?;
    if peer.announced().message_limit > 1 << 18 {
        return Err(Failure::NotApplicable("the subject's message limit is above 256 KiB".into()));
    }
    // More than the 16 that may wait.
    for ordinal in (2..).take(18) {
        send_too_large(&mut peer)?;
        peer.expect_reject(ordinal, reject::TOO_LARGE)?;
    }
    peer.alive()
}
