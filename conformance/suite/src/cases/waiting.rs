//! A subject whose transport is full, so that messages wait in its queue: what overtakes them?

use std::time::Duration;

use crate::codec::Packet;
use crate::codec::registry::kind;
use crate::context::Context;
use crate::peer::{Arrival, Message, Peer};
use crate::subject::Id;
use crate::verdict::{Failure, Outcome, violation};

/// Bytes of each message.
pub(super) const MESSAGE_SIZE: usize = 60_000;
/// How long a subject may take for something that it does behind a queue full of messages, each of which costs a busy machine time.
pub(super) const LONG_PATIENCE: Duration = Duration::from_secs(30);

/// Fills the queue of a subject, reads one message to see that it sends, and then nothing; gives the number of the others.
pub(super) fn fill(context: &mut Context<'_>, peer: &mut Peer, id: Id) -> Result<usize, Failure> {
    let message = Message::new(0, [0xCC; MESSAGE_SIZE]);
    let count = context.fill_queue(peer, id, &message.payload)?;
    is_enough(context, count)?;
    peer.expect_message(&message)?;
    Ok(count - 1)
}

/// Fills the queue of a subject that will give its transport up, and may do so while the suite still fills it.
pub(super) fn fill_for_good(context: &mut Context<'_>, peer: &Peer, id: Id) -> Outcome {
    match context.fill_queue_or_end(peer, id, &[0xCC; MESSAGE_SIZE])? {
        Some(count) => is_enough(context, count),
        None => Ok(()),
    }
}

fn is_enough(context: &Context<'_>, count: usize) -> Outcome {
    if count * MESSAGE_SIZE >= context.enough_to_wait() / 2 {
        return Ok(());
    }
    let sentence = "the subject queues no more than the system takes at once, so that nothing waits";
    Err(Failure::Unsupported(sentence.into()))
}

/// Reads all the messages, and gives the other packets that came before the last of them.
pub(super) fn read_all(peer: &mut Peer, count: usize) -> Result<Vec<Packet>, Failure> {
    let (mut messages, mut others) = (0, Vec::new());
    while messages < count {
        match peer.receive()? {
            Arrival::Packet(packet) if packet.kind == kind::DATA => {
                messages += usize::from(peer.take_frame(packet)?.is_some());
            }
            Arrival::Packet(packet) => others.push(packet),
            other => return violation(format!("{other:?} came between messages")),
        }
    }
    Ok(others)
}

/// Reads messages until a packet of this kind comes, and gives their number.
pub(super) fn read_until(peer: &mut Peer, awaited: u8) -> Result<usize, Failure> {
    let mut messages = 0;
    loop {
        match peer.receive()? {
            Arrival::Packet(packet) if packet.kind == awaited => return Ok(messages),
            Arrival::Packet(packet) if packet.kind == kind::DATA => {
                messages += usize::from(peer.take_frame(packet)?.is_some());
            }
            other => return violation(format!("{other:?} came between messages")),
        }
    }
}

/// Reads all the messages; before the last of them these packets must come, and no others but BUSY of a subject that does not keep up.
pub(super) fn overtaken_by(peer: &mut Peer, count: usize, due: &[Packet]) -> Outcome {
    let mut came = read_all(peer, count)?;
    came.retain(|packet| packet.kind != kind::BUSY || due.contains(packet));
    if came == due {
        return Ok(());
    }
    let names: Vec<String> = came.iter().map(|packet| kind::name(packet.kind)).collect();
    violation(format!("{names:?} came before the last of {count} messages that waited, {} were due", due.len()))
}
