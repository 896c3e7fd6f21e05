//! Sections 8 and 9, where a peer sends valid packets without end: each read gives something, and all else has to be done all the same.

use std::slice;
use std::time::Duration;

use super::drain::ended_with;
use super::{BOTH, CLOCK_TOLERANCE, waiting};
use crate::case::Case;
use crate::clock;
use crate::codec::registry::{kind, reason};
use crate::codec::{Close, Packet};
use crate::context::Context;
use crate::peer::{Arrival, Flood, Flooding, Message, PATIENCE, Peer};
use crate::profile::Profile;
use crate::verdict::{Failure, Outcome, not_before, require, violation};

pub(super) const CASES: &[Case] = &[
    case!(
        "PW-HB-008/within-a-flood",
        "answers PING while its peer floods it",
        BOTH,
        Profile::calm,
        answers_within_a_flood
    )
    .whole_only()
    .alone(),
    case!(
        "PW-HB-008/beside-a-flood",
        "answers PING and returns messages on a connection while another peer floods it",
        BOTH,
        Profile::calm,
        answers_beside_a_flood
    )
    .whole_only()
    .alone(),
    case!(
        "PW-HB-014/beside-a-flood",
        "gives up no peer that answers every PING while another floods it",
        BOTH,
        Profile::brisk,
        given_up_beside_a_flood
    )
    .whole_only()
    .alone(),
    case!(
        "PW-CLS-003/within-a-flood",
        "sends the messages and the CLOSE of its application while its peer floods it",
        BOTH,
        Profile::calm,
        closes_within_a_flood
    )
    .whole_only()
    .alone(),
    case!(
        "PW-CLS-007/flood-behind-close",
        "closes the connection when CLOSE_ACK does not come until close_timeout, though its peer floods it",
        BOTH,
        hasty,
        flood_behind_close
    )
    .whole_only()
    .alone(),
    case!(
        "PW-CLS-012/flood-behind-the-end",
        "reads on no longer than linger, though its peer floods it",
        BOTH,
        hasty,
        flood_behind_the_end
    )
    .whole_only()
    .alone(),
    case!(
        "PW-CLS-015/flood-without-reading",
        "closes with WRITE_STALL when its peer takes nothing, though that floods it",
        BOTH,
        stalling,
        flood_without_reading
    )
    .whole_only()
    .alone(),
];

/// Between two parts of a flood. What systems hold for a receiver keeps it busy for longer.
const PAUSE: Duration = Duration::from_millis(1);

/// Bytes that are read between two parts.
const MOST_AT_ONCE: usize = 64 << 10;

/// CLOSE_ACK has 400 ms to come, and an end takes 200 ms.
fn hasty() -> Profile {
    Profile { close_timeout: Duration::from_millis(400), linger: Duration::from_millis(200), ..Profile::calm() }
}

/// The transport has 400 ms to take something.
fn stalling() -> Profile {
    Profile { write_stall: Duration::from_millis(400), assembly_rate: 1_000_000_000, ..Profile::calm() }
}

/// Floods until `done` gives something, or `limit` has passed.
fn until<T>(
    flooding: &mut Peer,
    flood: &mut Flood,
    limit: Duration,
    mut done: impl FnMut(&mut Peer) -> Result<Option<T>, Failure>,
) -> Result<Option<T>, Failure> {
    let began = clock::now();
    while clock::elapsed(began) < limit {
        flooding.pour(flood);
        if let Some(found) = done(flooding)? {
            return Ok(Some(found));
        }
        clock::sleep(PAUSE);
    }
    Ok(None)
}

/// The next packet that is there, but for messages that were returned.
fn next_there(peer: &mut Peer) -> Result<Option<Arrival>, Failure> {
    peer.read_at_once(MOST_AT_ONCE)?;
    while let Some(arrival) = peer.receive_by(clock::now())? {
        match arrival {
            Arrival::Packet(packet) if packet.kind == kind::DATA => drop(peer.take_frame(packet)?),
            // A message that is too large is refused once.
            Arrival::Packet(packet) if packet.kind == kind::REJECT => {}
            other => return Ok(Some(other)),
        }
    }
    Ok(None)
}

fn answers_within_a_flood(context: &mut Context<'_>) -> Outcome {
    for of in Flooding::ALL {
        let mut peer = context.establish()?;
        let number = peer.next_ping_number();
        let mut flood = context.flood(&peer, of);
        // It comes first, and the flood right behind it.
        peer.send(&Packet::ping(number))?;
        match until(&mut peer, &mut flood, PATIENCE, next_there)? {
            Some(Arrival::Packet(packet)) if packet.kind == kind::PONG && packet.number() == number => {}
            Some(other) => return violation(format!("{other:?} came instead of PONG {number}")),
            None => return violation(format!("no PONG came for {} s of a flood of {of:?}", PATIENCE.as_secs())),
        }
    }
    Ok(())
}

/// Floods one peer of the subject until the answer comes to what was sent to another.
fn expect_meanwhile((flooding, flood): (&mut Peer, &mut Flood), peer: &mut Peer, awaited: &Packet) -> Outcome {
    let answer = until(flooding, flood, PATIENCE, |flooding| {
        flooding.ignore_some()?;
        peer.receive_now()
    })?;
    match answer {
        Some(Arrival::Packet(came)) if came.kind == awaited.kind && came.payload == awaited.payload => Ok(()),
        Some(other) => violation(format!("{other:?} came on the other connection")),
        None => violation(format!("nothing came on the other connection for {} s of a flood", PATIENCE.as_secs())),
    }
}

fn answers_beside_a_flood(context: &mut Context<'_>) -> Outcome {
    const ROUNDS: u8 = 6;
    for of in Flooding::ALL {
        let mut flooding = context.establish()?;
        let mut peer = context.establish_beside(slice::from_mut(&mut flooding))?;
        let mut flood = context.flood(&flooding, of);
        for round in 0..ROUNDS {
            until(&mut flooding, &mut flood, PAUSE * 10, |flooding| flooding.ignore_some().map(|()| None::<()>))?;
            let number = peer.next_ping_number();
            peer.send(&Packet::ping(number))?;
            expect_meanwhile((&mut flooding, &mut flood), &mut peer, &Packet::pong(number))?;
            let message = Message::new(0, [round; 8]).frames(8).remove(0);
            peer.send(&message)?;
            expect_meanwhile((&mut flooding, &mut flood), &mut peer, &message)?;
        }
        require(!flooding.is_cut_off(), format!("a flood of {of:?} was cut off"))?;
    }
    Ok(())
}

fn given_up_beside_a_flood(context: &mut Context<'_>) -> Outcome {
    let silence = context.profile.longest_silence() * 3 / 2;
    context.takes(silence)?;
    let mut flooding = context.establish()?;
    let mut peer = context.establish_beside(slice::from_mut(&mut flooding))?;
    let mut flood = context.flood(&flooding, Flooding::Messages);
    let came = until(&mut flooding, &mut flood, silence, |flooding| {
        flooding.ignore_some()?;
        // It answers PING meanwhile.
        peer.receive_now()
    })?;
    if let Some(arrival) = came {
        return violation(format!("{arrival:?} came, though every PING was answered"));
    }
    peer.alive()
}

fn closes_within_a_flood(context: &mut Context<'_>) -> Outcome {
    for of in [Flooding::Ignorable, Flooding::Fragments] {
        let (mut peer, id) = context.establish_with_id()?;
        let mut flood = context.flood(&peer, of);
        until(&mut peer, &mut flood, PAUSE * 20, |_| Ok(None::<()>))?;
        let before = peer.received;
        for number in 0..30 {
            context.send_from(&peer, id, 0, &[number; 3_000])?;
        }
        context.close_from(&peer, id, reason::GOING_AWAY)?;
        match until(&mut peer, &mut flood, PATIENCE, next_there)? {
            Some(Arrival::Packet(packet)) => peer.check_close(&packet, reason::GOING_AWAY)?,
            Some(other) => return violation(format!("{other:?} came instead of CLOSE")),
            None => return violation(format!("no CLOSE came for {} s of a flood of {of:?}", PATIENCE.as_secs())),
        };
        let came = peer.received - before;
        require(came == 30, format!("CLOSE came behind {came} of 30 messages"))?;
    }
    Ok(())
}

/// Floods until the subject has closed the connection, which it has to do in `limit`. On a busy machine all that has come takes a while.
fn until_cut_off(peer: &mut Peer, flood: &mut Flood, limit: Duration) -> Outcome {
    let limit = limit + PATIENCE;
    let is_cut_off = |peer: &mut Peer| match next_there(peer)? {
        Some(Arrival::Packet(packet)) => violation(format!("{} came behind the last packet", kind::name(packet.kind))),
        Some(Arrival::Reset) => Ok(Some(())),
        Some(Arrival::End) | None => Ok(peer.is_cut_off().then_some(())),
    };
    let sentence = format!("the connection was not closed for {} ms of a flood", limit.as_millis());
    require(until(peer, flood, limit, is_cut_off)?.is_some(), sentence)
}

/// What may come for so long: a message has to end in its time.
fn floods_longer_than(context: &Context<'_>, time: Duration) -> impl Iterator<Item = Flooding> + use<> {
    let has_time = context.profile.message_time() > time;
    Flooding::ALL.iter().copied().filter(move |of| has_time || *of != Flooding::Fragments)
}

fn flood_behind_close(context: &mut Context<'_>) -> Outcome {
    let (due, linger) = (context.profile.close_timeout, context.profile.linger);
    for of in floods_longer_than(context, due) {
        let (mut peer, id) = context.establish_with_id()?;
        let mut flood = context.flood(&peer, of);
        let began = clock::now();
        context.close_from(&peer, id, reason::NORMAL)?;
        peer.expect_close(reason::NORMAL)?;
        until_cut_off(&mut peer, &mut flood, due + linger)?;
        let elapsed = clock::elapsed(began);
        let sentence = format!("closed after {} ms of a flood of {of:?}", elapsed.as_millis());
        not_before(elapsed + CLOCK_TOLERANCE, due, sentence)?;
        ended_with(context, &peer, id, reason::CLOSE_TIMEOUT)?;
    }
    Ok(())
}

fn flood_behind_the_end(context: &mut Context<'_>) -> Outcome {
    let linger = context.profile.linger;
    context.takes(linger)?;
    let fault = (Packet { class: 1, ..Packet::ping(1) }, kind::CLOSE);
    let farewell = (Close::new(reason::NORMAL, 1).to_packet(), kind::CLOSE_ACK);
    for (packet, answer) in [fault, farewell] {
        for of in Flooding::ALL {
            let mut peer = context.establish()?;
            peer.send(&packet)?;
            peer.expect_kind(answer)?;
            let mut flood = context.flood(&peer, of);
            until_cut_off(&mut peer, &mut flood, linger)?;
        }
    }
    Ok(())
}

fn flood_without_reading(context: &mut Context<'_>) -> Outcome {
    let due = context.profile.write_stall;
    for of in floods_longer_than(context, due) {
        let (mut peer, id) = context.establish_with_id()?;
        let mut flood = context.flood(&peer, of);
        waiting::fill_for_good(context, &peer, id)?;
        let over = until(&mut peer, &mut flood, due + PATIENCE, |peer| {
            Ok(super::slow_reader::is_over(context, peer, id)?.then_some(()))
        })?;
        require(over.is_some(), format!("a peer that floods with {of:?} and takes nothing is not given up"))?;
        ended_with(context, &peer, id, reason::WRITE_STALL)?;
    }
    Ok(())
}
