//! The time that an open message has (PW-DAT-013), and when it rests.

use std::time::{Duration, Instant};

use super::busy::{pause, resume};
use super::reject::refused;
use super::{BOTH, CLOCK_TOLERANCE, LATENESS_TOLERANCE, waiting};
use crate::case::{Case, Need};
use crate::clock;
use crate::codec::registry::{flag, kind, reason};
use crate::codec::{Close, Packet};
use crate::context::Context;
use crate::peer::{Arrival, Message, Peer};
use crate::profile::Profile;
use crate::setting::Parameter;
use crate::verdict::{Failure, Outcome, not_after, not_before, violation};

pub(super) const CASES: &[Case] = &[
    case!(
        "PW-DAT-013/never-ended",
        "closes with MESSAGE_STALL when a message is begun and never ended",
        BOTH,
        stalling,
        never_ended
    )
    .whole_only(),
    case!(
        "PW-DAT-013/trickle",
        "closes with MESSAGE_STALL although a little of the message comes all the time",
        BOTH,
        stalling,
        trickle
    )
    .whole_only(),
    case!(
        "PW-DAT-013/much-at-first",
        "gives an open message no more than its whole time, however much of it came at first",
        BOTH,
        stalling,
        much_at_first
    )
    .whole_only(),
    case!(
        "PW-DAT-013/at-assembly-rate",
        "bears a message that comes at assembly_rate, though half of what comes belongs to others",
        BOTH,
        stalling,
        at_assembly_rate
    )
    .about(&[Parameter::SubjectLimits])
    .whole_only(),
    case!(
        "PW-DAT-013/refused",
        "closes with MESSAGE_STALL when a message that it refused is never ended",
        BOTH,
        stalling_and_small,
        refused_and_never_ended
    )
    .about(&[Parameter::Class])
    .whole_only(),
    case!(
        "PW-DAT-013/ended-by-close",
        "takes an open message for ended by CLOSE of its sender",
        BOTH,
        stalling,
        ended_by_close
    )
    .whole_only(),
    case!(
        "PW-HB-020/message-rests",
        "does not count the pause of its peer against an open message",
        BOTH,
        stalling,
        message_rests
    )
    .whole_only(),
    case!(
        "PW-HB-020/message-rests-no-longer",
        "lets the time of an open message rest for busy_max at most, however often its peer pauses",
        BOTH,
        short_pauses,
        message_rests_no_longer,
        [Need::OwnNumbers]
    )
    .whole_only(),
    case!(
        "PW-HB-023/open-message",
        "gives an open message its whole time again after its own pause",
        BOTH,
        stalling,
        own_pause
    )
    .whole_only(),
];

/// An open message has 464 ms, and a full frame of it adds 64 ms twice.
fn stalling() -> Profile {
    let assembly_base = Duration::from_millis(400);
    Profile { assembly_base, assembly_rate: 8_250, frame_limit: 512, ..Profile::calm() }
}

/// The same, and two frames make a message too large.
fn stalling_and_small() -> Profile {
    Profile { message_limit: 512, ..stalling() }
}

/// The same as [`stalling`], and a peer may pause for 300 ms.
fn short_pauses() -> Profile {
    Profile { busy_max: Duration::from_millis(300), ..stalling() }
}

fn begin() -> Packet {
    Packet::data(flag::FIRST | flag::MORE, 0, *b"begun ")
}

/// A connection, and the whole time of an open message on it.
fn establish(context: &mut Context<'_>) -> Result<(Peer, Duration), Failure> {
    let whole = context.profile.message_time();
    context.takes(whole * 3)?;
    Ok((context.establish()?, whole))
}

/// What comes within this time after the last bytes that were sent, and since when the time counts: a pause that the subject makes gives
/// the message its whole time again (PW-HB-023).
fn next_beside_pauses(peer: &mut Peer, time: Duration) -> Result<(Instant, Option<Arrival>), Failure> {
    let mut since = peer.last_sent_at;
    loop {
        match peer.receive_by(since + time)? {
            Some(Arrival::Packet(packet)) if packet.kind == kind::BUSY => {
                since = clock::now() + Duration::from_millis(packet.pause().into());
            }
            arrival => return Ok((since, arrival)),
        }
    }
}

/// CLOSE with MESSAGE_STALL comes when the time of the message is up.
fn expect_stall(peer: &mut Peer, whole: Duration) -> Outcome {
    let sent = peer.last_sent_at;
    let (since, Some(arrival)) = next_beside_pauses(peer, whole + LATENESS_TOLERANCE)? else {
        return violation(format!("a message stays open, though its {} ms are up", whole.as_millis()));
    };
    let Arrival::Packet(packet) = arrival else {
        return violation("the connection ended without CLOSE; MESSAGE_STALL was due");
    };
    peer.check_close(&packet, reason::MESSAGE_STALL)?;
    let elapsed = clock::elapsed(sent);
    let sentence = format!("MESSAGE_STALL after {} ms, {} ms were left", elapsed.as_millis(), whole.as_millis());
    not_before(elapsed + CLOCK_TOLERANCE, whole, sentence.as_str())?;
    not_after(clock::elapsed(since), whole + LATENESS_TOLERANCE, sentence)?;
    peer.expect_end()
}

/// Nothing but BUSY comes for so long.
fn quiet(peer: &mut Peer, duration: Duration) -> Outcome {
    let until = clock::now() + duration;
    loop {
        match peer.receive_by(until)? {
            None => return Ok(()),
            Some(Arrival::Packet(packet)) if packet.kind == kind::BUSY => {}
            Some(arrival) => return violation(format!("{arrival:?} came while a message was open in time")),
        }
    }
}

fn never_ended(context: &mut Context<'_>) -> Outcome {
    let (mut peer, whole) = establish(context)?;
    peer.send(&begin())?;
    quiet(&mut peer, whole / 2)?;
    peer.send(&Packet::data(0, 0, *b"ended in time"))?;
    peer.expect_message(&Message::new(0, *b"begun ended in time"))?;
    peer.send(&begin())?;
    expect_stall(&mut peer, whole)
}

fn trickle(context: &mut Context<'_>) -> Outcome {
    let (mut peer, whole) = establish(context)?;
    let step = whole / 16;
    if context.profile.assembly_share(1) * 4 > step {
        return Err(Failure::NotApplicable("with the subject's numbers a byte now and then is fast enough".into()));
    }
    let began = clock::now();
    peer.send(&begin())?;
    while clock::elapsed(began) < whole * 2 + LATENESS_TOLERANCE {
        if let Some(arrival) = peer.receive_by(clock::now() + step)? {
            let Arrival::Packet(packet) = arrival else {
                return violation("the connection ended without CLOSE; MESSAGE_STALL was due");
            };
            peer.check_close(&packet, reason::MESSAGE_STALL)?;
            let elapsed = clock::elapsed(began);
            let sentence = format!("MESSAGE_STALL after {} ms", elapsed.as_millis());
            not_before(elapsed + CLOCK_TOLERANCE, whole, sentence)?;
            return peer.expect_end();
        }
        peer.send(&Packet::data(flag::MORE, 0, *b"."))?;
    }
    violation("a byte now and then keeps a message open")
}

fn much_at_first(context: &mut Context<'_>) -> Outcome {
    let (mut peer, whole) = establish(context)?;
    let (frame, limit) = (peer.announced().frame_limit, peer.announced().message_limit);
    // If all that they add were kept, it would be more than a subject may be late.
    let count = limit / frame;
    if context.profile.assembly_share(frame) * 2 * count < whole + LATENESS_TOLERANCE * 2 {
        return Err(Failure::NotApplicable("with the subject's limits no message adds so much".into()));
    }
    let mut frames = Message::new(0, vec![0; (frame * count) as usize]).frames(frame as usize);
    frames.iter_mut().for_each(|frame| frame.flags |= flag::MORE);
    peer.send_glued(&frames)?;
    expect_stall(&mut peer, whole)
}

fn at_assembly_rate(context: &mut Context<'_>) -> Outcome {
    let (mut peer, whole) = establish(context)?;
    let size = peer.announced().frame_limit;
    // A little faster than that, so that a subject that is slow itself has no reason to close.
    let step = context.profile.assembly_share(size) * 19 / 10;
    if step >= whole {
        return Err(Failure::NotApplicable("a frame of the subject takes most of a message's time".into()));
    }
    let count = (whole * 2).as_millis() / step.as_millis().max(1) + 2;
    let total = usize::try_from(count).unwrap_or(usize::MAX).saturating_mul(size as usize);
    if total > peer.announced().message_limit as usize {
        return Err(Failure::NotApplicable("with the subject's limits no message takes so long".into()));
    }
    let message = Message::new(0, vec![1; total]);
    let other = Message::new(2, vec![2; size as usize]);
    let began = clock::now();
    for (turn, frame) in (1_u32..).zip(message.frames(size as usize)) {
        peer.send(&frame)?;
        if frame.has(flag::MORE) {
            peer.echo(&other)?;
            let left = (began + step * turn).saturating_duration_since(clock::now());
            quiet(&mut peer, left)?;
        }
    }
    peer.expect_message(&message)?;
    peer.alive()
}

fn refused_and_never_ended(context: &mut Context<'_>) -> Outcome {
    let whole = context.profile.message_time();
    context.takes(whole * 3)?;
    let mut peer = refused(context)?;
    peer.send(&Packet::data(0, 0, *b"ended"))?;
    peer.alive()?;
    let mut peer = refused(context)?;
    match next_beside_pauses(&mut peer, whole + LATENESS_TOLERANCE)?.1 {
        Some(Arrival::Packet(packet)) => drop(peer.check_close(&packet, reason::MESSAGE_STALL)?),
        Some(Arrival::End | Arrival::Reset) => return violation("the connection ended without CLOSE"),
        None => return violation("a refused message stays open"),
    }
    peer.expect_end()
}

/// What the subject had accepted waits, and so does its answer.
fn ended_by_close(context: &mut Context<'_>) -> Outcome {
    let whole = context.profile.message_time();
    context.takes(whole * 3)?;
    // The peer neither reads nor answers meanwhile.
    let unread = whole * 2 + LATENESS_TOLERANCE;
    if context.profile.shortest_silence() <= unread || context.profile.write_stall <= unread {
        return Err(Failure::NotApplicable("with the subject's numbers it gives the silent peer up before".into()));
    }
    let (mut peer, id) = context.establish_with_id()?;
    let count = waiting::fill(context, &mut peer, id)?;
    peer.send(&begin())?;
    peer.send(&Close::new(reason::NORMAL, 1).to_packet())?;
    clock::sleep(whole * 2);
    waiting::read_all(&mut peer, count)?;
    peer.expect_kind(kind::CLOSE_ACK)?;
    peer.expect_end()
}

/// The peer pauses while its message is open, for longer than that has time.
fn message_rests(context: &mut Context<'_>) -> Outcome {
    let (mut peer, whole) = establish(context)?;
    if context.profile.busy_max < whole * 2 {
        return Err(Failure::NotApplicable("the subject's busy_max is too short".into()));
    }
    peer.send(&begin())?;
    peer.send(&Packet::busy(60_000))?;
    quiet(&mut peer, whole * 3 / 2)?;
    peer.send(&Packet::busy(0))?;
    peer.send(&Packet::data(0, 0, *b"ended"))?;
    peer.expect_message(&Message::new(0, *b"begun ended"))?;
    // Without an end, the time goes on.
    peer.send(&begin())?;
    peer.send(&Packet::busy(60_000))?;
    quiet(&mut peer, whole / 2)?;
    peer.send(&Packet::busy(0))?;
    let sent = peer.last_sent_at;
    match peer.receive_by(sent + whole + LATENESS_TOLERANCE)? {
        Some(Arrival::Packet(packet)) => drop(peer.check_close(&packet, reason::MESSAGE_STALL)?),
        other => return violation(format!("{other:?} came instead of MESSAGE_STALL behind a pause")),
    }
    peer.expect_end()
}

fn message_rests_no_longer(context: &mut Context<'_>) -> Outcome {
    let (mut peer, whole) = establish(context)?;
    let busy_max = context.profile.busy_max;
    let began = clock::now();
    peer.send(&begin())?;
    while clock::elapsed(began) < whole + busy_max + LATENESS_TOLERANCE {
        // Each row of pauses is short enough, and one begins where the other ends.
        peer.send_glued(&[Packet::busy(0), Packet::busy(60_000)])?;
        if let Some(arrival) = peer.receive_by(clock::now() + busy_max / 2)? {
            let Arrival::Packet(packet) = arrival else {
                return violation("the connection ended without CLOSE; MESSAGE_STALL was due");
            };
            peer.check_close(&packet, reason::MESSAGE_STALL)?;
            let elapsed = clock::elapsed(began);
            let sentence = format!("MESSAGE_STALL after {} ms", elapsed.as_millis());
            return not_before(elapsed + CLOCK_TOLERANCE, whole, sentence);
        }
    }
    violation("a peer that pauses again and again keeps a message open")
}

fn own_pause(context: &mut Context<'_>) -> Outcome {
    let whole = context.profile.message_time();
    context.takes(whole * 3)?;
    let (mut peer, id) = context.establish_with_id()?;
    // The other one comes back when what was sent before it has been read.
    peer.send(&begin())?;
    peer.echo(&Message::new(2, *b"between"))?;
    pause(context, &mut peer, id)?;
    let until = clock::now() + whole * 3 / 2;
    while let Some(arrival) = peer.receive_by(until)? {
        match arrival {
            Arrival::Packet(packet) if packet.kind == kind::BUSY => {}
            other => return violation(format!("{other:?} came from a subject that pauses")),
        }
    }
    resume(context, &mut peer, id)?;
    quiet(&mut peer, whole / 2)?;
    peer.send(&Packet::data(0, 0, *b"ended"))?;
    peer.expect_message(&Message::new(0, *b"begun ended"))?;
    peer.alive()
}
