//! The receiving side of a connection: reads, handles, writes and lets time pass, in this order.

use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::BufMut;
use pulsewire_protocol::{Class, Closed, ConnectionId, Disconnect, Event, Instant, Message, Payload};
use tokio::task::coop::has_budget_remaining;
use tokio_util::io::poll_read_buf;

use crate::buffers;
use crate::clock::Clock;
use crate::driver::{Driver, cause};
use crate::input::Input;
use crate::registry::Registry;
use crate::shared::Shared;
use crate::timer::Timer;
use crate::turn::{LOOK_EVERY, Turn};

/// How long what is sent may be held back to be joined, while bytes that came together are handled one after the other.
const HOLD: Duration = Duration::from_millis(1);

pub(crate) struct Receiver {
    registry: Arc<Registry>,
    input: Input,
    /// The time of the latest read: packets that came together came at the same time.
    now: Instant,
    timer: Timer,
    turn: Turn,
    over: bool,
    /// When it was last looked whether what is sent is held back for too long, and how many events don't look again.
    looked: Instant,
    unlooked: u32,
}

/// An event, with the place of its payload in the input where it is borrowed: what a loop may hold on to.
pub(crate) enum Found {
    Owned(Event<'static>),
    Message { class: Class, encrypted: bool, place: Range<usize> },
}

impl Receiver {
    pub(crate) fn new(registry: Arc<Registry>) -> Self {
        Self {
            registry,
            input: Input::default(),
            now: Instant::ZERO,
            timer: Timer::default(),
            turn: Turn::default(),
            over: false,
            looked: Instant::ZERO,
            unlooked: 0,
        }
    }

    /// What it was until now, for somebody else to go on with.
    pub(crate) fn take(&mut self) -> Self {
        let fresh = Self::new(Arc::clone(&self.registry));
        std::mem::replace(self, fresh)
    }

    /// Nothing more is received.
    pub(crate) fn is_over(&self) -> bool {
        self.over
    }

    /// What was found, with its payload borrowed.
    pub(crate) fn event(&self, found: Found) -> Event<'_> {
        match found {
            Found::Owned(event) => event,
            Found::Message { class, encrypted, place } => {
                Event::Message(Message { class, encrypted, payload: Payload::Borrowed(&self.input.buffer[place]) })
            }
        }
    }

    /// Ends the id of a connection that is dropped before it is over. Returns whether it was so.
    pub(crate) fn leave(&self, id: ConnectionId) -> bool {
        if !self.over {
            self.registry.remove(id);
        }
        !self.over
    }

    /// The next thing that is found, or that it is over.
    pub(crate) fn poll(&mut self, shared: &Shared, context: &mut Context<'_>) -> Poll<Option<Found>> {
        if self.over {
            return Poll::Ready(None);
        }
        ready!(self.turn.poll(context));
        let found = self.poll_found(shared, context);
        match found {
            Poll::Ready(_) => self.turn.event(&shared.clock),
            Poll::Pending => self.turn.waits(),
        }
        found
    }

    fn poll_found(&mut self, shared: &Shared, context: &mut Context<'_>) -> Poll<Option<Found>> {
        let mut driver = shared.lock();
        driver.receiver_comes(&shared.clock);
        if driver.more_input && driver.has_more() && self.handles_slowly(&shared.clock) {
            let _ = driver.flush(&shared.clock, context);
        }
        loop {
            if let Some(found) = self.next(shared, &mut driver) {
                self.leave_with_event(shared, &mut driver, context);
                return Poll::Ready(Some(found));
            }
            // Everything that came is handled: write once.
            let _ = driver.flush(&shared.clock, context);
            if driver.connection.is_over() {
                continue;
            }
            // Also where there is always more to read. All that came by the time of the latest read is handled.
            if driver.connection.poll_timeout().is_some_and(|deadline| deadline <= self.now) {
                driver.pass_time(self.now);
                continue;
            }
            ready!(self.turn.poll(context));
            // While this side pauses, what may be read waits (PW-HB-019).
            let read = match driver.connection.is_paused() {
                true => Poll::Pending,
                false => self.poll_read(shared, &mut driver, context),
            };
            match read {
                Poll::Ready(Some(event)) => {
                    self.note(shared, &mut driver, &event);
                    self.leave_with_event(shared, &mut driver, context);
                    return Poll::Ready(Some(Found::Owned(event)));
                }
                Poll::Ready(None) => {
                    self.turn.read(self.now);
                    continue;
                }
                // Out of budget, the task has to pause, and has perhaps not read all.
                Poll::Pending if has_budget_remaining() && driver.end_broken(&shared.clock) => continue,
                Poll::Pending if driver.can_write() => continue,
                Poll::Pending => {}
            }
            // What could be read was delivered, so time may pass (PW-TCP-001).
            if self.poll_timer(&shared.clock, &mut driver, context).is_ready() {
                continue;
            }
            driver.set_receiver(context);
            return Poll::Pending;
        }
    }

    /// The task goes to handle an event, and the keeper looks after the connection until it is back.
    fn leave_with_event(&self, shared: &Shared, driver: &mut Driver, context: &mut Context<'_>) {
        if self.over {
            return;
        }
        driver.receiver_leaves(&shared.clock, context);
        shared.watch(driver);
    }

    /// The next thing to report of what came, and of what time and commands did.
    fn next(&mut self, shared: &Shared, driver: &mut Driver) -> Option<Found> {
        loop {
            let found = if driver.connection.is_paused() { None } else { self.next_found(shared, driver) };
            // The end that an error brought, or what waits while this side pauses.
            let found = found.or_else(|| driver.connection.poll_event().map(Found::Owned));
            if let Some(Found::Owned(event)) = &found {
                if is_internal(event) {
                    continue;
                }
                self.note(shared, driver, event);
            }
            return found;
        }
    }

    /// Ends what is the receiver's with `Closed`.
    fn note(&mut self, shared: &Shared, driver: &mut Driver, event: &Event<'_>) {
        if let Event::Closed(closed) = event {
            self.end(shared, driver, closed);
        }
    }

    /// Whether it took long to handle the latest events, so that answers to them should not wait for the rest.
    fn handles_slowly(&mut self, clock: &Clock) -> bool {
        if self.unlooked > 0 {
            self.unlooked -= 1;
            return false;
        }
        let now = clock.now();
        let slow = now - self.looked.max(self.now) >= HOLD;
        self.looked = now;
        self.unlooked = if slow { 0 } else { LOOK_EVERY };
        slow
    }

    /// The next event that waits, or else out of the bytes at hand.
    fn next_found(&mut self, shared: &Shared, driver: &mut Driver) -> Option<Found> {
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
            Ok(Some(event)) => Some(Found::Owned(event.into_owned())),
            Ok(None) => {
                driver.more_input = false;
                None
            }
            // The connection is over; `Closed` says why.
            Err(error) => {
                tracing::debug!(connection = ?shared.id, %error, "the peer broke the protocol");
                None
            }
        }
    }

    fn end(&mut self, shared: &Shared, driver: &mut Driver, closed: &Closed) {
        self.over = true;
        self.timer = Timer::default();
        self.input = Input::default();
        shared.say_farewell(&self.registry, driver);
        // Whoever listens may ask the endpoint for what lives, and this one does not any more.
        tracing::debug!(connection = ?shared.id, %closed, "closed");
    }

    /// Reads once: into a large packet's own buffer, or behind the bytes that wait.
    fn poll_read(
        &mut self,
        shared: &Shared,
        driver: &mut Driver,
        context: &mut Context<'_>,
    ) -> Poll<Option<Event<'static>>> {
        let Driver { connection, below: Some(below), read_at, .. } = driver else { return Poll::Ready(None) };
        let stream = Pin::new(below.stream());
        let mut event = None;
        let result = if let Some((mut buffer, need)) = connection.direct_buffer() {
            let result = poll_read_buf(stream, context, &mut (&mut buffer).limit(need));
            if result.is_ready() {
                self.now = shared.clock.now();
            }
            event = connection.received_direct(self.now, buffer).unwrap_or_else(|error| {
                tracing::debug!(connection = ?shared.id, %error, "the peer broke the protocol");
                None
            });
            event = event.filter(|event| !is_internal(event));
            result
        } else {
            self.input.make_room();
            let room = buffers::READ - self.input.buffer.len();
            let result = poll_read_buf(stream, context, &mut (&mut self.input.buffer).limit(room));
            if result.is_ready() {
                self.now = shared.clock.now();
            } else {
                self.input.shrink();
            }
            result
        };
        let result = ready!(result);
        *read_at = self.now;
        match result {
            Ok(0) => connection.disconnected(self.now, Disconnect::EndOfStream),
            Ok(_) => {}
            Err(error) => connection.disconnected(self.now, cause(&error)),
        }
        Poll::Ready(event)
    }

    /// `Ready`: time was let pass.
    fn poll_timer(&mut self, clock: &Clock, driver: &mut Driver, context: &mut Context<'_>) -> Poll<()> {
        let Some(deadline) = driver.connection.poll_timeout() else { return Poll::Pending };
        self.timer.poll(clock, deadline, context).map(|now| driver.pass_time(now))
    }
}

/// Whether the application is not told: those that wait for room are woken as bytes go out.
fn is_internal(event: &Event<'_>) -> bool {
    matches!(event, Event::Writable { .. })
}
