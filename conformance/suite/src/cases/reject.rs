//! Section 6.1: refusing a message.

use std::time::Duration;

use super::close::closing;
use super::{BOTH, waiting};
use crate::case::{Case, Need};
use crate::clock;
use crate::codec::registry::{flag, kind, reason, reject};
use crate::codec::{Close, Packet};
use crate::context::Context;
use crate::peer::{Message, Peer};
use crate::profile::Profile;
use crate::setting::Parameter;
use crate::subject::{Event, Happening, Id};
use crate::verdict::{Failure, Outcome, require};

pub(super) const CASES: &[Case] = &[
    case!("PW-REJ-001/once", "refuses a message that is too large once, and does not count it", BOTH, small, once)
        .about(&[Parameter::Class]),
    case!(
        "PW-REJ-001/damaged",
        "refuses a damaged message once, and does not count it",
        BOTH,
        small,
        damaged_once,
        [Need::Resync]
    )
    .about(&[Parameter::Class, Parameter::Size]),
    case!("PW-REJ-002/ordinal", "numbers the messages of a class from 1, as they begin", BOTH, small, ordinal)
        .about(&[Parameter::Class]),
    case!(
        "PW-REJ-002/dropped-packets-count",
        "counts messages whose first packet was dropped",
        BOTH,
        small,
        dropped_packets_count,
        [Need::Resync]
    )
    .about(&[Parameter::Class]),
    case!(
        "PW-REJ-002/after-skipped-bytes",
        "gives no number to a message that began after skipped bytes",
        BOTH,
        small,
        after_skipped_bytes,
        [Need::Resync]
    )
    .about(&[Parameter::Class]),
    case!(
        "PW-REJ-003/reasons",
        "says DAMAGED of what damage destroyed, and TOO_LARGE of what is too large",
        BOTH,
        small,
        reasons,
        [Need::Resync]
    )
    .about(&[Parameter::Class, Parameter::Size]),
    case!(
        "PW-REJ-003/open-message-first",
        "refuses the open message before the dropped one",
        BOTH,
        small,
        open_message_first,
        [Need::Resync]
    )
    .about(&[Parameter::Class]),
    case!(
        "PW-REJ-004/frames-passed-over",
        "passes over the frames that follow in a refused message, and delivers others between",
        BOTH,
        small,
        frames_passed_over
    )
    .about(&[Parameter::Class]),
    case!(
        "PW-REJ-004/counts-as-open",
        "holds the frames of a refused message to the rules of section 6",
        BOTH,
        small,
        counts_as_open
    )
    .about(&[Parameter::Class]),
    case!(
        "PW-REJ-004/damage-ends-it",
        "refuses a refused message no second time when damage ends it",
        BOTH,
        small,
        damage_ends_it,
        [Need::Resync]
    )
    .about(&[Parameter::Class]),
    case!(
        "PW-REJ-005/ahead-of-messages",
        "sends REJECT ahead of messages that wait, in the order of the refusals",
        BOTH,
        small,
        ahead_of_messages
    )
    .about(&[Parameter::Class]),
    case!("PW-REJ-005/behind-close", "sends REJECT behind its own CLOSE", BOTH, small, behind_close)
        .about(&[Parameter::Class]),
    case!(
        "PW-REJ-005/not-behind-close-ack",
        "sends no REJECT behind CLOSE_ACK",
        BOTH,
        small,
        not_behind_close_ack,
        [Need::Resync]
    ),
    case!(
        "PW-REJ-006/too-many",
        "lets 16 REJECT wait, and closes with MESSAGE_TOO_LARGE for another",
        BOTH,
        small,
        too_many
    )
    .about(&[Parameter::Class]),
    case!("PW-REJ-007/told", "tells its application of REJECT, whatever the reason, and goes on", BOTH, small, told)
        .about(&[Parameter::Class]),
];

/// Two frames make a message too large.
pub(super) fn small() -> Profile {
    Profile { frame_limit: 512, message_limit: 512, ..Profile::calm() }
}

/// A message of class 0, `more` bytes above the limit of the subject, in frames.
fn too_large(peer: &Peer, more: usize) -> Result<Vec<Packet>, Failure> {
    let (frame, limit) = (peer.announced().frame_limit as usize, peer.announced().message_limit as usize);
    if limit > 1 << 22 {
        return Err(Failure::NotApplicable("the subject's message limit is above 4 MiB".into()));
    }
    Ok(Message::new(0, vec![0xAA; limit + more]).frames(frame))
}

/// Sends each packet by itself, so that a long message is a sign of life as it comes.
fn send_each(peer: &mut Peer, packets: &[Packet]) -> Outcome {
    packets.iter().try_for_each(|packet| peer.send(packet))
}

/// Sends a message that is one byte too large.
pub(super) fn send_too_large(peer: &mut Peer) -> Outcome {
    let frames = too_large(peer, 1)?;
    send_each(peer, &frames)
}

fn damaged(peer: &Peer, packet: &Packet) -> Vec<u8> {
    peer.with_wrong_trailer(packet)
}

fn begin(class: u8) -> Packet {
    Packet::data(flag::FIRST | flag::MORE, class, *b"begun ")
}

/// The subject has received so many messages whole.
fn counts(peer: &mut Peer, due: u64) -> Outcome {
    let count = peer.close()?;
    require(count == due, format!("CLOSE_ACK counts {count} messages instead of {due}"))
}

fn once(context: &mut Context<'_>) -> Outcome {
    let mut peer = context.establish()?;
    let frame = peer.announced().frame_limit as usize;
    // The second frame above the limit is not refused again.
    let frames = too_large(&peer, frame + 1)?;
    send_each(&mut peer, &frames)?;
    peer.expect_reject(2, reject::TOO_LARGE)?;
    peer.alive()?;
    counts(&mut peer, 2)?;
    let mut peer = context.establish()?;
    let largest = Message::new(0, vec![0xAA; peer.announced().message_limit as usize]);
    peer.echo(&largest)?;
    counts(&mut peer, 2)
}

fn damaged_once(context: &mut Context<'_>) -> Outcome {
    let mut peer = context.establish()?;
    peer.send(&begin(0))?;
    for part in [b"one", b"two"] {
        let bytes = damaged(&peer, &Packet::data(flag::MORE, 0, *part));
        peer.send_raw(&bytes)?;
    }
    peer.send(&Packet::data(0, 0, *b"three"))?;
    peer.expect_reject(2, reject::DAMAGED)?;
    peer.alive()?;
    counts(&mut peer, 2)
}

fn ordinal(context: &mut Context<'_>) -> Outcome {
    let mut peer = context.establish()?;
    for _ in 0..3 {
        peer.alive()?;
    }
    let frames = too_large(&peer, 1)?;
    let (last, front) = frames.split_last().expect("two frames at least");
    send_each(&mut peer, front)?;
    // Whole messages of other classes begin after it, and have numbers of their own.
    peer.echo(&Message::new(2, *b"meanwhile"))?;
    peer.echo(&Message::new(3, *b"meanwhile"))?;
    peer.send(last)?;
    peer.expect_reject(5, reject::TOO_LARGE)?;
    send_too_large(&mut peer)?;
    peer.expect_reject(6, reject::TOO_LARGE)?;
    peer.alive()
}

fn dropped_packets_count(context: &mut Context<'_>) -> Outcome {
    let mut peer = context.establish()?;
    for (ordinal, packet) in [(2, begin(0)), (3, Packet::data(flag::FIRST, 0, *b"whole"))] {
        let bytes = damaged(&peer, &packet);
        peer.send_raw(&bytes)?;
        peer.expect_reject(ordinal, reject::DAMAGED)?;
    }
    // A dropped packet without FIRST begins nothing.
    let bytes = damaged(&peer, &Packet::data(flag::MORE, 0, *b"continued"));
    peer.send_raw(&bytes)?;
    peer.alive()?;
    send_too_large(&mut peer)?;
    peer.expect_reject(5, reject::TOO_LARGE)?;
    peer.alive()
}

fn after_skipped_bytes(context: &mut Context<'_>) -> Outcome {
    let mut peer = context.establish()?;
    peer.send(&begin(0))?;
    peer.send_raw(&[0; 20])?;
    // It began before them.
    peer.send(&Packet::data(flag::MORE, 0, *b"continued"))?;
    peer.expect_reject(2, reject::DAMAGED)?;
    peer.alive()?;
    send_too_large(&mut peer)?;
    peer.expect_reject(0, reject::TOO_LARGE)?;
    let bytes = damaged(&peer, &Packet::data(flag::FIRST, 0, *b"whole"));
    peer.send_raw(&bytes)?;
    peer.expect_reject(0, reject::DAMAGED)?;
    peer.alive()
}

fn reasons(context: &mut Context<'_>) -> Outcome {
    let mut peer = context.establish()?;
    let bytes = damaged(&peer, &Packet::data(flag::FIRST, 0, *b"its own packet"));
    peer.send_raw(&bytes)?;
    peer.expect_reject(2, reject::DAMAGED)?;
    peer.send(&begin(0))?;
    let bytes = damaged(&peer, &Packet::data(0, 0, *b"its last frame"));
    peer.send_raw(&bytes)?;
    peer.expect_reject(3, reject::DAMAGED)?;
    send_too_large(&mut peer)?;
    peer.expect_reject(4, reject::TOO_LARGE)?;
    peer.send(&begin(0))?;
    peer.send_raw(&[0; 20])?;
    peer.send(&Packet::data(0, 0, *b"behind skipped bytes"))?;
    peer.expect_reject(5, reject::DAMAGED)?;
    peer.alive()
}

fn open_message_first(context: &mut Context<'_>) -> Outcome {
    let mut peer = context.establish()?;
    peer.send(&begin(0))?;
    let bytes = damaged(&peer, &Packet::data(flag::FIRST, 2, *b"of another class"));
    peer.send_raw(&bytes)?;
    peer.expect_reject(2, reject::DAMAGED)?;
    peer.expect_reject_of(2, 1, reject::DAMAGED)?;
    peer.alive()
}

fn frames_passed_over(context: &mut Context<'_>) -> Outcome {
    let mut peer = context.establish()?;
    let frame = peer.announced().frame_limit as usize;
    let frames = too_large(&peer, 3 * frame)?;
    let (front, back) = frames.split_at(frames.len() - 2);
    send_each(&mut peer, front)?;
    peer.expect_reject(2, reject::TOO_LARGE)?;
    for frame in back {
        peer.echo(&Message::new(2, *b"between"))?;
        peer.send(frame)?;
    }
    peer.alive()?;
    // The message is over: another one may begin.
    let next = Message::new(0, *b"another message");
    peer.send_glued(&next.frames(5))?;
    peer.expect_message(&next)
}

/// The subject has refused a message of class 0, and its last frame has not come.
pub(super) fn refused(context: &mut Context<'_>) -> Result<Peer, Failure> {
    let mut peer = context.establish()?;
    let mut frames = too_large(&peer, 1)?;
    frames.last_mut().expect("two frames at least").flags |= flag::MORE;
    send_each(&mut peer, &frames)?;
    peer.expect_reject(2, reject::TOO_LARGE)?;
    Ok(peer)
}

fn counts_as_open(context: &mut Context<'_>) -> Outcome {
    let broken = [
        begin(2),
        Packet::data(flag::FIRST, 0, *b"of the same class"),
        Packet::data(flag::MORE, 2, *b"of another class"),
        Packet::data(flag::ENCRYPTED, 0, *b"marked"),
        Packet::data(flag::MORE, 0, []),
    ];
    for packet in broken {
        let mut peer = refused(context)?;
        peer.send(&packet)?;
        peer.expect_rejection(reason::BAD_FRAGMENT)?;
    }
    for packet in [Packet::data(0, 0, *b"ended"), Packet::data(0, 0, [])] {
        let mut peer = refused(context)?;
        peer.send(&Packet::data(flag::MORE, 0, *b"continued"))?;
        peer.send(&packet)?;
        peer.alive()?;
    }
    Ok(())
}

fn damage_ends_it(context: &mut Context<'_>) -> Outcome {
    for skip in [true, false] {
        let mut peer = refused(context)?;
        let bytes = if skip { vec![0; 20] } else { damaged(&peer, &Packet::data(flag::MORE, 0, *b"damaged")) };
        peer.send_raw(&bytes)?;
        peer.send(&Packet::data(0, 0, *b"left over"))?;
        peer.alive()?;
        let next = Message::new(0, *b"another message");
        peer.send_glued(&next.frames(5))?;
        peer.expect_message(&next)?;
    }
    Ok(())
}

/// Sends messages that are too large, and waits until the subject has refused them all.
fn refuse_many(context: &mut Context<'_>, peer: &mut Peer, count: usize) -> Outcome {
    for _ in 0..count {
        send_too_large(peer)?;
    }
    let refused = |event: &Event| (event.what == Happening::TooLarge).then_some(());
    context
        .await_events(peer, count, waiting::LONG_PATIENCE, "the application was not told of what was refused", refused)
        .map(|_| ())
}

/// A connection whose subject has more to send than its transport takes.
fn blocked(context: &mut Context<'_>) -> Result<(Peer, Id, usize), Failure> {
    let (mut peer, id) = context.establish_with_id()?;
    let count = waiting::fill(context, &mut peer, id)?;
    Ok((peer, id, count))
}

fn ahead_of_messages(context: &mut Context<'_>) -> Outcome {
    let (mut peer, _, count) = blocked(context)?;
    refuse_many(context, &mut peer, 3)?;
    let due: Vec<Packet> = (2..5).map(|ordinal| Packet::reject(0, ordinal, reject::TOO_LARGE)).collect();
    waiting::overtaken_by(&mut peer, count, &due)?;
    peer.alive()
}

fn behind_close(context: &mut Context<'_>) -> Outcome {
    let (mut peer, _) = closing(context)?;
    send_too_large(&mut peer)?;
    peer.expect_reject(2, reject::TOO_LARGE)?;
    peer.barrier()?;
    peer.send(&Packet::close_ack(peer.received))?;
    peer.expect_end()
}

fn not_behind_close_ack(context: &mut Context<'_>) -> Outcome {
    let (mut peer, _) = closing(context)?;
    peer.send_glued(&[begin(0), Close::new(reason::NORMAL, peer.received).to_packet()])?;
    peer.expect_kind(kind::CLOSE_ACK)?;
    // The open message is damaged, and nothing can be said about it any more.
    peer.send_raw(&[0; 20])?;
    peer.send(&Packet::close_ack(peer.received))?;
    peer.expect_end()
}

fn too_many(context: &mut Context<'_>) -> Outcome {
    let (mut peer, _, count) = blocked(context)?;
    refuse_many(context, &mut peer, 16)?;
    let due: Vec<Packet> = (2..18).map(|ordinal| Packet::reject(0, ordinal, reject::TOO_LARGE)).collect();
    waiting::overtaken_by(&mut peer, count, &due)?;
    peer.alive()?;
    let (mut peer, id, _) = blocked(context)?;
    // Nothing is read: sooner or later the subject can send nothing of what waits.
    let deadline = clock::now() + waiting::LONG_PATIENCE;
    while context.connections(peer.runner)?.contains(&id) {
        require(clock::now() < deadline, "any number of REJECT may wait")?;
        send_too_large(&mut peer)?;
        clock::sleep(Duration::from_millis(2));
    }
    let (frame, _) = context.await_ending(&peer, id, waiting::LONG_PATIENCE)?;
    require(frame.reason == reason::MESSAGE_TOO_LARGE, format!("ended with {}", reason::name(frame.reason)))
}

fn told(context: &mut Context<'_>) -> Outcome {
    let (mut peer, id) = context.establish_with_id()?;
    peer.alive()?;
    peer.alive()?;
    for class in [2, 0xFF] {
        peer.echo(&Message::new(class, *b"to be refused"))?;
    }
    let refused = [(0, 1, reject::TOO_LARGE), (0, 0, reject::DAMAGED), (2, 1, 3), (0xFF, 0, 0xBEEF), (0, 3, 0)];
    for (class, ordinal, reason) in refused {
        peer.send(&Packet::reject(class, ordinal, reason))?;
        context.await_happening(&peer, id, &Happening::Rejected { class, ordinal, reason })?;
    }
    peer.alive()
}
