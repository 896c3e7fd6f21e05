//! Calls of the handler, with the connection that they are about.

use pulsewire_protocol::{Connection, ConnectionId, Event, Instant};

use crate::handler::{Context, Handler};

use super::peer::Peer;

/// Has the connection do what other threads asked for.
pub(super) fn submit<Socket>(
    handler: &mut impl Handler,
    connection: &mut Connection,
    peer: &mut Peer<Socket>,
    id: ConnectionId,
    now: Instant,
) {
    let submitted = peer.mailbox.submit(connection, now);
    if submitted.admitted
        && let Some(event) = connection.poll_event()
    {
        deliver(handler, connection, peer, id, now, event);
    }
    for refused in submitted.refused {
        handler.unsent(&mut context(connection, peer, id, now), refused);
    }
    if submitted.has_room_again {
        handler.writable(&mut context(connection, peer, id, now));
    }
}

/// Hands an event to the handler, when other threads can rely on it already. `Closed` waits for the end of the turn, which
/// [`report`]s it.
pub(super) fn deliver<Socket>(
    handler: &mut impl Handler,
    connection: &mut Connection,
    peer: &mut Peer<Socket>,
    id: ConnectionId,
    now: Instant,
    event: Event<'_>,
) {
    match event {
        Event::Closed(closed) => peer.closed = Some(closed),
        other => report(handler, connection, peer, id, now, other),
    }
}

/// The same, without delay.
pub(super) fn report<Socket>(
    handler: &mut impl Handler,
    connection: &mut Connection,
    peer: &Peer<Socket>,
    id: ConnectionId,
    now: Instant,
    event: Event<'_>,
) {
    match &event {
        Event::Established(established) => peer.mailbox.open(established.message_limit),
        Event::Closing(said) => peer.mailbox.closing(said.reason),
        // The handler is told once there is room on the whole way, of which the connection is a part.
        Event::Writable { .. } => return,
        // No other event changes what may be sent.
        _ => {}
    }
    handler.event(&mut context(connection, peer, id, now), event);
}

pub(super) fn context<'c, Socket>(
    connection: &'c mut Connection,
    peer: &'c Peer<Socket>,
    id: ConnectionId,
    now: Instant,
) -> Context<'c> {
    Context { id, peer_address: peer.address, now, connection, mailbox: &peer.mailbox }
}
