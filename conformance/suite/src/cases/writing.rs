//! Section 9, where the peer does not read: what overtakes messages, and when the transport is given up.

use std::time::Duration;

use super::{BOTH, CLOCK_TOLERANCE, waiting};
use crate::case::Case;
use crate::clock;
use crate::codec::Packet;
use crate::codec::registry::{kind, reason};
use crate::context::Context;
use crate::peer::{Arrival, PATIENCE};
use crate::profile::Profile;
use crate::verdict::{Outcome, not_before, require, violation};

pub(super) const CASES: &[Case] = &[
    case!(
        "PW-CLS-003/fault-overtakes",
        "sends CLOSE for a fault ahead of the messages that wait",
        BOTH,
        Profile::calm,
        fault_overtakes
    ),
    case!(
        "PW-CLS-015/takes-nothing",
        "closes with WRITE_STALL when its transport takes nothing for write_stall",
        BOTH,
        stalling,
        takes_nothing
    )
    .whole_only(),
    case!(
        "PW-CLS-015/slow-reader",
        "bears a peer that reads slowly for longer than write_stall",
        BOTH,
        stalling,
        slow_reader
    )
    .whole_only(),
];

/// The transport has 500 ms to take something.
fn stalling() -> Profile {
    Profile { write_stall: Duration::from_millis(500), ..Profile::calm() }
}

fn fault_overtakes(context: &mut Context<'_>) -> Outcome {
    let (mut peer, id) = context.establish_with_id()?;
    let count = waiting::fill(context, &mut peer, id)?;
    peer.send(&Packet { class: 1, ..Packet::ping(1) })?;
    let mut messages = 0;
    loop {
        match peer.receive()? {
            Arrival::Packet(packet) if packet.kind == kind::DATA => {
                messages += usize::from(peer.take_frame(packet)?.is_some());
                require(messages < count, format!("no CLOSE came before the last of {count} messages"))?;
            }
            Arrival::Packet(packet) => {
                peer.check_close(&packet, reason::BAD_PACKET)?;
                return peer.expect_end();
            }
            Arrival::End | Arrival::Reset => return violation("the stream ended without CLOSE"),
        }
    }
}

fn takes_nothing(context: &mut Context<'_>) -> Outcome {
    let due = context.profile.write_stall;
    context.takes(due)?;
    let (peer, id) = context.establish_with_id()?;
    let began = clock::now();
    waiting::fill_for_good(context, &peer, id)?;
    let (frame, _) = context.await_ending(&peer, id, due + PATIENCE)?;
    require(frame.reason == reason::WRITE_STALL, format!("ended with {}", reason::name(frame.reason)))?;
    let elapsed = clock::elapsed(began);
    let sentence = format!("given up after {} ms, write_stall is {} ms", elapsed.as_millis(), due.as_millis());
    not_before(elapsed + CLOCK_TOLERANCE, due, sentence)
}

fn slow_reader(context: &mut Context<'_>) -> Outcome {
    const STEPS: usize = 40;
    let due = context.profile.write_stall;
    context.takes(due * 4)?;
    let (mut peer, id) = context.establish_with_id()?;
    let count = waiting::fill(context, &mut peer, id)?;
    // All of it takes twice the time that the transport may take for nothing.
    for _ in 0..STEPS {
        clock::sleep(due * 2 / STEPS as u32);
        waiting::read_all(&mut peer, count / STEPS)?;
    }
    waiting::read_all(&mut peer, count - count / STEPS * STEPS)?;
    peer.alive()
}
