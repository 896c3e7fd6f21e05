//! Section 8: when a side probes, and when it gives up.

use std::time::{Duration, Instant};

use super::{BOTH, CLOCK_TOLERANCE, LATENESS_TOLERANCE, waiting};
use crate::case::Case;
use crate::clock;
use crate::codec::registry::{kind, reason};
use crate::codec::{Item, Packet};
use crate::context::Context;
use crate::peer::{Arrival, PATIENCE, Peer};
use crate::profile::Profile;
use crate::verdict::{Failure, Outcome, not_after, not_before, require, violation};

pub(super) const CASES: &[Case] = &[
    case!(
        "PW-HB-004/misses-do-not-add-up",
        "forgets unanswered probes when the peer speaks",
        BOTH,
        long_interval,
        misses_do_not_add_up
    ),
    case!(
        "PW-HB-004/evidence-restarts-idle",
        "waits a whole idle time after a late answer",
        BOTH,
        Profile::brisk,
        evidence_restarts_idle
    ),
    case!(
        "PW-HB-005/floor-of-peer",
        "probes no more often than the peer's PING_FLOOR allows",
        BOTH,
        Profile::brisk,
        floor_of_peer
    )
    .whole_only(),
    case!("PW-HB-005/default-floor", "takes 1,000 ms for an absent PING_FLOOR", BOTH, Profile::brisk, default_floor)
        .whole_only(),
    case!("PW-HB-006/first-ping", "probes after idle, shortened by at most a fifth", BOTH, Profile::brisk, first_ping)
        .whole_only(),
    case!(
        "PW-HB-006/sending-does-not-replace-ping",
        "probes although it sends all the time",
        BOTH,
        Profile::brisk,
        sending_no_replacement
    )
    .whole_only(),
    case!(
        "PW-HB-007/own-numbers-grow",
        "numbers its PINGs upwards, over silences too",
        BOTH,
        Profile::brisk,
        own_numbers_grow
    ),
    case!(
        "PW-HB-011/peer-reads-nothing",
        "gives up a peer that neither speaks nor reads",
        BOTH,
        Profile::brisk,
        peer_reads_nothing
    )
    .whole_only(),
    case!("PW-HB-012/silent-peer", "gives up a silent peer after all its probes", BOTH, Profile::brisk, silent_peer)
        .whole_only(),
    case!(
        "PW-HB-012/one-wait-between-probes",
        "waits for an answer to each probe before it sends the next",
        BOTH,
        Profile::brisk,
        one_wait_between_probes
    )
    .whole_only(),
    case!("PW-HB-013/bounds", "gives up neither too early nor too late", BOTH, Profile::brisk, bounds).whole_only(),
    case!(
        "PW-HB-014/healthy-peer",
        "keeps an idle peer that answers for ten times the limit",
        BOTH,
        Profile::brisk,
        healthy_peer
    ),
];

/// The answer to the last probe has time enough on a busy machine.
fn long_interval() -> Profile {
    Profile { interval: Duration::from_millis(400), ..Profile::brisk() }
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

fn misses_do_not_add_up(context: &mut Context<'_>) -> Outcome {
    let Profile { probes, .. } = context.profile;
    if probes < 2 {
        return Err(Failure::NotApplicable("with one probe there is none to miss".into()));
    }
    context.takes(context.profile.longest_silence() * 4)?;
    let mut peer = context.establish_mute()?;
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
    let mut peer = context.establish_mute()?;
    for _ in 0..3 {
        let (number, _) = peer.expect_ping()?;
        peer.send(&Packet::pong(number))?;
        let (next, at) = peer.expect_ping()?;
        let quiet = at - peer.last_sent_at;
        let sentence = format!("PING came {} ms after a sign of life", quiet.as_millis());
        not_before(quiet + CLOCK_TOLERANCE, shortest, sentence)?;
        peer.send(&Packet::pong(next))?;
    }
    Ok(())
}

/// PINGs come no faster than `floor`, the first after the last sign of life included.
fn probes_slowly(context: &Context<'_>, peer: &mut Peer, floor: Duration) -> Outcome {
    let Profile { idle, interval, probes, .. } = context.profile;
    context.takes(idle.max(floor) + interval.max(floor) * probes)?;
    let since = peer.last_sent_at;
    for count in 1..=probes {
        let (_, at) = peer.expect_ping()?;
        let apart = at.saturating_duration_since(since);
        let sentence = format!("PING {count} came {} ms after the last sign of life", apart.as_millis());
        // From what was sent, not from one PING to the next: one that was read late makes the next one look early.
        not_before(apart + CLOCK_TOLERANCE, floor * count, sentence)?;
    }
    let silence = clock::elapsed(peer.last_sent_at);
    not_before(silence + CLOCK_TOLERANCE, floor * probes, "the probes came faster than the floor allows")
}

fn floor_of_peer(context: &mut Context<'_>) -> Outcome {
    let floor = (context.profile.idle.max(context.profile.interval) * 5 / 2).min(Duration::from_secs(60));
    if context.profile.longest_silence_with(floor) > context.profile.detection_limit() {
        return Err(Failure::NotApplicable("the subject's detect_within permits no such floor".into()));
    }
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
    let mut peer = context.establish_mute()?;
    for _ in 0..3 {
        let since = peer.last_sent_at;
        let (number, at) = peer.expect_ping()?;
        let silence = at - since;
        let sentence =
            format!("PING came after {} ms of silence; idle is {} ms", silence.as_millis(), idle.as_millis());
        not_before(silence + CLOCK_TOLERANCE, idle * 4 / 5, sentence.as_str())?;
        not_after(silence, idle + LATENESS_TOLERANCE, sentence)?;
        peer.send(&Packet::pong(number))?;
    }
    Ok(())
}

fn sending_no_replacement(context: &mut Context<'_>) -> Outcome {
    let Profile { idle, .. } = context.profile;
    context.takes(idle)?;
    let mut peer = context.establish_mute()?;
    let id = context.youngest(&peer)?;
    let deadline = peer.last_sent_at + idle + LATENESS_TOLERANCE;
    while clock::now() < deadline {
        context.send_quietly(&peer, id, b"meanwhile")?;
        let next = clock::now() + idle / 10;
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
    if context.profile.probes == 1 {
        return Err(Failure::NotApplicable("with one probe there is none to miss".into()));
    }
    let mut peer = context.establish_mute()?;
    // Every PING that a peer receives is held to this, whether the ones before were answered or not.
    for turn in 0..6 {
        let (number, _) = peer.expect_ping()?;
        if turn % 2 == 0 {
            peer.send(&Packet::pong(number))?;
        }
    }
    Ok(())
}

fn peer_reads_nothing(context: &mut Context<'_>) -> Outcome {
    let longest = context.profile.longest_silence();
    let limit = longest + context.profile.extension_max.unwrap_or(longest);
    context.takes(limit)?;
    context.lasts(limit, &[("write_stall", context.profile.write_stall)])?;
    let peer = context.establish_mute()?;
    let id = context.youngest(&peer)?;
    let since = peer.last_sent_at;
    context.fill_queue_or_end(&peer, id, &[0xEE; 60_000])?;
    let (frame, _) = context.await_ending(&peer, id, limit + waiting::LONG_PATIENCE)?;
    require(frame.reason == reason::PEER_TIMEOUT, format!("ended with {}", reason::name(frame.reason)))?;
    let silence = clock::elapsed(since);
    let sentence = format!("given up after {} ms", silence.as_millis());
    not_before(silence + CLOCK_TOLERANCE, context.profile.shortest_silence(), sentence)
}

fn silent_peer(context: &mut Context<'_>) -> Outcome {
    let Profile { probes, .. } = context.profile;
    context.takes(context.profile.longest_silence())?;
    let mut peer = context.establish_mute()?;
    let deadline = clock::now() + context.profile.longest_silence() + PATIENCE;
    let pings = expect_verdict(&mut peer, deadline)?;
    // One more may replace a miss that the subject was late to notice (PW-HB-016).
    require((probes..=probes + 1).contains(&pings), format!("given up after {pings} PINGs, probes is {probes}"))?;
    peer.expect_end()
}

fn one_wait_between_probes(context: &mut Context<'_>) -> Outcome {
    let Profile { idle, interval, probes, .. } = context.profile;
    context.takes(context.profile.longest_silence())?;
    let mut peer = context.establish_mute()?;
    let since = peer.last_sent_at;
    for count in 0..probes {
        let (_, at) = peer.expect_ping()?;
        let (silence, earliest) = (at - since, idle * 4 / 5 + interval * count);
        let (apart, due) = (silence.as_millis(), earliest.as_millis());
        // From what was sent, not from one PING to the next: one that was read late makes the next one look early.
        let sentence = format!("PING {} came after {apart} ms of silence, not before {due} ms", count + 1);
        not_before(silence + CLOCK_TOLERANCE, earliest, sentence)?;
    }
    Ok(())
}

fn bounds(context: &mut Context<'_>) -> Outcome {
    let (shortest, longest) = (context.profile.shortest_silence(), context.profile.longest_silence());
    context.takes(longest)?;
    let mut peer = context.establish_mute()?;
    expect_verdict(&mut peer, clock::now() + longest + PATIENCE)?;
    let silence = clock::elapsed(peer.last_sent_at);
    let sentence = format!(
        "given up after {} ms of silence; {} to {} ms are allowed",
        silence.as_millis(),
        shortest.as_millis(),
        longest.as_millis()
    );
    not_before(silence + CLOCK_TOLERANCE, shortest, sentence.as_str())?;
    not_after(silence, longest + LATENESS_TOLERANCE, sentence)
}

fn healthy_peer(context: &mut Context<'_>) -> Outcome {
    let duration = context.profile.longest_silence() * 10;
    context.takes(duration)?;
    let mut peer = context.establish()?;
    // The peer answers every PING by itself, and says nothing else.
    match peer.receive_by(clock::now() + duration)? {
        None => peer.alive(),
        Some(arrival) => violation(format!("{arrival:?} came to a peer that answers")),
    }
}
