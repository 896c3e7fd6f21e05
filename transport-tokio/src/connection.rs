//! A connection as its receiving task sees it.

use std::fmt;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use pulsewire_protocol::{CloseReason, ConnectionId, Event};

use crate::driver::Shared;
use crate::receiver::Receiver;
use crate::registry::Registry;
use crate::sender::Sender;

/// One connection. It lives in the task that calls [`recv`](Self::recv): that call reads, writes, probes the peer and
/// answers its probes. So call it always, and give work that takes long to another task; while nobody is in `recv` for
/// longer than the peer's heartbeat allows, the peer takes this side for dead.
///
/// Dropping it cuts the connection without a word. To end it in order, [`close`](Self::close) and go on receiving until
/// [`Event::Closed`].
pub struct Connection {
    shared: Arc<Shared>,
    receiver: Receiver,
    peer: Option<SocketAddr>,
}

impl Connection {
    pub(crate) fn new(shared: Arc<Shared>, registry: Arc<Registry>, peer: Option<SocketAddr>) -> Self {
        Self { shared, receiver: Receiver::new(registry), peer }
    }

    /// The next event. The first one is [`Event::Established`], except after
    /// [`Endpoint::connect`](crate::Endpoint::connect), which waits for it; the last one is [`Event::Closed`], and after
    /// it comes `None`.
    ///
    /// A message borrows the read buffer. Send it on, or keep it with [`Message::into_owned`](pulsewire_protocol::Message::into_owned).
    ///
    /// Cancel safe: dropping the future loses nothing.
    pub async fn recv(&mut self) -> Option<Event<'_>> {
        let mut receiving = Receiving { shared: &self.shared, waits: false };
        let found = poll_fn(|context| {
            let found = self.receiver.poll(receiving.shared, context);
            receiving.waits = found.is_pending();
            found
        })
        .await?;
        Some(self.receiver.event(found))
    }

    /// A handle for sending that can be cloned and given to any task.
    #[must_use]
    pub fn sender(&self) -> Sender {
        Sender::new(Arc::clone(&self.shared))
    }

    /// Names this connection in its endpoint, for ever.
    #[must_use]
    pub fn id(&self) -> ConnectionId {
        self.shared.id
    }

    /// The peer's address, where there is one.
    #[must_use]
    pub fn peer_address(&self) -> Option<SocketAddr> {
        self.peer
    }

    /// The smoothed round-trip time, once a PING was answered.
    #[must_use]
    pub fn rtt(&self) -> Option<Duration> {
        self.shared.lock().connection.rtt()
    }

    /// Asks the peer to close, when all that was sent before has gone out. Go on receiving until [`Event::Closed`].
    pub fn close(&mut self, reason: CloseReason) {
        self.sender().close(reason);
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("id", &self.id()).field("peer", &self.peer).finish_non_exhaustive()
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        if self.receiver.leave(self.shared.id) {
            self.shared.lock().discard();
        }
    }
}

/// One call of [`Connection::recv`].
struct Receiving<'c> {
    shared: &'c Shared,
    waits: bool,
}

impl Drop for Receiving<'_> {
    /// Senders that wait for space must not rely on a receiver that was cancelled.
    fn drop(&mut self) {
        if self.waits {
            let mut driver = self.shared.lock();
            driver.clear_receiver();
            driver.wake_senders();
        }
    }
}
