//! What the peer may say of the messages that the subject sent (PW-REJ-008, PW-CLS-019).

use super::BOTH;
use super::drain::ended_with;
use crate::case::Case;
use crate::codec::registry::{kind, reason, reject};
use crate::codec::{Close, Packet};
use crate::context::Context;
use crate::peer::{Arrival, Message, Peer};
use crate::profile::Profile;
use crate::setting::Parameter;
use crate::verdict::{Failure, Outcome, violation};

pub(super) const CASES: &[Case] = &[
    case!(
        "PW-REJ-008/message-never-sent",
        "closes with BAD_COUNT on REJECT for a message that it never began to send",
        BOTH,
        Profile::calm,
        message_never_sent
    )
    .about(&[Parameter::Class]),
    case!(
        "PW-REJ-008/of-another-class",
        "counts the messages of each class by themselves when it judges the ordinal of a REJECT",
        BOTH,
        Profile::calm,
        of_another_class
    )
    .about(&[Parameter::Class]),
    case!(
        "PW-REJ-008/ordinal-does-not-grow",
        "closes with BAD_COUNT on an ordinal that is not above the last one for its class",
        BOTH,
        Profile::calm,
        ordinal_does_not_grow
    )
    .about(&[Parameter::Class]),
    case!(
        "PW-REJ-008/too-many",
        "closes with BAD_COUNT on more REJECTs for a class than it has begun to send messages of it",
        BOTH,
        Profile::calm,
        too_many
    )
    .about(&[Parameter::Class]),
    case!(
        "PW-CLS-019/refused-and-received",
        "closes with BAD_COUNT on a count that holds messages which were refused",
        BOTH,
        Profile::calm,
        refused_and_received
    )
    .about(&[Parameter::Class]),
    case!(
        "PW-CLS-019/received-and-refused",
        "closes with BAD_COUNT on a REJECT for which the last count leaves no room",
        BOTH,
        Profile::calm,
        received_and_refused
    )
    .about(&[Parameter::Class]),
    case!(
        "PW-CLS-019/begun-only",
        "closes with BAD_COUNT on a count that holds a message of which it still sends",
        BOTH,
        large_message,
        begun_only
    )
    .whole_only(),
];

/// One message is more than the transport takes.
fn large_message() -> Profile {
    Profile { message_limit: 16_777_216, ..Profile::calm() }
}

fn reject_of(class: u8, ordinal: u64) -> Packet {
    Packet::reject(class, ordinal, reject::DAMAGED)
}

/// A connection on which the subject has sent so many messages of class 0 and of class 2.
fn after(context: &mut Context<'_>, unclassified: usize, of_class_2: usize) -> Result<Peer, Failure> {
    // One of class 0 is sent to see that it works.
    let mut peer = context.establish()?;
    for _ in 1..unclassified {
        peer.alive()?;
    }
    for _ in 0..of_class_2 {
        peer.echo(&Message::new(2, *b"of another class"))?;
    }
    Ok(peer)
}

/// These packets are taken, and the connection goes on.
fn takes(peer: &mut Peer, packets: &[Packet]) -> Outcome {
    packets.iter().try_for_each(|packet| peer.send(packet))?;
    peer.barrier()
}

/// These packets are taken, and `bad` is a fault.
fn refuses(mut peer: Peer, good: &[Packet], bad: &Packet) -> Outcome {
    takes(&mut peer, good)?;
    peer.send(bad)?;
    peer.expect_rejection(reason::BAD_COUNT).map(|_| ())
}

fn message_never_sent(context: &mut Context<'_>) -> Outcome {
    for ordinal in [2, u64::MAX] {
        let mut peer = context.establish()?;
        peer.send(&Packet::reject(0, ordinal, reject::TOO_LARGE))?;
        peer.expect_rejection(reason::BAD_COUNT)?;
    }
    let mut peer = context.establish()?;
    peer.alive()?;
    for ordinal in [0, 1, 3] {
        peer.send(&Packet::reject(0, ordinal, reject::TOO_LARGE))?;
        peer.alive()?;
    }
    Ok(())
}

fn of_another_class(context: &mut Context<'_>) -> Outcome {
    refuses(after(context, 3, 1)?, &[], &reject_of(2, 2))?;
    refuses(after(context, 3, 1)?, &[], &reject_of(3, 1))?;
    let mut peer = after(context, 3, 1)?;
    takes(&mut peer, &[reject_of(2, 1), reject_of(0, 3)])?;
    peer.alive()
}

fn ordinal_does_not_grow(context: &mut Context<'_>) -> Outcome {
    refuses(after(context, 4, 0)?, &[reject_of(0, 1)], &reject_of(0, 1))?;
    refuses(after(context, 4, 0)?, &[reject_of(0, 3)], &reject_of(0, 2))?;
    // One that is not known says nothing about the others.
    refuses(after(context, 4, 0)?, &[reject_of(0, 3), reject_of(0, 0)], &reject_of(0, 3))?;
    let mut peer = after(context, 4, 2)?;
    takes(&mut peer, &[reject_of(0, 2), reject_of(0, 0), reject_of(2, 1), reject_of(0, 3), reject_of(2, 2)])?;
    peer.alive()
}

fn too_many(context: &mut Context<'_>) -> Outcome {
    refuses(after(context, 1, 4)?, &[reject_of(0, 0)], &reject_of(0, 0))?;
    refuses(after(context, 1, 4)?, &[reject_of(0, 1)], &reject_of(0, 0))?;
    let mut peer = after(context, 1, 4)?;
    takes(&mut peer, &[reject_of(0, 0), reject_of(2, 0), reject_of(2, 0), reject_of(2, 0), reject_of(2, 0)])?;
    peer.alive()
}

fn refused_and_received(context: &mut Context<'_>) -> Outcome {
    let bad = [Packet::drain(3), Close::new(reason::NORMAL, 3).to_packet()];
    for packet in &bad {
        refuses(after(context, 2, 1)?, &[reject_of(2, 1)], packet)?;
    }
    let mut peer = after(context, 2, 1)?;
    takes(&mut peer, &[reject_of(2, 1), Packet::drain(2)])?;
    peer.alive()?;
    peer.send(&Close::new(reason::NORMAL, 3).to_packet())?;
    peer.expect_kind(kind::CLOSE_ACK)?;
    peer.expect_end()?;
    // Behind its own CLOSE it sends no other.
    for (received, code) in [(1, reason::BAD_COUNT), (0, reason::NORMAL)] {
        let (mut peer, id) = context.establish_with_id()?;
        takes(&mut peer, &[reject_of(0, 0)])?;
        context.close_from(&peer, id, reason::NORMAL)?;
        peer.expect_close(reason::NORMAL)?;
        peer.send(&Packet::close_ack(received))?;
        peer.expect_end()?;
        peer.half_close();
        ended_with(context, &peer, id, code)?;
    }
    Ok(())
}

fn received_and_refused(context: &mut Context<'_>) -> Outcome {
    refuses(after(context, 2, 1)?, &[Packet::drain(3)], &reject_of(0, 0))?;
    refuses(after(context, 2, 1)?, &[Packet::drain(2), reject_of(0, 0)], &reject_of(2, 1))?;
    let mut peer = after(context, 2, 1)?;
    takes(&mut peer, &[Packet::drain(1), reject_of(2, 1), reject_of(0, 2)])?;
    peer.alive()?;
    // What was sent since leaves room.
    takes(&mut peer, &[reject_of(0, 3)])
}

fn begun_only(context: &mut Context<'_>) -> Outcome {
    let size = context.enough_to_wait();
    for is_read in [false, true] {
        let (mut peer, id) = context.establish_with_id()?;
        context.send_from(&peer, id, 0, &vec![5; size])?;
        if is_read {
            peer.next_message()?;
            takes(&mut peer, &[Packet::drain(2)])?;
            return peer.alive();
        }
        peer.await_bytes()?;
        peer.send(&Packet::drain(2))?;
        loop {
            match peer.receive()? {
                Arrival::Packet(packet) if packet.kind == kind::DATA => {
                    if peer.take_frame(packet)?.is_some() {
                        return violation("a count that holds a message on its way is taken");
                    }
                }
                Arrival::Packet(packet) => {
                    peer.check_close(&packet, reason::BAD_COUNT)?;
                    break;
                }
                Arrival::End | Arrival::Reset => return violation("closed without CLOSE; BAD_COUNT was due"),
            }
        }
        peer.expect_end()?;
    }
    Ok(())
}
