//! Many connections at once: one that misbehaves costs no other, and what is cut off leaves nothing behind.

use super::framing::expect_not_pulsewire;
use super::{BOTH, LATENESS_TOLERANCE, SERVER, waiting};
use std::slice;
use std::time::Duration;

use crate::case::Case;
use crate::clock;
use crate::codec::registry::{flag, kind, reason};
use crate::codec::{Close, Packet, encode_items};
use crate::context::Context;
use crate::peer::{Arrival, Message, PATIENCE, Peer};
use crate::profile::Profile;
use crate::verdict::{Failure, Outcome, require, violation};

pub(super) const CASES: &[Case] = &[
    case!(
        "PW-HDR-007/others-live-on",
        "serves its other connections as before when one closes for a fault",
        BOTH,
        Profile::calm,
        others_live_on
    ),
    case!(
        "PW-FRM-001/many-connections",
        "keeps the parts of packets of many connections apart",
        BOTH,
        Profile::calm,
        many_connections
    )
    .whole_only(),
    case!(
        "PW-FRM-003/garbage-beside-others",
        "serves its other connections while garbage comes on new ones",
        SERVER,
        Profile::calm,
        garbage_beside_others
    ),
    case!(
        "PW-DAT-002/nothing-left-from-before",
        "joins nothing to a message that a peer left open before it came back",
        BOTH,
        Profile::calm,
        nothing_left_from_before
    ),
    case!(
        "PW-DAT-011/many-at-once",
        "keeps the order of messages on each of many connections that send at once",
        BOTH,
        Profile::calm,
        many_at_once
    ),
    case!(
        "PW-HS-012/silent-crowd",
        "completes a handshake while many connections say nothing",
        SERVER,
        Profile::calm,
        silent_crowd
    ),
    case!(
        "PW-HS-012/vanished-peers",
        "completes a handshake after many peers have vanished within theirs",
        SERVER,
        Profile::calm,
        vanished_peers
    ),
    case!(
        "PW-HB-012/one-silent-among-many",
        "gives up the one silent peer, and none of those that talk meanwhile",
        BOTH,
        unhurried,
        one_silent_among_many
    )
    // In pieces the suite itself would be late with its talk on a busy machine.
    .whole_only(),
    case!(
        "PW-CLS-001/closing-together",
        "answers the CLOSE of many peers at once",
        BOTH,
        Profile::calm,
        closing_together
    ),
    case!(
        "PW-CLS-011/end-within-a-packet",
        "reports the end of a stream wherever in a packet it comes",
        BOTH,
        Profile::calm,
        end_within_a_packet
    ),
    case!(
        "PW-CLS-015/others-are-served",
        "serves its other connections while a peer takes nothing",
        SERVER,
        Profile::calm,
        others_are_served
    ),
];

fn crowd(context: &mut Context<'_>, count: usize) -> Result<Vec<Peer>, Failure> {
    let mut peers = Vec::new();
    for _ in 0..count {
        let peer = context.establish_beside(&mut peers)?;
        peers.push(peer);
    }
    Ok(peers)
}

fn others_live_on(context: &mut Context<'_>) -> Outcome {
    let good = Packet::data(flag::FIRST, 0, *b"good");
    let faults = [
        (Packet { kind: 0x7F, flags: 0, ..good.clone() }, reason::UNKNOWN_KIND),
        (Packet { flags: good.flags | 0x20, ..good.clone() }, reason::UNKNOWN_FLAG),
        (Packet { class: 99, ..good.clone() }, reason::BAD_PACKET),
        (Packet::control(kind::PING, *b"short"), reason::BAD_LENGTH),
        (Packet::data(0, 0, *b"no beginning"), reason::BAD_FRAGMENT),
        (Packet::close_ack(0), reason::UNEXPECTED_PACKET),
        (Packet::pong(1_000_000), reason::BAD_PONG),
        (Packet::ping(0), reason::BAD_PING),
    ];
    let mut others = crowd(context, 2)?;
    for (packet, code) in faults {
        let mut peer = context.establish_beside(&mut others)?;
        peer.send(&packet)?;
        peer.expect_rejection(code)?;
        for other in &mut others {
            other.alive()?;
        }
    }
    let mut peer = context.establish()?;
    peer.send(&good)?;
    peer.expect_message(&Message::new(0, *b"good"))
}

fn many_connections(context: &mut Context<'_>) -> Outcome {
    let mut peers = crowd(context, 12)?;
    let message = |number: usize| Message::new(2, format!("of connection {number}"));
    let mut bytes = Vec::new();
    for (number, peer) in peers.iter().enumerate() {
        bytes.push(message(number).frames(512)[0].encode(peer.key()));
    }
    // A part of each, then the next part of each.
    for part in 0..bytes[0].len().div_ceil(7) {
        for (peer, bytes) in peers.iter_mut().zip(&bytes) {
            peer.send_raw(bytes.chunks(7).nth(part).unwrap_or_default())?;
        }
    }
    for (number, peer) in peers.iter_mut().enumerate().rev() {
        peer.expect_message(&message(number))?;
        peer.alive()?;
    }
    Ok(())
}

fn garbage_beside_others(context: &mut Context<'_>) -> Outcome {
    let random = context.random.bytes(2_000);
    let garbage: [&[u8]; 6] = [
        b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 and what follows in a ClientHello",
        b"SSH-2.0-OpenSSH_9.6\r\n",
        &[0; 300],
        &[0xFF; 300],
        &random,
    ];
    let mut others = crowd(context, 2)?;
    for garbage in garbage {
        let mut peer = context.open()?;
        peer.send_raw(garbage)?;
        expect_not_pulsewire(&mut peer)?;
        for other in &mut others {
            other.alive()?;
        }
    }
    context.establish()?.alive()
}

fn nothing_left_from_before(context: &mut Context<'_>) -> Outcome {
    for turn in 0..12 {
        let mut peer = context.establish()?;
        peer.send(&Packet::data(flag::FIRST | flag::MORE, 0, *b"left open "))?;
        let rest = Packet::data(flag::MORE, 0, *b"and cut off").encode(peer.key());
        peer.send_raw(&rest[..rest.len() * turn / 12])?;
        // Either the stream ends, or the whole connection is gone.
        if turn % 2 == 0 {
            peer.half_close();
        }
        drop(peer);
        let mut peer = context.establish()?;
        let next = Message::new(0, *b"begun anew");
        peer.send_glued(&next.frames(5))?;
        peer.expect_message(&next)?;
    }
    Ok(())
}

fn many_at_once(context: &mut Context<'_>) -> Outcome {
    let mut peers = crowd(context, 10)?;
    let messages = |peer: usize| (0..30).map(move |number| Message::new(0, format!("{number} of {peer}")));
    for (number, peer) in peers.iter_mut().enumerate() {
        let packets: Vec<Packet> = messages(number).flat_map(|message| message.frames(512)).collect();
        peer.send_glued(&packets)?;
    }
    for (number, peer) in peers.iter_mut().enumerate() {
        for message in messages(number) {
            peer.expect_message(&message)?;
        }
        peer.alive()?;
    }
    Ok(())
}

fn silent_crowd(context: &mut Context<'_>) -> Outcome {
    let mut silent = Vec::new();
    for _ in 0..40 {
        silent.push(context.open()?);
    }
    context.establish()?.alive()?;
    // One of them was only slow.
    let mut slow = silent.remove(0);
    slow.handshake()?;
    slow.alive()
}

fn vanished_peers(context: &mut Context<'_>) -> Outcome {
    for turn in 0..40 {
        let mut peer = context.open()?;
        let hello = Packet::control(kind::HELLO, encode_items(&peer.hello.to_items())).encode(0);
        peer.send_raw(&hello[..hello.len() * turn / 40])?;
        drop(peer);
    }
    for _ in 0..5 {
        context.establish()?;
    }
    context.establish()?.alive()
}

/// Silences so long that a suite on a busy machine is not silent itself.
fn unhurried() -> Profile {
    Profile { idle: Duration::from_millis(1_500), interval: Duration::from_millis(500), ..Profile::brisk() }
}

fn one_silent_among_many(context: &mut Context<'_>) -> Outcome {
    let longest = context.profile.longest_silence();
    context.takes(longest)?;
    let mut talking = crowd(context, 3)?;
    let mut silent = context.establish_beside(&mut talking)?;
    silent.answers_pings = false;
    let deadline = silent.last_sent_at + longest + LATENESS_TOLERANCE;
    loop {
        for peer in &mut talking {
            peer.alive()?;
        }
        match silent.receive_by(clock::now() + context.profile.idle / 4)? {
            None => {}
            Some(Arrival::Packet(packet)) if packet.kind == kind::PING => {}
            Some(Arrival::Packet(packet)) => {
                silent.check_close(&packet, reason::PEER_TIMEOUT)?;
                break;
            }
            Some(Arrival::End | Arrival::Reset) => return violation("closed without CLOSE; PEER_TIMEOUT was due"),
        }
        require(clock::now() < deadline, "a silent peer is not given up while others talk")?;
    }
    for peer in &mut talking {
        peer.alive()?;
    }
    Ok(())
}

fn closing_together(context: &mut Context<'_>) -> Outcome {
    let mut peers = crowd(context, 16)?;
    for peer in &mut peers {
        peer.send(&Close::new(reason::NORMAL, 1).to_packet())?;
    }
    for peer in &mut peers {
        let count = peer.expect_kind(kind::CLOSE_ACK)?.number();
        require(count == 1, format!("CLOSE_ACK counts {count} messages instead of 1"))?;
        peer.expect_end()?;
    }
    context.establish()?.alive()
}

fn end_within_a_packet(context: &mut Context<'_>) -> Outcome {
    let mut other = context.establish()?;
    // Within the magic and the header, at the payload, within it, and within the trailer.
    for end in [1, 11, 12, 14, 17, 20] {
        let (mut peer, id) = context.establish_with_id_beside(slice::from_mut(&mut other))?;
        let bytes = Packet::data(flag::FIRST, 0, *b"cut o").encode(peer.key());
        peer.send_raw(&bytes[..end])?;
        peer.half_close();
        let (frame, _) = context.await_ending(&peer, id, PATIENCE)?;
        let given = reason::name(frame.reason);
        require(frame.reason == reason::PEER_ENDED, format!("reported as {given} instead of PEER_ENDED"))?;
        other.alive()?;
    }
    let (mut peer, id) = context.establish_with_id()?;
    peer.echo(&Message::new(0, *b"cut o"))?;
    peer.close()?;
    let (frame, _) = context.await_ending(&peer, id, PATIENCE)?;
    require(frame.reason == reason::NORMAL, "an orderly close is reported as another end")
}

fn others_are_served(context: &mut Context<'_>) -> Outcome {
    let mut other = context.establish()?;
    let (mut peer, id) = context.establish_with_id_beside(slice::from_mut(&mut other))?;
    let count = waiting::fill(context, &mut peer, id)?;
    for _ in 0..10 {
        other.alive()?;
        context.establish_beside(slice::from_mut(&mut other))?.alive()?;
    }
    waiting::read_all(&mut peer, count)?;
    peer.alive()
}
