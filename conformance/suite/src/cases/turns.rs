//! Section 6: how a sender cuts messages, and how those of several classes take turns.

use super::{BOTH, waiting};
use crate::case::Case;
use crate::codec::registry::{flag, kind};
use crate::context::Context;
use crate::peer::{Arrival, Message, Peer};
use crate::profile::Profile;
use crate::verdict::{Failure, Outcome, require, violation};

pub(super) const CASES: &[Case] = &[
    case!(
        "PW-DAT-005/as-large-as-a-frame",
        "begins no second message between the frames of a large one, though one that waits has just the size of a frame",
        BOTH,
        large_messages,
        as_large_as_a_frame
    )
    .whole_only(),
    case!(
        "PW-DAT-009/own-largest-frame",
        "sends no frame above its own frame_sent, though its peer takes larger ones",
        BOTH,
        short_frames,
        own_largest_frame
    ),
    case!(
        "PW-DAT-014/room-between-frames",
        "sends no more between two frames of a message than the first of them had",
        BOTH,
        large_messages,
        room_between_frames
    )
    .whole_only(),
    case!(
        "PW-DAT-015/between-frames",
        "sends a small message of another class between the frames of a large one",
        BOTH,
        large_messages,
        between_frames
    )
    .whole_only(),
    case!(
        "PW-DAT-015/classes-take-turns",
        "sends a message before all those of another class that wait",
        BOTH,
        Profile::calm,
        classes_take_turns
    )
    .whole_only(),
];

fn short_frames() -> Profile {
    Profile { frame_sent: 1_000, ..Profile::calm() }
}

/// One message is more than the transport takes.
fn large_messages() -> Profile {
    Profile { frame_limit: 65_536, message_limit: 16_777_216, ..Profile::calm() }
}

fn as_large_as_a_frame(context: &mut Context<'_>) -> Outcome {
    const LIMIT: usize = 8_192;
    let mut peer = context.establish_with(|peer| peer.hello.frame_limit = LIMIT as u32)?;
    let id = context.youngest(&peer)?;
    let large = Message::new(0, vec![0xAA; context.enough_to_wait()]);
    context.send_from(&peer, id, large.class, &large.payload)?;
    // Less than there is room for, and at last just as much.
    let waiting: Vec<Message> =
        (0..20).rev().map(|less| Message::new(1 + less as u8 % 4, vec![less as u8; LIMIT - less])).collect();
    for message in &waiting {
        context.send_from(&peer, id, message.class, &message.payload)?;
    }
    let mut missing = waiting;
    missing.push(large);
    while !missing.is_empty() {
        let came = peer.next_message()?;
        let place = missing.iter().position(|message| message.class == came.class);
        let due = place.map(|place| missing.remove(place));
        require(due == Some(came), "another message of a class came than was sent next")?;
    }
    peer.alive()
}

fn own_largest_frame(context: &mut Context<'_>) -> Outcome {
    let most = context.profile.frame_sent as usize;
    let mut peer = context.establish_with(|peer| peer.hello.frame_limit = 0xFF_FFFF)?;
    let size = most * 3 + 1;
    if peer.announced().message_limit as usize <= size {
        return Err(Failure::NotApplicable("the subject takes no message that needs several frames".into()));
    }
    let message = Message::new(0, vec![3; size]);
    peer.send_message(&message)?;
    loop {
        let frame = peer.expect_kind(kind::DATA)?;
        let length = frame.payload.len();
        require(length <= most, format!("a frame of {length} bytes came; frame_sent is {most}"))?;
        if let Some(came) = peer.take_frame(frame)? {
            require(came == message, "another message came back")?;
            return peer.alive();
        }
    }
}

/// Sends a message of class 1 that does not go out before it is read, and then these of class 2.
fn send_behind_large(context: &mut Context<'_>, others: &[Message]) -> Result<(Peer, Message), Failure> {
    let size = context.enough_to_wait();
    let mut peer = context.establish()?;
    if (peer.announced().message_limit as usize) < size {
        return Err(Failure::NotApplicable("the subject takes no message that its transport would not".into()));
    }
    let large = Message::new(1, vec![1; size]);
    peer.send_message(&large)?;
    for other in others {
        peer.send_message(other)?;
    }
    Ok((peer, large))
}

/// The next whole message. A subject that stops reading meanwhile says so.
fn next_message(peer: &mut Peer) -> Result<Message, Failure> {
    loop {
        match peer.receive()? {
            Arrival::Packet(packet) if packet.kind == kind::DATA => {
                if let Some(message) = peer.take_frame(packet)? {
                    return Ok(message);
                }
            }
            Arrival::Packet(packet) if packet.kind == kind::BUSY => {}
            other => return violation(format!("{other:?} came between messages")),
        }
    }
}

fn room_between_frames(context: &mut Context<'_>) -> Outcome {
    let others: Vec<Message> = (0..200).map(|number| Message::new(2, vec![number; 3_000])).collect();
    let (mut peer, large) = send_behind_large(context, &others)?;
    // Every DATA packet is held to this when it comes.
    let (mut others, mut larges) = (others.into_iter(), 0);
    for _ in 0..=others.len() {
        let message = next_message(&mut peer)?;
        if message.class == large.class {
            require(message == large, "another message came back")?;
            larges += 1;
        } else {
            require(Some(message) == others.next(), "the messages of a class came in another order")?;
        }
    }
    require(larges == 1, format!("{larges} large messages came back instead of one"))?;
    peer.alive()
}

fn between_frames(context: &mut Context<'_>) -> Outcome {
    let small = Message::new(2, *b"small");
    let (mut peer, large) = send_behind_large(context, std::slice::from_ref(&small))?;
    let first = next_message(&mut peer)?;
    require(first == small, "a small message waited for a large one of another class")?;
    let second = next_message(&mut peer)?;
    require(second == large, "another message came back")?;
    peer.alive()
}

fn classes_take_turns(context: &mut Context<'_>) -> Outcome {
    let (mut peer, id) = context.establish_with_id()?;
    let count = waiting::fill(context, &mut peer, id)?;
    context.send_from(&peer, id, 2, b"of another class")?;
    let mut before = 0;
    loop {
        let packet = peer.expect_kind(kind::DATA)?;
        let is_whole = packet.has(flag::FIRST) && !packet.has(flag::MORE);
        match peer.take_frame(packet)? {
            Some(message) if message.class == 2 => {
                require(is_whole && before < count, "it came behind all the messages of another class that waited")?;
                break;
            }
            Some(_) => before += 1,
            None => {}
        }
    }
    waiting::read_all(&mut peer, count - before)?;
    peer.alive()
}
