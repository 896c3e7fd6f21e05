//! Sections 3 to 5: rules that hold for every kind of packet, where most tries would be of DATA alone.

use std::slice;
use std::time::Duration;

use super::hello_items::accept;
use super::{BOTH, refuses};
use crate::case::{Case, Need};
use crate::clock;
use crate::codec::registry::{flag, item, kind, reason, reject};
use crate::codec::{Close, Header, Item, Packet, encode_items};
use crate::context::Context;
use crate::peer::{Arrival, Message};
use crate::profile::Profile;
use crate::setting::Parameter;
use crate::verdict::{Failure, Outcome, require, violation};

pub(super) const CASES: &[Case] = &[
    case!(
        "PW-HDR-005/unknown-flag-on-other-kinds",
        "closes with UNKNOWN_FLAG on an undefined flag bit on packets other than DATA",
        BOTH,
        Profile::calm,
        unknown_flag_on_other_kinds
    )
    .about(&[Parameter::Class]),
    case!(
        "PW-HDR-013/trailer-of-empty-payload",
        "closes with PAYLOAD_CHECKSUM on a wrong trailer of an empty payload",
        BOTH,
        Profile::calm,
        trailer_of_empty_payload,
        [Need::NoResync]
    ),
    case!(
        "PW-HDR-013/trailer-of-control-packet",
        "closes with PAYLOAD_CHECKSUM on a wrong trailer of a control packet",
        BOTH,
        Profile::calm,
        trailer_of_control_packet,
        [Need::NoResync]
    ),
    case!(
        "PW-HDR-014/shortest-and-longest",
        "takes the shortest first packet and the longest CLOSE, and no shorter and no longer first packet",
        BOTH,
        Profile::calm,
        shortest_and_longest
    ),
    case!(
        "PW-HDR-017/checksum-before-fragments",
        "asks for CHECKSUM before it judges a frame by section 6",
        BOTH,
        Profile::calm,
        checksum_before_fragments,
        [Need::Resync]
    ),
    case!(
        "PW-KEY-001/key-of-another-connection",
        "takes nothing for a packet that has the key of another connection",
        BOTH,
        Profile::calm,
        key_of_another_connection,
        [Need::NoResync]
    ),
    case!(
        "PW-FRM-012/continuation-too-large",
        "closes with FRAME_TOO_LARGE and LIMIT at the header of a later frame above its limit",
        BOTH,
        Profile::calm,
        continuation_too_large
    ),
    case!(
        "PW-FRM-015/length-adds-time",
        "gives a packet the time that its length adds to assembly_base",
        BOTH,
        slow_assembly,
        length_adds_time
    )
    .whole_only(),
];

/// A packet without payload has 300 ms, one of 4,096 bytes two seconds more.
fn slow_assembly() -> Profile {
    Profile { assembly_base: Duration::from_millis(300), assembly_rate: 2_048, ..Profile::calm() }
}

fn unknown_flag_on_other_kinds(context: &mut Context<'_>) -> Outcome {
    let packets =
        [Packet::busy(0), Packet::reject(0, 0, reject::DAMAGED), Packet::control(kind::FIRST_PRIVATE, *b"flags")];
    for good in packets {
        for bit in [0x10, 0x80] {
            refuses(context, reason::UNKNOWN_FLAG, &Packet { flags: bit, ..good.clone() }, &good)?;
        }
    }
    Ok(())
}

/// The packet with a wrong trailer is refused, and with the right one it is taken.
fn judges_trailer(context: &mut Context<'_>, packet: &Packet) -> Outcome {
    let mut peer = context.establish()?;
    peer.send_raw(&peer.with_wrong_trailer(packet))?;
    peer.expect_rejection(reason::PAYLOAD_CHECKSUM)?;
    let mut peer = context.establish()?;
    peer.send(packet)
}

fn trailer_of_empty_payload(context: &mut Context<'_>) -> Outcome {
    let ignorable = Packet { flags: flag::CHECKSUM, ..Packet::control(kind::FIRST_PRIVATE, []) };
    for packet in [Packet::data(flag::FIRST, 0, []), ignorable.clone()] {
        judges_trailer(context, &packet)?;
    }
    let mut peer = context.establish()?;
    peer.send(&ignorable)?;
    peer.echo(&Message::new(0, []))?;
    peer.alive()
}

fn trailer_of_control_packet(context: &mut Context<'_>) -> Outcome {
    let packets = [Packet::busy(0), Packet::drain(0), Packet::reject(0, 0, reject::DAMAGED), Packet::ping(1)];
    for packet in packets {
        judges_trailer(context, &Packet { flags: flag::CHECKSUM, ..packet })?;
    }
    let mut peer = context.establish()?;
    peer.send(&Packet { flags: flag::CHECKSUM, ..Packet::busy(0) })?;
    peer.alive()?;
    let close = Packet { flags: flag::CHECKSUM, ..Close::new(reason::NORMAL, 2).to_packet() };
    peer.send(&close)?;
    peer.expect_kind(kind::CLOSE_ACK)?;
    peer.expect_end()
}

fn shortest_and_longest(context: &mut Context<'_>) -> Outcome {
    let mut peer = context.open()?;
    // What the peer holds the subject to, although it is not announced.
    (peer.hello.frame_limit, peer.hello.message_limit, peer.hello.ping_floor) = (65_536, 16_777_216, 1_000);
    let items = [Item::versions(1, 1), Item::sync_key(peer.hello.sync_key)];
    require(encode_items(&items).len() == 14, "the two items that must be there have 14 bytes")?;
    accept(&mut peer, &items)?;
    let text = Item::new(item::TEXT, vec![b'x'; 512 - 14 - 4]);
    let close = Close { items: vec![text], ..Close::new(reason::NORMAL, 1) };
    peer.send(&close.to_packet())?;
    peer.expect_kind(kind::CLOSE_ACK)?;
    peer.expect_end()?;
    for length in [13, 4_097] {
        let mut peer = context.open()?;
        let kind = peer.first_kind()?;
        // The payload never comes: the header alone decides.
        peer.send_raw(&Header { kind, flags: 0, class: 0, length }.encode(0))?;
        peer.expect_refusal(reason::BAD_LENGTH)?;
    }
    Ok(())
}

fn checksum_before_fragments(context: &mut Context<'_>) -> Outcome {
    for flags in [0, flag::MORE, flag::FIRST] {
        let frame = Packet::data(flags, 0, *b"unchecked");
        let mut peer = context.establish()?;
        peer.send(&Packet { flags, ..frame.clone() })?;
        peer.expect_rejection(reason::CHECKSUM_REQUIRED)?;
        let mut peer = context.establish()?;
        peer.send(&frame)?;
        if flags == flag::FIRST {
            peer.expect_message(&Message::new(0, *b"unchecked"))?;
        } else {
            peer.expect_rejection(reason::BAD_FRAGMENT)?;
        }
    }
    Ok(())
}

fn key_of_another_connection(context: &mut Context<'_>) -> Outcome {
    let mut other = context.establish()?;
    let mut peer = context.establish_beside(slice::from_mut(&mut other))?;
    let message = Message::new(0, *b"whose key?");
    let bytes = message.frames(512)[0].encode(other.key());
    peer.send_raw(&bytes)?;
    peer.expect_rejection(reason::BAD_HEADER)?;
    other.send_raw(&bytes)?;
    other.expect_message(&message)?;
    other.alive()
}

fn continuation_too_large(context: &mut Context<'_>) -> Outcome {
    let begin = Packet::data(flag::FIRST | flag::MORE, 0, *b"begun");
    let mut peer = context.establish()?;
    let (limit, most) = (peer.announced().frame_limit, peer.announced().message_limit);
    if limit == 0xFF_FFFF || most < limit + 5 {
        return Err(Failure::NotApplicable("no later frame is above the subject's frame limit alone".into()));
    }
    peer.send(&begin)?;
    peer.send(&Packet::data(0, 0, vec![7; limit as usize]))?;
    let whole = [b"begun".to_vec(), vec![7; limit as usize]].concat();
    peer.expect_message(&Message::new(0, whole))?;
    for flags in [0, flag::MORE] {
        let mut peer = context.establish()?;
        peer.send(&begin)?;
        // The payload never comes: the header alone decides.
        peer.send_header(&Packet::data(flags, 0, []), limit + 1)?;
        let close = peer.expect_rejection(reason::FRAME_TOO_LARGE)?;
        let due = Some((u64::from(limit), u64::from(limit) + 1));
        require(close.limit() == due, format!("the item LIMIT holds {:?} instead of {due:?}", close.limit()))?;
    }
    Ok(())
}

fn length_adds_time(context: &mut Context<'_>) -> Outcome {
    let length = context.profile.frame_limit.min(4_096);
    let (base, all) = (context.profile.assembly_base, context.profile.assembly_time(length));
    if all - base < Duration::from_secs(1) {
        return Err(Failure::NotApplicable("with the subject's numbers the length adds too little".into()));
    }
    // Later than without the length, and long before the time is over.
    let wait = base + (all - base) / 4;
    context.takes(wait)?;
    // Often enough to be a sign of life.
    let step = (wait / 24).min(context.profile.idle / 4);
    let message = Message::new(0, vec![9; length as usize]);
    let mut peer = context.establish_mute()?;
    let bytes = message.frames(length as usize)[0].encode(peer.key());
    let (began, mut sent) = (clock::now(), Header::SIZE + 1);
    peer.send_raw(&bytes[..sent])?;
    while clock::elapsed(began) < wait {
        match peer.receive_by(clock::now() + step)? {
            None => {}
            Some(Arrival::Packet(packet)) if packet.kind == kind::PING => {}
            Some(arrival) => {
                return violation(format!(
                    "{arrival:?} came {} ms after the packet began",
                    clock::elapsed(began).as_millis()
                ));
            }
        }
        if sent + 1 < bytes.len() {
            peer.send_raw(&bytes[sent..=sent])?;
            sent += 1;
        }
    }
    peer.send_raw(&bytes[sent..])?;
    peer.answers_pings = true;
    peer.expect_message(&message)?;
    peer.alive()
}
