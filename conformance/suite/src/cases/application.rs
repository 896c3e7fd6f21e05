//! Section 9.3: what an application says when it closes.

use super::admission::{asking, judging};
use super::{BOTH, SERVER, waiting};
use crate::case::{Case, Need};
use crate::codec::registry::{kind, reason};
use crate::codec::{Close, Packet};
use crate::context::Context;
use crate::peer::{Arrival, Peer};
use crate::profile::Profile;
use crate::subject::{CloseFrame, Command, Id, Reply};
use crate::verdict::{Outcome, require, violation};

pub(super) const CASES: &[Case] = &[
    case!(
        "PW-CLS-009/fault-of-application",
        "closes for a fault that its application found as for any other",
        BOTH,
        Profile::calm,
        fault_of_application
    )
    .whole_only(),
    case!(
        "PW-CLS-021/own-words",
        "carries the text and the time of its application in CLOSE",
        BOTH,
        Profile::calm,
        own_words
    ),
    case!(
        "PW-CLS-021/long-text",
        "cuts a text that is too long between two characters",
        BOTH,
        Profile::calm,
        long_text
    ),
    case!(
        "PW-CLS-021/told",
        "tells its application the text and the time in the CLOSE of its peer",
        BOTH,
        Profile::calm,
        told
    ),
    case!(
        "PW-VER-001/reason-of-application",
        "closes with no reason that an application may not choose",
        BOTH,
        Profile::calm,
        reason_of_application
    ),
    case!(
        "PW-VER-001/reason-of-refusal",
        "refuses a client with no reason that an application may not choose",
        SERVER,
        asking,
        reason_of_refusal,
        [Need::OwnNumbers]
    ),
];

/// Reasons that stand in no CLOSE, and faults that the registry does not list.
const NOT_FOR_APPLICATIONS: [u16; 9] = [0, 5, 15, 30, 255, 256, 259, 1_000, 32_767];

fn fault_of_application(context: &mut Context<'_>) -> Outcome {
    let (mut peer, id) = context.establish_with_id()?;
    let count = waiting::fill(context, &mut peer, id)?;
    let frame = CloseFrame { reason: reason::BAD_FRAGMENT, retry_after: Some(7), text: "not what we agreed".into() };
    context.obeyed(&peer, Command::Close { connection: id, frame: frame.clone() })?;
    let mut messages = 0;
    loop {
        match peer.receive()? {
            Arrival::Packet(packet) if packet.kind == kind::DATA => {
                messages += usize::from(peer.take_frame(packet)?.is_some());
                require(messages < count, format!("no CLOSE came before the last of {count} messages"))?;
            }
            Arrival::Packet(packet) => {
                let said = peer.check_close(&packet, frame.reason)?.to_frame();
                require(said == frame, format!("the CLOSE says {said:?} instead of {frame:?}"))?;
                // No CLOSE_ACK is waited for.
                return peer.expect_end();
            }
            Arrival::End | Arrival::Reset => return violation("the stream ended without CLOSE"),
        }
    }
}

/// The subject closes and says this.
fn closes(context: &mut Context<'_>, frame: CloseFrame) -> Result<(Peer, Close), crate::verdict::Failure> {
    let (mut peer, id) = context.establish_with_id()?;
    let code = frame.reason;
    context.obeyed(&peer, Command::Close { connection: id, frame })?;
    let close = peer.expect_close(code)?;
    peer.send(&Packet::close_ack(peer.received))?;
    peer.expect_end()?;
    Ok((peer, close))
}

fn own_words(context: &mut Context<'_>) -> Outcome {
    let frames = [
        CloseFrame { reason: reason::GOING_AWAY, retry_after: Some(12_345), text: "we move house".into() },
        CloseFrame { reason: reason::NORMAL, retry_after: Some(u32::MAX), text: String::new() },
        CloseFrame { reason: reason::REFUSED, retry_after: Some(0), text: "Grüße".into() },
        CloseFrame { reason: 0x8001, retry_after: Some(1), text: "\u{1}".into() },
    ];
    for frame in frames {
        let (_, close) = closes(context, frame.clone())?;
        let said = close.to_frame();
        require(said == frame, format!("the CLOSE says {said:?} instead of {frame:?}"))?;
    }
    // What the application leaves open has the value of section 11.3.
    for (code, due) in [(reason::NORMAL, 0), (reason::OVERLOADED, 1_000), (reason::REFUSED, u32::MAX)] {
        let (_, close) = closes(context, CloseFrame::from(code))?;
        let sentence = format!("retry_after of {} is {} instead of {due}", reason::name(code), close.retry_after);
        require(close.retry_after == due, sentence)?;
    }
    Ok(())
}

fn long_text(context: &mut Context<'_>) -> Outcome {
    // Wherever the room ends, it ends within a character of one of them.
    for front in ["", "x", "xx"] {
        let text = front.to_owned() + &"\u{20AC}".repeat(400);
        let frame = CloseFrame { reason: reason::NORMAL, retry_after: None, text: text.clone() };
        // A CLOSE whose text is no UTF-8 is refused when it comes.
        let (_, close) = closes(context, frame)?;
        let said = close.to_frame().text;
        require(!said.is_empty() && text.starts_with(&said), format!("the text was not cut, but became {said:?}"))?;
    }
    Ok(())
}

fn told(context: &mut Context<'_>) -> Outcome {
    let frames = [
        CloseFrame { reason: reason::GOING_AWAY, retry_after: Some(12_345), text: "we move house".into() },
        CloseFrame { reason: 0xFFFF, retry_after: Some(u32::MAX), text: "später".into() },
    ];
    for frame in frames {
        let (mut peer, id) = context.establish_with_id()?;
        peer.send(&Close::from_frame(&frame, 1).to_packet())?;
        peer.expect_kind(kind::CLOSE_ACK)?;
        peer.expect_end()?;
        let said = context.await_closing(&peer, id)?;
        require(said == frame, format!("the application was told {said:?} instead of {frame:?}"))?;
    }
    Ok(())
}

/// Says something with a reason that is not permitted; tells whether the subject took another in its place.
fn is_replaced(context: &mut Context<'_>, peer: &Peer, command: Command) -> Result<bool, crate::verdict::Failure> {
    match context.control(peer, command)? {
        Reply::Done => Ok(true),
        Reply::Refused { .. } => Ok(false),
        reply => violation(format!("{reply:?} came to a reason that is not permitted")),
    }
}

fn reason_of_application(context: &mut Context<'_>) -> Outcome {
    for code in NOT_FOR_APPLICATIONS {
        let (mut peer, id) = context.establish_with_id()?;
        let command = Command::Close { connection: id, frame: CloseFrame::from(code) };
        if is_replaced(context, &peer, command)? {
            peer.expect_close(reason::NORMAL)?;
            peer.send(&Packet::close_ack(peer.received))?;
            peer.expect_end()?;
        } else {
            peer.alive()?;
        }
    }
    for code in [reason::NORMAL, reason::GOING_AWAY, reason::REFUSED, reason::OVERLOADED, 0x8000, 0xFFFF] {
        closes(context, CloseFrame::from(code))?;
    }
    Ok(())
}

fn reason_of_refusal(context: &mut Context<'_>) -> Outcome {
    for code in NOT_FOR_APPLICATIONS {
        let (mut peer, id): (Peer, Id) = judging(context)?;
        let command = Command::Refuse { connection: id, frame: CloseFrame::from(code) };
        if is_replaced(context, &peer, command)? {
            peer.expect_rejection(reason::REFUSED)?;
        } else {
            context.obeyed(&peer, Command::Accept(id))?;
            peer.complete()?;
            peer.alive()?;
        }
    }
    Ok(())
}
