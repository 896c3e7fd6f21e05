//! Appendix A: what each kind means in each state that can be reached from outside.

use super::admission::{asking, judging};
use super::close::{closing, is_read_on};
use super::{BOTH, CLIENT, SERVER, waiting};
use crate::case::{Case, Need};
use crate::clock;
use crate::codec::registry::{flag, kind, reason, reject};
use crate::codec::{Close, Packet, encode_items};
use crate::context::Context;
use crate::peer::{Arrival, Message, Peer};
use crate::profile::Profile;
use crate::setting::Parameter;
use crate::subject::Id;
use crate::verdict::{Failure, Outcome, require, violation};

pub(super) const CASES: &[Case] = &[
    case!(
        "PW-HDR-017/state-hello-sent",
        "takes nothing but HELLO_ACK and CLOSE as a client that has sent HELLO",
        CLIENT,
        Profile::calm,
        hello_sent
    ),
    case!(
        "PW-HDR-017/state-nothing-received",
        "takes nothing but HELLO as a server that has received nothing",
        SERVER,
        Profile::calm,
        nothing_received
    ),
    case!(
        "PW-HDR-017/state-judging",
        "takes nothing as a server whose application judges HELLO",
        SERVER,
        asking,
        while_judging,
        [Need::OwnNumbers]
    ),
    case!("PW-HDR-017/state-open", "takes and refuses the right kinds while open", BOTH, Profile::calm, open)
        .about(&[Parameter::Class]),
    case!(
        "PW-HDR-017/state-closing",
        "takes and refuses the right kinds after its CLOSE",
        BOTH,
        Profile::calm,
        own_close
    )
    .about(&[Parameter::Class]),
    case!(
        "PW-CLS-010/close-still-waits",
        "closes with UNEXPECTED_PACKET on CLOSE_ACK while its CLOSE still waits",
        BOTH,
        Profile::calm,
        close_still_waits
    ),
    case!(
        "PW-HDR-017/state-peer-closing",
        "takes and refuses the right kinds after the peer's CLOSE",
        BOTH,
        Profile::calm,
        peer_closing
    )
    .about(&[Parameter::Class]),
    case!(
        "PW-CLS-013/drain-behind-close",
        "closes with UNEXPECTED_PACKET on DRAIN behind CLOSE",
        BOTH,
        Profile::calm,
        drain_behind_close
    ),
    case!(
        "PW-HDR-017/state-both-closing",
        "takes and refuses the right kinds after both CLOSE",
        BOTH,
        Profile::calm,
        both_closing
    ),
    case!("PW-HDR-017/state-over", "acts on no kind after a fault of either side", BOTH, Profile::calm, over),
];

/// A packet of every kind, apart from PONG, whose number is judged too; CLOSE is not for a fault.
fn every_kind(peer: &Peer) -> Vec<Packet> {
    let items = encode_items(&peer.hello.to_items());
    vec![
        Packet::control(kind::HELLO, items.clone()),
        Packet::control(kind::HELLO_ACK, items),
        Packet::reject(0, 0, reject::DAMAGED),
        Packet::data(flag::FIRST, 0, *b"data"),
        Packet::ping(1_000),
        Packet::busy(0),
        Packet::drain(0),
        Close::new(reason::NORMAL, 0).to_packet(),
        Packet::close_ack(0),
        Packet::control(kind::FIRST_PRIVATE, *b"ignorable"),
    ]
}

/// The packets of every kind but these.
fn every_kind_but(peer: &Peer, without: &[u8]) -> Vec<Packet> {
    let mut packets = every_kind(peer);
    packets.retain(|packet| !without.contains(&packet.kind));
    packets
}

/// What the table says about a kind.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Meaning {
    Unexpected,
    Taken,
    /// CLOSE or CLOSE_ACK, where it is expected.
    Ends,
}

fn hello_sent(context: &mut Context<'_>) -> Outcome {
    let greeted = |context: &mut Context<'_>| {
        let mut peer = context.open()?;
        peer.read_hello(kind::HELLO)?;
        Ok(peer)
    };
    let mut peer: Peer = greeted(context)?;
    for packet in every_kind_but(&peer, &[kind::HELLO_ACK, kind::CLOSE]).into_iter().chain([Packet::pong(0)]) {
        peer.send_raw(&packet.encode(0))?;
        peer.expect_refusal(reason::UNEXPECTED_PACKET)?;
        peer = greeted(context)?;
    }
    peer.send_raw(&Close::new(reason::REFUSED, 0).to_packet().encode(0))?;
    peer.expect_end()?;
    context.establish()?.alive()
}

fn nothing_received(context: &mut Context<'_>) -> Outcome {
    let mut peer = context.open()?;
    for packet in every_kind_but(&peer, &[kind::HELLO]).into_iter().chain([Packet::pong(0)]) {
        peer.send_raw(&packet.encode(0))?;
        peer.expect_refusal(reason::UNEXPECTED_PACKET)?;
        peer = context.open()?;
    }
    context.establish()?.alive()
}

fn while_judging(context: &mut Context<'_>) -> Outcome {
    let (mut peer, _) = judging(context)?;
    for packet in every_kind_but(&peer, &[kind::FIRST_PRIVATE]).into_iter().chain([Packet::pong(0)]) {
        peer.send_raw(&packet.encode(0))?;
        peer.expect_refusal(reason::UNEXPECTED_PACKET)?;
        (peer, _) = judging(context)?;
    }
    Ok(())
}

fn open(context: &mut Context<'_>) -> Outcome {
    let mut peer = context.establish()?;
    for packet in every_kind(&peer) {
        let meaning = match packet.kind {
            kind::HELLO | kind::HELLO_ACK | kind::CLOSE_ACK => Meaning::Unexpected,
            kind::CLOSE => Meaning::Ends,
            _ => Meaning::Taken,
        };
        peer.send(&packet)?;
        match meaning {
            Meaning::Unexpected => drop(peer.expect_rejection(reason::UNEXPECTED_PACKET)?),
            Meaning::Ends => {
                peer.expect_kind(kind::CLOSE_ACK)?;
                peer.expect_end()?;
            }
            Meaning::Taken => {
                match packet.kind {
                    kind::DATA => peer.expect_message(&Message::new(0, *b"data"))?,
                    kind::PING => peer.expect_pong(1_000)?,
                    _ => {}
                }
                peer.alive()?;
            }
        }
        peer = context.establish()?;
    }
    // A PONG is taken: its number is judged.
    peer.send(&Packet::pong(0))?;
    peer.expect_rejection(reason::BAD_PONG).map(|_| ())
}

fn own_close(context: &mut Context<'_>) -> Outcome {
    let (mut peer, _) = closing(context)?;
    for packet in every_kind(&peer) {
        peer.send(&packet)?;
        match packet.kind {
            // Behind its own CLOSE the subject says nothing about it.
            kind::HELLO | kind::HELLO_ACK => peer.expect_end()?,
            kind::CLOSE_ACK => peer.expect_end()?,
            kind::CLOSE => {
                peer.expect_kind(kind::CLOSE_ACK)?;
                peer.send(&Packet::close_ack(peer.received))?;
                peer.expect_end()?;
            }
            _ => {
                if packet.kind == kind::PING {
                    peer.expect_pong(1_000)?;
                } else {
                    peer.barrier()?;
                }
                peer.send(&Packet::close_ack(peer.received))?;
                peer.expect_end()?;
            }
        }
        (peer, _) = closing(context)?;
    }
    peer.send(&Packet::drain(0))?;
    peer.barrier()?;
    peer.send(&Packet::drain(0))?;
    peer.expect_end()?;
    let (mut peer, _) = closing(context)?;
    peer.send(&Close::new(reason::BAD_FRAGMENT, 0).to_packet())?;
    peer.expect_end()
}

/// The connection ended for this reason.
fn ended_with(context: &mut Context<'_>, peer: &Peer, id: Id, code: u16) -> Outcome {
    let (frame, _) = context.await_ending(peer, id, waiting::LONG_PATIENCE)?;
    let (given, due) = (reason::name(frame.reason), reason::name(code));
    require(frame.reason == code, format!("ended with {given} instead of {due}"))
}

fn close_still_waits(context: &mut Context<'_>) -> Outcome {
    let (mut peer, id) = context.establish_with_id()?;
    waiting::fill(context, &mut peer, id)?;
    context.close_from(&peer, id, reason::NORMAL)?;
    peer.send(&Packet::close_ack(1))?;
    // Nothing is read: the CLOSE of the subject stays where it is.
    ended_with(context, &peer, id, reason::UNEXPECTED_PACKET)?;
    let (mut peer, _) = closing(context)?;
    peer.send(&Packet::close_ack(1))?;
    peer.expect_end()
}

/// `packet` comes in one piece with a CLOSE. PONG may come before the end, and CLOSE_ACK before a fault is met.
fn glued_to_close(context: &mut Context<'_>, packet: &Packet) -> Result<Peer, Failure> {
    let mut peer = context.establish()?;
    // Its count leaves room for a REJECT.
    peer.send_glued(&[Close::new(reason::NORMAL, 0).to_packet(), packet.clone()])?;
    Ok(peer)
}

/// CLOSE with UNEXPECTED_PACKET; or CLOSE_ACK, behind which no CLOSE may come, where the subject was faster.
fn expect_unexpected(peer: &mut Peer) -> Outcome {
    match peer.receive()? {
        Arrival::Packet(packet) if packet.kind == kind::CLOSE_ACK => {
            require(packet.number() == 1, "what came behind CLOSE was received")?;
        }
        Arrival::Packet(packet) => drop(peer.check_close(&packet, reason::UNEXPECTED_PACKET)?),
        Arrival::End | Arrival::Reset => return violation("the stream ended without CLOSE_ACK and without CLOSE"),
    }
    peer.expect_end()
}

fn peer_closing(context: &mut Context<'_>) -> Outcome {
    let packets = every_kind(&context.establish()?);
    for packet in packets {
        let mut peer = glued_to_close(context, &packet)?;
        match packet.kind {
            kind::HELLO | kind::HELLO_ACK | kind::DATA | kind::DRAIN | kind::CLOSE | kind::CLOSE_ACK => {
                expect_unexpected(&mut peer)?;
            }
            _ => {
                let mut next = peer.receive()?;
                if matches!(&next, Arrival::Packet(pong) if packet.kind == kind::PING && pong.kind == kind::PONG) {
                    next = peer.receive()?;
                }
                let acknowledged = matches!(&next, Arrival::Packet(last) if last.kind == kind::CLOSE_ACK);
                require(acknowledged, format!("{next:?} instead of CLOSE_ACK, behind CLOSE with {packet:?}"))?;
                peer.expect_end()?;
            }
        }
    }
    context.establish()?.alive()
}

fn drain_behind_close(context: &mut Context<'_>) -> Outcome {
    let mut peer = glued_to_close(context, &Packet::drain(0))?;
    expect_unexpected(&mut peer)?;
    let mut peer = context.establish()?;
    peer.send_glued(&[Packet::drain(0), Close::new(reason::NORMAL, 1).to_packet()])?;
    peer.expect_kind(kind::CLOSE_ACK)?;
    peer.expect_end()?;
    // While the messages of the subject wait, its CLOSE_ACK waits too, and the fault has to be told.
    let (mut peer, id) = context.establish_with_id()?;
    waiting::fill(context, &mut peer, id)?;
    peer.send_glued(&[Close::new(reason::NORMAL, 1).to_packet(), Packet::drain(0)])?;
    ended_with(context, &peer, id, reason::UNEXPECTED_PACKET)
}

/// Both sides have sent CLOSE, and the subject CLOSE_ACK.
fn both_have_closed(context: &mut Context<'_>) -> Result<Peer, Failure> {
    let (mut peer, _) = closing(context)?;
    peer.send(&Close::new(reason::NORMAL, peer.received).to_packet())?;
    peer.expect_kind(kind::CLOSE_ACK)?;
    Ok(peer)
}

fn both_closing(context: &mut Context<'_>) -> Outcome {
    let mut peer = both_have_closed(context)?;
    for packet in every_kind(&peer) {
        peer.send(&packet)?;
        match packet.kind {
            kind::HELLO | kind::HELLO_ACK | kind::DATA | kind::DRAIN | kind::CLOSE | kind::CLOSE_ACK => {}
            // Taken without an answer: behind CLOSE_ACK nothing more is sent.
            _ => peer.send(&Packet::close_ack(peer.received))?,
        }
        peer.expect_end()?;
        peer = both_have_closed(context)?;
    }
    Ok(())
}

fn over(context: &mut Context<'_>) -> Outcome {
    let mut peer = context.establish()?;
    for packet in every_kind(&peer) {
        let key = peer.key();
        let bad = Packet { class: 1, ..Packet::ping(1) };
        let began = clock::now();
        peer.send_raw(&[bad.encode(key), packet.encode(key)].concat())?;
        peer.expect_rejection(reason::BAD_PACKET)?;
        is_read_on(&mut peer, &packet.encode(key), began)?;
        let mut other = context.establish()?;
        other.send_glued(&[Close::new(reason::BAD_FRAGMENT, 0).to_packet(), packet])?;
        other.expect_end()?;
        peer = context.establish()?;
    }
    peer.alive()
}
