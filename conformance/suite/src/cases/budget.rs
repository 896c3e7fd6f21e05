//! Section 5: how much may be skipped and dropped (PW-FRM-011).

use super::BOTH;
use crate::case::{Case, Need};
use crate::codec::registry::{flag, reason, reject};
use crate::codec::{Header, Packet};
use crate::context::Context;
use crate::peer::Peer;
use crate::profile::Profile;
use crate::setting::Parameter;
use crate::verdict::{Failure, Outcome};

pub(super) const CASES: &[Case] = &[
    case!(
        "PW-FRM-011/too-many-gaps",
        "bears 16 gaps in a window, and closes with RESYNC_BUDGET at the next",
        BOTH,
        Profile::calm,
        too_many_gaps,
        [Need::Resync]
    ),
    case!(
        "PW-FRM-011/too-many-dropped-packets",
        "counts each dropped packet as a gap",
        BOTH,
        Profile::calm,
        too_many_dropped_packets,
        [Need::Resync]
    )
    .about(&[Parameter::Class]),
    case!(
        "PW-FRM-011/too-many-bytes",
        "bears as many skipped bytes in a window as 16 of its frames have, and closes with RESYNC_BUDGET above",
        BOTH,
        Profile::calm,
        too_many_bytes,
        [Need::Resync]
    ),
    case!(
        "PW-FRM-011/bytes-of-dropped-packets",
        "counts the bytes of dropped packets with those that it skips",
        BOTH,
        Profile::calm,
        bytes_of_dropped_packets,
        [Need::Resync]
    )
    .about(&[Parameter::Class]),
    case!(
        "PW-FRM-011/one-gap-in-pieces",
        "counts bytes skipped in a row as one gap, however they come",
        BOTH,
        Profile::calm,
        one_gap_in_pieces,
        [Need::Resync]
    )
    .whole_only(),
    case!(
        "PW-FRM-011/damaged-full-frames",
        "bears a wrong bit in each of 16 frames of the greatest length, and not in a 17th",
        BOTH,
        default_frames,
        damaged_full_frames,
        [Need::Resync]
    )
    .about(&[Parameter::Class]),
];

/// The gaps that one window permits.
pub(super) const GAPS_PERMITTED: usize = 16;

/// Frames may be as large as they are by default.
fn default_frames() -> Profile {
    Profile { frame_limit: 65_536, ..Profile::calm() }
}

/// The skipped bytes that one window permits.
fn permitted(peer: &Peer) -> usize {
    let frame = peer.announced().frame_limit as usize + Header::SIZE + Header::TRAILER_SIZE;
    (GAPS_PERMITTED * frame).max(65_536)
}

/// A connection on which the bytes of dropped packets have used up the budget of skipped bytes, but for those that are given.
fn almost_used_up(context: &mut Context<'_>) -> Result<(Peer, usize), Failure> {
    let mut peer = context.establish()?;
    let around = Header::SIZE + Header::TRAILER_SIZE;
    let most = permitted(&peer);
    let size = (peer.announced().frame_limit as usize).min(most - around);
    // Fewer than the gaps that one window permits.
    let count = (most / (size + around)).min(GAPS_PERMITTED - 1);
    let dropped = Packet::data(flag::FIRST, 0, vec![0; size]).encode_with_wrong_trailer(peer.key());
    for ordinal in (2..).take(count) {
        peer.send_raw(&dropped)?;
        peer.expect_reject(ordinal, reject::DAMAGED)?;
    }
    Ok((peer, most - count * (size + around)))
}

fn too_many_gaps(context: &mut Context<'_>) -> Outcome {
    let mut peer = context.establish()?;
    for _ in 0..GAPS_PERMITTED {
        peer.send_raw(&[0; 12])?;
        peer.alive()?;
    }
    peer.send_raw(&[0; 12])?;
    peer.expect_rejection(reason::RESYNC_BUDGET)?;
    Ok(())
}

fn too_many_dropped_packets(context: &mut Context<'_>) -> Outcome {
    let mut peer = context.establish()?;
    let dropped = Packet::data(flag::FIRST, 0, *b"dropped").encode_with_wrong_trailer(peer.key());
    for ordinal in (2..).take(GAPS_PERMITTED) {
        peer.send_raw(&dropped)?;
        peer.expect_reject(ordinal, reject::DAMAGED)?;
    }
    peer.alive()?;
    peer.send_raw(&dropped)?;
    peer.expect_rejection(reason::RESYNC_BUDGET)?;
    Ok(())
}

fn too_many_bytes(context: &mut Context<'_>) -> Outcome {
    let mut peer = context.establish()?;
    peer.send_raw(&vec![0; permitted(&peer)])?;
    peer.alive()?;
    peer.send_raw(&[0; 12])?;
    peer.expect_rejection(reason::RESYNC_BUDGET)?;
    let mut peer = context.establish()?;
    peer.send_raw(&vec![0; permitted(&peer) + 12])?;
    peer.expect_rejection(reason::RESYNC_BUDGET)?;
    Ok(())
}

fn bytes_of_dropped_packets(context: &mut Context<'_>) -> Outcome {
    let (mut peer, left) = almost_used_up(context)?;
    peer.send_raw(&vec![0; left])?;
    peer.alive()?;
    // The last eleven may become a header.
    let (mut peer, left) = almost_used_up(context)?;
    peer.send_raw(&vec![0; left + Header::SIZE])?;
    peer.expect_rejection(reason::RESYNC_BUDGET)?;
    Ok(())
}

fn one_gap_in_pieces(context: &mut Context<'_>) -> Outcome {
    let mut peer = context.establish()?;
    // More pieces than gaps are permitted, each by itself.
    for _ in 0..200 {
        peer.send_raw(&[0; 13])?;
    }
    peer.alive()?;
    peer.barrier()
}

fn damaged_full_frames(context: &mut Context<'_>) -> Outcome {
    let mut peer = context.establish()?;
    let length = peer.announced().frame_limit;
    if length > 1 << 20 {
        return Err(Failure::NotApplicable("the subject's frame limit is above 1 MiB".into()));
    }
    let packet = Packet::data(flag::FIRST, 0, vec![0; length as usize]);
    // In the payload, so that the frame is dropped.
    let mut bytes = packet.encode(peer.key());
    bytes[Header::SIZE + 99] ^= 0x08;
    for ordinal in (2..).take(GAPS_PERMITTED) {
        peer.send_raw(&bytes)?;
        peer.expect_reject(ordinal, reject::DAMAGED)?;
    }
    peer.alive()?;
    peer.send_raw(&bytes)?;
    peer.expect_rejection(reason::RESYNC_BUDGET)?;
    // In the header, so that all its bytes are skipped.
    let mut peer = context.establish()?;
    let mut bytes = packet.encode(peer.key());
    bytes[9] ^= 0x08;
    for _ in 0..GAPS_PERMITTED {
        peer.send_raw(&bytes)?;
        peer.alive()?;
    }
    peer.send_raw(&bytes)?;
    peer.expect_rejection(reason::RESYNC_BUDGET)?;
    Ok(())
}
