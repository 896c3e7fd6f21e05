//! Section 8.5: how many PINGs are under way, and how far apart they are.

use super::{BOTH, CLOCK_TOLERANCE, LATENESS_TOLERANCE};
use crate::case::Case;
use crate::clock;
use crate::codec::Packet;
use crate::codec::registry::{kind, reason};
use crate::context::Context;
use crate::peer::{Arrival, Peer};
use crate::profile::Profile;
use crate::verdict::{Failure, Outcome, not_before, violation};

pub(super) const CASES: &[Case] = &[
    case!(
        "PW-HB-025/no-fifteenth",
        "sends no PING while 14 are unanswered, and gives a silent peer up all the same",
        BOTH,
        Profile::brisk,
        no_fifteenth
    )
    .whole_only(),
    case!(
        "PW-HB-025/one-answer-for-all",
        "sends PINGs again when the last of 14 is answered",
        BOTH,
        Profile::brisk,
        one_answer_for_all
    )
    .whole_only(),
    case!(
        "PW-HB-026/answered-at-once",
        "leaves the peer's PING_FLOOR between two PINGs, also when each is answered at once",
        BOTH,
        Profile::brisk,
        answered_at_once
    )
    .whole_only(),
];

/// PINGs that may be unanswered.
const MOST: u32 = 14;

/// A sign of life that answers no PING.
fn show_life(peer: &mut Peer) -> Outcome {
    peer.send(&Packet::control(kind::FIRST_PRIVATE, []))
}

/// A connection on which 14 PINGs came in as many silences, and none was answered; the number of the last one.
fn full(context: &mut Context<'_>) -> Result<(Peer, u64), Failure> {
    context.takes(context.profile.idle * (MOST + 8))?;
    let mut peer = context.establish_mute()?;
    let mut last = 0;
    for _ in 0..MOST {
        (last, _) = peer.expect_ping()?;
        show_life(&mut peer)?;
    }
    Ok((peer, last))
}

fn no_fifteenth(context: &mut Context<'_>) -> Outcome {
    let (idle, longest) = (context.profile.idle, context.profile.longest_silence());
    let (mut peer, _) = full(context)?;
    for _ in 0..3 {
        // A probe is due in the meantime.
        if let Some(arrival) = peer.receive_by(clock::now() + idle + context.profile.interval / 2)? {
            return violation(format!("{arrival:?} came while 14 PINGs were unanswered"));
        }
        show_life(&mut peer)?;
    }
    let since = peer.last_sent_at;
    match peer.receive_by(since + longest + LATENESS_TOLERANCE)? {
        Some(Arrival::Packet(packet)) => drop(peer.check_close(&packet, reason::PEER_TIMEOUT)?),
        Some(Arrival::End | Arrival::Reset) => return violation("closed without CLOSE; PEER_TIMEOUT was due"),
        None => return violation("a silent peer that has 14 PINGs to answer is not given up"),
    }
    let silence = clock::elapsed(since);
    let sentence = format!("given up after {} ms of silence", silence.as_millis());
    not_before(silence + CLOCK_TOLERANCE, context.profile.shortest_silence(), sentence)
}

fn one_answer_for_all(context: &mut Context<'_>) -> Outcome {
    let (mut peer, last) = full(context)?;
    peer.send(&Packet::pong(last))?;
    // Not only one more.
    for _ in 0..3 {
        peer.expect_ping()?;
        show_life(&mut peer)?;
    }
    peer.answers_pings = true;
    peer.alive()
}

fn answered_at_once(context: &mut Context<'_>) -> Outcome {
    let Profile { idle, interval, .. } = context.profile;
    // Longer than both, so that it decides.
    let floor = idle.max(interval) * 5 / 4;
    context.takes(floor * 8)?;
    let milliseconds = u32::try_from(floor.as_millis()).unwrap_or(60_000).min(60_000);
    let mut peer = context.establish_with(|peer| {
        peer.hello.ping_floor = milliseconds;
        peer.answers_pings = false;
    })?;
    let (first, _) = peer.expect_ping()?;
    peer.send(&Packet::pong(first))?;
    for _ in 0..6 {
        // The PING before was handed out no later than its answer went.
        let answered = peer.last_sent_at;
        let (number, at) = peer.expect_ping()?;
        let apart = at - answered;
        let sentence =
            format!("PING came {} ms after the one before, the floor is {milliseconds} ms", apart.as_millis());
        not_before(apart + CLOCK_TOLERANCE, floor, sentence)?;
        peer.send(&Packet::pong(number))?;
    }
    Ok(())
}
