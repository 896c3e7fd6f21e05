//! Section 8: the heartbeat.

use std::time::{Duration, Instant};

use super::{BOTH, CLOCK_TOLERANCE, LATENESS_TOLERANCE};
use crate::case::{Case, Need};
use crate::codec::registry::{flag, kind, reason};
use crate::codec::{Item, Packet};
use crate::context::Context;
use crate::peer::{Arrival, Message, PATIENCE, Peer};
use crate::profile::Profile;
use crate::verdict::{Failure, Outcome, require, violation};

/// A case whose subject gives a silent peer up after 650 ms.
macro_rules! brisk {
    ($id:literal, $title:literal, $run:expr) => {
        Case { id: $id, title: $title, roles: BOTH, profile: Profile::brisk, needs: &[], run: $run }
    };
}

/// A case in which no timer comes due.
macro_rules! calm {
    ($id:literal, $title:literal, $profile:expr, $run:expr) => {
        Case { id: $id, title: $title, roles: BOTH, profile: $profile, needs: &[], run: $run }
    };
}

pub(super) const CASES: &[Case] = &[
    brisk!("PW-HB-001/every-kind-is-evidence", "takes a packet of any kind for a sign of life", every_kind),
    brisk!("PW-HB-002/payload-on-its-way", "does not give up a peer whose payload is on its way", payload_on_its_way),
    brisk!("PW-HB-003/partial-header", "does not take parts of a header for a sign of life", partial_header),
    Case {
        id: "PW-HB-003/skipped-bytes",
        title: "does not take skipped bytes for a sign of life",
        roles: BOTH,
        profile: Profile::brisk,
        needs: &[Need::Resync],
        run: skipped_bytes,
    },
    Case {
        id: "PW-HB-003/dropped-packets",
        title: "does not take dropped packets for a sign of life",
        roles: BOTH,
        profile: Profile::brisk,
        needs: &[Need::Resync],
        run: dropped_packets,
    },
    brisk!("PW-HB-003/own-sending", "does not take what it sends for a sign of the peer's life", own_sending),
    Case {
        id: "PW-HB-004/misses-do-not-add-up",
        title: "forgets unanswered probes when the peer speaks",
        roles: BOTH,
        profile: long_interval,
        needs: &[],
        run: misses_do_not_add_up,
    },
    brisk!("PW-HB-004/evidence-restarts-idle", "waits a whole idle time after a late answer", evidence_restarts_idle),
    brisk!("PW-HB-005/floor-of-peer", "probes no more often than the peer's PING_FLOOR allows", floor_of_peer),
    brisk!("PW-HB-005/default-floor", "takes 1,000 ms for an absent PING_FLOOR", default_floor),
    brisk!("PW-HB-006/first-ping", "probes after idle, shortened by at most a fifth", first_ping),
    brisk!("PW-HB-006/sending-does-not-replace-ping", "probes although it sends all the time", sending_no_replacement),
    brisk!("PW-HB-007/own-numbers-grow", "numbers its PINGs upwards, over silences too", own_numbers_grow),
    calm!("PW-HB-007/number-does-not-grow", "closes with BAD_PING", Profile::calm, number_does_not_grow),
    calm!("PW-HB-008/pong-has-the-number", "answers PING with its number", Profile::calm, pong_has_the_number),
    calm!("PW-HB-008/pings-in-one-piece", "answers the last of several PINGs", Profile::calm, pings_in_one_piece),
    brisk!("PW-HB-009/late-answer", "takes an answer to an earlier PING, and a repeated one", late_answer),
    brisk!("PW-HB-009/never-sent", "closes with BAD_PONG on a number that it never sent", never_sent),
    brisk!("PW-HB-011/peer-reads-nothing", "gives up a peer that neither speaks nor reads", peer_reads_nothing),
    brisk!("PW-HB-012/silent-peer", "gives up a silent peer after all its probes", silent_peer),
    brisk!("PW-HB-013/bounds", "gives up neither too early nor too late", bounds),
    brisk!("PW-HB-014/healthy-peer", "keeps an idle peer that answers for ten times the limit", healthy_peer),
    calm!("PW-HB-015/pong-ahead-of-messages", "sends PONG ahead of waiting messages", Profile::calm, pong_ahead),
    calm!("PW-HB-017/flood", "bears 16 PINGs at once, and closes with PING_FLOOD", slow_refill, flood),
];

/// The answer to the last probe has time enough on a busy machine.
fn long_interval() -> Profile {
    Profile { interval: Duration::from_millis(400), ..Profile::brisk() }
}

/// The bucket of PINGs gains nothing while a case runs.
fn slow_refill() -> Profile {
    Profile { ping_floor: Duration::from_secs(60), ..Profile::calm() }
}

/// A connection on which the peer leaves the answers to the case.
fn establish_mute(context: &mut Context<'_>) -> Result<Peer, Failure> {
    let mut peer = context.establish()?;
    peer.answers_pings = false;
    Ok(peer)
}

/// The next arrival must be PEER_TIMEOUT; PINGs before it are counted.
fn expect_verdict(peer: &mut Peer, deadline: Instant) -> Result<u32, Failure> {
    let mut pings = 0;
    loop {
        match peer.receive_by(deadline)? {
            Some(Arrival::Packet(packet)) if packet.kind == kind::PING => pings += 1,
            Some(Arrival::Packet(packet)) => {
                peer.check_close(&packet, reason::PEER_TIMEOUT)?;
                return Ok(pings);
            }
            Some(Arrival::End | Arrival::Reset) => return violation("closed without CLOSE; PEER_TIMEOUT was due"),
            None => return violation(format!("a silent peer is not given up; {pings} PINGs came")),
        }
    }
}

/// Does `act` again and again and expects nothing but PINGs meanwhile.
fn survives(
    peer: &mut Peer,
    duration: Duration,
    step: Duration,
    mut act: impl FnMut(&mut Peer, u32) -> Outcome,
) -> Outcome {
    let until = Instant::now() + duration;
    let mut turn = 0;
    while Instant::now() < until {
        act(peer, turn)?;
        turn += 1;
        let next = Instant::now() + step;
        while let Some(arrival) = peer.receive_by(next)? {
            match arrival {
                Arrival::Packet(packet) if matches!(packet.kind, kind::PING | kind::DATA) => {}
                Arrival::Packet(packet) => {
                    return violation(format!("{} came to a peer that lives", kind::name(packet.kind)));
                }
                Arrival::End | Arrival::Reset => return violation("a peer that lives was cut off"),
            }
        }
    }
    Ok(())
}

/// Does `act` again and again; the subject must give the peer up all the same.
fn given_up(
    context: &Context<'_>,
    peer: &mut Peer,
    step: Duration,
    mut act: impl FnMut(&mut Peer, u32) -> Outcome,
) -> Outcome {
    // The last evidence is the message that proved the connection.
    let deadline = peer.last_sent_at + context.profile.longest_silence() + LATENESS_TOLERANCE;
    let mut turn = 0;
    while Instant::now() < deadline {
        act(peer, turn)?;
        turn += 1;
        let next = (Instant::now() + step).min(deadline);
        while let Some(arrival) = peer.receive_by(next)? {
            match arrival {
                Arrival::Packet(packet) if matches!(packet.kind, kind::PING | kind::DATA) => {}
                Arrival::Packet(packet) => return peer.check_close(&packet, reason::PEER_TIMEOUT).map(|_| ()),
                Arrival::End | Arrival::Reset => return violation("closed without CLOSE; PEER_TIMEOUT was due"),
            }
        }
    }
    violation("a peer without a sign of life is not given up")
}

fn every_kind(context: &mut Context<'_>) -> Outcome {
    let duration = context.profile.longest_silence() * 3;
    context.takes(duration)?;
    let step = context.profile.idle / 2;
    let kinds = [
        Packet::control(kind::BUSY, [0; 4]),
        Packet::control(kind::DRAIN, [0; 8]),
        Packet::control(kind::REJECT, [0; 10]),
        Packet::control(kind::FIRST_PRIVATE, []),
        Packet::data(flag::FIRST | flag::MORE, 0, *b"begun "),
        Packet::data(flag::MORE, 0, *b"and "),
        Packet::data(0, 0, *b"ended"),
        Packet::data(flag::FIRST, 0, []),
    ];
    let mut peer = establish_mute(context)?;
    survives(&mut peer, duration, step, |peer, turn| peer.send(&kinds[turn as usize % kinds.len()]))
}

fn payload_on_its_way(context: &mut Context<'_>) -> Outcome {
    let duration = context.profile.longest_silence() * 3;
    context.takes(duration)?;
    if context.profile.assembly_base < duration {
        return Err(Failure::NotApplicable("a payload may not take that long with the subject's numbers".into()));
    }
    let step = context.profile.idle / 4;
    let payload = vec![7; peer_frame(context)];
    let mut peer = establish_mute(context)?;
    let bytes = Packet::data(flag::FIRST, 0, payload.clone()).encode(peer.key());
    let mut sent = 13;
    peer.send_raw(&bytes[..sent])?;
    survives(&mut peer, duration, step, |peer, _| {
        sent += 1;
        peer.send_raw(&bytes[sent - 1..sent])
    })?;
    peer.send_raw(&bytes[sent..])?;
    peer.answers_pings = true;
    // What was queued while no answer was possible may come first.
    peer.expect_message(&Message::new(0, payload))
}

/// Long enough for a byte at each step.
fn peer_frame(context: &Context<'_>) -> usize {
    (context.profile.frame_limit as usize).min(2_000)
}

fn partial_header(context: &mut Context<'_>) -> Outcome {
    context.takes(context.profile.longest_silence())?;
    // Ten of twelve bytes, spread over more than the time in which the verdict is due.
    let step = (context.profile.longest_silence() + LATENESS_TOLERANCE) / 10;
    let mut peer = establish_mute(context)?;
    let bytes = Packet::ping(1).encode(peer.key());
    given_up(context, &mut peer, step, |peer, turn| match bytes.get(turn as usize) {
        Some(byte) if turn < 11 => peer.send_raw(&[*byte]),
        Some(_) | None => Ok(()),
    })
}

fn skipped_bytes(context: &mut Context<'_>) -> Outcome {
    context.takes(context.profile.longest_silence())?;
    let step = context.profile.idle / 4;
    let mut peer = establish_mute(context)?;
    given_up(context, &mut peer, step, |peer, _| peer.send_raw(&[0; 20]))
}

fn dropped_packets(context: &mut Context<'_>) -> Outcome {
    context.takes(context.profile.longest_silence())?;
    // Fewer than the 16 gaps that are allowed.
    let step = (context.profile.longest_silence() + LATENESS_TOLERANCE) / 14;
    let mut peer = establish_mute(context)?;
    // Without a payload, because bytes of a payload are evidence before they are dropped.
    let dropped = Packet::data(flag::FIRST, 0, []).encode_with_wrong_trailer(peer.key());
    given_up(context, &mut peer, step, |peer, _| peer.send_raw(&dropped))
}

fn own_sending(context: &mut Context<'_>) -> Outcome {
    context.takes(context.profile.longest_silence())?;
    let step = context.profile.idle / 4;
    let mut peer = establish_mute(context)?;
    let id = context.youngest(&peer)?;
    let deadline = peer.last_sent_at + context.profile.longest_silence() + LATENESS_TOLERANCE;
    while Instant::now() < deadline {
        context.send_quietly(&peer, id, b"nobody answers")?;
        let next = Instant::now() + step;
        while let Some(arrival) = peer.receive_by(next)? {
            match arrival {
                Arrival::Packet(packet) if matches!(packet.kind, kind::PING | kind::DATA) => {}
                Arrival::Packet(packet) => return peer.check_close(&packet, reason::PEER_TIMEOUT).map(|_| ()),
                Arrival::End | Arrival::Reset => return violation("closed without CLOSE; PEER_TIMEOUT was due"),
            }
        }
    }
    violation("a silent peer to which messages are sent is not given up")
}

fn misses_do_not_add_up(context: &mut Context<'_>) -> Outcome {
    let Profile { probes, .. } = context.profile;
    if probes < 2 {
        return Err(Failure::NotApplicable("with one probe there is none to miss".into()));
    }
    context.takes(context.profile.longest_silence() * 4)?;
    let mut peer = establish_mute(context)?;
    for _ in 0..4 {
        // All probes but the last are missed.
        for _ in 1..probes {
            peer.expect_ping()?;
        }
        let (number, _) = peer.expect_ping()?;
        peer.send(&Packet::pong(number))?;
    }
    peer.answers_pings = true;
    peer.alive()
}

fn evidence_restarts_idle(context: &mut Context<'_>) -> Outcome {
    context.takes(context.profile.longest_silence() * 2)?;
    let shortest = context.profile.idle * 4 / 5;
    let mut peer = establish_mute(context)?;
    for _ in 0..3 {
        let (number, _) = peer.expect_ping()?;
        peer.send(&Packet::pong(number))?;
        let (next, at) = peer.expect_ping()?;
        let quiet = at - peer.last_sent_at;
        let sentence = format!("PING came {} ms after a sign of life", quiet.as_millis());
        require(quiet + CLOCK_TOLERANCE >= shortest, sentence)?;
        peer.send(&Packet::pong(next))?;
    }
    Ok(())
}

/// PINGs come no faster than `floor`, the first after the last sign of life included.
fn probes_slowly(context: &Context<'_>, peer: &mut Peer, floor: Duration) -> Outcome {
    let Profile { idle, interval, probes, .. } = context.profile;
    context.takes(idle.max(floor) + interval.max(floor) * probes)?;
    let mut before = peer.last_sent_at;
    for _ in 0..probes {
        let (_, at) = peer.expect_ping()?;
        let apart = at.saturating_duration_since(before);
        let sentence = format!("a PING came {} ms after the last one or the last sign of life", apart.as_millis());
        // Packets that were sent apart can arrive closer to each other, by what the first was late.
        require(apart + floor / 5 >= floor, sentence)?;
        before = at;
    }
    let silence = peer.last_sent_at.elapsed();
    require(silence + CLOCK_TOLERANCE >= floor * probes, "the probes came faster than the floor allows")
}

fn floor_of_peer(context: &mut Context<'_>) -> Outcome {
    let floor = (context.profile.idle.max(context.profile.interval) * 5 / 2).min(Duration::from_secs(60));
    let milliseconds = u32::try_from(floor.as_millis()).expect("at most 60,000");
    let mut peer = context.establish_with(|peer| {
        peer.hello.ping_floor = milliseconds;
        peer.answers_pings = false;
    })?;
    probes_slowly(context, &mut peer, floor)
}

fn default_floor(context: &mut Context<'_>) -> Outcome {
    let mut peer = context.open()?;
    let items = [Item::versions(1, 1), Item::sync_key(peer.hello.sync_key)];
    peer.answers_pings = false;
    peer.offer(&items)?;
    peer.complete()?;
    peer.alive()?;
    probes_slowly(context, &mut peer, Duration::from_secs(1))
}

fn first_ping(context: &mut Context<'_>) -> Outcome {
    let Profile { idle, .. } = context.profile;
    context.takes(idle * 3)?;
    let mut peer = establish_mute(context)?;
    for _ in 0..3 {
        let since = peer.last_sent_at;
        let (number, at) = peer.expect_ping()?;
        let silence = at - since;
        let sentence =
            format!("PING came after {} ms of silence; idle is {} ms", silence.as_millis(), idle.as_millis());
        let in_time = silence + CLOCK_TOLERANCE >= idle * 4 / 5 && silence <= idle + LATENESS_TOLERANCE;
        require(in_time, sentence)?;
        peer.send(&Packet::pong(number))?;
    }
    Ok(())
}

fn sending_no_replacement(context: &mut Context<'_>) -> Outcome {
    let Profile { idle, .. } = context.profile;
    context.takes(idle)?;
    let mut peer = establish_mute(context)?;
    let id = context.youngest(&peer)?;
    let deadline = peer.last_sent_at + idle + LATENESS_TOLERANCE;
    while Instant::now() < deadline {
        context.send_quietly(&peer, id, b"meanwhile")?;
        let next = Instant::now() + idle / 10;
        while let Some(arrival) = peer.receive_by(next)? {
            match arrival {
                Arrival::Packet(packet) if packet.kind == kind::PING => return Ok(()),
                Arrival::Packet(packet) if packet.kind == kind::DATA => {}
                Arrival::Packet(packet) => return violation(format!("{} came before PING", kind::name(packet.kind))),
                Arrival::End | Arrival::Reset => return violation("the connection ended before a PING came"),
            }
        }
    }
    violation("no PING comes from a subject that sends messages to a silent peer")
}

fn own_numbers_grow(context: &mut Context<'_>) -> Outcome {
    context.takes(context.profile.longest_silence() * 3)?;
    let mut peer = establish_mute(context)?;
    // Every PING that a peer receives is held to this, whether the ones before were answered or not.
    for turn in 0..6 {
        let (number, _) = peer.expect_ping()?;
        if turn % 2 == 0 {
            peer.send(&Packet::pong(number))?;
        }
    }
    Ok(())
}

fn number_does_not_grow(context: &mut Context<'_>) -> Outcome {
    for (first, second) in [(7, 7), (7, 6), (u64::MAX, 0)] {
        let mut peer = context.establish()?;
        peer.send(&Packet::ping(first))?;
        peer.expect_pong(first)?;
        peer.send(&Packet::ping(second))?;
        peer.expect_rejection(reason::BAD_PING)?;
    }
    let mut peer = context.establish()?;
    for number in [0, 7, 8, u64::MAX] {
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
    let mut peer = establish_mute(context)?;
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
    let mut peer = establish_mute(context)?;
    let (number, _) = peer.expect_ping()?;
    peer.send(&Packet::pong(number))?;
    peer.send(&Packet::pong(number + 1_000_000))?;
    peer.expect_rejection(reason::BAD_PONG)?;
    // No PING at all was sent on this one.
    let mut peer = establish_mute(context)?;
    peer.send(&Packet::pong(1_000_000))?;
    peer.expect_rejection(reason::BAD_PONG)?;
    Ok(())
}

fn peer_reads_nothing(context: &mut Context<'_>) -> Outcome {
    let limit = context.profile.longest_silence() + context.profile.extension_max;
    context.takes(limit)?;
    let peer = establish_mute(context)?;
    let id = context.youngest(&peer)?;
    let since = peer.last_sent_at;
    // More than the system takes from a sender whose peer does not read.
    context.fill_queue(&peer, id, &[0xEE; 60_000], 12 << 20)?;
    let ending = context.await_ending(&peer, id, limit + PATIENCE)?;
    let sentence = format!("ended with {}", reason::name(ending.reason));
    require(ending.reason == reason::PEER_TIMEOUT, sentence)?;
    let silence = since.elapsed();
    let in_time = silence + CLOCK_TOLERANCE >= context.profile.shortest_silence();
    require(in_time, format!("given up after {} ms", silence.as_millis()))
}

fn silent_peer(context: &mut Context<'_>) -> Outcome {
    let Profile { probes, .. } = context.profile;
    context.takes(context.profile.longest_silence())?;
    let mut peer = establish_mute(context)?;
    let deadline = Instant::now() + context.profile.longest_silence() + PATIENCE;
    let pings = expect_verdict(&mut peer, deadline)?;
    // One more may replace a miss that the subject was late to notice (PW-HB-016).
    require((probes..=probes + 1).contains(&pings), format!("given up after {pings} PINGs, probes is {probes}"))?;
    peer.expect_end()
}

fn bounds(context: &mut Context<'_>) -> Outcome {
    let (shortest, longest) = (context.profile.shortest_silence(), context.profile.longest_silence());
    context.takes(longest)?;
    let mut peer = establish_mute(context)?;
    expect_verdict(&mut peer, Instant::now() + longest + PATIENCE)?;
    let silence = peer.last_sent_at.elapsed();
    let sentence = format!(
        "given up after {} ms of silence; {} to {} ms are allowed",
        silence.as_millis(),
        shortest.as_millis(),
        longest.as_millis()
    );
    require(silence + CLOCK_TOLERANCE >= shortest && silence <= longest + LATENESS_TOLERANCE, sentence)
}

fn healthy_peer(context: &mut Context<'_>) -> Outcome {
    let duration = context.profile.longest_silence() * 10;
    context.takes(duration)?;
    let mut peer = context.establish()?;
    // The peer answers every PING by itself, and says nothing else.
    match peer.receive_by(Instant::now() + duration)? {
        None => peer.alive(),
        Some(arrival) => violation(format!("{arrival:?} came to a peer that answers")),
    }
}

fn pong_ahead(context: &mut Context<'_>) -> Outcome {
    const ENOUGH: usize = 12 << 20;
    let mut peer = context.establish()?;
    let id = context.youngest(&peer)?;
    let message = vec![0xCC; 60_000];
    // The peer does not read meanwhile: most of it waits at the subject.
    let count = context.fill_queue(&peer, id, &message, ENOUGH)?;
    peer.send(&Packet::ping(1))?;
    let mut messages = 0;
    let mut messages_before_pong = None;
    while messages < count {
        match peer.receive()? {
            Arrival::Packet(packet) if packet.kind == kind::PONG => messages_before_pong = Some(messages),
            Arrival::Packet(packet) if packet.kind == kind::DATA => {
                messages += usize::from(peer.take_frame(packet)?.is_some());
            }
            other => return violation(format!("{other:?} came between messages")),
        }
    }
    match messages_before_pong {
        Some(_) => Ok(()),
        None if count * message.len() < ENOUGH / 2 => {
            let sentence = "the subject queues no more than the system takes at once, so that nothing waits";
            Err(Failure::NotApplicable(sentence.into()))
        }
        None => violation(format!("PONG came behind all of {count} messages")),
    }
}

fn flood(context: &mut Context<'_>) -> Outcome {
    let refill = context.profile.ping_floor / 2;
    let mut peer = context.establish()?;
    let began = Instant::now();
    let pings: Vec<Packet> = (1..=16).map(Packet::ping).collect();
    peer.send_glued(&pings)?;
    while peer.expect_kind(kind::PONG)?.number() < 16 {}
    peer.alive()?;
    // Those that the bucket has gained since, and one more.
    let margin = if refill < PATIENCE { 2 } else { 0 };
    let gained = began.elapsed().as_millis() / refill.as_millis().max(1) + margin;
    let pings: Vec<Packet> = (17..).take(usize::try_from(gained).unwrap_or(1_000) + 1).map(Packet::ping).collect();
    peer.send_glued(&pings)?;
    loop {
        match peer.receive()? {
            Arrival::Packet(packet) if packet.kind == kind::PONG => {}
            Arrival::Packet(packet) => {
                peer.check_close(&packet, reason::PING_FLOOD)?;
                return peer.expect_end();
            }
            Arrival::End | Arrival::Reset => return violation("closed without CLOSE; PING_FLOOD was due"),
        }
        if peer.last_sent_at.elapsed() > PATIENCE {
            return violation("any number of PINGs is answered");
        }
    }
}
