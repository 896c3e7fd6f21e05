//! Section 9, where the peer reads slowly: what it gets all the same, and when it is given up.

use std::time::Duration;

use super::drain::ended_with;
use super::{BOTH, CLOCK_TOLERANCE, waiting};
use crate::case::{Case, Need};
use crate::clock;
use crate::codec::Close;
use crate::codec::Packet;
use crate::codec::registry::{kind, reason};
use crate::context::Context;
use crate::peer::{Arrival, Message, PATIENCE, Peer};
use crate::profile::Profile;
use crate::setting::Parameter;
use crate::subject::{Event, Happening, Id};
use crate::verdict::{Failure, Outcome, in_vain, not_before, require, violation};

pub(super) const CASES: &[Case] = &[
    case!(
        "PW-HB-011/lumps",
        "waits for a peer that says nothing and takes something now and then, in lumps",
        BOTH,
        patient,
        lumps,
        [Need::OwnNumbers]
    )
    .about(&[Parameter::SubjectTimers])
    .whole_only(),
    case!(
        "PW-HB-020/write-stall-rests",
        "does not count the pause of its peer against what that does not take",
        BOTH,
        stalling,
        write_stall_rests
    )
    .whole_only(),
    case!(
        "PW-HB-020/write-stall-rests-no-longer",
        "lets the time for what is not taken rest for busy_max at most, however often its peer pauses",
        BOTH,
        short_pauses,
        write_stall_rests_no_longer,
        [Need::OwnNumbers]
    )
    .about(&[Parameter::SubjectTimers])
    .whole_only(),
    case!(
        "PW-CLS-007/messages-before-close",
        "counts close_timeout from its CLOSE on, not while messages wait in front of it",
        BOTH,
        hasty,
        messages_before_close
    )
    .whole_only(),
    case!(
        "PW-CLS-007/answers-do-not-count",
        "closes the connection when CLOSE_ACK does not come until close_timeout, though its peer pings it",
        BOTH,
        hasty,
        answers_do_not_count
    )
    .whole_only(),
    case!(
        "PW-CLS-012/slow-reader",
        "sends its last CLOSE to a peer that reads slowly for longer than linger",
        BOTH,
        short_linger,
        slow_reader
    )
    .whole_only(),
    case!(
        "PW-CLS-012/answers-slow-reader",
        "sends all messages and CLOSE_ACK, in order, to a peer that closes and reads slowly",
        BOTH,
        short_linger,
        answers_slow_reader
    )
    .whole_only(),
    case!(
        "PW-CLS-015/trickle",
        "closes with WRITE_STALL when its peer takes a few bytes now and then",
        BOTH,
        stalling,
        trickle,
        [Need::OwnNumbers]
    )
    .about(&[Parameter::SubjectTimers])
    .whole_only(),
    case!(
        "PW-CLS-015/last-packets",
        "waits no longer for a peer that takes a few bytes of its last packets now and then",
        BOTH,
        unhurried,
        last_packets,
        [Need::OwnNumbers]
    )
    .whole_only(),
];

/// Many short waits for an answer, and much time for a slow link.
fn patient() -> Profile {
    let (idle, interval) = (Duration::from_millis(500), Duration::from_millis(500));
    Profile { idle, interval, probes: 10, extension_max: Some(Duration::from_secs(60)), ..Profile::calm() }
}

/// Each byte has 400 ms to be taken.
fn stalling() -> Profile {
    Profile { write_stall: Duration::from_millis(400), assembly_rate: 1_000_000_000, ..Profile::calm() }
}

/// It has a second, in which a peer's fault comes too, also where the machine is busy.
fn unhurried() -> Profile {
    Profile { write_stall: Duration::from_secs(1), ..stalling() }
}

/// As [`stalling`], and a peer may pause for 300 ms.
fn short_pauses() -> Profile {
    Profile { busy_max: Duration::from_millis(300), ..stalling() }
}

/// CLOSE_ACK has 2 s to come.
fn hasty() -> Profile {
    Profile { close_timeout: Duration::from_secs(2), ..Profile::calm() }
}

/// An end takes 200 ms at most, if nothing is taken.
fn short_linger() -> Profile {
    Profile { linger: Duration::from_millis(200), ..Profile::calm() }
}

/// Whether the application was told that the connection is over.
pub(super) fn is_over(context: &mut Context<'_>, peer: &Peer, id: Id) -> Result<bool, Failure> {
    let ended = |event: &Event| matches!(event.what, Happening::Closed { .. }) && event.connection == Some(id);
    Ok(context.events(peer)?.iter().any(ended))
}

fn lumps(context: &mut Context<'_>) -> Outcome {
    // Four waits are missed between two lumps. Behind each lump that carries a PING to the peer's host one more is, and another where
    // reading takes as long as a wait: those alone are fewer than may be, all together are more.
    let (gap, lumps) = (context.profile.interval * 9 / 2, 3);
    context.takes(gap * lumps)?;
    let mut peer = context.establish_mute()?;
    let id = context.youngest(&peer)?;
    let count = waiting::fill(context, &mut peer, id)?;
    for _ in 0..lumps {
        clock::sleep(gap);
        peer.read_some(context.enough_for_room())?;
    }
    peer.answers_pings = true;
    peer.send(&Packet::busy(0))?;
    // A side that gave its peer up sends no more messages.
    waiting::read_all(&mut peer, count)?;
    peer.alive()
}

fn write_stall_rests(context: &mut Context<'_>) -> Outcome {
    let due = context.profile.write_stall;
    context.takes(due * 4)?;
    if context.profile.busy_max < due * 3 {
        return Err(Failure::NotApplicable("the subject's busy_max is too short".into()));
    }
    // Behind the pause.
    context.lasts(due, &[context.silence()])?;
    let (mut peer, id) = context.establish_with_id()?;
    peer.send(&Packet::busy(60_000))?;
    peer.barrier()?;
    waiting::fill(context, &mut peer, id)?;
    clock::sleep(due * 2);
    if is_over(context, &peer, id)? {
        let (frame, _) = context.await_ending(&peer, id, PATIENCE)?;
        return violation(format!("ended with {} while the peer paused", reason::name(frame.reason)));
    }
    let since = clock::now();
    peer.send(&Packet::busy(0))?;
    let (frame, _) = context.await_ending(&peer, id, due + PATIENCE)?;
    require(frame.reason == reason::WRITE_STALL, format!("ended with {}", reason::name(frame.reason)))?;
    let elapsed = clock::elapsed(since);
    let sentence = format!("given up {} ms after the pause", elapsed.as_millis());
    // Something may have been taken just before the pause was noticed, and nothing since.
    not_before(elapsed + CLOCK_TOLERANCE, due / 2, sentence)
}

fn write_stall_rests_no_longer(context: &mut Context<'_>) -> Outcome {
    let (due, busy_max) = (context.profile.write_stall, context.profile.busy_max);
    let (mut peer, id) = context.establish_with_id()?;
    waiting::fill(context, &mut peer, id)?;
    let began = clock::now();
    // A busy machine hands out what fits for a while.
    while clock::elapsed(began) < due + busy_max + PATIENCE {
        if is_over(context, &peer, id)? {
            return ended_with(context, &peer, id, reason::WRITE_STALL);
        }
        // Each row of pauses is short enough, and one begins where the other ends.
        peer.send_glued(&[Packet::busy(0), Packet::busy(60_000)])?;
        clock::sleep(busy_max / 3);
    }
    violation("a peer that pauses again and again and takes nothing is not given up")
}

fn messages_before_close(context: &mut Context<'_>) -> Outcome {
    const STEPS: usize = 16;
    let due = context.profile.close_timeout;
    context.takes(due * 3)?;
    // A PING lies behind what is read slowly.
    context.lasts(due * 5 / 4, &[context.silence()])?;
    context.lasts(due / 4, &[("write_stall", context.profile.write_stall)])?;
    let (mut peer, id) = context.establish_with_id()?;
    let count = waiting::fill(context, &mut peer, id)?;
    context.close_from(&peer, id, reason::NORMAL)?;
    // Slowly, as long as its transport cannot have taken CLOSE: where nothing tells what is acknowledged, the time runs then.
    let slowly = count / 2 / STEPS;
    for _ in 0..STEPS {
        clock::sleep(due * 5 / 4 / STEPS as u32);
        waiting::read_all(&mut peer, slowly)?;
    }
    let left = count - slowly * STEPS;
    peer.read_ahead(left * waiting::MESSAGE_SIZE)?;
    peer.send(&Packet::close_ack(1))?;
    waiting::read_all(&mut peer, left)?;
    peer.expect_close(reason::NORMAL)?;
    peer.expect_end()?;
    peer.half_close();
    ended_with(context, &peer, id, reason::NORMAL)
}

fn answers_do_not_count(context: &mut Context<'_>) -> Outcome {
    let due = context.profile.close_timeout;
    context.takes(due)?;
    // Seldom enough for any PING_FLOOR.
    let step = (due / 4).max(context.profile.ping_floor);
    let (mut peer, id) = context.establish_with_id()?;
    let began = clock::now();
    context.close_from(&peer, id, reason::NORMAL)?;
    peer.expect_close(reason::NORMAL)?;
    while clock::elapsed(began) < due + PATIENCE {
        let number = peer.next_ping_number();
        peer.send(&Packet::ping(number))?;
        let next = clock::now() + step;
        while let Some(arrival) = peer.receive_by(next)? {
            match arrival {
                Arrival::Packet(packet) if packet.kind == kind::PONG => {}
                Arrival::Packet(packet) => return violation(format!("{} came behind CLOSE", kind::name(packet.kind))),
                Arrival::End | Arrival::Reset => {
                    let elapsed = clock::elapsed(began);
                    let sentence = format!("closed after {} ms", elapsed.as_millis());
                    return not_before(elapsed + CLOCK_TOLERANCE, due, sentence);
                }
            }
        }
    }
    violation("PONGs put the end off for ever")
}

/// Nothing but `linger` ends the connection meanwhile.
fn bears_reading_slowly(context: &Context<'_>) -> Outcome {
    let linger = context.profile.linger;
    context.takes(linger * 5)?;
    // What is read is not looked at, so that no PING is answered.
    context.lasts(linger * 17 / 4, &[context.silence()])?;
    context.lasts(linger / 2, &[("write_stall", context.profile.write_stall)])?;
    let rate = context.enough_for_room() as f64 / (linger / 4).as_secs_f64();
    if f64::from(context.profile.assembly_rate) > rate {
        return Err(Failure::NotApplicable("the subject's assembly_rate is above what is read".into()));
    }
    Ok(())
}

/// Reads so slowly that what was waiting takes longer than `linger`.
fn read_slowly(context: &Context<'_>, peer: &mut Peer) -> Outcome {
    for _ in 0..16 {
        clock::sleep(context.profile.linger / 4);
        peer.read_some(context.enough_for_room())?;
    }
    Ok(())
}

fn slow_reader(context: &mut Context<'_>) -> Outcome {
    bears_reading_slowly(context)?;
    let (mut peer, id) = context.establish_with_id()?;
    waiting::fill(context, &mut peer, id)?;
    // Its transport has room for what was read, and takes that first.
    clock::sleep(context.profile.linger / 4);
    peer.may_be_cut_off = true;
    peer.send(&Packet { class: 1, ..Packet::ping(1) })?;
    read_slowly(context, &mut peer)?;
    loop {
        match peer.receive()? {
            Arrival::Packet(packet) if packet.kind == kind::DATA => drop(peer.take_frame(packet)?),
            Arrival::Packet(packet) => {
                peer.check_close(&packet, reason::BAD_PACKET)?;
                return peer.expect_end();
            }
            Arrival::End | Arrival::Reset => return violation("the end came before CLOSE to a peer that reads slowly"),
        }
    }
}

fn answers_slow_reader(context: &mut Context<'_>) -> Outcome {
    bears_reading_slowly(context)?;
    let (mut peer, id) = context.establish_with_id()?;
    let count = waiting::fill(context, &mut peer, id)?;
    let last = Message::new(0, *b"the last one");
    context.send_from(&peer, id, 0, &last.payload)?;
    peer.may_be_cut_off = true;
    peer.send(&Close::new(reason::NORMAL, 1).to_packet())?;
    read_slowly(context, &mut peer)?;
    waiting::read_all(&mut peer, count)?;
    peer.expect_message(&last)?;
    peer.expect_kind(kind::CLOSE_ACK)?;
    peer.expect_end()
}

/// Takes a few bytes now and then, until the subject has told that the connection is over.
fn take_little(context: &mut Context<'_>, peer: &mut Peer, id: Id) -> Outcome {
    let due = context.profile.write_stall;
    let began = clock::now();
    while clock::elapsed(began) < due * 2 + PATIENCE {
        if is_over(context, peer, id)? {
            return Ok(());
        }
        clock::sleep(due / 4);
        peer.read_some(64)?;
    }
    violation("a peer that takes a few bytes now and then is not given up")
}

fn trickle(context: &mut Context<'_>) -> Outcome {
    let (mut peer, id) = context.establish_with_id()?;
    waiting::fill(context, &mut peer, id)?;
    take_little(context, &mut peer, id)?;
    ended_with(context, &peer, id, reason::WRITE_STALL)
}

fn last_packets(context: &mut Context<'_>) -> Outcome {
    let due = context.profile.write_stall;
    let (mut peer, id) = context.establish_with_id()?;
    let began = clock::now();
    waiting::fill(context, &mut peer, id)?;
    // Its transport has room for what was read, and takes that first.
    clock::sleep(due / 4);
    peer.send(&Packet { class: 1, ..Packet::ping(1) })?;
    let fault_sent = clock::elapsed(began);
    take_little(context, &mut peer, id)?;
    let (frame, _) = context.await_ending(&peer, id, PATIENCE)?;
    ended_for_fault(frame.reason, fault_sent, due)
}

/// Judges the end of a connection whose peer's fault was sent so long after its queue began to fill.
fn ended_for_fault(given: u16, fault_sent: Duration, due: Duration) -> Outcome {
    match given {
        reason::BAD_PACKET => Ok(()),
        reason::WRITE_STALL if fault_sent >= due => {
            Err(Failure::Unsupported("the subject gave its transport up before its peer's fault came".into()))
        }
        // On a busy machine it may have read the fault too late.
        reason::WRITE_STALL => in_vain(due, "ended with WRITE_STALL instead of BAD_PACKET"),
        other => violation(format!("ended with {} instead of BAD_PACKET", reason::name(other))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A subject that filled its transport slowly gave that up before the fault; one that had its time did not read it.
    #[test]
    fn write_stall_is_excused_only_where_the_fault_came_later() {
        let due = Duration::from_secs(1);
        let judged = |given, sent_after| ended_for_fault(given, Duration::from_millis(sent_after), due);
        assert!(judged(reason::BAD_PACKET, 5_000).is_ok());
        assert!(matches!(judged(reason::WRITE_STALL, 1_000), Err(Failure::Unsupported(_))));
        assert!(matches!(judged(reason::WRITE_STALL, 999), Err(Failure::Untimely { .. })));
        assert!(matches!(judged(reason::PEER_TIMEOUT, 5_000), Err(Failure::Violation(_))));
    }
}
