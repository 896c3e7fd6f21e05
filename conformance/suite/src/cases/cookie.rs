//! Section 13: connection ids.

use std::collections::HashSet;
use std::slice;

use super::SERVER;
use crate::case::Case;
use crate::codec::Packet;
use crate::codec::registry::reason;
use crate::context::{Context, describe};
use crate::peer::{Arrival, Message, Peer};
use crate::profile::Profile;
use crate::subject::{CloseFrame, Command, Id, Refusal, Reply};
use crate::verdict::{Failure, Outcome, require, violation};

pub(super) const CASES: &[Case] = &[
    case!(
        "PW-CK-001/never-repeats",
        "gives every one of 300 connections another cookie",
        SERVER,
        Profile::calm,
        never_repeats
    )
    .whole_only(),
    case!(
        "PW-CK-002/stale-send",
        "refuses a send to a connection that ended, although its slot is in use again",
        SERVER,
        Profile::calm,
        stale_send
    )
    .whole_only(),
    case!(
        "PW-CK-002/stale-close",
        "refuses to close a connection that ended, and leaves the new one in its slot alone",
        SERVER,
        Profile::calm,
        stale_close
    )
    .whole_only(),
    case!(
        "PW-CK-002/forged-id",
        "refuses a send whose cookie, slot or table is not that of the connection",
        SERVER,
        Profile::calm,
        forged_id
    )
    .whole_only(),
    case!(
        "PW-CK-003/payload-comes-back",
        "gives the payload of a refused send back untouched",
        SERVER,
        Profile::calm,
        payload_comes_back
    )
    .whole_only(),
    case!(
        "PW-CK-004/queue-dies-with-connection",
        "never writes what was queued for a connection that ended to the next one in its slot",
        SERVER,
        Profile::calm,
        queue_dies_with_connection
    )
    .whole_only(),
    case!(
        "PW-CK-005/invalid-once-closed",
        "knows the id no longer when the transport connection is closed",
        SERVER,
        Profile::calm,
        invalid_once_closed
    )
    .whole_only(),
];

/// Reconnects after which a slot must have been used again, for the cases that need that.
const RECONNECTS_MAX: usize = 100;

fn never_repeats(context: &mut Context<'_>) -> Outcome {
    let mut cookies = HashSet::new();
    // More than a counter of 8 bits can tell apart.
    for _ in 0..300 {
        let mut peer = context.establish()?;
        let id = context.youngest(&peer)?;
        require(cookies.insert(id.cookie), format!("the cookie {} was used twice", id.cookie))?;
        peer.close()?;
        context.await_gone(peer.runner, id)?;
    }
    Ok(())
}

/// Ends `peer`, and connects until another connection lives in its slot.
fn reuse_slot(context: &mut Context<'_>, peer: Peer, old: Id) -> Result<(Peer, Id), Failure> {
    let runner = peer.runner;
    drop(peer);
    context.await_gone(runner, old)?;
    for _ in 0..RECONNECTS_MAX {
        let mut next = context.establish()?;
        let id = context.youngest(&next)?;
        if id.slot == old.slot && id.domain == old.domain {
            require(id.cookie != old.cookie, format!("the cookie {} was used twice", id.cookie))?;
            return Ok((next, id));
        }
        next.close()?;
        context.await_gone(next.runner, id)?;
    }
    Err(Failure::Unsupported(format!("the slot was not used again in {RECONNECTS_MAX} connections")))
}

fn send(context: &mut Context<'_>, peer: &Peer, to: Id, payload: &[u8]) -> Result<Reply, Failure> {
    context.control(peer, Command::Send { to, class: 0, payload: payload.to_vec() })
}

fn stale_send(context: &mut Context<'_>) -> Outcome {
    let peer = context.establish()?;
    let old = context.youngest(&peer)?;
    let (mut next, id) = reuse_slot(context, peer, old)?;
    let reply = send(context, &next, old, b"for somebody else")?;
    let due = Reply::Refused { reason: Refusal::Stale, payload: b"for somebody else".to_vec() };
    require(reply == due, format!("a send to a connection that ended gave {}", describe(&reply)))?;
    // Whatever went out by mistake would come first.
    context.send_from(&next, id, 0, b"for this one")?;
    next.expect_message(&Message::new(0, *b"for this one"))?;
    next.alive()
}

fn stale_close(context: &mut Context<'_>) -> Outcome {
    let peer = context.establish()?;
    let old = context.youngest(&peer)?;
    let (mut next, id) = reuse_slot(context, peer, old)?;
    let reply = context.control(&next, Command::Close { connection: old, frame: CloseFrame::from(reason::NORMAL) })?;
    let refused = matches!(reply, Reply::Refused { reason: Refusal::Stale, .. });
    require(refused, format!("closing a connection that ended gave {}", describe(&reply)))?;
    next.alive()?;
    let lives = context.connections(next.runner)?.contains(&id);
    require(lives, "the connection that lives in the slot now is no longer listed")
}

fn forged_id(context: &mut Context<'_>) -> Outcome {
    let mut peer = context.establish()?;
    let mut other = context.establish_beside(slice::from_mut(&mut peer))?;
    let id = context.youngest(&peer)?;
    let forged = [
        Id { cookie: id.cookie + 1, ..id },
        Id { cookie: 0, ..id },
        Id { slot: id.slot + 1_000, ..id },
        Id { domain: id.domain.wrapping_add(1), ..id },
    ];
    for to in forged {
        let reply = send(context, &peer, to, b"forged")?;
        let due = Reply::Refused { reason: Refusal::Stale, payload: b"forged".to_vec() };
        require(reply == due, format!("a send to the forged {to:?} gave {}", describe(&reply)))?;
    }
    peer.alive()?;
    other.alive()
}

fn payload_comes_back(context: &mut Context<'_>) -> Outcome {
    let mut peer = context.establish()?;
    let id = context.youngest(&peer)?;
    peer.close()?;
    let mut next = context.establish()?;
    context.await_gone(next.runner, id)?;
    for size in [0, 1, 60_000] {
        let payload = context.random.bytes(size);
        let due = Reply::Refused { reason: Refusal::Stale, payload: payload.clone() };
        let reply = send(context, &next, id, &payload)?;
        require(reply == due, format!("a refused send of {size} bytes gave {}", describe(&reply)))?;
    }
    next.alive()
}

fn queue_dies_with_connection(context: &mut Context<'_>) -> Outcome {
    let peer = context.establish()?;
    let old = context.youngest(&peer)?;
    context.fill_queue(&peer, old, &[0xDD; 60_000])?;
    let (mut next, id) = reuse_slot(context, peer, old)?;
    context.send_from(&next, id, 0, b"for this one")?;
    next.expect_message(&Message::new(0, *b"for this one"))?;
    next.alive()
}

fn invalid_once_closed(context: &mut Context<'_>) -> Outcome {
    let mut peer = context.establish()?;
    let id = context.youngest(&peer)?;
    peer.send_raw(&Packet { class: 1, ..Packet::ping(1) }.encode(peer.key()))?;
    peer.expect_rejection(reason::BAD_PACKET)?;
    peer.half_close();
    match peer.receive()? {
        Arrival::End | Arrival::Reset => {}
        Arrival::Packet(_) => return violation("a packet came behind the end of the stream"),
    }
    let reply = send(context, &peer, id, b"too late")?;
    let refused = match &reply {
        Reply::Refused { reason: Refusal::Stale | Refusal::Closed, payload } => payload == b"too late",
        Reply::Refused { .. } | Reply::Done | Reply::Connections(_) | Reply::Events(_) => false,
    };
    require(refused, format!("a send to a closed connection gave {}", describe(&reply)))?;
    let mut next = context.establish()?;
    context.await_gone(next.runner, id)?;
    next.alive()
}
