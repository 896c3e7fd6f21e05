//! A peer that does not read: what happens to what waits for it.

use super::{BOTH, waiting};
use crate::case::Case;
use crate::clock;
use crate::codec::registry::{kind, reason};
use crate::codec::{Close, Packet};
use crate::context::Context;
use crate::peer::{Arrival, Message, PATIENCE, Peer};
use crate::profile::Profile;
use crate::verdict::{Outcome, require, violation};

pub(super) const CASES: &[Case] = &[
    case!(
        "PW-DAT-011/small-behind-large",
        "sends a small message behind the large ones of its class that wait",
        BOTH,
        Profile::calm,
        small_behind_large
    )
    .whole_only(),
    case!(
        "PW-DAT-011/nothing-is-lost",
        "sends every message that it took while its peer did not read, in their order",
        BOTH,
        Profile::calm,
        nothing_is_lost
    )
    .whole_only(),
    case!(
        "PW-DAT-011/until-the-queue-is-full",
        "sends every message that it took before it said that its queue is full, and takes more when there is room",
        BOTH,
        Profile::calm,
        until_the_queue_is_full
    )
    .whole_only(),
    case!(
        "PW-HB-008/latest-number-waits",
        "lets one PONG wait at most, with the latest number",
        BOTH,
        Profile::calm,
        latest_number_waits
    ),
    case!(
        "PW-HB-015/ping-ahead-of-messages",
        "sends its own PING ahead of waiting messages",
        BOTH,
        patient,
        ping_ahead_of_messages
    )
    .whole_only(),
    case!(
        "PW-CLS-009/what-waited-is-not-sent",
        "sends nothing of what waited after the peer's CLOSE for a fault",
        BOTH,
        Profile::calm,
        what_waited_is_not_sent
    ),
];

/// A PING is due soon, and its answer not before the case is over: a busy machine takes long to read all that waits.
fn patient() -> Profile {
    Profile { idle: Profile::brisk().idle, ..Profile::calm() }
}

fn small_behind_large(context: &mut Context<'_>) -> Outcome {
    let (mut peer, id) = context.establish_with_id()?;
    let count = waiting::fill(context, &mut peer, id)?;
    context.send_from(&peer, id, 0, b"small")?;
    for _ in 0..count {
        let message = peer.next_message()?;
        require(message.payload != b"small", "a small message came before larger ones of its class")?;
    }
    peer.expect_message(&Message::new(0, *b"small"))?;
    peer.alive()
}

fn nothing_is_lost(context: &mut Context<'_>) -> Outcome {
    const COUNT: usize = 160;
    let (mut peer, id) = context.establish_with_id()?;
    for number in 0..COUNT {
        context.send_from(&peer, id, 0, &numbered(number))?;
    }
    read_numbered(&mut peer, COUNT)?;
    peer.alive()
}

fn until_the_queue_is_full(context: &mut Context<'_>) -> Outcome {
    /// 48 MB. A subject that took so much has to send so much, whatever its queue holds.
    const MOST: usize = 800;
    let (mut peer, id) = context.establish_with_id()?;
    let taken = context.send_until_full(&peer, id, MOST, numbered)?.unwrap_or(MOST);
    read_numbered(&mut peer, taken)?;
    context.send_from(&peer, id, 0, b"room again")?;
    peer.expect_message(&Message::new(0, *b"room again"))?;
    peer.alive()
}

/// A large payload that begins with its number.
fn numbered(number: usize) -> Vec<u8> {
    let mut payload = vec![0; 60_000];
    payload[..8].copy_from_slice(&(number as u64).to_be_bytes());
    payload
}

/// Reads so many of them, in their order.
fn read_numbered(peer: &mut Peer, count: usize) -> Outcome {
    for number in 0..count {
        let message = peer.next_message()?;
        require(message.payload == numbered(number), format!("message {number} of {count} did not come next"))?;
    }
    Ok(())
}

fn latest_number_waits(context: &mut Context<'_>) -> Outcome {
    const COUNT: u64 = 12;
    let (mut peer, id) = context.establish_with_id()?;
    let count = waiting::fill(context, &mut peer, id)?;
    peer.send_glued(&(1..=COUNT).map(Packet::ping).collect::<Vec<_>>())?;
    let (mut messages, mut in_a_row, mut latest) = (0, 0, None);
    while messages < count {
        match peer.receive()? {
            Arrival::Packet(packet) if packet.kind == kind::PONG => {
                (in_a_row, latest) = (in_a_row + 1, Some(packet.number()));
                // While the system takes a little now and then, one may leave with each part of a message.
                require(in_a_row <= 3, format!("{in_a_row} PONG waited at once"))?;
            }
            Arrival::Packet(packet) if packet.kind == kind::DATA => {
                messages += usize::from(peer.take_frame(packet)?.is_some());
                in_a_row = 0;
            }
            other => return violation(format!("{other:?} came between messages")),
        }
    }
    require(latest == Some(COUNT), format!("PONG {latest:?} came ahead of the last message, not {COUNT}"))?;
    peer.alive()
}

fn ping_ahead_of_messages(context: &mut Context<'_>) -> Outcome {
    let idle = context.profile.idle;
    // Behind a PING, and before the peer is given up.
    let write_stall = ("write_stall", context.profile.write_stall);
    let wait = (idle * 2).min((idle + context.silence().1.min(write_stall.1)) / 2);
    context.lasts(wait.max(idle * 11 / 10), &[write_stall, context.silence()])?;
    let (mut peer, id) = context.establish_with_id()?;
    let count = waiting::fill(context, &mut peer, id)?;
    peer.answers_pings = false;
    clock::sleep(wait);
    let came = waiting::read_all(&mut peer, count)?;
    let pings: Vec<&Packet> = came.iter().filter(|packet| packet.kind == kind::PING).collect();
    let Some(last) = pings.last() else {
        return violation(format!("no PING came before the last of {count} messages that waited"));
    };
    peer.send(&Packet::pong(last.number()))?;
    peer.answers_pings = true;
    peer.alive()
}

fn what_waited_is_not_sent(context: &mut Context<'_>) -> Outcome {
    let (mut peer, id) = context.establish_with_id()?;
    let count = waiting::fill(context, &mut peer, id)?;
    peer.send(&Close::new(reason::BAD_FRAGMENT, 0).to_packet())?;
    peer.may_be_cut_off = true;
    // What it does from here on, it does knowing that.
    context.await_ending(&peer, id, PATIENCE)?;
    let mut messages = 0;
    loop {
        match peer.receive()? {
            Arrival::Packet(packet) if packet.kind == kind::DATA => {
                messages += usize::from(peer.take_frame(packet)?.is_some());
                require(messages < count, format!("all of {count} messages that waited came after a fault"))?;
            }
            Arrival::Packet(packet) => return violation(format!("{} came after a fault", kind::name(packet.kind))),
            Arrival::End | Arrival::Reset => return Ok(()),
        }
    }
}
