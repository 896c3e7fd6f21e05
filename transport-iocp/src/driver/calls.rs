//! Calls of the handler, with the connection that they are about.

use pulsewire_protocol::{Connection, ConnectionId, Event};

use crate::handler::{Context, Handler};

use super::peer::Peer;

/// Hands what other threads queued to the connection.
pub(super) fn submit<Socket>(
    handler: &mut impl Handler,
    connection: &mut Connection,
    peer: &Peer<Socket>,
    id: ConnectionId,
) {
    let submitted = peer.mailbox.submit(connection);
    for refused in submitted.refused {
        handler.unsent(&mut context(connection, peer, id), refused);
    }
    if submitted.has_room_again {
        handler.writable(&mut context(connection, peer, id));
    }
}

/// Hands an event to the handler, when other threads can rely on it already.
pub(super) fn deliver<Socket>(
    handler: &mut impl Handler,
    connection: &mut Connection,
    peer: &Peer<Socket>,
    id: ConnectionId,
    event: Event<'_>,
) {
    match &event {
        Event::Established(established) => peer.mailbox.open(established.message_limit),
        Event::Closing(said) => peer.mailbox.closing(said.reason),
        // No other event changes what may be sent.
        _ => {}
    }
    handler.event(&mut context(connection, peer, id), event);
}

pub(super) fn context<'c, Socket>(
    connection: &'c mut Connection,
    peer: &'c Peer<Socket>,
    id: ConnectionId,
) -> Context<'c> {
    Context { id, peer_address: peer.address, connection, mailbox: &peer.mailbox }
}
