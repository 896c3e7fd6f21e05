//! A connection as its receiving task sees it.

use std::fmt;
use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use pulsewire_policy::Traffic;
use pulsewire_protocol::{
    CloseFrame, CloseReason, Closed, ConnectionId, Established, Event, PeerLimits, Role, Statistics,
};
use tokio::runtime::Handle;

use crate::driver::{Driver, busy_while};
use crate::input::Found;
use crate::receiver::Receiver;
use crate::registry::Registry;
use crate::sender::Sender;
use crate::shared::Shared;

/// One connection. The task that calls [`recv`](Self::recv) drives it: that call reads, writes, probes the peer and answers its
/// probes. While that task handles an event, however long it waits for something else, its endpoint looks after the connection: what
/// is sent leaves, and if it takes long the connection pauses, so that the peer waits for as long as its `heartbeat.busy_max`
/// allows. [`busy_while`](Self::busy_while) pauses at once.
///
/// Dropping it closes it in order, in the background: what was accepted for sending is sent, for as long as
/// `timeouts.write_stall` and `timeouts.close` allow, and what still comes is thrown away. To know how it ended,
/// [`close`](Self::close) and go on receiving until [`Event::Closed`]. [`Sender::abort`] cuts it at once; so does a panic.
pub struct Connection {
    shared: Arc<Shared>,
    receiver: Receiver,
    /// What a server received before it handed the connection on.
    first: Option<Box<Event<'static>>>,
}

impl Connection {
    pub(crate) fn new(shared: Arc<Shared>, registry: Arc<Registry>) -> Self {
        Self { shared, receiver: Receiver::new(registry), first: None }
    }

    /// Waits until there is something to receive.
    pub(crate) async fn peek(&mut self) {
        if let Some(event) = self.recv().await {
            let event = event.into_owned();
            self.put_back(event);
        }
    }

    /// The next [`recv`](Self::recv) gives this, as if nobody had received it.
    pub(crate) fn put_back(&mut self, event: Event<'static>) {
        self.first = Some(Box::new(event));
    }

    /// The next event. The first one is [`Event::Established`], except after
    /// [`Endpoint::connect`](crate::Endpoint::connect), which waits for it, and on a server that
    /// [asks](pulsewire_protocol::Admission::Ask), where [`Event::Admission`] comes before; the last one is
    /// [`Event::Closed`], and after it comes `None`.
    ///
    /// A message borrows the read buffer. Send it on, or keep it with [`Message::into_owned`](pulsewire_protocol::Message::into_owned).
    ///
    /// Cancel safe: dropping the future loses nothing.
    #[inline]
    pub async fn recv(&mut self) -> Option<Event<'_>> {
        if let Some(first) = self.first.take() {
            return Some(*first);
        }
        if let Some(place) = self.receiver.next_of_several(&self.shared) {
            return Some(Event::Message(self.receiver.message(place)));
        }
        let found = self.find().await?;
        Some(self.event(found))
    }

    /// As [`recv`](Self::recv), for who goes on to do something else with the connection before the [`event`](Self::event) is lent.
    #[inline]
    pub(crate) async fn find(&mut self) -> Option<Found> {
        let mut receiving = Receiving { shared: &self.shared, waits: false };
        poll_fn(|context| {
            let found = self.receiver.poll(receiving.shared, context);
            receiving.waits = found.is_pending();
            found
        })
        .await
    }

    /// What was found last.
    pub(crate) fn event(&self, found: Found) -> Event<'_> {
        self.receiver.event(found)
    }

    /// Waits until a client's handshake is complete.
    pub(crate) async fn greet(&mut self) -> Result<Box<Established>, Box<Closed>> {
        loop {
            match self.recv().await {
                Some(Event::Established(established)) => return Ok(established),
                Some(Event::Closed(closed)) => return Err(closed),
                Some(_) => {}
                None => unreachable!("`Closed` comes before the end"),
            }
        }
    }

    /// A handle for sending that can be cloned and given to any task.
    #[must_use]
    pub fn sender(&self) -> Sender {
        Sender::new(Arc::clone(&self.shared))
    }

    /// Where it runs.
    pub(crate) fn runtime(&self) -> &Handle {
        &self.shared.runtime
    }

    /// Names this connection in its endpoint, for ever.
    #[must_use]
    pub fn id(&self) -> ConnectionId {
        self.shared.id
    }

    /// Which side this is.
    #[must_use]
    pub fn role(&self) -> Role {
        self.shared.role
    }

    /// A span for what is logged about this connection, with its id, role and the peer's address. [`Server::serve`](crate::Server::serve)
    /// runs its handlers in such; for a task of your own:
    ///
    /// ```no_run
    /// use pulsewire_transport_tokio::Connection;
    /// use tracing::Instrument;
    ///
    /// fn spawn(mut connection: Connection) {
    ///     let span = connection.span();
    ///     tokio::spawn(async move { while connection.recv().await.is_some() {} }.instrument(span));
    /// }
    /// ```
    #[must_use]
    pub fn span(&self) -> tracing::Span {
        let peer = self.peer_address().map(tracing::field::display);
        tracing::info_span!("connection", id = ?self.id(), role = ?self.role(), peer)
    }

    /// The peer's address, where there is one.
    #[must_use]
    pub fn peer_address(&self) -> Option<SocketAddr> {
        self.shared.peer
    }

    /// The smoothed round-trip time, once a PING was answered.
    #[must_use]
    pub fn rtt(&self) -> Option<Duration> {
        self.shared.lock().connection.rtt()
    }

    /// What the peer announced in the handshake. `None` before that is complete.
    #[must_use]
    pub fn peer_limits(&self) -> Option<PeerLimits> {
        self.shared.lock().connection.peer_limits()
    }

    /// What the connection has done so far, in numbers. Also when it is over.
    #[must_use]
    pub fn statistics(&self) -> Statistics {
        self.shared.lock().connection.statistics()
    }

    /// What the stream said when it broke, if it did, and once: how the connection ended tells only which of the ends of section 9.2
    /// that was. A TLS alert and a certificate that is not trusted are found here.
    #[must_use]
    pub fn take_io_error(&mut self) -> Option<io::Error> {
        self.shared.lock().error.take()
    }

    /// Admits the client that [`Event::Admission`] told of (PW-HS-020); [`Event::Established`] follows. Without such a client
    /// this does nothing.
    pub fn accept(&mut self) {
        self.shared.command(Driver::accept);
    }

    /// Refuses the client that [`Event::Admission`] told of, with a reason (`REFUSED`, `OVERLOADED`, or one of your own), and a
    /// sentence and advice on connecting again where a [`CloseFrame`] is given. Go on receiving until [`Event::Closed`].
    /// Without such a client this does nothing.
    pub fn refuse(&mut self, close: impl Into<CloseFrame>) {
        self.shared.command(|driver, clock| driver.refuse(clock, close.into()));
    }

    /// Takes no more for a while, because the application is slow: [`recv`](Self::recv) gives no message, and reads nothing,
    /// until [`resume`](Self::resume), which a [`Sender`] can do from another task. Go on calling it: it goes on writing, and
    /// tells the peer in time that this side still pauses (BUSY, PW-HB-019), so that the peer does not give it up for as long
    /// as its `heartbeat.busy_max` allows.
    ///
    /// A pause ends by itself when this side closes, or the stream breaks. Before [`Event::Established`], and while this side
    /// closes, none begins (PW-HB-024).
    pub fn pause(&mut self) {
        self.shared.pause();
    }

    /// Takes more again. While something runs in [`busy_while`](Self::busy_while), the pause ends only with that.
    pub fn resume(&mut self) {
        self.shared.command(Driver::resume);
    }

    /// Whether this side pauses.
    #[must_use]
    pub fn is_paused(&self) -> bool {
        self.shared.lock().connection.is_paused()
    }

    /// Runs work that may take longer than the peer's heartbeat allows, and drives the connection as paused meanwhile: what
    /// is sent leaves, and the peer knows that this side is busy and not dead. Nothing is received until it is done. Work that
    /// is done at once costs nothing.
    ///
    /// The work must not block its thread; for what does, await a `spawn_blocking` in it. For work on a message that was not
    /// copied there is [`Sender::busy_while`].
    ///
    /// Cancel safe as far as the work is: where the future is dropped, the pause ends.
    pub async fn busy_while<W: Future>(&mut self, work: W) -> W::Output {
        busy_while(&self.shared, work).await
    }

    /// Tells the peer that this side is going to close (section 9.1 of the specification): its application is told to begin
    /// nothing new here, and to close when what it had begun is finished. Both sides go on to send and to receive.
    pub fn drain(&mut self) {
        self.shared.command(Driver::drain);
    }

    /// Asks the peer to close, when all that was sent before has gone out. Go on receiving until [`Event::Closed`]. A
    /// [`CloseReason`](pulsewire_protocol::CloseReason) will do; a [`CloseFrame`] gives a sentence and advice on connecting
    /// again with it. A pause ends.
    pub fn close(&mut self, close: impl Into<CloseFrame>) {
        self.shared.command(|driver, clock| driver.close(clock, close.into()));
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("id", &self.id()).field("peer", &self.peer_address()).finish_non_exhaustive()
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        let leaving = Leaving { shared: Arc::clone(&self.shared), receiver: self.receiver.take() };
        if leaving.receiver.is_over() {
            return;
        }
        // Whoever panics did not finish what it was about.
        if !std::thread::panicking() {
            let runtime = leaving.shared.runtime.clone();
            runtime.spawn(leaving.finish());
        }
    }
}

/// A connection that nobody receives from any more, until it is over.
struct Leaving {
    shared: Arc<Shared>,
    receiver: Receiver,
}

impl Leaving {
    /// The time limits of closing and writing bound it.
    async fn finish(mut self) {
        self.shared.command(|driver, clock| driver.close(clock, CloseReason::NORMAL.into()));
        while poll_fn(|context| self.receiver.poll(&self.shared, context)).await.is_some() {}
    }
}

impl Drop for Leaving {
    /// Also where the runtime ends before that.
    fn drop(&mut self) {
        if self.receiver.is_over() {
            return;
        }
        let parting = self.receiver.part(self.shared.id);
        let mut driver = self.shared.lock();
        let report = driver.discard();
        let traffic = Traffic::of(&driver.connection);
        drop(driver);
        if let Some(mut parting) = parting {
            parting.note(report, traffic);
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
            self.shared.watch(&mut driver);
        }
    }
}
