//! Section 8.1: what is a sign of life, and what is not.

use std::time::Duration;

use super::{BOTH, CLOCK_TOLERANCE, LATENESS_TOLERANCE};
use crate::case::{Case, Need};
use crate::clock;
use crate::codec::registry::{flag, kind, reason};
use crate::codec::{Header, Packet};
use crate::context::Context;
use crate::peer::{Arrival, Message, Peer};
use crate::profile::Profile;
use crate::setting::Parameter;
use crate::verdict::{Failure, Outcome, not_before, violation};

pub(super) const CASES: &[Case] = &[
    case!(
        "PW-HB-001/every-kind-is-evidence",
        "takes a packet of any kind for a sign of life",
        BOTH,
        Profile::brisk,
        every_kind
    )
    .about(&[Parameter::Class]),
    case!(
        "PW-HB-001/header-alone",
        "takes a header for a sign of life as soon as it verifies",
        BOTH,
        Profile::brisk,
        header_alone
    )
    .whole_only(),
    case!(
        "PW-HB-002/dropped-packets",
        "takes packets with a wrong trailer for signs of life",
        BOTH,
        Profile::brisk,
        dropped_packets,
        [Need::Resync]
    )
    .whole_only(),
    case!(
        "PW-HB-002/dropped-packets-cut",
        "takes each byte of a packet for a sign of life, though its trailer is wrong in the end",
        BOTH,
        Profile::brisk,
        dropped_packets_cut,
        [Need::Resync]
    )
    .whole_only(),
    case!(
        "PW-HB-002/part-of-busy",
        "does not take a part of BUSY for a sign of life",
        BOTH,
        Profile::brisk,
        part_of_busy
    )
    .whole_only(),
    case!(
        "PW-HB-002/dropped-busy",
        "does not take BUSY with a wrong trailer for a sign of life",
        BOTH,
        Profile::brisk,
        dropped_busy,
        [Need::Resync]
    )
    .whole_only(),
    case!(
        "PW-HB-002/payload-on-its-way",
        "does not give up a peer whose payload is on its way",
        BOTH,
        Profile::brisk,
        |context| payload_on_its_way(context, 2_000)
    )
    .whole_only(),
    case!(
        "PW-HB-002/large-payload-on-its-way",
        "does not give up a peer whose large payload is on its way",
        BOTH,
        brisk_and_large,
        |context| payload_on_its_way(context, 1 << 20)
    )
    .whole_only(),
    case!(
        "PW-HB-003/partial-header",
        "does not take parts of a header for a sign of life",
        BOTH,
        Profile::brisk,
        partial_header
    )
    .whole_only(),
    case!(
        "PW-HB-003/skipped-bytes",
        "does not take skipped bytes for a sign of life",
        BOTH,
        Profile::brisk,
        skipped_bytes,
        [Need::Resync]
    ),
    case!(
        "PW-HB-003/own-sending",
        "does not take what it sends for a sign of the peer's life",
        BOTH,
        Profile::brisk,
        own_sending
    )
    .whole_only(),
];

/// Frames may be a megabyte.
fn brisk_and_large() -> Profile {
    Profile { frame_limit: 1 << 20, message_limit: 1 << 20, ..Profile::brisk() }
}

/// Does `act` again and again and expects nothing but PINGs meanwhile.
fn survives(
    peer: &mut Peer,
    duration: Duration,
    step: Duration,
    mut act: impl FnMut(&mut Peer, u32) -> Outcome,
) -> Outcome {
    let until = clock::now() + duration;
    let mut turn = 0;
    while clock::now() < until {
        act(peer, turn)?;
        turn += 1;
        let next = clock::now() + step;
        while let Some(arrival) = peer.receive_by(next)? {
            match arrival {
                Arrival::Packet(packet) if matches!(packet.kind, kind::PING | kind::DATA) => {}
                Arrival::Packet(packet) => {
                    return violation(format!("{} came to a peer that lives", kind::name(packet.kind)));
                }
                Arrival::End | Arrival::Reset => return violation("a peer that lives was cut off"),
            }
        }
    }
    Ok(())
}

/// Does `act` again and again; the subject must give the peer up all the same.
fn given_up(
    context: &Context<'_>,
    peer: &mut Peer,
    step: Duration,
    mut act: impl FnMut(&mut Peer, u32) -> Outcome,
) -> Outcome {
    // The last evidence is the message that proved the connection.
    let deadline = peer.last_sent_at + context.profile.longest_silence() + LATENESS_TOLERANCE;
    let mut turn = 0;
    while clock::now() < deadline {
        act(peer, turn)?;
        turn += 1;
        let next = (clock::now() + step).min(deadline);
        while let Some(arrival) = peer.receive_by(next)? {
            match arrival {
                Arrival::Packet(packet) if matches!(packet.kind, kind::PING | kind::DATA) => {}
                Arrival::Packet(packet) => return peer.check_close(&packet, reason::PEER_TIMEOUT).map(|_| ()),
                Arrival::End | Arrival::Reset => return violation("closed without CLOSE; PEER_TIMEOUT was due"),
            }
        }
    }
    violation("a peer without a sign of life is not given up")
}

fn every_kind(context: &mut Context<'_>) -> Outcome {
    let duration = context.profile.longest_silence() * 3;
    context.takes(duration)?;
    let step = context.profile.idle / 2;
    let mut kinds = vec![
        Packet::busy(0),
        Packet::reject(0, 0, 2),
        Packet::control(kind::FIRST_PRIVATE, []),
        Packet::data(flag::FIRST, 0, []),
    ];
    let frames = [
        Packet::data(flag::FIRST | flag::MORE, 0, *b"begun "),
        Packet::data(flag::MORE, 0, *b"and "),
        Packet::data(0, 0, *b"ended"),
    ];
    // A message has to end in its time.
    if context.profile.message_time() > step * 3 {
        kinds.extend(frames);
    }
    let mut peer = context.establish_mute()?;
    // It comes once at most.
    peer.send(&Packet::drain(0))?;
    survives(&mut peer, duration, step, |peer, turn| peer.send(&kinds[turn as usize % kinds.len()]))
}

/// At most `size` bytes long, and long enough for a byte at each step.
fn payload_on_its_way(context: &mut Context<'_>, size: usize) -> Outcome {
    let duration = context.profile.longest_silence() * 3;
    context.takes(duration)?;
    if context.profile.assembly_base < duration {
        return Err(Failure::NotApplicable("a payload may not take that long with the subject's numbers".into()));
    }
    let step = context.profile.idle / 4;
    let payload = vec![7; size.min(context.profile.frame_limit as usize)];
    let mut peer = context.establish_mute()?;
    let bytes = Packet::data(flag::FIRST, 0, payload.clone()).encode(peer.key());
    let mut sent = 13;
    peer.send_raw(&bytes[..sent])?;
    survives(&mut peer, duration, step, |peer, _| {
        sent += 1;
        peer.send_raw(&bytes[sent - 1..sent])
    })?;
    peer.send_raw(&bytes[sent..])?;
    peer.answers_pings = true;
    // What was queued while no answer was possible may come first.
    peer.expect_message(&Message::new(0, payload))
}

fn header_alone(context: &mut Context<'_>) -> Outcome {
    let idle = context.profile.idle;
    context.takes(idle * 4)?;
    // The packet is under way until the PING has come.
    not_stalled(context, 100, idle)?;
    let mut peer = context.establish_mute()?;
    for _ in 0..3 {
        if let Some(arrival) = peer.receive_by(clock::now() + idle / 2)? {
            return violation(format!("{arrival:?} came to a peer that spoke half an idle time before"));
        }
        let payload = [7; 100];
        let bytes = Packet::data(flag::FIRST, 0, payload).encode(peer.key());
        let (header, rest) = bytes.split_at(Header::SIZE);
        peer.send_raw(header)?;
        let since = peer.last_sent_at;
        let (number, at) = peer.expect_ping()?;
        let sentence = format!("PING came {} ms after a header", (at - since).as_millis());
        not_before(at - since + CLOCK_TOLERANCE, idle * 4 / 5, sentence)?;
        peer.send_raw(rest)?;
        peer.expect_message(&Message::new(0, payload))?;
        peer.send(&Packet::pong(number))?;
    }
    Ok(())
}

/// A packet that is passed over, with a payload and a wrong trailer.
fn dropped(peer: &Peer) -> Vec<u8> {
    let packet = Packet { flags: flag::CHECKSUM, ..Packet::control(kind::FIRST_PRIVATE, *b"never acted on") };
    peer.with_wrong_trailer(&packet)
}

fn dropped_packets(context: &mut Context<'_>) -> Outcome {
    let duration = context.profile.longest_silence() * 3;
    context.takes(duration)?;
    let mut peer = context.establish_mute()?;
    let bytes = dropped(&peer);
    // Fewer than the 16 gaps that are allowed.
    survives(&mut peer, duration, duration / 12, |peer, _| peer.send_raw(&bytes))?;
    peer.answers_pings = true;
    peer.alive()
}

fn dropped_packets_cut(context: &mut Context<'_>) -> Outcome {
    let duration = context.profile.longest_silence() * 3;
    context.takes(duration)?;
    let mut peer = context.establish_mute()?;
    let bytes = dropped(&peer);
    let (header, rest) = bytes.split_at(Header::SIZE);
    // One packet takes as long as all its pieces.
    let packet = duration / 40 * u32::try_from(rest.len()).expect("a few bytes");
    not_stalled(context, 14, packet)?;
    // The header in one piece, since no part of it is a sign of life.
    let pieces: Vec<&[u8]> = [header].into_iter().chain(rest.chunks(1)).collect();
    let mut sent = 0;
    survives(&mut peer, duration, duration / 40, |peer, turn| {
        sent = turn as usize + 1;
        peer.send_raw(pieces[turn as usize % pieces.len()])
    })?;
    for piece in pieces.iter().cycle().skip(sent).take((pieces.len() - sent % pieces.len()) % pieces.len()) {
        peer.send_raw(piece)?;
    }
    peer.answers_pings = true;
    peer.alive()
}

/// Not applicable if a packet of this length that is under way for so long runs into FRAME_STALL.
fn not_stalled(context: &Context<'_>, length: u32, time: Duration) -> Outcome {
    if context.profile.assembly_time(length) > time + LATENESS_TOLERANCE {
        return Ok(());
    }
    Err(Failure::NotApplicable("with the subject's numbers the packet's own time is up before".into()))
}

fn part_of_busy(context: &mut Context<'_>) -> Outcome {
    context.takes(context.profile.longest_silence())?;
    not_stalled(context, 4, context.profile.longest_silence())?;
    let step = (context.profile.longest_silence() + LATENESS_TOLERANCE) / 4;
    let mut peer = context.establish_mute()?;
    let bytes = Packet::busy(0).encode(peer.key());
    // The last byte never comes.
    let (front, rest) = bytes[..bytes.len() - 1].split_at(Header::SIZE + 1);
    let pieces: Vec<&[u8]> = [front].into_iter().chain(rest.chunks(1)).collect();
    given_up(context, &mut peer, step, |peer, turn| match pieces.get(turn as usize) {
        Some(piece) => peer.send_raw(piece),
        None => Ok(()),
    })
}

fn dropped_busy(context: &mut Context<'_>) -> Outcome {
    context.takes(context.profile.longest_silence())?;
    // Fewer than the 16 gaps that are allowed.
    let step = (context.profile.longest_silence() + LATENESS_TOLERANCE) / 14;
    let mut peer = context.establish_mute()?;
    let busy = Packet { flags: flag::CHECKSUM, ..Packet::busy(0) };
    let bytes = peer.with_wrong_trailer(&busy);
    given_up(context, &mut peer, step, |peer, _| peer.send_raw(&bytes))
}

fn partial_header(context: &mut Context<'_>) -> Outcome {
    context.takes(context.profile.longest_silence())?;
    not_stalled(context, 0, context.profile.longest_silence())?;
    // Ten of twelve bytes, spread over more than the time in which the verdict is due.
    let step = (context.profile.longest_silence() + LATENESS_TOLERANCE) / 10;
    let mut peer = context.establish_mute()?;
    let bytes = Packet::ping(1).encode(peer.key());
    given_up(context, &mut peer, step, |peer, turn| match bytes.get(turn as usize) {
        Some(byte) if turn < 11 => peer.send_raw(&[*byte]),
        Some(_) | None => Ok(()),
    })
}

fn skipped_bytes(context: &mut Context<'_>) -> Outcome {
    context.takes(context.profile.longest_silence())?;
    let step = context.profile.idle / 4;
    // What is left of each piece waits for the next one, as the begin of a packet.
    not_stalled(context, 0, step)?;
    let mut peer = context.establish_mute()?;
    given_up(context, &mut peer, step, |peer, _| peer.send_raw(&[0; 20]))
}

fn own_sending(context: &mut Context<'_>) -> Outcome {
    context.takes(context.profile.longest_silence())?;
    let step = context.profile.idle / 4;
    let mut peer = context.establish_mute()?;
    let id = context.youngest(&peer)?;
    let deadline = peer.last_sent_at + context.profile.longest_silence() + LATENESS_TOLERANCE;
    while clock::now() < deadline {
        context.send_quietly(&peer, id, b"nobody answers")?;
        let next = clock::now() + step;
        while let Some(arrival) = peer.receive_by(next)? {
            match arrival {
                Arrival::Packet(packet) if matches!(packet.kind, kind::PING | kind::DATA) => {}
                Arrival::Packet(packet) => return peer.check_close(&packet, reason::PEER_TIMEOUT).map(|_| ()),
                Arrival::End | Arrival::Reset => return violation("closed without CLOSE; PEER_TIMEOUT was due"),
            }
        }
    }
    violation("a silent peer to which messages are sent is not given up")
}
