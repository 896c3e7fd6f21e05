//! A connection as its receiving task sees it.

use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{BufMut, BytesMut};
use pulsewire_protocol::{Class, CloseReason, Closed, ConnectionId, Disconnect, Event, Instant, Message, Payload};
use tokio::time::Sleep;
use tokio_util::io::poll_read_buf;

use crate::buffers;
use crate::clock::Clock;
use crate::driver::{Driver, Shared, cause};
use crate::farewell;
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
    registry: Arc<Registry>,
    peer: Option<SocketAddr>,
    input: Input,
    /// The time of the latest read: packets that came together came at the same time.
    now: Instant,
    timer: Option<Timer>,
    over: bool,
}

/// Received bytes.
#[derive(Default)]
struct Input {
    /// From the thread's pool while there are bytes to handle; else just the beginning of a packet.
    buffer: BytesMut,
    handled: usize,
}

struct Timer {
    sleep: Pin<Box<Sleep>>,
    armed: Instant,
}

/// An event, with the place of its payload in the input where it is borrowed: what a loop may hold on to.
enum Found {
    Owned(Event<'static>),
    Message { class: Class, encrypted: bool, place: Range<usize> },
}

impl Connection {
    pub(crate) fn new(shared: Arc<Shared>, registry: Arc<Registry>, peer: Option<SocketAddr>) -> Self {
        Self { shared, registry, peer, input: Input::default(), now: Instant::ZERO, timer: None, over: false }
    }

    /// The next event. The first one is [`Event::Established`], except after
    /// [`Endpoint::connect`](crate::Endpoint::connect), which waits for it; the last one is [`Event::Closed`], and after
    /// it comes `None`.
    ///
    /// A message borrows the read buffer. Send it on, or keep it with [`Message::into_owned`].
    ///
    /// Cancel safe: dropping the future loses nothing.
    pub async fn recv(&mut self) -> Option<Event<'_>> {
        let found = poll_fn(|context| self.poll_found(context)).await?;
        Some(match found {
            Found::Owned(event) => event,
            Found::Message { class, encrypted, place } => {
                Event::Message(Message { class, encrypted, payload: Payload::Borrowed(&self.input.buffer[place]) })
            }
        })
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

    fn poll_found(&mut self, context: &mut Context<'_>) -> Poll<Option<Found>> {
        if self.over {
            return Poll::Ready(None);
        }
        let shared = Arc::clone(&self.shared);
        let mut driver = shared.lock();
        driver.clear_receiver();
        loop {
            if let Some(found) = self.next_found(&mut driver) {
                // Answers of the protocol itself (HELLO_ACK, PONG) don't wait for the application to come back.
                if !driver.more_input {
                    let _ = driver.flush(&shared.clock, context);
                }
                return Poll::Ready(Some(found));
            }
            if let Some(closed) = self.poll_closed(&mut driver) {
                return Poll::Ready(Some(Found::Owned(Event::Closed(closed))));
            }
            // Everything that came is handled: write once.
            let _ = driver.flush(&shared.clock, context);
            if driver.connection.is_over() {
                continue;
            }
            match self.poll_read(&mut driver, context) {
                Poll::Ready(Some(event)) => return Poll::Ready(Some(Found::Owned(event))),
                Poll::Ready(None) => continue,
                Poll::Pending if driver.end_broken() => continue,
                Poll::Pending => {}
            }
            // What could be read was delivered, so time may pass.
            if self.poll_timer(&mut driver, context).is_ready() {
                continue;
            }
            driver.set_receiver(context);
            return Poll::Pending;
        }
    }

    /// Takes the next event out of the bytes at hand.
    fn next_found(&mut self, driver: &mut Driver) -> Option<Found> {
        let Input { buffer, handled } = &mut self.input;
        let mut rest = &buffer[*handled..];
        let result = driver.connection.receive(self.now, &mut rest);
        *handled = buffer.len() - rest.len();
        driver.more_input = !rest.is_empty();
        match result {
            Ok(Some(Event::Message(Message { class, encrypted, payload: Payload::Borrowed(bytes) }))) => {
                let start = bytes.as_ptr() as usize - buffer.as_ptr() as usize;
                Some(Found::Message { class, encrypted, place: start..start + bytes.len() })
            }
            Ok(Some(event)) => Some(Found::Owned(owned(event))),
            Ok(None) => {
                driver.more_input = false;
                None
            }
            // The connection is over; `Closed` says why.
            Err(error) => {
                tracing::debug!(connection = ?self.shared.id, %error, "the peer broke the protocol");
                None
            }
        }
    }

    fn poll_closed(&mut self, driver: &mut Driver) -> Option<Box<Closed>> {
        let Some(Event::Closed(closed)) = driver.connection.poll_event() else { return None };
        // The id dies before the socket is closed (PW-CK-005).
        self.registry.remove(self.shared.id);
        self.over = true;
        self.timer = None;
        self.input = Input::default();
        tracing::debug!(connection = ?self.shared.id, %closed, "closed");
        if let Some((stream, batches)) = driver.take_remains(self.shared.clock.now()) {
            farewell::spawn(stream, batches, &closed, &self.registry);
        }
        Some(closed)
    }

    /// Reads once: into a large packet's own buffer, or behind the bytes that wait.
    fn poll_read(&mut self, driver: &mut Driver, context: &mut Context<'_>) -> Poll<Option<Event<'static>>> {
        let Driver { connection, stream: Some(stream), .. } = driver else { return Poll::Ready(None) };
        let stream = Pin::new(&mut **stream);
        let mut event = None;
        let result = if let Some((mut buffer, need)) = connection.direct_buffer() {
            let result = poll_read_buf(stream, context, &mut (&mut buffer).limit(need));
            let count = if let Poll::Ready(Ok(count)) = result { count } else { 0 };
            if count > 0 {
                self.now = self.shared.clock.now();
            }
            event = connection.received_direct(self.now, buffer, count).unwrap_or_else(|error| {
                tracing::debug!(connection = ?self.shared.id, %error, "the peer broke the protocol");
                None
            });
            result
        } else {
            self.input.make_room();
            let room = buffers::READ - self.input.buffer.len();
            let result = poll_read_buf(stream, context, &mut (&mut self.input.buffer).limit(room));
            if result.is_ready() {
                self.now = self.shared.clock.now();
            } else {
                self.input.shrink();
            }
            result
        };
        match ready!(result) {
            Ok(0) => connection.disconnected(Disconnect::EndOfStream),
            Ok(_) => {}
            Err(error) => connection.disconnected(cause(&error)),
        }
        Poll::Ready(event)
    }

    /// `Ready`: time was let pass.
    fn poll_timer(&mut self, driver: &mut Driver, context: &mut Context<'_>) -> Poll<()> {
        let Some(deadline) = driver.connection.poll_timeout() else { return Poll::Pending };
        let clock = self.shared.clock;
        let timer = self.timer.get_or_insert_with(|| Timer {
            sleep: Box::pin(tokio::time::sleep_until(clock.tokio(deadline))),
            armed: deadline,
        });
        // Nearly every packet moves the deadline to later. The timer is left alone then, and asks again when it runs out.
        if deadline < timer.armed {
            timer.arm(&clock, deadline);
        }
        while timer.sleep.as_mut().poll(context).is_ready() {
            let now = clock.now();
            if deadline <= now {
                timer.armed = Instant::MAX;
                driver.connection.handle_timeout(now);
                return Poll::Ready(());
            }
            timer.arm(&clock, deadline);
        }
        Poll::Pending
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        if !self.over {
            self.registry.remove(self.shared.id);
            let mut driver = self.shared.lock();
            driver.connection.abort();
            driver.stream = None;
            driver.wake_senders();
        }
    }
}

impl Timer {
    fn arm(&mut self, clock: &Clock, deadline: Instant) {
        self.armed = deadline;
        self.sleep.as_mut().reset(clock.tokio(deadline));
    }
}

impl Input {
    /// Brings the bytes that wait to the front of a buffer from the pool.
    fn make_room(&mut self) {
        let waiting = self.handled..self.buffer.len();
        if self.buffer.capacity() == buffers::READ {
            let count = waiting.len();
            self.buffer.copy_within(waiting, 0);
            self.buffer.truncate(count);
        } else {
            let mut buffer = buffers::take_read();
            buffer.extend_from_slice(&self.buffer[waiting]);
            self.buffer = buffer;
        }
        self.handled = 0;
    }

    /// Nothing came: keeps the bytes that wait, mostly none, and gives the buffer back.
    fn shrink(&mut self) {
        let waiting = BytesMut::from(&self.buffer[..]);
        buffers::give_read(std::mem::replace(&mut self.buffer, waiting));
    }
}

impl Drop for Input {
    fn drop(&mut self) {
        buffers::give_read(std::mem::take(&mut self.buffer));
    }
}

/// Only messages borrow, and those were taken out before.
fn owned(event: Event<'_>) -> Event<'static> {
    match event {
        Event::Message(message) => Event::Message(message.into_owned()),
        Event::Established(established) => Event::Established(established),
        Event::Gap(gap) => Event::Gap(gap),
        Event::Closing(reason) => Event::Closing(reason),
        Event::Closed(closed) => Event::Closed(closed),
    }
}
