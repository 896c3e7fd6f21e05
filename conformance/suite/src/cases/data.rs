//! Section 6: messages and fragments.

use super::BOTH;
use crate::case::{Case, Need};
use crate::codec::registry::{flag, kind, reason, reject};
use crate::codec::{Header, Packet};
use crate::context::{Context, describe};
use crate::peer::Message;
use crate::profile::Profile;
use crate::setting::Parameter;
use crate::subject::{Command, Refusal, Reply};
use crate::verdict::{Failure, Outcome, require};

pub(super) const CASES: &[Case] = &[
    case!("PW-DAT-001/empty-message", "delivers an empty message", BOTH, Profile::calm, empty_message),
    case!(
        "PW-DAT-002/fragments",
        "delivers a message in several frames once and whole",
        BOTH,
        Profile::calm,
        fragments
    ),
    case!(
        "PW-DAT-003/class-changes",
        "closes with BAD_FRAGMENT when the class changes within a message",
        BOTH,
        Profile::calm,
        class_changes
    ),
    case!(
        "PW-DAT-003/mark-changes",
        "closes with BAD_FRAGMENT when ENCRYPTED changes within a message",
        BOTH,
        Profile::calm,
        mark_changes
    ),
    case!(
        "PW-DAT-004/empty-frame-with-more",
        "closes with BAD_FRAGMENT on an empty frame with MORE, and takes an empty last frame",
        BOTH,
        Profile::calm,
        empty_frame_with_more
    ),
    case!(
        "PW-DAT-005/second-open-message",
        "closes with BAD_FRAGMENT when a second message begins, of the same class or another",
        BOTH,
        Profile::calm,
        second_open_message
    ),
    case!(
        "PW-DAT-006/other-class-between-frames",
        "delivers whole messages of other classes at once between the frames of a message",
        BOTH,
        Profile::calm,
        other_class_between_frames
    ),
    case!(
        "PW-DAT-006/same-class-between-frames",
        "closes with BAD_FRAGMENT on a whole message of the class of the open one",
        BOTH,
        Profile::calm,
        same_class_between_frames
    ),
    case!(
        "PW-DAT-007/continuation-without-beginning",
        "closes with BAD_FRAGMENT on a continuation while no message is open",
        BOTH,
        Profile::calm,
        continuation_without_beginning
    ),
    case!(
        "PW-DAT-008/message-too-large",
        "refuses a message with TOO_LARGE at the header that takes it above the limit",
        BOTH,
        Profile::calm,
        message_too_large
    )
    .about(&[Parameter::Class]),
    case!(
        "PW-DAT-009/keeps-frame-limit",
        "sends no frame above the limit of the peer",
        BOTH,
        Profile::calm,
        keeps_frame_limit
    ),
    case!(
        "PW-DAT-009/keeps-message-limit",
        "sends no message above the limit of the peer",
        BOTH,
        Profile::calm,
        keeps_message_limit
    ),
    case!(
        "PW-DAT-009/refuses-too-large",
        "refuses to queue a message above the limit of the peer, and gives it back",
        BOTH,
        Profile::calm,
        refuses_too_large
    )
    .whole_only(),
    case!(
        "PW-DAT-010/control-between-frames",
        "answers PING between the frames of an open message",
        BOTH,
        Profile::calm,
        control_between_frames
    ),
    case!(
        "PW-DAT-011/order-of-messages",
        "keeps the order of the messages of a class",
        BOTH,
        Profile::calm,
        order_of_messages
    ),
    case!("PW-DAT-012/encrypted-mark", "hands ENCRYPTED on with the message", BOTH, Profile::calm, encrypted_mark),
    case!(
        "PW-DAT-012/encrypted-is-opaque",
        "treats the payload of an encrypted message as any other, also without RESYNC",
        BOTH,
        Profile::calm,
        encrypted_mark,
        [Need::NoResync]
    ),
];

fn empty_message(context: &mut Context<'_>) -> Outcome {
    let mut peer = context.establish()?;
    for class in [0, 2, 255] {
        peer.echo(&Message::new(class, []))?;
    }
    peer.alive()
}

fn fragments(context: &mut Context<'_>) -> Outcome {
    let mut peer = context.establish()?;
    let limit = peer.announced().message_limit as usize;
    for (size, count) in [(1, 2), (1, 40), (7, 10), (500, 3)].into_iter().filter(|(size, count)| size * count <= limit)
    {
        let payload = context.random.bytes(size * count);
        let message = Message::new(0, payload);
        peer.send_glued(&message.frames(size))?;
        peer.expect_message(&message)?;
    }
    let payload = context.random.bytes((peer.announced().frame_limit as usize + 1).min(limit));
    peer.echo(&Message::new(0, payload))?;
    peer.alive()
}

fn class_changes(context: &mut Context<'_>) -> Outcome {
    let message = Message::new(2, *b"one two");
    let mut frames = message.frames(4);
    frames[1].class = 3;
    let mut peer = context.establish()?;
    peer.send_glued(&frames)?;
    peer.expect_rejection(reason::BAD_FRAGMENT)?;
    let mut peer = context.establish()?;
    peer.send_glued(&message.frames(4))?;
    peer.expect_message(&message)
}

fn mark_changes(context: &mut Context<'_>) -> Outcome {
    let message = Message { encrypted: true, ..Message::new(2, *b"one two") };
    for flip in [0, 1] {
        let mut frames = message.frames(4);
        frames[flip].flags ^= flag::ENCRYPTED;
        let mut peer = context.establish()?;
        peer.send_glued(&frames)?;
        peer.expect_rejection(reason::BAD_FRAGMENT)?;
    }
    let mut peer = context.establish()?;
    peer.send_glued(&message.frames(4))?;
    peer.expect_message(&message)
}

fn empty_frame_with_more(context: &mut Context<'_>) -> Outcome {
    let mut peer = context.establish()?;
    peer.send(&Packet::data(flag::FIRST | flag::MORE, 0, []))?;
    peer.expect_rejection(reason::BAD_FRAGMENT)?;
    let begin = Packet::data(flag::FIRST | flag::MORE, 0, *b"begun");
    let mut peer = context.establish()?;
    peer.send_glued(&[begin.clone(), Packet::data(flag::MORE, 0, [])])?;
    peer.expect_rejection(reason::BAD_FRAGMENT)?;
    let mut peer = context.establish()?;
    peer.send_glued(&[begin, Packet::data(0, 0, [])])?;
    peer.expect_message(&Message::new(0, *b"begun"))
}

fn second_open_message(context: &mut Context<'_>) -> Outcome {
    let begin = Packet::data(flag::FIRST | flag::MORE, 0, *b"begun");
    for class in [0, 2] {
        let mut peer = context.establish()?;
        peer.send_glued(&[begin.clone(), Packet { class, ..begin.clone() }])?;
        peer.expect_rejection(reason::BAD_FRAGMENT)?;
    }
    let mut peer = context.establish()?;
    peer.send_glued(&[begin, Packet::data(flag::MORE, 0, *b" and "), Packet::data(0, 0, *b"ended")])?;
    peer.expect_message(&Message::new(0, *b"begun and ended"))
}

fn other_class_between_frames(context: &mut Context<'_>) -> Outcome {
    let mut peer = context.establish()?;
    let message = Message::new(0, *b"one two three");
    for frame in message.frames(5) {
        let is_last = !frame.has(flag::MORE);
        peer.send(&frame)?;
        if !is_last {
            // It comes back before the open message is complete.
            peer.echo(&Message::new(2, *b"between"))?;
            peer.echo(&Message::new(255, []))?;
        }
    }
    peer.expect_message(&message)
}

fn same_class_between_frames(context: &mut Context<'_>) -> Outcome {
    let begin = Packet::data(flag::FIRST | flag::MORE, 2, *b"begun");
    let mut peer = context.establish()?;
    peer.send_glued(&[begin.clone(), Packet::data(flag::FIRST, 2, *b"whole")])?;
    peer.expect_rejection(reason::BAD_FRAGMENT)?;
    let mut peer = context.establish()?;
    peer.send_glued(&[begin, Packet::data(flag::FIRST, 3, *b"whole")])?;
    peer.expect_message(&Message::new(3, *b"whole"))
}

fn continuation_without_beginning(context: &mut Context<'_>) -> Outcome {
    for flags in [0, flag::MORE] {
        let mut peer = context.establish()?;
        peer.send(&Packet::data(flags, 0, *b"no beginning"))?;
        peer.expect_rejection(reason::BAD_FRAGMENT)?;
    }
    context.establish()?.echo(&Message::new(0, *b"no beginning"))
}

fn message_too_large(context: &mut Context<'_>) -> Outcome {
    let mut peer = context.establish()?;
    let (frame_limit, limit) = (peer.announced().frame_limit, peer.announced().message_limit);
    if limit > 1 << 26 {
        return Err(Failure::NotApplicable("the subject's message limit is above 64 MiB".into()));
    }
    let largest = Message::new(0, vec![0xAA; limit as usize]);
    peer.echo(&largest)?;
    let mut peer = context.establish()?;
    let frames = largest.frames(frame_limit as usize);
    for frame in frames {
        // All of them are continued, so that the message is at its limit and still open.
        peer.send(&Packet { flags: frame.flags | flag::MORE, ..frame })?;
    }
    let last = Packet::data(0, 0, [0xAA]).encode(peer.key());
    let (header, rest) = last.split_at(Header::SIZE);
    peer.send_raw(header)?;
    peer.expect_reject(2, reject::TOO_LARGE)?;
    peer.send_raw(rest)?;
    peer.alive()
}

fn keeps_frame_limit(context: &mut Context<'_>) -> Outcome {
    // Every frame that a peer receives is held to its limit.
    let mut peer = context.establish_with(|peer| peer.hello.frame_limit = 512)?;
    for size in [511, 512, 513, 3_000] {
        let payload = context.random.bytes(size);
        peer.echo(&Message::new(0, payload))?;
    }
    Ok(())
}

fn keeps_message_limit(context: &mut Context<'_>) -> Outcome {
    let mut peer = context.establish_with(|peer| {
        peer.hello.frame_limit = 512;
        peer.hello.message_limit = 1_024;
    })?;
    peer.echo(&Message::new(0, vec![1; 1_024]))?;
    peer.send_message(&Message::new(0, vec![2; 1_025]))?;
    peer.alive()
}

fn refuses_too_large(context: &mut Context<'_>) -> Outcome {
    let mut peer = context.establish_with(|peer| {
        peer.hello.frame_limit = 512;
        peer.hello.message_limit = 1_024;
    })?;
    let to = context.youngest(&peer)?;
    let payload = vec![3; 1_025];
    let reply = context.control(&peer, Command::Send { to, class: 0, payload: payload.clone() })?;
    let due = Reply::Refused { reason: Refusal::TooLarge, payload };
    require(reply == due, format!("a message above the peer's limit gave {}", describe(&reply)))?;
    context.send_from(&peer, to, 0, &[4; 1_024])?;
    peer.expect_message(&Message::new(0, vec![4; 1_024]))?;
    peer.alive()
}

fn control_between_frames(context: &mut Context<'_>) -> Outcome {
    let mut peer = context.establish()?;
    let message = Message::new(0, *b"one two three");
    for frame in message.frames(5) {
        peer.barrier()?;
        peer.send(&Packet::control(kind::FIRST_PRIVATE, *b"passed over"))?;
        peer.send(&frame)?;
    }
    peer.expect_message(&message)
}

fn order_of_messages(context: &mut Context<'_>) -> Outcome {
    let mut peer = context.establish()?;
    let messages: Vec<Message> = (0..200).map(|number| Message::new(4, format!("number {number}"))).collect();
    let packets: Vec<Packet> = messages.iter().flat_map(|message| message.frames(512)).collect();
    peer.send_glued(&packets)?;
    for message in &messages {
        peer.expect_message(message)?;
    }
    Ok(())
}

fn encrypted_mark(context: &mut Context<'_>) -> Outcome {
    let mut peer = context.establish()?;
    let limit = peer.announced().message_limit as usize;
    for size in [0, 10, limit.min(5_000)] {
        let payload = context.random.bytes(size);
        for encrypted in [true, false] {
            peer.echo(&Message { encrypted, ..Message::new(2, payload.clone()) })?;
        }
    }
    Ok(())
}
