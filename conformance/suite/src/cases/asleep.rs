//! Sections 8.3, 10.1 and 14, where the subject sleeps beyond a time limit: what lies there when it wakes up counts, and being late
//! is no fault of its peer's.

use std::time::Duration;

use super::{BOTH, SERVER, waiting};
use crate::case::{Case, Need};
use crate::clock;
use crate::codec::registry::{flag, kind};
use crate::codec::{Packet, encode_items};
use crate::context::Context;
use crate::peer::Message;
use crate::profile::Profile;
use crate::role::Role;
use crate::setting::Parameter;
use crate::verdict::Outcome;

pub(super) const CASES: &[Case] = &[
    case!(
        "PW-HB-016/slept",
        "sends one more PING instead of counting a miss that it noticed in its sleep",
        BOTH,
        Profile::brisk,
        slept,
        [Need::VirtualTime]
    )
    .whole_only(),
    case!(
        "PW-TCP-001/hello-lies-there",
        "completes a handshake whose packet lies there when it wakes up after handshake_timeout",
        BOTH,
        short_limits,
        hello_lies_there,
        [Need::VirtualTime]
    )
    .whole_only(),
    case!(
        "PW-TCP-001/answer-lies-there",
        "takes the PONG that lies there when it wakes up after the wait for it",
        BOTH,
        Profile::brisk,
        answer_lies_there,
        [Need::VirtualTime]
    )
    .whole_only(),
    case!(
        "PW-TCP-001/rest-lies-there",
        "takes the rest of a packet that lies there when it wakes up after the time for it",
        BOTH,
        short_limits,
        rest_lies_there,
        [Need::VirtualTime]
    )
    .whole_only(),
    case!(
        "PW-TCP-001/peer-made-room",
        "writes on when it wakes up after write_stall and its peer has made room meanwhile",
        BOTH,
        short_limits,
        peer_made_room,
        [Need::VirtualTime]
    )
    .whole_only(),
    case!(
        "PW-TIM-001/late-for-hello",
        "gives a client that was about to say HELLO the whole time anew when it slept",
        SERVER,
        hasty_limits,
        late_for_hello,
        [Need::VirtualTime]
    )
    .whole_only(),
    case!(
        "PW-TIM-001/late-for-close-ack",
        "waits for CLOSE_ACK for the whole time anew when it slept",
        BOTH,
        hasty_limits,
        late_for_close_ack,
        [Need::VirtualTime]
    )
    .about(&[Parameter::SubjectTimers])
    .whole_only(),
    case!(
        "PW-TIM-001/late-for-a-reader",
        "waits for a peer that takes nothing for the whole time anew when it slept",
        BOTH,
        hasty_limits,
        late_for_a_reader,
        [Need::VirtualTime]
    )
    .whole_only(),
];

/// Each limit is up after 400 ms. Nobody is late before a minute has passed, so that lateness excuses nothing.
fn short_limits() -> Profile {
    let due = Duration::from_millis(400);
    Profile {
        handshake_timeout: due,
        close_timeout: due,
        write_stall: due,
        assembly_base: due,
        assembly_rate: 1_000_000_000,
        ..Profile::calm()
    }
}

/// The same, and more than 100 ms are late.
fn hasty_limits() -> Profile {
    Profile { interval: Duration::from_millis(100), ..short_limits() }
}

/// Longer than any of those limits, and less than anything else.
const LONG: Duration = Duration::from_millis(600);

fn slept(context: &mut Context<'_>) -> Outcome {
    let Profile { interval, probes, .. } = context.profile;
    let mut peer = context.establish_mute()?;
    for _ in 0..probes {
        peer.expect_ping()?;
    }
    context.sleep_of_subject(interval * 4)?;
    let (number, _) = peer.expect_ping()?;
    peer.send(&Packet::pong(number))?;
    peer.answers_pings = true;
    peer.alive()
}

fn hello_lies_there(context: &mut Context<'_>) -> Outcome {
    let mut peer = context.open()?;
    if context.role == Role::Client {
        peer.read_hello(kind::HELLO)?;
    }
    let answer = if context.role == Role::Client { kind::HELLO_ACK } else { kind::HELLO };
    let first = Packet::control(answer, encode_items(&peer.hello.to_items()));
    peer.send_raw(&first.encode(0))?;
    context.sleep_of_subject(LONG)?;
    peer.complete()?;
    peer.alive()
}

fn answer_lies_there(context: &mut Context<'_>) -> Outcome {
    let Profile { interval, probes, .. } = context.profile;
    let mut peer = context.establish_mute()?;
    for _ in 1..probes {
        peer.expect_ping()?;
    }
    let (number, _) = peer.expect_ping()?;
    peer.send(&Packet::pong(number))?;
    // Too late for the wait, and not so late that it would be excused.
    context.sleep_of_subject(interval * 3 / 2)?;
    peer.answers_pings = true;
    peer.alive()
}

fn rest_lies_there(context: &mut Context<'_>) -> Outcome {
    let mut peer = context.establish()?;
    let message = Message::new(0, *b"in two parts");
    let bytes = Packet::data(flag::FIRST, 0, *b"in two parts").encode(peer.key());
    let (begin, rest) = bytes.split_at(20);
    peer.send_raw(begin)?;
    // It knows of the first part.
    clock::sleep(LONG / 6);
    peer.send_raw(rest)?;
    context.sleep_of_subject(LONG)?;
    peer.expect_message(&message)?;
    peer.alive()
}

fn peer_made_room(context: &mut Context<'_>) -> Outcome {
    let (mut peer, id) = context.establish_with_id()?;
    let count = waiting::fill(context, &mut peer, id)?;
    // It has written what there was room for, and waits.
    clock::sleep(LONG / 6);
    peer.read_there()?;
    context.sleep_of_subject(LONG)?;
    waiting::read_all(&mut peer, count)?;
    peer.alive()
}

fn late_for_hello(context: &mut Context<'_>) -> Outcome {
    let mut peer = context.open()?;
    clock::sleep(LONG / 6);
    context.sleep_of_subject(LONG * 10)?;
    clock::sleep(LONG / 3);
    peer.handshake()?;
    peer.alive()
}

/// For so long a subject sleeps that notices a time limit more than `interval` late.
fn late_by_far(context: &Context<'_>, limit: Duration) -> Duration {
    limit + context.profile.interval * 2 + LONG
}

/// So long behind that the limit has not passed again, nor the time for an answer to a PING.
fn soon_after(context: &Context<'_>, limit: Duration) -> Duration {
    let Profile { interval, probes, .. } = context.profile;
    limit.min(interval * probes) / 2
}

fn late_for_close_ack(context: &mut Context<'_>) -> Outcome {
    let due = context.profile.close_timeout;
    let (mut peer, _) = super::close::closing(context)?;
    context.sleep_of_subject(late_by_far(context, due))?;
    clock::sleep(soon_after(context, due));
    // It answers still.
    peer.barrier()?;
    peer.send(&Packet::close_ack(peer.received))?;
    peer.expect_end()
}

fn late_for_a_reader(context: &mut Context<'_>) -> Outcome {
    let due = context.profile.write_stall;
    // It answers no PING meanwhile.
    context.lasts(due / 4, &[context.silence()])?;
    let (mut peer, id) = context.establish_with_id()?;
    let count = waiting::fill(context, &mut peer, id)?;
    clock::sleep(due / 4);
    context.sleep_of_subject(late_by_far(context, due))?;
    clock::sleep(soon_after(context, due));
    waiting::read_all(&mut peer, count)?;
    peer.alive()
}
