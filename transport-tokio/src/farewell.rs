//! After the end of a connection: its machine says what becomes of the stream, and when (PW-CLS-012, PW-CLS-015), and a task of
//! its own does that.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pulsewire_policy::Traffic;
use pulsewire_protocol::{Connection, Disconnect, Shutdown, Transmit};
use tokio::io::ReadBuf;
use tokio::runtime::Handle;

use crate::clock::Clock;
use crate::driver::{BATCH, Driver, cause, write};
use crate::registry::Parting;
use crate::report::ShutdownReport;
use crate::shared::Shared;
use crate::stream::Below;
use crate::timer::Timer;
use crate::turn::Turn;

/// A stream whose connection is over, until it is closed.
pub(crate) struct Farewell {
    below: Below,
    /// What the stream did not take yet.
    batch: Transmit,
    /// The sending direction has ended.
    half_closed: bool,
    /// The peer's has: there is nothing to read any more.
    peer_ended: bool,
    timer: Timer,
    turn: Turn,
}

impl Farewell {
    pub(crate) fn new(below: Below, batch: Transmit) -> Self {
        Self { below, batch, half_closed: false, peer_ended: false, timer: Timer::default(), turn: Turn::default() }
    }

    /// Drives it in a task of its own. The endpoint knows of it until the stream is closed.
    pub(crate) fn spawn(mut self, mut parting: Parting, runtime: &Handle) {
        runtime.spawn(async move {
            poll_fn(|context| self.poll(parting.shared(), context)).await;
            let (report, traffic) = self.report(parting.shared());
            parting.note(report, traffic);
            drop(self);
            drop(parting);
        });
    }

    fn report(&self, shared: &Shared) -> (ShutdownReport, Traffic) {
        let mut driver = shared.lock();
        self.below.tell_acknowledged(&mut driver.connection, shared.clock().now());
        let report = ShutdownReport::of(&driver.connection);
        let traffic = Traffic::of(&driver.connection);
        (if shared.was_cut() { report.but_cut() } else { report }, traffic)
    }

    fn poll(&mut self, shared: &Shared, context: &mut Context<'_>) -> Poll<()> {
        let mut driver = shared.lock();
        loop {
            let Driver { connection, .. } = &mut *driver;
            if connection.shutdown() == Shutdown::Close {
                return Poll::Ready(());
            }
            let failed = self.step(connection, shared.clock(), context);
            if let Err(error) = &failed {
                connection.disconnected(shared.clock().now(), cause(error));
            }
            match failed {
                Ok(Stepped::Waits) => {
                    if self.poll_timer(connection, shared.clock(), context).is_pending() {
                        self.turn.waits();
                        driver.set_receiver(context);
                        return Poll::Pending;
                    }
                }
                // Also where there is always more to read, time passes and others run.
                Ok(Stepped::Moved) => {
                    let now = shared.clock().now();
                    if connection.poll_timeout().is_some_and(|deadline| deadline <= now) {
                        self.below.pass_time(connection, now);
                    }
                    self.turn.read(now);
                    ready!(self.turn.poll(context));
                }
                Err(_) => {}
            }
        }
    }

    /// Writes, ends the sending direction when it is time to, and reads once.
    fn step(&mut self, connection: &mut Connection, clock: &Clock, context: &mut Context<'_>) -> io::Result<Stepped> {
        let stream = self.below.stream();
        while !self.batch.is_empty() || connection.poll_transmit(clock.now(), BATCH, &mut self.batch) {
            let Poll::Ready(written) = write(stream, &self.batch, context) else { break };
            let written = written?;
            connection.transmitted(clock.now(), &mut self.batch, written);
        }
        // A stream with a buffer of its own goes on with that when it is shut down.
        let _flushed = Pin::new(&mut *stream).poll_flush(context)?;
        if connection.shutdown() == Shutdown::HalfClose
            && !self.half_closed
            && let Poll::Ready(ended) = Pin::new(&mut *stream).poll_shutdown(context)
        {
            ended?;
            self.half_closed = true;
        }
        // Closing a socket with unread bytes resets the connection, and a reset destroys what is on its way to the peer.
        // Nobody acts on them (PW-FRM-016).
        let mut discarded = [0; 4 << 10];
        let mut discarded = ReadBuf::new(&mut discarded);
        if self.peer_ended || Pin::new(stream).poll_read(context, &mut discarded)?.is_pending() {
            return Ok(Stepped::Waits);
        }
        if discarded.filled().is_empty() {
            self.peer_ended = true;
            connection.disconnected(clock.now(), Disconnect::EndOfStream);
        }
        Ok(Stepped::Moved)
    }

    /// `Ready`: time was let pass.
    fn poll_timer(&mut self, connection: &mut Connection, clock: &Clock, context: &mut Context<'_>) -> Poll<()> {
        let Some(deadline) = connection.poll_timeout() else { return Poll::Ready(()) };
        self.timer.poll(clock, deadline, context).map(|now| self.below.pass_time(connection, now))
    }
}

/// What came of one step.
enum Stepped {
    /// There may be more to read.
    Moved,
    /// For the stream, or for time.
    Waits,
}
