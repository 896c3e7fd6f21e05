//! Section 7: whom the application of a server lets in.

use std::time::Duration;

use super::{CLIENT, CLOCK_TOLERANCE, SERVER};
use crate::case::{Case, Need};
use crate::clock;
use crate::codec::registry::{kind, reason};
use crate::codec::{Close, Packet, encode_items};
use crate::context::Context;
use crate::peer::{Arrival, PATIENCE, Peer};
use crate::profile::Profile;
use crate::subject::{CloseFrame, Command, Event, Happening, Id, Origin};
use crate::verdict::{Failure, Outcome, not_before, require, violation};

pub(super) const CASES: &[Case] = &[
    case!(
        "PW-HS-020/accepts",
        "answers HELLO when its application has accepted the client",
        SERVER,
        asking,
        accepts,
        [Need::OwnNumbers]
    ),
    case!(
        "PW-HS-020/refuses",
        "refuses a client with the reason, the text and the time that its application gives",
        SERVER,
        asking,
        refuses,
        [Need::OwnNumbers]
    ),
    case!(
        "PW-HS-020/time-goes-on",
        "closes when its application has not judged HELLO until handshake_timeout",
        SERVER,
        asking_briefly,
        time_goes_on,
        [Need::OwnNumbers]
    ),
    case!(
        "PW-HS-021/client-waits",
        "sends nothing as a client between HELLO and HELLO_ACK",
        CLIENT,
        Profile::calm,
        client_waits
    ),
    case!(
        "PW-HS-021/glued-to-hello",
        "closes with UNEXPECTED_PACKET when more than HELLO comes while its application judges",
        SERVER,
        asking,
        glued_to_hello,
        [Need::OwnNumbers]
    ),
    case!(
        "PW-HS-022/told",
        "tells its application what the CLOSE in place of HELLO_ACK says",
        CLIENT,
        Profile::calm,
        told
    ),
];

/// The application judges each HELLO.
pub(super) fn asking() -> Profile {
    Profile { admission: true, ..Profile::calm() }
}

/// As [`asking`], and the handshake has 400 ms.
fn asking_briefly() -> Profile {
    Profile { handshake_timeout: Duration::from_millis(400), ..asking() }
}

/// A connection whose HELLO the application judges.
pub(super) fn judging(context: &mut Context<'_>) -> Result<(Peer, Id), Failure> {
    let mut peer = context.open()?;
    let items = peer.hello.to_items();
    peer.offer(&items)?;
    let id = context.await_admission(&peer)?;
    Ok((peer, id))
}

fn accepts(context: &mut Context<'_>) -> Outcome {
    let (mut peer, id) = judging(context)?;
    context.obeyed(&peer, Command::Accept(id))?;
    peer.complete()?;
    peer.alive()?;
    require(context.connections(peer.runner)? == [id], "the connection has another id than the application was told")
}

fn refuses(context: &mut Context<'_>) -> Outcome {
    let frames = [
        CloseFrame { reason: reason::REFUSED, retry_after: Some(12_345), text: "no room at the inn".into() },
        CloseFrame { reason: reason::OVERLOADED, retry_after: Some(u32::MAX), text: String::new() },
        CloseFrame { reason: 0x8001, retry_after: Some(0), text: "Grüße".into() },
    ];
    for frame in frames {
        let (mut peer, id) = judging(context)?;
        context.obeyed(&peer, Command::Refuse { connection: id, frame: frame.clone() })?;
        // The parser of the peer demands key 0 for the first packet.
        let close = peer.expect_rejection(frame.reason)?;
        let said = close.to_frame();
        require(said == frame, format!("the CLOSE says {said:?} instead of {frame:?}"))?;
        require(close.received == 0, format!("{} messages were received before the handshake", close.received))?;
    }
    // What the application leaves open has the value of section 11.3.
    for (code, due) in [(reason::REFUSED, u32::MAX), (reason::OVERLOADED, 1_000)] {
        let (mut peer, id) = judging(context)?;
        context.obeyed(&peer, Command::Refuse { connection: id, frame: CloseFrame::from(code) })?;
        let close = peer.expect_rejection(code)?;
        let sentence = format!("retry_after of {} is {} instead of {due}", reason::name(code), close.retry_after);
        require(close.retry_after == due, sentence)?;
    }
    accepts(context)
}

fn time_goes_on(context: &mut Context<'_>) -> Outcome {
    let due = context.profile.handshake_timeout;
    let began = clock::now();
    let (mut peer, _) = judging(context)?;
    match peer.receive_by(began + due + PATIENCE)? {
        Some(Arrival::Packet(packet)) => peer.check_close(&packet, reason::HANDSHAKE_TIMEOUT)?,
        Some(Arrival::End | Arrival::Reset) => {
            return violation("the connection ended without CLOSE; HANDSHAKE_TIMEOUT was due");
        }
        None => return violation("the connection is still open long after handshake_timeout"),
    };
    let elapsed = clock::elapsed(began);
    let sentence = format!("closed after {} ms, handshake_timeout is {} ms", elapsed.as_millis(), due.as_millis());
    not_before(elapsed + CLOCK_TOLERANCE, due, sentence)?;
    peer.expect_end()
}

fn client_waits(context: &mut Context<'_>) -> Outcome {
    let mut peer = context.open()?;
    peer.read_hello(kind::HELLO)?;
    // Enough for a client that speaks at once. One that speaks later cannot know the key that its packets need.
    match peer.receive_by(clock::now() + Duration::from_millis(20)) {
        Ok(None) => {}
        Ok(Some(_)) | Err(Failure::Violation(_)) => {
            return violation("the client sent something between HELLO and HELLO_ACK");
        }
        Err(failure) => return Err(failure),
    }
    let items = encode_items(&peer.hello.to_items());
    peer.send_raw(&Packet::control(kind::HELLO_ACK, items).encode(0))?;
    peer.alive()
}

fn glued_to_hello(context: &mut Context<'_>) -> Outcome {
    accepts(context)?;
    let mut peer = context.open()?;
    let hello = Packet::control(kind::HELLO, encode_items(&peer.hello.to_items()));
    let bytes = [hello.encode(0), Packet::ping(1).encode(0)].concat();
    peer.send_raw(&bytes)?;
    peer.expect_refusal(reason::UNEXPECTED_PACKET)
}

fn told(context: &mut Context<'_>) -> Outcome {
    let frames = [
        CloseFrame { reason: reason::REFUSED, retry_after: Some(u32::MAX), text: "not you".into() },
        CloseFrame { reason: reason::OVERLOADED, retry_after: Some(54_321), text: String::new() },
        CloseFrame { reason: 0xFFFF, retry_after: Some(0), text: "später".into() },
    ];
    for frame in frames {
        let mut peer = context.open()?;
        peer.read_hello(kind::HELLO)?;
        peer.send_raw(&Close::from_frame(&frame, 0).to_packet().encode(0))?;
        peer.expect_end()?;
        let sentence = format!("the application was not told that the peer closed and said {frame:?}");
        let told = |event: &Event| {
            matches!(&event.what, Happening::Closed { frame: said, origin: Origin::Peer, .. } if *said == frame)
                .then_some(())
        };
        context.await_events(&peer, 1, PATIENCE, &sentence, told)?;
    }
    Ok(())
}
