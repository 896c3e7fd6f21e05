//! Section 9.1: draining, and the counts of messages.

use super::close::closing;
use super::{BOTH, waiting};
use crate::case::Case;
use crate::codec::registry::{kind, reason};
use crate::codec::{Close, Packet};
use crate::context::Context;
use crate::peer::{Message, PATIENCE, Peer};
use crate::profile::Profile;
use crate::subject::{Command, Happening, Id};
use crate::verdict::{Failure, Outcome, require};

pub(super) const CASES: &[Case] = &[
    case!(
        "PW-CLS-016/own-drain",
        "sends DRAIN with its count, and goes on with messages both ways",
        BOTH,
        Profile::calm,
        own_drain
    ),
    case!("PW-CLS-016/once", "sends DRAIN once, however often it is told to", BOTH, Profile::calm, once),
    case!(
        "PW-CLS-016/ahead-of-messages",
        "sends DRAIN ahead of messages that wait",
        BOTH,
        Profile::calm,
        ahead_of_messages
    )
    .whole_only(),
    case!("PW-CLS-016/not-behind-close", "sends no DRAIN behind its CLOSE", BOTH, Profile::calm, not_behind_close),
    case!("PW-CLS-017/told", "tells its application of DRAIN, and goes on", BOTH, Profile::calm, told),
    case!("PW-CLS-017/second-drain", "closes with UNEXPECTED_PACKET on a second DRAIN", BOTH, Profile::calm, second),
    case!(
        "PW-CLS-019/drain",
        "closes with BAD_COUNT on a DRAIN that counts more messages than it sent",
        BOTH,
        Profile::calm,
        drain_count
    ),
    case!(
        "PW-CLS-019/close",
        "closes with BAD_COUNT on a CLOSE that counts more messages than it sent, unless that is for a fault",
        BOTH,
        Profile::calm,
        close_count
    ),
    case!(
        "PW-CLS-019/close-ack",
        "ends for BAD_COUNT without another CLOSE on a CLOSE_ACK that counts more messages than it sent",
        BOTH,
        Profile::calm,
        close_ack_count
    ),
    case!(
        "PW-CLS-019/crossing-close",
        "ends for BAD_COUNT without another CLOSE when the count of a CLOSE behind its own is wrong",
        BOTH,
        Profile::calm,
        crossing_close_count
    ),
    case!(
        "PW-CLS-019/every-message-counts",
        "takes every count up to the number of messages that it sent",
        BOTH,
        Profile::calm,
        every_message_counts
    ),
];

/// The subject's DRAIN, told to be sent now.
fn drained(context: &mut Context<'_>, peer: &mut Peer, id: Id) -> Result<u64, Failure> {
    context.obeyed(peer, Command::Drain(id))?;
    Ok(peer.expect_kind(kind::DRAIN)?.number())
}

fn own_drain(context: &mut Context<'_>) -> Outcome {
    let (mut peer, id) = context.establish_with_id()?;
    peer.alive()?;
    peer.alive()?;
    let count = drained(context, &mut peer, id)?;
    require(count == 3, format!("DRAIN counts {count} messages instead of 3"))?;
    peer.alive()?;
    context.send_from(&peer, id, 2, b"what was under way")?;
    peer.expect_message(&Message::new(2, *b"what was under way"))?;
    let count = peer.close()?;
    require(count == 4, format!("CLOSE_ACK counts {count} messages instead of 4"))
}

fn once(context: &mut Context<'_>) -> Outcome {
    let (mut peer, id) = context.establish_with_id()?;
    drained(context, &mut peer, id)?;
    // Whether it is refused or done already, no DRAIN comes.
    context.control(&peer, Command::Drain(id))?;
    peer.barrier()?;
    peer.alive()
}

fn ahead_of_messages(context: &mut Context<'_>) -> Outcome {
    let (mut peer, id) = context.establish_with_id()?;
    let count = waiting::fill(context, &mut peer, id)?;
    context.obeyed(&peer, Command::Drain(id))?;
    waiting::overtaken_by(&mut peer, count, &[Packet::drain(1)])?;
    peer.alive()
}

fn not_behind_close(context: &mut Context<'_>) -> Outcome {
    let (mut peer, id) = context.establish_with_id()?;
    context.close_from(&peer, id, reason::NORMAL)?;
    peer.expect_close(reason::NORMAL)?;
    context.control(&peer, Command::Drain(id))?;
    peer.barrier()?;
    peer.send(&Packet::close_ack(peer.received))?;
    peer.expect_end()
}

fn told(context: &mut Context<'_>) -> Outcome {
    for received in [0, 1] {
        let (mut peer, id) = context.establish_with_id()?;
        peer.send(&Packet::drain(received))?;
        context.await_happening(&peer, id, &Happening::Draining { received })?;
        peer.alive()?;
        context.send_from(&peer, id, 2, b"what was under way")?;
        peer.expect_message(&Message::new(2, *b"what was under way"))?;
        peer.close()?;
    }
    Ok(())
}

fn second(context: &mut Context<'_>) -> Outcome {
    let mut peer = context.establish()?;
    peer.send(&Packet::drain(0))?;
    peer.alive()?;
    peer.send(&Packet::drain(0))?;
    peer.expect_rejection(reason::UNEXPECTED_PACKET).map(|_| ())
}

fn drain_count(context: &mut Context<'_>) -> Outcome {
    for count in [2, u64::MAX] {
        let mut peer = context.establish()?;
        peer.send(&Packet::drain(count))?;
        peer.expect_rejection(reason::BAD_COUNT)?;
    }
    let mut peer = context.establish()?;
    peer.send(&Packet::drain(1))?;
    peer.alive()
}

fn close_count(context: &mut Context<'_>) -> Outcome {
    for count in [2, u64::MAX] {
        let mut peer = context.establish()?;
        peer.send(&Close::new(reason::NORMAL, count).to_packet())?;
        peer.expect_rejection(reason::BAD_COUNT)?;
    }
    let mut peer = context.establish()?;
    peer.send(&Close::new(reason::NORMAL, 1).to_packet())?;
    peer.expect_kind(kind::CLOSE_ACK)?;
    peer.expect_end()?;
    // Whoever found a fault may have lost count.
    let mut peer = context.establish()?;
    peer.send(&Close::new(reason::BAD_FRAGMENT, u64::MAX).to_packet())?;
    peer.expect_end()
}

/// The connection ended for this reason.
pub(super) fn ended_with(context: &mut Context<'_>, peer: &Peer, id: Id, code: u16) -> Outcome {
    let (frame, _) = context.await_ending(peer, id, PATIENCE)?;
    let (given, due) = (reason::name(frame.reason), reason::name(code));
    require(frame.reason == code, format!("ended with {given} instead of {due}"))
}

fn close_ack_count(context: &mut Context<'_>) -> Outcome {
    for (more, code) in [(1, reason::BAD_COUNT), (0, reason::NORMAL)] {
        let (mut peer, id) = context.establish_with_id()?;
        context.close_from(&peer, id, reason::NORMAL)?;
        peer.expect_close(reason::NORMAL)?;
        peer.send(&Packet::close_ack(peer.received + more))?;
        peer.expect_end()?;
        peer.half_close();
        ended_with(context, &peer, id, code)?;
    }
    Ok(())
}

fn crossing_close_count(context: &mut Context<'_>) -> Outcome {
    let (mut peer, _) = closing(context)?;
    peer.send(&Close::new(reason::NORMAL, peer.received + 1).to_packet())?;
    peer.expect_end()?;
    let (mut peer, _) = closing(context)?;
    peer.send(&Close::new(reason::NORMAL, peer.received).to_packet())?;
    peer.expect_kind(kind::CLOSE_ACK)?;
    peer.send(&Packet::close_ack(peer.received))?;
    peer.expect_end()
}

fn every_message_counts(context: &mut Context<'_>) -> Outcome {
    let mut peer = context.establish_with(|peer| peer.hello.frame_limit = 512)?;
    peer.echo(&Message::new(0, []))?;
    // In several frames it is one.
    peer.echo(&Message::new(0, vec![1; 2_000]))?;
    peer.send(&Packet::drain(3))?;
    peer.alive()?;
    peer.send(&Close::new(reason::NORMAL, 4).to_packet())?;
    peer.expect_kind(kind::CLOSE_ACK)?;
    peer.expect_end()
}
