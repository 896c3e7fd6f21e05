//! Section 5: resynchronising.

use super::budget::GAPS_PERMITTED;
use super::{BOTH, refuses};
use crate::case::{Case, Need};
use crate::codec::Packet;
use crate::codec::registry::{flag, kind, reason, reject};
use crate::context::Context;
use crate::peer::{Message, Peer};
use crate::profile::Profile;
use crate::setting::Parameter;
use crate::verdict::{Failure, Outcome};

pub(super) const CASES: &[Case] = &[
    case!(
        "PW-FRM-005/garbage-between-packets",
        "finds the next packet behind garbage of any length",
        BOTH,
        Profile::calm,
        garbage_between_packets,
        [Need::Resync]
    ),
    case!(
        "PW-FRM-005/false-beginnings",
        "finds the next packet behind bytes that look like the beginning of one",
        BOTH,
        Profile::calm,
        false_beginnings,
        [Need::Resync]
    ),
    case!(
        "PW-FRM-005/damaged-header",
        "loses a message whose header is damaged, and no other",
        BOTH,
        Profile::calm,
        damaged_header,
        [Need::Resync]
    ),
    case!(
        "PW-FRM-005/missing-bytes",
        "goes on after bytes were lost from a payload",
        BOTH,
        Profile::calm,
        missing_bytes,
        [Need::Resync]
    )
    .about(&[Parameter::Class]),
    case!(
        "PW-FRM-006/packet-inside-dropped-packet",
        "does not look for packets inside a packet with a wrong trailer",
        BOTH,
        Profile::calm,
        packet_inside_dropped_packet,
        [Need::Resync]
    )
    .about(&[Parameter::Class]),
    case!(
        "PW-FRM-006/dropped-control-packet",
        "drops a control packet with a wrong trailer, and keeps the open message",
        BOTH,
        Profile::calm,
        dropped_control_packet,
        [Need::Resync]
    ),
    case!(
        "PW-FRM-007/checksum-for-resync-peer",
        "sends every DATA packet with CHECKSUM to a peer that announced RESYNC",
        BOTH,
        Profile::calm,
        checksum_for_resync_peer
    ),
    case!(
        "PW-FRM-008/missing-checksum",
        "closes with CHECKSUM_REQUIRED on DATA without CHECKSUM",
        BOTH,
        Profile::calm,
        missing_checksum,
        [Need::Resync]
    ),
    case!(
        "PW-FRM-008/not-required-without-resync",
        "takes DATA without CHECKSUM if it did not announce RESYNC",
        BOTH,
        Profile::calm,
        checksum_not_required,
        [Need::NoResync]
    ),
    case!(
        "PW-FRM-009/lost-first-frame",
        "delivers nothing of a message whose first frame was lost",
        BOTH,
        Profile::calm,
        lost_first_frame,
        [Need::Resync]
    )
    .about(&[Parameter::Class]),
    case!(
        "PW-FRM-009/lost-middle-frame",
        "delivers nothing of a message whose middle frame was lost",
        BOTH,
        Profile::calm,
        lost_middle_frame,
        [Need::Resync]
    )
    .about(&[Parameter::Class, Parameter::SubjectLimits]),
    case!(
        "PW-FRM-009/lost-last-frame",
        "delivers nothing of a message whose last frame was lost",
        BOTH,
        Profile::calm,
        lost_last_frame,
        [Need::Resync]
    )
    .about(&[Parameter::Class, Parameter::SubjectLimits]),
    case!(
        "PW-FRM-009/garbage-between-frames",
        "delivers nothing of a message between whose frames bytes were skipped",
        BOTH,
        Profile::calm,
        garbage_between_frames,
        [Need::Resync]
    )
    .about(&[Parameter::Class]),
    case!(
        "PW-FRM-010/continuations-after-gap",
        "passes over continuations after a gap, and delivers whole messages meanwhile",
        BOTH,
        Profile::calm,
        continuations_after_gap,
        [Need::Resync]
    )
    .about(&[Parameter::Class, Parameter::SubjectLimits]),
    case!(
        "PW-FRM-010/message-begun-since",
        "takes the continuations of a message that was begun after the gap",
        BOTH,
        Profile::calm,
        message_begun_since,
        [Need::Resync]
    )
    .about(&[Parameter::Class, Parameter::SubjectLimits]),
];

fn garbage_between_packets(context: &mut Context<'_>) -> Outcome {
    let lengths: Vec<usize> = (1..=40).chain([500, 4_000]).collect();
    for lengths in lengths.chunks(GAPS_PERMITTED - 1) {
        let mut peer = context.establish()?;
        for length in lengths {
            let garbage = without_magic(context.random.bytes(*length));
            peer.send_raw(&garbage)?;
            peer.alive()?;
        }
    }
    Ok(())
}

/// Random bytes pass for a header very rarely; without the magic they never do.
fn without_magic(mut bytes: Vec<u8>) -> Vec<u8> {
    bytes.iter_mut().filter(|byte| **byte == 0xF7).for_each(|byte| *byte = 0);
    bytes
}

fn false_beginnings(context: &mut Context<'_>) -> Outcome {
    let mut peer = context.establish()?;
    // Wrong in the first byte of the check, so that no byte that follows a cut one can make it right.
    let header = Packet::data(flag::FIRST, 0, *b"false").encode(peer.key() ^ 0x0100_0000);
    let beginnings: [&[u8]; 7] = [
        &[0xF7],
        &[0xF7, 0x9A],
        &[0xF7, 0xF7, 0x9A],
        &[0xF7, 0x9A, 0xF7, 0x9A, 0xF7],
        &header[..11],
        &header[..12],
        &header,
    ];
    for beginning in beginnings {
        peer.send_raw(beginning)?;
        peer.alive()?;
    }
    Ok(())
}

fn damaged_header(context: &mut Context<'_>) -> Outcome {
    for byte in 0..12 {
        let mut peer = context.establish()?;
        let mut bytes = peer.long_frame(&Packet::data(flag::FIRST, 0, *b"damaged"));
        bytes[byte] ^= 0x04;
        peer.send_raw(&bytes)?;
        peer.alive()?;
    }
    Ok(())
}

fn missing_bytes(context: &mut Context<'_>) -> Outcome {
    for missing in [1, 4, 15] {
        let mut peer = context.establish()?;
        let mut bytes = Packet::data(flag::FIRST, 0, vec![0; 64]).encode(peer.key());
        bytes.drain(30..30 + missing);
        // The next packet gives its first bytes for the missing ones, and is lost too.
        bytes.extend(Packet::data(flag::FIRST, 0, *b"robbed of its beginning").encode(peer.key()));
        peer.send_raw(&bytes)?;
        peer.expect_reject(2, reject::DAMAGED)?;
        peer.alive()?;
    }
    Ok(())
}

fn packet_inside_dropped_packet(context: &mut Context<'_>) -> Outcome {
    let mut peer = context.establish()?;
    let inside = Packet::data(flag::FIRST, 0, *b"inside").encode(peer.key());
    let packet = Packet::data(flag::FIRST, 0, inside);
    peer.send_raw(&peer.with_wrong_trailer(&packet))?;
    peer.expect_reject(2, reject::DAMAGED)?;
    peer.alive()?;
    peer.echo(&Message::new(0, packet.payload))
}

fn dropped_control_packet(context: &mut Context<'_>) -> Outcome {
    let mut peer = context.establish()?;
    let message = Message::new(0, *b"one two");
    let frames = message.frames(4);
    let ping = Packet { flags: flag::CHECKSUM, ..Packet::ping(1) };
    peer.send(&frames[0])?;
    peer.send_raw(&peer.with_wrong_trailer(&ping))?;
    peer.send(&frames[1])?;
    peer.expect_message(&message)?;
    // The number was never received, and so it is still free.
    peer.send(&ping)?;
    peer.expect_pong(1)
}

fn checksum_for_resync_peer(context: &mut Context<'_>) -> Outcome {
    // Every DATA packet that a peer receives is held to this.
    let mut peer = context.establish_with(|peer| {
        peer.hello.resync = true;
        peer.hello.frame_limit = 512;
    })?;
    for size in [0, 1, 512, 2_000] {
        let payload = context.random.bytes(size);
        peer.echo(&Message::new(0, payload))?;
    }
    Ok(())
}

fn missing_checksum(context: &mut Context<'_>) -> Outcome {
    let mut peer = context.establish()?;
    let unchecked = Packet { flags: flag::FIRST, ..Packet::data(flag::FIRST, 0, *b"unchecked") };
    peer.send(&unchecked)?;
    peer.expect_rejection(reason::CHECKSUM_REQUIRED)?;
    let mut peer = context.establish()?;
    // Judged at the header: the payload never comes.
    peer.send_header(&unchecked, 100)?;
    peer.expect_rejection(reason::CHECKSUM_REQUIRED)?;
    context.establish()?.echo(&Message::new(0, *b"unchecked"))?;
    // Only DATA needs it.
    let ignorable = Packet::control(kind::FIRST_PRIVATE, *b"unchecked");
    let wrong = Packet { flags: flag::MORE, ..ignorable.clone() };
    refuses(context, reason::BAD_PACKET, &wrong, &ignorable)
}

fn checksum_not_required(context: &mut Context<'_>) -> Outcome {
    let mut peer = context.establish()?;
    peer.send(&Packet { flags: flag::FIRST, ..Packet::data(flag::FIRST, 0, *b"unchecked") })?;
    peer.expect_message(&Message::new(0, *b"unchecked"))
}

/// Sends a message in three frames, of which one is dropped for its trailer: it is refused.
fn send_with_lost_frame(peer: &mut Peer, lost: usize) -> Result<(), Failure> {
    for (index, frame) in Message::new(0, *b"one two three").frames(5).into_iter().enumerate() {
        if index == lost {
            peer.send_raw(&peer.with_wrong_trailer(&frame))?;
        } else {
            peer.send(&frame)?;
        }
    }
    peer.expect_reject(2, reject::DAMAGED)
}

fn lost_first_frame(context: &mut Context<'_>) -> Outcome {
    let mut peer = context.establish()?;
    send_with_lost_frame(&mut peer, 0)?;
    peer.alive()
}

fn lost_middle_frame(context: &mut Context<'_>) -> Outcome {
    let mut peer = context.establish()?;
    send_with_lost_frame(&mut peer, 1)?;
    peer.alive()
}

fn lost_last_frame(context: &mut Context<'_>) -> Outcome {
    let mut peer = context.establish()?;
    send_with_lost_frame(&mut peer, 2)?;
    peer.alive()?;
    // Nothing of it is left that a later continuation could complete.
    let next = Message::new(0, *b"another message");
    peer.send_glued(&next.frames(5))?;
    peer.expect_message(&next)
}

fn garbage_between_frames(context: &mut Context<'_>) -> Outcome {
    let mut peer = context.establish()?;
    for (index, frame) in Message::new(0, *b"one two three").frames(5).into_iter().enumerate() {
        if index == 1 {
            peer.send_raw(&[0; 3])?;
        }
        peer.send(&frame)?;
    }
    peer.expect_reject(2, reject::DAMAGED)?;
    peer.alive()
}

fn continuations_after_gap(context: &mut Context<'_>) -> Outcome {
    let mut peer = context.establish()?;
    let frames = Message::new(0, *b"one two three four").frames(5);
    peer.send(&frames[0])?;
    peer.send_raw(&peer.with_wrong_trailer(&frames[1]))?;
    peer.expect_reject(2, reject::DAMAGED)?;
    let meanwhile = Message::new(2, *b"meanwhile");
    peer.echo(&meanwhile)?;
    peer.send(&frames[2])?;
    peer.echo(&meanwhile)?;
    peer.send(&frames[3])?;
    peer.alive()
}

fn message_begun_since(context: &mut Context<'_>) -> Outcome {
    let mut peer = context.establish()?;
    let lost = Message::new(0, *b"one two three").frames(5);
    peer.send(&lost[0])?;
    peer.send_raw(&peer.with_wrong_trailer(&lost[1]))?;
    peer.expect_reject(2, reject::DAMAGED)?;
    peer.send(&lost[2])?;
    let begun = Message::new(0, *b"begun and ended");
    peer.send_glued(&begun.frames(5))?;
    peer.expect_message(&begun)?;
    // From here on a continuation without a beginning is a fault again.
    peer.send(&lost[2])?;
    peer.expect_rejection(reason::BAD_FRAGMENT)?;
    Ok(())
}
