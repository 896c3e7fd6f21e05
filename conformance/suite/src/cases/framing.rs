//! Section 5 without resynchronising: splits, the first packet, limits and stalls.

use std::time::{Duration, Instant};

use super::{BOTH, CLIENT, CLOCK_TOLERANCE, SERVER};
use crate::case::{Case, Need};
use crate::clock;
use crate::codec::registry::{flag, kind, reason};
use crate::codec::{Packet, encode_items};
use crate::context::Context;
use crate::peer::{Arrival, Message, PATIENCE, Peer};
use crate::profile::Profile;
use crate::role::Role;
use crate::verdict::{Failure, Outcome, not_before, require, violation};

pub(super) const CASES: &[Case] = &[
    case!(
        "PW-FRM-001/split-at-every-byte",
        "takes a message that was split at any byte",
        BOTH,
        Profile::calm,
        split_at_every_byte
    )
    .whole_only(),
    case!(
        "PW-FRM-001/byte-by-byte",
        "takes a handshake and a message that come byte by byte",
        BOTH,
        Profile::calm,
        byte_by_byte
    )
    .whole_only(),
    case!(
        "PW-FRM-001/large-frames",
        "takes frames of up to a megabyte, each in two parts of which the second has the next one behind it",
        BOTH,
        large,
        large_frames
    )
    .whole_only(),
    case!("PW-FRM-001/glued", "takes many packets that come in one piece", BOTH, Profile::calm, glued).whole_only(),
    case!(
        "PW-FRM-001/glued-to-hello",
        "takes a message that comes in one piece with the rest of the handshake",
        CLIENT,
        Profile::calm,
        glued_to_hello_ack
    )
    .whole_only(),
    case!(
        "PW-FRM-002/garbage",
        "closes with BAD_HEADER when 12 bytes do not verify",
        BOTH,
        Profile::calm,
        garbage_without_resync,
        [Need::NoResync]
    ),
    case!(
        "PW-FRM-003/garbage-first",
        "closes when the first 12 bytes do not verify",
        BOTH,
        Profile::calm,
        garbage_first
    ),
    case!(
        "PW-FRM-003/hello-behind-garbage",
        "does not look for the first packet behind garbage",
        BOTH,
        Profile::calm,
        hello_behind_garbage
    ),
    case!(
        "PW-FRM-004/other-packet-first",
        "closes with UNEXPECTED_PACKET when the first packet is another than the handshake's",
        BOTH,
        Profile::calm,
        other_packet_first
    ),
    case!(
        "PW-FRM-004/hello-ack-to-server",
        "closes with UNEXPECTED_PACKET when a client sends HELLO_ACK first",
        SERVER,
        Profile::calm,
        hello_ack_to_server
    ),
    case!(
        "PW-FRM-012/frame-too-large",
        "closes with FRAME_TOO_LARGE and LIMIT at the header of a frame above its limit",
        BOTH,
        Profile::calm,
        frame_too_large
    ),
    case!(
        "PW-FRM-013/hostile-lengths",
        "serves others while many connections have announced a frame that never comes",
        SERVER,
        Profile::calm,
        hostile_lengths
    ),
    case!(
        "PW-FRM-015/stalled-payload",
        "closes with FRAME_STALL when the payload trickles beyond its time, and not before",
        BOTH,
        stalling,
        stalled_payload
    )
    .whole_only(),
    case!(
        "PW-FRM-015/stalled-header",
        "closes with FRAME_STALL when the rest of a header does not come",
        BOTH,
        stalling,
        stalled_header
    )
    .whole_only(),
    case!(
        "PW-FRM-015/fast-enough",
        "takes packets that are complete in time, however long they take together",
        BOTH,
        stalling,
        fast_enough
    )
    .whole_only(),
    case!(
        "PW-FRM-016/message-behind-fault",
        "does not act on what follows a packet for which it closed",
        BOTH,
        Profile::calm,
        message_behind_fault
    ),
];

/// A packet has 900 ms to be complete, and its length adds a little.
fn stalling() -> Profile {
    Profile { assembly_base: Duration::from_millis(900), assembly_rate: 100_000, ..Profile::calm() }
}

/// Frames may be a megabyte.
fn large() -> Profile {
    Profile { frame_limit: 1 << 20, message_limit: 1 << 20, ..Profile::calm() }
}

fn split_at_every_byte(context: &mut Context<'_>) -> Outcome {
    let mut peer = context.establish()?;
    let size = Message::new(2, *b"cut at 00").frames(512)[0].encode(0).len();
    for cut in 1..size {
        let message = Message::new(2, format!("cut at {cut:02}"));
        let bytes = message.frames(512)[0].encode(peer.key());
        peer.send_raw(&bytes[..cut])?;
        pause(cut);
        peer.send_raw(&bytes[cut..])?;
        peer.expect_message(&message)?;
    }
    Ok(())
}

/// Lets the receiver run between two pieces. It is no proof that it did: the case is repeated at every byte.
fn pause(turn: usize) {
    clock::sleep(Duration::from_micros(200 + 50 * (turn as u64 % 8)));
}

fn byte_by_byte(context: &mut Context<'_>) -> Outcome {
    let mut peer = context.open()?;
    let payload = encode_items(&peer.hello.to_items());
    let kind = peer.first_kind()?;
    for (turn, byte) in Packet::control(kind, payload).encode(0).into_iter().enumerate() {
        peer.send_raw(&[byte])?;
        pause(turn);
    }
    peer.complete()?;
    let message = Message::new(0, *b"byte by byte");
    for (turn, byte) in message.frames(512)[0].encode(peer.key()).into_iter().enumerate() {
        peer.send_raw(&[byte])?;
        pause(turn);
    }
    peer.expect_message(&message)
}

fn large_frames(context: &mut Context<'_>) -> Outcome {
    let mut peer = context.establish()?;
    let limit = peer.announced().frame_limit.min(peer.announced().message_limit) as usize;
    for size in [1_000, 2_047, 2_048, 4_096, 65_535, 65_536, 1 << 18, 1 << 20] {
        let large = Message::new(0, context.random.bytes(size.min(limit)));
        let small = Message::new(0, *b"behind it");
        let [large_frame, small_frame] = [&large, &small].map(|message| message.frames(limit)[0].encode(peer.key()));
        let (first, second) = large_frame.split_at(large_frame.len() / 3);
        peer.send_raw(first)?;
        pause(0);
        peer.send_raw(&[second, &small_frame].concat())?;
        peer.expect_message(&large)?;
        peer.expect_message(&small)?;
    }
    peer.alive()
}

fn glued(context: &mut Context<'_>) -> Outcome {
    let mut peer = context.establish()?;
    let messages: Vec<Message> = (0..50).map(|number| Message::new(0, format!("message {number}"))).collect();
    let packets: Vec<Packet> = messages.iter().flat_map(|message| message.frames(5)).collect();
    peer.send_glued(&packets)?;
    for message in &messages {
        peer.expect_message(message)?;
    }
    peer.alive()
}

fn glued_to_hello_ack(context: &mut Context<'_>) -> Outcome {
    let mut peer = context.open()?;
    peer.read_hello(kind::HELLO)?;
    let message = Message::new(0, *b"right behind");
    let mut bytes = Packet::control(kind::HELLO_ACK, encode_items(&peer.hello.to_items())).encode(0);
    bytes.extend(message.frames(512)[0].encode(peer.key()));
    peer.send_raw(&bytes)?;
    peer.expect_message(&message)
}

fn garbage_without_resync(context: &mut Context<'_>) -> Outcome {
    for garbage in [b"GET / HTTP/1".as_slice(), &[0; 12], &[0xF7, 0x9A, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]] {
        let mut peer = context.establish()?;
        peer.send_raw(garbage)?;
        peer.expect_rejection(reason::BAD_HEADER)?;
    }
    context.establish()?.alive()
}

/// The connection ends; a server may say NOT_PULSEWIRE, and nothing else may come.
pub(super) fn expect_not_pulsewire(peer: &mut Peer) -> Outcome {
    match peer.receive()? {
        Arrival::End | Arrival::Reset => Ok(()),
        Arrival::Packet(packet) if packet.kind == kind::CLOSE && peer.subject_role == Role::Server => {
            let code = u16::from_be_bytes([packet.payload[0], packet.payload[1]]);
            let sentence = format!("closed with {} instead of NOT_PULSEWIRE", reason::name(code));
            require(code == reason::NOT_PULSEWIRE, sentence)?;
            peer.expect_end()
        }
        Arrival::Packet(packet) => violation(format!("{} came instead of the end", kind::name(packet.kind))),
    }
}

fn garbage_first(context: &mut Context<'_>) -> Outcome {
    for garbage in [b"GET / HTTP/1.1\r\n\r\n".as_slice(), b"SSH-2.0-OpenSSH_9.6\r\n", &[0; 12]] {
        let mut peer = context.open()?;
        if peer.subject_role == Role::Client {
            peer.read_hello(kind::HELLO)?;
        }
        peer.send_raw(garbage)?;
        expect_not_pulsewire(&mut peer)?;
    }
    context.establish()?.alive()
}

fn hello_behind_garbage(context: &mut Context<'_>) -> Outcome {
    let mut peer = context.open()?;
    let kind = peer.first_kind()?;
    let mut bytes = vec![0];
    bytes.extend(Packet::control(kind, encode_items(&peer.hello.to_items())).encode(0));
    peer.send_raw(&bytes)?;
    expect_not_pulsewire(&mut peer)?;
    context.establish()?.alive()
}

fn other_packet_first(context: &mut Context<'_>) -> Outcome {
    for packet in [Packet::ping(1), Packet::data(flag::FIRST, 0, *b"too early"), Packet::close_ack(0)] {
        let mut peer = context.open()?;
        if peer.subject_role == Role::Client {
            peer.read_hello(kind::HELLO)?;
        }
        peer.send_raw(&packet.encode(0))?;
        peer.expect_refusal(reason::UNEXPECTED_PACKET)?;
    }
    context.establish()?.alive()
}

fn hello_ack_to_server(context: &mut Context<'_>) -> Outcome {
    let mut peer = context.open()?;
    let payload = encode_items(&peer.hello.to_items());
    peer.send_raw(&Packet::control(kind::HELLO_ACK, payload).encode(0))?;
    peer.expect_refusal(reason::UNEXPECTED_PACKET)?;
    context.establish()?.alive()
}

fn frame_too_large(context: &mut Context<'_>) -> Outcome {
    let mut peer = context.establish()?;
    let limit = peer.announced().frame_limit;
    peer.echo(&Message::new(0, context.random.bytes(limit as usize)))?;
    if limit == 0xFF_FFFF {
        return Err(Failure::NotApplicable("no length is above the subject's frame limit".into()));
    }
    for length in [limit + 1, 0xFF_FFFF] {
        let mut peer = context.establish()?;
        // The payload never comes: the header alone decides.
        peer.send_header(&Packet::data(flag::FIRST, 0, []), length)?;
        let close = peer.expect_rejection(reason::FRAME_TOO_LARGE)?;
        let due = Some((u64::from(limit), u64::from(length)));
        require(close.limit() == due, format!("the item LIMIT holds {:?} instead of {due:?}", close.limit()))?;
    }
    Ok(())
}

fn hostile_lengths(context: &mut Context<'_>) -> Outcome {
    let mut hostile = Vec::new();
    for _ in 0..32 {
        let mut peer = context.establish()?;
        let limit = peer.announced().frame_limit;
        peer.send_header(&Packet::data(flag::FIRST, 0, []), limit)?;
        hostile.push(peer);
    }
    context.establish()?.alive()
}

fn stalled_payload(context: &mut Context<'_>) -> Outcome {
    let length = context.profile.frame_limit.min(4_096);
    let allowed = context.profile.assembly_time(length);
    context.takes(allowed)?;
    // Often enough to be a sign of life, and so slowly that the time is over before the payload is complete.
    let step = (allowed / 24).min(context.profile.idle / 4);
    let mut peer = context.establish_mute()?;
    let began = clock::now();
    peer.send_header(&Packet::data(flag::FIRST, 0, []), length)?;
    for _ in 1..length {
        if let Some(arrival) = next_but_ping(&mut peer, clock::now() + step)? {
            return expect_stall(&mut peer, arrival, began, allowed);
        }
        // One that was late itself lets the time begin anew, once (PW-TIM-001).
        require(clock::elapsed(began) < allowed * 2 + PATIENCE, "a trickle keeps the connection without end")?;
        peer.send_raw(&[0])?;
    }
    Err(Failure::NotApplicable("with the subject's numbers no payload is long enough to trickle".into()))
}

fn stalled_header(context: &mut Context<'_>) -> Outcome {
    let allowed = context.profile.assembly_time(0);
    context.takes(allowed)?;
    if context.profile.shortest_silence() <= allowed {
        return Err(Failure::NotApplicable("with the subject's numbers it gives the silent peer up before".into()));
    }
    let mut peer = context.establish_mute()?;
    let bytes = Packet::ping(1).encode(peer.key());
    let began = clock::now();
    peer.send_raw(&bytes[..5])?;
    match next_but_ping(&mut peer, began + allowed + PATIENCE)? {
        Some(arrival) => expect_stall(&mut peer, arrival, began, allowed),
        None => violation("part of a header keeps the connection without end"),
    }
}

/// The next arrival but PING, which cannot be answered within a packet.
fn next_but_ping(peer: &mut Peer, deadline: Instant) -> Result<Option<Arrival>, Failure> {
    loop {
        match peer.receive_by(deadline)? {
            Some(Arrival::Packet(packet)) if packet.kind == kind::PING => {}
            other => return Ok(other),
        }
    }
}

/// CLOSE with FRAME_STALL, not before the packet's time was over.
fn expect_stall(peer: &mut Peer, arrival: Arrival, began: Instant, allowed: Duration) -> Outcome {
    let elapsed = clock::elapsed(began);
    let Arrival::Packet(packet) = arrival else {
        return violation("the connection ended without CLOSE; FRAME_STALL was due");
    };
    peer.check_close(&packet, reason::FRAME_STALL)?;
    let sentence = format!("FRAME_STALL after {} ms, {} ms were allowed", elapsed.as_millis(), allowed.as_millis());
    not_before(elapsed + CLOCK_TOLERANCE, allowed, sentence)?;
    peer.expect_end()
}

fn fast_enough(context: &mut Context<'_>) -> Outcome {
    let allowed = context.profile.assembly_time(0);
    context.takes(allowed * 3)?;
    let pause = allowed / 3;
    if context.profile.idle / 2 <= pause {
        return Err(Failure::NotApplicable("with the subject's numbers it gives the silent peer up before".into()));
    }
    let mut peer = context.establish_mute()?;
    let began = clock::now();
    // Each packet is complete in a third of its time, and there is always one begun.
    for number in 0.. {
        let message = Message::new(0, format!("piece {number}"));
        let bytes = message.frames(512)[0].encode(peer.key());
        let (front, back) = bytes.split_at(13);
        peer.send_raw(front)?;
        if let Some(arrival) = next_but_ping(&mut peer, clock::now() + pause)? {
            return violation(format!("{arrival:?} came while a packet was on its way in time"));
        }
        peer.send_raw(back)?;
        peer.expect_message(&message)?;
        if clock::elapsed(began) > allowed * 2 {
            break;
        }
    }
    peer.alive()
}

fn message_behind_fault(context: &mut Context<'_>) -> Outcome {
    let mut peer = context.establish()?;
    let good = Packet::control(kind::BUSY, [0; 4]);
    let bad = Packet { class: 1, ..good.clone() };
    let behind = Packet::data(flag::FIRST, 0, *b"behind");
    peer.send_glued(&[bad.clone(), behind.clone(), Packet::ping(9), bad])?;
    peer.expect_rejection(reason::BAD_PACKET)?;
    let mut peer = context.establish()?;
    peer.send_glued(&[good, behind])?;
    peer.expect_message(&Message::new(0, *b"behind"))
}
