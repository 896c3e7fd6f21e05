//! Section 8.4: pausing, and the suspect before the verdict (PW-HB-018).

use std::time::{Duration, Instant};

use super::admission::{asking, judging};
use super::close::closing;
use super::{BOTH, CLOCK_TOLERANCE, LATENESS_TOLERANCE, SERVER, waiting};
use crate::case::{Case, Need};
use crate::clock;
use crate::codec::registry::{kind, reason};
use crate::codec::{Header, Packet};
use crate::context::Context;
use crate::peer::{Arrival, Message, PATIENCE, Peer};
use crate::profile::Profile;
use crate::subject::{Command, Happening, Id};
use crate::verdict::{Failure, Outcome, not_after, not_before, require, violation};

pub(super) const CASES: &[Case] = &[
    case!(
        "PW-HB-018/suspect",
        "tells its application that a probe stayed unanswered, and that the peer spoke again",
        BOTH,
        patient,
        suspect
    )
    .whole_only(),
    case!("PW-HB-018/healthy-peer", "suspects no peer that answers", BOTH, patient, healthy_peer).whole_only(),
    case!(
        "PW-HB-019/says-busy",
        "sends BUSY when it stops reading, again before half of its time, and with 0 at the end",
        BOTH,
        Profile::brisk,
        says_busy
    )
    .whole_only(),
    case!(
        "PW-HB-019/reads-it-later",
        "reads what came while it paused when the pause is over, also more than it would read at once",
        BOTH,
        Profile::brisk,
        reads_it_later
    )
    .whole_only(),
    case!("PW-HB-019/pauses-again", "pauses as often as it is told", BOTH, Profile::calm, pauses_again).whole_only(),
    case!(
        "PW-HB-019/ahead-of-messages",
        "sends BUSY ahead of messages that wait",
        BOTH,
        Profile::calm,
        ahead_of_messages
    )
    .whole_only(),
    case!(
        "PW-HB-019/ends-while-messages-wait",
        "reads again, and says so, while messages wait",
        BOTH,
        Profile::calm,
        ends_while_messages_wait
    )
    .whole_only(),
    case!(
        "PW-HB-023/silence",
        "does not judge a silent peer while it pauses, and waits a whole idle time after",
        BOTH,
        Profile::brisk,
        silence
    )
    .whole_only(),
    case!(
        "PW-HB-023/half-a-packet",
        "does not count its own pause as the time of a packet",
        BOTH,
        short_assembly,
        half_a_packet
    )
    .whole_only(),
    case!(
        "PW-HB-023/write-stall-goes-on",
        "closes with WRITE_STALL while it pauses and its peer does not read",
        BOTH,
        short_stall,
        write_stall_goes_on
    )
    .whole_only(),
    case!(
        "PW-HB-024/not-before-handshake",
        "does not pause before the handshake is complete",
        SERVER,
        asking,
        not_before_handshake,
        [Need::OwnNumbers]
    )
    .whole_only(),
    case!("PW-HB-024/not-behind-close", "does not pause after its CLOSE", BOTH, Profile::calm, not_behind_close)
        .whole_only(),
    case!("PW-HB-024/close-ends-pause", "reads again when it closes", BOTH, Profile::calm, close_ends_pause),
];

/// An answer has time enough on a busy machine.
fn patient() -> Profile {
    Profile { interval: Duration::from_millis(400), ..Profile::brisk() }
}

/// A packet has 500 ms to be complete.
fn short_assembly() -> Profile {
    Profile { assembly_base: Duration::from_millis(500), assembly_rate: 100_000_000, ..Profile::calm() }
}

/// The transport has 400 ms to take something.
fn short_stall() -> Profile {
    Profile { write_stall: Duration::from_millis(400), ..Profile::calm() }
}

fn suspect(context: &mut Context<'_>) -> Outcome {
    if context.profile.probes < 2 {
        return Err(Failure::NotApplicable("with one probe no peer recovers".into()));
    }
    context.takes(context.profile.longest_silence())?;
    let (mut peer, id) = context.establish_with_id()?;
    peer.answers_pings = false;
    peer.expect_ping()?;
    let (second, _) = peer.expect_ping()?;
    context.await_happening(&peer, id, &Happening::Suspect)?;
    peer.send(&Packet::pong(second))?;
    context.await_happening(&peer, id, &Happening::Recovered)?;
    peer.answers_pings = true;
    peer.alive()
}

fn healthy_peer(context: &mut Context<'_>) -> Outcome {
    context.takes(context.profile.idle * 5)?;
    let (mut peer, id) = context.establish_with_id()?;
    peer.answers_pings = false;
    for _ in 0..4 {
        let (number, _) = peer.expect_ping()?;
        peer.send(&Packet::pong(number))?;
    }
    peer.answers_pings = true;
    peer.alive()?;
    let events = context.events(&peer)?;
    let suspected = events.iter().any(|event| event.connection == Some(id) && event.what == Happening::Suspect);
    require(!suspected, "a peer that answers every probe is suspect")
}

/// The subject's next packet but PING: a BUSY, whose pause is given with the time of its arrival.
fn expect_busy(peer: &mut Peer, within: Duration) -> Result<(Duration, Instant), Failure> {
    let deadline = clock::now() + within;
    match peer.receive_by(deadline)? {
        Some(Arrival::Packet(packet)) if packet.kind == kind::BUSY => {
            Ok((Duration::from_millis(packet.pause().into()), clock::now()))
        }
        Some(Arrival::Packet(packet)) => violation(format!("{} came instead of BUSY", kind::name(packet.kind))),
        Some(Arrival::End | Arrival::Reset) => violation("the connection ended instead of BUSY"),
        None => violation(format!("no BUSY came for {} ms", within.as_millis())),
    }
}

/// Makes the subject pause, which says so.
pub(super) fn pause(context: &mut Context<'_>, peer: &mut Peer, id: Id) -> Result<(Duration, Instant), Failure> {
    context.obeyed(peer, Command::Pause(id))?;
    let busy = expect_busy(peer, PATIENCE)?;
    require(!busy.0.is_zero(), "BUSY with 0 came at the beginning of a pause")?;
    Ok(busy)
}

/// Makes the subject read again: what comes before BUSY with 0 is BUSY, and nothing else.
pub(super) fn resume(context: &mut Context<'_>, peer: &mut Peer, id: Id) -> Outcome {
    context.obeyed(peer, Command::Resume(id))?;
    while !expect_busy(peer, PATIENCE)?.0.is_zero() {}
    Ok(())
}

fn says_busy(context: &mut Context<'_>) -> Outcome {
    let (mut peer, id) = context.establish_with_id()?;
    let (mut last, mut at) = pause(context, &mut peer, id)?;
    context.takes(last * 2)?;
    let unread = Message::new(0, *b"not read for now");
    peer.send_message(&unread)?;
    for _ in 0..3 {
        let (next, now) = expect_busy(&mut peer, last / 2 + LATENESS_TOLERANCE)?;
        require(!next.is_zero(), "the pause ended by itself")?;
        let (apart, half) = ((now - at).as_millis(), (last / 2).as_millis());
        not_after(now - at, last / 2 + LATENESS_TOLERANCE, format!("BUSY again after {apart} ms, due by {half} ms"))?;
        (last, at) = (next, now);
    }
    resume(context, &mut peer, id)?;
    peer.expect_message(&unread)?;
    peer.alive()
}

fn reads_it_later(context: &mut Context<'_>) -> Outcome {
    /// Together more than 64 KiB, which many read at once, and less than the least that transports hold.
    const COUNT: u8 = 25;
    let messages: Vec<Message> = (0..COUNT).map(|number| Message::new(0, [number; 4_000])).collect();
    let (mut peer, id) = context.establish_with_id()?;
    let (busy, _) = pause(context, &mut peer, id)?;
    context.takes(busy)?;
    for message in &messages {
        peer.send_message(message)?;
    }
    // It goes on pausing, and knows by now that there is something to read.
    expect_busy(&mut peer, busy / 2 + LATENESS_TOLERANCE)?;
    resume(context, &mut peer, id)?;
    for message in &messages {
        peer.expect_message(message)?;
    }
    peer.alive()
}

fn pauses_again(context: &mut Context<'_>) -> Outcome {
    let (mut peer, id) = context.establish_with_id()?;
    for _ in 0..3 {
        pause(context, &mut peer, id)?;
        resume(context, &mut peer, id)?;
        peer.alive()?;
    }
    Ok(())
}

fn ahead_of_messages(context: &mut Context<'_>) -> Outcome {
    let (mut peer, id) = context.establish_with_id()?;
    let count = waiting::fill(context, &mut peer, id)?;
    context.obeyed(&peer, Command::Pause(id))?;
    let came = waiting::read_all(&mut peer, count)?;
    require(came.iter().any(|packet| packet.kind == kind::BUSY), format!("BUSY came behind all of {count} messages"))?;
    resume(context, &mut peer, id)?;
    peer.alive()
}

fn ends_while_messages_wait(context: &mut Context<'_>) -> Outcome {
    let (mut peer, id) = context.establish_with_id()?;
    let count = waiting::fill(context, &mut peer, id)?;
    context.obeyed(&peer, Command::Pause(id))?;
    let before = waiting::read_until(&mut peer, kind::BUSY)?;
    context.obeyed(&peer, Command::Resume(id))?;
    let came = waiting::read_all(&mut peer, count - before)?;
    // Of the messages the system may hold all that were left.
    if !came.iter().any(|packet| packet.kind == kind::BUSY && packet.pause() == 0) {
        while !expect_busy(&mut peer, PATIENCE)?.0.is_zero() {}
    }
    peer.alive()
}

fn silence(context: &mut Context<'_>) -> Outcome {
    let duration = context.profile.longest_silence() * 2;
    context.takes(duration)?;
    let (mut peer, id) = context.establish_with_id()?;
    peer.answers_pings = false;
    pause(context, &mut peer, id)?;
    let until = clock::now() + duration;
    while let Some(arrival) = peer.receive_by(until)? {
        match arrival {
            Arrival::Packet(packet) if matches!(packet.kind, kind::BUSY | kind::PING) => {}
            other => return violation(format!("{other:?} came from a subject that pauses")),
        }
    }
    let resumed_at = clock::now();
    resume(context, &mut peer, id)?;
    let (number, at) = peer.expect_ping()?;
    let sentence = format!("PING came {} ms after the end of the pause", (at - resumed_at).as_millis());
    not_before(at - resumed_at + CLOCK_TOLERANCE, context.profile.idle * 4 / 5, sentence)?;
    peer.send(&Packet::pong(number))?;
    peer.answers_pings = true;
    peer.alive()
}

fn half_a_packet(context: &mut Context<'_>) -> Outcome {
    let allowed = context.profile.assembly_time(4);
    context.takes(allowed * 2)?;
    let (mut peer, id) = context.establish_with_id()?;
    let (whole, cut) = (Message::new(0, *b"whole"), Message::new(0, *b"cut!"));
    let mut bytes = whole.frames(512)[0].encode(peer.key());
    bytes.extend(cut.frames(512)[0].encode(peer.key()));
    // The second one is cut in its payload. The first one comes back when what was glued to it has been read.
    let end = bytes.len() - Header::TRAILER_SIZE - 2;
    peer.send_raw(&bytes[..end])?;
    peer.expect_message(&whole)?;
    pause(context, &mut peer, id)?;
    let until = clock::now() + allowed * 3 / 2;
    while let Some(arrival) = peer.receive_by(until)? {
        match arrival {
            Arrival::Packet(packet) if packet.kind == kind::BUSY => {}
            other => return violation(format!("{other:?} came from a subject that pauses")),
        }
    }
    resume(context, &mut peer, id)?;
    peer.send_raw(&bytes[end..])?;
    peer.expect_message(&cut)?;
    peer.alive()
}

fn write_stall_goes_on(context: &mut Context<'_>) -> Outcome {
    let due = context.profile.write_stall;
    context.takes(due)?;
    let (mut peer, id) = context.establish_with_id()?;
    pause(context, &mut peer, id)?;
    waiting::fill_for_good(context, &peer, id)?;
    let (frame, _) = context.await_ending(&peer, id, due + waiting::LONG_PATIENCE)?;
    require(frame.reason == reason::WRITE_STALL, format!("ended with {}", reason::name(frame.reason)))
}

fn not_before_handshake(context: &mut Context<'_>) -> Outcome {
    let (mut peer, id) = judging(context)?;
    // Whether it is refused or has no effect, HELLO_ACK comes first.
    context.control(&peer, Command::Pause(id))?;
    context.obeyed(&peer, Command::Accept(id))?;
    peer.complete()?;
    peer.alive()
}

fn not_behind_close(context: &mut Context<'_>) -> Outcome {
    let (mut peer, id) = context.establish_with_id()?;
    context.close_from(&peer, id, reason::NORMAL)?;
    peer.expect_close(reason::NORMAL)?;
    context.control(&peer, Command::Pause(id))?;
    peer.barrier()?;
    peer.send(&Packet::close_ack(peer.received))?;
    peer.expect_end()?;
    let (mut peer, _) = closing(context)?;
    peer.barrier()
}

fn close_ends_pause(context: &mut Context<'_>) -> Outcome {
    let (mut peer, id) = context.establish_with_id()?;
    pause(context, &mut peer, id)?;
    context.close_from(&peer, id, reason::NORMAL)?;
    let number = peer.next_ping_number();
    peer.send(&Packet::ping(number))?;
    let mut due = vec![kind::BUSY, kind::CLOSE, kind::PONG];
    while !due.is_empty() {
        match peer.receive()? {
            Arrival::Packet(packet) if due.contains(&packet.kind) => due.retain(|kind| *kind != packet.kind),
            other => return violation(format!("{other:?} came from a subject that closes and reads again")),
        }
    }
    peer.send(&Packet::close_ack(peer.received))?;
    peer.expect_end()
}
