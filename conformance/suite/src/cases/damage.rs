//! Section 5: what damage does beside the packet that it hits.

use super::BOTH;
use crate::case::{Case, Need};
use crate::codec::registry::{flag, kind, reason, reject};
use crate::codec::{Close, Packet};
use crate::context::Context;
use crate::peer::{Message, Peer};
use crate::profile::Profile;
use crate::setting::Parameter;
use crate::verdict::{Failure, Outcome};

pub(super) const CASES: &[Case] = &[
    case!(
        "PW-FRM-006/no-effect",
        "does nothing that a control packet with a wrong trailer says",
        BOTH,
        Profile::calm,
        no_effect,
        [Need::Resync]
    ),
    case!(
        "PW-FRM-008/continuation",
        "closes with CHECKSUM_REQUIRED on a later frame without CHECKSUM",
        BOTH,
        Profile::calm,
        continuation,
        [Need::Resync]
    ),
    case!(
        "PW-FRM-010/what-is-passed-over",
        "holds frames that it passes over to sections 3 and 5, and not to section 6",
        BOTH,
        Profile::calm,
        what_is_passed_over,
        [Need::Resync]
    )
    .about(&[Parameter::Class, Parameter::Size]),
];

fn no_effect(context: &mut Context<'_>) -> Outcome {
    let packets = [
        (Packet::drain(u64::MAX), reason::BAD_COUNT),
        (Packet::reject(0, u64::MAX, reject::TOO_LARGE), reason::BAD_COUNT),
        (Packet::pong(1_000_000), reason::BAD_PONG),
        (Packet::ping(0), reason::BAD_PING),
    ];
    let packets = packets.map(|(packet, code)| (Packet { flags: flag::CHECKSUM, ..packet }, code));
    let close = Packet { flags: flag::CHECKSUM, ..Close::new(reason::NORMAL, 1).to_packet() };
    let mut peer = context.establish()?;
    for packet in packets.iter().map(|(packet, _)| packet).chain([&close]) {
        peer.send_raw(&peer.with_wrong_trailer(packet))?;
        peer.alive()?;
    }
    for (packet, code) in &packets {
        let mut peer = context.establish()?;
        peer.send(packet)?;
        peer.expect_rejection(*code)?;
    }
    let mut peer = context.establish()?;
    peer.send(&close)?;
    peer.expect_kind(kind::CLOSE_ACK)?;
    peer.expect_end()
}

fn continuation(context: &mut Context<'_>) -> Outcome {
    let message = Message::new(0, *b"one two three");
    let frames = message.frames(5);
    for unchecked in 1..frames.len() {
        let mut frames = frames.clone();
        frames[unchecked].flags &= !flag::CHECKSUM;
        let mut peer = context.establish()?;
        peer.send_glued(&frames)?;
        peer.expect_rejection(reason::CHECKSUM_REQUIRED)?;
    }
    let mut peer = context.establish()?;
    peer.send_glued(&frames)?;
    peer.expect_message(&message)
}

/// A connection on which the first frames of a message came, and the next one was dropped.
fn after_gap(context: &mut Context<'_>) -> Result<Peer, Failure> {
    let mut peer = context.establish()?;
    peer.send(&Packet::data(flag::FIRST | flag::MORE, 0, *b"begun "))?;
    peer.send_raw(&peer.with_wrong_trailer(&Packet::data(flag::MORE, 0, *b"damaged")))?;
    peer.expect_reject(2, reject::DAMAGED)?;
    Ok(peer)
}

fn what_is_passed_over(context: &mut Context<'_>) -> Outcome {
    let mut peer = after_gap(context)?;
    let limit = peer.announced().frame_limit;
    let left_over = [
        Packet::data(flag::MORE, 0, []),
        Packet::data(flag::MORE, 2, *b"of another class"),
        Packet::data(flag::MORE | flag::ENCRYPTED, 0, *b"marked"),
        Packet::data(0, 0, *b"ended"),
        Packet::data(0, 0, *b"and ended again"),
    ];
    for packet in left_over {
        peer.send(&packet)?;
        peer.alive()?;
    }
    let reserved = Packet::data(flag::MORE, 5, *b"of a reserved class");
    let unchecked = Packet { flags: flag::MORE, ..Packet::data(flag::MORE, 0, *b"unchecked") };
    for (packet, code) in [(reserved, reason::BAD_PACKET), (unchecked, reason::CHECKSUM_REQUIRED)] {
        let mut peer = after_gap(context)?;
        peer.send(&packet)?;
        peer.expect_rejection(code)?;
    }
    if limit < 0xFF_FFFF {
        let mut peer = after_gap(context)?;
        peer.send_header(&Packet::data(flag::MORE, 0, []), limit + 1)?;
        peer.expect_rejection(reason::FRAME_TOO_LARGE)?;
    }
    Ok(())
}
