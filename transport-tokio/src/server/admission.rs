//! The check of clients, bounded in time and number.

use std::net::SocketAddr;
use std::pin::Pin;
use std::time::Duration;

use pulsewire_protocol::{CloseFrame, Request};
use tokio::time::timeout;

use super::door::Door;
use super::race::{First, caught, race};
use crate::connection::Connection;

type Verdict = Pin<Box<dyn Future<Output = Result<(), CloseFrame>> + Send>>;

/// What a server asks about each client.
pub(super) struct Check {
    ask: Box<dyn Fn(Request, Option<SocketAddr>) -> Verdict + Send + Sync>,
    limit: Duration,
}

impl Check {
    /// The handshake needs a part of its own time for the answer.
    pub(super) fn new<A, F>(ask: A, timeout: Duration, handshake: Duration) -> Self
    where
        A: Fn(Request, Option<SocketAddr>) -> F + Send + Sync + 'static,
        F: Future<Output = Result<(), CloseFrame>> + Send + 'static,
    {
        let ask = Box::new(move |request, peer| Box::pin(ask(request, peer)) as Verdict);
        Self { ask, limit: timeout.min(handshake / 4 * 3) }
    }

    /// Admits or refuses the client. Where it leaves meanwhile, receiving from the connection says so next.
    pub(super) async fn judge(&self, door: &Door, request: Request, connection: &mut Connection) {
        let verdict = match door.checks.try_acquire() {
            Ok(_permit) => self.ask(door, request, connection).await,
            Err(_) => Some(Err(door.overloaded("the server is checking as many clients as it can"))),
        };
        match verdict {
            Some(Ok(())) => connection.accept(),
            Some(Err(frame)) => {
                door.count(|counts| counts.refused_by_check += 1);
                connection.refuse(frame);
            }
            None => {}
        }
    }

    /// `None`: the client has left.
    async fn ask(&self, door: &Door, request: Request, connection: &mut Connection) -> Option<Result<(), CloseFrame>> {
        let peer = connection.peer_address();
        let asking = timeout(self.limit, caught(async { (self.ask)(request, peer).await }));
        // While it is judged a client has nothing to say: the next thing to come is its end.
        match race(asking, connection.peek()).await {
            First::One(Ok(Ok(verdict))) => Some(verdict),
            First::One(Ok(Err(panic))) => {
                door.count(|counts| counts.panics += 1);
                tracing::error!(connection = ?connection.id(), panic, "the check of a client panicked");
                Some(Err(door.overloaded("the server could not check the client")))
            }
            First::One(Err(_)) => Some(Err(door.overloaded("the server could not check the client in time"))),
            First::Other(()) => None,
        }
    }
}
