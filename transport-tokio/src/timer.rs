//! A timer for a deadline that mostly moves to later.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use pulsewire_protocol::Instant;
use tokio::time::Sleep;

use crate::clock::Clock;

/// Wakes its task when a deadline has passed. Nearly every packet moves that to later: the timer is left alone then, and
/// asks again when it runs out.
#[derive(Default)]
pub(crate) struct Timer {
    armed: Option<Armed>,
}

struct Armed {
    sleep: Pin<Box<Sleep>>,
    until: Instant,
}

impl Timer {
    /// `Ready` with the time when `deadline` has passed.
    pub(crate) fn poll(&mut self, clock: &Clock, deadline: Instant, context: &mut Context<'_>) -> Poll<Instant> {
        let armed = self.armed.get_or_insert_with(|| Armed {
            sleep: Box::pin(tokio::time::sleep_until(clock.tokio(deadline))),
            until: deadline,
        });
        if deadline < armed.until {
            armed.arm(clock, deadline);
        }
        while armed.sleep.as_mut().poll(context).is_ready() {
            let now = clock.now();
            if deadline <= now {
                armed.until = Instant::MAX;
                return Poll::Ready(now);
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
