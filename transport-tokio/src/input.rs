//! Received bytes that wait to be handled, and the messages in them.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{BufMut, BytesMut};
use pulsewire_protocol::{Class, Connection, Event, Instant, Message, Payload, ProtocolError};
use tokio_util::io::poll_read_buf;

use crate::buffers;
use crate::stream::Stream;

/// What one read takes at most.
const READ: usize = 64 << 10;

/// Messages that are taken out of the bytes at a time. With more of them nothing becomes faster.
const AHEAD: usize = 64;

/// An event, with the place of its payload in the input where it is borrowed: what a loop may hold on to.
pub(crate) enum Found {
    Owned(Event<'static>),
    Message(Place),
}

/// Where a message lies in the input.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    class: Class,
    encrypted: bool,
    start: u32,
    length: u32,
}

/// What was read, if anything of it waits: an idle connection holds nothing.
#[derive(Default)]
pub(crate) struct Input {
    batch: Option<Box<Batch>>,
}

/// Bytes that came together. With a buffer of [`READ`] bytes it is from the thread's pool; else it is the beginning of a packet.
#[derive(Default)]
pub(crate) struct Batch {
    buffer: BytesMut,
    /// Bytes at its front that are done with.
    handled: usize,
    /// Messages that the machine gave, and how many of them were handed out: so that each need not take the lock for itself.
    ahead: Vec<Place>,
    handed: usize,
}

impl Input {
    /// What was found, with its payload borrowed.
    pub(crate) fn event(&self, found: Found) -> Event<'_> {
        match found {
            Found::Owned(event) => event,
            Found::Message(place) => Event::Message(self.message(place)),
        }
    }

    /// The message at a place that was given last.
    #[inline]
    pub(crate) fn message(&self, place: Place) -> Message<'_> {
        let bytes = self.batch.as_ref().map_or(&[][..], |batch| &batch.buffer[..]);
        let start = place.start as usize;
        let payload = Payload::Borrowed(&bytes[start..start + place.length as usize]);
        Message { class: place.class, encrypted: place.encrypted, payload }
    }

    /// The next event, and the messages behind it.
    pub(crate) fn receive(
        &mut self,
        connection: &mut Connection,
        now: Instant,
    ) -> Result<Option<Found>, ProtocolError> {
        match &mut self.batch {
            Some(batch) => batch.receive(connection, now),
            None => Ok(connection.receive(now, &mut &[][..])?.map(|event| Found::Owned(event.into_owned()))),
        }
    }

    /// The next message of those that were taken.
    pub(crate) fn next_ahead(&mut self) -> Option<Found> {
        let batch = self.batch.as_mut()?;
        let place = batch.ahead.get(batch.handed).copied()?;
        batch.handed += 1;
        Some(Found::Message(place))
    }

    /// The next message, unless it is the last one of those that were taken.
    #[inline]
    pub(crate) fn next_of_several(&mut self) -> Option<Place> {
        let batch = self.batch.as_deref_mut()?;
        let [place, _, ..] = batch.ahead.get(batch.handed..)? else { return None };
        batch.handed += 1;
        Some(*place)
    }

    /// Nobody is to get what was taken.
    pub(crate) fn forget_ahead(&mut self) {
        if let Some(batch) = &mut self.batch {
            batch.handed = batch.ahead.len();
        }
    }

    /// Whether anything is left of what was read.
    pub(crate) fn has_more(&self) -> bool {
        self.batch.as_ref().is_some_and(|batch| batch.waiting() > 0 || batch.has_bytes())
    }

    /// Reads behind the bytes that wait.
    pub(crate) fn poll_read(
        &mut self,
        stream: Pin<&mut dyn Stream>,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        let buffer = self.make_room();
        let room = READ - buffer.len();
        let result = poll_read_buf(stream, context, &mut buffer.limit(room));
        if result.is_pending() {
            self.shrink();
        }
        result
    }

    /// Brings the bytes that wait to the front of a buffer from the pool.
    fn make_room(&mut self) -> &mut BytesMut {
        let batch = self.batch.get_or_insert_with(buffers::take_received);
        let waiting = batch.handled..batch.buffer.len();
        if batch.is_roomy() {
            let count = waiting.len();
            batch.buffer.copy_within(waiting, 0);
            batch.buffer.truncate(count);
        } else {
            let mut roomy = buffers::take_received();
            roomy.buffer.extend_from_slice(&batch.buffer[waiting]);
            *batch = roomy;
        }
        batch.handled = 0;
        &mut batch.buffer
    }

    /// Nothing is read into it for now: keeps the bytes that wait, mostly none, and gives the rest back.
    pub(crate) fn shrink(&mut self) {
        let Some(batch) = self.batch.take() else { return };
        let waiting = &batch.buffer[batch.handled..];
        if !waiting.is_empty() {
            self.batch = Some(Box::new(Batch { buffer: waiting.into(), ..Batch::default() }));
        }
        buffers::give_received(batch);
    }
}

impl Drop for Input {
    fn drop(&mut self) {
        if let Some(batch) = self.batch.take() {
            buffers::give_received(batch);
        }
    }
}

impl Batch {
    /// One that a read fits into.
    pub(crate) fn new() -> Self {
        Self { buffer: BytesMut::with_capacity(READ), ..Self::default() }
    }

    /// Whether a read fits into it. Not if it was split, or is just the beginning of a packet.
    pub(crate) fn is_roomy(&self) -> bool {
        self.buffer.capacity() == READ
    }

    /// Without bytes and messages.
    pub(crate) fn clear(&mut self) {
        self.buffer.clear();
        self.ahead.clear();
        (self.handled, self.handed) = (0, 0);
    }

    fn waiting(&self) -> usize {
        self.ahead.len() - self.handed
    }

    fn has_bytes(&self) -> bool {
        self.handled < self.buffer.len()
    }

    fn receive(&mut self, connection: &mut Connection, now: Instant) -> Result<Option<Found>, ProtocolError> {
        let mut rest = &self.buffer[self.handled..];
        let result = connection.receive(now, &mut rest);
        let handled = self.buffer.len() - rest.len();
        let found = result.map(|event| {
            event.map(|event| match event {
                Event::Message(message @ Message { payload: Payload::Borrowed(_), .. }) => {
                    Found::Message(self.place(&message))
                }
                event => Found::Owned(event.into_owned()),
            })
        });
        self.handled = handled;
        if let Ok(Some(Found::Message(_))) = found {
            self.take_ahead(connection, now);
        }
        found
    }

    /// Takes the messages that are next.
    fn take_ahead(&mut self, connection: &mut Connection, now: Instant) {
        let mut rest = &self.buffer[self.handled..];
        self.ahead.clear();
        self.handed = 0;
        while self.ahead.len() < AHEAD
            && !rest.is_empty()
            && let Some(message) = connection.receive_message(now, &mut rest)
        {
            let place = self.place(&message);
            self.ahead.push(place);
        }
        self.handled = self.buffer.len() - rest.len();
    }

    /// Where `message` lies, which borrows from the buffer.
    fn place(&self, message: &Message<'_>) -> Place {
        let start = message.payload.as_ptr() as usize - self.buffer.as_ptr() as usize;
        let (start, length) = (start as u32, message.payload.len() as u32);
        Place { class: message.class, encrypted: message.encrypted, start, length }
    }
}
