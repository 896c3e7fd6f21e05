//! Section 9, where the peer does not read: what overtakes messages, and when the transport is given up.

use std::time::Duration;

use super::{BOTH, CLOCK_TOLERANCE, waiting};
use crate::case::Case;
use crate::clock;
use crate::codec::Packet;
use crate::codec::registry::{kind, reason};
use crate::context::Context;
use crate::peer::Arrival;
use crate::profile::Profile;
use crate::setting::Parameter;
use crate::verdict::{Failure, Outcome, not_before, require, violation};

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
    .about(&[Parameter::SubjectTimers])
    .whole_only(),
    case!(
        "PW-CLS-015/slow-reader",
        "bears a peer that reads slowly for longer than write_stall",
        BOTH,
        unhurried,
        slow_reader
    )
    .whole_only(),
];

/// The transport has 500 ms to take something.
fn stalling() -> Profile {
    Profile { write_stall: Duration::from_millis(500), ..Profile::calm() }
}

/// It has a second: longer than a busy machine pauses.
fn unhurried() -> Profile {
    Profile { write_stall: Duration::from_secs(1), ..Profile::calm() }
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
    context.lasts(due, &[context.silence()])?;
    let (peer, id) = context.establish_with_id()?;
    let began = clock::now();
    waiting::fill_for_good(context, &peer, id)?;
    let (frame, _) = context.await_ending(&peer, id, due + waiting::LONG_PATIENCE)?;
    require(frame.reason == reason::WRITE_STALL, format!("ended with {}", reason::name(frame.reason)))?;
    let elapsed = clock::elapsed(began);
    let sentence = format!("given up after {} ms, write_stall is {} ms", elapsed.as_millis(), due.as_millis());
    not_before(elapsed + CLOCK_TOLERANCE, due, sentence)
}

fn slow_reader(context: &mut Context<'_>) -> Outcome {
    let due = context.profile.write_stall;
    context.takes(due * 4)?;
    // What is read is not looked at meanwhile, so that no PING is answered.
    context.lasts(due * 2, &[context.silence()])?;
    // Again where the machine was so busy that it was the suite that took nothing.
    for _ in 0..5 {
        let mut longest_pause = Duration::ZERO;
        match read_slowly(context, &mut longest_pause) {
            Err(Failure::Violation(_)) if longest_pause > due / 2 => {}
            outcome => return outcome,
        }
    }
    Err(Failure::Harness("this machine is too busy to read slowly and steadily".into()))
}

/// Takes twice `write_stall` for what the subject has to send, and tells how long nothing was taken meanwhile.
fn read_slowly(context: &mut Context<'_>, longest_pause: &mut Duration) -> Outcome {
    let due = context.profile.write_stall;
    let (mut peer, id) = context.establish_with_id()?;
    let mut last = clock::now();
    let filled = waiting::fill(context, &mut peer, id);
    *longest_pause = clock::elapsed(last);
    let count = filled?;
    // An end comes between the messages below, wherever the bytes were cut.
    peer.may_be_cut_off = true;
    // Of the last one a part may be here already.
    let (began, all, mut taken) = (clock::now(), (count - 1) * waiting::MESSAGE_SIZE, 0);
    while taken < all {
        last = clock::now();
        clock::sleep(due / 20);
        // By the clock, so that what a busy machine missed is made up for.
        let share = clock::elapsed(began).as_secs_f64() / (due * 2).as_secs_f64();
        let wanted = all.min((all as f64 * share) as usize);
        // What is not there yet comes later: were any of it left, it would wait while the rest is looked at.
        match peer.read_some(wanted.saturating_sub(taken))? {
            Some(count) => taken += count,
            None => break,
        }
        require(clock::elapsed(began) < due * 2 + waiting::LONG_PATIENCE, "the subject does not send what it took")?;
        *longest_pause = clock::elapsed(last).max(*longest_pause);
    }
    waiting::read_all(&mut peer, count)?;
    peer.alive()
}
