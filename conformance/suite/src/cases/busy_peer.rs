//! Section 8.4: a peer that pauses.

use std::time::{Duration, Instant};

use super::{BOTH, CLOCK_TOLERANCE, LATENESS_TOLERANCE};
use crate::case::{Case, Need};
use crate::clock;
use crate::codec::Packet;
use crate::codec::registry::{kind, reason};
use crate::context::Context;
use crate::peer::{Arrival, Message, Peer};
use crate::profile::Profile;
use crate::verdict::{Failure, Outcome, not_after, not_before, violation};

pub(super) const CASES: &[Case] = &[
    case!("PW-HB-020/no-ping", "does not probe a peer while that pauses", BOTH, Profile::brisk, no_ping),
    case!("PW-HB-020/ended-by-zero", "probes again after BUSY with 0", BOTH, Profile::brisk, ended_by_zero),
    case!("PW-HB-020/later-one-counts", "takes the time of the later BUSY", BOTH, Profile::brisk, later_one_counts),
    case!(
        "PW-HB-020/other-packets",
        "handles other packets of a peer that pauses, and takes none for the end of the pause",
        BOTH,
        Profile::brisk,
        other_packets
    ),
    case!(
        "PW-HB-021/longest-pause",
        "gives up a peer that says nothing but BUSY for longer than busy_max",
        BOTH,
        short_pauses,
        longest_pause,
        [Need::OwnNumbers]
    ),
    case!(
        "PW-HB-021/speaks-between",
        "grants another pause to a peer that spoke after the longest one",
        BOTH,
        short_pauses,
        speaks_between,
        [Need::OwnNumbers]
    ),
    case!(
        "PW-HB-022/silence-begins-anew",
        "forgets the probes before a pause, and begins the silence at its end",
        BOTH,
        Profile::brisk,
        silence_begins_anew
    ),
];

/// A peer may pause for 300 ms.
fn short_pauses() -> Profile {
    Profile { busy_max: Duration::from_millis(300), ..Profile::brisk() }
}

fn milliseconds(duration: Duration) -> u32 {
    u32::try_from(duration.as_millis()).expect("a pause of a case is short")
}

/// Not applicable where the subject would not let a peer pause for so long (PW-HB-021).
fn spares(context: &Context<'_>, pause: Duration) -> Outcome {
    let busy_max = context.profile.busy_max;
    if pause < busy_max {
        return Ok(());
    }
    let (pause, most) = (pause.as_millis(), busy_max.as_millis());
    Err(Failure::NotApplicable(format!(
        "the peer would have to pause for {pause} ms; the subject's busy_max is {most} ms"
    )))
}

/// The next PING comes when a pause that is over `pause` after `since` lets it come, and is answered.
fn ping_after_pause(context: &Context<'_>, peer: &mut Peer, since: Instant, pause: Duration) -> Outcome {
    let idle = context.profile.idle;
    let (number, at) = peer.expect_ping_after(pause)?;
    let (apart, earliest) = (at - since, pause + idle * 4 / 5);
    let sentence = format!(
        "PING came {} ms after BUSY; {} to {} ms are right",
        apart.as_millis(),
        earliest.as_millis(),
        (pause + idle).as_millis()
    );
    not_before(apart + CLOCK_TOLERANCE, earliest, sentence.as_str())?;
    not_after(apart, pause + idle + LATENESS_TOLERANCE, sentence)?;
    peer.send(&Packet::pong(number))
}

fn no_ping(context: &mut Context<'_>) -> Outcome {
    let pause = context.profile.longest_silence() * 3 / 2;
    context.takes(pause * 2)?;
    spares(context, pause)?;
    let mut peer = context.establish_mute()?;
    let since = clock::now();
    peer.send(&Packet::busy(milliseconds(pause)))?;
    ping_after_pause(context, &mut peer, since, pause)?;
    peer.answers_pings = true;
    peer.alive()
}

fn ended_by_zero(context: &mut Context<'_>) -> Outcome {
    context.takes(context.profile.idle * 2)?;
    let mut peer = context.establish_mute()?;
    peer.send(&Packet::busy(60_000))?;
    peer.barrier()?;
    let since = clock::now();
    peer.send(&Packet::busy(0))?;
    ping_after_pause(context, &mut peer, since, Duration::ZERO)?;
    peer.answers_pings = true;
    peer.alive()
}

fn later_one_counts(context: &mut Context<'_>) -> Outcome {
    let idle = context.profile.idle;
    context.takes(idle * 6)?;
    spares(context, idle * 3)?;
    let mut peer = context.establish_mute()?;
    for (first, second) in [(Duration::from_secs(60), idle), (idle, idle * 3)] {
        peer.send(&Packet::busy(milliseconds(first)))?;
        let since = clock::now();
        peer.send(&Packet::busy(milliseconds(second)))?;
        ping_after_pause(context, &mut peer, since, second)?;
    }
    peer.answers_pings = true;
    peer.alive()
}

fn other_packets(context: &mut Context<'_>) -> Outcome {
    let pause = context.profile.longest_silence() * 2;
    context.takes(pause * 2)?;
    spares(context, pause)?;
    let mut peer = context.establish_mute()?;
    let since = clock::now();
    peer.send(&Packet::busy(milliseconds(pause)))?;
    peer.barrier()?;
    peer.echo(&Message::new(2, *b"sent while pausing"))?;
    peer.send(&Packet::control(kind::FIRST_PRIVATE, []))?;
    ping_after_pause(context, &mut peer, since, pause)?;
    peer.answers_pings = true;
    peer.alive()
}

fn longest_pause(context: &mut Context<'_>) -> Outcome {
    let Profile { busy_max, idle, .. } = context.profile;
    let (shortest, longest) = (context.profile.shortest_silence(), context.profile.longest_silence());
    context.takes(busy_max + longest)?;
    let mut peer = context.establish_mute()?;
    let since = clock::now();
    let deadline = since + busy_max + longest + LATENESS_TOLERANCE;
    while clock::now() < deadline {
        peer.send(&Packet::busy(60_000))?;
        let next = (clock::now() + idle / 2).min(deadline);
        while let Some(arrival) = peer.receive_by(next)? {
            match arrival {
                Arrival::Packet(packet) if packet.kind == kind::PING => {}
                Arrival::Packet(packet) => {
                    peer.check_close(&packet, reason::PEER_TIMEOUT)?;
                    let elapsed = clock::elapsed(since);
                    let sentence = format!("given up after {} ms", elapsed.as_millis());
                    return not_before(elapsed + CLOCK_TOLERANCE, busy_max + shortest, sentence);
                }
                Arrival::End | Arrival::Reset => return violation("closed without CLOSE; PEER_TIMEOUT was due"),
            }
        }
    }
    violation("a peer that says nothing but BUSY is not given up")
}

fn speaks_between(context: &mut Context<'_>) -> Outcome {
    let busy_max = context.profile.busy_max;
    context.takes(busy_max * 6)?;
    let mut peer = context.establish_mute()?;
    for _ in 0..3 {
        let since = clock::now();
        peer.send(&Packet::busy(60_000))?;
        // The PONG to this PING makes the next BUSY count.
        ping_after_pause(context, &mut peer, since, busy_max)?;
    }
    peer.answers_pings = true;
    peer.alive()
}

fn silence_begins_anew(context: &mut Context<'_>) -> Outcome {
    let Profile { probes, idle, .. } = context.profile;
    if probes < 2 {
        return Err(Failure::NotApplicable("with one probe there is none to forget".into()));
    }
    let (shortest, longest) = (context.profile.shortest_silence(), context.profile.longest_silence());
    context.takes(longest * 3)?;
    spares(context, idle * 2)?;
    let mut peer = context.establish_mute()?;
    for _ in 1..probes {
        peer.expect_ping()?;
    }
    let (since, pause) = (clock::now(), idle * 2);
    peer.send(&Packet::busy(milliseconds(pause)))?;
    let (_, first) = peer.expect_ping_after(pause)?;
    let sentence = format!("PING came {} ms after BUSY", (first - since).as_millis());
    not_before(first - since + CLOCK_TOLERANCE, pause + idle * 4 / 5, sentence)?;
    // One more than the other probes may come, for a miss that the subject was late to notice (PW-HB-016).
    let deadline = since + pause + longest + LATENESS_TOLERANCE;
    loop {
        match peer.receive_by(deadline)? {
            Some(Arrival::Packet(packet)) if packet.kind == kind::PING => {}
            Some(Arrival::Packet(packet)) => {
                peer.check_close(&packet, reason::PEER_TIMEOUT)?;
                break;
            }
            other => return violation(format!("{other:?} instead of PEER_TIMEOUT")),
        }
    }
    let elapsed = clock::elapsed(since);
    let sentence = format!("given up {} ms after BUSY for {} ms", elapsed.as_millis(), pause.as_millis());
    not_before(elapsed + CLOCK_TOLERANCE, pause + shortest, sentence)
}
