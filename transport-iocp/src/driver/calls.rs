//! Calls of the handler, with the connection that they are about.

use pulsewire_protocol::{Connection, ConnectionId, Event, Instant};

use crate::handler::{Context, Handler};

use super::peer::Peer;

/// Has the connection do what other threads asked for.
pub(super) fn submit<Socket>(
    handler: &mut impl Handler,
    connection: &mut Connection,
    peer: &Peer<Socket>,
    id: ConnectionId,
    now: Instant,
) {
    let submitted = peer.mailbox.submit(connection, now);
    if submitted.admitted {
        deliver_next(handler, connection, peer, id, now);
    }
    for refused in submitted.refused {
        handler.unsent(&mut context(connection, peer, id, now), refused);
    }
    if submitted.has_room_again {
        handler.writable(&mut context(connection, peer, id, now));
    }
}

/// Hands the next event that came from time or a command to the handler: `Established`, where a client was admitted.
fn deliver_next<Socket>(
    handler: &mut impl Handler,
    connection: &mut Connection,
    peer: &Peer<Socket>,
    id: ConnectionId,
    now: Instant,
) {
    if let Some(event) = connection.poll_event() {
        deliver(handler, connection, peer, id, now, event);
    }
}

/// Hands an event to the handler, when other threads can rely on it already.
pub(super) fn deliver<Socket>(
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
        // No other event changes what may be sent.
        _ => {}
    }
    let judges = matches!(event, Event::Admission(_));
    handler.event(&mut context(connection, peer, id, now), event);
    // What a client wrongly sent behind its HELLO must not come ahead of `Established`.
    if judges && connection.is_open() {
        deliver_next(handler, connection, peer, id, now);
    }
}

pub(super) fn context<'c, Socket>(
    connection: &'c mut Connection,
    peer: &'c Peer<Socket>,
    id: ConnectionId,
    now: Instant,
) -> Context<'c> {
    Context { id, peer_address: peer.address, now, connection, mailbox: &peer.mailbox }
}
