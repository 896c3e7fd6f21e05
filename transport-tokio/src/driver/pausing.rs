//! Pausing (section 8.4 of the specification): who is not ready for more says so, and the peer does not take it for dead.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use pulsewire_protocol::Instant;

use super::{Behind, Driver, Receiving};
use crate::clock::Clock;
use crate::keeper::Times;
use crate::shared::Shared;
use crate::timer::Timer;

/// Who wants the connection to pause.
#[derive(Default)]
pub(super) struct Pausing {
    /// The application paused it, and did not resume it yet.
    asked: bool,
    /// How many tasks are busy.
    busy: u32,
    /// The receiving task is away for so long that the keeper paused it.
    kept: bool,
}

impl Driver {
    pub(crate) fn pause(&mut self, clock: &Clock) {
        self.begin_pause(clock);
        self.pausing.asked = self.connection.is_paused();
    }

    pub(crate) fn resume(&mut self, clock: &Clock) {
        self.pausing.asked = false;
        self.end_pause(clock);
    }

    /// Has busy tasks go on writing, where the receiver does not.
    pub(crate) fn wake_busy(&mut self) {
        if self.pausing.busy > 0 {
            self.wake_senders();
        }
    }

    fn begin_busy(&mut self, clock: &Clock) {
        self.pausing.busy += 1;
        self.begin_pause(clock);
    }

    fn end_busy(&mut self, clock: &Clock) {
        self.pausing.busy -= 1;
        if let Receiving::Away { since } = &mut self.receiving {
            *since = None;
        }
        self.end_pause(clock);
        // Whoever waits may have relied on this task to write.
        self.wake_senders();
    }

    /// For a receiving task that is away: writes what waits, has the connection pause if it is `long`, and lets time pass then. Gives
    /// when to look again.
    pub(crate) fn keep(&mut self, clock: &Clock, now: Instant, times: Times, long: bool) -> Option<Instant> {
        // What is sent from now on does not wait for the receiver to come back.
        self.more_input = false;
        if self.blocked && !self.waiters.has_tasks() {
            let _ = self.flush(clock, &mut Context::from_waker(Waker::noop()));
            // The stream wakes nobody now; whoever still looks asks it again.
            self.waiters.wake_aside();
        } else {
            self.flush_aside(clock);
        }
        let again = now + times.look;
        if !long {
            return Some(again);
        }
        // Whoever is busy and says so has it paused already.
        if !self.pausing.kept && self.pausing.busy == 0 {
            self.begin_pause(clock);
            self.pausing.kept = self.connection.is_paused();
        }
        // A connection that is not open can't pause (PW-HB-024), and does not wait for its task for ever either. All is judged a look
        // later, so that the stream was asked in between.
        if self.connection.poll_timeout().is_some_and(|deadline| deadline + times.look <= now) {
            self.pass_time(now);
            self.flush_aside(clock);
            if self.connection.is_over() {
                self.wake_all();
            }
        }
        let deadline = self.connection.poll_timeout().map(|deadline| (deadline + times.look).max(again));
        // Nobody else asks whether the stream takes more.
        if self.has_more() { Some(again) } else { deadline }
    }

    /// For a receiving task that is away, and comes back perhaps, but not to the end of what there is to read: the peer's PING may lie
    /// far behind (PW-HB-027).
    pub(crate) fn reassure_if_behind(&mut self, clock: &Clock, now: Instant, times: Times) {
        let taken = self.connection.statistics().bytes_taken;
        match self.behind {
            Some(behind) if behind.taken == taken && now - behind.since < times.away => return,
            Some(behind) if behind.taken == taken => {
                self.connection.reassure(now);
                self.flush_aside(clock);
            }
            Some(_) | None => {}
        }
        self.behind = Some(Behind { since: now, taken: self.connection.statistics().bytes_taken });
    }

    /// The receiving task has read all that there was.
    pub(crate) fn catch_up(&mut self) {
        self.behind = None;
    }

    /// The receiving task is back.
    pub(super) fn end_kept(&mut self, clock: &Clock) {
        if std::mem::take(&mut self.pausing.kept) {
            self.end_pause(clock);
        }
    }

    /// Stops reading; BUSY goes out at once (PW-HB-019).
    fn begin_pause(&mut self, clock: &Clock) {
        if self.is_broken() {
            return;
        }
        self.connection.pause(clock.now());
        // What is sent meanwhile does not wait for the receiver to come back.
        self.more_input = false;
        self.flush_aside(clock);
        // The next deadline is another one.
        self.wake_receiver();
    }

    /// Reads again, unless somebody else still wants the pause.
    fn end_pause(&mut self, clock: &Clock) {
        if self.pausing.asked || self.pausing.busy > 0 || self.pausing.kept {
            return;
        }
        self.connection.resume(clock.now());
        self.flush_aside(clock);
        self.wake_receiver();
    }

    /// Writes for a busy task. Gives the next deadline that it has to keep.
    fn write_busy(&mut self, clock: &Clock, context: &mut Context<'_>) -> Option<Instant> {
        // When it is over, the rest is the receiver's.
        if self.connection.is_over() {
            return None;
        }
        self.flush_for(clock, context);
        self.wait(context);
        if self.connection.is_paused() { self.connection.poll_timeout() } else { self.connection.write_timeout() }
    }

    /// Lets time pass for a busy task. Where it does not pause, what may be read counts first (PW-TCP-001), and so does the
    /// receiver, who reads it.
    fn time_busy(&mut self, now: Instant) {
        if !self.connection.is_paused() {
            return self.end_stalled(now);
        }
        self.pass_time(now);
        if self.connection.is_over() {
            self.wake_all();
        }
    }
}

/// Runs `work`, and drives the connection as paused while that takes time.
pub(crate) async fn busy_while<W: Future>(shared: &Shared, work: W) -> W::Output {
    let mut work = pin!(work);
    // What is done at once is no reason to pause.
    if let Poll::Ready(output) = poll_fn(|context| Poll::Ready(work.as_mut().poll(context))).await {
        return output;
    }
    let _busy = Busy::new(shared);
    let mut timer = Timer::default();
    poll_fn(|context| {
        if let Poll::Ready(output) = work.as_mut().poll(context) {
            return Poll::Ready(output);
        }
        loop {
            let Some(deadline) = shared.lock().write_busy(shared.clock(), context) else { return Poll::Pending };
            let Poll::Ready(now) = timer.poll(shared.clock(), deadline, context) else { return Poll::Pending };
            shared.lock().time_busy(now);
        }
    })
    .await
}

/// A task that is busy, also where its future is dropped.
struct Busy<'s>(&'s Shared);

impl<'s> Busy<'s> {
    fn new(shared: &'s Shared) -> Self {
        let mut driver = shared.lock();
        driver.begin_busy(shared.clock());
        shared.interrupt(&driver);
        drop(driver);
        Self(shared)
    }
}

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        let mut driver = self.0.lock();
        driver.end_busy(self.0.clock());
        // It may have planned its next look for when the pause was to be renewed.
        self.0.have_kept(&mut driver);
    }
}
