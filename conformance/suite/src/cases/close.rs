//! Section 9: closing.

use std::time::{Duration, Instant};

use super::{BOTH, CLOCK_TOLERANCE};
use crate::case::Case;
use crate::clock;
use crate::codec::registry::{flag, item, kind, reason};
use crate::codec::{Close, Item, Packet};
use crate::context::Context;
use crate::peer::{Arrival, Message, PATIENCE, Peer};
use crate::profile::Profile;
use crate::subject::{Happening, Id, Origin};
use crate::verdict::{Failure, Outcome, not_before, require, violation};

pub(super) const CASES: &[Case] = &[
    case!(
        "PW-CLS-001/answers-close",
        "answers CLOSE with CLOSE_ACK and ends the stream",
        BOTH,
        Profile::calm,
        answers_close
    ),
    case!(
        "PW-CLS-001/accepted-messages-first",
        "sends what it had accepted before CLOSE_ACK",
        BOTH,
        Profile::calm,
        accepted_messages_first
    ),
    case!(
        "PW-CLS-002/no-message-after-close",
        "sends no message after its CLOSE, but answers PING",
        BOTH,
        Profile::calm,
        silent_after_close
    ),
    case!(
        "PW-CLS-003/close-behind-messages",
        "sends CLOSE behind every accepted message",
        BOTH,
        Profile::calm,
        close_behind_messages
    ),
    case!(
        "PW-CLS-004/received-count",
        "counts messages received whole, not frames",
        BOTH,
        Profile::calm,
        received_count
    ),
    case!(
        "PW-CLS-004/count-in-own-close",
        "names the count in its own CLOSE too",
        BOTH,
        Profile::calm,
        count_in_own_close
    ),
    case!(
        "PW-CLS-005/receives-after-close",
        "goes on receiving messages after its CLOSE",
        BOTH,
        Profile::calm,
        receives_after_close
    ),
    case!("PW-CLS-006/crossing-close", "answers a CLOSE that crosses its own", BOTH, Profile::calm, crossing_close),
    case!(
        "PW-CLS-007/no-close-ack",
        "closes the connection when CLOSE_ACK does not come until close_timeout",
        BOTH,
        hasty,
        no_close_ack
    )
    .whole_only(),
    case!(
        "PW-CLS-008/unknown-reason",
        "accepts reasons and items of CLOSE that it does not know",
        BOTH,
        Profile::calm,
        unknown_reason
    ),
    case!(
        "PW-CLS-009/no-wait-after-fault",
        "waits for no CLOSE_ACK after a CLOSE for a fault",
        BOTH,
        Profile::calm,
        no_wait_after_fault
    ),
    case!(
        "PW-CLS-009/fault-of-subject",
        "ends the connection without CLOSE_ACK when the peer's CLOSE names a fault",
        BOTH,
        Profile::calm,
        fault_of_subject
    ),
    case!(
        "PW-CLS-010/stray-close-ack",
        "closes with UNEXPECTED_PACKET on a stray CLOSE_ACK",
        BOTH,
        Profile::calm,
        stray_close_ack
    ),
    case!(
        "PW-CLS-011/end-without-close",
        "reports the end of the stream as another thing than CLOSE",
        BOTH,
        Profile::calm,
        end_without_close
    ),
    case!(
        "PW-CLS-011/end-without-close-ack",
        "reports the end of the stream behind its CLOSE with the reason that it gave, and not as orderly without CLOSE_ACK",
        BOTH,
        Profile::calm,
        end_without_close_ack
    ),
    case!("PW-CLS-012/reads-on", "reads on after it has ended its direction", BOTH, Profile::calm, reads_on),
    case!(
        "PW-CLS-013/message-behind-close",
        "takes no message behind a CLOSE",
        BOTH,
        Profile::calm,
        message_behind_close
    ),
    case!("PW-CLS-014/malformed-item", "passes over a malformed item of CLOSE", BOTH, Profile::calm, malformed_item),
];

/// CLOSE_ACK has 400 ms to come.
fn hasty() -> Profile {
    Profile { close_timeout: Duration::from_millis(400), ..Profile::calm() }
}

fn answers_close(context: &mut Context<'_>) -> Outcome {
    for code in [reason::NORMAL, reason::GOING_AWAY, 0x8000, 0xFFFF] {
        let mut peer = context.establish()?;
        peer.send(&Close::new(code, 1).to_packet())?;
        let count = peer.expect_kind(kind::CLOSE_ACK)?.number();
        require(count == 1, format!("CLOSE_ACK counts {count} messages instead of 1"))?;
        peer.expect_end()?;
    }
    context.establish()?.alive()
}

fn accepted_messages_first(context: &mut Context<'_>) -> Outcome {
    let (mut peer, id) = context.establish_with_id()?;
    let messages: Vec<Message> = (0..30).map(|number| Message::new(0, vec![number; 3_000])).collect();
    for message in &messages {
        context.send_from(&peer, id, 0, &message.payload)?;
    }
    peer.send(&Close::new(reason::NORMAL, 1).to_packet())?;
    for message in &messages {
        peer.expect_message(message)?;
    }
    peer.expect_kind(kind::CLOSE_ACK)?;
    peer.expect_end()
}

/// The subject closes; its CLOSE has been received.
pub(super) fn closing(context: &mut Context<'_>) -> Result<(Peer, Close), Failure> {
    let (mut peer, id) = context.establish_with_id()?;
    context.close_from(&peer, id, reason::NORMAL)?;
    let close = peer.expect_close(reason::NORMAL)?;
    Ok((peer, close))
}

/// As [`closing`], with the id of the connection.
pub(super) fn closing_with_id(context: &mut Context<'_>) -> Result<(Peer, Id), Failure> {
    let (mut peer, id) = context.establish_with_id()?;
    context.close_from(&peer, id, reason::NORMAL)?;
    peer.expect_close(reason::NORMAL)?;
    Ok((peer, id))
}

fn silent_after_close(context: &mut Context<'_>) -> Outcome {
    let (mut peer, _) = closing(context)?;
    peer.send_message(&Message::new(0, *b"no answer, please"))?;
    peer.barrier()?;
    peer.send(&Packet::close_ack(peer.received))?;
    peer.expect_end()
}

fn close_behind_messages(context: &mut Context<'_>) -> Outcome {
    let (mut peer, id) = context.establish_with_id()?;
    let messages: Vec<Message> = (0..30).map(|number| Message::new(0, vec![number; 9_000])).collect();
    for message in &messages {
        context.send_from(&peer, id, 0, &message.payload)?;
    }
    context.close_from(&peer, id, 0x8123)?;
    for message in &messages {
        peer.expect_message(message)?;
    }
    peer.expect_close(0x8123)?;
    peer.send(&Packet::close_ack(peer.received))?;
    peer.expect_end()
}

fn received_count(context: &mut Context<'_>) -> Outcome {
    let mut peer = context.establish()?;
    let message = Message::new(0, *b"one two three");
    peer.send_glued(&message.frames(5))?;
    peer.expect_message(&message)?;
    peer.echo(&Message::new(0, []))?;
    // Begun and never completed, it does not count.
    peer.send(&Packet::data(flag::FIRST | flag::MORE, 0, *b"begun"))?;
    let count = peer.close()?;
    require(count == 3, format!("CLOSE_ACK counts {count} messages instead of 3"))
}

fn count_in_own_close(context: &mut Context<'_>) -> Outcome {
    let (mut peer, id) = context.establish_with_id()?;
    for _ in 0..4 {
        peer.alive()?;
    }
    context.close_from(&peer, id, reason::GOING_AWAY)?;
    let close = peer.expect_close(reason::GOING_AWAY)?;
    require(close.received == 5, format!("CLOSE counts {} messages instead of 5", close.received))?;
    peer.send(&Packet::close_ack(peer.received))?;
    peer.expect_end()
}

fn receives_after_close(context: &mut Context<'_>) -> Outcome {
    let (mut peer, close) = closing(context)?;
    for _ in 0..3 {
        peer.send_message(&Message::new(0, *b"still on its way"))?;
    }
    // Its CLOSE_ACK to this CLOSE tells how many it received.
    peer.send(&Close::new(reason::NORMAL, peer.received).to_packet())?;
    let count = peer.expect_kind(kind::CLOSE_ACK)?.number();
    let due = close.received + 3;
    require(count == due, format!("CLOSE_ACK counts {count} messages instead of {due}"))?;
    peer.send(&Packet::close_ack(peer.received))?;
    peer.expect_end()
}

fn crossing_close(context: &mut Context<'_>) -> Outcome {
    let (mut peer, _) = closing(context)?;
    peer.send(&Close::new(reason::GOING_AWAY, peer.received).to_packet())?;
    peer.expect_kind(kind::CLOSE_ACK)?;
    peer.send(&Packet::close_ack(peer.received))?;
    peer.expect_end()
}

fn no_close_ack(context: &mut Context<'_>) -> Outcome {
    let due = context.profile.close_timeout;
    context.takes(due)?;
    let (mut peer, id) = context.establish_with_id()?;
    let began = clock::now();
    context.close_from(&peer, id, reason::NORMAL)?;
    peer.expect_close(reason::NORMAL)?;
    match peer.receive_by(began + due + PATIENCE)? {
        Some(Arrival::End | Arrival::Reset) => {}
        Some(Arrival::Packet(packet)) => {
            return violation(format!("{} came behind CLOSE", kind::name(packet.kind)));
        }
        None => return violation("the connection is still open long after close_timeout"),
    }
    let elapsed = clock::elapsed(began);
    let sentence = format!("closed after {} ms, close_timeout is {} ms", elapsed.as_millis(), due.as_millis());
    not_before(elapsed + CLOCK_TOLERANCE, due, sentence)
}

fn unknown_reason(context: &mut Context<'_>) -> Outcome {
    let items = vec![
        Item::new(item::TEXT, *b"good bye"),
        Item::new(item::LIMIT, [0; 16]),
        Item::new(0x0123, *b"critical and unknown"),
        Item::new(0xFFFF, []),
    ];
    for code in [5, 15, 0xBEEF] {
        let mut peer = context.establish()?;
        peer.send(&Close { items: items.clone(), ..Close::new(code, 1) }.to_packet())?;
        peer.expect_kind(kind::CLOSE_ACK)?;
        peer.expect_end()?;
    }
    Ok(())
}

fn no_wait_after_fault(context: &mut Context<'_>) -> Outcome {
    let mut peer = context.establish()?;
    peer.send(&Packet { class: 1, ..Packet::ping(1) })?;
    let close = peer.expect_close(reason::BAD_PACKET)?;
    require(close.received == 1, format!("CLOSE counts {} messages instead of 1", close.received))?;
    // None of this is acted on, and no CLOSE_ACK is needed for the end.
    peer.send_message(&Message::new(0, *b"too late"))?;
    peer.send(&Packet::ping(2))?;
    peer.expect_end()
}

fn fault_of_subject(context: &mut Context<'_>) -> Outcome {
    let mut peer = context.establish()?;
    peer.send(&Close::new(reason::BAD_FRAGMENT, 1).to_packet())?;
    peer.expect_end()?;
    // The reason before the faults is answered, though it is not known.
    let mut peer = context.establish()?;
    peer.send(&Close::new(15, 1).to_packet())?;
    peer.expect_kind(kind::CLOSE_ACK)?;
    peer.expect_end()
}

fn stray_close_ack(context: &mut Context<'_>) -> Outcome {
    let mut peer = context.establish()?;
    peer.send(&Packet::close_ack(1))?;
    peer.expect_rejection(reason::UNEXPECTED_PACKET)?;
    let (mut peer, _) = closing(context)?;
    peer.send(&Packet::close_ack(1))?;
    peer.expect_end()
}

fn end_without_close(context: &mut Context<'_>) -> Outcome {
    let (mut peer, id) = context.establish_with_id()?;
    peer.half_close();
    let (frame, _) = context.await_ending(&peer, id, PATIENCE)?;
    let sentence = format!("reported as {} instead of PEER_ENDED", reason::name(frame.reason));
    require(frame.reason == reason::PEER_ENDED, sentence)?;
    let (mut peer, id) = context.establish_with_id()?;
    peer.close()?;
    let (frame, origin) = context.await_ending(&peer, id, PATIENCE)?;
    let sentence = format!("an orderly close is reported as {} by {origin:?}", reason::name(frame.reason));
    require(frame.reason == reason::NORMAL && origin == Origin::Peer, sentence)
}

fn end_without_close_ack(context: &mut Context<'_>) -> Outcome {
    for answered in [false, true] {
        let (mut peer, id) = context.establish_with_id()?;
        context.close_from(&peer, id, reason::GOING_AWAY)?;
        peer.expect_close(reason::GOING_AWAY)?;
        if answered {
            peer.send(&Packet::close_ack(peer.received))?;
            peer.expect_end()?;
        }
        peer.half_close();
        let (frame, _) = context.await_ending(&peer, id, PATIENCE)?;
        let (given, due) = (reason::name(frame.reason), reason::name(reason::GOING_AWAY));
        require(frame.reason == reason::GOING_AWAY, format!("ended with {given} instead of {due}"))?;
        let reported = context.events(&peer)?.into_iter().any(|event| {
            matches!(event.what, Happening::Closed { orderly, .. } if orderly == answered && event.connection == Some(id))
        });
        require(reported, format!("the end is not reported as orderly: {answered}"))?;
    }
    Ok(())
}

/// So long after the beginning of its end a subject reads on for certain: a quarter of `linger`.
const READS_ON: Duration = Duration::from_millis(500);

fn reads_on(context: &mut Context<'_>) -> Outcome {
    // Again where the machine was so busy that the subject's time was over before anything was written.
    for _ in 0..10 {
        let mut peer = context.establish()?;
        let began = clock::now();
        peer.send(&Close::new(reason::NORMAL, 1).to_packet())?;
        peer.expect_kind(kind::CLOSE_ACK)?;
        peer.expect_end()?;
        let mut written = 0;
        while written < 20 && is_read_on(&mut peer, &[0; 100], began)? {
            written += 1;
        }
        // A reset comes with the second write at the latest.
        if written >= 2 {
            return Ok(());
        }
    }
    Err(Failure::Harness("this machine is too busy to write anything while the subject reads on".into()))
}

/// Bytes that are still on their way must not be answered with a reset. They are written now; the subject began to end after
/// `began`. Gives whether that proves anything: by its own clock the subject may be gone.
pub(super) fn is_read_on(peer: &mut Peer, bytes: &[u8], began: Instant) -> Result<bool, Failure> {
    peer.send_raw(bytes)?;
    let was_reset = peer.was_reset()?;
    if clock::elapsed(began) >= READS_ON {
        return Ok(false);
    }
    require(!was_reset, "what came behind the end was answered with a reset")?;
    Ok(true)
}

fn message_behind_close(context: &mut Context<'_>) -> Outcome {
    let mut peer = context.establish()?;
    let behind = Packet::data(flag::FIRST, 0, *b"behind CLOSE");
    peer.send_glued(&[Close::new(reason::NORMAL, 1).to_packet(), behind])?;
    // CLOSE_ACK may be out before the fault is met, and nothing may follow it.
    match peer.receive()? {
        Arrival::Packet(packet) if packet.kind == kind::CLOSE_ACK => {
            require(packet.number() == 1, "the message behind CLOSE was received")?;
            peer.expect_end_or_close(reason::UNEXPECTED_PACKET)
        }
        Arrival::Packet(packet) => {
            peer.check_close(&packet, reason::UNEXPECTED_PACKET)?;
            peer.expect_end()
        }
        Arrival::End | Arrival::Reset => violation("the stream ended without CLOSE_ACK and without CLOSE"),
    }
}

fn malformed_item(context: &mut Context<'_>) -> Outcome {
    for rest in [&[0x80][..], &[0x80, 0x10, 0, 9, b'c', b'u', b't'], &[0x80, 0x11, 0, 1, 7]] {
        let mut peer = context.establish()?;
        let mut packet = Close::new(reason::NORMAL, 1).to_packet();
        packet.payload.extend_from_slice(rest);
        peer.send(&packet)?;
        peer.expect_kind(kind::CLOSE_ACK)?;
        peer.expect_end()?;
    }
    Ok(())
}
