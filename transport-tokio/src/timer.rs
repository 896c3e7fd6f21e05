//! A timer for a deadline that mostly moves to later.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use pulsewire_protocol::Instant;
use tokio::time::Sleep;

use crate::clock::Clock;
use crate::turn::give_way;

/// Wakes its task when a deadline has passed. Nearly every packet moves that to later: the timer is left alone then, and
/// asks again when it runs out.
///
/// It wakes the task twice: the runtime may have noticed that time is up, and not yet what can be read and written by then. In
/// between it looks at that too, so that what came in time counts (PW-TCP-001).
#[derive(Default)]
pub(crate) struct Timer {
    armed: Option<Armed>,
    /// The task was woken the first time.
    asked: bool,
}

struct Armed {
    sleep: Pin<Box<Sleep>>,
    until: Instant,
}

impl Timer {
    /// `Ready` with the time when `deadline` has passed. Read and write what can be before each call.
    pub(crate) fn poll(&mut self, clock: &Clock, deadline: Instant, context: &mut Context<'_>) -> Poll<Instant> {
        if std::mem::take(&mut self.asked) {
            let now = clock.now();
            if deadline <= now {
                return Poll::Ready(now);
            }
        }
        let armed = self.armed.get_or_insert_with(|| Armed {
            sleep: Box::pin(tokio::time::sleep_until(clock.tokio(deadline))),
            until: deadline,
        });
        if deadline < armed.until {
            armed.arm(clock, deadline);
        }
        while armed.sleep.as_mut().poll(context).is_ready() {
            if deadline <= clock.now() {
                armed.until = Instant::MAX;
                self.asked = true;
                give_way(context);
                return Poll::Pending;
            }
            armed.arm(clock, deadline);
        }
        Poll::Pending
    }
}

impl Armed {
    fn arm(&mut self, clock: &Clock, deadline: Instant) {
        self.until = deadline;
        self.sleep.as_mut().reset(clock.tokio(deadline));
    }
}
