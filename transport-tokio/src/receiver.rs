//! The receiving side of a connection: reads, handles, writes and lets time pass, in this order.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::BufMut;
use pulsewire_protocol::{ConnectionId, Disconnect, Event, Instant, Message, ProtocolError};
use tokio::task::coop::has_budget_remaining;
use tokio_util::io::poll_read_buf;

use crate::driver::{Driver, cause};
use crate::input::{Found, Input, Place};
use crate::registry::{Parting, Registry};
use crate::shared::Shared;
use crate::turn::{Turn, give_way};

pub(crate) struct Receiver {
    registry: Arc<Registry>,
    input: Input,
    /// The time of the latest read: packets that came together came at the same time.
    now: Instant,
    turn: Turn,
    /// Time is up, and the runtime was asked once more what can be read and written by then.
    asked: bool,
    over: bool,
    /// How the peer broke the protocol, until that is reported.
    broken: Option<Box<ProtocolError>>,
}

impl Receiver {
    pub(crate) fn new(registry: Arc<Registry>) -> Self {
        Self {
            registry,
            input: Input::default(),
            now: Instant::ZERO,
            turn: Turn::default(),
            asked: false,
            over: false,
            broken: None,
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
        self.input.event(found)
    }

    /// Ends the id of a connection that is dropped before it is over.
    pub(crate) fn part(&self, id: ConnectionId) -> Option<Parting> {
        self.registry.part(id)
    }

    /// The next message of those that were taken together under one lock. Not the last one: for that the lock is taken again, so that
    /// whoever answers it writes.
    #[inline]
    pub(crate) fn next_of_several(&mut self, shared: &Shared) -> Option<Place> {
        if shared.is_interrupted() || !self.turn.goes_on(shared.clock()) {
            return None;
        }
        self.input.next_of_several()
    }

    /// The message at a place that was given last.
    #[inline]
    pub(crate) fn message(&self, place: Place) -> Message<'_> {
        self.input.message(place)
    }

    /// The next thing that is found, or that it is over.
    pub(crate) fn poll(&mut self, shared: &Shared, context: &mut Context<'_>) -> Poll<Option<Found>> {
        if self.over {
            return Poll::Ready(None);
        }
        if self.input.has_more() {
            self.turn.goes_on(shared.clock());
        }
        ready!(self.turn.poll(context));
        let found = self.poll_found(shared, context);
        self.report(shared, &found);
        if found.is_pending() {
            self.turn.waits();
        }
        found
    }

    /// Tells what was found to who listens, who may use this very connection: no lock is held.
    fn report(&mut self, shared: &Shared, found: &Poll<Option<Found>>) {
        if let Some(error) = self.broken.take() {
            tracing::debug!(connection = ?shared.id, %error, "the peer broke the protocol");
        }
        if let Poll::Ready(Some(Found::Owned(Event::Closed(closed)))) = found {
            tracing::debug!(connection = ?shared.id, %closed, "closed");
        }
    }

    fn poll_found(&mut self, shared: &Shared, context: &mut Context<'_>) -> Poll<Option<Found>> {
        let mut driver = shared.lock();
        driver.receiver_comes(shared.clock());
        self.heed_interruption(shared, &driver);
        loop {
            if let Some(found) = self.next(shared, &mut driver) {
                self.leave_with_event(shared, &mut driver);
                return Poll::Ready(Some(found));
            }
            // Everything that came is handled: write once.
            let _ = driver.flush(shared.clock(), context);
            if driver.connection.is_over() {
                continue;
            }
            // Also where there is always more to read. All that came by the time of the latest read is handled.
            if driver.is_reminded() && driver.connection.poll_timeout().is_some_and(|deadline| deadline <= self.now) {
                driver.pass_time(self.now);
                continue;
            }
            if self.turn.poll(context).is_pending() {
                // The keeper says when time is up.
                if let Some(deadline) = driver.connection.poll_timeout() {
                    shared.plan_look(&mut driver, deadline);
                }
                return Poll::Pending;
            }
            // While this side pauses, what may be read waits (PW-HB-019).
            let read = match driver.connection.is_paused() {
                true => Poll::Pending,
                false => self.poll_read(shared, &mut driver, context),
            };
            driver.note_held();
            match read {
                Poll::Ready(Some(event)) => {
                    self.note(shared, &mut driver, &event);
                    self.leave_with_event(shared, &mut driver);
                    return Poll::Ready(Some(Found::Owned(event)));
                }
                Poll::Ready(None) => {
                    self.turn.read(self.now);
                    continue;
                }
                // Out of budget, the task has to pause, and has perhaps not read all.
                Poll::Pending if has_budget_remaining() && driver.end_broken(shared.clock()) => continue,
                Poll::Pending if driver.can_write() => continue,
                Poll::Pending => {}
            }
            // What could be read was delivered, so time may pass (PW-TCP-001).
            if self.poll_time(shared, &mut driver, context).is_ready() {
                continue;
            }
            if has_budget_remaining() {
                driver.catch_up();
            }
            driver.set_receiver(context);
            return Poll::Pending;
        }
    }

    /// Messages that were taken out of the input wait while the application pauses, and nobody gets those of a connection that was cut.
    fn heed_interruption(&mut self, shared: &Shared, driver: &Driver) {
        if shared.is_interrupted() {
            if driver.connection.is_over() {
                self.input.forget_ahead();
            }
            if !driver.connection.is_paused() {
                shared.end_interruption();
            }
        }
    }

    /// The task goes to handle an event, and the keeper looks after the connection until it is back.
    fn leave_with_event(&self, shared: &Shared, driver: &mut Driver) {
        if self.over {
            return;
        }
        // Answers of the protocol itself (HELLO_ACK, PONG) join with that of the application.
        shared.leave_to_join(driver);
        // Whoever waits for space may have relied on the receiver to write.
        driver.wake_senders();
        shared.watch(driver);
    }

    /// The next thing to report of what came, and of what time and commands did.
    fn next(&mut self, shared: &Shared, driver: &mut Driver) -> Option<Found> {
        loop {
            let found = if driver.connection.is_paused() { None } else { self.next_found(driver) };
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
        if let Event::Closed(_) = event {
            self.end(shared, driver);
        }
    }

    /// The next event that waits, or else out of the bytes at hand.
    fn next_found(&mut self, driver: &mut Driver) -> Option<Found> {
        let found = match self.input.next_ahead() {
            Some(found) => Some(found),
            // Where that is an error the connection is over, and `Closed` says why.
            None => self.input.receive(&mut driver.connection, self.now).unwrap_or_else(|error| {
                self.broken = Some(Box::new(error));
                None
            }),
        };
        driver.more_input = found.is_some() && self.input.has_more();
        found
    }

    fn end(&mut self, shared: &Shared, driver: &mut Driver) {
        self.over = true;
        self.input = Input::default();
        shared.say_farewell(&self.registry, driver);
    }

    /// Reads once: into a large packet's own buffer, or behind the bytes that wait.
    fn poll_read(
        &mut self,
        shared: &Shared,
        driver: &mut Driver,
        context: &mut Context<'_>,
    ) -> Poll<Option<Event<'static>>> {
        let Driver { connection, below: Some(below), .. } = driver else { return Poll::Ready(None) };
        let stream = Pin::new(below.stream());
        let mut event = None;
        let result = if let Some((mut buffer, need)) = connection.direct_buffer() {
            // Nothing is kept beside it.
            self.input.shrink();
            let result = poll_read_buf(stream, context, &mut (&mut buffer).limit(need));
            if result.is_ready() {
                self.now = shared.clock().now();
            }
            match connection.received_direct(self.now, buffer) {
                Ok(found) => event = found.filter(|event| !is_internal(event)),
                Err(error) => self.broken = Some(Box::new(error)),
            }
            result
        } else {
            let result = self.input.poll_read(stream, context);
            if result.is_ready() {
                self.now = shared.clock().now();
            }
            result
        };
        let result = ready!(result);
        match result {
            Ok(0) => connection.disconnected(self.now, Disconnect::EndOfStream),
            Ok(_) => {}
            Err(error) => {
                connection.disconnected(self.now, cause(&error));
                driver.error.get_or_insert(error);
            }
        }
        Poll::Ready(event)
    }

    /// `Ready`: time was let pass. The keeper says when to look.
    ///
    /// It has the task polled twice: the runtime may have noticed that time is up, and not yet what can be read and written by then. In
    /// between it looks at that too, so that what came in time counts (PW-TCP-001).
    fn poll_time(&mut self, shared: &Shared, driver: &mut Driver, context: &mut Context<'_>) -> Poll<()> {
        let Some(deadline) = driver.connection.poll_timeout() else { return Poll::Pending };
        let asked = std::mem::take(&mut self.asked);
        if driver.take_reminder() || asked {
            let now = shared.clock().now();
            if deadline <= now && asked {
                driver.pass_time(now);
                return Poll::Ready(());
            }
            if deadline <= now {
                self.asked = true;
                give_way(context);
                return Poll::Pending;
            }
        }
        shared.plan_look(driver, deadline);
        Poll::Pending
    }
}

/// Whether the application is not told: those that wait for room are woken as bytes go out.
fn is_internal(event: &Event<'_>) -> bool {
    matches!(event, Event::Writable { .. })
}
