//! Section 9.2: the application cuts a connection, in the midst of something.

use std::slice;
use std::time::Duration;

use super::{BOTH, SERVER, waiting};
use crate::case::Case;
use crate::clock;
use crate::codec::registry::{kind, reason};
use crate::context::{Context, describe};
use crate::peer::{Arrival, Flooding, Message, PATIENCE, Peer};
use crate::profile::Profile;
use crate::role::Role;
use crate::subject::{Command, Id, Origin, Refusal, Reply};
use crate::verdict::{Outcome, require, violation};

pub(super) const CASES: &[Case] = &[
    case!(
        "PW-CLS-012/cut-while-it-sends",
        "closes the transport connection at once when its application cuts it while much waits to be sent",
        BOTH,
        long_linger,
        cut_while_it_sends
    )
    .whole_only(),
    case!(
        "PW-CLS-012/cut-while-it-reads",
        "closes the transport connection at once when its application cuts it while the peer floods it",
        BOTH,
        long_linger,
        cut_while_it_reads
    )
    .whole_only(),
    case!(
        "PW-CLS-012/cut-while-it-pauses",
        "closes the transport connection at once when its application cuts it while it pauses, or is elsewhere",
        BOTH,
        long_linger,
        cut_while_it_pauses
    )
    .whole_only(),
    case!(
        "PW-CLS-012/cut-while-it-closes",
        "closes the transport connection at once when its application cuts it while CLOSE_ACK is awaited",
        BOTH,
        long_linger,
        cut_while_it_closes
    )
    .whole_only(),
    case!(
        "PW-CK-004/cut-while-it-sends",
        "writes nothing of what waited for a connection that its application cut to the next ones",
        SERVER,
        Profile::calm,
        nothing_for_strangers
    )
    .whole_only(),
    case!(
        "PW-TCP-004/cut-by-application",
        "reports a connection that its application cut as another thing than what the peer or the network did",
        BOTH,
        Profile::calm,
        cut_by_application
    )
    .whole_only(),
];

/// Whoever lingers is seen to do so.
fn long_linger() -> Profile {
    Profile { linger: Duration::from_secs(20), ..Profile::calm() }
}

/// The application cuts the connection; the transport connection has ended in both directions soon after, and the id is dead.
fn cut(context: &mut Context<'_>, peer: &mut Peer, id: Id) -> Outcome {
    peer.may_be_cut_off = true;
    context.obeyed(peer, Command::Abort(id))?;
    ended_at_once(peer)?;
    // Where it was elsewhere, the application has to come back to be told of the end. Then the id may be dead already.
    context.control(peer, Command::Release(id))?;
    context.await_gone(peer.runner, id)?;
    let payload = b"too late".to_vec();
    let reply = context.control(peer, Command::Send { to: id, class: 0, payload: payload.clone() })?;
    let due = Reply::Refused { reason: Refusal::Stale, payload };
    require(reply == due, format!("PW-CK-002: a send to a connection that was cut gave {}", describe(&reply)))
}

/// Reads what is on its way, up to the end, and sees that nobody is there any more.
fn ended_at_once(peer: &mut Peer) -> Outcome {
    let (began, mut has_ended) = (clock::now(), false);
    while clock::elapsed(began) < PATIENCE {
        match peer.receive_by(clock::now() + Duration::from_millis(1))? {
            Some(Arrival::Packet(packet)) if packet.kind == kind::DATA => drop(peer.take_frame(packet)?),
            Some(Arrival::Packet(packet)) if packet.kind == kind::BUSY => {}
            Some(Arrival::Packet(packet)) => return violation(format!("{} came", kind::name(packet.kind))),
            Some(Arrival::Reset) => return Ok(()),
            Some(Arrival::End) if has_ended => clock::sleep(Duration::from_millis(1)),
            Some(Arrival::End) => has_ended = true,
            None => {}
        }
        if has_ended {
            // A side that reads on takes this. One that is gone answers with a reset.
            peer.send_raw(&[0])?;
            if peer.was_reset()? {
                return Ok(());
            }
        }
    }
    let what = if has_ended { "the subject reads on" } else { "the stream has not ended" };
    violation(format!("{what} {} s after its application cut the connection", PATIENCE.as_secs()))
}

/// Another connection goes on as before, and a new one begins with an id of its own.
fn others_go_on(context: &mut Context<'_>, other: &mut Peer, old: Id) -> Outcome {
    other.alive()?;
    let (mut next, id) = context.establish_with_id()?;
    // Clients may have a table each.
    let is_new = context.role == Role::Client || id.cookie != old.cookie;
    require(is_new, "PW-CK-001: a new connection has the cookie of one that was cut")?;
    next.alive()
}

fn cut_while_it_sends(context: &mut Context<'_>) -> Outcome {
    let mut other = context.establish()?;
    let (mut peer, id) = context.establish_with_id_beside(slice::from_mut(&mut other))?;
    waiting::fill(context, &mut peer, id)?;
    cut(context, &mut peer, id)?;
    others_go_on(context, &mut other, id)?;
    // One large message, of which some has been read.
    let (mut peer, id) = context.establish_with_id_beside(slice::from_mut(&mut other))?;
    context.send_from(&peer, id, 3, &vec![0xEE; context.enough_to_wait()])?;
    peer.read_some(context.enough_for_room())?;
    cut(context, &mut peer, id)?;
    others_go_on(context, &mut other, id)
}

fn cut_while_it_reads(context: &mut Context<'_>) -> Outcome {
    let mut other = context.establish()?;
    for of in [Flooding::Ignorable, Flooding::Fragments] {
        let (mut peer, id) = context.establish_with_id_beside(slice::from_mut(&mut other))?;
        let mut flood = context.flood(&peer, of);
        let began = clock::now();
        while clock::elapsed(began) < Duration::from_millis(50) {
            peer.pour(&mut flood);
            clock::sleep(Duration::from_millis(1));
        }
        context.obeyed(&peer, Command::Abort(id))?;
        let began = clock::now();
        while !peer.is_cut_off() {
            require(clock::elapsed(began) < PATIENCE, format!("a flood of {of:?} goes on behind the cut"))?;
            peer.pour(&mut flood);
            clock::sleep(Duration::from_millis(1));
        }
        context.await_gone(peer.runner, id)?;
        others_go_on(context, &mut other, id)?;
    }
    Ok(())
}

fn cut_while_it_pauses(context: &mut Context<'_>) -> Outcome {
    let mut other = context.establish()?;
    for pauses in [Command::Pause, Command::Hold] {
        let (mut peer, id) = context.establish_with_id_beside(slice::from_mut(&mut other))?;
        context.obeyed(&peer, pauses(id))?;
        for number in 0..50 {
            peer.send_message(&Message::new(0, vec![number; 1_000]))?;
        }
        cut(context, &mut peer, id)?;
        others_go_on(context, &mut other, id)?;
    }
    Ok(())
}

fn cut_while_it_closes(context: &mut Context<'_>) -> Outcome {
    let mut other = context.establish()?;
    let (mut peer, id) = context.establish_with_id_beside(slice::from_mut(&mut other))?;
    context.close_from(&peer, id, reason::NORMAL)?;
    peer.expect_close(reason::NORMAL)?;
    cut(context, &mut peer, id)?;
    others_go_on(context, &mut other, id)
}

fn nothing_for_strangers(context: &mut Context<'_>) -> Outcome {
    for _ in 0..8 {
        let (mut peer, id) = context.establish_with_id()?;
        waiting::fill(context, &mut peer, id)?;
        context.obeyed(&peer, Command::Abort(id))?;
        context.await_gone(peer.runner, id)?;
        // Whatever went out by mistake would come first.
        let (mut next, id) = context.establish_with_id()?;
        context.send_from(&next, id, 0, b"for this one")?;
        next.expect_message(&Message::new(0, *b"for this one"))?;
        next.alive()?;
    }
    Ok(())
}

fn cut_by_application(context: &mut Context<'_>) -> Outcome {
    let (peer, id) = context.establish_with_id()?;
    context.obeyed(&peer, Command::Abort(id))?;
    let (frame, origin) = context.await_ending(&peer, id, PATIENCE)?;
    let sentence = format!("the cut is reported as {} by {origin:?}", reason::name(frame.reason));
    require(frame.reason == reason::ABORTED && origin != Origin::Peer, sentence)
}
