//! Time as the suite and the oracle see it: that of the [world](crate::world) of a thread, or else of the system.

use std::thread;
use std::time::{Duration, Instant};

use crate::world;

/// The time now.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "the one place for it")]
pub fn now() -> Instant {
    world::time().unwrap_or_else(Instant::now)
}

/// Waits.
#[expect(clippy::disallowed_methods, reason = "the one place for it")]
pub fn sleep(duration: Duration) {
    if !world::rest(duration) {
        thread::sleep(duration);
    }
}

/// Whether time is that of a world.
pub(crate) fn is_virtual() -> bool {
    world::time().is_some()
}

/// In a world, lets every other thread that can go on do so; its time stands still. Elsewhere they run as they like.
pub(crate) fn give_way() {
    world::rest(Duration::ZERO);
}

/// Puts everybody to sleep but the caller, for so long: what was written lies there, and all wake up late at once. Only in a world, which
/// it tells.
pub(crate) fn pass_asleep(time: Duration) -> bool {
    world::pass(time)
}

/// The time that has passed since `start`.
pub(crate) fn elapsed(start: Instant) -> Duration {
    now().saturating_duration_since(start)
}
