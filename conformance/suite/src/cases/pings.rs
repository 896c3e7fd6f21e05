//! Section 8.3: the numbers of PING and PONG, and how many PINGs are borne.

use std::ops::RangeInclusive;
use std::time::{Duration, Instant};

use super::{BOTH, waiting};
use crate::case::Case;
use crate::clock;
use crate::codec::Packet;
use crate::codec::registry::{kind, reason};
use crate::context::Context;
use crate::peer::{Arrival, PATIENCE, Peer};
use crate::profile::Profile;
use crate::verdict::{Failure, Outcome, require, violation};

pub(super) const CASES: &[Case] = &[
    case!("PW-HB-007/number-does-not-grow", "closes with BAD_PING", BOTH, Profile::calm, number_does_not_grow),
    case!("PW-HB-008/pong-has-the-number", "answers PING with its number", BOTH, Profile::calm, pong_has_the_number),
    case!("PW-HB-008/pings-in-one-piece", "answers the last of several PINGs", BOTH, Profile::calm, pings_in_one_piece),
    case!(
        "PW-HB-009/late-answer",
        "takes an answer to an earlier PING, and a repeated one",
        BOTH,
        Profile::brisk,
        late_answer
    ),
    case!(
        "PW-HB-009/never-sent",
        "closes with BAD_PONG on a number that it never sent",
        BOTH,
        Profile::brisk,
        never_sent
    ),
    case!("PW-HB-009/zero", "closes with BAD_PONG on the number 0", BOTH, Profile::brisk, zero),
    case!("PW-HB-015/pong-ahead-of-messages", "sends PONG ahead of waiting messages", BOTH, Profile::calm, pong_ahead),
    case!("PW-HB-017/flood", "bears 16 PINGs at once, and closes with PING_FLOOD", BOTH, slow_refill, flood),
    case!(
        "PW-HB-017/refill",
        "bears a PING per half of its PING_FLOOR, for as long as they come",
        BOTH,
        quick_refill,
        refill
    ),
    case!(
        "PW-HB-017/no-more-than-16-saved",
        "bears no more than 16 PINGs at once, however long none came before",
        BOTH,
        quick_refill,
        no_more_than_16_saved
    ),
];

/// The bucket of PINGs gains nothing while a case runs.
fn slow_refill() -> Profile {
    Profile { ping_floor: Duration::from_secs(60), ..Profile::calm() }
}

/// The bucket of PINGs gains one per 100 ms.
fn quick_refill() -> Profile {
    Profile { ping_floor: Duration::from_millis(200), ..Profile::calm() }
}

fn number_does_not_grow(context: &mut Context<'_>) -> Outcome {
    for (first, second) in [(7, 7), (7, 6), (1, 0), (u64::MAX, 1)] {
        let mut peer = context.establish()?;
        peer.send(&Packet::ping(first))?;
        peer.expect_pong(first)?;
        peer.send(&Packet::ping(second))?;
        peer.expect_rejection(reason::BAD_PING)?;
    }
    // As the first number too, 0 is none.
    let mut peer = context.establish()?;
    peer.send(&Packet::ping(0))?;
    peer.expect_rejection(reason::BAD_PING)?;
    let mut peer = context.establish()?;
    for number in [1, 7, 8, u64::MAX] {
        peer.send(&Packet::ping(number))?;
        peer.expect_pong(number)?;
    }
    Ok(())
}

fn pong_has_the_number(context: &mut Context<'_>) -> Outcome {
    let mut peer = context.establish()?;
    for number in [1, 2, 0x0123_4567_89AB_CDEF, u64::MAX] {
        peer.send(&Packet::ping(number))?;
        peer.expect_pong(number)?;
    }
    peer.alive()
}

fn pings_in_one_piece(context: &mut Context<'_>) -> Outcome {
    let mut peer = context.establish()?;
    let pings: Vec<Packet> = (1..=10).map(Packet::ping).collect();
    peer.send_glued(&pings)?;
    let mut last = 0;
    while last < 10 {
        let number = peer.expect_kind(kind::PONG)?.number();
        require((last + 1..=10).contains(&number), format!("PONG {number} came after PONG {last}"))?;
        last = number;
    }
    peer.alive()
}

fn late_answer(context: &mut Context<'_>) -> Outcome {
    if context.profile.probes < 2 {
        return Err(Failure::NotApplicable("with one probe no answer can be late".into()));
    }
    context.takes(context.profile.longest_silence() * 2)?;
    let mut peer = context.establish_mute()?;
    let (first, _) = peer.expect_ping()?;
    let (second, _) = peer.expect_ping()?;
    peer.send(&Packet::pong(first))?;
    peer.send(&Packet::pong(second))?;
    peer.send(&Packet::pong(first))?;
    peer.send(&Packet::pong(second))?;
    peer.answers_pings = true;
    peer.alive()
}

fn never_sent(context: &mut Context<'_>) -> Outcome {
    context.takes(context.profile.idle)?;
    let mut peer = context.establish_mute()?;
    let (number, _) = peer.expect_ping()?;
    peer.send(&Packet::pong(number))?;
    peer.send(&Packet::pong(number + 1_000_000))?;
    peer.expect_rejection(reason::BAD_PONG)?;
    // No PING at all was sent on this one.
    let mut peer = context.establish_mute()?;
    peer.send(&Packet::pong(1_000_000))?;
    peer.expect_rejection(reason::BAD_PONG)?;
    Ok(())
}

fn zero(context: &mut Context<'_>) -> Outcome {
    context.takes(context.profile.idle)?;
    for right in [false, true] {
        let mut peer = context.establish_mute()?;
        let (number, _) = peer.expect_ping()?;
        peer.send(&Packet::pong(if right { number } else { 0 }))?;
        if right {
            peer.answers_pings = true;
            peer.alive()?;
        } else {
            peer.expect_rejection(reason::BAD_PONG)?;
        }
    }
    Ok(())
}

fn pong_ahead(context: &mut Context<'_>) -> Outcome {
    let (mut peer, id) = context.establish_with_id()?;
    // The peer does not read meanwhile: most of it waits at the subject.
    let count = waiting::fill(context, &mut peer, id)?;
    peer.send(&Packet::ping(1))?;
    waiting::overtaken_by(&mut peer, count, &[Packet::pong(1)])
}

fn flood(context: &mut Context<'_>) -> Outcome {
    let refill = context.profile.ping_floor / 2;
    let margin = if refill < PATIENCE { 2 } else { 0 };
    let mut peer = context.establish()?;
    let began = clock::now();
    ping_and_await(&mut peer, 1..=16)?;
    peer.alive()?;
    let mut last = 16;
    while clock::elapsed(began) < PATIENCE * 2 {
        // Those that the bucket has gained since, and a few more.
        let first = last + 1;
        last = 16 + gained(began, refill) + margin + 1;
        if floods(&mut peer, first..=last)? {
            return Ok(());
        }
        // Again only where the machine was so busy that the bucket gained those few on their way.
        require(last <= 16 + gained(began, refill), "more PINGs are answered than the bucket can hold")?;
    }
    violation("any number of PINGs is answered")
}

/// The PINGs that a bucket gains between `began` and now.
fn gained(began: Instant, refill: Duration) -> u64 {
    let gained = clock::elapsed(began).as_millis() / refill.as_millis().max(1);
    u64::try_from(gained).expect("a case ends before that")
}

/// Sends the PINGs with these numbers in one piece. Gives whether the subject closes with PING_FLOOD, or answers the last of them.
fn floods(peer: &mut Peer, numbers: RangeInclusive<u64>) -> Result<bool, Failure> {
    let last = *numbers.end();
    peer.send_glued(&numbers.map(Packet::ping).collect::<Vec<_>>())?;
    loop {
        match peer.receive()? {
            Arrival::Packet(packet) if packet.kind == kind::PONG && packet.number() == last => return Ok(false),
            Arrival::Packet(packet) if packet.kind == kind::PONG => {}
            Arrival::Packet(packet) => {
                peer.check_close(&packet, reason::PING_FLOOD)?;
                peer.expect_end()?;
                return Ok(true);
            }
            Arrival::End | Arrival::Reset => return violation("closed without CLOSE; PING_FLOOD was due"),
        }
    }
}

/// The PINGs with these numbers in one piece; every one is answered, or a later one instead.
fn ping_and_await(peer: &mut Peer, numbers: RangeInclusive<u64>) -> Outcome {
    let last = *numbers.end();
    peer.send_glued(&numbers.map(Packet::ping).collect::<Vec<_>>())?;
    while peer.expect_kind(kind::PONG)?.number() < last {}
    Ok(())
}

/// Says nothing for so long, but for answers to PING.
fn quiet(peer: &mut Peer, duration: Duration) -> Outcome {
    match peer.receive_by(clock::now() + duration)? {
        None => Ok(()),
        Some(arrival) => violation(format!("{arrival:?} came to a peer that says nothing")),
    }
}

fn refill(context: &mut Context<'_>) -> Outcome {
    let gain = context.profile.ping_floor / 2;
    context.takes(gain * 24)?;
    let mut peer = context.establish()?;
    ping_and_await(&mut peer, 1..=16)?;
    for number in 17..33 {
        quiet(&mut peer, gain * 6 / 5)?;
        ping_and_await(&mut peer, number..=number)?;
    }
    peer.alive()
}

fn no_more_than_16_saved(context: &mut Context<'_>) -> Outcome {
    const SAVED: u32 = 24;
    let gain = context.profile.ping_floor / 2;
    context.takes(gain * SAVED)?;
    // Fewer than there would be if all were saved, and many more than 16.
    let last = 16 + u64::from(SAVED) - 6;
    // Again where the machine was so busy that the bucket gained the others on their way.
    for _ in 0..3 {
        let mut peer = context.establish()?;
        quiet(&mut peer, gain * SAVED)?;
        let began = clock::now();
        if floods(&mut peer, 1..=last)? {
            return Ok(());
        }
        require(last <= 16 + gained(began, gain), format!("{last} PINGs are answered that came at once"))?;
    }
    Err(Failure::Harness(format!("this machine is too busy to send {last} PINGs at once")))
}
