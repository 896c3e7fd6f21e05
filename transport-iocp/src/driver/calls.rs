//! Calls of the handler, with the connection that they are about.

use std::panic::{AssertUnwindSafe, catch_unwind};

use std::time::Duration;

use pulsewire_protocol::{Connection, ConnectionId, Event, Instant};

use crate::handler::{Context, Desk, Handler};
use crate::mailbox::Submitted;

use super::peer::Peer;
use super::service::Service;

/// The handler, and what is decided and counted around it.
pub(super) struct Application<'d, H> {
    pub(super) handler: &'d mut H,
    pub(super) service: &'d mut Service,
}

/// The time between two looks at a connection that waits until all together hold less.
const SHORT_PAUSE: Duration = Duration::from_millis(10);

/// Has the connection do what other threads asked for.
pub(super) fn submit<Socket>(
    application: &mut Application<'_, impl Handler>,
    connection: &mut Connection,
    peer: &mut Peer<Socket>,
    id: ConnectionId,
    now: Instant,
) {
    let submitted = peer.mailbox.submit(connection, now);
    tell(application, connection, peer, id, now, submitted);
}

/// Tells what came of that.
pub(super) fn tell<Socket>(
    application: &mut Application<'_, impl Handler>,
    connection: &mut Connection,
    peer: &mut Peer<Socket>,
    id: ConnectionId,
    now: Instant,
    submitted: Submitted,
) {
    if submitted.admitted
        && let Some(event) = connection.poll_event()
    {
        deliver(application, connection, peer, id, now, event);
    }
    for refused in submitted.refused {
        call(application, connection, peer, id, now, |handler, context| handler.unsent(context, refused));
    }
    // Whoever waits for memory is looked at again, but not at once: the others have to let go of some first.
    let waited = peer.short_until.take_if(|until| *until <= now).is_some();
    let has_room_again = submitted.has_room_again || (waited && peer.mailbox.is_short_no_more());
    if submitted.short && peer.short_until.is_none() {
        peer.short_until = Some(now + SHORT_PAUSE);
    }
    if has_room_again {
        application.service.desk.groups.note_room(id);
        application.service.clients.note_room(id);
        call(application, connection, peer, id, now, |handler, context| handler.writable(context));
    }
}

/// Hands an event to the handler, when other threads can rely on it already. `Closed` waits for the end of the turn, which
/// [`report`]s it.
pub(super) fn deliver<Socket>(
    application: &mut Application<'_, impl Handler>,
    connection: &mut Connection,
    peer: &mut Peer<Socket>,
    id: ConnectionId,
    now: Instant,
    event: Event<'_>,
) {
    match &event {
        Event::Closed(_) => {
            if let Event::Closed(closed) = event {
                peer.closed = Some(closed);
            }
            return;
        }
        Event::Established(_) => peer.is_new = true,
        Event::Admission(_) => {
            peer.judge_until = application.service.begin_check(connection, now);
            if peer.judge_until.is_none() {
                return;
            }
        }
        // The others are the handler's alone.
        _ => {}
    }
    report(application, connection, peer, id, now, event);
}

/// The same, without delay.
pub(super) fn report<Socket>(
    application: &mut Application<'_, impl Handler>,
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
    call(application, connection, peer, id, now, |handler, context| handler.event(context, event));
}

/// Calls the handler. Where it panics, the connection is cut that it was called for, and the others go on.
fn call<Socket, H: Handler>(
    application: &mut Application<'_, H>,
    connection: &mut Connection,
    peer: &Peer<Socket>,
    id: ConnectionId,
    now: Instant,
    act: impl FnOnce(&mut H, &mut Context<'_>),
) {
    if !peer.admitted {
        return;
    }
    let _in_span = peer.span.enter();
    let mut context = context(connection, peer, id, now, &mut application.service.desk);
    // What the handler left half done is its own. Connection and mailbox are consistent after each call of theirs.
    if catch_unwind(AssertUnwindSafe(|| act(application.handler, &mut context))).is_err() {
        tracing::error!("the handler panicked; the connection is cut");
        context.abort();
        application.service.statistics.panics += 1;
    }
}

pub(super) fn context<'c, Socket>(
    connection: &'c mut Connection,
    peer: &'c Peer<Socket>,
    id: ConnectionId,
    now: Instant,
    desk: &'c mut Desk,
) -> Context<'c> {
    Context { id, peer_address: peer.address, now, connection, mailbox: &peer.mailbox, desk }
}
