//! Section 9: what the application is told of a CLOSE, and what goes on behind one.

use std::time::Duration;

use super::close::{closing, closing_with_id};
use super::drain::ended_with;
use super::{BOTH, CLIENT, LATENESS_TOLERANCE, waiting};
use crate::case::Case;
use crate::clock;
use crate::codec::registry::{item, kind, reason};
use crate::codec::{Close, Item, Packet};
use crate::context::Context;
use crate::peer::PATIENCE;
use crate::profile::Profile;
use crate::setting::Parameter;
use crate::subject::CloseFrame;
use crate::verdict::{Outcome, not_after, require, violation};

pub(super) const CASES: &[Case] = &[
    case!("PW-CLS-002/still-probes", "still probes a silent peer after its CLOSE", BOTH, Profile::brisk, still_probes),
    case!(
        "PW-CLS-006/no-silence-judged",
        "gives up no silent peer when both have sent CLOSE",
        BOTH,
        Profile::brisk,
        no_silence_judged
    )
    .about(&[Parameter::SubjectTimers]),
    case!(
        "PW-CLS-006/own-reason",
        "reports its own reason where CLOSE crossed that of its peer",
        BOTH,
        Profile::calm,
        own_reason
    ),
    case!(
        "PW-CLS-008/reasons-not-for-the-wire",
        "accepts reasons of CLOSE that should not be on the wire, and answers them",
        BOTH,
        Profile::calm,
        reasons_not_for_the_wire
    ),
    case!(
        "PW-CLS-008/refusal-is-not-answered",
        "answers nothing to CLOSE in place of HELLO_ACK",
        CLIENT,
        Profile::calm,
        refusal_is_not_answered
    ),
    case!(
        "PW-CLS-008/reason-is-told",
        "tells its application the reason of a CLOSE, also one that it does not know",
        BOTH,
        Profile::calm,
        reason_is_told
    ),
    case!(
        "PW-CLS-011/own-close-waits",
        "reports the peer's reason when the stream ends behind the peer's CLOSE while its own waits",
        BOTH,
        Profile::calm,
        own_close_waits
    )
    .whole_only(),
    case!(
        "PW-CLS-012/no-longer-than-linger",
        "closes the transport connection when linger has passed, though its peer does not end its side",
        BOTH,
        long_linger,
        no_longer_than_linger
    )
    .whole_only(),
    case!(
        "PW-CLS-014/last-item-counts",
        "takes the last of several equal items of CLOSE",
        BOTH,
        Profile::calm,
        last_item_counts
    ),
    case!(
        "PW-CLS-014/items-before-malformed",
        "keeps the items of CLOSE before a malformed one, and none behind it",
        BOTH,
        Profile::calm,
        items_before_malformed
    ),
];

fn still_probes(context: &mut Context<'_>) -> Outcome {
    context.takes(context.profile.idle)?;
    context.lasts(context.profile.idle, &[("close_timeout", context.profile.close_timeout)])?;
    let (mut peer, _) = closing(context)?;
    peer.answers_pings = false;
    let (number, _) = peer.expect_ping()?;
    peer.send(&Packet::pong(number))?;
    peer.answers_pings = true;
    peer.send(&Packet::close_ack(peer.received))?;
    peer.expect_end()
}

fn no_silence_judged(context: &mut Context<'_>) -> Outcome {
    let silence = context.profile.longest_silence() * 3 / 2;
    context.takes(silence)?;
    context.lasts(silence, &[("close_timeout", context.profile.close_timeout)])?;
    let (mut peer, id) = closing_with_id(context)?;
    peer.send(&Close::new(reason::NORMAL, peer.received).to_packet())?;
    peer.expect_kind(kind::CLOSE_ACK)?;
    if let Some(arrival) = peer.receive_by(clock::now() + silence)? {
        return violation(format!("{arrival:?} came while CLOSE_ACK was waited for"));
    }
    peer.send(&Packet::close_ack(peer.received))?;
    peer.expect_end()?;
    let (frame, _) = context.await_ending(&peer, id, PATIENCE)?;
    require(frame.reason == reason::NORMAL, format!("ended with {}", reason::name(frame.reason)))
}

fn own_reason(context: &mut Context<'_>) -> Outcome {
    for (own, of_peer) in [(reason::GOING_AWAY, reason::NORMAL), (0x8001, 0x8002)] {
        let (mut peer, id) = context.establish_with_id()?;
        context.close_from(&peer, id, own)?;
        peer.expect_close(own)?;
        peer.send(&Close::new(of_peer, peer.received).to_packet())?;
        peer.expect_kind(kind::CLOSE_ACK)?;
        peer.send(&Packet::close_ack(peer.received))?;
        peer.expect_end()?;
        peer.half_close();
        ended_with(context, &peer, id, own)?;
    }
    Ok(())
}

fn own_close_waits(context: &mut Context<'_>) -> Outcome {
    let (mut peer, id) = context.establish_with_id()?;
    waiting::fill(context, &mut peer, id)?;
    context.close_from(&peer, id, 0x8001)?;
    peer.send(&Close::new(reason::GOING_AWAY, 1).to_packet())?;
    peer.half_close();
    ended_with(context, &peer, id, reason::GOING_AWAY)
}

/// So long that twice the time is told from a subject that is late.
fn long_linger() -> Profile {
    Profile { linger: Duration::from_secs(3), ..Profile::calm() }
}

fn no_longer_than_linger(context: &mut Context<'_>) -> Outcome {
    let due = context.profile.linger;
    context.takes(due * 2)?;
    let mut peer = context.establish()?;
    peer.send(&Packet { class: 1, ..Packet::ping(1) })?;
    let began = clock::now();
    peer.expect_rejection(reason::BAD_PACKET)?;
    // Nobody acts on this, and it shows whether the connection is still there.
    while !peer.was_reset()? {
        require(
            clock::elapsed(began) < due * 2 + PATIENCE,
            "the transport connection is still open long after linger",
        )?;
        clock::sleep(Duration::from_millis(50));
        peer.send(&Packet::ping(2))?;
    }
    let elapsed = clock::elapsed(began);
    let sentence = format!("closed after {} ms, linger is {} ms", elapsed.as_millis(), due.as_millis());
    not_after(elapsed, due + LATENESS_TOLERANCE, sentence)
}

fn reasons_not_for_the_wire(context: &mut Context<'_>) -> Outcome {
    for code in [0, 5, 256, 259, 1_000, 32_767] {
        let mut peer = context.establish()?;
        peer.send(&Close::new(code, 1).to_packet())?;
        peer.expect_kind(kind::CLOSE_ACK)?;
        peer.expect_end()?;
    }
    Ok(())
}

fn refusal_is_not_answered(context: &mut Context<'_>) -> Outcome {
    for code in [reason::REFUSED, reason::NORMAL, 0x8000] {
        let mut peer = context.open()?;
        peer.read_hello(kind::HELLO)?;
        peer.send_raw(&Close::new(code, 0).to_packet().encode(0))?;
        peer.expect_end()?;
    }
    Ok(())
}

/// The application is told what this CLOSE says, as far as `said` looks at it.
fn is_told(context: &mut Context<'_>, close: &Packet, said: impl Fn(&CloseFrame) -> bool) -> Outcome {
    let (mut peer, id) = context.establish_with_id()?;
    peer.send(close)?;
    peer.expect_kind(kind::CLOSE_ACK)?;
    peer.expect_end()?;
    let frame = context.await_closing(&peer, id)?;
    let (text, code) = (&frame.text, reason::name(frame.reason));
    require(said(&frame), format!("the application was told {text:?} and {code}, which is not what CLOSE says"))
}

fn reason_is_told(context: &mut Context<'_>) -> Outcome {
    for code in [reason::NORMAL, reason::GOING_AWAY, 15, 0x8000, 0xBEEF] {
        is_told(context, &Close::new(code, 1).to_packet(), |frame| frame.reason == code)?;
    }
    Ok(())
}

fn text(text: &str) -> Item {
    Item::new(item::TEXT, text.as_bytes())
}

fn last_item_counts(context: &mut Context<'_>) -> Outcome {
    for texts in [&["only"][..], &["first", "last"], &["first", "second", "third"]] {
        let items = texts.iter().map(|words| text(words)).collect();
        let close = Close { items, ..Close::new(reason::NORMAL, 1) };
        is_told(context, &close.to_packet(), |frame| Some(&frame.text.as_str()) == texts.last())?;
    }
    Ok(())
}

fn items_before_malformed(context: &mut Context<'_>) -> Outcome {
    let malformed = [Item::new(item::LIMIT, [0; 15]), Item::new(item::TEXT, [0xFF, 0xFE])];
    for bad in malformed {
        let items = vec![text("kept"), bad.clone(), text("lost")];
        let close = Close { items, ..Close::new(reason::NORMAL, 1) };
        is_told(context, &close.to_packet(), |frame| frame.text == "kept")?;
        let close = Close { items: vec![bad, text("lost")], ..Close::new(reason::NORMAL, 1) };
        is_told(context, &close.to_packet(), |frame| frame.text.is_empty())?;
    }
    Ok(())
}
