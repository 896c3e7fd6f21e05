//! Bytes out: what waits is written, as far as the stream takes it.

use std::io::{self, ErrorKind, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use pulsewire_protocol::{Instant, Transmit};

use super::{BATCH, Driver, cause};
use crate::buffers;
use crate::clock::Clock;
use crate::stream::Stream;

/// Batches that are written in a row. A stream that takes everything must not keep the PING from being read that is to be
/// answered ahead of the rest (PW-HB-015).
const BATCHES: usize = 4;

/// Pieces of one vectored write.
const SLICES: usize = 64;

impl Driver {
    /// Writes what the stream takes, for a task that will not wait for it. The receiver goes on where it stops.
    pub(crate) fn flush_aside(&mut self, clock: &Clock) {
        self.flush_aside_at(clock, clock.now());
    }

    pub(super) fn flush_aside_at(&mut self, clock: &Clock, now: Instant) {
        if !self.blocked {
            let _ = self.flush_at(clock, now, &mut Context::from_waker(Waker::noop()));
        }
        // It has to go on, to wait for the stream or for the answer to a CLOSE, or to report the end.
        if self.has_more() || !self.connection.is_open() {
            self.wake_receiver();
            self.wake_busy();
        }
    }

    /// Whether anything waits to be written.
    pub(crate) fn has_more(&self) -> bool {
        self.batch.is_some() || self.unflushed || self.connection.has_transmit()
    }

    /// The stream would take more, or nobody asked it.
    pub(crate) fn can_write(&self) -> bool {
        self.broken.is_none() && !self.blocked && self.has_more()
    }

    /// Writes some batches, or until nothing waits (`Ready`) or the stream takes no more (`Pending`). After a failure nothing
    /// is written any more; [`end_broken`](Self::end_broken) ends the connection.
    pub(crate) fn flush(&mut self, clock: &Clock, context: &mut Context<'_>) -> Poll<()> {
        if self.broken.is_some() || !self.has_more() {
            return Poll::Ready(());
        }
        self.flush_at(clock, clock.now(), context)
    }

    /// `now` serves for the first batch, since looking at the clock costs as much as a small message.
    pub(super) fn flush_at(&mut self, clock: &Clock, mut now: Instant, context: &mut Context<'_>) -> Poll<()> {
        if self.broken.is_some() || !self.has_more() {
            return Poll::Ready(());
        }
        let Some(below) = &mut self.below else { return Poll::Ready(()) };
        let stream = below.stream();
        (self.left, self.joins_until) = (false, Instant::MAX);
        let mut batch = self.batch.take().unwrap_or_else(buffers::take_to_send);
        self.blocked = false;
        let queued = self.connection.queued();
        let mut batches = 0;
        loop {
            if batch.is_empty() {
                batches += 1;
                if batches > BATCHES || !self.connection.poll_transmit(now, BATCH, &mut batch) {
                    buffers::give_to_send(batch);
                    break;
                }
            }
            match write(stream, &batch, context) {
                Poll::Ready(Ok(written)) => {
                    self.connection.transmitted(now, &mut batch, written);
                    self.unflushed = true;
                    if self.connection.has_transmit() {
                        now = clock.now();
                    }
                }
                Poll::Ready(Err(error)) => {
                    self.broken = Some(cause(&error));
                    self.error.get_or_insert(error);
                    break;
                }
                Poll::Pending => {
                    self.batch = Some(batch);
                    self.blocked = true;
                    break;
                }
            }
        }
        if self.unflushed && !self.blocked && self.broken.is_none() {
            match Pin::new(stream).poll_flush(context) {
                Poll::Ready(Ok(())) => self.unflushed = false,
                Poll::Ready(Err(error)) => {
                    self.broken = Some(cause(&error));
                    self.error.get_or_insert(error);
                }
                Poll::Pending => self.blocked = true,
            }
        }
        if self.broken.is_some() {
            // There is nobody left to pause for. What the peer said last is to be read.
            self.connection.resume(clock.now());
            self.wake_all();
        }
        self.note_held();
        if self.connection.queued() < queued || self.connection.is_over() {
            self.wake_senders();
        }
        if self.blocked { Poll::Pending } else { Poll::Ready(()) }
    }

    /// Writes for a task that waits outside `recv`.
    pub(crate) fn flush_for(&mut self, clock: &Clock, context: &mut Context<'_>) {
        // Where the receiver waits for the stream, it is the one to go on.
        if self.receiver.is_none() || !self.blocked {
            let _ = self.flush(clock, context);
        }
    }
}

pub(crate) fn write(stream: &mut dyn Stream, batch: &Transmit, context: &mut Context<'_>) -> Poll<io::Result<usize>> {
    let mut slices = [IoSlice::new(&[]); SLICES];
    let written = match batch.fill(&mut slices) {
        // The system has less to look at.
        1 => Pin::new(stream).poll_write(context, &slices[0]),
        count => Pin::new(stream).poll_write_vectored(context, &slices[..count]),
    };
    match written {
        Poll::Ready(Ok(0)) => Poll::Ready(Err(ErrorKind::WriteZero.into())),
        other => other,
    }
}
